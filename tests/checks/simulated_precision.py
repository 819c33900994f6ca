"""How many answers of trained nets change when they are evaluated in less than float32, on a CPU.

    python -m tests.checks.simulated_precision --results results/miniature
    python -m tests.checks.simulated_precision --results results/miniature --models D_S256 --Q 384

Each net is evaluated on the validation and the test set, in float32 and in each other precision.
TF32 is simulated: the operands of convolutions and matrix products are rounded to 10 bits behind
the point, and sums stay in float32, as tensor cores do it. bfloat16 and float16 are the CPU's own,
by autocast. Answers that change are those whose class of the highest posterior differs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook

from tests import checks
from tests.helpers.evaluations import posteriors_of
from workflow_scripts.vgg.data.images import pixels_at
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.weights import load_weights

MANTISSA = 10  # bits of TF32 and of float16


def rounded(values: torch.Tensor, bits: int = MANTISSA) -> torch.Tensor:
    """float32 values rounded to so many bits behind the point, to nearest, ties to even."""
    dropped = 23 - bits
    if not dropped:
        return values
    whole = values.contiguous().view(torch.int32)
    half = (1 << (dropped - 1)) - 1 + ((whole >> dropped) & 1)
    return ((whole + half) & -(1 << dropped)).view(torch.float32).view_as(values)


@contextlib.contextmanager
def tf32() -> Iterator[None]:
    """Inside the block, convolutions and matrix products take rounded operands."""
    conv2d, linear = F.conv2d, F.linear

    def rounded_conv2d(x, weight, *more, **options):
        x = rounded(x).contiguous(memory_format=torch.channels_last)
        return conv2d(x, rounded(weight), *more, **options)

    def rounded_linear(x, weight, bias=None):
        return linear(rounded(x), rounded(weight), bias)

    with (
        mock.patch.object(F, "conv2d", rounded_conv2d),
        mock.patch.object(F, "linear", rounded_linear),
    ):
        yield


PRECISIONS = {
    "float32": contextlib.nullcontext,
    "tf32": tf32,
    "bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "float16": lambda: torch.autocast("cpu", torch.float16),
}


@contextlib.contextmanager
def watched() -> Iterator[list[float]]:
    """Inside the block, the list's one number is the largest that a conv or linear layer gave."""
    largest = [0.0]

    def watch(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        if isinstance(module, (nn.Conv2d, nn.Linear, methods.SlidingLayer)):
            largest[0] = max(largest[0], float(output.abs().max()))

    # A hook on all modules: dense evaluation builds its linear layers itself.
    hook = register_module_forward_hook(watch)
    try:
        yield largest
    finally:
        hook.remove()


def posteriors(
    weights: Path, shards: list[Path], precision: str, method: str, Q: int
) -> tuple[np.ndarray, float]:
    """Posteriors [images, classes], and the largest number that any layer with weights gave."""
    net, metadata = load_weights(weights)
    with PRECISIONS[precision](), watched() as largest:
        # As evaluate.py does: pixels are 0-255 less the mean, their scale is in the first layer.
        found = posteriors_of(
            net.to(memory_format=torch.channels_last),
            shards,
            method=method,
            smallest_side=pixels_at(Q, net.architecture.crop),
            mean=metadata["mean_rgb"],
        )
    return found, largest[0]


@dataclass
class Comparison:
    """A precision's answers beside float32's on the same images, summed over nets and scales."""

    answers: int = 0
    changed: int = 0
    difference: float = 0.0  # the largest of a posterior
    wrong: int = 0
    wrong_in_float32: int = 0
    activation: float = 0.0  # the largest

    def add(self, found: np.ndarray, exact: np.ndarray, labels: np.ndarray, largest: float) -> None:
        """Count one net's posteriors [images, classes] at one scale."""
        ours, theirs = found.argmax(1), exact.argmax(1)
        self.answers += len(labels)
        self.changed += int((ours != theirs).sum())
        self.difference = max(self.difference, float(np.abs(found - exact).max()))
        self.wrong += int((ours != labels).sum())
        self.wrong_in_float32 += int((theirs != labels).sum())
        self.activation = max(self.activation, largest)

    @property
    def changed_per_thousand(self) -> float:
        """Answers that changed, of a thousand."""
        return 1000 * self.changed / self.answers

    @property
    def change_of_error(self) -> float:
        """Top-1 error less float32's, in points."""
        return 100 * (self.wrong - self.wrong_in_float32) / self.answers


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="of a finished run")
    parser.add_argument("--models", nargs="+", help="such as D_S256; all if not given")
    parser.add_argument("--method", choices=methods.METHODS, default="dense")
    parser.add_argument("--Q", type=int, nargs="+", default=[256, 384])
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {path.stem: path for path in sorted(given.results.glob("weights/*.safetensors"))}
    missing = [model for model in given.models or [] if model not in found]
    if missing or not found:
        parser.error(f"{given.results}/weights: no weights of {', '.join(missing) or 'any net'}")
    sums = {name: Comparison() for name in PRECISIONS}
    for model in given.models or found:
        for split in ("val", "test"):
            shards = sorted((given.results / f"shards/{split}").glob("*.arrow"))
            labels = Shards(shards).labels
            for Q in given.Q:
                exact = None
                for name, comparison in sums.items():  # float32 comes first
                    ours, largest = posteriors(found[model], shards, name, given.method, Q)
                    exact = ours if exact is None else exact
                    comparison.add(ours, exact, labels, largest)
        counts = ", ".join(f"{name} {c.changed}" for name, c in sums.items())
        print(f"{model}: changed so far: {counts}", flush=True)
    exact = sums["float32"]
    print(f"float32's top-1 error: {100 * exact.wrong / exact.answers:.2f}%")
    print("precision  answers  changed  in 1,000  difference  change of error  largest activation")
    for name, c in sums.items():
        print(
            f"{name:9}  {c.answers:7}  {c.changed:7}  {c.changed_per_thousand:8.2f}"
            f"  {c.difference:10.5f}  {c.change_of_error:+15.3f}  {c.activation:18.1f}"
        )


if __name__ == "__main__":
    main()
