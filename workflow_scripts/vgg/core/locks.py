"""Locks on files, which end with the process that holds them, however it dies.

They are `filelock`'s, with three things that it leaves to its users. Its fallback to marker files
is off: nobody can tell whether a marker's process, perhaps on another node, still lives. Who holds
a lock stands in the lock's file. And that file is deleted when the lock is given back.

A file system without flock, as some FUSE and DVS mounts are, has no locks.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from filelock import FileLock, Timeout

ENOTSUPP = 524  # the kernel's own, which some of its file systems let out; errno lacks it
UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, ENOTSUPP)
NO_LOCKS = (*UNSUPPORTED, errno.ENOLCK, errno.EBADF)


class Held(Exception):
    """Another process has the lock; the message is that process's `words`, or empty."""


class _Deleted(Exception):
    """The file that has been locked is not, or no longer, the one at its path."""


def take_lock(path: Path, words: str = "", wait: bool = False) -> FileLock | None:
    """Lock the file `path` until `give_back`, or until this process ends; forked ones have no part.

    words: written into the file, for others to read. The folder must exist, the file need not.
    Returns None, leaving no file, if the file system knows no locks.
    Raises Held if another process has the lock, unless told to wait for that.
    """

    def check(descriptor: int) -> None:
        # Its former holder may have deleted it after we opened it. NFS renames such a file, so that
        # filelock, which counts the file's names, does not notice.
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return
        except FileNotFoundError:
            pass
        raise _Deleted

    lock = FileLock(path, fallback_to_soft=False, on_acquired=check)
    while not lock.is_locked:
        try:
            lock.acquire(blocking=wait)
        except _Deleted:
            continue
        except Timeout:
            try:
                raise Held(path.read_text(encoding="utf-8")) from None
            except FileNotFoundError:  # given back meanwhile
                continue
        except OSError as error:
            if error.filename is not None:  # of opening the file; filelock resolves its path
                error.filename = str(path)
                raise
            path.unlink(missing_ok=True)
            if error.errno in NO_LOCKS:
                return None
            raise
    try:
        path.write_text(words, encoding="utf-8")
    except OSError:
        give_back(lock)
        raise
    return lock


def give_back(lock: FileLock | None) -> None:
    """Delete a lock's file, and release the lock. None, where there are no locks, is left alone."""
    if lock is not None:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
