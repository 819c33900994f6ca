"""What commands log of their progress."""

import logging

import pytest

from workflow_scripts.vgg.core import progress as progress_module
from workflow_scripts.vgg.core.progress import Progress


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
