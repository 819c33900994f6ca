"""The frame of commands: their start, their end, and the progress that they log."""

import gc
import logging
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from workflow_scripts.vgg.core import progress as progress_module
from workflow_scripts.vgg.core.progress import Progress

START = """
import atexit, gc, sys
sys.argv = ["-m"]  # as `python -m` leaves it while it imports the package
import workflow_scripts
print(gc.isenabled())
from workflow_scripts.vgg.core import command
atexit.register(print, "at exit")
command.run(lambda _: print(gc.isenabled()))
"""


def test_collection_is_off_for_a_commands_imports_alone():
    words = [sys.executable, "-c", START]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "False\nTrue\nat exit\n"
    assert gc.isenabled(), "of who imports the library without starting a command"


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [(5, 1), (60, 6), (3600, 50), (14 * 86400, 110)],
    ids=["5 s", "a minute", "an hour", "two weeks"],
)
def test_the_progress_of_a_long_loop_does_not_flood_the_log(seconds, lines, monkeypatch, caplog):
    now = 0.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO)
    progress = Progress(seconds, "images")
    for second in range(1, seconds + 1):
        now = float(second)
        progress.update(1)
    assert lines * 0.8 <= len(caplog.records) <= lines
    assert caplog.messages[-1] == f"{seconds}/{seconds} images (100%), 1.0/s, 0 s left"
    if seconds > 60:
        assert caplog.messages[0].startswith(f"10/{seconds} images")
