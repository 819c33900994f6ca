"""Inputs, outputs and options of the rule that exports weights."""

from __future__ import annotations

from . import experiments
from .localised_rows import is_of_boxes
from .net_uses import is_library_net
from .rule_options import options
from .run import Run

FILES = ("model.safetensors", "config.json", "README.md")  # of every export


def exported(run: Run) -> list[str]:
    """The models that are exported: all that the run has, but for nets that a library defines."""
    return [model for model in run.available if not is_library_net(run.models[model]["net"])]


def exported_files(run: Run) -> list[str]:
    """The files of an exported {model}, but for timm's, which nets that timm lacks do not have."""
    names = [*FILES, *(["model.onnx"] if run.config["exports"]["onnx"] else [])]
    return [f"{run.results}/exported/{{model}}/{name}" for name in names]


def card_posteriors(run: Run, model: str) -> list[str]:
    """The posteriors of the first seed whose errors a model's card states."""
    if not run.config["exports"]["measured"]:
        return []
    needed = experiments.all_evaluations(
        run.tables, run.claims, run.available, run.labelled_splits, []
    )
    return [own.path(run.results, split) for split, own in needed if own.model == model]


def class_list(run: Run, model: str) -> str | list:
    """The list that names the classes; none for a net of boxes."""
    if not run.config["exports"]["measured"] or is_of_boxes(run.models[model]):
        return []
    return f"{run.results}/classes.parquet"


def export_options(run: Run) -> list[str]:
    """The forms that are written, and what the cards say of the data and the licence."""
    wanted, data = run.config["exports"], run.data
    return options(
        onnx=wanted["onnx"],
        no_timm=not wanted["timm"],
        license=wanted["license"],
        source=data["source"],
        **{f"{split}_images": count for split, count in data["images"].items()},
        subset=_subset(run),
        tables=run.config["tables"],
    )


def _subset(run: Run) -> str | None:
    """How the run's classes were chosen among the data set's; None if they are all."""
    if not run.is_subset:
        return None
    match run.data["classes"]:
        case {"seed": seed}:
            return f"drawn with seed {seed}"
    return "chosen by name"


def quoted_rows(run: Run, model: str) -> list[dict]:
    """The rows of tables that are a model's alone; a change of them makes its card anew."""
    return [
        row
        for table in run.measured
        for row in run.tables[table]["rows"]
        if {own.model for own in experiments.evaluations(row["evaluations"])} == {model}
    ]
