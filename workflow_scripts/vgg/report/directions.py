"""What the miniature's report says of the paper's claims, which is less than a full run's.

The sizes of so small a run's differences are not the paper's; their directions may be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..results.paper_tables import MEASURES
from ..settings.transferred_rows import measure_of

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

    pairs: of which the paper has one that is better, of lower error or higher measure. with_paper,
    against: those that are so here, and the other way round; a difference of zero is neither.
    equal: of the pairs that the paper calls equivalent, the number of each verdict.
    """

    pairs: int
    with_paper: Differences
    against: Differences
    equal: Counter[str]


def directions(claims: Sequence[dict]) -> Directions:
    """The directions in a ledger's claims.

    Features that are compared by several measures are a pair by each.
    """
    better: dict[tuple, dict] = {}
    equal: dict[tuple, dict] = {}
    for claim in claims:
        for each in claim["comparisons"]:
            if each["difference"] is not None:
                found = equal if each["expect"] == "equivalent" else better
                found[_pair(each)] = each
    return Directions(
        pairs=len(better),
        with_paper=_counted(each for each in better.values() if _gain(each) > 0),
        against=_counted(each for each in better.values() if _gain(each) < 0),
        equal=Counter(each["verdict"] for each in equal.values()),
    )


def _pair(comparison: dict) -> tuple[frozenset, str | None]:
    metric = comparison["metric"]
    of_features = measure_of(metric)[0] in MEASURES
    sides = frozenset((comparison["candidate"], comparison["baseline"]))
    return sides, metric if of_features else None


def _gain(comparison: dict) -> float:
    """By how much the side that the paper has as the better one is so."""
    difference = comparison["difference"]
    return difference if comparison["expect"] == "higher" else -difference


def _counted(comparisons: Iterable[dict]) -> Differences:
    clear = [_excludes_zero(comparison) for comparison in comparisons]
    return Differences(len(clear), sum(clear))


def _excludes_zero(comparison: dict) -> bool:
    """Whether zero lies outside the intervals of the images and, if there are several, seeds."""
    intervals = [(comparison[f"{of}low"], comparison[f"{of}high"]) for of in ("", "seed_")]
    return all(low is None or not low <= 0 <= high for low, high in intervals)
