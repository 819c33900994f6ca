"""Descriptors of images of other data sets: a net without its last layer, densely (appendix B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.declarations import declared
from ..data.rescaled_images import BATCH_SIZE, RescaledImages
from ..evaluation.methods import DenseConvNet, gathered
from ..nets.convnets import ConvNet

FEATURE_RELU = {"after": 4, "before": 3}  # and the layers that are kept of those behind the convs


@dataclass(frozen=True)
class Describing:
    """How images are described, and how the paper's words about it are read (appendix B).

    feature_relu: "after" takes the second FC layer's activations, "before" what its ReLU is given.
    batch_size: crops of the net's input size, or as many pixels of images, in one forward pass.
    """

    feature_relu: str = declared("after", values=FEATURE_RELU, choice=True)
    batch_size: int = declared(BATCH_SIZE, "crops, or as many pixels, in a forward pass")


class DescribingConvNet(DenseConvNet):
    """A ConvNet without its last FC layer, whose other two are convolutions (appendix B).

    Input: float [N, 3, height, width]. Output: float [N, fc, rows, columns], 4096 channels in the
    paper; one place for an image of the training crop's size.
    """

    def __init__(self, net: ConvNet, feature_relu: str = "after"):
        super().__init__(net)
        self.classifier = self.classifier[: FEATURE_RELU[feature_relu]]


def descriptors_of(net: DescribingConvNet, images: torch.Tensor) -> torch.Tensor:
    """Descriptors, float32 [N, fc]: the mean over all places, and over image and mirror image."""
    means = [net(view).float().mean((2, 3)) for view in (images, images.flip(3))]
    return (means[0] + means[1]) / 2


@torch.inference_mode()  # where the dense net is made, too: its products are rounded by it
def describe(
    net: ConvNet,
    images: RescaledImages,
    describing: Describing,
    mean: Sequence[float],
    **options: Any,
) -> np.ndarray:
    """Descriptors, float32 [images, fc], in the order of the images; not normalised.

    net, mean, options: as for `evaluation.methods.pass_over`. Raises what `gathered` does.
    """
    dense = DescribingConvNet(net, describing.feature_relu)
    return gathered(
        images,
        net,
        lambda batch: descriptors_of(dense, batch),
        net.architecture.fc,
        mean,
        what="descriptors",
        **options,
    )
