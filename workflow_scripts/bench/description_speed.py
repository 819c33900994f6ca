"""Describing images by full-size D without its last layer (appendix B): ours beside plain PyTorch.

The rival is what one writes around torchvision's VGG-16: its fully-connected layers converted to
convolutions, an image and its mirror image one after the other. It has our weights and images, and
descriptors are compared before anything counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.nets.precision import computing
from workflow_scripts.vgg.transfer import descriptors

from .evaluation_speed import Straightforward
from .machine import finish
from .measuring import Elsewhere, Line, alternate, stopwatch
from .training_speed import MEAN, net_of

SCALES = (256, 384, 512)
CROP = 224
IMAGES = {"cpu": 2, "cuda": 64}
LEAST_OVER_RIVAL = 1.3
# Of a descriptor's length, that both may differ by: far less than those of two images do.
ROUNDING, LESS_PRECISE = 1e-4, 2e-2


class Plain(Straightforward):
    """Descriptors as one gets them from torchvision's net, image by image."""

    def __init__(self, files: Sequence[Path], device: torch.device):
        super().__init__(files, device, net_of("D", device).state_dict())
        self.dense_net = self.dense_net[:-1]  # the ReLU behind the second FC layer is the last

    @torch.no_grad()
    def descriptors(self, scales: Sequence[int]) -> np.ndarray:
        """Descriptors at each scale, float32 [scales, files, 4096]."""
        made = []
        for path in self.files:
            for scale in scales:
                image = self.image(path, scale)
                views = [
                    self.dense_net(view).float().mean((2, 3)) for view in (image, image.flip(3))
                ]
                made.append((views[0] + views[1])[0].cpu().numpy() / 2)
        return np.stack(made).reshape(len(self.files), len(scales), -1).swapaxes(0, 1)


def plain(files: Sequence[Path], device: torch.device, threads: int, precision: str):
    """That script as a contender: seconds for all files at some scales, and their descriptors.

    On a GPU cuDNN times its algorithms for each new size, which the first, untimed run meets.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = device.type == "cuda"
    script = Plain(files, device)

    def seconds(scales: Sequence[int]) -> tuple[float, np.ndarray]:
        found: list[np.ndarray] = []
        with computing(device, precision):
            spent = stopwatch(
                lambda: found.append(script.descriptors(scales)), lambda: finish(device)
            )
        return spent, found[0]

    return seconds


class Ours:
    """Our descriptors of images of a shard at some places, as `describe_images` makes them."""

    def __init__(self, shard: Path, places: np.ndarray, device: torch.device, precision: str):
        self.shard, self.places = shard, places
        self.device, self.precision = device, precision
        self.net = net_of("D", device).eval().to(memory_format=torch.channels_last)

    def descriptors(self, scales: Sequence[int]) -> np.ndarray:
        """Descriptors at each scale, float32 [scales, images, 4096]."""
        made = []
        with computing(self.device, self.precision):
            for scale in scales:
                images = RescaledImages([self.shard], scale, CROP, places=self.places)
                how = descriptors.Describing()
                made.append(descriptors.describe(self.net, images, how, MEAN, progress=False))
        return np.stack(made)


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest distance of two descriptors of one image, over the length of theirs.

    Both are float32 [scales, images, 4096].
    """
    lengths = np.linalg.norm(theirs, axis=2)
    return float((np.linalg.norm(ours - theirs, axis=2) / lengths).max())


def lines(
    shard: Path, folder: Path, device: torch.device, threads: int, precision: str
) -> list[Line]:
    """The line on descriptors. shard: of original bytes, 500×375 some of them.

    Raises RuntimeError if both do not give the same descriptors.
    """
    shards = Shards([shard])
    places = np.flatnonzero(shards.widths > shards.heights)[: IMAGES[device.type]]
    files = [folder / f"described{place}.jpg" for place in places]
    for path, place in zip(files, places, strict=True):
        path.write_bytes(shards.jpeg(place))
    ours = Ours(shard, places, device, precision)
    script = Elsewhere(plain, files, device, threads, precision)
    # A net's dense form is made once, as in a run over many images, and not for each few.
    with mock.patch.object(descriptors, "DescribingConvNet", cache(descriptors.DescribingConvNet)):
        furthest = difference(ours.descriptors(SCALES), script(SCALES)[1])
        if not furthest <= (ROUNDING if precision == "float32" else LESS_PRECISE):
            raise RuntimeError(f"descriptors differ from the rival's by {furthest:.2g} of theirs")
        number, work = len(places), partial(ours.descriptors, SCALES)
        measured = alternate(
            {
                "ours": lambda: number / stopwatch(work, lambda: finish(device)),
                "torchvision's net": lambda: number / script(SCALES)[0],
            },
            warm=True,
        )
    script.close()
    return [
        Line(
            "features",
            f"descriptors, D, Q = {', '.join(map(str, SCALES))}",
            "images/s",
            ours=measured["ours"],
            rival=measured["torchvision's net"],
            least_over_rival=LEAST_OVER_RIVAL,
            note=f"the same within {furthest:.0e} of a descriptor's length",
        )
    ]
