"""Tables as data: rows measured from posteriors beside the paper's numbers (paper §4)."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.checksums import checksum, damaged
from ..core.files import read_bytes, whole_file
from ..core.parquet import read_metadata
from ..core.text_artefacts import read_json, write_json
from ..evaluation.posteriors import Outcomes
from ..settings.experiments import Evaluation, evaluations, seeded_paths
from .formats.latex import latex
from .formats.markdown import markdown
from .formats.sheets import sheet
from .uncertainty import mean_interval, wilson

METRICS = ("top1_val", "top5_val", "top1_test", "top5_test")
CSV_CHECKSUM = "csv_checksum"  # in a table's JSON file
PROVENANCE = (  # what posteriors must say of themselves
    "weights_sha256",
    "iterations",
    "code_fingerprint",
    "training_code",
    "choices",
    "hardware",
)
Measure = Callable[[tuple[str, ...]], Outcomes]


def paper_rows(entry: dict) -> list[tuple[list, dict[str, float | None]]]:
    """The rows of a table of paper_tables.yaml as (labels, errors by metric)."""
    columns = [column.split(" ")[0] for column in entry["columns"]]
    rows = []
    for row in entry["rows"]:
        cells = dict(zip(columns, row, strict=True))
        rows.append(
            (
                [cells[column] for column in columns if column not in METRICS],
                {column: cells[column] for column in columns if column in METRICS},
            )
        )
    return rows


def bold_cells(entry: dict) -> set[tuple[int, str]]:
    """The cells of a table of paper_tables.yaml that the paper prints bold: (row, metric)."""
    return {(row, metric) for row, metrics in entry.get("bold", {}).items() for metric in metrics}


def measured_cell(wrong: np.ndarray | None, paper: float | None) -> dict:
    """One number of a table: error in percent with 95% interval, the paper's, their difference.

    wrong: bool [seeds, images], or None if nothing was measured. The error is the mean over the
    seeds, the interval its test-set noise; how seeds differ stands beside it.
    paper: the reference, if not the paper's.
    """
    if wrong is None:
        return _cell(paper)
    seeds, images = wrong.shape
    per_seed = [100 * int(errors) / images for errors in wrong.sum(1)]
    return _cell(
        paper,
        measured=per_seed[0] if seeds == 1 else float(np.mean(per_seed)),
        interval=mean_interval(wrong),
        errors=int(wrong.sum()) if seeds == 1 else None,
        images=images,
    ) | {
        "seeds": seeds,
        "seed_sd": float(np.std(per_seed, ddof=1)) if seeds > 1 else None,
        "per_seed": per_seed,
    }


def entered_cell(error: float, images: int, paper: float | None) -> dict:
    """A number of a table that the test server answered, in percent, for a set of `images`."""
    errors = round(error * images / 100)
    interval = wilson(errors, images)
    return _cell(paper, float(error), interval, errors, images) | {"entered": True}


def _cell(
    paper: float | None,
    measured: float | None = None,
    interval: tuple[float | None, float | None] = (None, None),
    errors: int | None = None,
    images: int | None = None,
) -> dict:
    return {
        "measured": measured,
        "low": interval[0],
        "high": interval[1],
        "errors": errors,
        "images": images,
        "paper": paper,
        "difference": None if None in (measured, paper) else measured - paper,
        "entered": False,
        "bold": False,
        "seeds": None,
        "seed_sd": None,
        "per_seed": None,
    }


@dataclass(frozen=True)
class Run:
    """What a run has: where its artefacts are, the splits with labels, the seeds of its trainings.

    imported: models whose weights are files, which have no seeds.
    """

    results: str
    splits: Sequence[str]
    seeds: Sequence[int] = (0,)
    imported: Collection[str] = ()

    def posteriors(self, own: Sequence[Evaluation], split: str) -> list[list[str]]:
        """The files behind a set of evaluations, one list for each seed."""
        return seeded_paths(own, self.results, split, self.seeds, self.imported)

    def seed(self, evaluation: Evaluation, place: int) -> int | None:
        """The seed of an evaluation's training in the `place`-th of these lists."""
        return None if evaluation.model in self.imported else self.seeds[place]


def measured_row(
    row: dict,
    metrics: list[str],
    paper: dict,
    run: Run,
    measure: Measure,
    answer: dict | None = None,
    test_images: int | None = None,
    submitted: bool = True,
) -> dict:
    """A row of tables.yaml, measured.

    paper: the paper's errors by metric, or other references. run: metrics of splits that it does
    not have stay unmeasured. measure: gives the outcomes of the mean of some posterior files.
    answer: the test server's, for a set of `test_images`; it stands where the test set has no
    labels. submitted: whether this run writes the row's file for the test server.
    """
    own = evaluations(row["evaluations"])
    files = {split: run.posteriors(own, split) for split in run.splits}
    outcomes = {split: [measure(tuple(f)) for f in seeds] for split, seeds in files.items()}
    submission = row.get("submission")
    cells = {}
    for metric in metrics:
        kind, split = metric.split("_")
        reference = paper.get(metric)
        if split in outcomes:
            wrong = np.stack([getattr(outcome, kind) for outcome in outcomes[split]])
            cells[metric] = measured_cell(wrong, reference)
        elif answer and metric in answer:
            cells[metric] = entered_cell(answer[metric], test_images, reference)
        else:
            cells[metric] = measured_cell(None, reference)
    return {
        "name": row["name"],
        "labels": row["labels"],
        "literature": False,
        "metrics": cells,
        "evaluations": [
            provenance(evaluation, path, split, run.seed(evaluation, place))
            for split, seeds in files.items()
            for place, paths in enumerate(seeds)
            for evaluation, path in zip(own, paths, strict=True)
        ],
        "submission": f"{run.results}/submission/{submission}.txt"
        if submission and submitted
        else None,
    }


def entered_note(submission: str, answer: dict) -> str:
    """What a table says of a test server's answer that it shows."""
    note = f"† entered by hand from the test server's answer of {answer['date']} to {submission}"
    return f"{note}: {answer['note']}" if answer.get("note") else note


def literature_row(labels: list, metrics: list[str], paper: dict) -> dict:
    """A row of the paper's table that quotes other work."""
    return {
        "name": None,
        "labels": labels,
        "literature": True,
        "metrics": {metric: measured_cell(None, paper.get(metric)) for metric in metrics},
        "evaluations": [],
        "submission": None,
    }


def provenance(evaluation: Evaluation, path: str, split: str, seed: int | None) -> dict:
    """Where a set of posteriors came from, out of the file's own metadata."""
    metadata = read_metadata(path)
    if missing := [key for key in PROVENANCE if key not in metadata]:
        raise damaged(path, f"it does not say its {', '.join(missing)}")
    return {
        "posteriors": path,
        "split": split,
        "seed": seed,
        "model": evaluation.model,
        "method": evaluation.method,
        "Q": evaluation.Q,
        "weights_sha256": metadata["weights_sha256"],
        "iterations": metadata["iterations"],
        "imported": metadata.get("imported"),
        "code": metadata["code_fingerprint"],
        "training_code": metadata["training_code"],
        "choices": metadata["choices"],
        "hardware": metadata["hardware"],
        "node": metadata.get("node"),
        "precision": metadata.get("precision"),
        "training": metadata.get("training"),
    }


def flat(table: dict) -> pd.DataFrame:
    """A measured table as one line a row: labels, then each metric's fields."""
    lines = []
    for row in table["rows"]:
        line = dict(zip(table["columns"], row["labels"], strict=True))
        line["literature"] = row["literature"]
        for metric, cell in row["metrics"].items():
            cell = cell | {"per_seed": " ".join(map(str, cell["per_seed"] or [])) or None}
            names = {"measured": metric} | {
                field: f"{metric}_{field}" for field in cell if field != "measured"
            }
            line |= {names[field]: value for field, value in cell.items()}
        lines.append(line)
    frame = pd.DataFrame(lines)
    counts = [name for name in frame if name.endswith(("_errors", "_images", "_seeds"))]
    return frame.astype(dict.fromkeys(counts, "Int64"))


def write_table(prefix: str | Path, table: dict, lines: pd.DataFrame) -> None:
    """Write a table of any kind as files.

    `<prefix>.json` holds everything, `.csv` one line a row as in `lines`; `.tex` and `.md` are for
    readers of other documents. The JSON has the CSV's checksum.
    """
    page, of_lines = sheet(table), lines.to_csv(index=False, lineterminator="\n")
    for suffix, text in ((".csv", of_lines), (".tex", latex(page)), (".md", markdown(page))):
        with whole_file(f"{prefix}{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(f"{prefix}.json", {**table, CSV_CHECKSUM: f"{checksum(of_lines.encode()):016x}"})


def read_lines(prefix: str | Path) -> pd.DataFrame:
    """The lines of a table that `write_table` wrote. Raises InputError if they are damaged."""
    content = read_bytes(f"{prefix}.csv")
    if f"{checksum(content):016x}" != read_json(f"{prefix}.json").get(CSV_CHECKSUM):
        raise damaged(f"{prefix}.csv", "the table's JSON file has another checksum of it")
    return pd.read_csv(io.BytesIO(content))
