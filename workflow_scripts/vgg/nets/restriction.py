"""Nets that know more classes than the data set, such as all of ILSVRC: their answers there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..core.declarations import declared
from .convnets import ConvNet
from .library_nets import Classifier

SUBSET_POSTERIORS = ("renormalised", "of-all-classes")


@dataclass(frozen=True)
class Restriction:
    """The reading of a test on a part of the classes that a net was trained on.

    subset_posteriors: "renormalised" keeps the scores of the data set's classes alone, whose
        soft-max is the posterior given that the class is one of these. "of-all-classes" keeps the
        others behind them, so that the net may give a class that no image has, and is wrong.
    """

    subset_posteriors: str = declared("renormalised", values=SUBSET_POSTERIORS, choice=True)

    def kept(self, known: Sequence[int], classes: int) -> list[int]:
        """The classes whose scores are kept, in order, of those of a net.

        known: the data set's classes, by their places among the net's. classes: of the net.
        """
        others = sorted(set(range(classes)) - set(known))
        return [*known, *(others if self.subset_posteriors == "of-all-classes" else [])]


def restrict(net: Classifier, kept: Sequence[int]) -> None:
    """Let a net give the scores of some of its classes, in place: class i is then `kept[i]`."""
    if not isinstance(net, ConvNet):
        net.architecture = replace(net.architecture, kept=list(kept))
        return
    last = net.fc_layers[-1]
    smaller = nn.Linear(last.in_features, len(kept))
    with torch.no_grad():
        smaller.weight.copy_(last.weight[kept])
        smaller.bias.copy_(last.bias[kept])
    net.classifier[-1] = smaller
    net.architecture = replace(net.architecture, classes=len(kept))
