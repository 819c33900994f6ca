"""Rows and bold numbers of the paper's tables, as paper_tables.yaml holds them; names of errors."""

from __future__ import annotations

NAMES = {  # of the kinds of errors, such as those of top1_val, for people
    "top1": "top-1",
    "top5": "top-5",
    "gtloc": "true-class localisation",
    "top5loc": "localisation",
}
KINDS = tuple(NAMES)
METRICS = tuple(f"{kind}_{split}" for kind in KINDS for split in ("val", "test"))
MEASURES = {  # of features on other data sets, higher is better, such as those of map_voc2007
    "map": "mean average precision",
    "mapval": "mean average precision (val.)",
    "recall": "mean class recall",
}


def is_metric(name: str) -> bool:
    """True if a column of a table, or a metric, is a number that is measured."""
    return name in METRICS or name.partition("_")[0] in MEASURES


def paper_rows(entry: dict) -> list[tuple[list, dict[str, float | None]]]:
    """The rows of a table of paper_tables.yaml as (labels, errors by metric)."""
    columns = [column.split(" ")[0] for column in entry["columns"]]
    rows = []
    for row in entry["rows"]:
        cells = dict(zip(columns, row, strict=True))
        rows.append(
            (
                [cells[column] for column in columns if not is_metric(column)],
                {column: cells[column] for column in columns if is_metric(column)},
            )
        )
    return rows


def bold_cells(entry: dict) -> set[tuple[int, str]]:
    """The cells of a table of paper_tables.yaml that the paper prints bold: (row, metric)."""
    return {(row, metric) for row, metrics in entry.get("bold", {}).items() for metric in metrics}
