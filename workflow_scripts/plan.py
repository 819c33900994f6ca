"""Print, and write as a page, what a run will cost by arithmetic and what its jobs have cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.planning.plan_contents import lines_of_jobs, make_plan, measured_rates
from workflow_scripts.vgg.planning.planner import Planner
from workflow_scripts.vgg.planning.records import read_records
from workflow_scripts.vgg.report import inputs, pages, plan_tables
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.settings.experiments import (
    all_checked,
    all_evaluations,
    read_tables,
    read_yaml,
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
    parser.add_argument("--rates", help="summary.json of `benchmark`: rates measured, not stated")
    parser.add_argument("--index", action="store_true", help="link the page to the index beside it")
    parser.add_argument("--page", required=True, help="the HTML page to write")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    config = read_valid("config", given.config)
    if given.rates:
        precision = config["evaluate"]["precision"]
        measured = inputs.load_benchmarks(given.rates)
        config |= {"plan": measured_rates(measured, config["plan"], precision)}
    definitions, claims = read_yaml(config["models"]), read_yaml(config["claims"])
    tables = read_tables(config["tables"])
    planner = Planner(config, definitions["convnets"], definitions["models"], Path(given.results))
    evaluations = all_evaluations(
        tables, claims, given.models, splits=given.splits, submitted=given.submissions
    )
    checked = []
    if config["evaluate"]["precision"] != "float32":
        checked = all_checked(tables, given.models)
    jobs = planner.jobs(
        given.stores, given.models, evaluations, labelled=given.splits, checked=checked
    )
    plan = make_plan(planner, jobs, read_records(given.records))

    print(plan_tables.as_text(plan))
    write_json(f"{given.output}.json", plan)
    with whole_file(f"{given.output}.csv") as temporary:
        lines_of_jobs(plan).to_csv(temporary, index=False)
    with whole_file(given.page) as temporary:
        temporary.write_text(pages.render_plan(plan, config, given.index), encoding="utf-8")
    print(f"\nThe same as a page: {os.path.abspath(given.page)}")


if __name__ == "__main__":
    command.run(main)
