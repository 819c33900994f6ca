"""TF32 as it is simulated: the nearest number with 10 bits behind the point, ties to even."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.checks.simulated_precision import Comparison, rounded, tf32, watched
from workflow_scripts.vgg.evaluation.methods import SlidingLayer


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
    torch.manual_seed(0)
    layer = nn.Linear(50, 20)
    x = torch.randn(3, 50)
    plain = layer(x)
    with tf32():
        inside = layer(x)
    expected = rounded(x) @ rounded(layer.weight.detach()).T + layer.bias
    torch.testing.assert_close(inside, expected, rtol=0, atol=1e-5)
    assert (inside - plain).abs().max() > 1e-4
    assert torch.equal(layer(x), plain)


def test_convolutions_and_sliding_layers_take_rounded_operands_and_sum_in_float32():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 9, 9).contiguous(memory_format=torch.channels_last)
    conv, linear = nn.Conv2d(4, 6, 3, padding=1), nn.Linear(4 * 3 * 3, 5)
    sliding = SlidingLayer(linear, 3)
    with torch.no_grad(), tf32():
        ours = [conv(x), sliding(x)]
    # In float64, products of 11-bit numbers and their sums are exact beside float32's rounding.
    exact = [
        F.conv2d(rounded(x).double(), rounded(weight).double(), bias.double(), padding=padding)
        for weight, bias, padding in (
            (conv.weight.detach(), conv.bias.detach(), 1),
            (linear.weight.detach().view(5, 4, 3, 3), linear.bias.detach(), 0),
        )
    ]
    for mine, expected, layer in zip(ours, exact, (conv, sliding), strict=True):
        torch.testing.assert_close(mine.double(), expected, rtol=0, atol=1e-5)
        assert (layer(x).detach().double() - expected).abs().max() > 1e-4


def test_the_largest_activation_is_that_of_any_layer_with_weights():
    conv, sliding = nn.Conv2d(1, 1, 1), SlidingLayer(nn.Linear(1, 1), 1)
    for layer, weight in ((conv, 3.0), (sliding, -5.0)):
        nn.init.constant_(layer.weight, weight)
        nn.init.zeros_(layer.bias)
    with torch.no_grad(), watched() as largest:
        sliding(torch.relu_(conv(torch.full((1, 1, 2, 2), 2.0))))
        assert largest == [30.0]
        sliding(torch.ones(1, 1, 1, 1))
    assert largest == [30.0]
    sliding(torch.full((1, 1, 1, 1), 100.0))
    assert largest == [30.0], "not watched outside the block"


def test_a_comparison_counts_changed_answers_and_errors():
    exact = np.array([[0.6, 0.4], [0.3, 0.7], [0.51, 0.49], [0.2, 0.8]])
    found = np.array([[0.6, 0.4], [0.3, 0.7], [0.49, 0.51], [0.1, 0.9]])
    comparison = Comparison()
    for largest in (7.0, 5.0):
        comparison.add(found, exact, np.array([0, 0, 1, 1]), largest)
    assert (comparison.answers, comparison.changed, comparison.activation) == (8, 2, 7.0)
    assert comparison.difference == pytest.approx(0.1)
    assert comparison.changed_per_thousand == 250
    assert comparison.change_of_error == -25  # the changed answer became right
