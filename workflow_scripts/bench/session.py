"""A measuring session: parts that run one after the other within a budget and say what they find.

Each fact is one line of JSON, printed and appended to a file at once, so that nothing is lost if
the session is cut short. A part that fails says so, and the next begins.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report.plan_tables import Cell, Table, aligned

from .session_expected import Expected
from .session_setting import Setting

UNITS = ("ms", "images/s", "TFLOP/s", "GB")  # names of numbers that are written behind them
TOLD_ELSEWHERE = ("part", "at", "what", "ok", "failed", "where", "skipped")


@dataclass(frozen=True)
class Part:
    """A part of the session: what it does, and how many seconds it should take on a large GPU.

    work: yields facts. A fact says `what` was looked at, with numbers under names of their own, and
    `ok`, whether it is right, where that can be told. It may say that something was `skipped`, why.
    judges: the part asks whether the right thing is computed; if it fails, something is wrong.
    """

    name: str
    seconds: float
    work: Callable[[Setting], Iterator[dict]]
    judges: bool = False

    @property
    def most_seconds(self) -> float:
        """After which it is ended, so that one that hangs does not take the others' time."""
        return max(60.0, 3 * self.seconds)


@dataclass
class Session:
    """Runs parts and keeps what they say.

    folder: for results.jsonl and summary.md. budget: seconds for all parts. hardware: measured on.
    """

    folder: Path
    budget: float
    hardware: str
    facts: list[dict] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # names of parts
    started: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self.started

    def say(self, part: str, **fact) -> None:
        """Print a fact, and append it to results.jsonl."""
        line = {"part": part, "at": round(self.passed, 1), **fact}
        line = {key: _told(value) for key, value in line.items() if value is not None}
        self.facts.append(line)
        text = json.dumps(line, default=str, ensure_ascii=False)
        print(text, flush=True)
        with open(self.folder / "results.jsonl", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def run(self, part: Part, setting: Setting) -> None:
        """Run a part, unless it does not fit into what is left of the budget."""
        if self.passed + part.seconds > self.budget:
            self.say(part.name, what="the part", skipped="no time left for it")
            return
        try:
            with ended_after(part.most_seconds):
                for fact in part.work(setting):
                    self.say(part.name, **fact)
                    if fact.get("ok") is False:
                        self.wrong.append(part.name)
        except Exception as error:  # the next part is measured all the same
            self.say(
                part.name,
                what="the part",
                failed=f"{type(error).__name__}: {error}"[:600],
                where=traceback.format_exc()[-900:],
            )
            if part.judges:
                self.wrong.append(part.name)
        if setting.on_gpu:
            torch.cuda.empty_cache()

    def table(self, expected: Sequence[Expected]) -> Table:
        """All facts beside what is expected of them."""
        headings = ["part", "what", "measured", "expected", "verdict"]
        rows = [[Cell(text) for text in self._row(fact, expected)] for fact in self.facts]
        return Table("session", "What the session found", headings, rows, last=None)

    def _row(self, fact: dict, expected: Sequence[Expected]) -> list[str]:
        of_it = [one for one in expected if one.is_of(fact)]
        verdict = "; ".join(filter(None, (one.verdict(fact, self.hardware) for one in of_it)))
        if "failed" in fact:
            verdict = "FAILED"
        elif "skipped" in fact:
            verdict = f"skipped: {fact['skipped']}"
        elif "ok" in fact:
            verdict = "right" if fact["ok"] else "WRONG"
        texts = "; ".join(map(str, of_it))
        return [fact["part"], fact["what"], _measured(fact), texts, verdict]

    def finish(self, title: str, expected: Sequence[Expected]) -> None:
        """Print the table, and write it to summary.md under a title: Markdown for docs/gpu.md."""
        table = self.table(expected)
        print(f"\n{aligned(table)}")
        lines = [f"### {title}", "", _piped(table.headings), "|---" * len(table.headings) + "|"]
        lines += [_piped([cell.text for cell in row]) for row in table.rows]
        with whole_file(self.folder / "summary.md") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds, once Python has the word again."""

    def end(*_) -> None:
        raise TimeoutError(f"ended after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _told(value):
    """A value as JSON has it, which knows no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _measured(fact: dict) -> str:
    if "failed" in fact:
        return fact["failed"]
    numbers = {key: _short(value) for key, value in fact.items() if key not in TOLD_ELSEWHERE}
    return ", ".join(f"{n} {key}" if key in UNITS else f"{key} {n}" for key, n in numbers.items())


def _short(value) -> str:
    """Three digits of a float; anything else as it is."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"
    return str(value)


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"
