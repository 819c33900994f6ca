"""Write Tables 1 and 2 from the ConvNets themselves: their layers and their parameters.

Example:

    python -m workflow_scripts.describe_convnets --table table2 --experiment miniature \\
        --crop 96 --classes 10 --fc 512 --width-divisor 16 --output mine
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.convnets import Architecture, add_size_options, sizes_of
from workflow_scripts.vgg.results.architecture_tables import configurations, parameters
from workflow_scripts.vgg.results.tables import write_table
from workflow_scripts.vgg.settings.experiments import read_models, read_tables, read_yaml


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--table", required=True, choices=("table1", "table2"))
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--models", nargs="+", default=["config/models.yaml"], help="YAML files")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    add_size_options(parser, crop="of this run, as are the next three")
    parser.add_argument("--experiment", required=True)
    parser.add_argument(
        "--output", required=True, help="path without suffix: .csv, .json, .md, .tex"
    )
    given = parser.parse_args(arguments)
    entry = read_tables(given.tables)[given.table]
    convnets = read_models(given.models)["convnets"]
    if unknown := [net for net in entry["nets"] if net not in convnets]:
        raise InputError(f"{' and '.join(given.models)}: has no net {', '.join(unknown)}")
    nets = {net: Architecture(convnets[net]) for net in entry["nets"]}
    paper = read_yaml(given.paper)[given.table]
    if given.table == "table1":
        kind, rows = "configurations", configurations(nets, paper)
        lines = pd.DataFrame(rows).assign(layers=[" ".join(row["layers"]) for row in rows])
    else:
        kind, rows = "parameters", parameters(nets, sizes_of(given), paper)
        lines = pd.DataFrame(rows)
    table = {
        "name": given.table,
        "title": entry["title"],
        "section": entry.get("section"),
        "experiment": given.experiment,
        "kind": kind,
        "rows": rows,
        "notes": [],
    }
    write_table(given.output, table, lines)


if __name__ == "__main__":
    command.run(main)
