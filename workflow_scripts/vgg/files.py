"""Files that are whole or absent, and errors that a user can act on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_held: set[IO] = set()


class InputError(Exception):
    """Something the user gave is wrong; the message names the file and the cure."""


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
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _lock(path, path.with_name(f".{path.name}.lock"), activity, wait)
    if file is None:
        yield False
        return
    with file:
        _held.add(file)
        try:
            yield True
        finally:
            _held.discard(file)
            Path(file.name).unlink(missing_ok=True)


def _lock(path: Path, lock: Path, activity: str, wait: bool) -> IO | None:
    """The open and locked file `lock`, in which stands who has it; None if there are no locks."""
    while True:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(lock, "a+", encoding="utf-8"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read() or "another process has it in use"
                if not wait:
                    raise InputError(
                        f"{path}: {holder}; wait until that has ended, or stop it"
                    ) from None
                logging.info("%s: %s; waiting for it", path, holder)
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                lock.unlink(missing_ok=True)
                return None
            # The holder before us deleted the file as it went: then this is no lock to others.
            if _is_open(lock, file):
                file.truncate(0)
                file.write(f"{_this_process()} is {activity}")
                file.flush()
                stack.pop_all()
                return file


def _this_process() -> str:
    """What others may look for to stop this process."""
    job = os.environ.get("SLURM_JOB_ID")
    of_job = f" of Slurm job {job}" if job else ""
    return f"process {os.getpid()}{of_job} on {os.uname().nodename}"


def _is_open(path: Path, file: IO) -> bool:
    """Whether `file` is what now lies at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _forget_locks() -> None:
    """In a forked child, such as a loader's worker, which must not keep its dead parent's locks."""
    while _held:
        _held.pop().close()


os.register_at_fork(after_in_child=_forget_locks)


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    A block that raises, or a process that is killed, leaves no half-written `path`; what a killed
    one leaves under the temporary name, the next attempt overwrites. Once renamed, the file
    survives a crash of the node.
    Raises InputError if another process is writing `path`. Where the file system knows no locks,
    each process has a temporary of its own instead, and the last to end wins.
    """
    path = Path(path)
    with exclusive(path) as locked:
        own = "" if locked else f".{os.uname().nodename}-{os.getpid()}"
        temporary = path.with_name(f".{path.name}{own}.tmp")
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            # 9 ms on a local disk; without it, a crash of the node may undo the renaming.
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot do it for folders
            raise
    finally:
        os.close(descriptor)


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(content) -> str:
    """Twelve hexadecimal digits that change when JSON-like `content` changes."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_fingerprint() -> str:
    """Twelve hexadecimal digits over the source of all commands and the library."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for source in sorted(root.rglob("*.py")):
        digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]
