"""Find what classifiers of descriptors rank first and last on another data set, class by class.

Writes features.json and features.svg: precision against recall of a row on a data set of several
labels an image, and for its best and its worst class the images with the highest and the lowest
scores; and the recalls of the classes of a data set of one class an image (appendix B of the
paper).

Example:

    python -m workflow_scripts.examine_features --results results/miniature \\
        --data-sets '{"caltech101": {"title": "Caltech-101", "average_precision": null,
                      "background": null, "scale_pooling": "stack", "Q": [256, 384, 512]}}' \\
        --output mine
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_json, write_svg
from workflow_scripts.vgg.report import figures
from workflow_scripts.vgg.report.feature_views import (
    BEST,
    WORST,
    ExampleImages,
    Listed,
    recalled_classes,
)
from workflow_scripts.vgg.results.feature_measures import Measures, data_sets_of
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import read_tables, read_yaml
from workflow_scripts.vgg.settings.transferred_rows import RECALL, measure_of
from workflow_scripts.vgg.transfer.scores import read_told


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--pictures", default="config/pictures.yaml", help="what to show")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument(
        "--data-sets",
        type=data_sets_of,
        default={},
        metavar="JSON",
        help="what is measured on them",
    )
    parser.add_argument("--shards", nargs="*", default=[], help="of the data set with curves")
    parser.add_argument("--models", nargs="*", help="that the run has, if not all")
    parser.add_argument(
        "--output", required=True, help="folder for features.json, features.svg if there are curves"
    )
    given = parser.parse_args(arguments)
    wanted, tables = read_yaml(given.pictures), read_tables(given.tables)
    row = pictures_wanted.feature_classifiers(wanted, tables)
    if row is None:
        raise InputError(f"{given.pictures}: wants no features; add them, or leave this out")
    section = wanted["features"]
    measures = Measures(given.results, given.data_sets, seed=0)  # of intervals, which none are
    missing = [m for m in row.models if given.models is not None and m not in given.models]
    content: dict = {
        "experiment": Path(given.results).name,
        "row": section["row"],
        "missing": missing,
        "ranked": None,
        "recalled": None,
    }
    for metric in pictures_wanted.feature_metrics(wanted, tables):
        if missing or not measures.has(metric):
            continue
        path = row.path(given.results, measure_of(metric)[1])
        if measure_of(metric)[0] == RECALL:
            content["recalled"] = recalled(measures, metric, path, section["recall"])
        else:
            content["ranked"] = ranked(measures, metric, path, section, given.shards)
            drawing = figures.precision_against_recall(content["ranked"])
            write_svg(Path(given.output, "features.svg"), drawing)
    write_json(Path(given.output, "features.json"), content)


def ranked(
    measures: Measures, metric: str, path: str, section: dict, shards: Sequence[str]
) -> dict:
    """The curves of all classes, and the images of the best and the worst. path: of the scores."""
    measure, title = measures.of(metric), title_of(measures, metric)
    if measure.examples.boxes is not None:
        raise InputError(f"pictures: features: {title} has persons, not images; name another")
    unread = {n for own in read_told(path)["chosen"] for n in own["undescribed"]}
    scores = measures.read(path, measure.examples)
    listed = Listed(measure, scores, title, frozenset(unread))
    classes, images = listed.classes(), ExampleImages(shards)
    kept = ("class", "role", "average_precision", "positives", "counted")
    return {
        "title": title,
        "definition": measure.definition,
        "images": len(listed.places),
        "mean": float(np.mean([entry["average_precision"] for entry in classes])),
        "classes": classes,
        "shown": [
            {key: entry[key] for key in kept}
            | listed.first_and_last(entry["class"], images, section["images"])
            for entry in classes
            if entry["role"] in (BEST, WORST)
        ],
    }


def recalled(measures: Measures, metric: str, path: str, section: dict) -> dict:
    """The recalls of all classes, and how many are on the page."""
    measure = measures.of(metric)
    scores = measures.read(path, measure.examples)
    splits = measure.over_splits(scores)
    return {
        "title": title_of(measures, metric),
        "images": measure.count(scores),
        "mean": splits.mean,
        "sd": splits.sd,
        "splits": len(splits.per_split),
        "best": section["best"],
        "worst": section["worst"],
        "classes": recalled_classes(measure, scores),
    }


def title_of(measures: Measures, metric: str) -> str:
    """A data set's name as a reader knows it."""
    return measures.data_sets[measure_of(metric)[1]]["title"]


if __name__ == "__main__":
    command.run(main)
