"""Programs from Debian's packages that tests need, installed where that is possible."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

POLICY = Path("/usr/sbin/policy-rc.d")


class NotInstalled(Exception):
    """Something is absent and cannot be installed; the text says what, and why."""


def program(name: str) -> str | None:
    """Path of a program; daemons are often not on an ordinary user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def install(missing: Callable[[], Sequence[str]], packages: Sequence[str], mark: str) -> None:
    """Install Debian's packages unless nothing is `missing`, and start no service of theirs.

    missing: names what is absent. mark: of the tests that need it.
    Raises NotInstalled if that is not possible.
    """
    if not (absent := missing()):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise NotInstalled(
            f"{', '.join(absent)} not found, and only root on Debian or Ubuntu can install it here:"
            f" apt-get install {' '.join(packages)};"
            f' or leave these tests out: pytest -m "not {mark}"'
        )
    with no_services():
        words = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (words, ["apt-get", "update"], words):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if command is words and done.returncode == 0 and not missing():
                return
    raise NotInstalled(f"{shlex.join(words)} failed:\n{done.stdout}{done.stderr}")


def needed(missing: Callable[[], Sequence[str]], packages: Sequence[str], mark: str) -> None:
    """Install as above, or skip the test. In CI, and for root, a test fails instead."""
    try:
        install(missing, packages, mark)
    except NotInstalled as error:
        if os.geteuid() and "CI" not in os.environ:
            pytest.skip(str(error))
        pytest.fail(str(error))


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Debian's way of telling packages that they must not start their services."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
