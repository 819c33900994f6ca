"""The machine's own rate of matrix products, which nothing that a net does can exceed."""

from __future__ import annotations

import torch

from .measuring import stopwatch

SIDE = {"cpu": 3072, "cuda": 8192}
NETS = {  # as in config/models.yaml; the shallowest and the one of most tables
    "A": "conv3-64 | conv3-128 | conv3-256 conv3-256 | conv3-512 conv3-512 | conv3-512 conv3-512",
    "D": "conv3-64 conv3-64 | conv3-128 conv3-128 | conv3-256 conv3-256 conv3-256"
    " | conv3-512 conv3-512 conv3-512 | conv3-512 conv3-512 conv3-512",
}


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class MatrixProduct:
    """Measures FLOP a second of a product of two square matrices of one type on a device."""

    def __init__(self, device: torch.device, dtype: torch.dtype):
        self.device, side = device, SIDE[device.type]
        self.left, self.right = torch.randn(2, side, side, device=device).to(dtype)
        self.result = torch.empty_like(self.left)
        self.flop = 2 * side**3

    def __call__(self) -> float:
        times = 3
        seconds = stopwatch(
            lambda: [torch.mm(self.left, self.right, out=self.result) for _ in range(times)],
            lambda: finish(self.device),
        )
        return times * self.flop / seconds
