"""The learning rate is divided by 10 when validation accuracy stops improving (paper §3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass
class Plateau:
    """Counts validations without improvement and says when to drop the learning rate.

    latest_drops: iteration by which each drop is made even without a plateau, so that no training
        ends at a high rate because its last plateau did not fit; three drops in the paper.
    patience: validations without improvement that make a plateau.
    margin: percentage points by which the error must fall below the best to count as improvement.
    """

    latest_drops: Sequence[int]
    patience: int
    margin: float = 0.0
    best_error: float = float("inf")
    waited: int = 0
    dropped: int = 0
    finished: bool = False

    def observe(self, iteration: int, error: float) -> None:
        """Take in the validation error after `iteration` iterations, in percent.

        The first plateau after the last drop sets `finished`.
        """
        if error < self.best_error - self.margin:
            self.best_error, self.waited = error, 0
        else:
            self.waited += 1
        plateau = self.waited >= self.patience
        if self.dropped == len(self.latest_drops):
            self.finished = plateau
        elif plateau or iteration >= self.latest_drops[self.dropped]:
            self.dropped += 1
            self.waited = 0

    @property
    def factor(self) -> float:
        """The factor of the initial learning rate: 1, 0.1, 0.01, …"""
        return 10.0**-self.dropped

    def state(self) -> dict:
        """All fields, for a checkpoint; `Plateau(**state)` restores them."""
        return asdict(self)
