"""Find the images and the classes that the nets get wrong on the validation set.

Writes images.json and images.csv: the hardest and the best-fused images, with the first five
classes of each net and of the fusion. And classes.json, classes.csv, confusions.csv: the errors
class by class, and the confused pairs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import ClassName, read_class_names
from workflow_scripts.vgg.report.picked_images import PickedImages
from workflow_scripts.vgg.results.predictions import (
    Answers,
    answers,
    best_fused,
    class_errors,
    confusions,
    hardest,
)
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import Evaluation, read_tables, read_yaml

IMAGE_COLUMNS = (
    "group",
    "id",
    "true_wnid",
    "true_class",
    "system",
    "rank",
    "wnid",
    "class",
    "posterior",
)
CLASS_COLUMNS = (
    "label",
    "wnid",
    "class",
    "words",
    "images",
    "wrong",
    "top1_error",
    "top1_low",
    "top1_high",
    "wrong_top5",
    "top5_error",
)
CONFUSION_COLUMNS = (
    "true_label",
    "true_wnid",
    "true_class",
    "predicted_label",
    "predicted_wnid",
    "predicted_class",
    "images",
    "share",
)


def image_entry(
    place: int, found: dict[str, Answers], images: PickedImages, classes: Sequence[ClassName]
) -> dict:
    """An image with the first classes of each system; ranks begin at 1.

    place: of the image in the order of ids. found: answers by system, the fusion last.
    """
    fusion = found[pictures_wanted.FUSION]
    image = images.describe(fusion.ids[place])
    systems = []
    for name, answer in found.items():
        first = zip(answer.classes[place].tolist(), answer.posteriors[place].tolist(), strict=True)
        systems.append(
            {
                "system": name,
                "rank": int(answer.rank[place]) + 1,
                "posterior": float(answer.true_posterior[place]),
                "first": [
                    {
                        "rank": rank,
                        "wnid": classes[label].wnid,
                        "class": classes[label].name,
                        "posterior": posterior,
                        "true": label == image["label"],
                    }
                    for rank, (label, posterior) in enumerate(first, start=1)
                ],
            }
        )
    alt = (
        f"Validation image {image['id']}, class {image['class']}; the fusion's first class is "
        f"{systems[-1]['first'][0]['class']}."
    )
    return image | {"alt": alt, "systems": systems}


def image_lines(groups: dict[str, list[dict]]) -> list[dict]:
    """One line an image, system and rank: the first classes, and the true one wherever it is."""
    lines = []
    for group, shown in groups.items():
        for image in shown:
            for system in image["systems"]:
                first = [{k: v for k, v in c.items() if k != "true"} for c in system["first"]]
                if system["rank"] > len(first):
                    of_class = {"wnid": image["wnid"], "class": image["class"]}
                    last = {"rank": system["rank"], "posterior": system["posterior"]}
                    first.append(of_class | last)
                lines += [
                    {
                        "group": group,
                        "id": image["id"],
                        "true_wnid": image["wnid"],
                        "true_class": image["class"],
                        "system": system["system"],
                        **line,
                    }
                    for line in first
                ]
    return lines


def pair_entry(pair: tuple[int, int, int, float], classes: Sequence[ClassName]) -> dict:
    """A confused pair with the names of its classes."""
    true, predicted, images, share = pair
    return {
        "true_label": true,
        "true_wnid": classes[true].wnid,
        "true_class": classes[true].name,
        "predicted_label": predicted,
        "predicted_wnid": classes[predicted].wnid,
        "predicted_class": classes[predicted].name,
        "images": images,
        "share": share,
    }


def write_csv(path: str, columns: Sequence[str], lines: Sequence[dict]) -> None:
    """Write lines, mappings from column to value, under a header; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


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
    def answers_of(own: tuple[Evaluation, ...]) -> Answers:
        return answers([e.path(given.results, pictures_wanted.SPLIT) for e in own])

    systems = pictures_wanted.systems(wanted, tables)
    together = [e for own in systems.values() for e in own]
    missing = pictures_wanted.missing_models(together, given.models)
    groups = {"hardest": [], "best_fused": []}
    if not missing:
        found = {name: answers_of(tuple(own)) for name, own in systems.items()}
        images = PickedImages(given.shards, classes)
        *nets, fusion = found.values()
        places = {
            "hardest": hardest(fusion, wanted["images"]["hardest"]),
            "best_fused": best_fused(fusion, nets, wanted["images"]["best_fused"]),
        }
        groups = {
            group: [image_entry(place, found, images, classes) for place in chosen]
            for group, chosen in places.items()
        }
    rows = {**wanted["images"]["nets"], pictures_wanted.FUSION: wanted["images"]["fusion"]}
    write_json(f"{given.output}/images.json", head | {"rows": rows, "missing": missing} | groups)
    write_csv(f"{given.output}/images.csv", IMAGE_COLUMNS, image_lines(groups))

    section = wanted["classes"]
    own = pictures_wanted.class_evaluations(wanted, tables)
    missing = pictures_wanted.missing_models(own, given.models)
    errors, pairs = [], []
    if not missing:
        found = answers_of(tuple(own))
        errors = [
            {"label": label, "wnid": c.wnid, "class": c.name, "words": c.words, **error}
            for label, (c, error) in enumerate(
                zip(classes, class_errors(found, len(classes)), strict=True)
            )
        ]
        pairs = [pair_entry(pair, classes) for pair in confusions(found)]
    content = head | {"row": section["row"], "missing": missing}
    content |= {key: section[key] for key in ("worst", "best")}
    content |= {"pairs": len(pairs), "confusions": pairs[: section["confusions"]]}
    write_json(f"{given.output}/classes.json", content | {"classes": errors})
    write_csv(f"{given.output}/classes.csv", CLASS_COLUMNS, errors)
    write_csv(f"{given.output}/confusions.csv", CONFUSION_COLUMNS, pairs)


if __name__ == "__main__":
    command.run(main)
