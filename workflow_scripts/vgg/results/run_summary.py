"""A run's errors, and where its time went, as text for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ..planning.jobs import Key
from .paper_tables import NAMES
from .tables import read_lines


def errors_as_text(results: Path, tables: dict) -> str:
    """The measured errors of all tables that exist, beside the paper's."""
    parts = []
    for name, table in tables.items():
        path = results / "tables" / f"{name}.csv"
        if "rows" not in table or not path.exists():
            continue
        lines = read_lines(path.with_suffix(""))
        lines = lines[~lines["literature"]]
        text = lines[table["columns"]].astype(str).apply(lambda column: column.str.slice(0, 38))
        reference = table.get("reference", "paper")
        for metric in table["metrics"]:
            kind, split = metric.split("_")
            heading = f"{NAMES[kind]} {split}"
            text[heading] = lines[metric]
            if lines[f"{metric}_paper"].notna().any():
                text[f"{heading} ({reference})"] = lines[f"{metric}_paper"]
        shown = text.to_string(index=False, float_format="%.1f", na_rep="-")
        parts.append(f"{name}: {table['title']}\n{shown}")
    return "\n\n".join(parts)


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
