"""Guards that stop a training which cannot succeed, and say where it failed and what to try."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..core.files import InputError
from ..data.loader import TrainingImages
from .distributed import Processes
from .history import Iteration, Validation

CHECK_EVERY = 50  # iterations between looks at losses and gradients; a look makes a GPU wait
CHANCE = 0.99  # a training loss above this share of chance's is a flat line
NAMED = 8  # sample ids in a message
NEVER = 2**62  # an iteration that no training reaches


class FiniteGuard:
    """Remembers losses and gradients, and raises InputError at the first that is not finite.

    Keeping them costs no wait for the GPU; `look` does.
    """

    def __init__(self, images: TrainingImages, processes: Processes):
        self.images, self.processes = images, processes
        self.seen: list[tuple[int, float, torch.Tensor, torch.Tensor, float]] = []

    def keep(
        self, iteration: int, rate: float, losses: torch.Tensor, gradient_norm: torch.Tensor
    ) -> None:
        """Remember an iteration, the first being 1: losses float [rows], norm float []."""
        self.seen.append((iteration, rate, losses, gradient_norm, time.time()))

    def look(self) -> list[Iteration]:
        """The iterations since the last look; every process must call this.

        Raises InputError, in all processes, if one of them went wrong.
        """
        if not self.seen:
            return []
        sums = torch.stack([kept[2].sum(dtype=torch.float64) for kept in self.seen])
        norms = torch.stack([kept[3] for kept in self.seen])
        here = (sums + norms).isfinite().cpu().numpy()
        first = NEVER if here.all() else self.seen[int(np.argmin(here))][0]
        (agreed,) = self.processes.highest(-first)
        if -agreed < NEVER:
            self._raise(-agreed)
        losses = sum(self.processes.gather(sums.cpu())) / self.images.batch_size
        found = [
            Iteration(iteration, rate, loss, when)
            for (iteration, rate, *_, when), loss in zip(self.seen, losses.tolist(), strict=True)
        ]
        self.seen.clear()
        return found

    def _raise(self, iteration: int) -> None:
        rate, losses, norm = next(kept[1:4] for kept in self.seen if kept[0] == iteration)
        first_row = self.images.own_rows.start
        bad = (first_row + np.flatnonzero(~losses.isfinite().cpu().numpy())).tolist()
        bad = [sample for part in self.processes.gather(bad) for sample in part]
        everyone = range(self.images.batch_size)
        ids = self.images.ids(iteration - 1, bad[:NAMED] or everyone[:NAMED])
        what = "loss" if bad else f"gradient (its norm is {norm.item()})"
        which = f"in {len(bad)} of the" if bad else "over the"
        raise InputError(
            f"the {what} is not finite in iteration {iteration}, learning rate {rate:g}, {which} "
            f"{len(everyone)} samples, such as {', '.join(ids)}. Lower the model's learning_rate, "
            "choose another choices.initialisation, or set train.precision to float32; then run "
            "the same command again"
        )


def gradient_norm(net: nn.Module) -> torch.Tensor:
    """The norm of all gradients together, float [], which is finite if they are.

    On a CPU products with themselves take half the time of PyTorch's norms, which use one core.
    """
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    if gradients[0].device.type != "cpu":
        return nn.utils.get_total_norm(gradients)
    # Convolutions' gradients lie channels-last, which a copy would cost more than to follow.
    flat = (g.permute(0, 2, 3, 1).reshape(-1) if g.dim() == 4 else g.flatten() for g in gradients)
    return torch.stack([g.dot(g) for g in flat]).sum().sqrt()


def chance_loss(labels: np.ndarray) -> float:
    """The loss of a net that knows the classes' frequencies only: their entropy in nats."""
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def check_flat_line(
    history: Sequence[Validation], chance: float | None, iterations: int | None
) -> None:
    """Raise InputError if the last training loss, after `iterations` or more, is at chance.

    history: one line a validation. chance: from `chance_loss`; None for a net of boxes, which has
    none. iterations: None for never.
    Deep nets from N(0, 0.01²) are known to stay there, which is why the paper starts them from
    net A's layers (§3.1).
    """
    if not history or chance is None or iterations is None or history[-1].iteration < iterations:
        return
    last = history[-1]
    if last.train_loss > CHANCE * chance:
        raise InputError(
            f"the net is at chance after {last.iteration} iterations, learning rate "
            f"{last.learning_rate:g}: its training loss is {last.train_loss:.4f}, guessing "
            f"gives {chance:.4f}, and its validation error is {last.val_top1_error:.1f}%. "
            "Deep nets do this from small random weights: let the model start from net A's layers, "
            "choose another choices.initialisation (he, glorot) or another learning_rate. To wait "
            "longer set train.flat_line_iterations (now "
            f"{iterations}) higher or to null; the training then goes on from its checkpoint"
        )
