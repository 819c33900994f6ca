"""Where an entry stands among a user's own files: errors about it name the file and the line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.files import InputError
from .configuration import line_of
from .entry_errors import EntryError
from .experiments import SIDES, read_yaml


@contextlib.contextmanager
def naming_files(files: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Raise an EntryError as an InputError that names the files given, and the entry's line.

    files: those of each section, as the configuration names them.
    """
    try:
        yield
    except EntryError as error:
        place = _place(error, files.get(error.section, ()))
        named = {section: " or ".join(own) for section, own in files.items()}
        raise InputError(f"{place}{error.told(named)}") from None


def _place(error: EntryError, files: Sequence[str]) -> str:
    """The file and line of an entry, to stand before a message; empty if no file has it.

    A user's own file comes last, so it is searched first.
    """
    for file in reversed(files):
        path = _path(error.section, error.entry, read_yaml(file) or {})
        if path is not None:
            line = line_of(file, path)
            return f"{file}:{line}: " if line else f"{file}: "
    return ""


def _path(section: str, entry: str | int, content: Any) -> tuple | None:
    """The keys that lead to an entry of a file of a section; None if it is not there."""
    if section in ("convnets", "models"):
        return (section, entry) if entry in (content.get(section) or {}) else None
    if section == "tables":
        if entry in content:
            return (entry,)
        for name, table in content.items():
            for number, row in enumerate(table.get("rows", [])):
                if entry in (row["name"], row.get("submission")):
                    return (name, "rows", number)
    if section == "claims":
        for number, claim in enumerate(content):
            if claim["number"] == entry:
                return (number,)
            for place, comparison in enumerate(claim["comparisons"]):
                for side in SIDES:
                    if comparison[side] == entry:
                        return (number, "comparisons", place, side)
    return None
