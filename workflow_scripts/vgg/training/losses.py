"""What a training minimises: logistic regression (paper §3.1), or a Euclidean loss (appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..core.declarations import declared
from ..data.loader import TrainingBatch

BOX_LOSSES = ("half-sum-of-squares", "mean-of-squares")


def logistic_loss(scores: torch.Tensor, batch: TrainingBatch) -> torch.Tensor:
    """The cross entropy of each sample's class, float [rows], of scores float [rows, classes]."""
    return F.cross_entropy(scores, batch.labels, reduction="none")


@dataclass(frozen=True)
class BoxLoss:
    """The Euclidean loss of a net of boxes, on the deviation from the true box's parameters.

    box_loss: "half-sum-of-squares" over the four numbers, as Caffe's EuclideanLoss has it, or their
        "mean-of-squares"; the loss of a batch is the mean over its samples.
    """

    box_loss: str = declared("half-sum-of-squares", values=BOX_LOSSES, choice=True)

    def __call__(self, outputs: torch.Tensor, batch: TrainingBatch) -> torch.Tensor:
        """The loss of each sample, float [rows].

        outputs: float [rows, 4], or [rows, 4 · classes], of which a sample's class alone counts: no
            other has a target, so the others' gradients are zero.
        """
        assert batch.boxes is not None
        difference = of_class(outputs, batch.labels) - batch.boxes
        squares = difference.square()
        return squares.sum(1) / 2 if self.box_loss == "half-sum-of-squares" else squares.mean(1)


def of_class(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The four numbers of each sample's class, float [rows, 4], whatever head gave the outputs."""
    boxes = outputs.unflatten(1, (-1, 4))
    if boxes.shape[1] == 1:
        return boxes[:, 0]
    return boxes[torch.arange(len(labels), device=labels.device), labels]
