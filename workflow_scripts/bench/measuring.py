"""Contenders measured in turn, and the lines of the summary that come of it."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context

RUNS = 5  # of each contender, in turn
Contender = Callable[[], float]  # does its work once; gives its rate, or its seconds


@dataclass(frozen=True)
class Measured:
    """A contender's results, one for each run: rates, or seconds if `seconds`."""

    name: str
    values: Sequence[float]
    seconds: bool = False
    stated: bool = False  # not measured

    @property
    def best(self) -> float:
        """The value of the fastest run, which noise of the machine has touched least."""
        return min(self.values) if self.seconds else max(self.values)

    @property
    def spread(self) -> float:
        """Time of the slowest run less that of the fastest, over that of the fastest."""
        return max(self.values) / min(self.values) - 1

    def over(self, other: Measured) -> float:
        """How many times as fast as the other: by the best runs of both."""
        return other.best / self.best if self.seconds else self.best / other.best


def alternate(
    contenders: Mapping[str, Contender],
    seconds: bool = False,
    runs: int | None = None,
    warm: bool = False,
) -> dict[str, Measured]:
    """Run the contenders in turn, each `runs` times (RUNS if None) after once to warm up.

    warm: they have done such work before, or warm up in each run themselves.
    What the machine does besides falls on all of them alike. Every other round goes backwards.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(1 if warm else 0, (runs or RUNS) + 1):
        for name in list(contenders)[:: 1 if turn % 2 else -1]:
            value = contenders[name]()
            if turn:
                values[name].append(value)
    for name, found in values.items():
        logging.info(
            "%s: %s", name, ", ".join(f"{value:.4g}" for value in sorted(found, reverse=True))
        )
    return {name: Measured(name, found, seconds) for name, found in values.items()}


def stopwatch(work: Callable[[], object], finish: Callable[[], object] = lambda: None) -> float:
    """Seconds that `work` takes; `finish` waits for what it has only begun, as on a GPU."""
    finish()
    started = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - started


class Elsewhere:
    """A contender in a process of its own, which nothing of ours has tuned.

    factory: a picklable function that makes the contender from `words` and keeps it. Calls are
    passed on with their arguments, and give what it gives.
    """

    def __init__(self, factory: Callable, *words):
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, factory, words), daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, *words):
        self.pipe.send(words)
        try:
            result = self.pipe.recv()
        except EOFError:
            raise RuntimeError("a rival's process has died; its message stands above") from None
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join()


def _serve(pipe, factory: Callable, words: tuple) -> None:
    contender = factory(*words)
    with suppress(EOFError):
        while True:
            asked = pipe.recv()
            try:
                pipe.send(contender(*asked))
            except Exception as error:  # whatever a rival raises is the asking process's to judge
                pipe.send(RuntimeError(str(error)))


def fixed(name: str, value: float, seconds: bool = False) -> Measured:
    """A bound that is stated, not measured."""
    return Measured(name, [value], seconds, stated=True)


@dataclass(frozen=True)
class Line:
    """A line of the summary: ours beside a rival and a limit, with what the project aims at.

    least_over_rival, least_over_limit: the ratios aimed at; None for lines that only inform.
    flop: of one unit of `unit`, where a net computes. note: how it was measured, if that is not
    plain.
    """

    part: str
    name: str
    unit: str
    ours: Measured
    rival: Measured | None = None
    limit: Measured | None = None
    least_over_rival: float | None = None
    least_over_limit: float | None = None
    note: str = ""
    flop: float | None = None

    @classmethod
    def at_most(
        cls, part: str, name: str, unit: str, ours: Measured, most: float, note: str = ""
    ) -> Line:
        """A line that aims at no more than `most`, in `unit`; ours counts down, as seconds do."""
        limit = fixed("at most", most, seconds=True)
        return cls(part, name, unit, ours, limit=limit, least_over_limit=1.0, note=note)

    @property
    def met(self) -> bool | None:
        """Whether all targets are met; None if there are none that can be judged.

        By a limit that is exceeded nothing can.
        """
        pairs = (
            (self.rival, self.least_over_rival),
            (self.limit, None if self.exceeds_limit else self.least_over_limit),
        )
        aimed = [(other, least) for other, least in pairs if least is not None]
        if not aimed:
            return None
        return all(other is not None and self.ours.over(other) >= least for other, least in aimed)

    @property
    def exceeds_limit(self) -> bool:
        """Whether ours is faster than a limit that was measured, which then is none."""
        return self.limit is not None and not self.limit.stated and self.ours.over(self.limit) > 1

    def row(self) -> dict:
        """The line as one row of the summary. Spreads are in percent of the fastest run's time."""
        row: dict = {"part": self.part, "name": self.name, "unit": self.unit}
        for who, measured in (("ours", self.ours), ("rival", self.rival), ("limit", self.limit)):
            if who != "ours":
                row[f"{who}_is"] = measured and measured.name
            row[who] = measured and measured.best
            row[f"{who}_median"] = measured and statistics.median(measured.values)
            row[f"{who}_spread_percent"] = measured and 100 * measured.spread
        row["ours_over_rival"] = self.rival and self.ours.over(self.rival)
        row["ours_over_limit"] = self.limit and self.ours.over(self.limit)
        return row | {
            "target_over_rival": self.least_over_rival,
            "target_over_limit": self.least_over_limit,
            "met": self.met,
            "exceeds_limit": self.exceeds_limit,
            "flop": self.flop,
            "runs": len(self.ours.values),
            "note": self.note,
        }


@dataclass(frozen=True)
class Growth:
    """How a cost grows: seconds at several sizes, and the slope of their logarithms.

    A slope of 1 is proportional, 2 quadratic.
    """

    part: str
    name: str
    size: str
    sizes: Sequence[float]
    seconds: Sequence[float]
    note: str = ""

    def row(self) -> dict:
        """As a row of the table, with the fitted slope and the time per unit at the last size."""
        # Imported here: commands that only time things need no numpy of their own.
        import numpy as np

        slope = float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])
        return {
            "part": self.part,
            "name": self.name,
            "size": self.size,
            "sizes": list(self.sizes),
            "seconds": list(self.seconds),
            "slope": slope,
            "note": self.note,
        }
