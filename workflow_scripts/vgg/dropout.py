"""Dropout whose masks depend on the iteration and the sample's place in the batch alone (§3.1).

Every process draws the mask of the whole batch of 256 and uses its own rows, so the result does not
change with the number of processes, nor after a restart.

Masks are drawn on the CPU, also for a GPU: a GPU's own generator deals its numbers out to as many
threads as the card has multiprocessors for, so that another model of card would draw other masks.
"""

from __future__ import annotations

import torch
from torch import nn

from .devices import sent
from .randomness import Stream, torch_seed


class SequencedDropout(nn.Module):
    """Dropout with ratio `ratio`, identity in evaluation mode.

    In training mode, `seek` must be called before each forward pass.
    """

    def __init__(self, ratio: float):
        super().__init__()
        self.ratio = ratio
        self.seed: int | None = None

    def seek(self, seed: int, rows: slice, batch_size: int) -> None:
        """Take the mask of `rows` of a batch of `batch_size` from the generator seeded `seed`."""
        self.seed, self.rows, self.batch_size = seed, rows, batch_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.ratio == 0:
            return x
        if self.seed is None:
            raise RuntimeError("call seek_dropout before a forward pass in training mode")
        kept = sent(self.mask(x.shape[1:]), x.device)
        return x * kept.to(x.dtype).div_(1 - self.ratio)

    def mask(self, shape: torch.Size) -> torch.Tensor:
        """What is kept of the sought rows, bool [rows, *shape], on the CPU.

        A batch of 256 by 4096 takes 4 ms, in which a GPU works on what it was given before.
        """
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.rand((self.batch_size, *shape), generator=generator, device="cpu")
        return drawn[self.rows] >= self.ratio


def seek_dropout(
    net: nn.Module, seed: int, iteration: int, rows: slice | None, batch_size: int
) -> None:
    """Set every dropout layer of `net` to its masks of `iteration`.

    rows: the samples of the batch of `batch_size` that the next forward pass sees; None for all.
    """
    layers = [module for module in net.modules() if isinstance(module, SequencedDropout)]
    for place, layer in enumerate(layers):
        layer_seed = torch_seed(seed, Stream.DROPOUT, iteration * len(layers) + place)
        layer.seek(layer_seed, slice(None) if rows is None else rows, batch_size)
