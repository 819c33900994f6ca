"""Testing (paper §3.2): dense evaluation, multi-crop evaluation, and the single central crop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..core.declarations import declared
from ..core.files import InputError
from ..core.progress import Progress
from ..core.signals import Stopped
from ..data.rescaled_images import BATCH_SIZE, RescaledImages
from ..nets.convnets import ConvNet
from ..nets.devices import explained_memory, sent, to_input
from ..nets.library_nets import Classifier, LibraryNet

METHODS = ("dense", "multicrop", "center")
SCORE_AVERAGES = ("before-softmax", "after-softmax")
CROP_GRIDS = ("whole-image", "central-square")
GRID_SIDE = 5


class NotFinite(InputError):
    """The posteriors, or descriptors, that a net gives are not finite."""


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
        side, layers = net.architecture.window, []
        for layer in net.fc_layers:
            layers += [SlidingLayer(layer, side), nn.ReLU(inplace=True)]
            side = 1
        self.classifier = nn.Sequential(*layers[:-1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))


def dense_posteriors(
    score_map: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    score_average: str = "before-softmax",
) -> torch.Tensor:
    """Posteriors [N, classes] of whole images, averaged with those of their mirror images.

    score_map: of images to float [N, classes, rows, columns], such as a DenseConvNet.
    score_average: "before-softmax" averages the score map over places and then takes the soft-max,
        "after-softmax" takes it at each place and averages. The flip is a second pass: where
        pooling drops an odd last column, the mirrored map is not the map mirrored.
    """
    views = []
    for view in (images, images.flip(3)):
        scores = score_map(view).float()
        if score_average == "before-softmax":
            views.append(scores.mean((2, 3)).softmax(1))
        else:
            views.append(scores.softmax(1).mean((2, 3)))
    return (views[0] + views[1]) / 2


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
    net: Classifier, images: torch.Tensor, grid: str = "whole-image", batch_size: int = 64
) -> torch.Tensor:
    """Posteriors [N, classes]: the mean of the soft-max outputs of each image's 50 views."""
    views = list(multicrop_views(images, net.architecture.crop, grid))
    together = max(1, batch_size // len(images))
    total = torch.zeros((), device=images.device)
    for start in range(0, len(views), together):
        pending = views[start : start + together]
        batch = torch.cat(pending).contiguous(memory_format=torch.channels_last)
        posteriors = net(batch).float().softmax(1)
        total = total + posteriors.view(len(pending), len(images), -1).sum(0)
    return total / len(views)


@dataclass(frozen=True)
class Method:
    """How a net is tested on an image, and how the paper's words about it are read (§3.2).

    method: "dense" for whole images, "multicrop" for 50 crops, "center" for the central crop.
    score_average: as for `dense_posteriors`.
    crop_grid: as for `multicrop_views`.
    batch_size: crops, or as many pixels of whole images, in one forward pass.
    """

    method: str = declared("dense", values=METHODS)
    score_average: str = declared("before-softmax", values=SCORE_AVERAGES, choice=True)
    crop_grid: str = declared("whole-image", values=CROP_GRIDS, choice=True)
    batch_size: int = declared(BATCH_SIZE, "crops, or as many pixels, in a forward pass", least=1)

    def of(self, net: Classifier) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function that gives posteriors [N, classes] of images as the net takes them.

        Raises ValueError for an unknown method.
        """
        match self.method:
            case "dense":
                score_map = net.score_map if isinstance(net, LibraryNet) else DenseConvNet(net)
                return lambda images: dense_posteriors(score_map, images, self.score_average)
            case "multicrop":
                return lambda images: multicrop_posteriors(
                    net, images, self.crop_grid, self.batch_size
                )
            case "center":
                return lambda images: net(images).float().softmax(1)
        raise ValueError(f"unknown method {self.method!r}")


@torch.inference_mode()
def pass_over(
    images: RescaledImages,
    net: nn.Module,
    mean: Sequence[float],
    use: Callable[[np.ndarray, torch.Tensor], None],
    *,
    input_scale: float = 1.0,
    workers: int = 0,
    progress: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Give all images, batch by batch, to `use`, as the net takes them and on its device.

    use: of the images' rows in `images.wanted`, int [N], and the batch, float [N, 3, height,
    width].
    net: in evaluation mode meanwhile. mean: RGB 0–255, subtracted from pixels, which are then
    divided by `input_scale`. stop: asked before each batch.

    Raises InputError if shared memory is too small for the workers, Stopped if `stop` says so.
    """
    weights = next(net.parameters())
    device = weights.device
    was_training = net.training
    net.eval()
    mean_rgb = torch.tensor(mean, dtype=weights.dtype, device=device)
    bar = Progress(len(images.wanted), "images")
    for rows, pixels in images.batches(workers, pinned=device.type == "cuda"):
        if stop():
            net.train(was_training)
            raise Stopped
        with explained_memory(
            f"{images.batch_size} crops of {images.crop}×{images.crop}, or as many pixels, at once",
            "lower the batch size (evaluate.batch_size)",
        ):
            use(rows, to_input(sent(pixels, device), mean_rgb, input_scale))
        if progress:
            bar.update(len(rows))
    net.train(was_training)


@torch.inference_mode()  # where the dense net is made, too: its products are rounded by it
def evaluate(
    net: Classifier, images: RescaledImages, method: Method, mean: Sequence[float], **options: Any
) -> np.ndarray:
    """Posteriors float32 [images, classes], in the order of the images.

    net: on its device, in evaluation mode or not (its mode is kept).
    mean, options: as for `pass_over`.

    Raises what `pass_over` does, and NotFinite if posteriors are not.
    """
    posteriors_of = method.of(net)
    classes = net.architecture.classes
    return gathered(images, net, posteriors_of, classes, mean, what="posteriors", **options)


@torch.inference_mode()
def gathered(
    images: RescaledImages,
    net: nn.Module,
    function: Callable[[torch.Tensor], torch.Tensor],
    width: int,
    mean: Sequence[float],
    *,
    what: str,
    **options: Any,
) -> np.ndarray:
    """What a function gives for each image, float32 [images, width], in the order of the images.

    function: of a batch as `pass_over` has it, to float [N, width]. what: it is, for errors.
    net, mean, options: as for `pass_over`.

    Raises what `pass_over` does, and NotFinite if a number is not finite.
    """
    device = next(net.parameters()).device
    # On the device until the end: to fetch each batch's would make a GPU wait for the next one.
    result = torch.empty(len(images.wanted), width, device=device)

    def keep(rows: np.ndarray, batch: torch.Tensor) -> None:
        result[sent(torch.from_numpy(rows), device)] = function(batch)

    pass_over(images, net, mean, keep, **options)
    found = result.cpu().numpy()
    if not np.isfinite(found).all():
        raise NotFinite(
            f"the net's {what} are not finite: its weights are not, or its activations exceed "
            "the precision's largest number"
        )
    return found
