"""The boxes that a net predicts: of an image's central crop, or of every window of it (appendix A).

A net sees a window of an image that is rescaled to Q; the four numbers that it gives are in the
window's frame. Boxes here are corners in the pixels of the image itself, and coordinates: an image
extends from 0 to its width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.declarations import declared
from ..data.box_targets import in_fractions
from ..data.boxes import corners_of, mirrored
from ..data.images import rescaled_size
from ..data.rescaled_images import RescaledImages
from ..evaluation.methods import DenseConvNet, NotFinite, pass_over
from ..nets.convnets import ConvNet
from ..nets.devices import sent
from ..training.losses import of_class
from .box_files import Predicted

BOX_FLIPS = ("none", "mirrored")


@dataclass(frozen=True)
class Flipping:
    """box_flip: whether a second pass boxes the "mirrored" image too; A mentions none."""

    box_flip: str = declared("none", values=BOX_FLIPS, choice=True)


def in_image(
    fractions: np.ndarray, corners: np.ndarray, crop: int, ratio: np.ndarray
) -> np.ndarray:
    """Corners float64 [..., 4] in an image's pixels of boxes in the frames of windows.

    fractions: (x and y of the centre, width, height) [..., 4], as fractions of the window's side; a
        side of less than a pixel counts as one.
    corners: (left, top) [..., 2] of the windows, in pixels of the rescaled image.
    crop: the windows' side. ratio: (across, down) [..., 2], pixels of the image a rescaled pixel.
    """
    sides = np.maximum(fractions[..., 2:], 1 / crop)
    boxes = corners_of(np.concatenate([fractions[..., :2], sides], axis=-1).astype(np.float64))
    return (np.concatenate([corners] * 2, -1) + crop * boxes) * np.concatenate([ratio] * 2, -1)


def central_boxes(
    net: ConvNet,
    images: RescaledImages,
    labels: np.ndarray,
    mean: Sequence[float],
    units: str,
    **options: Any,
) -> np.ndarray:
    """The box of each image's class from its central crop (test 1), float64 [images, 4].

    net: of boxes. images: central crops. labels: int [images]. units: of the net's four numbers.
    mean, options: as for `pass_over`. Raises what that does, and NotFinite if a box is not.
    """
    device = next(net.parameters()).device
    result = torch.empty(len(images.wanted), 4, device=device)
    classes = torch.from_numpy(labels.astype(np.int64))

    def keep(rows: np.ndarray, batch: torch.Tensor) -> None:
        places = torch.from_numpy(rows)
        outputs = net(batch).float()
        result[sent(places, device)] = of_class(outputs, sent(classes[places], device))

    pass_over(images, net, mean, keep, **options)
    fractions = in_fractions(_finite(result), images.crop, units)
    sizes, rescaled = sizes_of(images)
    corners = (rescaled - images.crop) // 2
    return in_image(fractions, corners, images.crop, sizes / rescaled)


@torch.inference_mode()  # as in `evaluate`, so that scores are those of dense evaluation
def dense_boxes(
    net: ConvNet,
    classifier: ConvNet,
    images: RescaledImages,
    classes: np.ndarray,
    mean: Sequence[float],
    units: str,
    flipping: Flipping | None = None,
    **options: Any,
) -> list[Predicted]:
    """The boxes of some classes at every place of each whole image (test 2), in their order.

    net: of boxes. classifier: rates the same windows. classes: int [images, k], labels. The rest is
    as for `central_boxes`. Place (row, column) is the window whose first pixel is (stride · row,
    stride · column) of the rescaled image; the nets' stride is 32.
    """
    dense, scorer = DenseConvNet(net), DenseConvNet(classifier.eval())
    mirror = flipping is not None and flipping.box_flip == "mirrored"
    device = next(net.parameters()).device
    wanted = torch.from_numpy(classes.astype(np.int64))
    found: list[tuple[np.ndarray, torch.Tensor, torch.Tensor]] = []

    def keep(rows: np.ndarray, batch: torch.Tensor) -> None:
        own = sent(wanted[torch.from_numpy(rows)], device)
        sample = torch.arange(len(rows), device=device)[:, None]
        for view in (batch, batch.flip(3)) if mirror else (batch,):
            outputs = dense(view).float().unflatten(1, (-1, 4))
            of_own = own if outputs.shape[1] > 1 else torch.zeros_like(own)  # one box for all
            scores = scorer(view).float().softmax(1)
            found.append((rows, outputs[sample, of_own].movedim(2, -1), scores[sample, own]))

    pass_over(images, net, mean, keep, **options)
    sizes, rescaled = sizes_of(images)
    ratios = sizes / rescaled
    stride = images.crop // net.architecture.map_side
    result: dict[int, Predicted] = {}
    for rows, numbers, scores in found:
        fractions = in_fractions(_finite(numbers), images.crop, units)
        places = np.indices(fractions.shape[2:4]).transpose(1, 2, 0)
        boxes = in_image(
            fractions, stride * places[..., ::-1], images.crop, ratios[rows][:, None, None, None]
        )
        for row, own, rated in zip(
            rows.tolist(), boxes.astype(np.float32), _finite(scores), strict=True
        ):
            if before := result.get(row):
                own = mirrored(own, float(sizes[row, 0]))
                own = np.concatenate([before.boxes, own], axis=1)
                rated = np.concatenate([before.scores, rated], axis=1)
            result[row] = Predicted(classes[row], own, rated)
    return [result[row] for row in range(len(result))]


def sizes_of(images: RescaledImages) -> tuple[np.ndarray, np.ndarray]:
    """(width, height) [images, 2] of the wanted images, and the same once rescaled, in pixels."""
    heights = images.shards.heights[images.wanted]
    widths = images.shards.widths[images.wanted]
    rescaled = [
        rescaled_size(height, width, images.smallest_side)[::-1]
        for height, width in zip(heights.tolist(), widths.tolist(), strict=True)
    ]
    return np.stack([widths, heights], 1), np.array(rescaled, np.int64).reshape(-1, 2)


def _finite(numbers: torch.Tensor) -> np.ndarray:
    found = numbers.cpu().numpy()
    if not np.isfinite(found).all():
        raise NotFinite(
            "the net's boxes are not finite: its weights are not, or its activations exceed the "
            "precision's largest number"
        )
    return found
