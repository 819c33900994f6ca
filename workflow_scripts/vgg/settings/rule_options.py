"""Options of commands and patterns of wildcards, as rules have them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

ARCHIVE = re.compile(r".+\.(tar|tar\.\w+|tgz|zip)", re.IGNORECASE)


def is_archive(name: str) -> bool:
    """Whether a name is an archive's, whose sum can be checked, and not a folder's or a list's."""
    return bool(ARCHIVE.fullmatch(name))


def options(**values) -> list[str]:
    """Command-line options; None, False and empty lists are left out.

    `batch_size=8` becomes `--batch-size 8`, True a flag, a list several words.
    """
    words = []
    for name, value in values.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value) if isinstance(value, list) else [str(value)]
    return words


def in_text(**values) -> str:
    """Options as a part of a rule's text, quoted for the shell and for Snakemake.

    Unlike params, it starts nothing anew when it changes: for what changes no result.
    """
    return shlex.join(options(**values)).replace("{", "{{").replace("}", "}}")


def one_of(names: Iterable[str]) -> str:
    """A wildcard's pattern: one of these, or nothing at all."""
    return "|".join(map(re.escape, names)) or "(?!)"
