"""A run's errors and measures, and where its time went, as text for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ..core.text_artefacts import read_json
from ..planning.jobs import Key
from ..settings.transferred_rows import is_transferred, measure_of
from .paper_tables import NAMES
from .tables import read_lines

SHORT = {"map": "mAP {}", "mapval": "mAP {} val", "recall": "recall {}"}  # of a data set


def errors_as_text(results: Path, tables: dict) -> str:
    """The errors, or measures of features, of all tables that exist, beside the paper's."""
    parts = []
    for name, table in tables.items():
        path = results / "tables" / f"{name}.csv"
        if "rows" not in table or not path.exists():
            continue
        lines = read_lines(path.with_suffix(""))
        lines = lines[~lines["literature"]]
        text = lines[table["columns"]].astype(str).apply(lambda column: column.str.slice(0, 38))
        reference = table.get("reference", "paper")
        titles, unit = {}, ""
        if is_transferred(table):
            titles = read_json(path.with_suffix(".json"))["data_sets"]
            unit = " (in percent, higher is better)"
        for metric in table["metrics"]:
            heading = _heading(metric, titles)
            text[heading] = lines[metric]
            if lines[f"{metric}_paper"].notna().any():
                text[f"{heading} ({reference})"] = lines[f"{metric}_paper"]
        shown = text.to_string(index=False, float_format="%.1f", na_rep="-")
        parts.append(f"{name}: {table['title']}{unit}\n{shown}")
    return "\n\n".join(parts)


def _heading(metric: str, titles: Mapping[str, str]) -> str:
    """'top-1 val', or 'mAP VOC-2007'; titles: of data sets by name."""
    kind, part = measure_of(metric)
    if kind in SHORT:
        return SHORT[kind].format(titles.get(part, part))
    return f"{NAMES[kind]} {part}"


def times_as_text(records: Mapping[Key, dict]) -> str:
    """Jobs, wall and CPU seconds by rule, from the records of what jobs cost."""
    spent: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for (rule, _), record in records.items():
        for name in (rule, "all"):
            spent[name][0] += 1
            spent[name][1] += record["wall_seconds"]
            spent[name][2] += record["cpu_seconds"]
    rows = sorted(spent.items(), key=lambda item: (item[0] == "all", -item[1][1]))
    return "\n".join(
        [f"{'rule':24}{'jobs':>6}{'wall s':>10}{'CPU s':>10}"]
        + [f"{rule:24}{jobs:6.0f}{wall:10.1f}{cpu:10.1f}" for rule, (jobs, wall, cpu) in rows]
    )
