"""What the miniature's report says of the paper's claims, which is less than a full run's.

The sizes of so small a run's differences are not the paper's; their directions may be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WORDS = {  # for the verdicts of a ledger
    "reproduced": "as in the paper",
    "not reproduced": "unlike the paper",
    "inconclusive": "undecided",
    "unmeasured": "unmeasured",
}


@dataclass(frozen=True)
class Differences:
    """Differences of one direction: all, and those whose 95% intervals exclude zero."""

    all: int
    clear: int


@dataclass(frozen=True)
class Directions:
    """The directions of all measured comparisons; a pair that several claims compare counts once.

    pairs: of which the paper has one with the lower error. with_paper, against: those that are so
    here, and the other way round; a difference of zero is neither. equal: of the pairs that the
    paper calls equivalent, the number of each verdict.
    """

    pairs: int
    with_paper: Differences
    against: Differences
    equal: Counter[str]


def directions(claims: Sequence[dict]) -> Directions:
    """The directions in a ledger's claims."""
    found: dict[str, dict[frozenset, dict]] = {"lower_error": {}, "equivalent": {}}
    for claim in claims:
        for each in claim["comparisons"]:
            if each["difference"] is not None:
                found[each["expect"]][frozenset((each["candidate"], each["baseline"]))] = each
    lower = found["lower_error"].values()
    return Directions(
        pairs=len(lower),
        with_paper=_counted(each for each in lower if each["difference"] < 0),
        against=_counted(each for each in lower if each["difference"] > 0),
        equal=Counter(each["verdict"] for each in found["equivalent"].values()),
    )


def _counted(comparisons: Iterable[dict]) -> Differences:
    clear = [_excludes_zero(comparison) for comparison in comparisons]
    return Differences(len(clear), sum(clear))


def _excludes_zero(comparison: dict) -> bool:
    """Whether zero lies outside the intervals of the images and, if there are several, seeds."""
    intervals = [(comparison[f"{of}low"], comparison[f"{of}high"]) for of in ("", "seed_")]
    return all(low is None or not low <= 0 <= high for low, high in intervals)
