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
    read_yaml,
    side_evaluations,
)
from workflow_scripts.vgg.files import whole_file, write_json
from workflow_scripts.vgg.intervals import paired_difference, verdict
from workflow_scripts.vgg.posteriors import outcomes
from workflow_scripts.vgg.tables import paper_rows

METRIC = "top1_val"


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


def overall(verdicts: list[str]) -> str:
    """A claim's verdict: refuted if any comparison is, reproduced if all are."""
    if not verdicts:
        return "unmeasured"
    if "not reproduced" in verdicts:
        return "not reproduced"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--claims", default="config/claims.yaml")
    parser.add_argument("--tables", default="config/tables.yaml")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    tables, paper = read_yaml(given.tables), read_yaml(given.paper)

    @cache
    def wrong(own: tuple[Evaluation, ...]) -> np.ndarray:
        return outcomes([evaluation.path(given.results, "val") for evaluation in own]).top1

    ledger = []
    for claim in read_yaml(given.claims):
        comparisons = []
        for comparison in claim["comparisons"]:
            candidate, baseline = (
                wrong(tuple(side_evaluations(comparison[side], tables))) for side in SIDES
            )
            papers = [paper_error(comparison[side], tables, paper) for side in SIDES]
            difference = paired_difference(candidate, baseline, given.seed)
            comparisons.append(
                {
                    "candidate": side_name(comparison["candidate"], tables),
                    "baseline": side_name(comparison["baseline"], tables),
                    "expect": comparison["expect"],
                    "margin": comparison.get("margin"),
                    "metric": METRIC,
                    "candidate_error": 100 * float(candidate.mean()),
                    "baseline_error": 100 * float(baseline.mean()),
                    **asdict(difference),
                    "images": len(candidate),
                    "paper_difference": None if None in papers else papers[0] - papers[1],
                    "verdict": verdict(
                        comparison["expect"],
                        difference.low,
                        difference.high,
                        comparison.get("margin"),
                    ),
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
