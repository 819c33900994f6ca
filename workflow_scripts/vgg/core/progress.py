"""How far a long loop has come, and how long it will still take."""

from __future__ import annotations

import logging
import time

GROWTH = 10  # the part of a loop's time so far that passes until Progress has its next line


class Progress:
    """Log how far a long loop has come, its rate and the time left, at growing intervals.

    Some 50 lines in an hour and 110 in two weeks: an error below them must not be lost.
    """

    def __init__(self, total: int, unit: str, done: int = 0, interval: float = 10.0):
        self.total, self.unit, self.interval = total, unit, interval
        self.first = self.done = done
        self.started = self.last = time.monotonic()

    def update(self, count: int, note: str = "") -> None:
        """Count `count` more units done; `note` is appended to the line, if one is due.

        The last unit makes one due. More than `total` are counted, but have no share and no end.
        """
        self.done += count
        now = time.monotonic()
        reached = self.done - count < self.total <= self.done
        due = max(self.interval, (now - self.started) / GROWTH)
        if now - self.last < due and not reached:
            return
        self.last = now
        rate = (self.done - self.first) / max(now - self.started, 1e-9)
        if self.done > self.total:
            logging.info("%d %s, where %d were expected", self.done, self.unit, self.total)
            return
        left = (self.total - self.done) / rate if rate else float("inf")
        logging.info(
            "%d/%d %s (%.0f%%), %.1f/s, %s left%s",
            self.done,
            self.total,
            self.unit,
            100 * self.done / max(self.total, 1),
            rate,
            duration(left),
            f", {note}" if note else "",
        )


def duration(seconds: float) -> str:
    """Seconds as a person says them: '12 s', '3 min 05 s', '2 h 10 min', '4 d 3 h'."""
    if not seconds < float("inf"):
        return "unknown time"
    seconds = round(seconds)
    for unit, name, part, part_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit:
            return f"{seconds // unit} {name} {seconds % unit // part:02d} {part_name}"
    return f"{seconds} s"
