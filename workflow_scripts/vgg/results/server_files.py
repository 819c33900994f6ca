"""Files of scores for PASCAL VOC's evaluation server, which keeps the test sets' labels."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.files import InputError, whole_file
from ..data.examples import Examples
from ..transfer.scores import Tested

# Competitions for systems that have learned from other images than VOC's, as nets of ILSVRC have.
OF_IMAGES = "Main/comp2_cls_test_{}.txt"
OF_PERSONS = "Action/comp10_action_test_{}.txt"


def write_server_file(
    path: str | Path, tested: Sequence[Tested], examples: Examples, folder: str
) -> None:
    """Write the scores of all test examples, a text file for each class that counts.

    People whom the list of an action leaves out are not in its file: the devkit's example writes a
    line for each line of the list, and its evaluation knows no others.

    folder: of the year, in results/, such as VOC2012. Scores are written without an exponent, which
    the server's checker does not read, in all digits that tell them apart; every line ends with a
    line break.
    Raises InputError if there are no test examples, or one has no score.
    """
    found = {name: row for own in tested if own.part == "test"
             for name, row in zip(own.ids, own.scores, strict=True)}  # fmt: skip
    tests = np.flatnonzero(np.array(examples.parts) == "test")
    wanted = [examples.ids[place] for place in tests]
    if not wanted:
        raise InputError(
            f"{path}: the data set has no test examples that its organisers have drawn, so that no "
            "server waits for their scores"
        )
    if missing := next((name for name in wanted if name not in found), None):
        raise InputError(
            f"{path}: there is no score of {missing}, but the server wants one for each of "
            f"{len(wanted)} test examples. Train the classifiers again"
        )
    form, shown = OF_IMAGES, wanted
    if examples.boxes is not None:
        form, shown = OF_PERSONS, [" ".join(name.rsplit(":", 1)) for name in wanted]
    scores = np.stack([found[name] for name in wanted])
    listed = np.ones(scores.shape, bool) if examples.listed is None else examples.listed[tests]
    with (
        whole_file(path) as temporary,
        open(temporary, "wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for column, of_class in enumerate(examples.classes):
            if examples.scored[column]:
                lines = [
                    f"{shown[row]} {np.format_float_positional(scores[row, column], trim='0')}\n"
                    for row in np.flatnonzero(listed[:, column])
                ]
                _add(archive, f"results/{folder}/{form.format(of_class)}", "".join(lines).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
