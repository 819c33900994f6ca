"""Inputs and options of the rules that measure localisation's choices and tune its threshold."""

from __future__ import annotations

from ..core.files import InputError
from . import experiments, localisation_rules, localised_choices
from .localised_choices import SPLIT
from .localised_rows import BoxEvaluation, boxes_of, guessed
from .rule_options import options
from .run import Run

TUNING_IMAGES = 2000  # of the training set


# The choices


def measured_row(run: Run) -> tuple[str, dict] | None:
    """The row that measures the choices, and that the threshold is tuned for; None if the run can
    measure none."""
    return localised_choices.measured_row(run.tables, run.available) if run.localises else None


def choices_of_stage(run: Run, *stages: str) -> list[str]:
    """The choices of localisation that decide some stages, the threshold of merging among them."""
    known = localised_choices.stages(run.schema)
    return [choice for choice, stage in known.items() if stage in stages]


def choice_guesses(run: Run) -> list[str]:
    """The guesses under every value of every choice of localisation, and the true boxes; none if
    the run has no row that measures them."""
    if (measured := measured_row(run)) is None:
        return []
    _, row = measured
    folders = [
        localised_choices.results_under(run.results, run.schema, choice, value, run.config)
        for choice in localised_choices.stages(run.schema)
        for value in localised_choices.values(run.schema, choice, run.config)
    ]
    paths = [guessed(row).path(folder, SPLIT) for folder in dict.fromkeys(folders)]
    return [*paths, f"{run.results}/truth/{SPLIT}.parquet"]


def boxes_under(run: Run, row: str, split: str, choice: str, value: str) -> list[str]:
    """The boxes that a row unites under a value of a choice: the run's, if that decides others."""
    results = run.results
    if choice in choices_of_stage(run, "boxes"):
        results = localised_choices.results_under(results, run.schema, choice, value, run.config)
    return [own.path(results, split) for own in boxes_of(run.guess_rows[row])]


def options_under(run: Run, choice: str, value: str) -> list[str]:
    """Options of `localise` under a value of a choice."""
    merging = choice in choices_of_stage(run, "localisation")
    return localisation_rules.localisation_options(run, **{choice: value} if merging else {})


# The threshold's tuning


def tuned_boxes(run: Run) -> list[BoxEvaluation]:
    """The evaluations whose boxes of training images the threshold is tuned with.

    Raises InputError if the run has no row of them.
    """
    if (measured := measured_row(run)) is None:
        raise InputError(
            "threshold: this run has no row of localisation by nets, such as "
            f"{localised_choices.MEASURED_BY}, whose merging could be tuned"
        )
    return boxes_of(measured[1])


def tuning_paths(run: Run) -> list[str]:
    """Their boxes of the training images."""
    return [own.path(f"{run.results}/tuning", "train") for own in tuned_boxes(run)]


def tuning_shards(run: Run) -> list[str]:
    """The training images that the threshold is tuned on: one store, of the largest fixed S.

    Boxes of several nets are united, so they must be of the same pixels. If all nets were trained
    at jittered S, it is that of the largest end.
    """
    scales = [run.models[own.model]["S"] for own in tuned_boxes(run)]
    fixed = [S for S in scales if not isinstance(S, list)]
    S = max(fixed or scales, key=experiments.scale_range)
    return run.shards(f"train_S{experiments.scale_name(S)}")


def tuning_options(run: Run) -> list[str]:
    """All that decides which threshold is best, given the boxes; and the configured thresholds."""
    choices = {**run.choices_deciding("localisation"), **run.choices_deciding("scoring")}
    del choices["merge_distance"]
    thresholds = run.config["localise"]["thresholds"]
    configured = [f"{distance}={threshold}" for distance, threshold in thresholds.items()]
    return options(**choices, configured=configured)
