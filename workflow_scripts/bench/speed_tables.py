"""Measured speeds as tables, the same for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.report.plan_tables import (
    Cell,
    Column,
    Table,
    aligned,
    hours,
    rate,
    table_of,
    word,
)

from .measuring import Growth, Line


def ratio(measured_and_aim: tuple[float | None, float | None]) -> Cell:
    """Such as 5.85× (5×): measured, and what is aimed at, if anything is."""
    measured, aim = measured_and_aim
    if measured is None:
        return word(None)
    return Cell(f"{measured:.2f}×" + (f" ({aim:.3g}×)" if aim else ""), measured)


def percent(number: float | None) -> Cell:
    return word(None) if number is None else Cell(f"{number:.0f}%", number)


def aims_met(met_and_exceeded: tuple[bool | None, bool]) -> Cell:
    """Whether aims were met, and whether ours exceeds the limit, which then is none here."""
    met, exceeded = met_and_exceeded
    found = [{True: "met", False: "missed"}.get(met), "no limit here" if exceeded else None]
    return word(", ".join(filter(None, found)))


LINES = (
    Column("what", "name", word),
    Column("unit", "unit", word),
    Column("ours", "ours", rate),
    Column("ours/rival (aim)", "over_rival", ratio),
    Column("ours/limit (aim)", "over_limit", ratio),
    Column("aims", "verdict", aims_met),
    Column("spread", "ours_spread_percent", percent),
    Column("rival", "rival_is", word),
    Column("its", "rival", rate),
    Column("spread", "rival_spread_percent", percent),
    Column("limit", "limit_is", word),
    Column("its", "limit", rate),
    Column("spread", "limit_spread_percent", percent),
    Column("note", "note", word),
)
GROWTH = (
    Column("what", "name", word),
    Column("grows", "size", word),
    Column("sizes", "listed_sizes", word),
    Column("seconds", "listed_seconds", word),
    Column("slope", "slope", lambda slope: Cell(f"{slope:.2f}", slope)),
    Column("note", "note", word),
)
PROJECTED = (
    Column("training", "model", word),
    Column("time", "hours", hours, True),
    Column("needs images/s", "needed", rate),
    Column("loader gives", "delivered", rate),
)


def tables(lines: Sequence[dict | Line], growths: Sequence[dict | Growth]) -> list[Table]:
    """One table a part, and one of how costs grow."""
    rows = [line.row() if isinstance(line, Line) else line for line in lines]
    for row in rows:
        for other in ("rival", "limit"):
            row[f"over_{other}"] = row[f"ours_over_{other}"], row[f"target_over_{other}"]
        row["verdict"] = row["met"], row.get("exceeds_limit", False)
    grown = [growth.row() if isinstance(growth, Growth) else growth for growth in growths]
    for row in grown:
        row["listed_sizes"] = ", ".join(f"{size:g}" for size in row["sizes"])
        row["listed_seconds"] = ", ".join(f"{seconds:.3g}" for seconds in row["seconds"])
    parts = dict.fromkeys(row["part"] for row in rows)
    made = [
        table_of(part, part.capitalize(), [row for row in rows if row["part"] == part], LINES)
        for part in parts
    ]
    return made + ([table_of("growth", "How cost grows", grown, GROWTH)] if grown else [])


def projected_tables(measured: dict) -> list[Table]:
    """The paper's trainings at the measured rates; none if they were not measured."""
    if not measured["projected"]:
        return []
    title = f"Projected for one {measured['machine']['hardware']}"
    return [table_of("projected", title, measured["projected"], PROJECTED)]


def as_text(made: Sequence[Table]) -> str:
    """Tables for a terminal."""
    return "\n".join(f"\n{aligned(table)}" for table in made)
