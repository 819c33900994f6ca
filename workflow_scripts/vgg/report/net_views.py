"""Entries of the page of pictures: an image's score maps and crops (paper §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..data.images import pixels_at, rescale
from ..evaluation import methods
from ..evaluation.score_maps import crop_corners, crop_posteriors, score_map, where
from ..nets.convnets import ConvNet
from ..nets.devices import explained_memory, to_input
from ..nets.weights import load_weights
from ..results.predictions import Predictions, one_of_each_class
from .thumbnails import QUALITY, data_uri

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


def most_spread(found: Sequence[Predictions], count: int) -> list[int]:
    """Images of different classes whose true class's posterior differs most between evaluations.

    Returns their places in the order of ids, the largest difference first.
    """
    spread = np.ptp([own.true_posterior for own in found], axis=0)
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
    height, width = pixels.shape[:2]
    corners = crop_corners(height, width, crop, crop_grid)
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


def read_eye(path: str | Path, device: torch.device, pool_rounding: str, resize_filter: str) -> Eye:
    """A weights file's net on a device, ready to be looked through."""
    net, weights = load_weights(path, pool_rounding=pool_rounding)
    net = net.to(device).to(memory_format=torch.channels_last).eval()
    mean = torch.tensor(weights["mean_rgb"], dtype=torch.float32, device=device)
    return Eye(net, mean, resize_filter)
