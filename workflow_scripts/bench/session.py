"""A measuring session: parts that run one after the other within a budget, and say what they find.

Each fact is one line of JSON, printed and appended to a file at once, so that nothing is lost if
the session is cut short. A part that fails says so, and the next begins.
"""

from __future__ import annotations

import copy
import json
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from workflow_scripts.vgg.convnets import Architecture, ConvNet
from workflow_scripts.vgg.experiments import read_yaml
from workflow_scripts.vgg.initialisation import initialise
from workflow_scripts.vgg.loader import TrainingBatch
from workflow_scripts.vgg.plan_tables import Cell, Table, aligned
from workflow_scripts.vgg.precision import parameter_type
from workflow_scripts.vgg.training import Optimisation, Running, Training

from .machine import finish
from .training import MEAN

MODELS = "config/models.yaml"


@dataclass(frozen=True)
class Setting:
    """What the parts measure on and with.

    small: nets and numbers so small that a CPU does all parts within a minute or two. original,
    rescaled: shards of the same images, as they came and at S = 256. folder: for files.
    """

    device: torch.device
    small: bool
    cores: int
    folder: Path
    original: Path
    rescaled: Path

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def crop(self) -> int:
        return 64 if self.small else 224

    @property
    def workers(self) -> int:
        return max(1, self.cores - 1)

    def either(self, on_gpu, elsewhere):
        """A size: for a GPU, or for a CPU and a small session."""
        return on_gpu if self.on_gpu and not self.small else elsewhere

    @cached_property
    def layers(self) -> dict[str, str]:
        """Table 1's nets."""
        return read_yaml(MODELS)["convnets"]

    @cached_property
    def _drawn(self) -> dict[str, ConvNet]:
        return {}  # 140 million normal numbers take a second

    def architecture(self, name: str) -> Architecture:
        """A net of the paper, or the same layers an eighth as wide."""
        if self.small:
            return Architecture(self.layers[name], 10, self.crop, 64, 16)
        return Architecture(self.layers[name])

    def net(self, name: str, dropout: float = 0.0) -> ConvNet:
        """A net with the same random weights each time, on the CPU."""
        if name not in self._drawn:
            self._drawn[name] = ConvNet(self.architecture(name), 0.0)
            initialise(self._drawn[name], "he", 0)
        net = ConvNet(self.architecture(name), dropout)
        net.load_state_dict(self._drawn[name].state_dict())
        return net

    def training(
        self,
        name: str,
        size: int,
        precision: str,
        *,
        dropout: float = 0.5,
        rate: float = 1e-4,
        device: torch.device | None = None,
    ) -> Steps:
        """A training of batches of a size, ready for its first step."""
        settings = Optimisation(rate, size, dropout=dropout, precision=precision, input_scale=58.0)
        net = self.net(name, dropout).to(device or self.device)
        return Steps(Training(net, _Rows(self.crop, size), settings, ""))

    def batch(self, size: int, seed: int = 0, pinned: bool = True) -> TrainingBatch:
        """Random pixels, labels and shifts."""
        draw = torch.Generator().manual_seed(seed)
        pixels = torch.randint(
            0, 256, (size, self.crop, self.crop, 3), dtype=torch.uint8, generator=draw
        )
        batch = TrainingBatch(
            pixels.permute(0, 3, 1, 2),
            torch.randint(0, 10, (size,), generator=draw),
            torch.randn(size, 3, generator=draw),
        )
        return batch.pin_memory() if self.on_gpu and pinned else batch


@dataclass(frozen=True)
class _Rows:
    """What a training asks of its images, if it is given its batches."""

    crop: int
    batch_size: int

    @property
    def own_rows(self) -> slice:
        return slice(0, self.batch_size)


@dataclass(frozen=True)
class Steps:
    """A training whose steps are done by hand."""

    training: Training

    def __call__(
        self, batches: Iterable[TrainingBatch], model: torch.nn.Module | None = None, micro=None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do a step with each batch. Gives the last one's losses and gradient norm."""
        own = self.training
        dtype = parameter_type(own.settings.precision)
        mean = torch.tensor(MEAN, device=own.device, dtype=dtype)
        running = Running(Path(), micro_batch=micro)
        for batch in batches:
            found = own.step(model or own.net, batch, mean, 0, running)
        return found


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The norm of the difference over the norm of what was expected."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm())


def seconds(work: Callable[[], object], device: torch.device, times: int, warm: int = 3) -> float:
    """Mean seconds of so many runs one behind the other, after some that do not count."""
    for _ in range(warm):
        work()
    finish(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    finish(device)
    return (time.perf_counter() - started) / times


@dataclass(frozen=True)
class Part:
    """A part of the session: what it does, and how many seconds it may take on a GPU.

    work: yields facts. A fact says `what` was found, with numbers under names of their own, and
    `ok`, whether it is right, where that can be told.
    """

    name: str
    seconds: float
    work: Callable[[Setting], Iterator[dict]]


@dataclass
class Session:
    """Runs parts and keeps what they say."""

    folder: Path
    budget: float
    facts: list[dict] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self.started

    def say(self, part: str, **fact) -> None:
        """Print a fact, and append it to results.jsonl."""
        line = {"part": part, "at": round(self.passed, 1), **fact}
        line = {key: _told(value) for key, value in line.items()}
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
            for fact in part.work(setting):
                self.say(part.name, **copy.copy(fact))
        except Exception as error:  # the next part is measured all the same
            self.say(
                part.name,
                what="the part",
                failed=f"{type(error).__name__}: {error}"[:600],
                where=traceback.format_exc()[-900:],
            )
        if setting.on_gpu:
            torch.cuda.empty_cache()

    @property
    def right(self) -> bool:
        """True if no part failed and nothing was found wrong."""
        return not any("failed" in fact or fact.get("ok") is False for fact in self.facts)

    def table(self, expected: Sequence[tuple[str, str, str]]) -> Table:
        """All facts beside what is expected of them: (part, beginning of `what`, text)."""
        rows = []
        for fact in self.facts:
            what = str(fact.get("what", ""))
            text = next((t for p, w, t in expected if p == fact["part"] and what.startswith(w)), "")
            rows.append([fact["part"], what, _numbers(fact), text, _verdict(fact)])
        headings = ["part", "what", "measured", "expected on an H100", "verdict"]
        cells = [[Cell(text) for text in row] for row in rows]
        return Table("session", "What the session found", headings, cells, None)

    def finish(self, expected: Sequence[tuple[str, str, str]]) -> None:
        """Print the table, and write it to summary.md."""
        table = self.table(expected)
        print(f"\n{aligned(table)}")
        lines = [f"| {' | '.join(table.headings)} |", "|---" * len(table.headings) + "|"]
        lines += [f"| {' | '.join(c.text.replace('|', '/') for c in row)} |" for row in table.rows]
        (self.folder / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


KEYS = ("part", "at", "what", "ok", "failed", "where", "skipped")


def _told(value):
    """A value as JSON has it, which knows no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(fact: dict) -> str:
    found = {key: value for key, value in fact.items() if key not in KEYS and value is not None}
    return fact.get("failed") or ", ".join(f"{k} {_short(v)}" for k, v in found.items())


def _short(value) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def _verdict(fact: dict) -> str:
    if "failed" in fact:
        return "FAILED"
    if "skipped" in fact:
        return fact["skipped"]
    return {True: "right", False: "WRONG", None: ""}[fact.get("ok")]
