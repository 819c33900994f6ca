"""TF32 as it is simulated: the nearest number with 10 bits behind the point, ties to even."""

import numpy as np
import torch
from torch import nn

from tests.simulated_precision import rounded, tf32


def test_rounding_is_to_the_nearest_of_1024_steps_between_powers_of_two():
    values = np.random.default_rng(0).normal(0, 100, 100_000).astype(np.float32)
    mantissa, exponent = np.frexp(values.astype(np.float64))
    expected = np.ldexp(np.round(mantissa * 2**11), exponent - 11)  # numpy's ties go to even
    assert np.array_equal(rounded(torch.from_numpy(values)).numpy(), expected.astype(np.float32))


def test_ties_go_to_even_and_23_bits_change_nothing():
    step = 2.0**-10
    ties = torch.tensor([1 + step / 2, 1 + 1.5 * step, -1 - step / 2, 0.0])
    assert rounded(ties).tolist() == [1.0, 1 + 2 * step, -1.0, 0.0]
    values = torch.randn(1000)
    assert torch.equal(rounded(values, 23), values)


def test_layers_take_rounded_operands_inside_the_block_only():
    layer = nn.Linear(50, 20)
    x = torch.randn(3, 50)
    plain = layer(x)
    with tf32():
        inside = layer(x)
    expected = rounded(x) @ rounded(layer.weight.detach()).T + layer.bias
    torch.testing.assert_close(inside, expected, rtol=1e-6, atol=1e-6)
    assert not torch.equal(inside, plain)
    assert torch.equal(layer(x), plain)
