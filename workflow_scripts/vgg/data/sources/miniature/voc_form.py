"""Write drawn stand-ins of VOC-2007 and VOC-2012 as their archives, with lists and annotations.

VOC-2012 holds images of two kinds: of objects, for classification, named 2008_*, and of people, for
actions, named 2010_*. The labels of its test images are in no archive, but in `WITHHELD`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ....core.text_artefacts import write_json
from .containers import tar_of, text_of, write_bytes
from .other_images import ACTIONS, VOC_CLASSES, Drawn
from .scenes import Scene, Sight

VOC2007_TRAINVAL = "VOCtrainval_06-Nov-2007.tar"
VOC2007_TEST = "VOCtest_06-Nov-2007.tar"
VOC2012_TRAINVAL = "VOCtrainval_11-May-2012.tar"
VOC2012_TEST = "VOC2012test.tar"
WITHHELD = "withheld.json"

# Those that an XML of VOC-2012 tells of each person.
_TOLD_ACTIONS = (
    *("jumping", "other", "phoning", "playinginstrument", "reading", "ridingbike", "ridinghorse"),
    *("running", "takingphoto", "usingcomputer", "walking"),
)
_SETS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}


def write_voc2007(directory: Path, images: Drawn) -> None:
    """Both archives, with the labels of the test images, which are public."""
    root = "VOCdevkit/VOC2007"
    for archive, sets in (
        (VOC2007_TRAINVAL, ("train", "val", "trainval")),
        (VOC2007_TEST, ("test",)),
    ):
        chosen = _of_sets(images, sets)
        files = _jpegs(chosen) | _main_sets(images, sets)
        for picture, scene in chosen:
            files[f"Annotations/{picture.name}.xml"] = _annotation_2007(picture.name, scene)
        write_bytes(directory / archive, tar_of(files, root))


def write_voc2012(directory: Path, objects: Drawn, people: Drawn) -> None:
    """Both archives, and what is withheld of the test images, in a file of its own."""
    root = "VOCdevkit/VOC2012"
    sets = ("train", "val", "trainval")
    files = _main_sets(objects, sets) | _action_sets(people, sets)
    for picture, scene in _of_sets(objects, sets):
        files[f"Annotations/{picture.name}.xml"] = _annotation_2012(picture.name, scene)
    for picture, scene in _of_sets(people, sets):
        files[f"Annotations/{picture.name}.xml"] = _annotation_of_actions(picture.name, scene)
    files |= _jpegs(_of_sets(objects, sets)) | _jpegs(_of_sets(people, sets))
    write_bytes(directory / VOC2012_TRAINVAL, tar_of(files, root))

    objects, people = _of_sets(objects, ("test",)), _without_things(_of_sets(people, ("test",)))
    files = _jpegs(objects) | _jpegs(people)
    for lists in (_main_sets(objects, ("test",)), _action_sets(people, ("test",))):
        files |= {name: text for name, text in lists.items() if name.endswith("/test.txt")}
    for picture, scene in people:
        files[f"Annotations/{picture.name}.xml"] = _annotation_of_boxes(picture.name, scene)
    write_bytes(directory / VOC2012_TEST, tar_of(files, root))
    write_json(directory / WITHHELD, _withheld(objects, people))


def _of_sets(images: Drawn, sets: Iterable[str]) -> Drawn:
    """The images of some of `_SETS`, by name."""
    parts = {part for name in sets for part in _SETS[name]}
    return sorted((image for image in images if image[0].part in parts), key=lambda i: i[0].name)


def _without_things(people: Drawn) -> Drawn:
    """The images with nothing annotated but people."""
    return [
        (picture, scene._replace(sights=tuple(s for s in scene.sights if s.action)))
        for picture, scene in people
    ]


def _jpegs(images: Drawn) -> dict[str, bytes]:
    return {f"JPEGImages/{picture.name}.jpg": scene.jpeg for picture, scene in images}


def label(scene: Scene, name: str) -> int:
    """1 for an image with an object of a class, 0 if all of them are difficult, −1 for none."""
    difficult = [sight.difficult for sight in scene.sights if sight.name == name]
    return 1 - all(difficult) if difficult else -1


def _main_sets(images: Drawn, sets: Iterable[str]) -> dict[str, bytes]:
    """Lists of images, and for each class their labels."""
    files = {}
    for name in sets:
        chosen = _of_sets(images, (name,))
        files[f"ImageSets/Main/{name}.txt"] = text_of(picture.name for picture, _ in chosen)
        for known in VOC_CLASSES:
            files[f"ImageSets/Main/{known}_{name}.txt"] = text_of(
                f"{picture.name} {label(scene, known):2d}" for picture, scene in chosen
            )
    return files


def people_of(scene: Scene) -> list[tuple[int, str]]:
    """The place of each person among all annotated objects of an image, from 1, and its action."""
    return [(n, sight.action) for n, sight in enumerate(scene.sights, 1) if sight.action]


def _action_sets(images: Drawn, sets: Iterable[str]) -> dict[str, bytes]:
    """Lists of people, as images and places in their annotations, and their labels."""
    files = {}
    for name in sets:
        people = [
            (f"{picture.name} {place}", action)
            for picture, scene in _of_sets(images, (name,))
            for place, action in people_of(scene)
        ]
        files[f"ImageSets/Action/{name}.txt"] = text_of(person for person, _ in people)
        for known in ACTIONS:
            files[f"ImageSets/Action/{known}_{name}.txt"] = text_of(
                f"{person} {1 if action == known else -1:2d}" for person, action in people
            )
    return files


def _withheld(objects: Drawn, people: Drawn) -> dict:
    """Labels by class and image, and by action and image with the person's place."""
    persons = [
        (f"{picture.name} {place}", action)
        for picture, scene in people
        for place, action in people_of(scene)
    ]
    return {
        "classification": {
            known: {picture.name: label(scene, known) for picture, scene in objects}
            for known in VOC_CLASSES
        },
        "action": {
            known: {person: 1 if action == known else -1 for person, action in persons}
            for known in ACTIONS
        },
    }


Content = str | int | list[tuple[str, "Content"]]


def _xml(tag: str, content: Content, depth: int = 0) -> str:
    """An element, indented by tabs as VOC's are: text, or a list of elements."""
    indent = "\t" * depth
    if not isinstance(content, list):
        return f"{indent}<{tag}>{content}</{tag}>\n"
    inside = "".join(_xml(name, value, depth + 1) for name, value in content)
    return f"{indent}<{tag}>\n{inside}{indent}</{tag}>\n"


def _annotation_2007(name: str, scene: Scene) -> bytes:
    objects: list[tuple[str, Content]] = [
        (
            "object",
            [
                ("name", sight.name),
                ("pose", "Unspecified"),
                ("truncated", int(sight.truncated)),
                ("difficult", int(sight.difficult)),
                ("bndbox", _corners(sight)),
            ],
        )
        for sight in scene.sights
    ]
    told: list[tuple[str, Content]] = [
        ("folder", "VOC2007"),
        ("filename", f"{name}.jpg"),
        ("source", [*_source(2007)[::-1], ("image", "drawing"), ("flickrid", "0")]),
        ("owner", [("flickrid", "nobody"), ("name", "?")]),
        ("size", _size(scene)),
        ("segmented", 0),
    ]
    return _xml("annotation", told + objects).encode()


def _annotation_2012(name: str, scene: Scene) -> bytes:
    objects: list[tuple[str, Content]] = [
        (
            "object",
            [
                ("name", sight.name),
                ("pose", "Unspecified"),
                ("truncated", int(sight.truncated)),
                ("occluded", int(sight.occluded)),
                ("bndbox", _corners(sight)),
                ("difficult", int(sight.difficult)),
            ],
        )
        for sight in scene.sights
    ]
    told: list[tuple[str, Content]] = [
        ("folder", "VOC2012"),
        ("filename", f"{name}.jpg"),
        ("source", [*_source(2008)[::-1], ("image", "drawing")]),
        ("size", _size(scene)),
        ("segmented", 0),
    ]
    return _xml("annotation", told + objects).encode()


def _annotation_of_actions(name: str, scene: Scene) -> bytes:
    """In these files everything is in alphabetical order but an object's name."""
    return _people_annotation(name, scene, with_actions=True)


def _annotation_of_boxes(name: str, scene: Scene) -> bytes:
    """The same without actions."""
    return _people_annotation(name, scene, with_actions=False)


def _people_annotation(name: str, scene: Scene, with_actions: bool) -> bytes:
    told: list[tuple[str, Content]] = [("filename", f"{name}.jpg"), ("folder", "VOC2012")]
    for sight in scene.sights:
        xmin, ymin, xmax, ymax = sight.box
        parts: list[tuple[str, Content]] = [("name", sight.name)]
        if sight.action and with_actions:
            parts.append(("actions", [(a, int(a == sight.action)) for a in _TOLD_ACTIONS]))
        parts += [
            ("bndbox", sorted(_corners(sight))),
            ("difficult", int(sight.difficult)),
            ("pose", "Unspecified"),
            ("point", [("x", (xmin + xmax + 1) // 2), ("y", (ymin + ymax + 1) // 2)]),
        ]
        told.append(("object", parts))
    told += [
        ("segmented", 0),
        ("size", sorted(_size(scene))),
        ("source", [*_source(2010), ("image", "drawing")]),
    ]
    return _xml("annotation", told).encode()


def _corners(sight: Sight) -> list[tuple[str, Content]]:
    """The first and the last pixel, counted from 1."""
    xmin, ymin, xmax, ymax = sight.box
    return [("xmin", xmin + 1), ("ymin", ymin + 1), ("xmax", xmax), ("ymax", ymax)]


def _size(scene: Scene) -> list[tuple[str, Content]]:
    return [("width", scene.width), ("height", scene.height), ("depth", 3)]


def _source(year: int) -> list[tuple[str, Content]]:
    return [("annotation", f"PASCAL VOC{year}"), ("database", f"The VOC{year} Database")]
