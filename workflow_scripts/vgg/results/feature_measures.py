"""How good classifiers of descriptors are on another data set: its measure, and its noise."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..core.checksums import cure
from ..core.files import InputError
from ..data.examples import Examples, read_examples
from ..settings.transferred_rows import MAP, VALIDATION_MAP, measure_of
from ..transfer.average_precision import mean_average_precision
from ..transfer.intervals import (
    Difference,
    Interval,
    map_difference,
    map_interval,
    recall_difference,
    recall_interval,
)
from ..transfer.recall import Predicted, SplitRecalls, over_splits, predicted_classes
from ..transfer.scores import Tested, read_scores, read_told


@dataclass(frozen=True)
class Measure:
    """What is measured on a data set: by classifiers' scores on its test or validation examples.

    examples: the data set's. definition: of average precision; None for recall. part: "test", or
    "val" for the validation examples. seed: the bootstrap's.
    """

    examples: Examples
    definition: str | None
    part: str
    seed: int

    @property
    def labels(self) -> np.ndarray:
        """Each example's class, int64 [examples], of a data set of one class an image."""
        return self.examples.labels.argmax(1)

    def tested(self) -> np.ndarray:
        """Places of the examples that average precision is measured on, int64 [tested]."""
        own = self.examples
        return np.flatnonzero((np.array(own.parts) == self.part) & own.known)

    def without_positives(self) -> list[str]:
        """Classes that count and that no tested example is of: the mean leaves them out."""
        labels = self.examples.labels[self.tested()]
        empty = self.examples.scored & ~(labels == 1).any(0)
        return [self.examples.classes[place] for place in np.flatnonzero(empty)]

    def interval(self, system: Sequence[list[Tested]]) -> Interval:
        """The measure of a system, the files of its seeds, with its 95% interval."""
        if self.definition is None:
            return recall_interval(
                [self.splits(of_seed) for of_seed in system], self.labels, self.seed
            )
        return map_interval([self.scores(of_seed) for of_seed in system], *self._facts())

    def difference(
        self, candidate: Sequence[list[Tested]], baseline: Sequence[list[Tested]]
    ) -> Difference:
        """Candidate's measure minus baseline's, on the same resampled images."""
        if self.definition is None:
            one, other = ([self.splits(own) for own in side] for side in (candidate, baseline))
            return recall_difference(one, other, self.labels, self.seed)
        these, those = ([self.scores(own) for own in side] for side in (candidate, baseline))
        return map_difference(these, those, *self._facts())

    def per_class(self, of_seed: list[Tested]) -> list[float | None]:
        """The measure of each class in percent; the mean over splits, None where there is none."""
        if self.definition is None:
            found = np.array(self.over_splits(of_seed).per_class, float)
            known = ~np.isnan(found)
            sums, counts = np.where(known, found, 0).sum(0), known.sum(0)
            return [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]
        places, own = self.tested(), self.examples
        return mean_average_precision(
            self.scores(of_seed), own.labels[places], self.definition, own.scored
        )[1]

    def over_splits(self, of_seed: list[Tested]) -> SplitRecalls:
        """The mean class recalls on the random splits of one seed's classifiers."""
        return over_splits(self.splits(of_seed), self.labels, len(self.examples.classes))

    def count(self, of_seed: list[Tested]) -> int:
        """The number of examples that the measure is of; of several splits, each once."""
        if self.definition is not None:
            return len(self.tested())
        return len(np.unique(np.concatenate([places for places, _ in self.splits(of_seed)])))

    def splits(self, of_seed: list[Tested]) -> list[Predicted]:
        """Test places and predicted classes of each random split."""
        place_of = {name: place for place, name in enumerate(self.examples.ids)}
        return [
            (np.array([place_of[name] for name in own.ids]), predicted_classes(own.scores))
            for own in of_seed
        ]

    def scores(self, of_seed: list[Tested]) -> np.ndarray:
        """The scores of all tested examples, float32 [tested, classes], in their order."""
        (own,) = (own for own in of_seed if own.part == self.part)
        wanted = [self.examples.ids[place] for place in self.tested()]
        row_of = {name: row for row, name in enumerate(own.ids)}
        return own.scores[[row_of[name] for name in wanted]]

    def _facts(self) -> tuple:
        """The arguments of `map_interval` that are the data set's own."""
        own, places = self.examples, self.tested()
        assert self.definition is not None
        return own.labels[places], own.images[places], self.definition, own.scored, self.seed


FACTS = {"title", "average_precision", "Q", "scale_pooling"}  # of each data set, at least


def data_sets_of(text: str) -> dict[str, dict]:
    """Data sets in JSON, as `Measures` takes them, for argparse, which tells of any other text."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("expected data sets by name")
    for name, entry in found.items():
        facts = entry if isinstance(entry, dict) else {}
        wanted = FACTS | ({"test"} if facts.get("average_precision") else set())
        if missing := sorted(wanted - facts.keys()):
            raise argparse.ArgumentTypeError(f"{name}: lacks {', '.join(missing)}")
    return found


class Measures:
    """The measures of all data sets of a run, and the scores that it has read.

    results: the experiment's folder. data_sets: those of the run by name, each with its `title`,
    `average_precision`, the definition that it is measured by, or None for recall, `test`, whether
    its test set is "labelled", "withheld" or "absent" where organisers have drawn one,
    `background`, the class of other things, if it has one, `Q` and `scale_pooling`. seed: the
    bootstrap's.
    """

    def __init__(self, results: str | Path, data_sets: Mapping[str, dict], seed: int):
        self.results, self.data_sets, self.seed = results, data_sets, seed
        self._examples = cache(read_examples)
        self._scores = cache(read_scores)

    def of(self, metric: str) -> Measure:
        """The measure that a metric such as map_voc2007 is."""
        kind, data_set = measure_of(metric)
        examples = self._examples(f"{self.results}/examples/{data_set}.parquet")
        definition = self.data_sets[data_set]["average_precision"]
        part = "val" if kind == VALIDATION_MAP else "test"
        return Measure(examples, definition, part, self.seed)

    def has(self, metric: str) -> bool:
        """True if the run measures a metric: on labels that are at hand."""
        kind, data_set = measure_of(metric)
        entry = self.data_sets.get(data_set)
        return entry is not None and (kind != MAP or entry["test"] == "labelled")

    def read(self, path: str, examples: Examples) -> list[Tested]:
        """The scores of a file.

        Raises InputError unless they are of these examples and classes, and of all known examples
        of the organisers' validation and test parts.
        """
        found = self._scores(path)
        if read_told(path)["classes"] != examples.classes:
            raise InputError(f"{path}: is of other classes than the data set. {cure(path)}")
        known = set(examples.ids)
        for own in found:
            if strange := next((name for name in own.ids if name not in known), None):
                raise InputError(
                    f"{path}: has a score of {strange}, which is none of the data set's examples. "
                    f"{cure(path)}"
                )
        scored = {name for own in found for name in own.ids}
        columns = zip(examples.ids, examples.parts, examples.known, strict=True)
        wanted = [name for name, part, known in columns if known and part in ("val", "test")]
        if missing := next((name for name in wanted if name not in scored), None):
            raise InputError(f"{path}: has no score of {missing}. {cure(path)}")
        return found
