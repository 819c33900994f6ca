"""Print, and write as a page, what a run will cost by arithmetic and what its jobs have cost.

The page lies beside the plan's other files; `--page` is a second one, in a report.

Example:

    python -m workflow_scripts.plan --config results/miniature/config.yaml \\
        --results results/miniature --records logs/miniature --stores train_S256 val \\
        --models A_S256 D_S256 --splits val --output mine
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.planning.plan_contents import lines_of_jobs, make_plan, measured_rates
from workflow_scripts.vgg.planning.planner import Planner
from workflow_scripts.vgg.planning.records import read_records
from workflow_scripts.vgg.report import inputs, pages, plan_tables
from workflow_scripts.vgg.report.present_index import experiment_of
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.settings.experiments import (
    all_checked,
    all_evaluations,
    claim_evaluations,
    evaluations,
    files_of,
    find_row,
    has_models,
    read_claims,
    read_models,
    read_tables,
    splits_of,
)
from workflow_scripts.vgg.settings.localised_rows import (
    Guessed,
    box_submissions,
    guessed,
    is_localised,
    is_of_true_class,
    localised_rows,
)
from workflow_scripts.vgg.settings.transferred_rows import (
    classified_sets,
    transferred,
    transferred_rows,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--records", required=True, help="folder of logs, with records of cost")
    parser.add_argument("--stores", nargs="*", default=[], help="to pack, such as train_S256")
    parser.add_argument("--models", nargs="*", default=[], help="that are trained or imported")
    parser.add_argument("--splits", nargs="*", default=[], help="that have labels")
    parser.add_argument("--submissions", nargs="*", default=[], help="for the test server")
    parser.add_argument("--boxed-splits", nargs="*", default=[], help="that have true boxes")
    parser.add_argument("--box-submissions", nargs="*", default=[], help="for the test server")
    parser.add_argument("--rates", help="summary.json of `benchmark`: rates measured, not stated")
    parser.add_argument("--page", help="the same page in a report")
    parser.add_argument("--index", action="store_true", help="link that to the index beside it")
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="write it only if the index beside it is of the same experiment, and link it",
    )
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json, .html")
    given = parser.parse_args(arguments)
    config = read_valid("config", given.config)
    if given.rates:
        precision = config["evaluate"]["precision"]
        measured = inputs.load_benchmarks(given.rates)
        config |= {"plan": measured_rates(measured, config["plan"], precision)}
    definitions = read_models(files_of(config["models"]))
    claims = read_claims(files_of(config["claims"]))
    tables = read_tables(config["tables"])
    planner = Planner(config, definitions["convnets"], definitions["models"], Path(given.results))
    needed = all_evaluations(
        tables, claims, given.models, splits=given.splits, submitted=given.submissions
    )
    checked = []
    if config["evaluate"]["precision"] != "float32":
        checked = all_checked(tables, given.models)
    guesses = all_guesses(
        tables, claims, given.models, splits=given.boxed_splits, submitted=given.box_submissions
    )
    labels = []
    if not all(is_of_true_class(row) for _, row in guesses):
        labels = evaluations(find_row(config["localise"]["labels"], tables)["evaluations"])
    jobs = planner.jobs(
        given.stores,
        given.models,
        needed,
        labelled=given.splits,
        checked=checked,
        guesses=guesses,
        boxed=given.boxed_splits,
        labels=labels,
        classified=all_classified(tables, planner.data_sets, given.models),
    )
    plan = make_plan(planner, jobs, read_records(given.records))

    print(plan_tables.as_text(plan))
    write_json(f"{given.output}.json", plan)
    with whole_file(f"{given.output}.csv") as temporary:
        lines_of_jobs(plan).to_csv(temporary, index=False)
    shown = f"{given.output}.html"
    write_page(shown, pages.render_plan(plan, config))
    reported = given.page and experiment_of(Path(given.page).with_name("index.html"))
    if given.page and (not given.refresh or reported == config["experiment"]):
        shown = given.page
        write_page(shown, pages.render_plan(plan, config, given.index or given.refresh))
    print(f"\nThe same as a page: {os.path.abspath(shown)}")


def write_page(path: str, html: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def all_guesses(
    tables: dict,
    claims: list[dict],
    models: Collection[str],
    splits: Collection[str],
    submitted: Collection[str],
) -> list[tuple[str, dict]]:
    """The split and row of all guesses that tables, claims and submissions need, each once.

    models: that the run has. splits: that have true boxes. submitted: names of submissions.
    """
    localised = [table for table in tables.values() if is_localised(table)]
    needed = [
        *((split, guessed(row)) for split in splits for table in localised
          if split in splits_of(table) for row in table["rows"]),
        *(("val", own) for own in claim_evaluations(claims, tables, models)
          if isinstance(own, Guessed) and "val" in splits),
        *(("test", own) for name, own in box_submissions(tables, models).items()
          if name in submitted),
    ]  # fmt: skip
    rows = localised_rows(tables)
    return [(s, rows[own.row]) for s, own in dict.fromkeys(needed) if has_models([own], models)]


def all_classified(
    tables: dict, data_sets: Collection[str], models: Collection[str]
) -> list[tuple[str, dict]]:
    """The data set and row of all classifiers that tables need; claims compare rows of tables.

    data_sets, models: that the run has.
    """
    rows = transferred_rows(tables)
    return [
        (data_set, row)
        for data_set in data_sets
        for name, row in rows.items()
        if has_models([transferred(row)], models) and data_set in classified_sets(tables, name)
    ]


if __name__ == "__main__":
    command.run(main)
