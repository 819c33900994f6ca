"""Batch normalisation (Ioffe & Szegedy, 2015), which the paper's nets do not have.

Its statistics are those of the whole batch, of all processes that share it, so that the result does
not change with the number of processes. They need the whole part of a process in memory at once.
"""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce  # whose gradient is summed too
from torch.nn import functional as F

from ..core.files import InputError
from .precision import at_least_float32


class BatchNormalisation(nn.BatchNorm2d):
    """Batch normalisation of float [N, channels, height, width], as PyTorch's.

    A layer whose parameters are frozen keeps its running statistics too, and normalises by them.
    """

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        if self.training and not self.weight.requires_grad:
            own = (self.running_mean, self.running_var, self.weight, self.bias)
            return F.batch_norm(activations, *own, training=False, eps=self.eps)
        if self.training and distributed.is_initialized() and distributed.get_world_size() > 1:
            return self._over_processes(activations)
        return super().forward(activations)

    def _over_processes(self, activations: torch.Tensor) -> torch.Tensor:
        """The same with the mean and variance of all processes' batches together."""
        with torch.autocast(activations.device.type, enabled=False):
            values = at_least_float32(activations)
            count = values.new_tensor(values.numel() / self.num_features)
            distributed.all_reduce(count)
            mean = all_reduce(values.sum((0, 2, 3))) / count
            centred = values - mean[:, None, None]
            variance = all_reduce(centred.square().sum((0, 2, 3))) / count
            scale = self.weight.to(values.dtype) * (variance + self.eps).rsqrt()
            result = centred * scale[:, None, None] + self.bias.to(values.dtype)[:, None, None]
        self._keep(mean.detach(), variance.detach() * count / (count - 1))
        return result.to(activations.dtype)

    @torch.no_grad()
    def _keep(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Take a batch's statistics into the running ones, as PyTorch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


def is_normalised(net: nn.Module) -> bool:
    """Whether a net has batch normalisation."""
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def check_micro_batch(net: nn.Module, rows: int, micro_batch: int | None) -> None:
    """Raise InputError if a net with batch normalisation is to see less than its rows at once."""
    if micro_batch and micro_batch < rows and is_normalised(net):
        raise InputError(
            f"train.micro_batch: {micro_batch}, but the net has batch normalisation, whose "
            f"statistics are those of the {rows} samples of a process; set it to null, and use "
            "more train.processes or a smaller train.batch_size if memory is short"
        )
