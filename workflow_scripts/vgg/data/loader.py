"""Batches of augmented training crops, read from shards by any number of worker processes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from .box_targets import BoxTargets
from .images import crop_of_rescaled, decode, pixels_at, rows_of_crop
from .sampling import Batch, batch_at, epochs_done
from .shards import Shards
from .workers import loading, told_by_workers

READ_AHEAD = 4  # batches of each worker


@dataclass(frozen=True)
class TrainingBatch:
    """images: uint8 [samples, 3, crop, crop], channels last in memory; labels: int64 [samples];
    shifts: float32 [samples, 3], the RGB colour shift still to be added; boxes: float32 [samples,
    4], the targets of a net of boxes, None for a classifier's."""

    images: torch.Tensor
    labels: torch.Tensor
    shifts: torch.Tensor
    boxes: torch.Tensor | None = None

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that the batch has, images first."""
        return [t for t in (self.images, self.labels, self.shifts, self.boxes) if t is not None]

    def __reduce__(self):
        return _of_arrays, (self.images, *(tensor.numpy() for tensor in self.tensors[1:]))

    def to(self, device: torch.device) -> TrainingBatch:
        """The same batch on a device; the copy may go on when this returns."""
        return TrainingBatch(*(tensor.to(device, non_blocking=True) for tensor in self.tensors))

    def rows(self, part: slice) -> TrainingBatch:
        """Some of its samples."""
        return TrainingBatch(*(tensor[part] for tensor in self.tensors))

    def copy(self) -> TrainingBatch:
        """The same batch with images of its own."""
        return replace(self, images=self.images.clone())

    def pin_memory(self) -> TrainingBatch:
        """The same batch in page-locked memory, for asynchronous copies to a GPU."""
        return TrainingBatch(*(tensor.pin_memory() for tensor in self.tensors))


def _of_arrays(images: torch.Tensor, *others: np.ndarray) -> TrainingBatch:
    return TrainingBatch(images, *map(torch.from_numpy, others))


@dataclass(frozen=True)
class TrainingImages(Dataset):
    """`training_images[iteration]` is the batch of that iteration, or only `rows` of it (§3.1).

    paths: the training set's shards, of which only the images at `places` are used; all if None.
    scales: smallest and largest S in the paper's units. The other fields are as in `batch_at`.
    boxes: what a net of boxes learns of the shards' images, all of `places` having one.
    """

    paths: Sequence[str | Path]
    seed: int
    batch_size: int
    crop: int
    scales: tuple[int, int]
    colour_axes: np.ndarray
    resize_filter: str = "bicubic"
    rows: slice | None = None
    scale_sampling: str = "uniform-integer"
    last_batch: str = "wrap"
    places: np.ndarray | None = None
    boxes: BoxTargets | None = None

    @cached_property
    def shards(self) -> Shards:
        """The shards, opened once in each process."""
        return Shards(self.paths)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "shards"}

    @property
    def images(self) -> int:
        """Number of images that an epoch visits."""
        return len(self.shards if self.places is None else self.places)

    def epochs_done(self, iterations: int) -> float:
        """Epochs that so many iterations make."""
        return epochs_done(iterations, self.batch_size, self.images, self.last_batch)

    @property
    def own_rows(self) -> slice:
        """`rows`, or those of the whole batch."""
        return slice(0, self.batch_size) if self.rows is None else self.rows

    @property
    def labels(self) -> np.ndarray:
        """Labels int32 [images] of all images of an epoch."""
        labels = self.shards.labels
        return labels if self.places is None else labels[self.places]

    def _sampled(self, iteration: int) -> tuple[Batch, np.ndarray]:
        """An iteration's whole batch, and its images' places in the shards: int64 [batch_size]."""
        batch = batch_at(
            self.seed,
            iteration,
            batch_size=self.batch_size,
            images=self.images,
            scales=self.scales,
            colour_axes=self.colour_axes,
            scale_sampling=self.scale_sampling,
            last_batch=self.last_batch,
        )
        return batch, batch.images if self.places is None else self.places[batch.images]

    def ids(self, iteration: int, samples: Iterable[int]) -> list[str]:
        """Names of some samples of an iteration's whole batch."""
        _, images = self._sampled(iteration)
        return [self.shards.id(int(images[sample])) for sample in samples]

    def _cropped(
        self, iteration: int, batch: Batch, images: np.ndarray
    ) -> tuple[Batch, np.ndarray | None]:
        """The batch with the crops that it is to have, and its boxes, if it has any."""
        if self.boxes is None:
            return batch, None
        sizes = self.shards.heights[images], self.shards.widths[images]
        return self.boxes.of_batch(self.seed, iteration, batch, images, sizes)

    def mean_target(self, samples: int) -> np.ndarray:
        """The mean target float64 [4] of a net of boxes over the sequence's first `samples`."""
        iterations = range(-(-samples // self.batch_size))
        targets = [self._cropped(i, *self._sampled(i))[1] for i in iterations]
        return np.concatenate([t for t in targets if t is not None]).mean(0, dtype=np.float64)

    def empty(self) -> torch.Tensor:
        """Memory for a batch's images, uint8 [samples, crop, crop, 3]."""
        samples = len(range(self.batch_size)[self.own_rows])
        return torch.empty((samples, self.crop, self.crop, 3), dtype=torch.uint8)

    def __getitem__(self, iteration: int) -> TrainingBatch:
        return self.load(iteration, self.empty())

    def load(self, iteration: int, pixels: torch.Tensor) -> TrainingBatch:
        """The batch of an iteration, with its images in `pixels`, which is as `empty` gives it."""
        shards = self.shards
        batch, images = self._sampled(iteration)
        batch, boxes = self._cropped(iteration, batch, images)
        rows = self.own_rows
        samples = range(self.batch_size)[rows]
        crops = pixels.numpy()
        for place, sample in enumerate(samples):
            image, top = int(images[sample]), batch.tops[sample]
            smallest_side = pixels_at(batch.scales[sample], self.crop)
            needed = rows_of_crop(
                int(shards.heights[image]),
                int(shards.widths[image]),
                smallest_side=smallest_side,
                crop=self.crop,
                top=top,
                resize_filter=self.resize_filter,
            )
            crops[place] = crop_of_rescaled(
                decode(shards.jpeg(image), f"training image {image}", needed),
                smallest_side=smallest_side,
                crop=self.crop,
                top=top,
                left=batch.lefts[sample],
                resize_filter=self.resize_filter,
            )
        pixels = pixels.permute(0, 3, 1, 2)
        for place in np.flatnonzero(batch.flips[rows]).tolist():
            pixels[place] = pixels[place].flip(2)  # numpy takes eight times as long
        return TrainingBatch(
            pixels,
            torch.from_numpy(shards.labels[images[rows]].astype(np.int64)),
            torch.from_numpy(batch.shifts[rows]),
            None if boxes is None else torch.from_numpy(boxes[rows]),
        )

    def shared_bytes(self, workers: int) -> int:
        """Bytes of shared memory that the batches of so many workers take at a time."""
        samples = len(range(self.batch_size)[self.own_rows])
        return workers * (READ_AHEAD + 1) * samples * 3 * self.crop**2

    def batches(
        self, first: int, last: int, workers: int, pin_memory: bool
    ) -> Generator[TrainingBatch]:
        """The batches of iterations first … last − 1 in order, read ahead by worker processes.

        Close the iterator to end the workers.
        """
        loaded = DataLoader(
            _InSharedMemory(self) if workers else self,
            batch_size=None,
            sampler=range(first, last),
            pin_memory=pin_memory,
            prefetch_factor=READ_AHEAD if workers else None,
            **loading(workers, self.shared_bytes(workers)),
        )
        with told_by_workers():
            for batch in loaded:
                yield batch.copy() if batch.images.is_shared() else batch


def on_device(batches: Iterable[TrainingBatch], device: torch.device) -> Iterator[TrainingBatch]:
    """The batches on a device. A GPU gets the next one while it works on the one before.

    For that, copies have a stream of their own: in the stream of the computation, the 38 MB of a
    batch of 256 would take their turn.
    """
    if device.type != "cuda":
        yield from (batch.to(device) for batch in batches)
        return
    computing, copying = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    ready: TrainingBatch | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            copied = batch.to(device)
        if ready is not None:
            yield ready
        computing.wait_stream(copying)
        for tensor in copied.tensors:
            tensor.record_stream(computing)  # freed by the copies' stream, not while it is in use
        ready = copied
    if ready is not None:
        yield ready


class _InSharedMemory(Dataset):
    """A worker's batches, in memory that it shares with the main process and uses in turn.

    READ_AHEAD of them wait for the main process while it copies one more.
    """

    def __init__(self, images: TrainingImages):
        self.images, self.loaded = images, 0
        self.memory: list[torch.Tensor] = []

    def __getitem__(self, iteration: int) -> TrainingBatch:
        if not self.memory:
            self.memory = [self.images.empty().share_memory_() for _ in range(READ_AHEAD + 1)]
        self.loaded += 1
        return self.images.load(iteration, self.memory[self.loaded % len(self.memory)])
