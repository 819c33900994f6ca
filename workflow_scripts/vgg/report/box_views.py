"""Entries of the page of pictures: an image's boxes, by window, merged and true (appendix A)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..data.boxes import overlaps
from ..data.classes import ClassName
from ..localisation.box_files import BoxedImage, joined
from ..localisation.guesses import Clipping, guess, recorded_options, united
from ..localisation.merging import Merging, merged
from ..localisation.outcomes import Scored, scored
from ..localisation.scoring import Scoring, wrong
from ..results.predictions import one_of_each_class

# What is said of a box that is right, and of one that is not
BOUNDS = {
    "at-least-half": ("at least a half", "less than a half"),
    "more-than-half": ("more than a half", "not more than a half"),
}
EDGES = np.array([0, 0, 1, 1])  # from the last pixels of a box to where it ends


@dataclass(frozen=True)
class Localised:
    """A row's guesses beside the true boxes, and the rules that made them and score them.

    origin: the file of the guesses.
    """

    origin: str
    scored: Scored
    scoring: Scoring
    merging: Merging
    clipping: Clipping

    @cached_property
    def true_boxes(self) -> np.ndarray:
        """All true boxes, float64 [boxes, 4]: their first and last pixels."""
        return self.scored.true.in_pixels(self.scored.guesses.sizes)

    @cached_property
    def overlaps(self) -> np.ndarray:
        """Of each guessed box with the nearest true box of its image, float64 [images, k]."""
        guesses, true = self.scored.guesses, self.scored.true
        pairs = overlaps(
            guesses.boxes[true.images_of_boxes].astype(np.float64),
            self.true_boxes[:, None],
            self.scoring.overlap_pixels,
        )
        return np.maximum.reduceat(pairs, true.starts[:-1])

    @cached_property
    def is_guessed(self) -> np.ndarray:
        """Whether the true class is among the guesses, bool [images]."""
        return (self.scored.guesses.classes == self.scored.guesses.labels[:, None]).any(1)

    @cached_property
    def shown(self) -> np.ndarray:
        """The guess whose boxes are shown, int [images]: of the true class, else the first."""
        return (self.scored.guesses.classes == self.scored.guesses.labels[:, None]).argmax(1)

    def of_shown(self, values: np.ndarray) -> np.ndarray:
        """What the guesses that are shown have of values [images, k]."""
        return np.take_along_axis(values, self.shown[:, None], 1)[:, 0]

    @property
    def is_right_whole(self) -> np.ndarray:
        """Whether the whole image would be right as the box of its class, bool [images]."""
        guesses = self.scored.guesses
        whole = np.concatenate([np.zeros_like(guesses.sizes), guesses.sizes - 1], axis=1)
        return ~wrong(
            guesses.labels,
            guesses.labels[:, None],
            whole[:, None].astype(np.float64),
            self.scored.true.starts,
            self.true_boxes,
            self.scoring,
        )

    def telling(self, right: int, wrong: int) -> dict[str, list[int]]:
        """Places of images that are right and that are wrong, no two of one class in either.

        Right ones: first those where the whole image would be wrong; among these, those with the
        highest product of rating and overlap. Wrong ones: first those with the true class among the
        guesses; among these, those with the highest rating of the guess that is shown.
        """
        ratings = self.of_shown(self.scored.guesses.ratings)
        surest_right = np.lexsort((-ratings * self.of_shown(self.overlaps), self.is_right_whole))
        surest_wrong = np.lexsort((-ratings, ~self.is_guessed))
        is_wrong, labels = self.scored.wrong, self.scored.guesses.labels
        return {
            "right": one_of_each_class(surest_right[~is_wrong[surest_right]], labels, right),
            "wrong": one_of_each_class(surest_wrong[is_wrong[surest_wrong]], labels, wrong),
        }


def read_localised(guesses: str, truth: str | Path, scoring: Scoring) -> Localised:
    """A file of guesses that `localise` wrote, and the true boxes of its split."""
    merging, clipping = recorded_options(guesses)
    return Localised(guesses, scored(guesses, truth, scoring), scoring, merging, clipping)


def find_boxes(paths: Sequence[str | Path], ids: Collection[str]) -> dict[str, list[BoxedImage]]:
    """Some images' boxes, by name, as each of several files has them.

    Raises InputError if an image is in none of them.
    """
    found: dict[str, list[BoxedImage]] = {}
    for own in joined(paths) if ids else ():
        if own[0].id in ids:
            found[own[0].id] = own
            if len(found) == len(ids):
                break
    if missing := sorted(set(ids) - found.keys()):
        raise InputError(f"{paths[0]}: has no boxes of {missing[0]}, which guesses were made for")
    return found


def box_entry(
    localised: Localised,
    place: int,
    image: dict,
    boxed: Sequence[BoxedImage],
    classes: Sequence[ClassName],
) -> dict:
    """An image's boxes of the class that is shown, merged, and all guesses; lengths are pixels.

    place: of the image in `localised`. image: as PickedImages describes it. boxed: its boxes, by
    net and scale.
    Raises InputError if these boxes do not give the guesses.
    """
    guesses, true = localised.scored.guesses, localised.scored.true
    check_made_of(boxed, localised, place)
    shown = int(localised.shown[place])
    width, height = guesses.sizes[place].tolist()
    windows, scores = united(boxed, shown)
    found = merged(windows, scores, localised.merging, unit=max(width, height))
    best = int(found.ratings.argmax())
    own = localised.true_boxes[true.starts[place] : true.starts[place + 1]]
    columns = (guesses.classes[place], guesses.ratings[place], localised.overlaps[place])
    entry = image | {
        "width": width,
        "height": height,
        "guesses": [
            {
                "rank": rank,
                "wnid": classes[label].wnid,
                "class": classes[label].name,
                "rating": rating,
                "overlap": overlap,
                "true": label == image["label"],
            }
            for rank, (label, rating, overlap) in enumerate(
                zip(*(column.tolist() for column in columns), strict=True), start=1
            )
        ],
        "shown": shown,
        "right": not localised.scored.wrong[place],
        "windows": [
            {"box": box, "in_best": into == best}
            for box, into in zip(windows.tolist(), found.members.tolist(), strict=True)
        ],
        "merged": [
            {"box": box, "rating": rating, "best": number == best}
            for number, (box, rating) in enumerate(
                zip(found.boxes.tolist(), found.ratings.tolist(), strict=True)
            )
        ],
        "in_best": int(found.counts[best]),
        "box": (guesses.boxes[place, shown] + EDGES).tolist(),
        "true_boxes": (own + EDGES).tolist(),
    }
    return entry | described(entry, localised.scoring)


def check_made_of(boxed: Sequence[BoxedImage], localised: Localised, place: int) -> None:
    """Raise InputError unless an image's boxes, by net and scale, give its guesses."""
    guesses = localised.scored.guesses
    boxes, ratings = guess(boxed, localised.merging, localised.clipping)
    if not (
        np.array_equal(boxed[0].predicted.classes, guesses.classes[place])
        and np.array_equal(boxes, guesses.boxes[place])
        and np.allclose(ratings, guesses.ratings[place])
    ):
        raise InputError(
            f"{localised.origin}: its guesses for {guesses.ids[place]} are not made of the boxes "
            "that there are now; delete it and run again"
        )


def described(entry: dict, scoring: Scoring) -> dict:
    """What became of an image, and what its pictures show, in words."""
    guesses, shown = entry["guesses"], entry["guesses"][entry["shown"]]
    half, not_half = BOUNDS[scoring.overlap_bound]
    overlap = f"{shown['overlap']:.3f}"
    if entry["right"]:
        outcome = f"the box of {shown['class']} has an IoU of {overlap} with a true one, {half}."
    elif shown["true"]:
        outcome = (
            f"the box of {shown['class']} has an IoU of {overlap} with the nearest true one, "
            f"{not_half}."
        )
    else:
        outcome = f"{entry['class']} is none of the {counted(len(guesses), 'guess')}."
    windows, merged, true = (len(entry[key]) for key in ("windows", "merged", "true_boxes"))
    named = f"validation image {entry['id']}, class {entry['class']}"
    return {
        "outcome": outcome,
        "windows_alt": (
            f"V{named[1:]}, under the {counted(true, 'true box')} and the boxes of "
            f"{counted(windows, 'window')} for {shown['class']}, {entry['in_best']} of them merged "
            "into the best."
        ),
        "merged_alt": (
            f"The same of {named}: {counted(windows, 'box')} merged into {merged}. The best has a "
            f"rating of {shown['rating']:.2f} and an IoU of {overlap} with the nearest true box. "
            f"{'Right' if entry['right'] else 'Wrong'}: {outcome}"
        ),
    }


def counted(number: int, what: str) -> str:
    """'1 box' or '2 boxes'."""
    plural = f"{what}es" if what.endswith(("s", "x")) else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
