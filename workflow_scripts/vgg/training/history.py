"""A training's history: its iterations, and its validations with their file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..core.files import InputError
from ..core.text_artefacts import read_csv, write_csv


class Iteration(NamedTuple):
    """An iteration of SGD, the first being 1.

    loss: mean over the batch of all processes, in nats. time: when it was done, in seconds since
    1970.
    """

    iteration: int
    learning_rate: float
    loss: float
    time: float


@dataclass(frozen=True)
class Validation:
    """A line of a history, whose columns have the fields' names.

    iteration: of SGD, the first being 1.
    epoch: passes over the training set until then, in part too.
    learning_rate: until this line.
    train_loss: mean over the samples since the line before, in nats.
    val_top1_error, val_top5_error: in percent.
    images_per_second: of training, of all processes together.
    val_gtloc_error: of a net of boxes, which has no other, in percent (appendix A, central crop).

    An error, loss or speed that was not measured is NaN.
    """

    iteration: int
    epoch: float
    learning_rate: float
    train_loss: float
    val_top1_error: float = math.nan
    val_top5_error: float = math.nan
    images_per_second: float = math.nan
    val_gtloc_error: float = math.nan


OF_BOXES = "val_gtloc_error"  # a column that histories of classifiers lack
COLUMNS = tuple(field.name for field in fields(Validation) if field.name != OF_BOXES)


@dataclass(frozen=True)
class History:
    """The lines of one training, in order. seed: None for the first of a run's seeds."""

    model: str
    seed: int | None
    lines: Sequence[Validation]

    def measured(self, column: str) -> list[tuple[int, float]]:
        """(iteration, value) wherever a column was measured."""
        values = ((line.iteration, getattr(line, column)) for line in self.lines)
        return [(iteration, value) for iteration, value in values if math.isfinite(value)]

    @property
    def drops(self) -> list[tuple[int, float]]:
        """Iterations after which the learning rate is another, and that rate (§3.1).

        It changes at validations only, so a rate that is new in one line holds since the last.
        """
        pairs = pairwise(self.lines)
        return [
            (last.iteration, new.learning_rate)
            for last, new in pairs
            if new.learning_rate != last.learning_rate
        ]


def write_history(path: str | Path, lines: Sequence[Validation]) -> None:
    """Write the lines of a training as CSV."""
    of_boxes = [OF_BOXES] if any(math.isfinite(line.val_gtloc_error) for line in lines) else []
    rows = [
        {name: None if math.isnan(value) else value for name, value in asdict(line).items()}
        for line in lines
    ]
    write_csv(path, rows, [*COLUMNS, *of_boxes])


def read_history(path: str | Path) -> History:
    """A training's history; its folder names the seed, as in seed1/history/A_S256.csv.

    Raises InputError if the file is missing, lacks columns or has other things than numbers.
    """
    lines = []
    for number, row in enumerate(read_csv(path, COLUMNS), start=2):
        try:
            given = [*COLUMNS[1:], *([OF_BOXES] if OF_BOXES in row else [])]
            values = {name: float(row[name]) if row[name] else math.nan for name in given}
            lines.append(Validation(int(row["iteration"]), **values))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}; make the file anew") from None
    seed = re.fullmatch(r"seed(\d+)", Path(path).absolute().parent.parent.name)
    return History(Path(path).stem, int(seed[1]) if seed else None, lines)
