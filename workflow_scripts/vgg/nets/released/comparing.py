"""Whether a file's arrays are those of the net that is meant, and if not, what they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ...core.files import InputError
from .arrays import Stored
from .source_formats import COUNTED, SIGNS, Place


def compare(
    path: Path,
    source: str,
    arrays: Mapping[str, Stored],
    places: Mapping[str, Place],
    last: Collection[str],
    allowed: Collection[str] = (),
    of: str | None = None,
) -> None:
    """Raise InputError where the file's arrays are not those of the net, or else `allowed`.

    places: where the file has the net's parameters, by our names. last: names, in the file, of what
    has the shape of the classes that were asked for; none if any are taken. of: the net, if it is
    a library's.
    """
    meant = f"the file of {of}" if of else "the file of the configuration that the model has"
    net = f"another net is in it: give {meant}"
    files = f"files of {of}" if of else f"{source} files of this net"
    missing = [place.name for place in places.values() if place.name not in arrays]
    convs = {place.name for name, place in places.items() if name.startswith("features")}
    fcs = {place.name for place in places.values()} - convs
    if convs and set(arrays) in (convs, {name.removeprefix("features.") for name in convs}):
        raise InputError(
            f"{path}: holds the features without the classifier, which has {_some(sorted(fcs))}; "
            "get the file of the whole net (of Keras, the one without notop in its name)"
        )
    if missing:
        signs = {} if of else SIGNS
        sign = next((name for name, sign in signs.items() if sign in arrays), source)
        cure = net if sign == source else f"its names are those of the format {sign}: give that"
        raise InputError(
            f"{path}: lacks {_some(missing)}, which {files} have; it has {_some(arrays)}; {cure}"
        )
    for place in places.values():
        found = arrays[place.name].shape
        padding = 4 - len(place.shape)  # Caffe's first blobs always have four sides
        if found == place.shape or (source == "caffe" and found == (1,) * padding + place.shape):
            continue
        is_last = place.name in last
        cure = "its classes must be the data set's, in the same order" if is_last else net
        raise InputError(
            f"{path}: {place.name} has the shape {_shape(found)}, but {_shape(place.shape)} was "
            f"expected; {cure}"
        )
    known = {place.name for place in places.values()}
    counts = {f"{name.rpartition('.')[0]}.{COUNTED}" for name in known if "running_var" in name}
    extra = sorted(set(arrays) - known - counts - set(allowed))
    if extra:
        raise InputError(f"{path}: holds also {_some(extra)}, which {files} lack; {net}")


def _some(names: Collection[str]) -> str:
    """The first few of the names."""
    return ", ".join(list(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shape(sides: tuple[int, ...]) -> str:
    return " × ".join(map(str, sides)) or "a single number"
