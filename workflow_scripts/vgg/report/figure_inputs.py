"""Errors of single evaluations, from which figures are drawn.

Light on imports: the rules ask here which figures there will be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..core.files import InputError
from ..core.text_artefacts import read_csv

T = TypeVar("T")

METRICS = ("top1", "top5")
FIELDS = ("", "_low", "_high", "_paper")  # what a metric's columns in evaluations.csv end in


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


def read_evaluations(path: str | Path) -> list[Measured]:
    """The lines of evaluations.csv. Raises InputError as `training.history.read_history` does."""
    columns = {"model", "net", "weight_layers", "S", "method", "Q", "seeds"}
    errors = {metric + field for metric in METRICS for field in FIELDS}
    return _parsed(path, columns | errors, _measured)


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
