"""Hold the paper's claims against errors measured on the validation set, and against speed.

Errors are compared image by image, and the p values corrected by Holm's method over the whole
ledger. Speed is that of this run's trainings, by their number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.parquet import rows_of
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.evaluation.posteriors import check_paired, outcomes
from workflow_scripts.vgg.results import throughput
from workflow_scripts.vgg.results.tables import paper_rows
from workflow_scripts.vgg.results.uncertainty import (
    ALPHA,
    PairedDifference,
    holm,
    paired_difference,
    verdict,
)
from workflow_scripts.vgg.settings.experiments import (
    SIDES,
    Evaluation,
    evaluations,
    find_row,
    has_models,
    read_tables,
    read_yaml,
    seeded_paths,
    side_evaluations,
)

METRIC = "top1_val"
MEASURED = (  # fields of a comparison that are None if it was not measured
    *("candidate_error", "baseline_error", "difference", "low", "high", "p", "p_holm", "images"),
    *("seeds", "per_seed", "seed_sd", "seed_low", "seed_high"),
)
COLUMNS = (
    *("number", "claim", "candidate", "baseline", "expect", "margin", "metric"),
    *(*MEASURED, "paper_difference", "verdict"),
)
Sides = tuple[tuple[Evaluation, ...], ...]  # a comparison's candidate and baseline


def comparison_sides(comparison: dict, tables: dict) -> Sides:
    """The evaluations of the two sides of a comparison of claims.yaml."""
    return tuple(tuple(side_evaluations(comparison[side], tables)) for side in SIDES)


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


@dataclass(frozen=True)
class Measured:
    """What was measured of a pair of sides: difference, both errors in percent, images."""

    difference: PairedDifference
    errors: tuple[float, ...]
    images: int


def measure(candidate: np.ndarray, baseline: np.ndarray, seed: int) -> Measured:
    """Compare two sides' outcomes, bool [seeds, images]; `seed` is the bootstrap's."""
    errors = tuple(100 * int(side.sum()) / side.size for side in (candidate, baseline))
    difference = paired_difference(candidate, baseline, seed)
    return Measured(difference, errors, candidate.shape[1])


def check_images(paths: Sequence[str]) -> None:
    """Raise InputError unless all posterior files hold equally many images."""
    counts = {path: rows_of(path) for path in paths}
    for path, count in counts.items():
        if count != (expected := counts[paths[0]]):
            raise InputError(
                f"{path} holds {count} images, but {paths[0]} holds {expected}; "
                "delete the one that is out of date and evaluate its model again"
            )


def holm_by_pair(found: Mapping[Sides, Measured]) -> dict[frozenset, float]:
    """Holm's p value of each pair of sides; one that several claims compare is one test."""
    p_values = {pair(sides): measured.difference.p for sides, measured in found.items()}
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def pair(sides: Sides) -> frozenset:
    """The same for two sides whichever is the candidate, and however their entries are ordered."""
    return frozenset(tuple(sorted(side, key=str)) for side in sides)


def overall(verdicts: list[str]) -> str:
    """A claim's verdict: refuted if any part of it is, reproduced if all are.

    One of which only a part was measured is at best inconclusive.
    """
    if set(verdicts) <= {"unmeasured"}:
        return "unmeasured"
    if "not reproduced" in verdicts:
        return "not reproduced"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"


def judge(
    comparison: dict,
    tables: dict,
    paper: dict,
    found: Mapping[Sides, Measured],
    p_holm: Mapping[frozenset, float],
) -> dict:
    """A comparison of claims.yaml as the ledger has it: COLUMNS from `candidate` on."""
    sides = comparison_sides(comparison, tables)
    papers = [paper_error(comparison[side], tables, paper) for side in SIDES]
    expect, margin = comparison["expect"], comparison.get("margin")
    fields, own_verdict = {}, "unmeasured"
    if sides in found:
        measured, p = found[sides], p_holm[pair(sides)]
        fields = asdict(measured.difference) | {"p_holm": p, "images": measured.images}
        fields |= zip(("candidate_error", "baseline_error"), measured.errors, strict=True)
        own_verdict = verdict(expect, measured.difference, p, margin)
    return {
        "candidate": side_name(comparison["candidate"], tables),
        "baseline": side_name(comparison["baseline"], tables),
        "expect": expect,
        "margin": margin,
        "metric": METRIC,
        **dict.fromkeys(MEASURED),
        **fields,
        "paper_difference": None if None in papers else papers[0] - papers[1],
        "verdict": own_verdict,
    }


def judge_speed(expected: dict | None, speeds: Sequence[dict]) -> tuple[dict | None, list[str]]:
    """What the ledger says of a claim about speed, and a verdict in a list; nothing of another."""
    if expected is None:
        return None, []
    shown = {
        "expected_processes": expected["processes"],
        "expected_speedup": expected["speedup"],
        "margin": expected["margin"],
        "measured": list(speeds),
    }
    return shown, [throughput.verdict(speeds, **expected)]


def write_ledger(output: str, ledger: dict) -> None:
    """Write `<output>.json`, and its comparisons and speeds as `.csv` and `_throughput.csv`."""
    lines = [
        {"number": claim["number"], "claim": claim["claim"], **comparison}
        for claim in ledger["claims"]
        for comparison in claim["comparisons"]
    ]
    speeds = [
        {"number": claim["number"], **row}
        for claim in ledger["claims"]
        if claim["throughput"]
        for row in claim["throughput"]["measured"]
    ]
    write_lines(f"{output}.csv", lines, COLUMNS)
    write_lines(f"{output}_throughput.csv", speeds, ("number", *throughput.FIELDS))
    write_json(f"{output}.json", ledger)


def write_lines(path: str, lines: list[dict], columns: Sequence[str]) -> None:
    """Write dicts as CSV; lists become text, their elements separated by spaces."""
    flat = [
        {key: " ".join(map(str, value)) if isinstance(value, list) else value
         for key, value in line.items()}
        for line in lines
    ]  # fmt: skip
    with whole_file(path) as temporary:
        # As objects, so that integers stay integers beside what was not measured.
        frame = pd.DataFrame(flat, columns=list(columns), dtype=object)
        frame.to_csv(temporary, index=False, lineterminator="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--claims", default="config/claims.yaml")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument(
        "--models", nargs="*", help="that the run has; comparisons of others stay unmeasured"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the trainings")
    parser.add_argument(
        "--imported", nargs="*", default=[], help="models whose weights are files, without seeds"
    )
    parser.add_argument(
        "--trainings", nargs="*", default=[], help="models that this run trained, to compare speeds"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument(
        "--output", required=True, help="path without suffix: .csv, .json, _throughput.csv"
    )
    given = parser.parse_args(arguments)
    tables, paper = read_tables(given.tables), read_yaml(given.paper)
    claims = read_yaml(given.claims)

    compared = [
        sides
        for claim in claims
        for sides in (comparison_sides(each, tables) for each in claim["comparisons"])
        if has_models([*sides[0], *sides[1]], given.models)
    ]
    # The posteriors of each seed by side; a side of several comparisons is read once.
    paths = {
        side: seeded_paths(side, given.results, "val", given.seeds, given.imported)
        for sides in compared
        for side in sides
    }
    check_images([path for seeds in paths.values() for own in seeds for path in own])
    measured = {side: [outcomes(own) for own in seeds] for side, seeds in paths.items()}
    check_paired(
        {
            own[0]: found
            for side, seeds in paths.items()
            for own, found in zip(seeds, measured[side], strict=True)
        }
    )
    wrong = {side: np.stack([own.top1 for own in seeds]) for side, seeds in measured.items()}
    found = {
        sides: measure(*(wrong[side] for side in sides), given.seed)
        for sides in dict.fromkeys(compared)
    }
    p_holm = holm_by_pair(found)
    speeds = []
    if any("throughput" in claim for claim in claims):
        trials = throughput.read_trials(given.results, given.trainings, given.seeds)
        speeds = throughput.measure(trials, given.seed)
    judged = []
    for claim in claims:
        comparisons = [judge(each, tables, paper, found, p_holm) for each in claim["comparisons"]]
        speed, verdicts = judge_speed(claim.get("throughput"), speeds)
        judged.append(
            {
                **{key: claim[key] for key in ("number", "section", "claim")},
                "note": claim.get("note", ""),
                "comparisons": comparisons,
                "throughput": speed,
                "verdict": overall([each["verdict"] for each in comparisons] + verdicts),
            }
        )
    ledger = {
        "experiment": Path(given.results).name,
        "seeds": given.seeds,
        "alpha": ALPHA,
        "family": len(p_holm),
        "claims": judged,
    }
    write_ledger(given.output, ledger)


if __name__ == "__main__":
    command.run(main)
