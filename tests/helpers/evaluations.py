"""Posteriors of a split's images, as the command `evaluate` makes them, for a net in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.evaluation.methods import Method, evaluate
from workflow_scripts.vgg.nets.convnets import ConvNet

OF_IMAGES = ("resize_filter", "places", "kept")
OF_METHOD = ("score_average", "crop_grid")


def posteriors_of(
    net: ConvNet,
    paths: Sequence[str | Path],
    method: str,
    smallest_side: int,
    mean: Sequence[float],
    batch_size: int = 64,
    **options,
) -> np.ndarray:
    """Posteriors float32 [images, classes]. options: of RescaledImages, Method and `evaluate`."""
    images = RescaledImages(
        paths,
        smallest_side,
        net.architecture.crop,
        central=method == "center",
        batch_size=batch_size,
        **{name: options.pop(name) for name in OF_IMAGES if name in options},
    )
    readings = {name: options.pop(name) for name in OF_METHOD if name in options}
    how = Method(method, batch_size=batch_size, **readings)
    return evaluate(net, images, how, mean, progress=False, **options)
