"""Checksums that artefacts carry and their readers verify: a damaged file is never read as numbers.

All are 64 bits of XXH3. Parquet files have one of all their bytes and one of their footer
(parquet.py), Arrow shards one of the footer and one of each image (shards.py), JSON and CSV one of
their content (text_artefacts.py), weights two in their metadata (weights.py). Checkpoints are zip
files, with sums of their own.
"""

from __future__ import annotations

import os
import shlex
import struct
from pathlib import Path

import xxhash

from .files import InputError, reading

RESULTS = "results"  # the folder into which the workflow writes
CHUNK = 1 << 20
MAGICS = {b"PAR1", b"ARROW1"}  # at the end of a file, behind the footer and its length
SEAL = struct.Struct("<QQ")  # before the footer: the sum of what lies before, and of what follows


def damaged(path: str | Path, what: object) -> InputError:
    """The error that says so, with the command that makes the file again."""
    return InputError(f"{path}: is damaged: {what}. {cure(path)}")


def cure(path: str | Path) -> str:
    """How to make a damaged file again; of one that lies elsewhere than a run's, only that."""
    if RESULTS not in Path(path).parts[:-1]:
        return "Is it the right file? If it is, make it again with the command that wrote it"
    name = shlex.quote(str(path))
    return f"Make it again: rm {name} && snakemake --cores all {name}, with its run's --configfile"


def checksum(*parts) -> int:
    """Of bytes-like parts, one after the other."""
    found = xxhash.xxh3_64()
    for part in parts:
        found.update(part)
    return found.intdigest()


def checksum_of_file(path: str | Path, start: int = 0, end: int | None = None) -> int:
    """Of a file's bytes from `start` to before `end`, or to its end."""
    found = xxhash.xxh3_64()
    with reading(path) as file:
        left = (os.path.getsize(path) if end is None else end) - file.seek(start)
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            found.update(chunk)
            left -= len(chunk)
    return found.intdigest()


def seal(path: str | Path, body: bool = True) -> None:
    """Write checksums before the footer of a Parquet or Arrow file, where no reader looks.

    body: also of what lies before the footer.
    """
    start, footer = _footer(path)
    of_body = checksum_of_file(path, 0, start) if body else 0
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(SEAL.pack(of_body, checksum(of_body.to_bytes(8, "little"), footer)) + footer)


def check_footer(path: str | Path) -> tuple[int, int]:
    """Raise InputError if a file's footer is not what was sealed.

    Gives where what lies before it ends, and that part's checksum.
    """
    start, footer = _footer(path)
    if start < SEAL.size:
        raise damaged(path, "it is cut short")
    with reading(path) as file:
        file.seek(start - SEAL.size)
        of_body, of_footer = SEAL.unpack(file.read(SEAL.size))
    if of_footer != checksum(of_body.to_bytes(8, "little"), footer):
        raise damaged(path, "its footer has another checksum, or none, as before 28 November 2026")
    return start - SEAL.size, of_body


def check_sealed(path: str | Path) -> None:
    """Raise InputError if a file is not what was sealed."""
    end, of_body = check_footer(path)
    if checksum_of_file(path, 0, end) != of_body:
        raise damaged(path, "its checksum is another")


def _footer(path: str | Path) -> tuple[int, bytes]:
    """Where a Parquet or Arrow file's footer begins, and all bytes from there on."""
    size = os.path.getsize(path)
    with reading(path) as file:
        file.seek(max(0, size - 10))
        end = file.read()
        magic = next((magic for magic in MAGICS if end.endswith(magic)), None)
        if magic is None:
            raise damaged(path, "its end is missing")
        behind = 4 + len(magic)
        start = size - behind - int.from_bytes(end[-behind : -len(magic)], "little")
        if start < 0:
            raise damaged(path, "its footer is longer than the file")
        file.seek(start)
        return start, file.read()
