"""Tables as people read them, set like the paper's: what LaTeX and Markdown have in common."""

from __future__ import annotations

from typing import NamedTuple

from ...settings.transferred_rows import is_transferred
from ..paper_tables import NAMES
from .layout import blocks, groups, has_reference, is_withheld, measure_name


class Text(NamedTuple):
    """One line of a cell."""

    text: str
    bold: bool = False


class Column(NamedTuple):
    """heading: its own. over: one that it shares with its neighbours.

    kind: "label", "measured" (a number with its interval), "number" or "layers".
    """

    heading: str
    over: str = ""
    kind: str = "number"


Row = list[list[Text]]  # cells of lines; a row of one cell spans all columns


class Sheet(NamedTuple):
    """A table's content. parts: what a rule divides, each in groups of rows of one first label."""

    name: str
    caption: str
    columns: list[Column]
    parts: list[list[list[Row]]]
    notes: list[str]


def sheet(table: dict) -> Sheet:
    """A table of any kind, from what its JSON file holds."""
    if is_transferred(table):
        return Sheet(table["name"], *_features(table), table["notes"])
    kinds = {
        "evaluation": _evaluations,
        "configurations": _configurations,
        "parameters": _parameters,
    }
    return Sheet(table["name"], *kinds[table["kind"]](table), table["notes"])


def measured_text(cell: dict) -> str:
    """An error as "23.5 (19.6–27.9)"; of several trainings as "23.5 ± 0.4 (19.6–27.9)".

    A measure on random splits has theirs first: "91.8 ± 1.0 ± 0.4 (90.1–93.2)". A dagger marks what
    the test server answered; a dash stands where nothing was measured.
    """
    if cell["measured"] is None:
        return "–"
    spreads = (cell.get("split_sd"), cell["seed_sd"])
    spread = "".join(f" ± {sd:.1f}" for sd in spreads if sd is not None)
    mark = "†" if cell["entered"] else ""
    interval = "" if cell["low"] is None else f" ({cell['low']:.1f}–{cell['high']:.1f})"
    return f"{cell['measured']:.1f}{mark}{spread}{interval}"


def printed_text(cell: dict) -> str:
    """The paper's measure as "91.8 ± 1.0", what it stars in brackets: "81.5 [85.2*]"."""
    texts = [_rounded(cell["paper"], 1)] if cell["paper"] is not None else []
    if cell["paper_sd"] is not None:
        texts.append(f"± {cell['paper_sd']:.1f}")
    if cell["paper_starred"] is not None:
        texts.append(f"[{cell['paper_starred']:.1f}*]")
    return " ".join(texts) or "–"


def _evaluations(table: dict) -> tuple[str, list[Column], list]:
    columns = [Column(heading, kind="label") for heading in table["columns"]]
    referenced = {
        metric
        for metric in table["metrics"]
        if any(row["metrics"][metric]["paper"] is not None for row in table["rows"])
    }
    for metric in table["metrics"]:
        kind, split = metric.split("_")
        over = f"{NAMES[kind]} {'val.' if split == 'val' else split} error"
        columns.append(Column("measured", over, "measured"))
        if metric in referenced:
            columns.append(Column(table["reference"], over))

    def cells(row: dict) -> Row:
        own = [[Text(text)] for text in row["labels"]]
        for metric in table["metrics"]:
            cell = row["metrics"][metric]
            own.append([Text(measured_text(cell))])
            if metric in referenced:
                own.append([Text(_rounded(cell["paper"], 1), cell["bold"])])
        return own

    caption = f"{table['title']}. Errors in percent, as measured in experiment"
    caption += f" {table['experiment']} with 95% intervals over test images"
    if (seeds := len(table["seeds"])) > 1:
        caption += f", means ± standard deviations over {seeds} trainings"
    if referenced:
        caption += f"; beside them those of the {table['reference']}"
    parts = [[[cells(row) for row in group] for group in part] for _, part in groups(table["rows"])]
    return f"{caption}.", columns, parts


def _features(table: dict) -> tuple[str, list[Column], list]:
    """A table of measures, higher is better; those that the paper has not have no column of its."""
    columns = [Column(heading, kind="label") for heading in table["columns"]]
    referenced = [metric for metric in table["metrics"] if has_reference(table, metric)]
    of_splits = any(
        cell["split_sd"] is not None for row in table["rows"] for cell in row["metrics"].values()
    )
    for metric in table["metrics"]:
        over = measure_name(metric, table["data_sets"])
        columns.append(Column("measured", over, "measured"))
        if metric in referenced:
            columns.append(Column(table["reference"], over))

    def line(row: dict) -> Row:
        own = [[Text(text)] for text in row["labels"]]
        for metric in table["metrics"]:
            cell = row["metrics"][metric]
            own.append([Text("withheld" if is_withheld(row, metric) else measured_text(cell))])
            if metric in referenced:
                own.append([Text(printed_text(cell), cell["bold"])])
        return own

    caption = f"{table['title']}. In percent, higher is better, as measured in experiment"
    caption += f" {table['experiment']} with 95% intervals over images"
    caption += f"; beside them the numbers of the {table['reference']}." if referenced else "."
    if (seeds := len(table["seeds"])) > 1:
        caption += f" Measured: means over {seeds} trainings; the last ± is the standard deviation"
        caption += " over them"
        caption += ", one before it that over random splits." if of_splits else "."
    parts = [[[line(row) for row in group] for group in part] for _, part in groups(table["rows"])]
    return caption, columns, parts


def _configurations(table: dict) -> tuple[str, list[Column], list]:
    """Table 1; the layers between two max-pools are lines of one row."""
    rows = table["rows"]
    listed = [row["paper_weight_layers"] is not None for row in rows]
    parts = [[[[[Text(f"{row['weight_layers']} weight"), Text("layers")] for row in rows]]]]
    for place, nets in enumerate(blocks(rows)):
        if place:
            parts.append([[[[Text("maxpool")]]]])
        cells = [
            [Text(layer, added and known) for layer, added in layers]
            for layers, known in zip(nets, listed, strict=False)
        ]
        parts.append([[cells]])
    caption = f"{table['title']}, at full size. Layers are conv⟨receptive field⟩-⟨channels⟩; those"
    caption += " that a net adds to its neighbour on the left are bold; ReLUs are not shown."
    return caption, [Column(row["net"], kind="layers") for row in rows], parts


def _parameters(table: dict) -> tuple[str, list[Column], list]:
    columns = [
        Column("ConvNet", kind="label"),
        Column("at full size"),
        Column("paper"),
        Column(f"experiment {table['experiment']}"),
    ]
    rows = [
        [
            [Text(row["net"])],
            [Text(f"{row['parameters'] / 1e6:.1f}")],
            [Text(_rounded(row["paper_millions"], 0))],
            [Text(f"{row['parameters_this_run'] / 1e6:.2f}")],
        ]
        for row in table["rows"]
    ]
    return f"{table['title']}.", columns, [[[row] for row in rows]]


def _rounded(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
