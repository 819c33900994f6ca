"""SGD with momentum, weight decay and dropout, and how long it goes on (paper §3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..core.declarations import declared
from ..nets.convnets import ConvNet
from ..nets.precision import OF_TRAINING

BIAS_RULES = ("as-weights", "caffe")
TRAINABLE = ("all", "fc")


@dataclass(frozen=True)
class Optimisation:
    """How a net is optimised; defaults are the paper's (§3.1).

    iterations: the most that are done.
    validation_interval: iterations between validations.
    latest_drops: shares of the iterations by which the rate is divided by 10, once each, if no
        plateau has done it before.
    patience, margin: as in `schedule.Plateau`.
    trainable: "all", or "fc" for the fully-connected layers only.
    biases: "as-weights", or "caffe": twice the learning rate and no weight decay.
    precision: what the net computes in, as in `nets.precision`.
    compile: conv layers run as torch.compile makes them.
    input_scale: the inputs are divided by this, which is undone in the saved first layer.
    """

    learning_rate: float = 1e-2
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dropout: float = 0.5
    iterations: int = 370_000
    validation_interval: int = 5_000
    latest_drops: tuple[float, ...] = (0.7, 0.85, 0.95)
    patience: int = 3
    margin: float = 0.0
    trainable: str = declared("all", values=TRAINABLE)
    biases: str = declared("as-weights", values=BIAS_RULES, choice=True)
    precision: str = declared("auto", values=OF_TRAINING)
    compile: bool = False
    input_scale: float = 1.0


def sgd(net: ConvNet, settings: Optimisation) -> torch.optim.SGD:
    """The optimiser over the trainable parameters; the others are frozen."""
    net.features.requires_grad_(settings.trainable == "all")
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            (biases if name.endswith("bias") else weights).append(parameter)
    caffe = settings.biases == "caffe"
    return torch.optim.SGD(
        [
            {"params": weights, "rate_factor": 1.0},
            {
                "params": biases,
                "rate_factor": 2.0 if caffe else 1.0,
                "weight_decay": 0.0 if caffe else settings.weight_decay,
            },
        ],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def begin_momentum(optimizer: torch.optim.SGD) -> None:
    """Set momentum to zero, which is what it is before the first step.

    PyTorch leaves that to the first step, and if that is left out because gradients overflow, its
    fused SGD goes on from memory that was never set.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
