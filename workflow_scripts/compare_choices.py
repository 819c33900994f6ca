"""Compare the errors under each alternative of the test-time choices with the configured ones'."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.results.choice_comparison import (
    as_text,
    compared_choices,
    write_comparison,
)
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.settings.experiments import read_tables, read_yaml


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--schema", default="config/schemas/config.schema.yaml")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--models", nargs="*", help="that the run has; all if not given")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    compared = compared_choices(
        given.results,
        read_tables(given.tables),
        given.models,
        schema=read_yaml(given.schema),
        configured=read_valid("config", given.config)["choices"],
        seed=given.seed,
    )
    if not compared:
        raise InputError("no row of the tables that measures a choice has its models in this run")
    write_comparison(given.output, given.results, compared)
    print(as_text(compared))


if __name__ == "__main__":
    command.run(main)
