"""Errors of single evaluations of the validation set: the lines of evaluations.csv.

The tables show most of them only as a part of a mean of posteriors; the figures are drawn of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..core.text_artefacts import read_csv, write_csv
from ..evaluation.posteriors import check_paired, outcomes
from ..settings.experiments import (
    Evaluation,
    evaluations,
    is_measured,
    scale_range,
    seeded_paths,
)
from ..settings.net_uses import averages, is_library_net
from .cells import measured_cell
from .paper_tables import paper_rows

SPLIT = "val"
METRICS = ("top1", "top5")
METHODS = ("dense", "multicrop", "center")  # in the order of the lines


@dataclass(frozen=True)
class SingleError:
    """An error in percent and its 95% interval; of several seeds the mean, and how they spread.

    seed_sd: the seeds' sample standard deviation, None for one seed. paper: the paper's error, if
    it has one.
    """

    error: float
    low: float
    high: float
    seed_sd: float | None
    paper: float | None


@dataclass(frozen=True)
class MeasuredEvaluation:
    """A model tested by one method at one Q: a line of evaluations.csv.

    weight_layers, S: as Table 1 counts them, and smallest and largest; 0 and () of a library's net.
    seeds: number of trainings that the errors are means of.
    """

    model: str
    net: str
    weight_layers: int
    S: tuple[int, ...]
    method: str
    Q: int
    images: int
    seeds: int
    top1: SingleError
    top5: SingleError

    @property
    def at_single_scale(self) -> bool:
        """Whether this is dense evaluation at Q = S, in the middle of jittered S (§4.1)."""
        return self.method == "dense" and bool(self.S) and abs(self.Q - sum(self.S) / 2) <= 0.5


# The columns of evaluations.csv: top1, top1_low, … for the fields of an error.
ERROR_COLUMNS = {
    metric: {
        field.name: metric if field.name == "error" else f"{metric}_{field.name}"
        for field in fields(SingleError)
    }
    for metric in METRICS
}
OWN_COLUMNS = [field.name for field in fields(MeasuredEvaluation) if field.name not in METRICS]
COLUMNS = (*OWN_COLUMNS, *(name for own in ERROR_COLUMNS.values() for name in own.values()))


def measured_evaluations(
    needed: Collection[Evaluation],
    definitions: Mapping[str, Mapping],
    paper: Mapping[Evaluation, Mapping[str, float | None]],
    *,
    results: str,
    seeds: Sequence[int],
    imported: Collection[str],
) -> list[MeasuredEvaluation]:
    """The evaluations, measured: in the order of models in models.yaml, of methods and of Q.

    definitions: the content of models.yaml. paper: its errors, as `printed_errors` gives them.
    seeds: of the trainings. imported: models that have no seed.
    Raises InputError if the seeds' posteriors are of different images.
    """
    order = list(definitions["models"])

    def place(own: Evaluation) -> tuple:
        return order.index(own.model), METHODS.index(own.method), own.Q

    measured = []
    for own in sorted(needed, key=place):
        model = definitions["models"][own.model]
        files = seeded_paths([own], results, SPLIT, seeds=seeds, imported=imported)
        found = [outcomes(paths) for paths in files]
        check_paired({paths[0]: one for one, paths in zip(found, files, strict=True)})
        scales: tuple[int, ...] = ()
        layers = 0
        if not is_library_net(model["net"]):
            scales = tuple(scale_range(model["S"]))
            layers = weight_layers(definitions["convnets"][model["net"]])
        measured.append(
            MeasuredEvaluation(
                model=own.model,
                net=model["net"],
                weight_layers=layers,
                S=scales,
                method=own.method,
                Q=own.Q,
                images=len(found[0].top1),
                seeds=len(found),
                **{
                    metric: _single_error(
                        np.stack([getattr(one, metric) for one in found]),
                        paper.get(own, {}).get(f"{metric}_{SPLIT}"),
                    )
                    for metric in METRICS
                },
            )
        )
    return measured


def _single_error(wrong: np.ndarray, paper: float | None) -> SingleError:
    cell = measured_cell(wrong, paper)
    assert cell.measured is not None
    assert cell.low is not None
    assert cell.high is not None
    return SingleError(
        error=cell.measured, low=cell.low, high=cell.high, seed_sd=cell.seed_sd, paper=cell.paper
    )


def weight_layers(layers: str) -> int:
    """Weight layers of a net in Table 1's notation: its convs and the three FC layers (§2.2), of
    which global average pooling leaves one."""
    convs = sum(layer.startswith("conv") for layer in layers.split())
    return convs + (1 if averages(layers) else 3)


def printed_errors(tables: dict, paper: dict) -> dict[Evaluation, dict[str, float | None]]:
    """The paper's errors by metric, such as top1_val, of rows that are one evaluation each.

    paper: the content of paper_tables.yaml.
    """
    found: dict[Evaluation, dict] = {}
    for table in tables.values():
        if "paper" not in table or not is_measured(table):
            continue
        # The paper's table may have further rows, which are the literature's.
        for row, (_, errors) in zip(table["rows"], paper_rows(paper[table["paper"]]), strict=False):
            own = evaluations(row["evaluations"])
            if len(own) == 1:
                found.setdefault(own[0], errors)
    return found


def write_evaluations(path: str | Path, measured: Sequence[MeasuredEvaluation]) -> None:
    """Write evaluations.csv, one line an evaluation."""
    lines = []
    for evaluation in measured:
        line = {name: getattr(evaluation, name) for name in OWN_COLUMNS}
        line["S"] = "-".join(map(str, dict.fromkeys(evaluation.S)))
        for metric, columns in ERROR_COLUMNS.items():
            error = getattr(evaluation, metric)
            line |= {column: getattr(error, name) for name, column in columns.items()}
        lines.append(line)
    write_csv(path, lines, COLUMNS)


def read_evaluations(path: str | Path) -> list[MeasuredEvaluation]:
    """The lines of evaluations.csv. Raises InputError as `training.history.read_history` does."""
    measured = []
    for number, row in enumerate(read_csv(path, COLUMNS), start=2):
        try:
            measured.append(_parsed(row))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}, line {number}: {error}; make the file anew") from None
    return measured


def _parsed(row: Mapping[str, str]) -> MeasuredEvaluation:
    scales = [int(side) for side in row["S"].split("-")] if row["S"] else []
    errors = {}
    for metric, columns in ERROR_COLUMNS.items():
        texts = {name: row[column] for name, column in columns.items()}
        errors[metric] = SingleError(
            error=float(texts["error"]),
            low=float(texts["low"]),
            high=float(texts["high"]),
            seed_sd=float(texts["seed_sd"]) if texts["seed_sd"] else None,
            paper=float(texts["paper"]) if texts["paper"] else None,
        )
    return MeasuredEvaluation(
        model=row["model"],
        net=row["net"],
        weight_layers=int(row["weight_layers"]),
        S=(scales[0], scales[-1]) if scales else (),
        method=row["method"],
        Q=int(row["Q"]),
        images=int(row["images"]),
        seeds=int(row["seeds"]),
        **errors,
    )
