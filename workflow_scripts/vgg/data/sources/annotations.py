"""What is annotated of images: the objects of PASCAL VOC's XMLs, or of Kaggle's lists of boxes."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

from ...core.files import InputError
from ..truth import CORNERS
from . import kaggle
from .small_files import files_of

MOST = 2**31 - 1


class Annotation(NamedTuple):
    """What is said of one image.

    where: what an error calls it. names: of the objects. boxes: their corners, four numbers each.
    sides: width and height, 0 where they are not told. kinds: what is odd, of the KINDS in
    bounding_boxes.py.
    """

    where: str
    id: str
    names: list[str]
    boxes: list[float]
    sides: tuple[int, int]
    kinds: list[str]


def annotations_of(
    source: str | Path, wanted: Container[str] | None = None
) -> Iterator[Annotation]:
    """Those of an archive or a folder of XMLs, or of one of LOC_*_solution.csv.

    wanted: ids of images; what is said of others is not looked at.
    Raises InputError for what is none.
    """
    if Path(source).suffix.lower() == ".csv":
        for where, name, words in kaggle.solution_lines(source):
            if wanted is not None and name not in wanted:
                continue
            if len(words) % 5:
                raise InputError(f"{where}: expected a WNID and four numbers for each box")
            boxes = [_number(word, where) for place, word in enumerate(words) if place % 5]
            yield Annotation(where, name, words[::5], boxes, (0, 0), [])
        return
    for where, name, content in files_of(source):
        file = PurePosixPath(name)
        if file.suffix.lower() != ".xml":
            raise InputError(
                f"{where}: is no XML by its name; an archive or a folder of ILSVRC's bounding "
                "boxes holds nothing else"
            )
        if wanted is None or file.stem in wanted:
            yield of_xml(where, file.stem, content)


def of_xml(where: str, name: str, content: bytes) -> Annotation:
    """An XML's annotation of the image `name`; raises InputError, which `where` begins."""
    try:
        root = ElementTree.fromstring(content)  # which follows no external entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{where}: is no readable XML ({error}); download it again") from error
    objects = root.findall("object")
    if not objects:
        raise InputError(f"{where}: has no <object>, so no box; download it again, or remove it")
    told = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    sides = [_number(text or "0", where) for text in told]
    if not all(0 <= side <= MOST for side in sides):
        raise InputError(f"{where}: its <size> is {sides[0]:g}×{sides[1]:g}; correct it")
    width, height = map(int, sides)
    kinds = [] if width and height else ["no-size"]
    called = (root.findtext("filename") or name).strip().removesuffix(".JPEG")
    if called != name:
        kinds.append("percent-s-filename" if called == "%s" else "other-filename")
    return Annotation(
        where,
        name,
        [(thing.findtext("name") or "").strip() for thing in objects],
        [_number(t.findtext(f"bndbox/{corner}"), where) for t in objects for corner in CORNERS],
        (width, height) if width and height else (0, 0),
        kinds,
    )


def _number(text: str | None, where: str) -> float:
    try:
        if math.isfinite(number := float(text or "")):
            return number
    except ValueError:
        pass
    raise InputError(f"{where}: a box or a size has {(text or '')[:40]!r} for a number; correct it")
