"""How a table's rows are laid out, the same on pages and in the forms for other documents."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from ...settings.transferred_rows import MAP, measure_of
from ..paper_tables import MEASURES

VALIDATION = " (val.)"  # in the name of a measure on validation examples


def label(name: str) -> str:
    """'Table 3' for table3; a user's own table keeps its name."""
    return re.sub(r"^table(\d+)$", r"Table \1", name)


def measure_name(metric: str, data_sets: Mapping[str, str]) -> str:
    """'mean average precision, VOC-2007' for map_voc2007; data_sets: titles by name, if known."""
    kind, data_set = measure_of(metric)
    words, validation, _ = MEASURES[kind].partition(VALIDATION)
    return f"{words}, {data_sets.get(data_set, data_set)}{validation}"


def has_reference(table: Mapping, metric: str) -> bool:
    """Whether a metric of a table has numbers of the paper's, or of another reference."""
    cells = [row["metrics"][metric] for row in table["rows"]]
    return any(cell["paper"] is not None or cell.get("paper_starred") is not None for cell in cells)


def is_withheld(row: Mapping, metric: str) -> bool:
    """Whether a row has no number of a data set because only the organisers' server has its labels.

    row: of a table of features; its `submission` is the file for that server.
    """
    kind, data_set = measure_of(metric)
    file = row["submission"] or ""
    unknown = row["metrics"][metric]["measured"] is None
    return kind == MAP and unknown and file.endswith(f"_{data_set}.tar.gz")


def groups(rows: Sequence[dict]) -> list[tuple[bool, list[list[dict]]]]:
    """Rows as a page sets them: by `literature` or not, then by equal first label."""
    return [
        (literature, [list(same) for _, same in itertools.groupby(part, _first_label)])
        for literature, part in itertools.groupby(rows, lambda row: bool(row.get("literature")))
    ]


def blocks(rows: Sequence[dict]) -> Iterator[list[list[tuple[str, bool]]]]:
    """Table 1 by stretches between max-pools: for each, the nets' (layer, added) pairs.

    As in the paper, a layer is `added` when the net to the left has fewer of its kind there. A
    stretch that is the same in every net is given once.
    """
    nets = [_split(row["layers"]) for row in rows]
    for stretch in itertools.zip_longest(*nets, fillvalue=[]):
        if all(layers == stretch[0] for layers in stretch):
            stretch = stretch[:1]
        yield [
            [
                (layer, layers[: i + 1].count(layer) > left.count(layer))
                for i, layer in enumerate(layers)
            ]
            for left, layers in itertools.pairwise(stretch[:1] + stretch)
        ]


def _first_label(row: dict) -> str:
    return row["labels"][0]


def _split(layers: Sequence[str]) -> list[list[str]]:
    stretches: list[list[str]] = [[]]
    for layer in layers:
        if layer == "maxpool":
            stretches.append([])
        else:
            stretches[-1].append(layer)
    return stretches
