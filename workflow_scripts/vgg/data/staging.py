"""Copies of shards on a node's own disk, made once for all jobs and processes of the node."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.checksums import cure
from ..core.files import DiskFull, InputError, exclusive, reading, whole_file
from ..core.progress import Progress

CHUNK = 16 * 10**6
CURE = "choose another folder in data.local_scratch, or set it to null to read the shards in place"


def stage(paths: Sequence[str | Path], scratch: str | None) -> list[str]:
    """Copy files to the folder `scratch` of this node unless they are there; gives where to read.

    scratch: environment variables and ~ in it are expanded here; None gives `paths` themselves.
    A copy is whole or absent, lies in vgg_shards/<digest of its source's folder>/ and has its
    source's size and modification time in its name: a source that changed is copied anew, and its
    former copy deleted. One process at a time copies from a folder, the others wait and then use
    its copies. Nothing else is ever deleted.
    Raises InputError if the folder cannot be used, lacks space, or a source is missing.
    """
    sources = list(map(Path, paths))
    if scratch is None:
        return list(map(str, sources))
    root = _expanded(scratch) / "vgg_shards"
    copies = {path: _copy_of(path, root) for path in sources}
    try:
        for folder in dict.fromkeys(copy.parent for copy in copies.values()):
            _complete({path: copy for path, copy in copies.items() if copy.parent == folder})
    except DiskFull as error:
        raise InputError(f"{error}; or {CURE}") from error
    except OSError as error:
        if error.filename in map(str, sources):
            raise
        raise InputError(f"data.local_scratch: {error}; {CURE}") from error
    return [str(copies[path]) for path in sources]


@contextlib.contextmanager
def naming_sources(paths: Sequence[str | Path], copies: Sequence[str]) -> Iterator[None]:
    """In an error of the block about a damaged copy, say whose copy it is, and the copy's cure."""
    try:
        yield
    except InputError as error:
        for path, copy in zip(paths, copies, strict=True):
            if str(path) != copy and f"{copy}: " in str(error) and cure(copy) in str(error):
                text = str(error).replace(
                    cure(copy),
                    f"It is this node's copy of {path}: rm {shlex.quote(copy)}, and run the "
                    f"command again. If the copy is damaged again, the shard is. {cure(path)}",
                )
                raise InputError(text) from None
        raise


def _expanded(scratch: str) -> Path:
    """The folder's path on this node."""
    folder = os.path.expanduser(os.path.expandvars(scratch))
    if "$" in folder or not os.path.isabs(folder):
        raise InputError(
            f"data.local_scratch: {scratch} is {folder} on {os.uname().nodename}, which is no "
            f"absolute path; {CURE}"
        )
    return Path(folder)


def _copy_of(path: Path, root: Path) -> Path:
    """Where the copy of a file in its present state belongs."""
    try:
        state = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, so it cannot be copied") from None
    folder = hashlib.sha256(os.fsencode(path.resolve().parent)).hexdigest()[:16]
    return root / folder / f"{state.st_size}-{state.st_mtime_ns}-{path.name}"


def _complete(copies: dict[Path, Path]) -> None:
    """Make those copies that are not there yet; all lie in one folder."""
    if all(copy.exists() for copy in copies.values()):
        return
    source, folder = (path.parent for path in next(iter(copies.items())))
    with exclusive(folder, f"copying {source} to it", wait=True) as locked:
        folder.mkdir(exist_ok=True)
        missing = {path: copy for path, copy in copies.items() if not copy.exists()}
        for path in missing if locked else ():
            # Former states of the file, and what a killed process left of a copy.
            for former in folder.glob(f"*-{glob.escape(path.name)}*"):
                former.unlink(missing_ok=True)
        needed = sum(path.stat().st_size for path in missing)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"{folder}: copies of {len(missing)} shards of {source} need {needed:,} bytes, "
                f"{free:,} are free; delete what is old in {folder.parent}, or {CURE}"
            )
        progress = Progress(max(1, needed // 10**6), f"MB of {source} copied to {folder}")
        for path, copy in missing.items():
            _copy(path, copy, progress)
        if missing:
            logging.info("copied %d shards of %s to %s", len(missing), source, folder)


def _copy(path: Path, copy: Path, progress: Progress) -> None:
    """Copy a file's bytes, whole or not at all. Raises InputError if it changes meanwhile."""
    with whole_file(copy) as temporary:
        with reading(path) as source, open(temporary, "wb") as target:
            while chunk := source.read(CHUNK):
                target.write(chunk)
                progress.update(len(chunk) // 10**6)
            copied = target.tell()
        if _copy_of(path, copy.parents[1]) != copy or copied != path.stat().st_size:
            raise InputError(f"{path}: changed while it was copied; run the command again")
