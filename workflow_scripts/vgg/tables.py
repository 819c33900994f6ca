"""Tables as data: rows measured from posteriors beside the paper's numbers (paper §4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .experiments import Evaluation, evaluations
from .files import whole_file, write_json
from .intervals import wilson
from .posteriors import Outcomes, read_metadata

METRICS = ("top1_val", "top5_val", "top1_test", "top5_test")
Measure = Callable[[Sequence[Evaluation], str], Outcomes]


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


def measured_cell(wrong: np.ndarray | None, paper: float | None) -> dict:
    """One number of a table: error in percent with 95% interval, the paper's, their difference.

    wrong: bool [images], or None if nothing was measured. paper: the reference, if not the paper's.
    """
    if wrong is None:
        return _cell(paper)
    errors, images = int(wrong.sum()), len(wrong)
    return _cell(paper, 100 * errors / images, errors, images)


def entered_cell(error: float, images: int, paper: float | None) -> dict:
    """A number of a table that the test server answered, in percent, for a set of `images`."""
    return _cell(paper, float(error), round(error * images / 100), images) | {"entered": True}


def _cell(
    paper: float | None,
    measured: float | None = None,
    errors: int | None = None,
    images: int | None = None,
) -> dict:
    low, high = (None, None) if errors is None else wilson(errors, images)
    return {
        "measured": measured,
        "low": low,
        "high": high,
        "errors": errors,
        "images": images,
        "paper": paper,
        "difference": None if None in (measured, paper) else measured - paper,
        "entered": False,
    }


def measured_row(
    row: dict,
    metrics: list[str],
    paper: dict,
    results: str,
    splits: Sequence[str],
    measure: Measure,
    answer: dict | None = None,
    test_images: int | None = None,
    submitted: bool = True,
) -> dict:
    """A row of tables.yaml, measured.

    paper: the paper's errors by metric, or other references. splits: those that were evaluated;
    metrics of others stay unmeasured. measure: gives the outcomes of a set of evaluations on a
    split. answer: the test server's, for a set of `test_images`; it stands where the test set has
    no labels. submitted: whether this run writes the row's file for the test server.
    """
    own = evaluations(row["evaluations"])
    outcomes = {split: measure(own, split) for split in splits}
    submission = row.get("submission")
    cells = {}
    for metric in metrics:
        kind, split = metric.split("_")
        reference = paper.get(metric)
        if split in outcomes:
            cells[metric] = measured_cell(getattr(outcomes[split], kind), reference)
        elif answer and metric in answer:
            cells[metric] = entered_cell(answer[metric], test_images, reference)
        else:
            cells[metric] = measured_cell(None, reference)
    return {
        "name": row["name"],
        "labels": row["labels"],
        "literature": False,
        "metrics": cells,
        "evaluations": [provenance(e, results, split) for split in splits for e in own],
        "submission": f"{results}/submission/{submission}.txt"
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


def provenance(evaluation: Evaluation, results: str, split: str) -> dict:
    """Where a set of posteriors came from, out of the file's own metadata."""
    path = evaluation.path(results, split)
    metadata = read_metadata(path)
    return {
        "posteriors": path,
        "split": split,
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
    }


def flat(table: dict) -> pd.DataFrame:
    """A measured table as one line a row: labels, then each metric's fields."""
    lines = []
    for row in table["rows"]:
        line = dict(zip(table["columns"], row["labels"], strict=True))
        line["literature"] = row["literature"]
        for metric, cell in row["metrics"].items():
            names = {"measured": metric} | {
                field: f"{metric}_{field}" for field in cell if field != "measured"
            }
            line |= {names[field]: value for field, value in cell.items()}
        lines.append(line)
    frame = pd.DataFrame(lines)
    counts = [name for name in frame if name.endswith(("_errors", "_images"))]
    return frame.astype(dict.fromkeys(counts, "Int64"))


def printed(table: dict) -> pd.DataFrame:
    """A measured table as people read it: "23.5 (19.6–27.9)" beside the paper's number.

    A dagger marks what the test server answered.
    """
    lines = []
    for row in table["rows"]:
        line = dict(zip(table["columns"], row["labels"], strict=True))
        for metric, cell in row["metrics"].items():
            kind, split = metric.split("_")
            name = f"{kind.replace('top', 'top-')} {split}. error (%)".replace("test.", "test")
            measured = "–" if cell["measured"] is None else (
                f"{cell['measured']:.1f}{'†' if cell['entered'] else ''}"
                f" ({cell['low']:.1f}–{cell['high']:.1f})"
            )  # fmt: skip
            line[name] = measured
            reference = "–" if cell["paper"] is None else f"{cell['paper']:.1f}"
            line[f"{name}, {table['reference']}"] = reference
        lines.append(line)
    return pd.DataFrame(lines)


def write_table(prefix: str | Path, table: dict, lines: pd.DataFrame, page: pd.DataFrame) -> None:
    """Write `<prefix>.json` (everything), `.csv` (one line a row) and `.tex` (booktabs)."""
    with whole_file(f"{prefix}.csv") as temporary:
        lines.to_csv(temporary, index=False, lineterminator="\n")
    with whole_file(f"{prefix}.tex") as temporary:
        style = (
            page.style.hide(axis="index")
            .format(escape="latex")
            .format_index(escape="latex", axis=1)
        )
        temporary.write_text(
            style.to_latex(hrules=True, caption=table["title"], label=f"tab:{table['name']}"),
            encoding="utf-8",
        )
    write_json(f"{prefix}.json", table)
