"""Find the images and the classes that the nets get wrong on the validation set.

Writes images.json and images.csv: the hardest and the best-fused images, with the first five
classes of each net and of the fusion. And classes.json, classes.csv, confusions.csv: the errors
class by class, and the confused pairs.

Example:

    python -m workflow_scripts.examine_errors --results results/miniature \\
        --shards results/miniature/shards/val/*.arrow --output mine
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.text_artefacts import write_json, write_plain_csv
from workflow_scripts.vgg.data.classes import read_class_names
from workflow_scripts.vgg.report.error_examples import (
    CLASS_COLUMNS,
    CONFUSION_COLUMNS,
    IMAGE_COLUMNS,
    class_entries,
    example_images,
    image_lines,
    pair_entries,
)
from workflow_scripts.vgg.report.picked_images import PickedImages
from workflow_scripts.vgg.results.predictions import Predictions, predictions
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import Evaluation, read_tables, read_yaml


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--pictures", default="config/pictures.yaml", help="what to show")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--shards", nargs="+", required=True, help="the validation set's shards")
    parser.add_argument("--models", nargs="*", help="that the run has; others are left out")
    parser.add_argument(
        "--output", required=True, help="folder for images, classes (.json, .csv), confusions.csv"
    )
    given = parser.parse_args(arguments)
    wanted, tables = read_yaml(given.pictures), read_tables(given.tables)
    classes = read_class_names(f"{given.results}/classes.parquet")
    head = {"experiment": Path(given.results).name, "split": pictures_wanted.SPLIT}

    @cache
    def predictions_of(own: tuple[Evaluation, ...]) -> Predictions:
        return predictions([e.path(given.results, pictures_wanted.SPLIT) for e in own])

    systems = pictures_wanted.systems(wanted, tables)
    together = [e for own in systems.values() for e in own]
    missing = pictures_wanted.missing_models(together, given.models)
    groups: dict[str, list[dict]] = {"hardest": [], "best_fused": []}
    if not missing:
        found = {name: predictions_of(tuple(own)) for name, own in systems.items()}
        images = PickedImages(given.shards, classes)
        groups = example_images(found, images, classes, counts=wanted["images"])
    rows = {**wanted["images"]["nets"], pictures_wanted.FUSION: wanted["images"]["fusion"]}
    write_json(f"{given.output}/images.json", head | {"rows": rows, "missing": missing} | groups)
    write_plain_csv(f"{given.output}/images.csv", image_lines(groups), IMAGE_COLUMNS)

    section = wanted["classes"]
    own = pictures_wanted.class_evaluations(wanted, tables)
    missing = pictures_wanted.missing_models(own, given.models)
    errors, pairs = [], []
    if not missing:
        of_row = predictions_of(tuple(own))
        errors, pairs = class_entries(of_row, classes), pair_entries(of_row, classes)
    content = head | {"row": section["row"], "missing": missing}
    content |= {key: section[key] for key in ("worst", "best")}
    content |= {"pairs": len(pairs), "confusions": pairs[: section["confusions"]]}
    write_json(f"{given.output}/classes.json", content | {"classes": errors})
    write_plain_csv(f"{given.output}/classes.csv", errors, CLASS_COLUMNS)
    write_plain_csv(f"{given.output}/confusions.csv", pairs, CONFUSION_COLUMNS)


if __name__ == "__main__":
    command.run(main)
