"""Loader workers: none is a copy of the training's process, and their memory is looked at first."""

import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from tests.helpers.clones import ROOT
from tests.helpers.evaluations import posteriors_of
from workflow_scripts import evaluate as evaluate_command
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import loader, rescaled_images, workers
from workflow_scripts.vgg.data.loader import TrainingImages, on_device
from workflow_scripts.vgg.data.rescaled_images import KeptBatches
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise


class WhereFrom(Dataset):
    """An item is the worker's parent, and what CUDA-like state it has inherited."""

    def __getitem__(self, place):
        return os.getppid(), torch.distributed.is_initialized(), hasattr(torch, "of_main_process")

    def __len__(self):
        return 4


@pytest.mark.slow
def test_workers_are_no_copies_of_a_process_that_has_joined_others(monkeypatch):
    """What a fork would take along, NCCL's threads and CUDA's state, is not in them."""
    monkeypatch.setattr(torch, "of_main_process", True, raising=False)
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        options = workers.loading(2, 0)
        found = list(torch.utils.data.DataLoader(WhereFrom(), batch_size=None, **options))
    finally:
        torch.distributed.destroy_process_group()
    assert len(found) == 4
    for parent, joined, inherited in found:
        assert parent != os.getpid()
        assert not joined
        assert not inherited


@pytest.mark.slow
def test_an_image_that_a_worker_cannot_read_ends_an_evaluation_in_one_line(evaluating, tmp_path):
    """Not in the worker's traceback, nor in waiting for a worker that waits for work."""
    *words, shard = evaluating()
    images = Shards([shard])
    rows = [
        (images.id(i), int(images.labels[i]), bytes(images.jpeg(i)), *map(int, sides))
        for i, sides in enumerate(zip(images.heights, images.widths, strict=True))
    ]
    rows[3] = (*rows[3][:2], rows[3][2][:99], *rows[3][3:])
    write_shard(tmp_path / "bad.arrow", rows)
    words += [str(tmp_path / "bad.arrow"), "--device", "cpu", "--threads", "2"]
    command = [sys.executable, "-m", "workflow_scripts.evaluate", *words]
    result = subprocess.run(
        [*command, "--output", str(tmp_path / "p.parquet")],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 1
    *before, line = result.stderr.strip().splitlines()
    assert all(" images (" in progress for progress in before), "on a slow machine"
    assert line.startswith(f"error: image {rows[3][0]}: cannot be decoded as an image (")


def limited(monkeypatch, free, used=0):
    """Make shared memory look as if so many bytes of it were free, and so many used."""
    real = os.statvfs

    def statvfs(path):
        if path == workers.SHARED_MEMORY:
            return SimpleNamespace(f_bavail=free, f_blocks=free + used, f_frsize=1)
        return real(path)

    monkeypatch.setattr(workers.os, "statvfs", statvfs)


def test_too_little_shared_memory_for_training_is_told_before_it_starts(
    command, tmp_path, monkeypatch
):
    # Of two workers: batches of 8, and the validation's of 64 crops at most
    batches = (
        2 * 3 * 64 * 64 * (8 * (loader.READ_AHEAD + 1) + 64 * (rescaled_images.READ_AHEAD + 1))
    )
    limited(monkeypatch, batches - 1)
    with pytest.raises(InputError, match=r"/dev/shm: the batches of 2 loader processes need") as e:
        train.main(command(tmp_path, threads=3))
    assert str(e.value).endswith("use fewer threads: there is room for 1 of these processes")
    assert not list((tmp_path / "checkpoints").glob("*.pt"))
    limited(monkeypatch, batches)
    train.main(command(tmp_path, threads=3, iterations=5))


def test_full_size_needs_three_gigabytes_and_docker_gives_64_megabytes(monkeypatch):
    images = TrainingImages([], 0, 256, 224, (256, 256), np.zeros((3, 3)))
    limited(monkeypatch, 64 * 2**20)
    with pytest.raises(InputError, match="need 2,890 MB of shared memory, and 67 MB are free"):
        next(images.batches(0, 10, 15, pin_memory=False))


@pytest.mark.parametrize(
    ("needed", "used", "enough"), [(2**30, 0, "1g"), (2**30, 1, "2g"), (24 * 10**9, 0, "23g")]
)
def test_the_cure_for_little_shared_memory_cures_it(monkeypatch, needed, used, enough):
    limited(monkeypatch, 64 * 2**20, used)
    with pytest.raises(InputError, match=rf"--shm-size={enough}, or mount .*,size={enough} /dev"):
        workers.check_shared_memory(needed, 127)
    limited(monkeypatch, int(enough[:-1]) * 2**30 - used, used)
    workers.check_shared_memory(needed, 127)


def test_too_little_shared_memory_for_evaluation_is_told(evaluating, tmp_path, monkeypatch):
    words = [*evaluating(), "--output", str(tmp_path / "p.parquet")]
    limited(monkeypatch, 1000)
    with pytest.raises(InputError, match=r"^/dev/shm: the batches of 3 loader processes need"):
        evaluate_command.main([*words, "--threads", "4"])


def evaluate(net, shards, **options):
    initialise(net, "he", 0)
    settings = {"method": "center", "smallest_side": 64, "mean": [120, 110, 100], "batch_size": 5}
    return posteriors_of(net, shards, **settings, **options)


@pytest.mark.parametrize("most", [10**9, 12 * 3 * 64 * 64, 0])
@pytest.mark.parametrize("count", [0, 2])
def test_kept_images_are_not_read_again_and_change_nothing(shard_paths, monkeypatch, most, count):
    """All of the 24 images, the first batches as far as there is room, or none."""
    net = ConvNet(Architecture("conv3-64", crop=64, classes=10, fc=8, width_divisor=8))
    plain = evaluate(net, shard_paths("val"))
    kept, read = KeptBatches(most), []
    real = rescaled_images.decode
    monkeypatch.setattr(rescaled_images, "decode", lambda *a: read.append(a) or real(*a))
    for _ in range(3):
        assert np.array_equal(evaluate(net, shard_paths("val"), kept=kept, workers=count), plain)
    assert sum(batch.nbytes for batch in kept.batches) <= most
    held = sum(map(len, kept.batches))
    assert held == {10**9: 24, 12 * 3 * 64 * 64: 10, 0: 0}[most]
    if not count:
        assert len(read) == 24 + 2 * (24 - held)


def test_a_trainings_validations_read_their_images_once(command, tmp_path, monkeypatch):
    read = []
    real = rescaled_images.decode
    monkeypatch.setattr(rescaled_images, "decode", lambda *a: read.append(a) or real(*a))
    train.main(command(tmp_path))
    assert len(read) == 24, "of three validations"


class Stream:
    """A CUDA stream that notes what is asked of it."""

    def __init__(self, device=None):
        self.waited_for = []

    def wait_stream(self, other):
        self.waited_for.append(other)


def test_a_gpu_gets_the_next_batch_before_it_works_on_this_one(monkeypatch):
    """On stand-in streams: the order of copies, waits and uses."""
    events = []

    class Tensor:
        def __init__(self, name):
            self.name = name

        def record_stream(self, stream):
            assert stream is main
            events.append(f"{self.name} is used by the main stream")

    class Batch:
        def __init__(self, number):
            self.images = self.labels = self.shifts = Tensor(f"batch {number}")
            self.number = number

        @property
        def tensors(self):
            return [self.images, self.labels, self.shifts]

        def to(self, device):
            events.append(f"copy {self.number}")
            return self

    class Within:
        def __init__(self, stream):
            assert stream is not main

        def __enter__(self):
            pass

        def __exit__(self, *_):
            pass

    main = Stream()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: main)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", Within)
    for batch in on_device(map(Batch, range(3)), torch.device("cuda:0")):
        assert len(main.waited_for) >= batch.number + 1, "its copy has not been waited for"
        events.append(f"work on {batch.number}")
    order = [event for event in events if "used" not in event]
    assert order == ["copy 0", "copy 1", "work on 0", "copy 2", "work on 1", "work on 2"]
    assert len(main.waited_for) == 3


def test_on_a_cpu_batches_pass_through(shard_paths):
    images = TrainingImages(shard_paths("train"), 0, 8, 64, (256, 256), np.zeros((3, 3)))
    plain = [images[n] for n in range(3)]
    for ours, theirs in zip(on_device(plain, torch.device("cpu")), plain, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


@pytest.mark.slow
def test_workers_and_their_server_end_with_a_killed_process(tmp_path):
    """However the main process dies, as by the memory's guard."""
    code = textwrap.dedent("""
        import os, sys, torch, time
        from tests.unit.test_workers import WhereFrom
        from workflow_scripts.vgg.data import workers
        if __name__ == "__main__":
            loader = torch.utils.data.DataLoader(WhereFrom(), batch_size=None,
                                                 persistent_workers=True, **workers.loading(2, 0))
            print([row[0] for row in loader], flush=True)
            os.kill(os.getpid(), 9)
    """)
    script = tmp_path / "killed.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script], cwd=ROOT, capture_output=True, text=True, timeout=60,
        start_new_session=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    # `run` returns only when all that have its output open, so the workers too, have ended.
    assert done.returncode == -9, done.stderr
    assert done.stdout.startswith("[")
