"""One image as the methods of testing see it (paper §3.2): places of a map, and crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..nets.convnets import ConvNet
from .methods import GRID_SIDE, DenseConvNet, multicrop_views


@dataclass(frozen=True)
class ScoreMap:
    """An image as dense evaluation sees it.

    places: float32 [classes, rows, columns], the soft-max at each place of the class score map.
    view, mirrored, posterior: float32 [classes], of the image, of its mirror image, and their mean,
    which is the image's posterior.
    """

    places: np.ndarray
    view: np.ndarray
    mirrored: np.ndarray
    posterior: np.ndarray


@torch.inference_mode()
def score_map(
    net: DenseConvNet, image: torch.Tensor, score_average: str = "before-softmax"
) -> ScoreMap:
    """The score map of an image, float [1, 3, height, width], and the posteriors made of it.

    score_average: as for `dense_posteriors`, whose result `posterior` is.
    """
    scores = [net(view)[0].float() for view in (image, image.flip(3))]
    if score_average == "before-softmax":
        views = [map_.mean((1, 2)).softmax(0) for map_ in scores]
    else:
        views = [map_.softmax(0).mean((1, 2)) for map_ in scores]
    found = (scores[0].softmax(0), *views, (views[0] + views[1]) / 2)
    return ScoreMap(*(values.cpu().numpy() for values in found))


@torch.inference_mode()
def crop_posteriors(
    net: ConvNet, image: torch.Tensor, grid: str = "whole-image", batch_size: int = 64
) -> np.ndarray:
    """Posteriors of an image's crops, float32 [5, 5, classes]: the mean of crop and mirror image.

    image: float [1, 3, height, width]. Their mean is what `multicrop_posteriors` gives.
    """
    views = torch.cat(list(multicrop_views(image, net.architecture.crop, grid)))
    views = views.contiguous(memory_format=torch.channels_last)
    posteriors = torch.cat([net(batch).float().softmax(1) for batch in views.split(batch_size)])
    of_crops = posteriors.view(GRID_SIDE, GRID_SIDE, 2, -1).mean(2)
    return of_crops.cpu().numpy()


def crop_corners(height: int, width: int, crop: int, grid: str) -> list[list[tuple[int, int]]]:
    """Top and left pixel of each of the 5×5 crops, row by row, as `multicrop_views` takes them."""
    pixels = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    views = list(multicrop_views(pixels[None], crop, grid))[::2]
    corners = [tuple(view[0, :, 0, 0].tolist()) for view in views]
    return [corners[start : start + GRID_SIDE] for start in range(0, len(corners), GRID_SIDE)]


def where(values: np.ndarray) -> str:
    """Where a map, [rows, columns], is highest: "in the upper left", "in the middle", …

    A place is upper or left if its middle lies in the first third of the map.
    """
    if values.size == 1:
        return "at its only place"
    if np.ptp(values) < 0.01:
        return "nearly equal everywhere"
    row, column = map(int, np.unravel_index(values.argmax(), values.shape))
    vertical = _third(row, values.shape[0], ("upper", "middle", "lower"))
    horizontal = _third(column, values.shape[1], ("left", "middle", "right"))
    return "in the middle" if vertical == horizontal else f"in the {vertical} {horizontal}"


def _third(place: int, size: int, words: tuple[str, str, str]) -> str:
    share = (place + 0.5) / size
    return words[0] if share < 1 / 3 else words[2] if share > 2 / 3 else words[1]
