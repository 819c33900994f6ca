"""Show what a ConvNet sees of a few validation images when it is tested (paper §3.2).

Writes score_maps.json, the class score maps of dense evaluation at several test scales, and
crops.json, the 5×5 grid of multi-crop evaluation with the posterior of each crop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import sha256
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import read_class_names
from workflow_scripts.vgg.data.images import RESIZE_FILTERS, pixels_at, rescale
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.evaluation.score_maps import (
    crop_corners,
    crop_posteriors,
    score_map,
    where,
)
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import POOLING_ROUNDING, ConvNet
from workflow_scripts.vgg.nets.devices import explained_memory, pick_device, to_input
from workflow_scripts.vgg.nets.weights import load_weights
from workflow_scripts.vgg.report.picked_images import PickedImages
from workflow_scripts.vgg.report.thumbnails import QUALITY, data_uri
from workflow_scripts.vgg.results.predictions import Answers, answers, one_of_each_class
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import Evaluation, read_yaml

SHEET_CROP, SHEET_GAP = 44, 3  # pixels of a crop on the sheet of all crops, and between two


@dataclass(frozen=True)
class Eye:
    """A net on its device with what it was trained to subtract, float [3], and a resize filter."""

    net: ConvNet
    mean: torch.Tensor
    resize_filter: str

    @cached_property
    def dense(self) -> methods.DenseConvNet:
        """The net as dense evaluation runs it; its FC weights are copies."""
        return methods.DenseConvNet(self.net)

    def rescaled(self, pixels: np.ndarray, Q: int, name: str) -> np.ndarray:
        """An image as this net is tested on it at Q, uint8 [height, width, 3]."""
        side = pixels_at(Q, self.net.architecture.crop)
        return rescale(pixels, side, self.resize_filter, name=name)

    def input(self, pixels: np.ndarray) -> torch.Tensor:
        """Pixels, uint8 [height, width, 3], as the net takes them: float [1, 3, height, width]."""
        batch = torch.from_numpy(np.stack([pixels])).permute(0, 3, 1, 2)
        return to_input(batch.to(self.mean.device), self.mean, 1.0)


def most_spread(found: Sequence[Answers], count: int) -> list[int]:
    """Images of different classes whose true class's posterior differs most between evaluations.

    Returns their places in the order of ids, the largest difference first.
    """
    spread = np.ptp([answer.true_posterior for answer in found], axis=0)
    return one_of_each_class(np.argsort(-spread, kind="stable"), found[0].labels, count)


def map_entry(
    eye: Eye, image: dict, pixels: np.ndarray, Q: int, names: Sequence[str], score_average: str
) -> dict:
    """An image's score map at Q, and what becomes of it; lengths are pixels at that scale.

    image: as PickedImages describes it. pixels: uint8 [height, width, 3]. names: of the classes.
    """
    architecture, label = eye.net.architecture, image["label"]
    pixels = eye.rescaled(pixels, Q, f"image {image['id']}")
    with explained_memory(f"a whole image at Q = {Q}", "lower score_maps.Q of pictures.yaml"):
        found = score_map(eye.dense, eye.input(pixels), score_average)
    places, first = found.places[label], int(found.posterior.argmax())
    return {
        "Q": Q,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "window": architecture.crop,
        "stride": 2 ** len(architecture.blocks()),
        "places": places.tolist(),
        "highest": [int(place) for place in np.unravel_index(places.argmax(), places.shape)],
        "view": float(found.view[label]),
        "mirrored": float(found.mirrored[label]),
        "posterior": float(found.posterior[label]),
        "first": {"class": names[first], "posterior": float(found.posterior[first])},
        "alt": (
            f"Validation image {image['id']}, class {image['class']}, under its score map at "
            f"Q = {Q}: the posterior of its class is highest {where(places)}."
        ),
    }


def crop_entry(
    eye: Eye, image: dict, pixels: np.ndarray, Q: int, crop_grid: str, batch_size: int
) -> dict:
    """An image's crops at Q, and the posterior of its class in each; otherwise as `map_entry`."""
    crop, label = eye.net.architecture.crop, image["label"]
    pixels = eye.rescaled(pixels, Q, f"image {image['id']}")
    with explained_memory(
        f"{batch_size} crops of {crop}×{crop} at once", "lower the batch size (evaluate.batch_size)"
    ):
        posteriors = crop_posteriors(eye.net, eye.input(pixels), crop_grid, batch_size)
    corners = crop_corners(*pixels.shape[:2], crop, crop_grid)
    named = f"validation image {image['id']}, class {image['class']}"
    return {
        "Q": Q,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "crop": crop,
        "corners": corners,
        "crops": posteriors[..., label].tolist(),
        "posterior": float(posteriors.mean((0, 1))[label]),
        "alt": (
            f"V{named[1:]}, under the outlines of its 25 crops at Q = {Q}: the posterior of its "
            f"class is highest {where(posteriors[..., label])}."
        ),
        "sheet": contact_sheet(pixels, crop, corners),
        "sheet_alt": f"The 25 crops of {named}, at Q = {Q}, as they lie on the grid.",
    }


def contact_sheet(pixels: np.ndarray, crop: int, corners: Sequence[Sequence[tuple]]) -> str:
    """An image's crops, uint8 [crop, crop, 3], side by side as they lie on the grid."""
    step = SHEET_CROP + SHEET_GAP
    sheet = Image.new("RGBA", (step * len(corners[0]) - SHEET_GAP, step * len(corners) - SHEET_GAP))
    for row, line in enumerate(corners):
        for column, (y, x) in enumerate(line):
            view = Image.fromarray(pixels[y : y + crop, x : x + crop])
            view = view.resize((SHEET_CROP, SHEET_CROP), Image.Resampling.LANCZOS)
            sheet.paste(view, (column * step, row * step))
    return data_uri(np.asarray(sheet), QUALITY)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--pictures", default="config/pictures.yaml", help="what to show")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--shards", nargs="+", required=True, help="the validation set's shards")
    parser.add_argument("--models", nargs="*", help="that the run has; others are left out")
    parser.add_argument("--score-average", choices=methods.SCORE_AVERAGES, default="before-softmax")
    parser.add_argument("--pool-rounding", choices=POOLING_ROUNDING, default="floor")
    parser.add_argument("--crop-grid", choices=methods.CROP_GRIDS, default="whole-image")
    parser.add_argument("--resize-filter", choices=RESIZE_FILTERS, default="bicubic")
    parser.add_argument("--batch-size", type=int, default=64, help="crops in a forward pass")
    parser.add_argument("--precision", choices=precision.OF_EVALUATION, default="float32")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", required=True, help="folder for score_maps.json, crops.json")
    given = parser.parse_args(arguments)

    wanted = read_yaml(given.pictures)
    device = pick_device(given.device, given.threads)
    classes = read_class_names(f"{given.results}/classes.parquet")
    names = [of_class.name for of_class in classes]
    images = PickedImages(given.shards, classes)

    @cache
    def eye_of(model: str) -> tuple[Eye, str]:
        path = f"{given.results}/weights/{model}.safetensors"
        net, weights = load_weights(path, pool_rounding=given.pool_rounding)
        net = net.to(device, memory_format=torch.channels_last).eval()
        mean = torch.tensor(weights["mean_rgb"], dtype=torch.float32, device=device)
        return Eye(net, mean, given.resize_filter), sha256(path)

    def look(section: dict, own: Sequence[Evaluation], entry: Callable) -> dict:
        content = {
            "experiment": Path(given.results).name,
            "split": pictures_wanted.SPLIT,
            **section,
        }
        if missing := pictures_wanted.missing_models(own, given.models):
            return content | {"weights_sha256": None, "missing": missing, "images": []}
        found = [answers([e.path(given.results, pictures_wanted.SPLIT)]) for e in own]
        eye, weights_sha256 = eye_of(section["model"])
        shown = []
        with precision.computing(device, given.precision):
            for place in most_spread(found, section["images"]):
                name = found[0].ids[place]
                image, pixels = images.describe(name), images.pixels(name)
                evaluated = [
                    {"method": e.method, "Q": e.Q, "posterior": float(f.true_posterior[place])}
                    for e, f in zip(own, found, strict=True)
                ]
                shown.append(image | {"evaluated": evaluated} | entry(eye, image, pixels))
                logging.info("%s: %s", section["model"], name)
        return content | {"weights_sha256": weights_sha256, "missing": [], "images": shown}

    def maps(eye: Eye, image: dict, pixels: np.ndarray) -> dict:
        scales = wanted["score_maps"]["Q"]
        return {
            "maps": [map_entry(eye, image, pixels, Q, names, given.score_average) for Q in scales]
        }

    def crops(eye: Eye, image: dict, pixels: np.ndarray) -> dict:
        Q = wanted["crops"]["Q"]
        return crop_entry(eye, image, pixels, Q, given.crop_grid, given.batch_size)

    score_maps = look(wanted["score_maps"], pictures_wanted.score_map_evaluations(wanted), maps)
    score_maps["score_average"] = given.score_average
    write_json(f"{given.output}/score_maps.json", score_maps)
    grids = look(wanted["crops"], pictures_wanted.crop_evaluations(wanted), crops)
    grids["crop_grid"] = given.crop_grid
    write_json(f"{given.output}/crops.json", grids)


if __name__ == "__main__":
    command.run(main)
