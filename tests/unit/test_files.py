"""Files are whole or absent, whoever else writes them, and locks die with their holders."""

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.core import files, parquet, text_artefacts
from workflow_scripts.vgg.core.files import InputError, exclusive, whole_file, whole_folder
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data import shards
from workflow_scripts.vgg.data.sources import archives, devkit, kaggle, members
from workflow_scripts.vgg.data.staging import stage
from workflow_scripts.vgg.nets.released import arrays
from workflow_scripts.vgg.nets.weights import load_weights
from workflow_scripts.vgg.training.checkpoints import save_checkpoint

UNREADABLE = Path("/proc/self/mem")  # opens, and gives errno 5 when its first bytes are read
HOLD = """
import os, sys, time
from pathlib import Path
from workflow_scripts.vgg.core.files import exclusive, whole_file
path = sys.argv[1]
"""
HOLD_FOLDER = """
from workflow_scripts.vgg.core.files import whole_folder
with whole_folder(path, ["part"]) as temporary:
    (temporary / "part").write_text("half")
    print("holding", flush=True)
    sys.stdin.readline()
"""
HOLD_FILE = """
with whole_file(path) as temporary:
    temporary.write_text("half")
    print("holding", flush=True)
    sys.stdin.readline()
    temporary.write_text("whole, by the child")
"""


@pytest.fixture
def child():
    """`child(code, path)` runs code in another process until it prints `holding`; all are ended."""
    children = []

    def start(code, path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD + code, str(path)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        children.append(process)
        assert process.stdout.readline() == "holding\n"
        return process

    yield start
    for process in children:
        process.kill()
        process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_arrow(path):
    table = pa.table({"column": [1, 2, 3]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def write_tar(path):
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "member")


WRITERS = {
    "text": lambda path: path.write_text("content"),
    "pandas": lambda path: pd.DataFrame({"column": [1, 2]}).to_parquet(path),
    "arrow": write_arrow,
    "torch": lambda path: torch.save({"weight": torch.ones(1000)}, path),
    "safetensors": lambda path: save_file({"weight": torch.ones(1000)}, path),
    "tar": write_tar,
    "replacing": lambda path: (
        Path(f"{path}.other").write_text("a"),
        os.replace(f"{path}.other", path),
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_makes_the_file_that_it_makes_alone(writer, tmp_path):
    write = WRITERS[writer]
    with whole_file(tmp_path / "made/file") as temporary:
        temporary.write_bytes(b"what a killed process left" * 10_000)
        write(temporary)
        assert not (tmp_path / "made/file").exists()
    write(tmp_path / "alone")
    assert names(tmp_path / "made") == ["file"]
    if writer not in ("torch", "tar"):  # these write down the file's name
        assert (tmp_path / "made/file").read_bytes() == (tmp_path / "alone").read_bytes()


def test_a_block_that_fails_leaves_nothing_and_no_lock(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "file", {"a": float("nan")})
    with pytest.raises(OSError, match="half"), whole_file(tmp_path / "file") as temporary:
        raise OSError(temporary.write_text("half"), "half")
    assert names(tmp_path) == []
    write_json(tmp_path / "file", {"a": 1})
    assert names(tmp_path) == ["file"]


def test_a_second_writer_is_told_who_writes_the_file(child, tmp_path):
    path = tmp_path / "file"
    process = child(HOLD_FILE, path)
    told = rf"{path}: process {process.pid} on {os.uname().nodename} is writing it; wait"
    with pytest.raises(InputError, match=told), whole_file(path):
        pytest.fail("two processes write one file")
    process.communicate("go on\n")
    assert path.read_text() == "whole, by the child"
    assert names(tmp_path) == ["file"]


def test_a_killed_writer_is_in_nobodys_way(child, tmp_path):
    path = tmp_path / "file"
    process = child(HOLD_FILE, path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path) == [".file.lock", ".file.tmp"]
    with whole_file(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_whole_or_absent_whoever_is_killed(child, tmp_path):
    path = tmp_path / "folder"
    process = child(HOLD_FOLDER, path)
    with pytest.raises(InputError, match="is writing it; wait"), whole_folder(path, ["part"]):
        pytest.fail("two processes write one folder")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    for content in ("first", "second"):
        with whole_folder(path, ["part"]) as temporary:
            assert names(temporary) == []
            (temporary / "part").write_text(content)
        assert (path / "part").read_text() == content
        assert names(tmp_path) == ["folder"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "part").write_text("old")
    with pytest.raises(OSError, match="half"), whole_folder(path, ["part"]) as temporary:
        raise OSError((temporary / "part").write_text("half"), "half")
    assert names(tmp_path) == ["folder"]
    assert (path / "part").read_text() == "old"
    (path / "other").write_text("somebody's")
    told = f"{path}: holds other, which would be lost; give another folder"
    with pytest.raises(InputError, match=told), whole_folder(path, ["part"]):
        pytest.fail("somebody's file would be lost")
    assert names(path) == ["other", "part"]
    with (
        pytest.raises(InputError, match="is a file; give the name of a folder"),
        whole_folder(path / "part", ["part"]),
    ):
        pytest.fail("a file would be lost")


def test_the_lock_of_a_killed_process_is_not_kept_by_its_forked_workers(child, tmp_path):
    workers = """
with exclusive(path, "training this model"):
    if not os.fork():
        Path(path + ".worker").write_text(str(os.getpid()))
        print("holding", flush=True)
        time.sleep(600)
        os._exit(0)
    sys.stdin.readline()
"""
    process = child(workers, tmp_path / "checkpoints")
    told = rf"checkpoints: process {process.pid} on .* is training this model; wait .* or stop it"
    with pytest.raises(InputError, match=told), exclusive(tmp_path / "checkpoints"):
        pytest.fail("two processes hold one folder")
    worker = int((tmp_path / "checkpoints.worker").read_text())
    process.kill()
    process.wait()
    os.kill(worker, 0)  # lives on
    try:
        with exclusive(tmp_path / "checkpoints") as locked:
            assert locked
    finally:
        os.kill(worker, signal.SIGKILL)


def test_the_lock_says_which_slurm_job_holds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    told = pytest.raises(InputError, match="of Slurm job 77 on")
    with exclusive(tmp_path / "a"), told, exclusive(tmp_path / "a"):
        pytest.fail("held twice")


def test_deleting_a_held_folder_does_not_free_it(tmp_path):
    with exclusive(tmp_path / "folder"):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder").rmdir()
        with pytest.raises(InputError), exclusive(tmp_path / "folder"):
            pytest.fail("held twice")


COUNT = """
print("holding", flush=True)
for _ in range(50):
    with exclusive(path, "counting", wait=True):
        number = int(Path(path).read_text())
        Path(path).write_text(str(number + 1))
"""


def test_those_who_wait_come_one_at_a_time(child, tmp_path):
    path = tmp_path / "number"
    path.write_text("0")
    for process in [child(COUNT, path) for _ in range(6)]:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert path.read_text() == "300"
    assert names(tmp_path) == ["number"]


def test_who_waits_says_for_whom(child, tmp_path):
    code = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
print("holding", flush=True)
with exclusive(path, wait=True):
    print("mine", flush=True)
"""
    with exclusive(tmp_path / "file", "copying it"):
        process = child(code, tmp_path / "file")
        told = f"process {os.getpid()} on {os.uname().nodename} is copying it; waiting for it"
        assert told in process.stdout.readline()
    assert process.stdout.readline() == "mine\n"


WRITE_AGAIN_AND_AGAIN = """
import select
from workflow_scripts.vgg.training.checkpoints import save_checkpoint
from workflow_scripts.vgg.core.files import InputError
print("holding", flush=True)
content = str(os.getpid()).encode() * 100_000
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            file.write(content[len(content) // 2 :])
    except InputError:
        pass
"""
NO_LOCKS = """
import errno, fcntl
def refuse(*arguments):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = refuse
"""


@pytest.mark.slow
@pytest.mark.parametrize("locks", ["", NO_LOCKS], ids=["flock", "none"])
def test_a_reader_never_sees_anything_but_whole_files(child, tmp_path, locks):
    path = tmp_path / "file"
    code = locks + WRITE_AGAIN_AND_AGAIN
    processes = [child(code, path) for _ in range(4)]
    whole = {str(process.pid).encode() * 100_000 for process in processes}
    seen, started = set(), time.monotonic()
    while len(seen) < 2 or time.monotonic() < started + 3:
        assert time.monotonic() < started + 120, "writers prevent each other from writing"
        if path.exists():
            content = path.read_bytes()
            assert content in whole
            seen.add(content)
    for process in processes:
        process.communicate(timeout=60)
    assert all(process.returncode == 0 for process in processes)
    assert names(tmp_path) == ["file"]


def failing(number, only=lambda *_: True, otherwise=None):
    """A system call that gives an error, for those arguments alone."""

    def call(*arguments):
        if only(*arguments):
            raise OSError(number, os.strerror(number))
        return otherwise(*arguments)

    return call


LOCKLESS = {"ENOLCK": 37, "ENOSYS": 38, "EOPNOTSUPP": 95, "ENOTSUPP": 524, "EBADF": 9, "EINVAL": 22}


@pytest.mark.parametrize("number", LOCKLESS.values(), ids=LOCKLESS)
def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with exclusive(tmp_path / "folder") as locked:
        assert not locked
    write_json(tmp_path / "file", {"a": 1})
    assert (tmp_path / "file").read_text() == '{\n "a": 1,\n "checksum": "c5e3762ffc8453c6"\n}\n'
    assert names(tmp_path) == ["file"]


def test_without_locks_two_processes_write_a_file_and_the_last_to_end_wins(child, tmp_path):
    first, last = (child(NO_LOCKS + HOLD_FILE, tmp_path / "file") for _ in range(2))
    first.communicate("go on\n")
    assert (tmp_path / "file").read_text() == "whole, by the child"
    (tmp_path / "file").unlink()
    last.communicate("go on\n")
    assert (tmp_path / "file").read_text() == "whole, by the child"
    assert names(tmp_path) == ["file"]


def test_a_lock_file_that_nfs_renames_when_deleted_is_no_lock(tmp_path, monkeypatch):
    lock, flock = tmp_path / ".folder.lock", fcntl.flock

    def deleted_first(*arguments):
        monkeypatch.setattr(fcntl, "flock", flock)
        lock.rename(tmp_path / ".nfs01")
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", deleted_first)
    with exclusive(tmp_path / "folder"):
        assert lock.exists()
        with pytest.raises(InputError), exclusive(tmp_path / "folder"):
            pytest.fail("held twice")


def test_a_lock_that_is_given_back_at_that_moment_is_taken(tmp_path, monkeypatch):
    lock, flock = tmp_path / ".folder.lock", fcntl.flock

    def given_back_afterwards(*arguments):
        monkeypatch.setattr(fcntl, "flock", flock)
        lock.unlink()
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(fcntl, "flock", given_back_afterwards)
    with exclusive(tmp_path / "folder") as locked:
        assert locked
    assert names(tmp_path) == []


def test_a_lock_that_cannot_be_opened_is_named_as_it_was_given(tmp_path, monkeypatch):
    (tmp_path / ".file.lock").mkdir()
    monkeypatch.chdir(tmp_path)
    told = pytest.raises(IsADirectoryError, match=r"'\.file\.lock'")
    with told, exclusive("file"):
        pytest.fail("held without a lock")


def test_other_errors_of_locking_name_the_file_and_leave_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    told = f"Input/output error: .*{tmp_path}/file"
    with pytest.raises(OSError, match=told), whole_file(tmp_path / "file"):
        pytest.fail("written without a lock")
    assert names(tmp_path) == []


def of_folders(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@pytest.mark.parametrize("number", [errno.EIO, *LOCKLESS.values()])
def test_a_folder_that_cannot_be_synchronised_fails_no_finished_file(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", failing(number, of_folders, os.fsync))
    write_json(tmp_path / "file", {"a": 1})
    assert names(tmp_path) == ["file"]


def test_a_file_that_cannot_be_synchronised_has_failed_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match=f"Input/output error: 'while writing {tmp_path}/file'"):
        write_json(tmp_path / "file", {"a": 1})
    assert names(tmp_path) == []


def test_a_quota_is_told_from_a_full_disk(tmp_path):
    for number, told in ((errno.EDQUOT, "the quota is used up"), (errno.ENOSPC, "too full for it")):
        told = rf"{tmp_path}/file: .*{told}.* [\d,]+ bytes are free"
        with pytest.raises(InputError, match=told), whole_file(tmp_path / "file"):
            failing(number)()
    assert names(tmp_path) == []


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mount).returncode:
        pytest.skip("only root may mount a small file system, and not in every container")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


LARGE = {
    "text": lambda path: path.write_text("x" * 10**6),
    "pandas": lambda path: pd.DataFrame({"x": np.random.rand(10**5)}).to_parquet(path),
    "torch": lambda path: save_checkpoint(path.parent, 1, {"weight": torch.ones(10**5)}),
    "safetensors": lambda path: save_file({"weight": torch.ones(10**5)}, path),
}


@pytest.mark.parametrize("writer", LARGE)
def test_a_full_disk_is_named_with_what_is_free(writer, full_disk):
    told = rf"{full_disk}/.*: the disk is too full for it, [\d,]+ bytes are free in {full_disk}"
    with pytest.raises(InputError, match=told), whole_file(full_disk / "file") as temporary:
        LARGE[writer](temporary)
    assert names(full_disk) == []
    (full_disk / "others").write_bytes(bytes(os.statvfs(full_disk).f_bavail * 4096))
    told = "file: the disk is too full for it, 0 bytes"
    with pytest.raises(InputError, match=told), whole_file(full_disk / "file"):
        pytest.fail("not even the lock has space")
    assert names(full_disk) == ["others"]


READERS = {
    "artefact.parquet": parquet.read_frame,
    "shard.arrow": lambda path: shards.Shards([path]),
    "artefact.json": text_artefacts.read_json,
    "artefact.csv": text_artefacts.read_csv,
    "artefact.svg": text_artefacts.read_svg,
    "ours.safetensors": load_weights,
    "theirs.h5": arrays.kind_of,
    "archive.tar": lambda path: list(archives.image_members(path)),
    "ground_truth.txt": devkit.read_ground_truth,
    "devkit.tar.gz": devkit.read_classes,
    "solution.csv": kaggle.read_solution,
    "image.jpg": lambda path: list(members.read_members([(str(path), 0, 9)])),
    "indexed.jpg": lambda path: list(
        members.with_flaws([members.Member("a", None, str(path), 0, 9)])
    ),
    "hashed": files.sha256,
    "staged.arrow": lambda path: stage([path], str(path.parent / "scratch")),
}


@pytest.mark.skipif(not UNREADABLE.exists(), reason="a file of Linux")
@pytest.mark.parametrize("name", READERS)
def test_a_disk_that_fails_is_told_with_the_file_and_blames_nothing_else(name, tmp_path):
    (tmp_path / name).symlink_to(UNREADABLE)
    with pytest.raises(OSError) as raised:  # noqa: PT011 its parts are looked at
        READERS[name](tmp_path / name)
    assert (raised.value.errno, raised.value.filename) == (errno.EIO, str(tmp_path / name))


def test_a_renamed_file_and_its_name_are_on_the_disk(tmp_path, monkeypatch):
    order = []
    replace, sync = os.replace, files._sync
    monkeypatch.setattr(files, "_sync", lambda path: (order.append(path.name), sync(path)))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("renamed"), replace(*paths)))
    write_json(tmp_path / "file", {"a": 1})
    assert order == [".file.tmp", "renamed", tmp_path.name]
