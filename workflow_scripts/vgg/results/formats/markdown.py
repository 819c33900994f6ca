"""Tables as Markdown with pipes, as GitHub renders them."""

from __future__ import annotations

import re

from .layout import label
from .sheets import Sheet, Text


def markdown(sheet: Sheet) -> str:
    """A caption, the table, and its notes. The lines of a cell are divided by `<br>`."""
    headings = [
        escaped(f"{column.over}, {column.heading}" if column.over else column.heading)
        for column in sheet.columns
    ]
    marks = [{"label": ":---", "layers": ":---:"}.get(c.kind, "---:") for c in sheet.columns]
    rows = [
        ["<br>".join(map(_line, cell)) for cell in (row if len(row) > 1 else row * len(headings))]
        for part in sheet.parts
        for group in part
        for row in group
    ]
    paragraphs = [
        f"**{escaped(label(sheet.name))}.** {escaped(sheet.caption)}",
        "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, marks, *rows)),
        *map(escaped, sheet.notes),
    ]
    return "\n\n".join(paragraphs) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, on one line, outside and inside of tables."""
    return re.sub(r"([\\`*_\[\]<|~&$])", r"\\\1", " ".join(text.split()))


def _line(line: Text) -> str:
    text = escaped(line.text)
    return f"**{text}**" if line.bold else text
