"""Lists that others wrote: Kaggle's, the development kit's, a user's. Read or refused by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .files import InputError, read_bytes

WNID = re.compile(r"n\d{8}", re.ASCII)
WITH_WORDS = re.compile(rf"({WNID.pattern})[\s,;]+(\S.*)", re.ASCII)
COMMENT = re.compile(r"#(\s|$)")
_LINE_END = re.compile(r"\r\n|\r|\n")


def numbered_lines(path: str | Path, content: bytes | None = None) -> Iterator[tuple[str, str]]:
    """(what an error calls a line, its text) of each line of a text that is not blank.

    path: the file, or what an error calls it where its `content` is given. A byte order
    mark, any system's line ends and blanks around a line are dropped.
    Raises InputError if it is not UTF-8.
    """
    if content is None:
        content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        count = 1 + len(_LINE_END.findall(content[: error.start].decode("utf-8", "replace")))
        raise InputError(
            f"{path}, line {count}: not UTF-8 text ({error.reason}); save it as UTF-8, for example "
            "with iconv"
        ) from error
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line := line.strip():
            yield f"{path}, line {number}", line


def class_lines(path: str | Path) -> Iterator[tuple[str, str, str]]:
    """(what an error calls a line, its class, the class's words) of each line of a list of classes.

    A line is a WNID, which words may follow behind a blank, a comma or a semicolon, or a name,
    whose words are itself. A comment is "#" and a blank, since a name may begin with "#".
    Raises InputError if the file is missing or not UTF-8.
    """
    for where, line in numbered_lines(path):
        if COMMENT.match(line):
            continue
        with_words = WITH_WORDS.fullmatch(line)
        name, words = with_words.group(1, 2) if with_words else (line, line)
        yield where, name, words


def checked_wnid(word: str, where: str) -> str:
    """The word, if it has a WNID's form. Raises InputError, which `where` begins, if not."""
    if not WNID.fullmatch(word):
        raise InputError(
            f"{where}: {word[:40]!r} is no WNID, which is n and eight digits, such as n01440764"
        )
    return word
