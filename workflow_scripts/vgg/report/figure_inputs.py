"""What the drawings are made from: histories of trainings, and errors of single evaluations.

Light on imports: the rules ask here which figures there will be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from ..core.files import InputError
from ..core.text_artefacts import read_csv

T = TypeVar("T")

METRICS = ("top1", "top5")
FIELDS = ("", "_low", "_high", "_paper")  # what a metric's columns in evaluations.csv end in


@dataclass(frozen=True)
class Point:
    """A validation of a training; an error or loss that was not measured is NaN.

    top1, top5: validation errors in percent. loss: mean training loss since the point before.
    rate: the learning rate until this point.
    """

    iteration: int
    rate: float
    loss: float
    top1: float
    top5: float


@dataclass(frozen=True)
class History:
    """The points of one training, in order. seed: None for the first of a run's seeds."""

    model: str
    seed: int | None
    points: list[Point]

    def measured(self, quantity: str) -> list[tuple[int, float]]:
        """(iteration, value) wherever "loss", "top1" or "top5" was measured."""
        values = ((point.iteration, getattr(point, quantity)) for point in self.points)
        return [(iteration, value) for iteration, value in values if math.isfinite(value)]

    @property
    def drops(self) -> list[tuple[int, float]]:
        """Iterations after which the learning rate is another, and that rate (§3.1).

        It changes at validations only, so a rate that is new at one point holds since the last.
        """
        pairs = pairwise(self.points)
        return [(last.iteration, new.rate) for last, new in pairs if new.rate != last.rate]


@dataclass(frozen=True)
class Errors:
    """An error in percent, its 95% interval, and the paper's error or None."""

    error: float
    low: float
    high: float
    paper: float | None


@dataclass(frozen=True)
class Measured:
    """A model tested by one method at one Q: a line of evaluations.csv.

    S: smallest and largest. seeds: number of trainings that the errors are means of.
    """

    model: str
    net: str
    weight_layers: int
    S: tuple[int, int]
    method: str
    Q: int
    seeds: int
    top1: Errors
    top5: Errors

    @property
    def at_single_scale(self) -> bool:
        """Whether this is dense evaluation at Q = S, in the middle of jittered S (§4.1)."""
        return self.method == "dense" and abs(self.Q - sum(self.S) / 2) <= 0.5


def read_history(path: str | Path) -> History:
    """A training's history; its folder names the seed, as in seed1/history/A_S256.csv.

    Raises InputError if the file is missing, lacks columns or has other things than numbers.
    """
    columns = {"iteration", "learning_rate", "train_loss", "val_top1_error", "val_top5_error"}
    seed = re.fullmatch(r"seed(\d+)", Path(path).absolute().parent.parent.name)
    points = _parsed(path, columns, _point)
    return History(Path(path).stem, int(seed[1]) if seed else None, points)


def read_evaluations(path: str | Path) -> list[Measured]:
    """The lines of evaluations.csv. Raises InputError as `read_history` does."""
    columns = {"model", "net", "weight_layers", "S", "method", "Q", "seeds"}
    errors = {metric + field for metric in METRICS for field in FIELDS}
    return _parsed(path, columns | errors, _measured)


def at_several_scales(evaluations: Iterable) -> list[str]:
    """The models, in order, that one method tested at more than one scale.

    evaluations: anything with `model`, `method` and `Q`.
    """
    scales: dict[tuple[str, str], set[int]] = {}
    for evaluation in evaluations:
        scales.setdefault((evaluation.model, evaluation.method), set()).add(evaluation.Q)
    return list(dict.fromkeys(model for (model, _), own in scales.items() if len(own) > 1))


def _point(row: dict[str, str]) -> Point:
    return Point(
        iteration=int(row["iteration"]),
        rate=float(row["learning_rate"]),
        loss=_number(row["train_loss"], missing=math.nan),
        top1=_number(row["val_top1_error"], missing=math.nan),
        top5=_number(row["val_top5_error"], missing=math.nan),
    )


def _measured(row: dict[str, str]) -> Measured:
    scales = [int(side) for side in row["S"].split("-")]
    errors = {}
    for metric in METRICS:
        *measured, paper = (row[metric + field] for field in FIELDS)
        errors[metric] = Errors(*map(float, measured), _number(paper, missing=None))
    return Measured(
        model=row["model"],
        net=row["net"],
        weight_layers=int(row["weight_layers"]),
        S=(scales[0], scales[-1]),
        method=row["method"],
        Q=int(row["Q"]),
        seeds=int(row["seeds"]),
        **errors,
    )


def _number(text: str, missing: float | None) -> float | None:
    return missing if text == "" else float(text)


def _parsed(path: str | Path, columns: Collection[str], parse: Callable[[dict], T]) -> list[T]:
    """What `parse` makes of each line of a CSV file. Raises InputError naming file and line."""
    parsed = []
    for number, row in enumerate(read_csv(path, columns), start=2):
        try:
            parsed.append(parse(row))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}, line {number}: {error}; make the file anew") from None
    return parsed
