"""What runs of the miniature found, one a seed: errors with their spread, and the findings.

    snakemake all --cores 2 --config experiment=m10 "seeds=[10]" "data={directory: resources/m10}"
    python -m tests.checks.miniature_findings results/m10 results/m11 …

Prints the tables of docs/miniature.md; fails if a finding that the miniature is to show does not
hold in the mean over the runs.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests import checks


class Errors(NamedTuple):
    """A run's top-1 errors on the validation images in percent, by model or by row.

    centre: of the last validation in training, a central crop at the middle of S. single: of dense
    evaluation at the middle of S, as in Table 3. The others: of Tables 4 to 6; boxes: localisation
    errors of Tables 8 and 9 and of boxes that see no image.
    """

    centre: dict[str, float]
    single: dict[str, float]
    multiple: dict[str, float]
    methods: dict[str, float]
    fused: dict[str, float]
    boxes: dict[str, float]


class Finding(NamedTuple):
    """A difference of two errors of a run in points, and the most that its mean may be."""

    name: str
    difference: Callable[[Errors], float]
    most: float


def read(results: Path) -> Errors:
    """The errors in a finished run's results."""
    centre = {}
    for path in sorted((results / "history").glob("*.csv")):
        with open(path) as file:
            last = list(csv.DictReader(file))[-1]
        if "val_gtloc_error" not in last:
            centre[path.stem] = float(last["val_top1_error"])
    single = {}
    with open(results / "evaluations.csv") as file:
        for line in csv.DictReader(file):
            ends = [int(end) for end in line["S"].split("-")]
            if line["method"] == "dense" and int(line["Q"]) == (ends[0] + ends[-1]) / 2:
                single[line["model"]] = float(line["top1"])
    tables = []
    for number in range(4, 7):
        table = json.loads((results / f"tables/table{number}.json").read_text())
        rows = {row["name"]: row["metrics"]["top1_val"]["measured"] for row in table["rows"]}
        tables.append({name: error for name, error in rows.items() if error is not None})
    boxes = {}
    for name in ("table8", "table9", "fixed_boxes"):
        for row in json.loads((results / f"tables/{name}.json").read_text())["rows"]:
            cells = [row["metrics"].get(metric) for metric in ("gtloc_val", "top5loc_val")]
            measured = [cell["measured"] for cell in cells if cell and cell["measured"] is not None]
            boxes |= dict.fromkeys([row["name"]] if measured else [], sum(measured))
    return Errors(centre, single, *tables, boxes)


def findings() -> Iterator[Finding]:
    """The findings that the miniature is to show, each with the bound on its mean."""
    for net in "DE":
        yield Finding(
            f"{net} against A, S = 256, dense",
            lambda e, net=net: e.single[f"{net}_S256"] - e.single["A_S256"],
            0,
        )
    yield Finding(
        "B against B with 5×5 convs, central crop",
        lambda e: e.centre["B_S256"] - e.centre["B-5x5_S256"],
        0,
    )
    for net in "CDE":
        yield Finding(
            f"{net}, jittered S against S = 384, dense",
            lambda e, net=net: e.single[f"{net}_S256-512"] - e.single[f"{net}_S384"],
            0,
        )
    for row in ("B_S256", *(f"{net}_{s}" for net in "CDE" for s in ("S256", "S384", "S256-512"))):
        yield Finding(
            f"{row}, several Q against one",
            lambda e, row=row: e.multiple[row] - e.single[row],
            0,
        )
    for net in "DE":
        yield Finding(
            f"{net} jittered, dense against multi-crop, either way",
            lambda e, net=net: abs(e.methods[f"{net}_dense"] - e.methods[f"{net}_multicrop"]),
            3,
        )
        for method in ("dense", "multicrop"):
            yield Finding(
                f"{net} jittered, multi-crop & dense against {method}",
                lambda e, net=net, method=method: (
                    e.methods[f"{net}_both"] - e.methods[f"{net}_{method}"]
                ),
                0.5,
            )
    # Six of its seven nets; the one whose FC layers alone were fine-tuned has no row in Table 4.
    submitted = [f"{net}_{s}" for net in "CDE" for s in ("S256", "S384")]
    yield Finding(
        "ILSVRC submission against the best of its nets, dense",
        lambda e: e.fused["ilsvrc_submission"] - min(e.multiple[name] for name in submitted),
        0.5,
    )
    for method in ("dense", "multicrop", "both"):
        yield Finding(
            f"fusion of D and E against the better of them, {method}",
            lambda e, method=method: (
                e.fused[f"D_E_{method}"] - min(e.methods[f"{net}_{method}"] for net in "DE")
            ),
            0.5,
        )
    # Localisation; the bounds against a box that sees no image are of what is to be far better.
    for row in ("scr_fc", "pcr_fc", "pcr_all"):
        yield Finding(
            f"{row} against the image's middle half, true class",
            lambda e, row=row: e.boxes[row] - e.boxes["central_true"],
            -5,
        )
    yield Finding(
        "fusion of boxes against the image's middle half, five likeliest",
        lambda e: e.boxes["fusion"] - e.boxes["central_likeliest"],
        -20,
    )
    for one, other in (
        ("pcr_all", "pcr_fc"),
        ("S384_two_Q", "S384"),
        ("fusion", "S384_two_Q"),
        ("fusion", "S256"),
    ):
        yield Finding(
            f"boxes, {one} against {other}",
            lambda e, one=one, other=other: e.boxes[one] - e.boxes[other],
            0,
        )


def spread(values: list[float]) -> str:
    """Mean ± standard deviation."""
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {sd:.1f}"


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="folders of finished runs")
    folders = parser.parse_args().results
    for folder in folders:
        needed = ("history", "evaluations.csv", *(f"tables/table{n}.json" for n in (4, 5, 6, 8, 9)))
        for name in needed:
            if not (folder / name).exists():
                sys.exit(f"{folder}: has no {name}; give results/<experiment> of finished runs")
        seeds = json.loads((folder / "tables/table6.json").read_text())["seeds"]
        if len(seeds) != 1:
            sys.exit(f"{folder}: is of seeds {seeds}; give runs of one seed each")
    runs = [read(folder) for folder in folders]
    print("| model | central crop | dense, one Q | dense, several Q | multi-crop, several Q |")
    print("|---|---|---|---|---|")
    for model in runs[0].centre:
        net, _, scale = model.partition("_")
        cells = [[run.centre[model] for run in runs]]
        cells += [[run.single[model] for run in runs if model in run.single]]
        cells += [[run.multiple[model] for run in runs if model in run.multiple]]
        crops = f"{net}_multicrop" if scale == "S256-512" else ""
        cells += [[run.methods[crops] for run in runs if crops in run.methods]]
        print(f"| {model} | " + " | ".join(spread(c) if c else "" for c in cells) + " |")
    print("\n| row | error |\n|---|---|")
    for name in [*runs[0].methods, *runs[0].fused, *runs[0].boxes]:
        errors = [{**run.methods, **run.fused, **run.boxes}[name] for run in runs]
        print(f"| {name} | {spread(errors)} |")
    print("\n| finding | difference | each run | at most |  |\n|---|---|---|---|---|")
    failed = 0
    for finding in findings():
        values = [finding.difference(run) for run in runs]
        holds = statistics.mean(values) <= finding.most
        failed += not holds
        each = ", ".join(f"{value:+.1f}" for value in values)
        verdict = "yes" if holds else "NO"
        print(f"| {finding.name} | {spread(values)} | {each} | {finding.most} | {verdict} |")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
