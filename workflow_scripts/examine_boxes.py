"""Find telling images of localisation, and the boxes behind what is guessed for them.

Writes boxes.json: validation images that a row has right and that it has wrong, each with the boxes
of all windows for one class, what they are merged into, the true boxes and all guesses (appendix A
of the paper).

Example:

    python -m workflow_scripts.examine_boxes --results results/miniature \\
        --shards results/miniature/shards/val/*.arrow \\
        --truth results/miniature/truth/val.parquet \\
        --guesses results/miniature/localisation/val/fusion.parquet \\
        --boxes results/miniature/boxes/val/*/dense_*.parquet --output mine.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import read_class_names
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.report.box_views import box_entry, find_boxes, read_localised
from workflow_scripts.vgg.report.picked_images import PickedImages
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import read_tables, read_yaml


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--pictures", default="config/pictures.yaml", help="what to show")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--shards", nargs="+", required=True, help="the validation set's shards")
    parser.add_argument("--guesses", help="that localise wrote of the row; none if it cannot")
    parser.add_argument("--boxes", nargs="+", help="that it wrote them from")
    parser.add_argument("--truth", help="true boxes of the validation set, by read_boxes")
    parser.add_argument("--models", nargs="*", help="that the run has, if not all")
    parser.add_argument(
        "--no-true-boxes", action="store_true", help="the run has none, so it cannot localise"
    )
    add_options(parser, Scoring)
    parser.add_argument("--output", required=True, help="boxes.json")
    given = parser.parse_args(arguments)
    if len({bool(given.guesses), bool(given.boxes), bool(given.truth)}) > 1:
        parser.error("--guesses, --boxes and --truth go together")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    wanted, tables = read_yaml(given.pictures), read_tables(given.tables)
    nets = pictures_wanted.box_evaluations(wanted, tables)
    scales: dict[str, list[int]] = {}
    for own in nets:
        scales.setdefault(own.model, []).append(own.Q)
    content = {
        "experiment": Path(given.results).name,
        "split": pictures_wanted.SPLIT,
        "row": wanted["boxes"]["row"],
        "nets": [{"model": model, "Q": Q} for model, Q in scales.items()],
        "has_true_boxes": not given.no_true_boxes,
        "missing": pictures_wanted.missing_models(nets, given.models),
        "right": [],
        "wrong": [],
    }
    if given.guesses:
        content |= telling_images(given, wanted["boxes"])
    elif content["has_true_boxes"] and not content["missing"]:
        raise InputError(
            f"the run has all models of {content['row']}: give --guesses, --boxes and --truth"
        )
    write_json(given.output, content)


def telling_images(given: argparse.Namespace, section: dict) -> dict:
    """The images, right and wrong, with how many there are of each, and the rules behind them."""
    localised = read_localised(given.guesses, given.truth, from_options(Scoring, given))
    ids = localised.scored.guesses.ids
    places = localised.telling(section["right"], section["wrong"])
    boxed = find_boxes(given.boxes, {ids[place] for own in places.values() for place in own})
    classes = read_class_names(f"{given.results}/classes.parquet")
    images = PickedImages(given.shards, classes)

    def entry(place: int) -> dict:
        image = images.describe(ids[place])
        return box_entry(localised, place, image, boxed[ids[place]], classes)

    rules = (localised.merging, localised.clipping, localised.scoring)
    return {
        "scored": len(ids),
        "scored_right": int((~localised.scored.wrong).sum()),
        "rules": {name: value for own in rules for name, value in vars(own).items()},
        **{group: [entry(place) for place in own] for group, own in places.items()},
    }


if __name__ == "__main__":
    command.run(main)
