"""Compare the errors under each alternative of the test-time choices with the configured ones'.

Choices of evaluation by classification errors; those of localisation and of features for other data
sets, where the run has rows of them, by localisation errors and by the data sets' measures, in
tables of their own.

`snakemake choices` evaluates what is compared here: the example runs after it.

Example:

    python -m workflow_scripts.compare_choices --config results/miniature/config.yaml \\
        --results results/miniature --output mine
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.results.choice_comparison import (
    as_text,
    compared_choices,
    write_comparison,
)
from workflow_scripts.vgg.results.feature_comparison import (
    compared_features,
    features_as_text,
    write_features,
)
from workflow_scripts.vgg.results.localised_comparison import (
    compared_localisation,
    localised_as_text,
    write_localised,
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
    parser.add_argument(
        "--output",
        required=True,
        help="path without suffix: .csv, .json, _localisation.csv, _features.csv",
    )
    given = parser.parse_args(arguments)
    tables, schema = read_tables(given.tables), read_yaml(given.schema)
    config = read_valid("config", given.config)
    compared = compared_choices(
        given.results,
        tables,
        given.models,
        schema=schema,
        configured=config["choices"],
        seed=given.seed,
    )
    localised = None
    if config["data"]["archives"]["val_boxes"]:
        localised = compared_localisation(
            given.results, tables, given.models, schema=schema, config=config, seed=given.seed
        )
    features = compared_features(
        given.results, tables, given.models, schema=schema, config=config, seed=given.seed
    )
    if not compared and not localised and not features:
        raise InputError("no row of the tables that measures a choice has its models in this run")
    write_comparison(given.output, given.results, compared, localised, features)
    if compared:
        print(as_text(compared))
    if localised:
        write_localised(f"{given.output}_localisation.csv", localised)
        print(f"\n{localised_as_text(localised)}")
    if features:
        write_features(f"{given.output}_features.csv", features)
        print(f"\n{features_as_text(features)}")


if __name__ == "__main__":
    command.run(main)
