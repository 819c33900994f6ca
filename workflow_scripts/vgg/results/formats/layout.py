"""How a table's rows are laid out, the same on pages and in the forms for other documents."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence


def label(name: str) -> str:
    """'Table 3' for table3; a user's own table keeps its name."""
    return re.sub(r"^table(\d+)$", r"Table \1", name)


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
