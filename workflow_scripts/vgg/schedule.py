"""The learning rate is divided by 10 when validation accuracy stops improving (paper §3.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Plateau:
    """Counts validations without improvement and says when to drop the learning rate.

    drops: how often the rate is divided by 10; three in the paper.
    patience: validations without improvement that make a plateau.
    margin: percentage points by which the error must fall below the best to count as improvement.
    """

    drops: int
    patience: int
    margin: float = 0.0
    best_error: float = float("inf")
    waited: int = 0
    dropped: int = 0

    def observe(self, error: float) -> None:
        """Take in a validation error in percent."""
        if error < self.best_error - self.margin:
            self.best_error, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience and self.dropped <= self.drops:
            self.dropped += 1
            self.waited = 0

    @property
    def factor(self) -> float:
        """What the initial learning rate is multiplied by: 1, 0.1, 0.01, …"""
        return 10.0 ** -min(self.dropped, self.drops)

    @property
    def finished(self) -> bool:
        """True at the first plateau after the last drop."""
        return self.dropped > self.drops

    def state(self) -> dict:
        """All fields, for a checkpoint; `Plateau(**state)` restores them."""
        return asdict(self)
