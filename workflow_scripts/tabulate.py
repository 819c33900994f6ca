"""Turn sets of posteriors into the rows of one table, each error beside the paper's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.posteriors import Outcomes, check_paired, outcomes
from workflow_scripts.vgg.results import float32_checks, tables
from workflow_scripts.vgg.settings.experiments import (
    check_answers,
    check_row,
    check_rows,
    evaluations,
    has_models,
    read_answers,
    read_tables,
    read_yaml,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--table", required=True, help="entry of tables.yaml, e.g. table3")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument(
        "--splits", nargs="*", choices=("val", "test"), default=["val"], help="splits with labels"
    )
    parser.add_argument(
        "--models", nargs="*", help="that the run has; rows that need others stay unmeasured"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--imported", nargs="*", default=[], help="models that have no seed")
    parser.add_argument("--answers", help="the test server's answers, YAML")
    parser.add_argument("--test-images", type=int, help="of the test set; needed for answers")
    parser.add_argument(
        "--submissions", nargs="*", help="files for the test server that the run writes; else all"
    )
    parser.add_argument(
        "--precision", default="float32", help="of the evaluations; in another, one is checked"
    )
    parser.add_argument(
        "--output", required=True, help="path without suffix: .csv, .json, .md, .tex"
    )
    given = parser.parse_args(arguments)
    entries, files = read_tables(given.tables), ", ".join(given.tables)
    if given.table not in entries:
        raise InputError(f"{files}: has no {given.table}; it has {', '.join(entries)}")
    answers = read_answers(given.answers) if given.answers else {}
    check_answers(answers, entries)
    if answers and given.test_images is None:
        raise InputError(f"{given.answers}: needs --test-images, the number of test images")
    entry = entries[given.table]
    all_printed = read_yaml(given.paper)
    check_rows({given.table: entry}, all_printed)
    paper, bold = [], set()
    if "paper" in entry:
        printed = all_printed[entry["paper"]]
        paper, bold = tables.paper_rows(printed), tables.bold_cells(printed)
    by_split: dict[str, dict[str, Outcomes]] = defaultdict(dict)

    @cache
    def measure(paths: tuple[str, ...]) -> Outcomes:
        """Outcomes of the same images as all others of their split, in every row and seed."""
        *_, split, _, _ = Path(paths[0]).parts
        by_split[split][paths[0]] = outcomes(paths)
        check_paired(by_split[split])
        return by_split[split][paths[0]]

    rows, notes = [], {}
    for index, row in enumerate(entry["rows"]):
        errors = row.get("reference") or (paper[index][1] if paper else {})
        there = has_models(evaluations(row["evaluations"]), given.models)
        submission = row.get("submission")
        answer = answers.get(submission) if there else None
        measured = tables.measured_row(
            row,
            entry["metrics"],
            errors,
            tables.Run(given.results, given.splits if there else [], given.seeds, given.imported),
            measure,
            answer,
            given.test_images,
            there and (given.submissions is None or submission in given.submissions),
        )
        if any(cell["entered"] for cell in measured["metrics"].values()):
            notes[submission] = tables.entered_note(submission, answer)
        rows.append(measured)
    for labels, errors in paper[len(rows) :]:
        rows.append(tables.literature_row(labels, entry["metrics"], errors))
    for index, metric in bold & {(i, m) for i, row in enumerate(rows) for m in row["metrics"]}:
        rows[index]["metrics"][metric]["bold"] = "reference" not in entry
    table = {
        "name": given.table,
        "title": entry["title"],
        "section": entry.get("section"),
        "experiment": Path(given.results).name,
        "seeds": given.seeds,
        "kind": "evaluation",
        "columns": entry["columns"],
        "metrics": entry["metrics"],
        "reference": entry.get("reference", "paper"),
        "rows": rows,
        "notes": list(notes.values()),
    }
    if given.precision != "float32":
        table["check"] = None
        if row := check_row(entry, given.models):
            table["check"] = float32_checks.check(row, given.results, given.precision)
            table["notes"].append(float32_checks.check_note(table["check"]))
        elif note := float32_checks.elsewhere_note(given.table, entries):
            table["notes"].append(note)
    tables.write_table(given.output, table, tables.flat(table))


if __name__ == "__main__":
    command.run(main)
