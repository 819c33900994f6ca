"""JSON, CSV and SVG that jobs write for other jobs and for people, with checksums.

JSON has one as its last key, CSV one of each row as its last column, SVG one as a comment. Files
without them, written by hand or by another program, are read as well, but for drawings. CSV that
only people and their programs read is written without.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from .checksums import checksum, damaged
from .files import InputError, read_bytes, whole_file

KEY = "checksum"


def read_text(path: str | Path) -> str:
    """The text of a file that a job wrote. Raises InputError if it is missing or not UTF-8."""
    try:
        return read_bytes(path).decode()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; has its rule run?") from None
    except UnicodeDecodeError as error:
        raise damaged(path, f"not UTF-8 text: {error}") from None


def write_json(path: str | Path, content: Mapping) -> None:
    """Write `content` as indented JSON, whole or not at all. NaN is refused."""
    content = {**content, KEY: _of_json(content)}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path, keys: Collection[str] = ()) -> dict:
    """What `write_json` wrote, or a mapping that somebody else did, without a checksum.

    Raises InputError if the file is missing, damaged, or no mapping, or lacks one of `keys`.
    """
    try:
        content = json.loads(read_text(path))
        if not isinstance(content, dict):
            raise InputError(f"{path}: expected a mapping, found {type(content).__name__}")
        if KEY in content and content.pop(KEY) != _of_json(content):
            raise damaged(path, "its checksum is another")
    except (ValueError, RecursionError) as error:  # also of NaN, and of text that is no Unicode
        raise damaged(path, f"not JSON: {error}") from None
    if missing := [key for key in keys if key not in content]:
        raise InputError(f"{path}: has no {', '.join(missing)}; is it the right file?")
    return content


def _of_json(content: Mapping) -> str:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"{checksum(text.encode()):016x}"


def write_csv(path: str | Path, rows: Sequence[Mapping], columns: Sequence[str]) -> None:
    """Write rows as CSV, whole or not at all, with a checksum of each row as its last column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, KEY])
    for number, row in enumerate(rows):
        cells = ["" if row[name] is None else str(row[name]) for name in columns]
        writer.writerow([*cells, _of_row(number, len(rows), columns, cells)])
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def write_plain_csv(path: str | Path, rows: Sequence[Mapping], columns: Sequence[str]) -> None:
    """Write rows as CSV, whole or not at all, without checksums. None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def read_csv(path: str | Path, columns: Collection[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file, which may be somebody else's, without checksums.

    Raises InputError if the file is missing or damaged, has no rows, or lacks one of `columns`.
    """
    try:
        lines = io.StringIO(read_text(path), newline="")
        header, *rows = list(csv.reader(lines, strict=True)) or [[]]
    except csv.Error as error:
        raise damaged(path, error) from None
    if any("\0" in cell for cells in (header, *rows) for cell in cells):
        raise damaged(path, "zero bytes in it")
    if missing := sorted(set(columns) - set(header)):
        raise InputError(f"{path}: has no column {', '.join(missing)}; is it the right file?")
    if not rows:
        raise damaged(path, "it has no rows")
    found = []
    for number, cells in enumerate(rows):
        if len(cells) != len(header):
            raise damaged(path, f"line {number + 2} has {len(cells)} cells, not {len(header)}")
        row = dict(zip(header, cells, strict=True))
        if KEY in row and row.pop(KEY) != _of_row(number, len(rows), list(row), list(row.values())):
            raise damaged(path, f"line {number + 2} has another checksum")
        found.append(row)
    return found


def write_svg(path: str | Path, text: str) -> None:
    """Write a drawing, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(f"{text}<!-- {KEY} {checksum(text.encode()):016x} -->\n", "utf-8")


def read_svg(path: str | Path) -> str:
    """A drawing that `write_svg` wrote. Raises InputError if it is missing or damaged."""
    text = read_text(path)
    found = re.search(rf"<!-- {KEY} (\w+) -->\n$", text)
    drawing = text[: found.start()] if found else text
    if found is None or found[1] != f"{checksum(drawing.encode()):016x}":
        raise damaged(path, "its checksum is another, or missing")
    return drawing


def _of_row(number: int, rows: int, columns: Sequence[str], cells: Sequence[str]) -> str:
    text = "\0".join([str(number), str(rows), *columns, *cells])
    return f"{checksum(text.encode()):016x}"
