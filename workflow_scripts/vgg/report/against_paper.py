"""The cells of Tables 3–6 as the paper prints them and as measured: what the index opens with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from ..results.formats.layout import label
from ..results.paper_tables import NAMES

KINDS = ("top1", "top5")  # of errors; each has a picture
SPLITS = {"val": "validation", "test": "test"}


class Measured(NamedTuple):
    """An error in percent with its 95% interval; seeds: None if the test server answered it."""

    error: float
    low: float
    high: float
    seeds: int | None


class PaperCell(NamedTuple):
    """An error in percent that the paper prints, and what was measured in its place, if anything.

    table: its name. labels: of its row. metric: such as top1_val.
    """

    table: str
    labels: tuple[str, ...]
    metric: str
    paper: float
    measured: Measured | None

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return self.metric.partition("_")[0]

    @property
    def is_inside(self) -> bool:
        """Whether the paper's number lies in the measured interval."""
        return self.measured is not None and self.measured.low <= self.paper <= self.measured.high

    def __str__(self) -> str:
        """The cell in words and numbers."""
        split = SPLITS[self.metric.partition("_")[2]]
        name = f"{label(self.table)}: {' / '.join(self.labels)}, {NAMES[self.kind]} {split} error"
        if self.measured is None:
            return f"{name} not measured, paper {self.paper:.1f}%"
        error, low, high, _ = self.measured
        return f"{name} {error:.1f}% [{low:.1f}, {high:.1f}], paper {self.paper:.1f}%"


class Order(NamedTuple):
    """Pairs of rows of a table that the paper tells apart by an error: those whose measured
    intervals do not overlap, of these those in the paper's order, and the others."""

    apart: int
    same: int
    close: int


def paper_cells(tables: Iterable[dict]) -> list[PaperCell]:
    """The classification errors that the paper prints for the rows of tables, in their order."""
    return [
        PaperCell(table["name"], tuple(row["labels"]), metric, cell["paper"], _measured(cell))
        for table in tables
        for row in table["rows"]
        for metric, cell in row["metrics"].items()
        if metric.partition("_")[0] in KINDS and cell["paper"] is not None
    ]


def order(cells: Iterable[PaperCell]) -> Order:
    """How many pairs of measured cells, of one table and metric, stand in the paper's order."""
    columns: dict[tuple[str, str], list[tuple[float, Measured]]] = {}
    for cell in cells:
        if cell.measured is not None:
            columns.setdefault((cell.table, cell.metric), []).append((cell.paper, cell.measured))
    pairs = [
        sorted(pair)
        for own in columns.values()
        for pair in itertools.combinations(own, 2)
        if pair[0][0] != pair[1][0]
    ]
    same = sum(better.high < worse.low for (_, better), (_, worse) in pairs)
    other = sum(worse.high < better.low for (_, better), (_, worse) in pairs)
    return Order(same + other, same, len(pairs) - same - other)


def errors_on_test_images(cells: Iterable[PaperCell]) -> dict[str, list[str]]:
    """The kinds of errors, such as top-5, of which some were measured on test images, and in which
    tables: the others are of validation images."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.measured is not None and cell.metric.endswith("_test"):
            found.setdefault(NAMES[cell.kind], {})[cell.table] = None
    return {kind: list(names) for kind, names in found.items()}


def _measured(cell: dict) -> Measured | None:
    own = Measured(*(cell[key] for key in ("measured", "low", "high", "seeds")))
    return None if None in own[:3] else own
