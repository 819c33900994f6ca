"""Evaluating full-size D: ours beside the script that one would write around torchvision's net.

Boxes at every place of an image (appendix A), which take a pass of the net of boxes and one of a
classifier, stand beside dense evaluation, whose two passes are of the image and its mirror image.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import nn

from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.localisation import windows
from workflow_scripts.vgg.nets.convnets import ConvNet
from workflow_scripts.vgg.nets.devices import to_input
from workflow_scripts.vgg.nets.precision import computing
from workflow_scripts.vgg.planning.arithmetic import evaluation_flop

from .machine import FastestKernel, finish
from .measuring import Elsewhere, Growth, Line, Measured, alternate, stopwatch
from .training_speed import MEAN, net_of

SCALES = (256, 384, 512)
CROP = 224
IMAGES = {"cpu": {"dense": 1, "multicrop": 1}, "cuda": {"dense": 64, "multicrop": 8}}
MULTICROP_SCALES = {"cpu": (384,), "cuda": SCALES}  # each has 50 crops of one size
BOX_SCALE, BOXED_CLASSES, MOST_OVER_DENSE = 384, 5, 1.05


class Straightforward:
    """One image, one scale, one view or one image's crops at a time, decoded for each scale.

    weights: of the net, by torchvision's names; random ones if None. builder: torchvision's.
    """

    def __init__(
        self,
        files: Sequence[Path],
        device: torch.device,
        weights: Mapping[str, torch.Tensor] | None = None,
        builder: str = "vgg16",
    ):
        from torchvision import models

        net = models.get_model(builder, weights=None, num_classes=1000).eval().to(device)
        if weights is not None:
            net.load_state_dict(weights)
        layers, side = [], 7
        for layer in net.classifier:
            if isinstance(layer, nn.Linear):
                conv = nn.Conv2d(layer.in_features // side**2, layer.out_features, side)
                conv.weight.data = layer.weight.data.view_as(conv.weight)
                conv.bias.data = layer.bias.data
                layers, side = [*layers, conv], 1
            elif isinstance(layer, nn.ReLU):
                layers.append(layer)
        self.dense_net = nn.Sequential(net.features, *layers).to(device)
        self.net, self.files, self.device = net, files, device
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)

    def image(self, path: Path, scale: int) -> torch.Tensor:
        """An image at a scale, float [1, 3, height, width]."""
        image = Image.open(path).convert("RGB")
        factor = scale / min(image.size)
        size = [round(side * factor) for side in image.size]
        pixels = np.array(image.resize(size, Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None].float() - self.mean

    @torch.inference_mode()
    def dense(self, scales: Sequence[int], number: int) -> None:
        """Posteriors of so many files by dense evaluation."""
        for path in self.files[:number]:
            for scale in scales:
                image = self.image(path, scale)
                for view in (image, image.flip(3)):
                    self.dense_net(view).mean((2, 3)).softmax(1).cpu()

    @torch.inference_mode()
    def multicrop(self, scales: Sequence[int], number: int) -> None:
        """Posteriors of so many files by 50 crops a scale."""
        for path in self.files[:number]:
            for scale in scales:
                views = methods.multicrop_views(self.image(path, scale), CROP)
                self.net(torch.cat(list(views))).softmax(1).mean(0).cpu()


class Ours:
    """Our evaluation of images of a shard at some places, which have one size."""

    def __init__(self, shard: Path, device: torch.device, precision: str):
        self.precision = precision
        self.net = net_of("D", device).eval().to(memory_format=torch.channels_last)
        self.shard, self.device = shard, device

    def size(self, place: int) -> tuple[int, int]:
        """Height and width of an image."""
        shards = Shards([self.shard])
        return int(shards.heights[place]), int(shards.widths[place])

    def posteriors(self, method: str, scales: Sequence[int], places: np.ndarray) -> None:
        """Posteriors at each scale, as the command makes them."""
        with computing(self.device, self.precision):
            for scale in scales:
                images = RescaledImages([self.shard], scale, CROP, places=places)
                methods.evaluate(self.net, images, methods.Method(method), MEAN, progress=False)

    def inputs(self, scales: Sequence[int], places: np.ndarray) -> list[torch.Tensor]:
        """The images at each scale as the net takes them, on the device."""
        mean = torch.tensor(MEAN, device=self.device)
        made = []
        for scale in scales:
            images = RescaledImages([self.shard], scale, CROP, places=places)
            made.append(to_input(images[0].to(self.device), mean, 1.0))
        return made

    def boxes(self, net: ConvNet, scale: int, places: np.ndarray) -> None:
        """Boxes of five classes at every place, rated by the net, as the command makes them."""
        images = RescaledImages([self.shard], scale, CROP, places=places)
        classes = np.tile(np.arange(BOXED_CLASSES), (len(places), 1))
        with computing(self.device, self.precision):
            windows.dense_boxes(
                net, self.net, images, classes, MEAN, "crop-fractions", progress=False
            )

    @torch.inference_mode()
    def in_the_net(self, method: str, inputs: Sequence[torch.Tensor]) -> None:
        """The net alone, from float inputs on the device."""
        dense = methods.DenseConvNet(self.net)
        with computing(self.device, self.precision):
            for images in inputs:
                if method == "dense":
                    methods.dense_posteriors(dense, images)
                else:
                    methods.multicrop_posteriors(self.net, images)


def straightforward(files: Sequence[Path], device: torch.device, threads: int, precision: str):
    """That script as a contender: seconds of a method at some scales on some of the files.

    On a GPU cuDNN times its algorithms for each new size, which the first, untimed run meets.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = device.type == "cuda"
    script = Straightforward(files, device)

    def seconds(method: str, scales: Sequence[int], number: int) -> float:
        with computing(device, precision):
            return stopwatch(
                lambda: getattr(script, method)(scales, number), lambda: finish(device)
            )

    return seconds


def lines(
    shard: Path, folder: Path, device: torch.device, threads: int, precision: str
) -> list[Line]:
    """The lines on evaluation. shard: of original bytes, 500×375 some of them."""
    shards, numbers = Shards([shard]), IMAGES[device.type]
    places = np.flatnonzero(shards.widths > shards.heights)[: max(numbers.values())]
    files = [folder / f"evaluated{place}.jpg" for place in places]
    for path, place in zip(files, places, strict=True):
        path.write_bytes(shards.jpeg(place))
    ours = Ours(shard, device, precision)
    script = Elsewhere(straightforward, files, device, threads, precision)
    product, found = FastestKernel(device, precision), []
    for method, number in numbers.items():
        found += _lines_on(
            method, places[:number], ours=ours, script=script, product=product, warm=bool(found)
        )
    script.close()
    return [*found, _line_on_boxes(ours, places[: numbers["dense"]])]


@contextmanager
def dense_nets_made_once() -> Iterator[None]:
    """Within, a net's dense form is made once, as in a run over many images, and not each time."""
    made = functools.cache(methods.DenseConvNet)
    with (
        mock.patch.object(methods, "DenseConvNet", made),
        mock.patch.object(windows, "DenseConvNet", made),
    ):
        yield


def _line_on_boxes(ours: Ours, places: np.ndarray) -> Line:
    net = net_of("D", ours.device, "box-pcr").eval().to(memory_format=torch.channels_last)

    def rate(work: Callable[[], None]) -> float:
        return len(places) / stopwatch(work, lambda: finish(ours.device))

    with dense_nets_made_once():
        measured = alternate(
            {
                "ours": lambda: rate(lambda: ours.boxes(net, BOX_SCALE, places)),
                "dense evaluation": lambda: rate(
                    lambda: ours.posteriors("dense", (BOX_SCALE,), places)
                ),
            }
        )
    return Line(
        "evaluation",
        f"boxes at every place, D, Q = {BOX_SCALE}",
        "images/s",
        ours=measured["ours"],
        rival=measured["dense evaluation"],
        least_over_rival=1 / MOST_OVER_DENSE,
        note=f"at most {MOST_OVER_DENSE} times as long as dense evaluation is aimed at",
    )


def _lines_on(
    method: str,
    places: np.ndarray,
    ours: Ours,
    script: Elsewhere,
    product: FastestKernel,
    warm: bool,
) -> list[Line]:
    device, number = ours.device, len(places)
    scales = SCALES if method == "dense" else MULTICROP_SCALES[device.type]
    inputs = ours.inputs(scales, places)

    def rate(work: Callable[[], None]) -> float:
        return number / stopwatch(work, lambda: finish(device))

    measured = alternate(
        {
            "ours": lambda: rate(lambda: ours.posteriors(method, scales, places)),
            "straightforward script": lambda: number / script(method, scales, number),
            "our net alone": lambda: rate(lambda: ours.in_the_net(method, inputs)),
            "fastest kernel": product,
        },
        warm=warm,
    )
    size = ours.size(places[0])
    flop = sum(float(evaluation_flop(ours.net, method, scale, *size)[0]) for scale in scales)
    products = [rate / flop for rate in measured["fastest kernel"].values]
    limit = Measured("fastest kernel", products)
    what = f"{method}, D, Q = {', '.join(map(str, scales))}"
    return [
        Line(
            "evaluation",
            what,
            "images/s",
            ours=measured["ours"],
            rival=measured["straightforward script"],
            limit=limit,
            least_over_rival={"dense": 1.3, "multicrop": 1.2}[method],
            flop=flop,
        ),
        Line(
            "evaluation",
            f"{what}, the net alone",
            "images/s",
            ours=measured["our net alone"],
            limit=limit,
            least_over_limit=0.85,
        ),
    ]


@torch.inference_mode()
def growth(device: torch.device) -> list[Growth]:
    """Seconds in the net as Q and the number of crops grow, for one image."""
    net = net_of("D", device).eval().to(memory_format=torch.channels_last)
    dense, like = methods.DenseConvNet(net), {"device": device}

    def seconds(work: Callable[[], object]) -> float:
        return min(stopwatch(work, lambda: finish(device)) for _ in range(2))

    def square(side: int) -> torch.Tensor:
        return torch.randn(1, 3, side, side, **like).contiguous(memory_format=torch.channels_last)

    sides = [224, 256, 384, 512]
    crops = [4, 8, 16, 32]
    views = torch.randn(crops[-1], 3, CROP, CROP, **like).contiguous(
        memory_format=torch.channels_last
    )
    dense(square(256))
    return [
        Growth(
            "evaluation",
            "dense, D, a square image",
            "Q",
            sizes=sides,
            seconds=[
                seconds(lambda s=s: methods.dense_posteriors(dense, square(s))) for s in sides
            ],
        ),
        Growth(
            "evaluation",
            "multi-crop, D",
            "crops",
            sizes=crops,
            seconds=[seconds(lambda n=n: net(views[:n])) for n in crops],
        ),
    ]
