"""Copies of shards on a node's own disk: one for all, whole or absent, and the same bytes."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.clones import ROOT
from workflow_scripts import evaluate
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import staging
from workflow_scripts.vgg.data.staging import stage

DEADLINE = 120  # seconds


@pytest.fixture
def sources(tmp_path):
    """Four files of 300 kB in two folders, as shards of two stores."""
    random, paths = np.random.default_rng(0), []
    for store in ("train_S256", "val"):
        (tmp_path / "shards" / store).mkdir(parents=True)
        for number in range(2):
            paths.append(tmp_path / "shards" / store / f"{number:05d}.arrow")
            paths[-1].write_bytes(random.bytes(300_000))
    return paths


def content(folder):
    """Every file in a folder and below it, hidden ones too."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def assert_copied(sources, copies, scratch):
    assert len(copies) == len(sources)
    for source, copy in zip(sources, copies, strict=True):
        assert Path(copy).is_relative_to(scratch)
        assert Path(copy).read_bytes() == Path(source).read_bytes()
    assert content(scratch) == sorted(map(Path, copies)), "half copies or locks are left"


STAGE = """
import logging, sys, time
from pathlib import Path
from workflow_scripts.vgg.data import staging
logging.basicConfig(level="INFO", format="%(message)s")
scratch, pause, *paths = sys.argv[1:]
copy = staging._copy
staging.CHUNK = 100_000

class Progress(staging.Progress):
    def update(self, count):
        print("copying", flush=True)
        while Path(pause).exists():
            time.sleep(0.01)

staging.Progress = Progress
print(*staging.stage(paths, scratch), sep="\\n")
"""


@pytest.fixture
def start(sources, tmp_path):
    """`start()` stages all sources in another process, which stops in the first file's middle
    while a file `pause` exists."""
    (tmp_path / "pause").touch()
    processes = []

    def run():
        words = [tmp_path / "scratch", tmp_path / "pause", *sources]
        with open(tmp_path / f"log{len(processes)}", "w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", STAGE, *map(str, words)],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_copies_hold_the_same_bytes_and_are_made_once(sources, tmp_path):
    copies = stage(sources, str(tmp_path / "scratch"))
    assert_copied(sources, copies, tmp_path / "scratch")
    times = [os.stat(copy).st_ctime_ns for copy in copies]
    assert stage(sources, str(tmp_path / "scratch")) == copies
    assert stage(map(str, sources[1:3]), str(tmp_path / "scratch")) == copies[1:3]
    assert [os.stat(copy).st_ctime_ns for copy in copies] == times


def test_without_a_folder_shards_are_read_where_they_are(sources):
    assert stage(sources, None) == list(map(str, sources))


def test_the_folders_variables_are_the_nodes(sources, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "disk"))
    copies = stage(sources, "${NODE_DISK}/mine")
    assert_copied(sources, copies, tmp_path / "disk/mine")


@pytest.mark.parametrize("scratch", ["$NO_SUCH_VARIABLE/mine", "scratch", ""])
def test_a_folder_that_is_no_place_is_refused(sources, scratch):
    told = re.escape(f"data.local_scratch: {scratch} is ") + ".*no absolute path.*set it to null"
    with pytest.raises(InputError, match=told):
        stage(sources, scratch)


def test_a_folder_that_cannot_be_made_is_named(sources, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"data\.local_scratch: .*tmp.*file.* set it to null"):
        stage(sources, str(tmp_path / "file"))


def test_a_missing_shard_is_named(sources, tmp_path):
    sources[2].unlink()
    with pytest.raises(InputError, match=f"{sources[2]}: no such file"):
        stage(sources, str(tmp_path / "scratch"))


@pytest.mark.slow
def test_several_processes_share_one_copy_and_say_for_whom_they_wait(start, sources, tmp_path):
    first = start()
    assert first.stdout.readline() == "copying\n"
    others = [start() for _ in range(3)]
    logs = [tmp_path / f"log{number}" for number in (1, 2, 3)]
    told = f"process {first.pid} on {os.uname().nodename} is copying {sources[0].parent} to it"
    wait_for(lambda: all(f"{told}; waiting" in log.read_text() for log in logs))
    assert all(process.poll() is None for process in others)
    assert not list((tmp_path / "scratch").rglob("*.arrow"))
    (tmp_path / "pause").unlink()
    outputs = [process.communicate(timeout=DEADLINE)[0] for process in (first, *others)]
    assert all(process.returncode == 0 for process in (first, *others))
    copies = [line for line in outputs[0].splitlines() if line != "copying"]
    assert_copied(sources, copies, tmp_path / "scratch")
    for output in outputs[1:]:
        assert [line for line in output.splitlines() if line != "copying"] == copies
    # Three chunks a file, one of which was read already; no file was copied twice.
    assert sum(output.count("copying\n") for output in outputs) == 4 * 3 - 1


@pytest.mark.slow
def test_what_a_killed_process_leaves_is_never_taken_for_a_copy(start, sources, tmp_path):
    process = start()
    assert process.stdout.readline() == "copying\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = content(tmp_path / "scratch")
    assert {path.suffix for path in left} == {".tmp", ".lock"}
    copies = stage(sources, str(tmp_path / "scratch"))
    assert_copied(sources, copies, tmp_path / "scratch")


@pytest.mark.slow
def test_a_killed_process_does_not_keep_others_waiting(start, sources, tmp_path):
    first = start()
    assert first.stdout.readline() == "copying\n"
    second = start()
    wait_for(lambda: "waiting" in (tmp_path / "log1").read_text())
    (tmp_path / "pause").unlink()
    first.kill()
    output, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0
    copies = [line for line in output.splitlines() if line != "copying"]
    assert_copied(sources, copies, tmp_path / "scratch")


def test_a_shard_that_was_packed_anew_is_copied_anew(sources, tmp_path):
    before = stage(sources, str(tmp_path / "scratch"))
    size = sources[1].stat().st_size
    sources[1].write_bytes(b"x" * size)
    after = stage(sources, str(tmp_path / "scratch"))
    assert after[1] != before[1]
    assert after[:1] + after[2:] == before[:1] + before[2:]
    assert_copied(sources, after, tmp_path / "scratch")


def test_a_shard_that_changes_under_the_copy_is_refused(sources, tmp_path, monkeypatch):
    def update(self, count):
        sources[0].write_bytes(b"other bytes")

    monkeypatch.setattr(staging.Progress, "update", update)
    with pytest.raises(InputError, match=f"{sources[0]}: changed while it was copied"):
        stage(sources[:1], str(tmp_path / "scratch"))
    assert content(tmp_path / "scratch") == []


def test_other_data_under_the_same_names_have_copies_of_their_own(sources, tmp_path):
    shutil.copytree(tmp_path / "shards", tmp_path / "other/shards")
    others = [tmp_path / "other" / path.relative_to(tmp_path) for path in sources]
    others[0].write_bytes(b"other images")
    copies = stage([*sources, *others], str(tmp_path / "scratch"))
    assert len(set(copies)) == 8
    assert_copied([*sources, *others], copies, tmp_path / "scratch")


Usage = namedtuple("Usage", "total used free")


def test_too_little_space_is_found_before_copying(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 5 * 10**5, 599_999))
    with pytest.raises(
        InputError,
        match=r"scratch.*copies of 2 shards of .*/train_S256 need 600,000 bytes, 599,999 are free; "
        r"delete what is old in .*vgg_shards, or choose another folder .* or set it to null",
    ):
        stage(sources, str(tmp_path / "scratch"))
    assert content(tmp_path / "scratch") == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 4 * 10**5, 600_000))
    assert_copied(sources, stage(sources, str(tmp_path / "scratch")), tmp_path / "scratch")


def test_a_disk_that_others_fill_meanwhile_is_named_and_nothing_half_is_left(
    sources, tmp_path, monkeypatch
):
    class Full(staging.Progress):
        def update(self, count):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(staging, "Progress", Full)
    with pytest.raises(InputError, match=r"vgg_shards/.*too full for it.* set it to null"):
        stage(sources, str(tmp_path / "scratch"))
    assert content(tmp_path / "scratch") == []


def test_evaluation_reads_copies_and_finds_the_same_posteriors(
    shard_paths, evaluating, tmp_path, monkeypatch
):
    read, real = [], evaluate.evaluate

    def noting(net, images, *arguments, **options):
        read.append(list(images.paths))
        return real(net, images, *arguments, **options)

    monkeypatch.setattr(evaluate, "evaluate", noting)
    words = evaluating()
    evaluate.main([*words, "--output", str(tmp_path / "in_place.parquet")])
    scratch = ["--local-scratch", str(tmp_path / "scratch")]
    evaluate.main([*words, *scratch, "--output", str(tmp_path / "staged.parquet")])
    assert read[0] == shard_paths("val")
    assert_copied(shard_paths("val"), read[1], tmp_path / "scratch")
    assert (tmp_path / "in_place.parquet").read_bytes() == (
        tmp_path / "staged.parquet"
    ).read_bytes()
