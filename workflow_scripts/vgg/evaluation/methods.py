"""Testing (paper §3.2): dense evaluation, multi-crop evaluation, and the single central crop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ..core.command import Progress
from ..nets.convnets import ConvNet
from ..nets.devices import explained_memory, sent, to_input
from ..core.files import InputError
from ..data.images import centre_crop, decode, rescale, rescaled_size
from ..data.shards import Shards
from ..data.workers import loading, told_by_workers

METHODS = ("dense", "multicrop", "center")
SCORE_AVERAGES = ("before-softmax", "after-softmax")
CROP_GRIDS = ("whole-image", "central-square")
GRID_SIDE = 5
BATCH_SIZE = 64
READ_AHEAD = 2  # batches of each worker
KEPT_BYTES = 10 * 10**9  # of pixels in memory; ILSVRC's validation crops take 7.5 GB


class Stopped(Exception):
    """An evaluation was asked to stop before it was done."""


class NotFinite(InputError):
    """The posteriors that a net gives are not finite."""


class SlidingLayer(nn.Module):
    """A fully-connected layer as a convolution (§3.2), which slides over the map before it.

    Input: float [N, channels, rows, columns], channels-last in memory; output: [N, outputs, rows −
    side + 1, columns − side + 1]. All windows are one matrix product, which takes the weights as
    they lie; PyTorch's convolution rearranges these 400 MB each time, and takes twice as long on a
    CPU.
    """

    def __init__(self, layer: nn.Linear, side: int):
        super().__init__()
        self.side = side
        weight = layer.weight.detach().view(layer.out_features, -1, side, side)
        self.weight = nn.Parameter(weight.permute(0, 2, 3, 1).flatten(1))
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        windows = x.permute(0, 2, 3, 1).unfold(1, self.side, 1).unfold(2, self.side, 1)
        windows = windows.permute(0, 1, 2, 4, 5, 3).flatten(3)
        return F.linear(windows, self.weight, self.bias).permute(0, 3, 1, 2)


class DenseConvNet(nn.Module):
    """A ConvNet whose fully-connected layers are convolutions, for uncropped images (§3.2).

    Input: float [N, 3, height, width]. Output: class score map [N, classes, rows, columns]; one
    place for an image of the training crop's size.
    """

    def __init__(self, net: ConvNet):
        super().__init__()
        self.features = net.features
        side, layers = net.architecture.map_side, []
        for layer in net.fc_layers:
            layers += [SlidingLayer(layer, side), nn.ReLU(inplace=True)]
            side = 1
        self.classifier = nn.Sequential(*layers[:-1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))


def dense_posteriors(
    net: DenseConvNet, images: torch.Tensor, score_average: str = "before-softmax"
) -> torch.Tensor:
    """Posteriors [N, classes] of whole images, averaged with those of their mirror images.

    score_average: "before-softmax" averages the score map over places and then takes the soft-max,
        "after-softmax" takes it at each place and averages. The flip is a second pass: where
        pooling drops an odd last column, the mirrored map is not the map mirrored.
    """
    total = 0
    for view in (images, images.flip(3)):
        scores = net(view).float()
        if score_average == "before-softmax":
            total = total + scores.mean((2, 3)).softmax(1)
        else:
            total = total + scores.softmax(1).mean((2, 3))
    return total / 2


def grid_offsets(side: int, crop: int, whole: int | None = None) -> list[int]:
    """Where the crops of the regular 5-grid begin along one side: round(i·(side − crop)/4).

    whole: the image's side if the grid lies on its central `side` pixels only.
    """
    start = 0 if whole is None else (whole - side) // 2
    return [start + round(i * (side - crop) / (GRID_SIDE - 1)) for i in range(GRID_SIDE)]


def multicrop_views(
    images: torch.Tensor, crop: int, grid: str = "whole-image"
) -> Iterator[torch.Tensor]:
    """The 50 views of each image: 5×5 crops in row order, each followed by its mirror image.

    images: [N, 3, height, width]. grid: "whole-image" reaches the corners of the whole image,
    "central-square" those of its central square. Yields [N, 3, crop, crop].
    """
    height, width = images.shape[2:]
    square = min(height, width)
    if grid == "central-square":
        tops, lefts = grid_offsets(square, crop, height), grid_offsets(square, crop, width)
    else:
        tops, lefts = grid_offsets(height, crop), grid_offsets(width, crop)
    for top in tops:
        for left in lefts:
            view = images[:, :, top : top + crop, left : left + crop]
            yield view
            yield view.flip(3)


def multicrop_posteriors(
    net: ConvNet, images: torch.Tensor, grid: str = "whole-image", batch_size: int = 64
) -> torch.Tensor:
    """Posteriors [N, classes]: the mean of the soft-max outputs of each image's 50 views."""
    total, pending = 0, []
    views = list(multicrop_views(images, net.architecture.crop, grid))
    together = max(1, batch_size // len(images))
    for start in range(0, len(views), together):
        pending = views[start : start + together]
        batch = torch.cat(pending).contiguous(memory_format=torch.channels_last)
        posteriors = net(batch).float().softmax(1)
        total = total + posteriors.view(len(pending), len(images), -1).sum(0)
    return total / len(views)


@dataclass(frozen=True)
class RescaledImages(Dataset):
    """Images rescaled to a smallest side; `rescaled_images[group]` is a batch of equal size.

    groups: places of the images of each batch, from `groups_of_equal_size` or `groups_of`.
    crop: side of the central crop to take of each, or None for whole images.
    """

    paths: Sequence[str | Path]
    groups: Sequence[np.ndarray]
    smallest_side: int
    crop: int | None
    resize_filter: str

    @cached_property
    def shards(self) -> Shards:
        """The shards, opened once in each process."""
        return Shards(self.paths)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "shards"}

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, group: int) -> torch.Tensor:
        """uint8 [N, 3, height, width], channels last in memory."""
        batch = []
        for place in self.groups[group]:
            name = f"image {self.shards.id(place)}"
            pixels = decode(self.shards.jpeg(place), name)
            pixels = rescale(pixels, self.smallest_side, self.resize_filter, name=name)
            batch.append(pixels if self.crop is None else centre_crop(pixels, self.crop))
        return torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)

    def read_ahead(self, workers: int, shared: int, pinned: bool) -> Iterator[torch.Tensor]:
        """All groups in order, read by worker processes whose batches take `shared` bytes.

        pinned: they are copied into page-locked memory, for asynchronous copies to a GPU.
        """
        if not self.groups:
            return
        loader = DataLoader(
            self,
            batch_size=None,
            pin_memory=pinned,
            prefetch_factor=READ_AHEAD if workers else None,
            **loading(workers, shared),
        )
        with told_by_workers():
            yield from loader


def shared_bytes(workers: int, batch_size: int, crop: int) -> int:
    """What the batches of so many workers take in shared memory at a time, in an evaluation."""
    return workers * (READ_AHEAD + 1) * batch_size * 3 * crop**2


@dataclass
class KeptBatches:
    """Rescaled images that are evaluated again and again, as a training's validation set is.

    Holds the first batches of an evaluation, uint8 [N, 3, height, width] each, up to `most` bytes.
    """

    most: int = KEPT_BYTES
    batches: list[torch.Tensor] = field(default_factory=list)
    whole: bool = True  # none has been left out yet, so that another may follow

    def passing(self, batches: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        """The kept batches, then those given, which are those behind them."""
        yield from self.batches
        used = sum(batch.nbytes for batch in self.batches)
        for batch in batches:
            used += batch.nbytes
            self.whole &= used <= self.most
            if self.whole:
                self.batches.append(batch.clone())  # not in the loader's pinned or shared memory
            yield batch


def groups_of_equal_size(
    heights: np.ndarray, widths: np.ndarray, smallest_side: int, pixels: int
) -> list[np.ndarray]:
    """Places of images that have one size after rescaling, at most `pixels` pixels a group.

    Dense evaluation never pads, so only such images can share a batch. Groups of rare sizes, small
    ones, lie at random among the others: every new size takes a while to choose a GPU's kernels
    for, in which it has the work of a large group to do.
    """
    sizes = np.array(
        [rescaled_size(h, w, smallest_side) for h, w in zip(heights, widths, strict=True)]
    )
    groups = []
    for height, width in np.unique(sizes, axis=0):
        members = np.flatnonzero((sizes == (height, width)).all(1))
        groups += groups_of(members, max(1, pixels // (int(height) * int(width))))
    return [groups[number] for number in np.random.default_rng(0).permutation(len(groups))]


def groups_of(places: np.ndarray, size: int) -> list[np.ndarray]:
    """`places` cut into runs of `size`."""
    return [places[start : start + size] for start in range(0, len(places), size)]


@torch.inference_mode()
def evaluate(
    net: ConvNet,
    paths: Sequence[str | Path],
    *,
    method: str,
    smallest_side: int,
    mean: Sequence[float],
    input_scale: float = 1.0,
    score_average: str = "before-softmax",
    grid: str = "whole-image",
    resize_filter: str = "bicubic",
    batch_size: int = BATCH_SIZE,
    workers: int = 0,
    progress: bool = True,
    places: np.ndarray | None = None,
    kept: KeptBatches | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Posteriors float32 [images, classes] of a split's shards at one test scale, in shard order.

    net: on its device, in evaluation mode or not (its mode is kept). smallest_side: Q in pixels.
    batch_size: crops, or as many pixels of whole images, in one forward pass.
    places: int [images], those of the shards' images to evaluate, in this order; all if None.
    kept: of an earlier evaluation of the same images at the same scale, which are not read again.
    stop: asked before each batch.
    Raises InputError if Q is too small for the net or shared memory for the workers, NotFinite if
    posteriors are not, Stopped if `stop` says so.
    """
    crop = net.architecture.crop
    if smallest_side < crop:
        raise InputError(
            f"Q of {smallest_side} pixels is smaller than the net's input of {crop} pixels; "
            "no window fits, choose a Q of at least 224 in the paper's units"
        )
    shards = Shards(paths)
    if places is None:
        places = np.arange(len(shards))
    if method == "center":
        groups = groups_of(np.arange(len(places)), batch_size)
    else:
        groups = groups_of_equal_size(
            shards.heights[places], shards.widths[places], smallest_side, batch_size * crop**2
        )
    weights = next(net.parameters())
    device = weights.device
    kept = kept or KeptBatches(most=0)
    images = RescaledImages(
        paths,
        [places[rows] for rows in groups[len(kept.batches) :]],
        smallest_side,
        crop if method == "center" else None,
        resize_filter,
    )
    was_training = net.training
    net.eval()
    dense = DenseConvNet(net) if method == "dense" else None
    mean_rgb = torch.tensor(mean, dtype=weights.dtype, device=device)
    # On the device until the end: to fetch each batch's would make a GPU wait for the next one.
    result = torch.empty(len(places), net.architecture.classes, device=device)
    bar = Progress(len(places), "images")
    shared = shared_bytes(workers, batch_size, crop)
    read = images.read_ahead(workers, shared, device.type == "cuda")
    for rows, pixels in zip(groups, kept.passing(read), strict=True):
        if stop():
            net.train(was_training)
            raise Stopped
        with explained_memory(
            f"{batch_size} crops of {crop}×{crop}, or as many pixels, at once",
            "lower the batch size (evaluate.batch_size)",
        ):
            batch = to_input(sent(pixels, device), mean_rgb, input_scale)
            match method:
                case "dense":
                    posteriors = dense_posteriors(dense, batch, score_average)
                case "multicrop":
                    posteriors = multicrop_posteriors(net, batch, grid, batch_size)
                case "center":
                    posteriors = net(batch).float().softmax(1)
                case _:
                    raise ValueError(f"unknown method {method!r}")
            result[sent(torch.from_numpy(rows), device)] = posteriors
        if progress:
            bar.update(len(rows))
    net.train(was_training)
    posteriors = result.cpu().numpy()
    if not np.isfinite(posteriors).all():
        raise NotFinite(
            "the net's posteriors are not finite: its weights are not, or its activations exceed "
            "the precision's largest number"
        )
    return posteriors
