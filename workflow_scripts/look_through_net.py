"""Show what a ConvNet sees of a few validation images when it is tested (paper §3.2).

Writes score_maps.json, the class score maps of dense evaluation at several test scales, and
crops.json, the 5×5 grid of multi-crop evaluation with the posterior of each crop.

Example:

    python -m workflow_scripts.look_through_net --results results/miniature \\
        --shards results/miniature/shards/val/*.arrow --output mine
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import sha256
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import read_class_names
from workflow_scripts.vgg.data.images import RESIZE_FILTERS
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import POOLING_ROUNDING
from workflow_scripts.vgg.nets.devices import pick_device
from workflow_scripts.vgg.report.net_views import Eye, crop_entry, map_entry, most_spread, read_eye
from workflow_scripts.vgg.report.picked_images import PickedImages
from workflow_scripts.vgg.results.predictions import predictions
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import Evaluation, read_yaml


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
        eye = read_eye(path, device, given.pool_rounding, given.resize_filter)
        return eye, sha256(path)

    def look(section: dict, own: Sequence[Evaluation], entry: Callable) -> dict:
        content = {
            "experiment": Path(given.results).name,
            "split": pictures_wanted.SPLIT,
            **section,
        }
        if missing := pictures_wanted.missing_models(own, given.models):
            return content | {"weights_sha256": None, "missing": missing, "images": []}
        found = [predictions([e.path(given.results, pictures_wanted.SPLIT)]) for e in own]
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
        return {
            "maps": [
                map_entry(eye, image, pixels, Q, names=names, score_average=given.score_average)
                for Q in wanted["score_maps"]["Q"]
            ]
        }

    def crops(eye: Eye, image: dict, pixels: np.ndarray) -> dict:
        return crop_entry(
            eye,
            image,
            pixels,
            wanted["crops"]["Q"],
            crop_grid=given.crop_grid,
            batch_size=given.batch_size,
        )

    score_maps = look(wanted["score_maps"], pictures_wanted.score_map_evaluations(wanted), maps)
    score_maps["score_average"] = given.score_average
    write_json(f"{given.output}/score_maps.json", score_maps)
    grids = look(wanted["crops"], pictures_wanted.crop_evaluations(wanted), crops)
    grids["crop_grid"] = given.crop_grid
    write_json(f"{given.output}/crops.json", grids)


if __name__ == "__main__":
    command.run(main)
