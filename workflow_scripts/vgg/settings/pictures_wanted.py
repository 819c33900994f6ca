"""The pictures that pictures.yaml asks for, for the rules and the commands.

Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..core.files import InputError
from .experiments import Evaluation, evaluations, find_row, has_models
from .localised_rows import BoxEvaluation, boxes_of, check_classified, is_of_true_class

SPLIT = "val"
FUSION = "fusion"  # what the page calls the fusion beside the names of its nets


def score_map_evaluations(pictures: dict) -> list[Evaluation]:
    """The evaluations by which images with telling score maps are found, one for each Q."""
    wanted = pictures["score_maps"]
    return [Evaluation(wanted["model"], "dense", Q) for Q in wanted["Q"]]


def crop_evaluations(pictures: dict) -> list[Evaluation]:
    """The two evaluations by which images with telling crops are found: multi-crop, dense."""
    wanted = pictures["crops"]
    return [Evaluation(wanted["model"], method, wanted["Q"]) for method in ("multicrop", "dense")]


def systems(pictures: dict, tables: dict) -> dict[str, list[Evaluation]]:
    """The evaluations of the single nets, by their short names, and last those of the fusion."""
    rows = {**pictures["images"]["nets"], FUSION: pictures["images"]["fusion"]}
    return {name: _row_evaluations(row, tables) for name, row in rows.items()}


def class_evaluations(pictures: dict, tables: dict) -> list[Evaluation]:
    """The evaluations of the row whose errors are given class by class."""
    return _row_evaluations(pictures["classes"]["row"], tables)


def box_evaluations(pictures: dict, tables: dict) -> list[BoxEvaluation]:
    """The boxes of the row whose windows, merged boxes and guesses are shown, if any are.

    Raises InputError if it is no row of dense boxes.
    """
    if "boxes" not in pictures:
        return []
    reference = pictures["boxes"]["row"]
    row = _row(reference, tables)
    if not boxes_of(row) or is_of_true_class(row):
        raise InputError(
            f"pictures: boxes: {reference} is no row of dense boxes; name one, such as "
            "table9/fusion, as boxes.row of pictures.yaml"
        )
    return boxes_of(row)


def looked_through(pictures: dict, models: Collection[str] | None = None) -> list[Evaluation]:
    """All evaluations that `look_through_net` reads the posteriors of, each once.

    models: those that the run has; what needs others is left out. None stands for all.
    """
    return _available([score_map_evaluations(pictures), crop_evaluations(pictures)], models)


def examined(
    pictures: dict, tables: dict, models: Collection[str] | None = None
) -> list[Evaluation]:
    """The same for `examine_errors`."""
    together = [e for own in systems(pictures, tables).values() for e in own]
    return _available([together, class_evaluations(pictures, tables)], models)


def missing_models(
    own: Sequence[Evaluation | BoxEvaluation], models: Collection[str] | None
) -> list[str]:
    """The models that evaluations need and a run does not have; None stands for all."""
    return [
        model
        for model in dict.fromkeys(evaluation.model for evaluation in own)
        if models is not None and model not in models
    ]


def check_pictures(pictures: dict, models: Mapping[str, dict], tables: dict) -> None:
    """Raise InputError for a model or a row that is not defined, or not of the kind that is shown.

    models: those that models.yaml defines.
    """
    for section in ("score_maps", "crops"):
        if (name := pictures[section]["model"]) not in models:
            raise InputError(f"pictures: {section}: {name} is not in models.yaml")
        check_classified(f"pictures: {section}", name, models)
    systems(pictures, tables)
    class_evaluations(pictures, tables)
    box_evaluations(pictures, tables)


def _row_evaluations(reference: str, tables: dict) -> list[Evaluation]:
    row = _row(reference, tables)
    if "evaluations" not in row:
        raise InputError(
            f"pictures: {reference} has no posteriors; name a row with `evaluations` in "
            "pictures.yaml"
        )
    return evaluations(row["evaluations"])


def _row(reference: str, tables: dict) -> dict:
    try:
        return find_row(reference, tables)
    except InputError:
        raise InputError(
            f"pictures: {reference} is no row of the tables; expected <table>/<name>"
        ) from None


def _available(
    sets: Sequence[Sequence[Evaluation]], models: Collection[str] | None
) -> list[Evaluation]:
    return list(dict.fromkeys(e for own in sets if has_models(own, models) for e in own))
