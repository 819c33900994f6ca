"""The ledger of claims as files. Light on imports: pages ask here what a comparison holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from ..core.text_artefacts import write_json, write_plain_csv
from .throughput import SPEED_KEYS


@dataclass(frozen=True)
class Comparison:
    """A comparison of two sides' errors on the validation set, and what it says of a claim.

    Or of their measures on another data set, of which higher is better; they stand where errors do.
    candidate, baseline: names of the sides. expect, margin: as in claims.yaml. metric: the error or
    measure. Both are in percent, differences candidate − baseline in points; see
    uncertainty.PairedDifference. p_holm: p after Holm's correction over the ledger's comparisons of
    the same kind: classification, localisation or features. paper_difference: None if the paper has
    no such numbers. What was not measured is None.
    """

    candidate: str
    baseline: str
    expect: str
    margin: float | None
    metric: str
    candidate_error: float | None = None
    baseline_error: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    images: int | None = None
    seeds: int | None = None
    per_seed: list[float] | None = None
    seed_sd: float | None = None
    seed_low: float | None = None
    seed_high: float | None = None
    paper_difference: float | None = None
    verdict: str = "unmeasured"


COMPARISON_KEYS = tuple(field.name for field in fields(Comparison))


def write_ledger(output: str, ledger: dict) -> None:
    """Write `<output>.json`, and its comparisons and speeds as `.csv` and `_throughput.csv`."""
    comparisons = [
        {"number": claim["number"], "claim": claim["claim"], **comparison}
        for claim in ledger["claims"]
        for comparison in claim["comparisons"]
    ]
    speeds = [
        {"number": claim["number"], **speed}
        for claim in ledger["claims"]
        if claim["throughput"]
        for speed in claim["throughput"]["measured"]
    ]
    _write_lines(f"{output}.csv", comparisons, ("number", "claim", *COMPARISON_KEYS))
    _write_lines(f"{output}_throughput.csv", speeds, ("number", *SPEED_KEYS))
    write_json(f"{output}.json", ledger)


def _write_lines(path: str, lines: Sequence[dict], columns: Sequence[str]) -> None:
    """Write dicts as CSV; lists become text, their elements separated by spaces."""
    flat = [
        {
            key: " ".join(map(str, value)) if isinstance(value, list) else value
            for key, value in line.items()
        }
        for line in lines
    ]
    write_plain_csv(path, flat, columns)
