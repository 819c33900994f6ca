"""Turn posteriors, guesses of localisation, or classifiers' scores on other data sets into a table.

Each row stands beside the paper's.

Example:

    python -m workflow_scripts.tabulate --table table4 --results results/miniature \\
        --miniature --output mine
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.results import float32_checks, tables
from workflow_scripts.vgg.results.feature_measures import Measures, data_sets_of
from workflow_scripts.vgg.results.feature_tables import feature_table
from workflow_scripts.vgg.settings.experiments import (
    check_answers,
    check_row,
    check_rows,
    read_answers,
    read_tables,
    read_yaml,
)
from workflow_scripts.vgg.settings.localised_rows import is_localised
from workflow_scripts.vgg.settings.transferred_rows import is_transferred


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
    add_options(parser.add_argument_group("localisation"), Scoring)
    features = parser.add_argument_group("features for other data sets")
    features.add_argument(
        "--data-sets",
        type=data_sets_of,
        default={},
        metavar="JSON",
        help="what is measured on them",
    )
    features.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument(
        "--miniature", action="store_true", help="add what the table says in the miniature"
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
    localised, scoring = is_localised(entry), from_options(Scoring, given)
    printed = read_yaml(given.paper)
    check_rows({given.table: entry}, printed)
    run = tables.Run(
        given.results,
        splits=given.splits,
        seeds=given.seeds,
        imported=given.imported,
        models=given.models,
        submissions=given.submissions,
        test_images=given.test_images,
    )
    of_paper = printed[entry["paper"]] if "paper" in entry else None
    if is_transferred(entry):
        measures = Measures(given.results, given.data_sets, given.seed)
        table = feature_table(given.table, entry, run, of_paper, answers, measures)
    else:
        table = tables.evaluation_table(
            given.table,
            entry,
            run,
            printed=of_paper,
            answers=answers,
            read=tables.paired_localisations(given.results, scoring) if localised else None,
        )
    if localised:
        table["localisation"] = tables.scoring_facts(entry, run, scoring)
        table["notes"] += tables.scoring_notes(entry["metrics"], table["localisation"])
    elif given.precision != "float32" and not is_transferred(entry):
        table["check"] = None
        if row := check_row(entry, given.models):
            table["check"] = float32_checks.check(row, given.results, given.precision)
            table["notes"].append(float32_checks.check_note(table["check"]))
        elif note := float32_checks.elsewhere_note(given.table, entries):
            table["notes"].append(note)
    if given.miniature:
        table["miniature_notes"] = entry.get("miniature_notes", [])
    tables.write_table(given.output, table, tables.flat(table))


if __name__ == "__main__":
    command.run(main)
