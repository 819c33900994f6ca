"""List the errors of every single evaluation of the validation set behind tables and claims.

One line a model, method and test scale Q, from which the figures are drawn: the tables show most of
them only as a part of a mean of posteriors.

Example:

    python -m workflow_scripts.list_evaluations --results results/miniature --output mine.csv
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.results import single_evaluations
from workflow_scripts.vgg.settings.experiments import (
    all_evaluations,
    read_claims,
    read_models,
    read_tables,
    read_yaml,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument(
        "--claims", nargs="+", default=["config/claims.yaml"], help="the ledger, YAML files"
    )
    parser.add_argument(
        "--models-file",
        nargs="+",
        default=["config/models.yaml"],
        help="definitions of nets and models",
    )
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--models", nargs="*", help="that the run has; all if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--imported", nargs="*", default=[], help="models that have no seed")
    parser.add_argument("--output", required=True, help="CSV file")
    given = parser.parse_args(arguments)
    definitions, tables = read_models(given.models_file), read_tables(given.tables)
    needed = [
        own
        for _, own in all_evaluations(
            tables,
            read_claims(given.claims),
            given.models,
            splits=[single_evaluations.SPLIT],
            submitted=[],
        )
    ]
    if unknown := sorted({own.model for own in needed} - set(definitions["models"])):
        files = " and ".join(given.models_file)
        raise InputError(f"{files}: has no model {', '.join(unknown)}")
    measured = single_evaluations.measured_evaluations(
        needed,
        definitions,
        single_evaluations.printed_errors(tables, read_yaml(given.paper)),
        results=given.results,
        seeds=given.seeds,
        imported=given.imported,
    )
    single_evaluations.write_evaluations(given.output, measured)


if __name__ == "__main__":
    command.run(main)
