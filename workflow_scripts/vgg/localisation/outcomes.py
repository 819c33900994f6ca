"""Which images a file of guesses has wrong (appendix A, by ILSVRC's routine)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.checksums import checksum
from ..core.files import InputError
from .guesses import Guesses, read_guesses
from .scoring import Scoring, wrong
from .true_boxes import TrueBoxes, of_images


@dataclass(frozen=True)
class LocalisedOutcomes:
    """Whether each image was wrong, bool [images], in id order: those that are scored.

    images: checksum of their names; outcomes can be paired where it is the same.
    """

    wrong: np.ndarray
    images: int

    @property
    def gtloc(self) -> np.ndarray:
        """Of one guess with the true class."""
        return self.wrong

    @property
    def top5loc(self) -> np.ndarray:
        """Of five guesses."""
        return self.wrong


@dataclass(frozen=True)
class Scored:
    """The guesses that are scored, their images' true boxes, and which are wrong, bool [images]."""

    guesses: Guesses
    true: TrueBoxes
    wrong: np.ndarray


def localised_outcomes(
    guesses: str | Path, truth: str | Path, scoring: Scoring
) -> LocalisedOutcomes:
    """The outcomes of the guesses for a split, as for `scored`."""
    found = scored(guesses, truth, scoring)
    names = "\0".join(found.guesses.ids)
    return LocalisedOutcomes(found.wrong, checksum(names.encode()))


def scored(guesses: str | Path, truth: str | Path, scoring: Scoring) -> Scored:
    """The guesses for a split, scored by its true boxes.

    Images without a true box are not scored, nor blacklisted ones unless `scoring` keeps them.
    Raises InputError if a file is damaged, an image has no label, or none can be scored.
    """
    found = read_guesses(guesses)
    if found.labels.min() < 0:
        raise InputError(f"{guesses}: {found.ids[found.labels.argmin()]} has no label, so no error")
    true = of_images(truth, found.ids)
    places = np.flatnonzero(true.boxed & ~(true.blacklisted & (scoring.blacklisted == "left-out")))
    if not len(places):
        raise InputError(f"{truth}: no image of {guesses} has a true box")
    found, true = found.at(places), true.at(places)
    outcomes = wrong(
        found.labels,
        found.classes,
        found.boxes.astype(np.float64),
        true.starts,
        true.in_pixels(found.sizes),
        scoring,
    )
    return Scored(found, true, outcomes)
