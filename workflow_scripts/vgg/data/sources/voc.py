"""PASCAL VOC, read in place: images with their objects, or people with their actions.

Its files are those of `voc_files`, its lists those of `voc_lists`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...core.files import InputError
from ..examples import Examples
from .annotations import Annotation, of_xml
from .members import Hidden, Member, check_images, read_members
from .voc_files import ACTIONS, ANNOTATION, IMAGE, LIST, OBJECTS, DataSet, opened
from .voc_lists import AGAIN, NEEDED, Key, Lists, labels_in, list_of, listed_in

PERSON, OTHER = "person", "other"
LEAST_SIDE = 8  # pixels, of a person's box


def read_voc(
    sources: Sequence[str | Path], on_bad_image: str = "error", hidden: Hidden | None = None
) -> tuple[list[Member], Examples]:
    """The images of train, val and, if it is there, test, with their objects (appendix B).

    sources: tars of one year, VOCdevkit, VOC<year>, or any folder of that form. on_bad_image: what
    of images without bytes, or that begin as no image does: "error", or "skip", which leaves them
    to packing. hidden: gets the number of hidden files, which are left out.
    Members are in order of image_ids; images that no list names are not among them.
    Raises InputError for what is missing or damaged, or contradicts itself.
    """
    data = opened(sources, OBJECTS, hidden)
    listed = listed_in(data)
    lists = labels_in(data, listed)
    for part, labels_of in lists.items():
        for name, labels in labels_of.items():
            if missing := sorted(listed[part] - labels.keys()):
                raise InputError(
                    f"{list_of(data, name, part)}: has no line for {missing[0][0]}, which "
                    f"{part}.txt names; {AGAIN}"
                )
    keys = sorted(key for its in listed.values() for key in its)
    return _examples(data, keys, listed, lists, None, on_bad_image)


def read_actions(
    sources: Sequence[str | Path], on_bad_image: str = "error", hidden: Hidden | None = None
) -> tuple[list[Member], Examples]:
    """The people of train, val and, if it is there, test, with boxes and actions (appendix B).

    A person's number counts all objects of an image's XML, from 1. Whom one action's list leaves
    out, though another's has them, is labelled 0 for it: `jumping` is younger than some images.
    The class `other` is of people who do nothing else, and not scored; where no list tells it, the
    labels of the other classes do.
    Arguments and result are those of `read_voc`. Raises InputError also for a box that is outside
    its image, or has less than LEAST_SIDE pixels a side within it.
    """
    data = opened(sources, ACTIONS, hidden)
    listed = listed_in(data)
    lists = labels_in(data, listed)
    annotations = _annotations(data, {name for its in listed.values() for name, _ in its})
    keys = sorted(
        key for part in listed for key in _people(data, part, listed[part], lists, annotations)
    )
    boxes = np.array([_box(annotations[name], number) for name, number in keys])
    return _examples(data, keys, listed, lists, boxes, on_bad_image)


def _people(
    data: DataSet,
    part: str,
    listed: set[Key],
    lists: Lists,
    annotations: Mapping[str, Annotation],
) -> set[Key]:
    """The people of a part: those of whom actions' lists tell, or else the part's own list or XMLs.

    Raises InputError if nothing tells of one that is listed. Logs whom an action's list leaves out.
    """
    told = {key for labels in lists[part].values() for key in labels}
    if not lists[part]:
        told = {key for key in listed if key[1]} or {
            (name, number)
            for name, _ in listed
            for number, thing in enumerate(annotations[name].names, start=1)
            if thing == PERSON
        }
    if silent := sorted(listed - told - {(name, 0) for name, _ in told}):
        name, number = silent[0]
        what = "no action's list tells of it" if lists[part] else f"its XML holds no {PERSON}"
        raise InputError(
            f"{data.places[LIST][part].where}: names {name}{f' {number}' if number else ''}, but "
            f"{what}; {AGAIN}"
        )
    for name, labels in lists[part].items():
        if left_out := sorted(told - labels.keys()):
            logging.warning(
                "%s: says nothing of %d of %d people, first %s:%d; they count neither for nor "
                "against the action, and the server's file leaves them out",
                list_of(data, name, part),
                len(left_out),
                len(told),
                *left_out[0],
            )
    return told


def _annotations(data: DataSet, names: Collection[str]) -> dict[str, Annotation]:
    """What the XMLs say of images. Raises InputError if one is missing or unreadable."""
    ordered = sorted(names)
    for name in ordered:
        if name not in data.places[ANNOTATION]:
            raise InputError(
                f"{data.where}: holds no {ANNOTATION}/{name}.xml, which tells the boxes of people "
                "whose actions are listed; is it complete?"
            )
    places = [data.places[ANNOTATION][name] for name in ordered]
    contents = read_members(place[1:] for place in places)
    return {
        name: of_xml(place.where, name, content)
        for name, place, content in zip(ordered, places, contents, strict=True)
    }


def _box(found: Annotation, number: int) -> tuple[float, float, float, float]:
    """The edges of a person's box within its image, in pixels.

    An XML names the first and the last pixel, from 1. Raises InputError if there is no such person,
    or too little of the box is within the image.
    """
    thing = found.names[number - 1] if number <= len(found.names) else None
    if thing != PERSON:
        what = f"a {thing}" if thing else "not there"
        raise InputError(
            f"{found.where}: a list names person {number} of {found.id}, but object {number} is "
            f"{what}, of {len(found.names)}; download the archive again, or correct one of them"
        )
    first_x, first_y, last_x, last_y = found.boxes[4 * number - 4 : 4 * number]
    width, height = (side or float("inf") for side in found.sides)
    edges = max(first_x - 1, 0.0), max(first_y - 1, 0.0), min(last_x, width), min(last_y, height)
    if min(edges[2] - edges[0], edges[3] - edges[1]) < LEAST_SIDE:
        size = "" if width == float("inf") else f" within the image's {width}×{height} pixels"
        raise InputError(
            f"{found.where}: person {number} has the box {first_x:g} {first_y:g} {last_x:g} "
            f"{last_y:g}, with less than {LEAST_SIDE} pixels a side{size}; correct it, or remove "
            "the person from the lists"
        )
    return edges


def _examples(
    data: DataSet,
    keys: list[Key],
    parts_lists: Mapping[str, set[Key]],
    lists: Lists,
    boxes: np.ndarray | None,
    on_bad_image: str,
) -> tuple[list[Member], Examples]:
    """The members and the examples of the keys, sorted; boxes: float64 [keys, 4].

    parts_lists: what the parts' own lists name.
    """
    part_of = {name: part for part, its in parts_lists.items() for name, _ in its}
    parts = [part_of[name] for name, _ in keys]
    labels, listed, classes, known = _matrix(keys, parts, lists)
    scored = np.array([data.task != ACTIONS or name != OTHER for name in classes])
    learnt = labels[np.array(parts) == NEEDED[0]]
    if (empty := scored & ~(learnt == 1).any(0)).any():
        raise InputError(
            f"{data.where}: nothing in {NEEDED[0]} is of {classes[int(empty.argmax())]}, so that "
            "it cannot be learned; correct its lists, or remove them"
        )
    image_ids = sorted({name for name, _ in keys})
    place_of = {name: place for place, name in enumerate(image_ids)}
    members = [Member(name, None, *data.places[IMAGE][name][1:]) for name in image_ids]
    check_images(members, on_bad_image)
    examples = Examples(
        ids=[f"{name}:{number}" if number else name for name, number in keys],
        image_ids=image_ids,
        images=np.array([place_of[name] for name, _ in keys], np.int64),
        parts=parts,
        labels=labels,
        known=known,
        boxes=boxes,
        classes=classes,
        scored=scored,
        listed=None if listed.all() else listed,
    )
    return members, examples


def _matrix(
    keys: list[Key], parts: list[str], lists: Lists
) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Labels int8 [keys, classes], whether the class's list names the key, bool, alike, the
    classes' names, sorted, and which keys' labels are known.

    Without lists of a part's labels all count as listed. Of people, the class `other` is added if
    it has no lists.
    """
    people = any(number for _, number in keys)
    told = sorted(lists[NEEDED[0]])
    known_of = {
        part: part in NEEDED or any(1 in labels.values() for labels in labels_of.values())
        for part, labels_of in lists.items()
    }
    for part in known_of:
        if not known_of[part]:
            logging.info("labels of %s are withheld, by its lists", part)
    labels = np.zeros((len(keys), len(told)), np.int8)
    listed = np.ones((len(keys), len(told)), bool)
    for row, (key, part) in enumerate(zip(keys, parts, strict=True)):
        if lists[part]:
            listed[row] = [key in lists[part][name] for name in told]
        if known_of[part]:
            labels[row] = [lists[part][name].get(key) or 0 for name in told]
    known = np.array([known_of[part] for part in parts], bool)
    if not people or OTHER in told:
        return labels, listed, told, known
    others = np.where((labels == 1).any(1), -1, np.where((labels == 0).any(1), 0, 1))
    classes = sorted([*told, OTHER])
    place = classes.index(OTHER)
    labels = np.insert(labels, place, others, axis=1)
    return labels, np.insert(listed, place, True, axis=1), classes, known
