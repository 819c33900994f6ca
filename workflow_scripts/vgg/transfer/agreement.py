"""Whether files of descriptors may be put together: made in the same way, of the same images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.declarations import choices_of
from ..core.files import InputError
from ..core.parquet import opened
from .regions import BoxReading

MADE_BY = ("pooling", "feature_l2")  # what files say beside their choices of how they were made
AGAIN = "describe the images of one of them anew, so that all are made in the same way"


def check_agreement(told: Mapping[str, dict]) -> None:
    """Raise InputError unless files of descriptors are made by the same choices of the same images.

    told: what each file says of itself, by its path, as `read_metadata` gives it. Choices that a
    person's box alone is read by, such as `action_box`, are compared among files of boxes.
    Rows need not be in one order, since descriptors are found by their names.
    """
    first: dict[str, tuple[str, object]] = {}
    for path, said in told.items():
        for key, value in _made_by(said):
            other, expected = first.setdefault(key, (path, value))
            if value != expected:
                raise InputError(
                    f"{path}: was made with {key}: {_word(value)}, but {other} with "
                    f"{_word(expected)}; {AGAIN}"
                )
    images: dict[str, tuple[str, set[str]]] = {}
    for path, said in told.items():
        found = _names(path)
        other, known = images.setdefault(str(said.get("method")), (path, found))
        if differing := found ^ known:
            name = min(differing)
            what = "which has" if name in known else "which lacks"
            raise InputError(
                f"{path}: is of other images than {other}, {what} {name}; describe both from the "
                "same shards"
            )


def _made_by(said: Mapping) -> Iterator[tuple[str, object]]:
    """All that files must agree on, by name."""
    of_boxes = choices_of(BoxReading)
    for name, value in (said.get("choices") or {}).items():
        if said.get("method") == "box" or name not in of_boxes:
            yield name, value
    yield from ((name, said.get(name)) for name in MADE_BY)


def _names(path: str | Path) -> set[str]:
    """What a file describes. Its rows are verified when they are read for good."""
    with opened(path, whole=False) as file:
        if "id" not in file.schema_arrow.names:
            raise InputError(f"{path}: has no column id; is it a file of descriptors?")
        return set(file.read(["id"])["id"].to_pylist())


def _word(value: object) -> str:
    return "nothing" if value is None else str(value)
