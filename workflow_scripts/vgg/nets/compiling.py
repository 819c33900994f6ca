"""Conv layers as torch.compile makes them, which fuses their ReLUs, poolings and biases."""

from __future__ import annotations

import torch

from ..core.files import InputError
from .convnets import ConvNet


def compile_features(net: ConvNet) -> None:
    """Compile the net's conv layers for batches in training; all else runs as before.

    Not the whole net: dropout's seed is another number in each iteration, and would be compiled in.
    Not validation: its last batch is smaller, and each size of a batch is compiled by itself.
    Rounding is another than without. So that the same bits come again, Inductor is told to choose
    kernels by rule instead of by timing them.
    Raises InputError, at the first batch, where there is no compiler.
    """
    import torch._inductor.config

    if hasattr(torch._inductor.config, "deterministic"):  # from torch 2.10 on
        torch._inductor.config.deterministic = True
    eager = net.features.forward
    compiled = torch.compile(eager, dynamic=False)

    def forward(images: torch.Tensor) -> torch.Tensor:
        if not net.training or len(images) == 1:  # as `Training.prepare` gives one
            return eager(images)
        try:
            return compiled(images)
        except torch._inductor.exc.InductorError as error:
            raise InputError(
                f"torch.compile fails: {str(error).splitlines()[0]}. Install what it needs, such "
                "as g++, or set train.compile to false"
            ) from error

    net.features.forward = forward  # type: ignore[method-assign]
