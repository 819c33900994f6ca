"""Where data sets are obtained, by the names of their archives."""

from __future__ import annotations

import re
from pathlib import Path

ILSVRC = (
    "ILSVRC-2012 is distributed by https://image-net.org/download after registration; "
    "put its archives into the folder that `data.directory` names in the configuration"
)
VOC = (
    "PASCAL VOC is distributed by http://host.robots.ox.ac.uk/pascal/VOC; when that does not "
    "answer, mirrors have archives of the same MD5 sums, but VOC2012test.tar is the evaluation "
    "server's alone, after registration"
)
CALTECH = (
    "Caltech-101 and Caltech-256 are distributed by https://data.caltech.edu; when that does not "
    "answer, mirrors have archives of the same MD5 sums"
)
UNKNOWN = "Get it, or correct its folder or its name in the configuration"

BEGINNINGS = {
    r"ILSVRC|LOC_": ILSVRC,
    r"VOC": VOC,
    r"caltech|(101|256)_ObjectCategories": CALTECH,
}  # of the names that the organisers gave to their files


def where_to_get(path: str | Path) -> str:
    """Where an archive is obtained, as far as its name tells whose it is."""
    name = Path(path).name
    words = (own for start, own in BEGINNINGS.items() if re.match(start, name, re.IGNORECASE))
    return next(words, UNKNOWN)
