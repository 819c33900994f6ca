"""How many answers of trained nets change when they are evaluated in less than float32, on a CPU.

    python -m tests.simulated_precision --results results/miniature

Each net is evaluated densely on the validation and the test set, in float32 and in each other
precision. TF32 is simulated: the operands of convolutions and matrix products are rounded to 10
bits behind the point, and sums stay in float32, as tensor cores do it. bfloat16 and float16 are the
CPU's own, by autocast. Answers that change are those whose class of the highest posterior differs.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.nn import functional as F

from workflow_scripts.vgg import evaluation
from workflow_scripts.vgg.images import pixels_at
from workflow_scripts.vgg.shards import Shards
from workflow_scripts.vgg.weights import load_weights

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


def posteriors(weights: Path, shards: list[Path], precision: str, Q: int) -> tuple:
    """Posteriors [images, classes] of dense evaluation, and the largest number in any layer."""
    net, metadata = load_weights(weights)
    net = net.to(memory_format=torch.channels_last).eval()
    largest = [0.0]

    def watch(module, inputs, output):
        largest[0] = max(largest[0], float(output.abs().max()))

    for layer in net.conv_layers:
        layer.register_forward_hook(watch)
    with PRECISIONS[precision]():
        found = evaluation.evaluate(
            net,
            shards,
            method="dense",
            smallest_side=pixels_at(Q, net.architecture.crop),
            mean=metadata["mean_rgb"],
            progress=False,
        )
    return found, largest[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, help="of a finished run")
    parser.add_argument("--Q", type=int, nargs="+", default=[256, 384])
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted((given.results / "weights").glob("*.safetensors"))
    sums: dict[str, list[float]] = {name: [0, 0, 0.0, 0, 0, 0.0] for name in PRECISIONS}
    for weights in files:
        for split in ("val", "test"):
            shards = sorted((given.results / f"shards/{split}").glob("*.arrow"))
            labels = Shards(shards).labels
            for Q in given.Q:
                exact = None
                for name, row in sums.items():
                    found, largest = posteriors(weights, shards, name, Q)
                    exact = found if exact is None else exact
                    row[0] += len(labels)
                    row[1] += int((found.argmax(1) != exact.argmax(1)).sum())
                    row[2] = max(row[2], float(np.abs(found - exact).max()))
                    row[3] += int((found.argmax(1) != labels).sum())
                    row[4] += int((exact.argmax(1) != labels).sum())
                    row[5] = max(row[5], largest)
        print(weights.stem, flush=True)
    print("precision  answers  changed  largest difference  change of error  largest activation")
    for name, (answers, changed, difference, wrong, exact_wrong, largest) in sums.items():
        change = f"{100 * (wrong - exact_wrong) / answers:+.3f}"
        print(
            f"{name:9}  {answers:7}  {changed:7}  {difference:18.5f}  {change:>15}  {largest:18.0f}"
        )


if __name__ == "__main__":
    main()
