"""The processes that share each batch, one GPU each (paper §3.3); torchrun starts them.

Samples, augmentation and dropout masks are functions of the iteration and of the place in the
batch, so the number of processes changes rounding only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import distributed, nn

from ..core.files import InputError

TIMEOUT = timedelta(minutes=30)  # for a process that does not answer; one that died is seen at once


@dataclass(frozen=True)
class Processes:
    """This process's place among `count`; without torchrun it is the only one."""

    rank: int = 0
    count: int = 1

    @classmethod
    def of_torchrun(cls) -> Processes:
        """As torchrun says in the environment."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[None]:
        """Inside the block, the processes can talk to each other.

        Numbers on the CPU go through gloo, gradients on GPUs through NCCL.
        """
        if self.count == 1:
            yield
            return
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=TIMEOUT)
        yield
        distributed.destroy_process_group()  # not after an error: it would wait for the others

    def rows(self, batch_size: int) -> slice:
        """This process's samples of a batch. Raises InputError if there are too few for all."""
        if batch_size < self.count:
            raise InputError(
                f"a batch of {batch_size} cannot be shared by {self.count} processes; "
                "lower train.processes"
            )
        return slice(
            batch_size * self.rank // self.count, batch_size * (self.rank + 1) // self.count
        )

    def share(self, items: np.ndarray) -> np.ndarray:
        """This process's part of `items`; the parts of all hold each item once."""
        return items[self.rank :: self.count]

    def wrap(self, net: nn.Module) -> nn.Module:
        """The net whose backward pass averages gradients over the processes."""
        if self.count == 1:
            return net
        return nn.parallel.DistributedDataParallel(
            net, forward_sync_buffers=False, gradient_as_bucket_view=True
        )

    def without_sharing(self, model: nn.Module) -> AbstractContextManager:
        """Inside the block, backward passes of what `wrap` gave keep their gradients here."""
        if isinstance(model, nn.parallel.DistributedDataParallel):
            return model.no_sync()
        return contextlib.nullcontext()

    def highest(self, *numbers: int) -> list[int]:
        """The highest of each number among the processes: how they agree."""
        return self._reduced(numbers, distributed.ReduceOp.MAX)

    def total(self, *numbers: int) -> list[int]:
        """The sum of each number over the processes."""
        return self._reduced(numbers, distributed.ReduceOp.SUM)

    def _reduced(self, numbers: tuple[int, ...], operation) -> list[int]:
        if self.count == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.int64)
        distributed.all_reduce(tensor, operation)
        return tensor.tolist()

    def gather(self, value) -> list:
        """Every process's `value`, in order of rank."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        distributed.all_gather_object(values, value)
        return values


def processes_on_node() -> tuple[int, int]:
    """This process's place among those of torchrun on this node, and their number."""
    return int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
