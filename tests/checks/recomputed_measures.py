"""From classifiers' scores to measures: appendix B's, with their noise, for recomputed.py.

Nothing of the pipeline's code is used, only numpy, pandas and what Parquet files say of themselves.
The bootstrap draws images of its own, so that an end of the pipeline's interval, or its p, is
held against where as many of its draws as it has may put it.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

KINDS = ("map", "mapval", "recall")
DRAWS = 4000  # of ours
THEIRS = 2000
APART = 5  # standard deviations of where both together may put a percentile, or a share
TIE = 1e-9  # points; a difference nearer to 0 is none


def is_measure(metric: str) -> bool:
    """Whether a metric is of features on another data set, higher is better."""
    return metric.partition("_")[0] in KINDS


class Measured(NamedTuple):
    """A measure in percent. per_seed: float [seeds]. draws: on our resamples, mean over seeds.

    images: that were tested. split_sd: over the first seed's random splits. per_class: its classes.
    """

    per_seed: np.ndarray
    draws: np.ndarray
    images: int
    split_sd: float | None
    per_class: list[float]


class OtherSet(NamedTuple):
    """The examples of another data set. columns: of the classes that count."""

    examples: pd.DataFrame
    columns: list[int]

    @classmethod
    def read(cls, path: Path) -> OtherSet:
        told = pq.read_metadata(path).metadata
        scored = json.loads(told[b"scored"])
        examples = pd.read_parquet(path).set_index("id")
        return cls(examples, [column for column, counts in enumerate(scored) if counts])


# Average precision, and recall, of resamples: weights say how often each has each example


def average_precisions(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, definition: str
) -> np.ndarray:
    """A class's, float [resamples] in percent; NaN without a positive. weights: [resamples, …]."""
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    order = order[labels[order] != 0]
    drawn = weights[:, order]
    right = (drawn * (labels[order] == 1)).cumsum(1)
    listed = drawn.cumsum(1)
    precision = np.divide(right, listed, out=np.zeros(drawn.shape), where=listed > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # here or further down
    positives = right[:, -1:]
    if definition == "eleven-point":
        first = np.stack([(10 * right < t * positives).sum(1) for t in range(11)], axis=1)
        found = np.take_along_axis(best, first, axis=1).mean(1)
    else:
        steps = np.diff(right, axis=1, prepend=0)
        found = (steps * best).sum(1) / np.maximum(positives[:, 0], 1)
    return np.where(positives[:, 0] > 0, 100 * found, np.nan)


def recalls(right: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Each class's, float [classes, resamples] in percent; NaN where a class has no example."""
    found = []
    for label in np.unique(labels):
        own = weights[:, labels == label]
        with np.errstate(invalid="ignore"):
            found.append(100 * (own * right[labels == label]).sum(1) / own.sum(1))
    return np.stack(found)


class Measures:
    """The measures of a run's other data sets. entries: of the configuration, by name."""

    def __init__(self, results: Path, entries: dict[str, dict], average_precision: str):
        self.results, self.entries = results, entries
        self.choice = average_precision
        self.data = cache(lambda name: OtherSet.read(results / f"examples/{name}.parquet"))
        self.weights = cache(self._weights)

    def has(self, metric: str) -> bool:
        """Whether the labels are at hand."""
        kind, _, name = metric.partition("_")
        entry = self.entries.get(name)
        return bool(entry) and (kind != "map" or entry["test"] == "labelled")

    def definition(self, name: str) -> str | None:
        own = self.entries[name].get("average_precision")
        return own if own is None or self.choice == "years-own" else self.choice

    def tested(self, metric: str) -> pd.DataFrame:
        """The examples that a metric is of; of folders all, of which splits test some."""
        kind, _, name = metric.partition("_")
        examples = self.data(name).examples
        if kind == "recall":
            return examples
        part = "val" if kind == "mapval" else "test"
        return examples[(examples["part"] == part) & examples["known"]]

    def _weights(self, name: str, ids: tuple[str, ...], by_class: bool) -> np.ndarray:
        """How often each of our resamples has each of some examples, int [DRAWS, examples].

        All persons of an image come together. by_class: images are drawn within their class.
        """
        examples, draw = self.data(name).examples.loc[list(ids)], np.random.default_rng(987)
        groups = examples["image"].to_numpy()
        strata = np.stack(examples["labels"]).argmax(1) if by_class else np.zeros(len(ids), int)
        found = np.zeros((DRAWS, len(ids)), int)
        for stratum in np.unique(strata):
            places = np.flatnonzero(strata == stratum)
            images, place_of = np.unique(groups[places], return_inverse=True)
            drawn = draw.multinomial(len(images), np.full(len(images), 1 / len(images)), DRAWS)
            found[:, places] = drawn[:, place_of]
        return found

    def of(self, metric: str, paths: tuple[Path, ...]) -> Measured | None:
        """A measure of the classifiers in files of scores, one a seed; None if one is absent."""
        if not self.has(metric) or not all(path.is_file() for path in paths):
            return None
        of_seed = self._recall if metric.startswith("recall") else self._precision
        found = [of_seed(metric, path) for path in paths]
        return Measured(
            np.array([each.per_seed[0] for each in found]),
            np.mean([each.draws for each in found], axis=0),
            *found[0][2:],
        )

    def _precision(self, metric: str, path: Path) -> Measured:
        kind, _, name = metric.partition("_")
        examples, definition = self.tested(metric), self.definition(name)
        frame = pd.read_parquet(path)
        frame = frame[frame["part"] == ("val" if kind == "mapval" else "test")].set_index("id")
        scores = np.stack(frame.loc[examples.index, "scores"])
        labels = np.stack(examples["labels"])
        weights = self.weights(name, tuple(examples.index), False)
        of_classes, of_draws = [], []
        for column in self.data(name).columns:
            own = scores[:, column], labels[:, column]
            once = average_precisions(*own, np.ones((1, len(scores)), int), definition)
            if not np.isnan(once[0]):
                of_classes.append(float(once[0]))
                of_draws.append(average_precisions(*own, weights, definition))
        draws = np.nanmean(of_draws, axis=0)
        value = np.array([np.mean(of_classes)])
        return Measured(value, draws, len(examples), None, of_classes)

    def _recall(self, metric: str, path: Path) -> Measured:
        name = metric.partition("_")[2]
        frame = pd.read_parquet(path)
        ids = tuple(sorted(set(frame["id"])))
        place_of = {each: place for place, each in enumerate(ids)}
        every = self.weights(name, ids, True)
        of_splits, of_classes, of_draws = [], [], []
        for _, own in frame.groupby("split"):
            labels = np.stack(self.data(name).examples.loc[own["id"], "labels"]).argmax(1)
            right = np.stack(own["scores"]).argmax(1) == labels
            once = recalls(right, labels, np.ones((1, len(own)), int))[:, 0]
            of_splits.append(float(once.mean()))
            of_classes.append(dict(zip(np.unique(labels).tolist(), once.tolist(), strict=True)))
            weights = every[:, [place_of[each] for each in own["id"]]]
            of_draws.append(np.nanmean(recalls(right, labels, weights), axis=0))
        classes = sorted({label for own in of_classes for label in own})
        per_class = [np.mean([own[k] for own in of_classes if k in own]) for k in classes]
        spread = float(np.std(of_splits, ddof=1)) if len(of_splits) > 1 else None
        value, draws = np.array([np.mean(of_splits)]), np.mean(of_draws, axis=0)
        return Measured(value, draws, len(ids), spread, per_class)


# Where the pipeline's draws may put what ours say


def ends_of(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Between which values a percentile of the pipeline's resamples lies."""
    spread = APART * math.sqrt(level * (1 - level) * (1 / THEIRS + 1 / len(draws)))
    levels = [min(max(level + sign * spread, 0), 1) for sign in (-1, 1)]
    return tuple(np.quantile(draws[~np.isnan(draws)], levels).tolist())


def p_of(differences: np.ndarray) -> tuple[float, float]:
    """Between which values the pipeline's two-sided p of a difference lies."""
    share = min((differences <= TIE).mean(), (differences >= -TIE).mean())
    spread = APART * math.sqrt(max(share, 2 / THEIRS) * (1 / THEIRS + 1 / len(differences)))
    shares = max(share - spread, 0), share + spread
    return tuple(min(1.0, 2 * (THEIRS * each + 1) / (THEIRS + 1)) for each in shares)
