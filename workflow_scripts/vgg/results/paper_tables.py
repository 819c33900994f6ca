"""Rows and bold numbers of the paper's tables, as paper_tables.yaml holds them."""

from __future__ import annotations

KINDS = ("top1", "top5", "gtloc", "top5loc")
METRICS = tuple(f"{kind}_{split}" for kind in KINDS for split in ("val", "test"))


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
