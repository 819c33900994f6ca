"""Hold the paper's claims against paired differences measured on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.vgg import command
from workflow_scripts.vgg.experiments import (
    SIDES,
    Evaluation,
    evaluations,
    find_row,
    has_models,
    read_tables,
    read_yaml,
    side_evaluations,
)
from workflow_scripts.vgg.files import whole_file, write_json
from workflow_scripts.vgg.intervals import paired_difference, verdict
from workflow_scripts.vgg.posteriors import outcomes
from workflow_scripts.vgg.tables import paper_rows

METRIC = "top1_val"
MEASURED = (
    "candidate_error",
    "baseline_error",
    "difference",
    "low",
    "high",
    "p",
    "images",
)


def side_name(side: str | list[dict], tables: dict) -> str:
    """What the ledger calls one side of a comparison: its row's labels, or its evaluations."""
    if not isinstance(side, str):
        return ", ".join(f"{e.model}, {e.method}, Q = {e.Q}" for e in evaluations(side))
    table = side.partition("/")[0].replace("table", "Table ")
    return f"{table}: {' / '.join(find_row(side, tables)['labels'])}"


def paper_error(side: str | list[dict], tables: dict, paper: dict) -> float | None:
    """The paper's top-1 error of one side; None if no table of the paper has it."""
    if not isinstance(side, str):
        return None
    table = tables[side.partition("/")[0]]
    if "paper" not in table:
        return None
    return paper_rows(paper[table["paper"]])[find_row(side, tables)["index"]][1][METRIC]


def judge(
    candidate: np.ndarray, baseline: np.ndarray, expect: str, margin: float | None, seed: int
) -> dict:
    """The fields MEASURED of a comparison, from two sides' outcomes, bool [images]; its verdict."""
    difference = paired_difference(candidate, baseline, seed)
    return {
        "candidate_error": 100 * float(candidate.mean()),
        "baseline_error": 100 * float(baseline.mean()),
        **asdict(difference),
        "images": len(candidate),
        "verdict": verdict(expect, difference.low, difference.high, margin),
    }


def overall(verdicts: list[str]) -> str:
    """A claim's verdict: refuted if any comparison is, reproduced if all are.

    One of which only a part was measured is at best inconclusive.
    """
    if set(verdicts) <= {"unmeasured"}:
        return "unmeasured"
    if "not reproduced" in verdicts:
        return "not reproduced"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--claims", default="config/claims.yaml")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument(
        "--models", nargs="*", help="that the run has; comparisons of others stay unmeasured"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    tables, paper = read_tables(given.tables), read_yaml(given.paper)

    @cache
    def wrong(own: tuple[Evaluation, ...]) -> np.ndarray:
        return outcomes([evaluation.path(given.results, "val") for evaluation in own]).top1

    ledger = []
    for claim in read_yaml(given.claims):
        comparisons = []
        for comparison in claim["comparisons"]:
            own = [tuple(side_evaluations(comparison[side], tables)) for side in SIDES]
            papers = [paper_error(comparison[side], tables, paper) for side in SIDES]
            expect, margin = comparison["expect"], comparison.get("margin")
            measured = dict.fromkeys(MEASURED) | {"verdict": "unmeasured"}
            if has_models([e for side in own for e in side], given.models):
                measured = judge(*map(wrong, own), expect, margin, given.seed)
            comparisons.append(
                {
                    "candidate": side_name(comparison["candidate"], tables),
                    "baseline": side_name(comparison["baseline"], tables),
                    "expect": expect,
                    "margin": margin,
                    "metric": METRIC,
                    **measured,
                    "paper_difference": None if None in papers else papers[0] - papers[1],
                }
            )
        ledger.append(
            {
                **{key: claim[key] for key in ("number", "section", "claim")},
                "note": claim.get("note", ""),
                "comparisons": comparisons,
                "verdict": overall([comparison["verdict"] for comparison in comparisons]),
            }
        )
    lines = [
        {"number": claim["number"], "claim": claim["claim"], **comparison}
        for claim in ledger
        for comparison in claim["comparisons"]
    ]
    with whole_file(f"{given.output}.csv") as temporary:
        pd.DataFrame(lines).to_csv(temporary, index=False, lineterminator="\n")
    write_json(f"{given.output}.json", {"experiment": Path(given.results).name, "claims": ledger})


if __name__ == "__main__":
    command.run(main)
