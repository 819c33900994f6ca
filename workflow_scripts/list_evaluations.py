"""List the errors of every single evaluation of the validation set behind tables and claims.

One line a model, method and test scale Q, from which the figures are drawn: the tables show most of
them only as a part of a mean of posteriors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_csv
from workflow_scripts.vgg.evaluation.posteriors import check_paired, outcomes
from workflow_scripts.vgg.results.tables import measured_cell, paper_rows
from workflow_scripts.vgg.settings.experiments import (
    Evaluation,
    all_evaluations,
    evaluations,
    read_tables,
    read_yaml,
    scale_name,
    seeded_paths,
)

SPLIT = "val"
METRICS = ("top1", "top5")
METHODS = ("dense", "multicrop", "center")
FIELDS = {"": "measured", "_low": "low", "_high": "high", "_seed_sd": "seed_sd", "_paper": "paper"}
COLUMNS = (
    *("model", "net", "weight_layers", "S", "method", "Q", "images", "seeds"),
    *(f"{metric}{ending}" for metric in METRICS for ending in FIELDS),
)


def weight_layers(layers: str) -> int:
    """Weight layers of a net in Table 1's notation: its convs and the three FC layers (§2.2)."""
    return sum(layer.startswith("conv") for layer in layers.split()) + 3


def single_evaluations(tables: dict, paper: dict) -> dict[Evaluation, dict[str, float | None]]:
    """The paper's errors by metric, such as top1_val, of rows that are one evaluation each.

    paper: the content of paper_tables.yaml.
    """
    found: dict[Evaluation, dict] = {}
    for table in tables.values():
        if "paper" not in table:
            continue
        # The paper's table may have further rows, which are the literature's.
        for row, (_, errors) in zip(table["rows"], paper_rows(paper[table["paper"]]), strict=False):
            own = evaluations(row["evaluations"])
            if len(own) == 1:
                found.setdefault(own[0], errors)
    return found


def measure(files: Sequence[Sequence[str]], paper: dict[str, float | None]) -> dict:
    """The measured columns of a line. files: posteriors of each seed; paper: its errors by metric.

    Raises InputError if the seeds' files are about different images.
    """
    seeds = [outcomes(paths) for paths in files]
    check_paired({paths[0]: found for found, paths in zip(seeds, files, strict=True)})
    cells = {
        metric: measured_cell(
            np.stack([getattr(found, metric) for found in seeds]), paper.get(f"{metric}_{SPLIT}")
        )
        for metric in METRICS
    }
    errors = {
        f"{metric}{ending}": cell[field]
        for metric, cell in cells.items()
        for ending, field in FIELDS.items()
    }
    return {"images": cells["top1"]["images"], "seeds": len(seeds), **errors}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--claims", default="config/claims.yaml", help="the ledger, YAML")
    parser.add_argument(
        "--models-file", default="config/models.yaml", help="definitions of nets and models"
    )
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--models", nargs="*", help="that the run has; all if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--imported", nargs="*", default=[], help="models that have no seed")
    parser.add_argument("--output", required=True, help="CSV file")
    given = parser.parse_args(arguments)
    definitions, tables = read_yaml(given.models_file), read_tables(given.tables)
    models, nets = definitions["models"], definitions["convnets"]
    needed = all_evaluations(tables, read_yaml(given.claims), given.models, [SPLIT], [])
    if unknown := sorted({own.model for _, own in needed} - set(models)):
        raise InputError(f"{given.models_file}: has no model {', '.join(unknown)}")
    order = list(models)
    papers = single_evaluations(tables, read_yaml(given.paper))

    lines = []
    for own in sorted(
        (own for _, own in needed),
        key=lambda own: (order.index(own.model), METHODS.index(own.method), own.Q),
    ):
        model = models[own.model]
        files = seeded_paths([own], given.results, SPLIT, given.seeds, given.imported)
        lines.append(
            {
                "model": own.model,
                "net": model["net"],
                "weight_layers": weight_layers(nets[model["net"]]),
                "S": scale_name(model["S"]),
                "method": own.method,
                "Q": own.Q,
                **measure(files, papers.get(own, {})),
            }
        )
    write_csv(given.output, lines, COLUMNS)


if __name__ == "__main__":
    command.run(main)
