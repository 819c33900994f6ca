"""Signals that ask a training to stop: noted, so that it can finish its iteration and checkpoint.

SIGTERM ends jobs on a cluster, SIGUSR1 is Slurm's warning before a time limit, SIGINT is Ctrl-C.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

STOPPED = 75  # exit status of work that was interrupted and can go on: EX_TEMPFAIL
WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """While entered, notes the watched signals instead of dying of them.

    received: number of the last one, 0 if there was none.
    """

    received: int = 0

    def __enter__(self) -> StopSignals:
        self.previous = {number: signal.signal(number, self._note) for number in WATCHED}
        return self

    def _note(self, number: int, frame: object) -> None:
        self.received = number

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def leave_signals_to_the_main_process() -> None:
    """Make a loader's worker process ignore the watched signals.

    A cluster signals all processes of a job; a worker that died of it would take the main process
    along before its checkpoint. Workers end when the main process closes its loader, or dies.
    """
    for number in WATCHED:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def ended_by_exit() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that it leaves nothing behind."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Stopped(Exception):
    """Work was asked to stop before it was done."""
