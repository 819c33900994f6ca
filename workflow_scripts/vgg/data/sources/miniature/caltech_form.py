"""Write drawn stand-ins of Caltech-101 and Caltech-256 as their archives, strays and all."""

from __future__ import annotations

from pathlib import Path

from .containers import gzip_of, tar_of, write_bytes, zip_of
from .other_images import BACKGROUND, Drawn

CALTECH101 = "caltech-101.zip"
CALTECH256 = "256_ObjectCategories.tar"

_README = b"""A stand-in of Caltech-101: all images are drawings made by
workflow_scripts/make_other_sets.py; none comes from Caltech. There are no annotations.
"""
_SHOW = b"% show_annotation.m: a stand-in, since there are no annotations\n"
_RESOURCES = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "  # as a Mac's zip has beside files
_NO_IMAGE = b"This is no image: Caltech's archives have such a file here, too.\n"


def write_caltech101(path: Path, images: Drawn) -> None:
    """A zip of a compressed tar and some things beside it."""
    files = {f"{p.part}/{p.name}.jpg": scene.jpeg for p, scene in images}
    files[f"{BACKGROUND}/tmp"] = _NO_IMAGE
    inside = {
        "101_ObjectCategories.tar.gz": gzip_of(tar_of(files, "101_ObjectCategories")),
        "Annotations.tar": tar_of({"readme.txt": _README}, "Annotations"),
        "show_annotation.m": _SHOW,
    }
    entries = {"caltech-101/": b""}
    for name, content in inside.items():
        entries[f"caltech-101/{name}"] = content
        entries[f"__MACOSX/caltech-101/._{name}"] = _RESOURCES
    write_bytes(path, zip_of(entries))


def write_caltech256(path: Path, images: Drawn) -> None:
    files = {f"{p.part}/{p.name}.jpg": scene.jpeg for p, scene in images}
    files["056.dog/greg/vision309/"] = b""
    files["198.spider/RENAME2"] = _NO_IMAGE
    write_bytes(path, tar_of(files, "256_ObjectCategories"))
