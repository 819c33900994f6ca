"""Turn sets of posteriors into the rows of one table, each error beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from workflow_scripts.vgg import command, tables
from workflow_scripts.vgg.experiments import Evaluation, read_yaml
from workflow_scripts.vgg.files import InputError
from workflow_scripts.vgg.posteriors import Outcomes, outcomes


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--table", required=True, help="entry of tables.yaml, e.g. table3")
    parser.add_argument("--tables", default="config/tables.yaml")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument(
        "--splits", nargs="+", choices=("val", "test"), default=["val"], help="splits with labels"
    )
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json, .tex")
    given = parser.parse_args(arguments)
    entries = read_yaml(given.tables)
    if given.table not in entries:
        raise InputError(f"{given.tables}: has no {given.table}; it has {', '.join(entries)}")
    entry = entries[given.table]
    paper = []
    if "paper" in entry:
        paper = tables.paper_rows(read_yaml(given.paper)[entry["paper"]])
        if len(paper) < len(entry["rows"]):
            raise InputError(f"{given.tables}: {given.table} has more rows than the paper's table")

    @cache
    def outcomes_of(evaluations: tuple[Evaluation, ...], split: str) -> Outcomes:
        return outcomes([evaluation.path(given.results, split) for evaluation in evaluations])

    def measure(evaluations: Sequence[Evaluation], split: str) -> Outcomes:
        return outcomes_of(tuple(evaluations), split)

    rows = []
    for index, row in enumerate(entry["rows"]):
        errors = paper[index][1] if paper else {}
        rows.append(
            tables.measured_row(row, entry["metrics"], errors, given.results, given.splits, measure)
        )
    for labels, errors in paper[len(rows) :]:
        rows.append(tables.literature_row(labels, entry["metrics"], errors))
    table = {
        "name": given.table,
        "title": entry["title"],
        "section": entry.get("section"),
        "experiment": Path(given.results).name,
        "kind": "evaluation",
        "columns": entry["columns"],
        "metrics": entry["metrics"],
        "rows": rows,
        "notes": [],
    }
    tables.write_table(given.output, table, tables.flat(table), tables.printed(table))


if __name__ == "__main__":
    command.run(main)
