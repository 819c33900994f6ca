"""A number of a table: an error as this run measured it, beside the paper's, and its origin."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .uncertainty import mean_interval, wilson


@dataclass(frozen=True)
class ErrorCell:
    """An error in percent with its 95% interval, the paper's, and their difference in points.

    low, high: the interval over test images. errors: wrong images, of one seed only; images: all.
    paper: the paper's error, or another reference. entered: the test server answered it. bold: the
    paper prints it so. seeds: number of trainings, of whose errors, `per_seed`, `measured` is the
    mean and `seed_sd` the sample standard deviation. None where nothing is known.
    """

    measured: float | None = None
    low: float | None = None
    high: float | None = None
    errors: int | None = None
    images: int | None = None
    paper: float | None = None
    difference: float | None = None
    entered: bool = False
    bold: bool = False
    seeds: int | None = None
    seed_sd: float | None = None
    per_seed: list[float] | None = None


@dataclass(frozen=True)
class EvaluationOrigin:
    """Where posteriors behind a cell came from: their file and place, and what it says of itself.

    seed: of the training; None if the weights were imported. code, training_code: fingerprints of
    the code that evaluated and trained. training: what is known of the training, or None.
    """

    posteriors: str
    split: str
    seed: int | None
    model: str
    method: str
    Q: int
    weights_sha256: str
    iterations: int | None
    imported: dict | None
    code: str
    training_code: str
    choices: dict
    hardware: str
    node: str | None
    precision: str | None
    training: dict | None


CELL_KEYS = tuple(field.name for field in fields(ErrorCell))
ORIGIN_KEYS = tuple(field.name for field in fields(EvaluationOrigin))


def measured_cell(wrong: np.ndarray, paper: float | None) -> ErrorCell:
    """The error of outcomes, bool [seeds, images]: the mean over the seeds.

    Its interval is test-set noise; how seeds differ stands beside it.
    """
    seeds, images = wrong.shape
    per_seed = [100 * int(errors) / images for errors in wrong.sum(1)]
    measured = per_seed[0] if seeds == 1 else float(np.mean(per_seed))
    low, high = mean_interval(wrong)
    return ErrorCell(
        measured=measured,
        low=low,
        high=high,
        errors=int(wrong.sum()) if seeds == 1 else None,
        images=images,
        paper=paper,
        difference=_difference(measured, paper),
        seeds=seeds,
        seed_sd=float(np.std(per_seed, ddof=1)) if seeds > 1 else None,
        per_seed=per_seed,
    )


def entered_cell(error: float, images: int, paper: float | None) -> ErrorCell:
    """An error in percent that the test server answered, for a set of `images`."""
    errors = round(error * images / 100)
    low, high = wilson(errors, images)
    return ErrorCell(
        measured=float(error),
        low=low,
        high=high,
        errors=errors,
        images=images,
        paper=paper,
        difference=_difference(float(error), paper),
        entered=True,
    )


def _difference(measured: float, paper: float | None) -> float | None:
    return None if paper is None else measured - paper
