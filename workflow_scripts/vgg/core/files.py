"""Files that are whole or absent, and errors that a user can act on."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from .locks import UNSUPPORTED, Held, give_back, take_lock

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_IN_WORDS = tuple(f"os error {number}" for number in FULL)  # safetensors' are no OSErrors


class InputError(Exception):
    """Something the user gave is wrong; the message names the file and the cure."""


class DiskFull(InputError):
    """The disk or a quota has no space for a file; the message names both."""


def is_of_system(error: Exception) -> bool:
    """Whether the disk or the system has failed: no sign that the file it was about is damaged."""
    return isinstance(error, OSError) and bool(error.errno)


@contextlib.contextmanager
def exclusive(path: str | Path, activity: str = "writing it", wait: bool = False) -> Iterator[bool]:
    """Hold `path`, a file or folder that may not exist yet, while the block runs.

    activity: what the holder does, as others read it. wait: log who holds `path` and wait.
    The lock is a file beside `path`. It ends with the block or with this process, however that
    dies; what a killed one leaves is no lock. Yields False, having locked nothing, where the file
    system knows no locks.
    Raises InputError if another process holds `path`, unless asked to wait.
    """
    path = Path(path)
    file = path.with_name(f".{path.name}.lock")
    words = f"{_this_process()} is {activity}"
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = take_lock(file, words)
        except Held as held:
            holder = str(held) or "another process has it in use"
            if not wait:
                raise InputError(
                    f"{path}: {holder}; wait until that has ended, or stop it"
                ) from None
            logging.info("%s: %s; waiting for it", path, holder)
            lock = take_lock(file, words, wait=True)
    try:
        yield lock is not None
    finally:
        give_back(lock)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Name `path`, which the block writes, in errors that name none, and say if the disk is full.

    Raises DiskFull for a full disk or quota, whichever library has met with it.
    """
    try:
        yield
    except Exception as error:
        for met in _chain(error):
            number = getattr(met, "errno", None)
            if number in FULL or any(words in str(met) for words in FULL_IN_WORDS):
                where = Path(getattr(met, "filename", None) or path)
                raise DiskFull(_no_space(where, number == errno.EDQUOT)) from error
        if isinstance(error, OSError) and error.filename is None:
            error.filename = f"while writing {path}"
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_space(path: Path, quota: bool) -> str:
    """The message about a file for which the disk, or a quota, has no space."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = f"{shutil.disk_usage(folder).free:,} bytes are free in {folder} without it"
    if quota:
        return f"{path}: the quota is used up, though {free}; delete what is old, or ask for more"
    return f"{path}: the disk is too full for it, {free}; free more, and run the command again"


def _this_process() -> str:
    """The number, Slurm job and node of this process, by which others find it to stop it."""
    job = os.environ.get("SLURM_JOB_ID")
    of_job = f" of Slurm job {job}" if job else ""
    return f"process {os.getpid()}{of_job} on {os.uname().nodename}"


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    A block that raises, or a process that is killed, leaves no half-written `path`; what a killed
    one leaves under the temporary name, the next attempt overwrites. Once renamed, the file
    survives a crash of the node, where the file system can promise it.
    Raises InputError if `path` is a folder, or another process is writing it. Where the file system
    knows no locks, each process has a temporary of its own instead, and the last to end wins.
    """
    path = Path(path)
    check_no_folder(path)
    with exclusive(path) as locked, explained(path):
        own = "" if locked else f".{os.uname().nodename}-{os.getpid()}"
        temporary = path.with_name(f".{path.name}{own}.tmp")
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        # 9 ms on a local disk; without it, a crash of the node may undo the renaming. The file is
        # whole all the same: network file systems that cannot do it give errors of all sorts.
        with contextlib.suppress(OSError):
            _sync(path.parent)


@contextlib.contextmanager
def whole_folder(path: str | Path, names: Collection[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it becomes `path` if the block succeeds.

    names: of all files that such a folder may hold. One that is there already is replaced, and what
    a killed process leaves under the temporary name, the next attempt deletes.
    Raises InputError if `path` is a file, holds anything else, or another process is writing it.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; give the name of a folder to write")
    with exclusive(path), explained(path):
        found = sorted(entry.name for entry in path.iterdir()) if path.exists() else []
        if strange := [name for name in found if name not in names]:
            raise InputError(
                f"{path}: holds {strange[0]}, which would be lost; give another folder, or move it"
            )
        temporary, replaced = (path.with_name(f".{path.name}.{end}") for end in ("tmp", "old"))
        for left in (temporary, replaced):
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            if path.exists():
                os.replace(path, replaced)
            os.replace(temporary, path)
        finally:
            for left in (temporary, replaced):
                shutil.rmtree(left, ignore_errors=True)


def check_no_folder(path: str | Path) -> None:
    """Raise InputError if a file that is to be written is a folder."""
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; give the name of a file to write")


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


class _Named(io.FileIO):
    """A file whose name is in the errors of reading it, which in Python's own it is not."""

    def readinto(self, buffer) -> int:
        with self._named():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with self._named():
            return super().readall()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = str(self.name)
            raise


def reading(path: str | Path) -> io.BufferedReader:
    """Open a file to read its bytes; every OSError of that names it."""
    return io.BufferedReader(_Named(path))


def read_bytes(path: str | Path) -> bytes:
    """A file's bytes; every OSError names it."""
    with reading(path) as file:
        return file.read()


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: str | Path, after: Callable[[int], None] | None = None) -> str:
    """Hexadecimal MD5 of a file's bytes; `after` is called with the size of each piece read."""
    digest = hashlib.md5()
    with reading(path) as file:
        while piece := file.read(16 * 2**20):
            digest.update(piece)
            if after:
                after(len(piece))
    return digest.hexdigest()


def fingerprint(content) -> str:
    """Twelve hexadecimal digits that change when JSON-like `content` changes."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_fingerprint() -> str:
    """Twelve hexadecimal digits over the source of all commands and the library."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for source in sorted(root.rglob("*.py")):
        digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]
