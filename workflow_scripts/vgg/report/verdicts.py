"""The ledger of claims as a short list: a claim's verdict, and the difference that speaks least for
it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..results.paper_tables import MEASURES
from ..settings.transferred_rows import measure_of

OWN = "own"
PARTS = {
    "": "Main text",
    "A": "Appendix A, localisation",
    "B": "Appendix B, features",
    OWN: "Claims of this run’s own",
}
WEAKEST = ("not reproduced", "inconclusive", "reproduced")  # of verdicts, the first decides
HELD = 0.85  # of a part's intervals, that its axis holds whole


class Line(NamedTuple):
    """A claim of the list.

    compared: its comparisons that were measured; unmeasured: how many were not. least: the one that
    speaks least for the claim, None if none was measured. speed: likewise of a claim about speed.
    """

    claim: dict
    compared: list[dict]
    unmeasured: int
    least: dict | None
    speed: dict | None


class Part(NamedTuple):
    """The claims of a part of the paper.

    units: what differences are points of. span: where their axis ends, which is beyond most
    intervals.
    """

    title: str
    lines: list[Line]
    units: list[str]
    span: float


def parts(claims: Sequence[dict]) -> list[Part]:
    """A ledger's claims by the part of the paper that they are of, in its order."""
    found: dict[str, list[dict]] = {}
    for claim in claims:
        letter = claim["section"][:1] or OWN
        found.setdefault(letter if letter in PARTS else "", []).append(claim)
    return [_part(PARTS[letter], own) for letter, own in found.items()]


def _part(title: str, claims: Sequence[dict]) -> Part:
    lines = [_line(claim) for claim in claims]
    compared = [each for line in lines for each in line.compared]
    reaches = sorted(max(abs(each["low"]), abs(each["high"])) for each in compared) or [1.0]
    span = reaches[math.ceil(HELD * len(reaches)) - 1]
    units = dict.fromkeys(unit_of(each["metric"]) for each in compared)
    return Part(title, lines, list(units), math.ceil(10 * span) / 10)


def _line(claim: dict) -> Line:
    compared = [each for each in claim["comparisons"] if each["low"] is not None]
    speeds = [
        one
        for one in (claim["throughput"] or {"measured": []})["measured"]
        if one["processes"] == claim["throughput"]["expected_processes"] and one["low"] is not None
    ]
    return Line(
        claim=claim,
        compared=compared,
        unmeasured=len(claim["comparisons"]) - len(compared),
        least=min(compared, key=_support, default=None),
        speed=min(speeds, key=lambda one: one["low"], default=None),
    )


def _support(comparison: dict) -> tuple[int, float]:
    """The greater, the more a comparison speaks for its claim: by verdict, then by how far its
    interval lies on the claim's side."""
    low, high = comparison["low"], comparison["high"]
    far = {
        "lower_error": -high,
        "higher": low,
        "equivalent": (comparison["margin"] or 0) - max(-low, high),
    }
    return WEAKEST.index(comparison["verdict"]), far[comparison["expect"]]


def unit_of(metric: str) -> str:
    """What differences of a metric are points of."""
    kind = measure_of(metric)[0]
    if kind in MEASURES:
        return "mean average precision or recall"
    return "top-1 error" if kind == "top1" else "localisation error"
