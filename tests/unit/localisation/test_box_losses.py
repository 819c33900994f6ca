"""The Euclidean loss of nets of boxes: its value and gradient, and which outputs have none."""

import numpy as np
import pytest
import torch

from workflow_scripts.vgg.data.loader import TrainingBatch
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.training.losses import BOX_LOSSES, BoxLoss, of_class
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.state import Training

LABELS = [2, 0, 2]
HEADS = ("box-scr", "box-pcr")


def batch_of(boxes, labels=LABELS):
    rows, generator = len(labels), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (rows, 3, 8, 8), dtype=torch.uint8, generator=generator)
    targets = torch.tensor(np.array(boxes), dtype=torch.float32)
    return TrainingBatch(pixels, torch.tensor(labels), torch.zeros(rows, 3), targets)


def test_the_losses_by_hand():
    outputs = torch.tensor([[1.0, 2, 3, 4], [0.5, 0.5, 1, 1], [0, 0, 0, 0]])
    batch = batch_of([[1, 0, 0, 0], [0.5, 0.25, 0.5, 1], [0, 0, 0, -2]])
    # Squares: 0 + 4 + 9 + 16, 1/16 + 1/4, and 4
    half = BoxLoss("half-sum-of-squares")(outputs, batch)
    assert half.tolist() == [14.5, 0.15625, 2.0]
    assert BoxLoss("mean-of-squares")(outputs, batch).tolist() == [7.25, 0.078125, 1.0]
    assert torch.equal(BoxLoss()(outputs, batch), half)


def test_the_numbers_of_a_samples_class_are_four_in_a_row():
    outputs = torch.arange(36.0).view(3, 12)
    found = of_class(outputs, torch.tensor(LABELS))
    assert found.tolist() == [[8, 9, 10, 11], [12, 13, 14, 15], [32, 33, 34, 35]]
    alone = torch.arange(12.0).view(3, 4)
    assert torch.equal(of_class(alone, torch.tensor(LABELS)), alone)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("loss", BOX_LOSSES)
def test_the_gradient_is_that_of_finite_differences(head, loss):
    """And closed: the deviation from the target, or half of it, and nothing of other classes."""
    generator = torch.Generator().manual_seed(1)
    width = 4 if head == "box-scr" else 12
    outputs = torch.randn(3, width, dtype=torch.float64, generator=generator, requires_grad=True)
    batch = batch_of(np.random.default_rng(2).normal(size=(3, 4)))
    measure = BoxLoss(loss)
    measure(outputs, batch).mean().backward()
    step = 1e-5
    for place in np.ndindex(3, width):
        sides = []
        for sign in (1, -1):
            moved = outputs.detach().clone()
            moved[place] += sign * step
            sides.append(float(measure(moved, batch).mean()))
        slope = (sides[0] - sides[1]) / (2 * step)
        assert float(outputs.grad[place]) == pytest.approx(slope, abs=1e-8)
    expected = torch.zeros(3, width, dtype=torch.float64)
    for row, label in enumerate(LABELS):
        first = 4 * label if head == "box-pcr" else 0
        own = slice(first, first + 4)
        deviation = outputs.detach()[row, own] - batch.boxes[row].double()
        expected[row, own] = deviation / 3 / (1 if loss == "half-sum-of-squares" else 2)
    torch.testing.assert_close(outputs.grad, expected)


class Rows:
    """Images of a training, as far as a step asks for them."""

    seed, crop, own_rows = 0, 8, slice(0, 3)


def training_of(head, **settings):
    """A training of a net so small that a step is plain."""
    torch.manual_seed(0)
    net = ConvNet(Architecture("conv3-64", 4, 8, 16, 8, head=head), dropout=0.0)
    values = {"batch_size": 3, "precision": "float32", "weight_decay": 0.0, "input_scale": 256.0}
    optimisation = Optimisation(**values | settings)
    return Training(net, Rows(), optimisation, [0, 0, 0], loss=BoxLoss())


BOXES = [[0.5, 0.5, 1, 1], [0.2, 0.4, 0.3, 0.6], [0.7, 0.4, 0.5, 0.2]]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_leaves_the_last_layers_rows_of_other_classes_as_they_were(momentum):
    training = training_of("box-pcr", momentum=momentum)
    last = training.net.fc_layers[-1]
    before = {n: p.detach().clone() for n, p in training.net.named_parameters()}
    for _ in range(3):
        training.step(batch_of(BOXES))
    weight, bias = before["classifier.6.weight"], before["classifier.6.bias"]
    for label in range(4):
        own = slice(4 * label, 4 * label + 4)
        if label in LABELS:
            assert not torch.equal(last.weight[own], weight[own])
            assert (last.bias[own] != bias[own]).all()
        else:
            assert torch.equal(last.weight[own], weight[own])
            assert torch.equal(last.bias[own], bias[own])
    for name, parameter in training.net.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_weight_decay_alone_moves_the_rows_of_other_classes():
    training = training_of("box-pcr", weight_decay=0.1, momentum=0.0, learning_rate=0.5)
    last = training.net.fc_layers[-1]
    before = last.weight.detach().clone()
    training.step(batch_of(BOXES))
    other = slice(4, 8)
    torch.testing.assert_close(last.weight[other].detach(), before[other] * (1 - 0.5 * 0.1))


@pytest.mark.parametrize("head", HEADS)
def test_a_step_is_sgd_on_the_mean_loss_of_the_batch(head):
    """The last layer's, in float64: the deviations' mean times what it saw, and the losses."""
    training = training_of(head, momentum=0.0, learning_rate=0.25, precision="float64")
    net, batch = training.net, batch_of(BOXES)
    last = net.fc_layers[-1]
    seen = []
    last.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    weight, bias = last.weight.detach().clone(), last.bias.detach().clone()
    losses, _ = training.step(batch)
    [(inputs, outputs)] = seen
    pushed = torch.zeros(3, len(bias), dtype=torch.float64)
    for row, label in enumerate(LABELS):
        first = 4 * label if head == "box-pcr" else 0
        deviation = outputs[row, first : first + 4].detach() - batch.boxes[row].double()
        pushed[row, first : first + 4] = deviation
        assert float(losses[row]) == pytest.approx(float((deviation**2).sum()) / 2)
    torch.testing.assert_close(last.bias.detach(), bias - 0.25 * pushed.mean(0))
    moved = weight - 0.25 * pushed.T @ inputs / 3
    torch.testing.assert_close(last.weight.detach(), moved)


def test_a_net_learns_the_boxes_of_three_pictures():
    training = training_of("box-pcr", learning_rate=0.05)
    first = training.step(batch_of(BOXES))[0].mean()
    for _ in range(100):
        last = training.step(batch_of(BOXES))[0].mean()
    assert last < first / 100
