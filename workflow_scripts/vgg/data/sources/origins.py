"""Where data sets are obtained, by the names of their archives."""

from __future__ import annotations

import re
from pathlib import Path

ILSVRC = (
    "ILSVRC-2012 is distributed by https://image-net.org/download after registration; "
    "put its archives into the folder that `data.directory` names in the configuration"
)
VOC = (
    "PASCAL VOC is distributed by http://host.robots.ox.ac.uk/pascal/VOC, or, when that does not "
    "answer, by mirrors, whose archives have the same MD5 sums (VOC2012test.tar by its evaluation "
    "server alone, after registration); give its archives, such as VOCtrainval_06-Nov-2007.tar "
    "and VOCtest_06-Nov-2007.tar, or a folder VOCdevkit"
)
CALTECH = (
    "Caltech-101 and Caltech-256 are distributed by https://data.caltech.edu, or by mirrors, whose "
    "archives have the same MD5 sums; give caltech-101.zip, 101_ObjectCategories.tar.gz, "
    "256_ObjectCategories.tar, or a folder with one folder a class"
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
