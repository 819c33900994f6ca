"""Inputs and options of the rules in train.smk."""

from __future__ import annotations

import os
import shutil

from . import experiments
from .localised_rows import is_of_boxes
from .rule_options import in_text, options
from .run import Run

ILSVRC_CLASSES = 1000
RUNNING_KEYS = ("checkpoint_seconds", "flat_line_iterations", "micro_batch", "observer")


def training_shards(run: Run, model: str) -> list[str]:
    """The training set at a model's S."""
    return run.shards(f"train_S{experiments.scale_name(run.models[model]['S'])}")


def validation_shards(run: Run) -> list[str]:
    """The validation set that plateaus are seen on; none if a part of the training set is."""
    return run.shards("val") if run.choices["validation_set"] == "reported" else []


def true_boxes(run: Run, model: str, split: str) -> str | list:
    """The true boxes that a net of boxes learns from, or is validated on; nothing for others."""
    held_out = run.choices["validation_set"] != "reported"
    if not is_of_boxes(run.models[model]) or (split == "val" and held_out):
        return []
    return f"{run.results}/truth/{split}.parquet"


def parent_weights(run: Run, model: str, replicate: str) -> str | list:
    """The weights that a model starts from, if any.

    replicate: the folder of the training's seed, as in `Run.replicates`; empty for the first.
    """
    parent = run.models[model].get("parent")
    own = "" if parent in run.imported else replicate
    return f"{run.results}/{own}weights/{parent}.safetensors" if parent else []


def trainings_that_wait(run: Run, model: str) -> int:
    """The most trainings, one after the other, that begin with a model's: the long chains first."""
    children = [name for name in run.trained if run.models[name].get("parent") == model]
    return 1 + max((trainings_that_wait(run, child) for child in children), default=0)


def seed_of(run: Run, replicate: str) -> int:
    """The seed of a training, by the folder of its results."""
    return next((s for s, r in run.replicates.items() if r == replicate), run.seeds[0])


def training_options(run: Run, model: str, replicate: str) -> list[str]:
    """All that decides a training's result, as options of the command."""
    entry = run.models[model]
    train = dict(run.config["train"])
    for name in (*RUNNING_KEYS, "tensorboard", "processes", "nodes"):
        train.pop(name)  # these decide how a training runs, not what it gives
    stage = dict(train.pop("stages")[experiments.STAGES[entry.get("inherit")]])
    of_boxes = run.choices_deciding("box_training") if is_of_boxes(entry) else {}
    return options(
        model=model,
        net=entry["net"],
        layers=run.convnets[entry["net"]],
        head=entry.get("head"),
        train_scale=experiments.scale_range(entry["S"]),
        inherit=entry.get("inherit"),
        trainable=entry.get("trainable"),
        learning_rate=entry["learning_rate"] * stage.pop("rate_factor"),
        **stage,
        **train,
        **run.choices_deciding("training"),
        **of_boxes,
        **run.config["convnet"],
        classes=run.classes,
        seed=seed_of(run, replicate),
    )


def running_options(run: Run) -> str:
    """How a training runs, as a part of the command's text: it decides no result."""
    text = in_text(**{key: run.config["train"][key] for key in RUNNING_KEYS})
    folder = f"{run.results}/{{wildcards.replicate}}tensorboard/{{wildcards.model}}"
    return f"{text} --tensorboard {folder}" if run.config["train"]["tensorboard"] else text


def import_options(run: Run, model: str) -> list[str]:
    """The file that a model's weights are read from, and the net that it must fit."""
    entry = run.models[model]
    return options(
        model=model,
        net=entry["net"],
        layers=run.convnets.get(entry["net"]),
        head=entry.get("head"),
        scale=experiments.scale_range(entry["S"]) if "S" in entry else None,
        **run.config["convnet"],
        classes=run.classes,
        **run.imported[model],
        **(run.choices_deciding("importing") if known_classes(run, model) else {}),
    )


def known_classes(run: Run, model: str) -> str | list:
    """The classes of a data set that is not all of ILSVRC, if a model's weights may know more.

    This pipeline's weights for a whole data set need none: they serve others without this one.
    """
    of_whole = run.imported[model]["format"] == "own" and not run.is_subset
    if of_whole or run.classes == ILSVRC_CLASSES:
        return []
    return f"{run.results}/classes.parquet"


def discard_checkpoints(run: Run) -> None:
    """Delete the checkpoints of trainings whose weights are there, when a run has ended well."""
    weights = run.of_all_seeds("weights/{model}.safetensors", run.trained)
    checkpoints = run.of_all_seeds("checkpoints/{model}", run.trained)
    for made, needed in zip(weights, checkpoints, strict=True):
        if os.path.exists(made):
            shutil.rmtree(needed, ignore_errors=True)
