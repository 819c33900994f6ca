"""The pictures that pictures.yaml asks for, for the rules and the commands.

Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.files import InputError
from .experiments import Evaluation, evaluations, find_row, has_models
from .localised_rows import BoxEvaluation, boxes_of, check_classified, is_of_true_class
from .transferred_rows import (
    MAP,
    RECALL,
    VALIDATION_MAP,
    Transferred,
    is_transferred,
    measure_of,
    transferred,
)

if TYPE_CHECKING:
    from .run import Run

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


def feature_classifiers(pictures: dict, tables: dict) -> Transferred | None:
    """The classifiers of the row of features that is shown, if one is.

    Raises InputError if it is no row of features.
    """
    if "features" not in pictures:
        return None
    reference = pictures["features"]["row"]
    row = _row(reference, tables)
    if "descriptors" not in row:
        raise InputError(
            f"pictures: features: {reference} is no row of features; name one, such as "
            "table11/D_E, as features.row of pictures.yaml"
        )
    return transferred(row)


def feature_metrics(pictures: dict, tables: dict) -> list[str]:
    """What is shown of that row: its average precision on a data set, its recall on another.

    Raises InputError for a data set on which it is not measured so.
    """
    if (own := feature_classifiers(pictures, tables)) is None:
        return []
    section = pictures["features"]
    known = {
        metric
        for table in tables.values()
        if is_transferred(table) and any(row["name"] == own.row for row in table["rows"])
        for metric in table["metrics"]
    }
    wanted = {"data_set": f"{MAP}_{section['data_set']}"}
    if "recall" in section:
        wanted["recall.data_set"] = f"{RECALL}_{section['recall']['data_set']}"
    for key, metric in wanted.items():
        if metric not in known:
            raise InputError(f"pictures: features: {_unmeasured(key, metric, own.row, known)}")
    return list(wanted.values())


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


def check_pictures(
    pictures: dict,
    models: Mapping[str, dict],
    tables: dict,
    data_sets: Mapping[str, dict | None] | None = None,
) -> None:
    """Raise InputError for a model, a row or a data set that is not defined, or not as is shown.

    models: those that models.yaml defines. data_sets: the configuration's `transfer`, of which an
    entry of None stands for one that the run leaves out; None if it is not known.
    """
    for section in ("score_maps", "crops"):
        check_classified("pictures", section, pictures[section]["model"], models)
    systems(pictures, tables)
    class_evaluations(pictures, tables)
    box_evaluations(pictures, tables)
    feature_metrics(pictures, tables)
    if data_sets is not None and "features" in pictures:
        _check_pictured_set(pictures["features"]["data_set"], data_sets)


# Inputs and outputs of the rules of features


def pictured_sets(run: Run) -> list[str]:
    """The data sets of which features are shown: those that the run has, with their test labels."""
    if not run.pictures:
        return []
    wanted = [measure_of(metric) for metric in feature_metrics(run.pictures, run.tables)]
    return [
        data_set
        for kind, data_set in wanted
        if data_set in run.data_sets
        and (kind == RECALL or run.data_sets[data_set]["test"] == "labelled")
    ]


def feature_pictures(run: Run) -> str | list:
    """The pictures of features, if any are wanted of data sets that the run has."""
    return f"{run.results}/pictures/features.json" if pictured_sets(run) else []


def feature_curves(run: Run) -> str | list:
    """The drawing of precision against recall, if the run can measure it."""
    return f"{run.results}/pictures/features.svg" if _curved(run) else []


def feature_scores(run: Run) -> list[str]:
    """The scores behind the pictures of features, those of the first seed, and their examples."""
    if not run.pictures or (own := feature_classifiers(run.pictures, run.tables)) is None:
        return []
    return [
        path
        for data_set in _measured_sets(run)
        for path in (
            *run.posteriors([own], data_set, run.seeds[:1]),
            f"{run.results}/examples/{data_set}.parquet",
        )
    ]


def feature_shards(run: Run) -> list[str]:
    """The shards of the images among these examples that are shown."""
    return [path for data_set in _curved(run) for path in run.shards(data_set)]


def _curved(run: Run) -> list[str]:
    """The data set of which curves are shown, if the run can measure it."""
    return [name for name in _measured_sets(run) if "test" in run.data_sets[name]]


def _measured_sets(run: Run) -> list[str]:
    """Those of `pictured_sets` on which the run can measure the row: it has the row's nets."""
    own = feature_classifiers(run.pictures, run.tables) if run.pictures else None
    return pictured_sets(run) if own is not None and own.row in run.transfer_rows else []


def _unmeasured(key: str, metric: str, row: str, known: Collection[str]) -> str:
    """Why a metric of features cannot be shown, and the cure. known: those of the row."""
    kind, data_set = measure_of(metric)
    others = [measure_of(name)[1] for name in sorted(known) if measure_of(name)[0] == kind]
    cure = "name another row as features.row of pictures.yaml"
    if others:
        cure = f"name one of {', '.join(others)} as features.{key} of pictures.yaml"
    if f"{RECALL}_{data_set}" in known:
        return f"{data_set} has one class an image, which gives no curve for each; {cure}"
    if f"{MAP}_{data_set}" in known:
        return f"{data_set} has several labels an image, so it has no recall by class; {cure}"
    if f"{VALIDATION_MAP}_{data_set}" in known:
        return f"{row} is measured on the validation images of {data_set} alone; {cure}"
    return f"{data_set} is no data set that {row} is measured on; {cure}"


def _check_pictured_set(data_set: str, data_sets: Mapping[str, dict | None]) -> None:
    """Raise InputError unless a data set has images of several labels, and those are known."""
    if (entry := data_sets.get(data_set)) is None:
        return
    cure = "name another, such as voc2007, as features.data_set of pictures.yaml"
    if entry["kind"] == "actions":
        raise InputError(f"pictures: features: {data_set} has persons, not images; {cure}")
    if entry["test"] == "withheld":
        raise InputError(
            f"pictures: features: the test labels of {data_set} are withheld, so what is right is "
            f"not known; {cure}"
        )


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
