"""The images and the classes that the nets get wrong, as a page and as lines of CSV have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.classes import ClassName
from ..results.predictions import (
    Predictions,
    best_fused,
    class_errors,
    confusions,
    hardest,
)
from ..settings import pictures_wanted
from .picked_images import PickedImages

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
    place: int, found: Mapping[str, Predictions], images: PickedImages, classes: Sequence[ClassName]
) -> dict:
    """An image with the first classes of each system; ranks begin at 1.

    place: of the image in the order of ids. found: predictions by system, the fusion last.
    """
    fusion = found[pictures_wanted.FUSION]
    image = images.describe(fusion.ids[place])
    systems: list[dict] = []
    for name, own in found.items():
        first = zip(own.classes[place].tolist(), own.posteriors[place].tolist(), strict=True)
        systems.append(
            {
                "system": name,
                "rank": int(own.rank[place]) + 1,
                "posterior": float(own.true_posterior[place]),
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


def example_images(
    found: Mapping[str, Predictions],
    images: PickedImages,
    classes: Sequence[ClassName],
    counts: Mapping[str, int],
) -> dict[str, list[dict]]:
    """The hardest and the best-fused images, by group. counts: how many images of each group."""
    *nets, fusion = found.values()
    places = {
        "hardest": hardest(fusion, counts["hardest"]),
        "best_fused": best_fused(fusion, nets, counts["best_fused"]),
    }
    return {
        group: [image_entry(place, found, images, classes) for place in chosen]
        for group, chosen in places.items()
    }


def class_entries(found: Predictions, classes: Sequence[ClassName]) -> list[dict]:
    """The errors of each class, with its names, by label."""
    errors = class_errors(found, len(classes))
    return [
        {"label": label, "wnid": c.wnid, "class": c.name, "words": c.words, **error}
        for label, (c, error) in enumerate(zip(classes, errors, strict=True))
    ]


def pair_entries(found: Predictions, classes: Sequence[ClassName]) -> list[dict]:
    """The confused pairs, the most frequent first."""
    return [pair_entry(pair, classes) for pair in confusions(found)]
