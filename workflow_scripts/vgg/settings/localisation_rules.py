"""Inputs and options of the rules in localisation.smk."""

from __future__ import annotations

from . import experiments, pictures_wanted
from .localised_rows import boxes_of, is_of_boxes
from .rule_options import options
from .run import Run
from .training_rules import parent_weights


def replicate_folder(run: Run, model: str, replicate: str) -> str:
    """Where a model's files of a seed are; an imported one has no seed."""
    return f"{run.results}/{'' if model in run.imported else replicate}"


def weights(run: Run, model: str, replicate: str) -> str:
    """A model's weights, of a seed."""
    return f"{replicate_folder(run, model, replicate)}weights/{model}.safetensors"


def classifier(run: Run, model: str, method: str, replicate: str) -> str | list:
    """The net that rates boxes: the one that the net of boxes started from; none is needed for
    central crops."""
    return parent_weights(run, model, replicate) if method == "dense" else []


def label_posteriors(run: Run, split: str, method: str, replicate: str) -> list[str]:
    """The posteriors that name the five classes to box; none for central crops."""
    if method != "dense":
        return []
    return [
        evaluation.path(replicate_folder(run, evaluation.model, replicate).rstrip("/"), split)
        for evaluation in run.labels_of_guesses
    ]


def box_evaluation_options(run: Run, method: str = "dense", **alternative) -> list[str]:
    """All that decides boxes, as options; `alternative` replaces one."""
    choices = run.choices_deciding("boxes")
    if method == "center":
        del choices["box_flip"]  # a central crop's box has no part in it
    return options(**choices | run.config["evaluate"] | alternative)


def localisation_options(run: Run, **alternative) -> list[str]:
    """All that decides guesses, given the boxes; `alternative` replaces one."""
    choices = run.choices_deciding("localisation") | alternative
    threshold = run.config["localise"]["thresholds"][choices["merge_distance"]]
    return options(**{"merge_threshold": threshold} | choices)


def scoring_options(run: Run) -> list[str]:
    """All that decides which guesses are wrong."""
    return options(**run.choices_deciding("scoring"))


def united_boxes(run: Run, row: str, split: str, replicate: str) -> list[str]:
    """The boxes that a row unites."""
    return [
        own.path(replicate_folder(run, own.model, replicate).rstrip("/"), split)
        for own in boxes_of(run.guess_rows[row])
    ]


def box_models(run: Run) -> list[str]:
    """The run's nets of boxes."""
    return [model for model in run.available if is_of_boxes(run.models[model])]


def fixed_rows(run: Run) -> list[str]:
    """The rows that guess one box for all images."""
    return [name for name, row in run.guess_rows.items() if "fixed_box" in row]


def merged_rows(run: Run) -> list[str]:
    """The rows whose guesses come from nets."""
    return [name for name in run.guess_rows if name not in fixed_rows(run)]


def fixed_box_posteriors(run: Run, row: str, split: str) -> list[str]:
    """The posteriors that name the classes of a row of one box; none for the true class."""
    labels = run.guess_rows[row]["fixed_box"]["labels"]
    return label_posteriors(run, split, "dense", "") if labels == "likeliest" else []


def fixed_box_truth(run: Run, row: str) -> str | list:
    """The true boxes that the mean box is of."""
    box = run.guess_rows[row]["fixed_box"]["box"]
    return f"{run.results}/truth/train.parquet" if box == "training-mean" else []


def guesses(run: Run, table: str, splits: list[str]) -> list[str]:
    """The guesses behind a table, and the true boxes to score them by."""
    rows = [row["name"] for row in run.tables[table]["rows"] if row["name"] in run.guess_rows]
    needed = [experiments.guessed(run.guess_rows[name]) for name in rows]
    if not needed:
        return []
    return [
        *(path for split in splits for path in run.posteriors(needed, split)),
        *(f"{run.results}/truth/{split}.parquet" for split in splits),
    ]


def pictured_row(run: Run) -> str | None:
    """The row whose boxes are on the page of pictures; None if the run cannot measure it."""
    if not run.pictures or "boxes" not in run.pictures:
        return None
    name = run.pictures["boxes"]["row"].partition("/")[2]
    return name if name in run.guess_rows else None


def box_pictures(run: Run) -> str | list:
    """The pictures of boxes, if any are wanted."""
    wanted = run.pictures and "boxes" in run.pictures
    return f"{run.results}/pictures/boxes.json" if wanted else []


def pictured_guesses(run: Run) -> list[str]:
    """The guesses behind the pictures of boxes, those of the first seed."""
    if (row := pictured_row(run)) is None:
        return []
    return run.posteriors(
        [experiments.guessed(run.guess_rows[row])], pictures_wanted.SPLIT, run.seeds[:1]
    )


def pictured_boxes(run: Run) -> list[str]:
    """The boxes behind the same guesses."""
    row = pictured_row(run)
    return [] if row is None else united_boxes(run, row, pictures_wanted.SPLIT, "")


def pictured_truth(run: Run) -> list[str]:
    """The true boxes that the same guesses are held against."""
    row = pictured_row(run)
    return [] if row is None else [f"{run.results}/truth/{pictures_wanted.SPLIT}.parquet"]
