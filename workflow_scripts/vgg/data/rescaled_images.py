"""A split's images as nets are tested on them: rescaled, in batches of one size (paper §3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..core.files import InputError
from .images import centre_crop, decode, rescale, rescaled_size
from .shards import Shards
from .workers import loading, told_by_workers

READ_AHEAD = 2  # batches of each worker
BATCH_SIZE = 64
KEPT_BYTES = 10 * 10**9  # of pixels in memory; ILSVRC's validation crops take 7.5 GB


@dataclass(frozen=True)
class RescaledImages(Dataset):
    """Images of a split at one test scale; `rescaled_images[group]` is a batch of equal size.

    paths: the split's shards.
    smallest_side: Q in pixels.
    crop: side of the net's input in pixels.
    central: only the central crop of each image is wanted, not the whole image.
    batch_size: crops in a batch, or as many pixels of whole images.
    places: int [images], those of the shards' images that are wanted, in this order; all if None.
    regions: int [images, 4], the part of each wanted image that counts as the image, as edges in
        its pixels, xmin, ymin, xmax, ymax; the whole if None.
    kept: batches of these images from an earlier pass, which are not read again.

    Raises InputError if no crop fits into an image of this scale.
    """

    paths: Sequence[str | Path]
    smallest_side: int
    crop: int
    central: bool = False
    resize_filter: str = "bicubic"
    batch_size: int = BATCH_SIZE
    places: np.ndarray | None = None
    regions: np.ndarray | None = None
    kept: KeptBatches | None = None

    def __post_init__(self):
        check_scale(self.smallest_side, self.crop)

    @cached_property
    def shards(self) -> Shards:
        """The shards, opened once in each process."""
        return Shards(self.paths)

    @cached_property
    def wanted(self) -> np.ndarray:
        """Places in the shards of the images that are wanted, int [images]."""
        return np.arange(len(self.shards)) if self.places is None else self.places

    @cached_property
    def groups(self) -> list[np.ndarray]:
        """The images of each batch, as rows of `wanted`; every row is in one group."""
        if self.central:
            return groups_of(np.arange(len(self.wanted)), self.batch_size)
        heights, widths = self.shards.heights[self.wanted], self.shards.widths[self.wanted]
        if self.regions is not None:
            widths, heights = (self.regions[:, 2:] - self.regions[:, :2]).T
        pixels = self.batch_size * self.crop**2
        return groups_of_equal_size(heights, widths, self.smallest_side, pixels)

    def __getstate__(self) -> dict:
        """A worker opens the shards itself, and needs no kept batches."""
        own = {name: value for name, value in self.__dict__.items() if name != "shards"}
        return own | {"kept": None}

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, group: int) -> torch.Tensor:
        """uint8 [N, 3, height, width], channels last in memory."""
        batch = []
        for row in self.groups[group]:
            place = self.wanted[row]
            name = f"image {self.shards.id(place)}"
            pixels = decode(self.shards.jpeg(place), name)
            if self.regions is not None:
                left, top, right, bottom = self.regions[row]
                pixels = pixels[top:bottom, left:right]
            pixels = rescale(pixels, self.smallest_side, self.resize_filter, name=name)
            batch.append(centre_crop(pixels, self.crop) if self.central else pixels)
        return torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)

    def shared_bytes(self, workers: int) -> int:
        """Bytes of shared memory that the batches of so many workers take at a time."""
        return workers * (READ_AHEAD + 1) * self.batch_size * 3 * self.crop**2

    def batches(self, workers: int, pinned: bool) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """All groups in order, and their pixels, read ahead by worker processes.

        pinned: pixels are copied into page-locked memory, for asynchronous copies to a GPU.
        """
        kept = self.kept or KeptBatches(most=0)
        behind = range(len(kept.batches), len(self.groups))
        yield from zip(self.groups, kept.passing(self._read(behind, workers, pinned)), strict=True)

    def _read(self, groups: range, workers: int, pinned: bool) -> Iterator[torch.Tensor]:
        if not groups:
            return
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=groups,
            pin_memory=pinned,
            prefetch_factor=READ_AHEAD if workers else None,
            **loading(workers, self.shared_bytes(workers)),
        )
        with told_by_workers():
            yield from loader


def check_scale(smallest_side: int, crop: int) -> None:
    """Raise InputError if no crop fits into an image of a test scale; both in pixels."""
    if smallest_side < crop:
        raise InputError(
            f"Q of {smallest_side} pixels is smaller than the net's input of {crop} "
            "pixels; no window fits, choose a Q of at least 224 in the paper's units"
        )


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
