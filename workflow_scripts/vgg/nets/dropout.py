"""Dropout whose masks depend on the iteration and the sample's place in the batch alone (§3.1).

Every process draws the mask of the whole batch of 256 and uses its own rows, so the result does not
change with the number of processes, nor after a restart.

Masks are drawn on the CPU, also for a GPU: a GPU's own generator deals its numbers out to as many
threads as the card has multiprocessors for, so that another model of card would draw other masks.
A thread draws the next iteration's masks while this one is computed: 256 by 4096 take 4 to 6 ms.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import torch
from torch import nn

from ..core.randomness import Stream, torch_seed
from .devices import sent


class SequencedDropout(nn.Module):
    """Dropout with ratio `ratio`, identity in evaluation mode.

    In training mode, `seek` must be called before each forward pass.
    """

    def __init__(self, ratio: float):
        super().__init__()
        self.ratio = ratio
        self.seeds: list[int] = []
        self.drawn: dict[tuple, Future[torch.Tensor]] = {}  # of whole batches, by what they are of

    def __getstate__(self) -> dict:
        return self.__dict__ | {"drawn": {}}  # what a thread draws has no copy

    def seek(self, seed: int, rows: slice, batch_size: int, next_seed: int | None = None) -> None:
        """Take the mask of `rows` of a batch of `batch_size` from the generator seeded `seed`.

        next_seed: of the mask that will be wanted after this one, to be drawn meanwhile.
        """
        self.seeds = [seed] if next_seed is None else [seed, next_seed]
        self.rows, self.batch_size = rows, batch_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.ratio == 0:
            return x
        if not self.seeds:
            raise RuntimeError("call seek_dropout before a forward pass in training mode")
        kept = sent(self.mask(x.shape[1:]), x.device)
        return x * kept.to(x.dtype).div_(1 - self.ratio)

    def mask(self, shape: torch.Size) -> torch.Tensor:
        """The mask of the sought rows, bool [rows, *shape], true where kept, on the CPU."""
        wanted = [(seed, (self.batch_size, *shape), self.ratio) for seed in self.seeds]
        self.drawn = {
            key: self.drawn.get(key) or _drawing().submit(drawn_mask, *key) for key in wanted
        }
        return self.drawn[wanted[0]].result()[self.rows]


def drawn_mask(seed: int, shape: tuple[int, ...], ratio: float) -> torch.Tensor:
    """The mask of a dropout for a whole batch, bool of a shape, true where kept, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(shape, generator=generator, device="cpu")
    return torch.from_numpy(drawn.numpy() >= ratio)  # by this thread alone, as torch's is not


@cache
def _drawing() -> ThreadPoolExecutor:
    """The thread that draws masks."""
    return ThreadPoolExecutor(1, thread_name_prefix="dropout")


def seek_dropout(
    net: nn.Module, seed: int, iteration: int, rows: slice | None, batch_size: int
) -> None:
    """Set every dropout layer of `net` to its masks of `iteration`.

    rows: the samples of the batch of `batch_size` that the next forward pass sees; None for all.
    """
    layers = [module for module in net.modules() if isinstance(module, SequencedDropout)]
    for place, layer in enumerate(layers):
        this, following = (
            torch_seed(seed, Stream.DROPOUT, number * len(layers) + place)
            for number in (iteration, iteration + 1)
        )
        layer.seek(this, slice(None) if rows is None else rows, batch_size, following)
