"""Parts of the session that ask how fast a GPU is, and what would make it faster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.core.costs import processor
from workflow_scripts.vgg.data.loader import READ_AHEAD, TrainingImages, on_device
from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.compiling import compile_features
from workflow_scripts.vgg.nets.devices import describe_hardware, driver_version
from workflow_scripts.vgg.nets.precision import computing, resolved
from workflow_scripts.vgg.planning.arithmetic import built, evaluation_flop, training_flop

from .machine import NETS, FastestKernel, LayersAlone, best_algorithms, finish
from .session_correctness import same_bits
from .session_setting import INPUT_SCALE, Setting, mean_seconds
from .training_speed import MEAN, Plain

SIZE = (375, 500)  # of the photographs, height and width


def machine(setting: Setting) -> Iterator[dict]:
    """The machine that the figures are of."""
    gib = 2**30
    yield {
        "what": describe_hardware(setting.device),
        "driver": driver_version(),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version() if setting.on_gpu else None,
        "Python": sys.version.split()[0],
        "GB": torch.cuda.get_device_properties(setting.device).total_memory / gib
        if setting.on_gpu
        else None,
    }
    yield {
        "what": f"its host: {processor()}",
        "cores": setting.cores,
        "shared memory": f"{_shared_memory() / gib:.1f} GB",
        "threads of a core": _siblings(),
    }


def _shared_memory() -> int:
    found = os.statvfs("/dev/shm")
    return found.f_bavail * found.f_frsize


def _siblings() -> str | None:
    path = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    return path.read_text().strip() if path.exists() else None


def limits(setting: Setting) -> Iterator[dict]:
    """TFLOP/s of kernels in each precision, and copies to the GPU."""
    for precision in setting.precisions if setting.on_gpu else ["float32"]:
        kernel = FastestKernel(setting.device, precision)
        kernel.rates()
        rates = {name: rate / 1e12 for name, rate in kernel.rates().items()}
        del kernel
        yield {
            "what": f"TFLOP/s of kernels in {precision}",
            "fastest": max(rates.values()),
            **rates,
        }
    if not setting.on_gpu:
        return
    host = setting.batch(setting.either(256, 8), pinned=False).images
    for kind, source in (("pageable", host), ("pinned", host.pin_memory())):
        seconds = mean_seconds(
            lambda s=source: s.to(setting.device, non_blocking=True), setting.device, 5
        )
        yield {"what": f"a {kind} copy of {len(host)} images", "ms": 1e3 * seconds}


def step_fact(setting: Setting, name: str, what: str, work: Callable, size: int) -> dict:
    """A fact on training steps of a net: time, images and FLOP a second, memory."""
    if setting.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = mean_seconds(work, setting.device, *setting.either((12, 4), (1, 1)))
    rate, flop = size / seconds, training_flop(built(setting.architecture(name)))
    return {
        "what": f"{name}, {what}",
        "ms": 1e3 * seconds,
        "images/s": rate,
        "TFLOP/s": rate * flop / 1e12,
        "GB": torch.cuda.max_memory_allocated() / 2**30 if setting.on_gpu else None,
    }


def step(setting: Setting) -> Iterator[dict]:
    """Training steps as they are, and with other settings of cuDNN."""
    size = setting.either(256, 2)
    for name in ("A", "D", "E", "A-LRN"):
        steps, batch = setting.training(name, size), setting.batch(size)

        def one(steps=steps, batch=batch) -> None:
            steps([batch])

        ours = step_fact(setting, name, "ours", one, size=size)
        yield ours
        if name in NETS:
            loose = setting.batch(size, pinned=False)
            yield step_fact(
                setting, name, "pageable batches", lambda s=steps, b=loose: s([b]), size=size
            )
            torch.backends.cudnn.benchmark = True
            yield step_fact(setting, name, "cudnn.benchmark, the same bits", one, size=size)
            torch.backends.cudnn.benchmark = False
            with best_algorithms():
                yield step_fact(setting, name, "cudnn.benchmark, any bits", one, size=size)
        del one, steps
        if name in NETS and not setting.small:
            alone = LayersAlone(name, size, setting.device, resolved("auto", setting.device))
            rate = max(alone() for _ in range(3))
            del alone
            yield {
                "what": f"{name}, its layers alone, each at its best",
                "images/s": rate,
                "reached": ours["images/s"] / rate,
            }


def loader(setting: Setting) -> Iterator[dict]:
    """The loader alone, and A trained from it: with and without copies on a stream of their own,
    and with one CPU thread in the training's process, beside its loaders.

    What was read ahead of the first step is taken before time runs.
    """
    size, workers = setting.either(256, 8), setting.workers
    ahead = workers * (READ_AHEAD + 1)

    def images(shard: Path, scales: tuple[int, int]) -> TrainingImages:
        return TrainingImages(
            [shard],
            seed=0,
            batch_size=size,
            crop=setting.crop,
            scales=scales,
            colour_axes=np.zeros((3, 3)),
        )

    number = setting.either(3 * ahead, 8)
    for what, shard, scales in (
        ("S = 256", setting.rescaled, (256, 256)),
        ("S in [256;512]", setting.original, (256, 512)),
    ):
        own = images(shard, scales)
        with closing(own.batches(0, ahead + number, workers, setting.on_gpu)) as batches:
            for _ in range(ahead):
                next(batches)
            started = time.perf_counter()
            for _ in range(number):
                next(batches)
            seconds = time.perf_counter() - started
        yield {"what": what, "workers": workers, "images/s": number * size / seconds}
    own, number = images(setting.rescaled, (256, 256)), setting.either(200, 4)
    threads = torch.get_num_threads()
    for way, ready, most_threads in (
        ("copies on a stream of their own", on_device, threads),
        ("copies on a stream of their own, one CPU thread", on_device, 1),
        ("copies on the steps' stream", lambda batches, _: batches, threads),
    ):
        steps, waited = setting.training("A", size), 0.0
        torch.set_num_threads(most_threads)
        with closing(own.batches(0, ahead + number + 1, workers, setting.on_gpu)) as batches:
            copied = ready(batches, setting.device)
            for _ in range(ahead):
                steps([next(copied)])
            finish(setting.device)
            started = time.perf_counter()
            for _ in range(number):
                asked = time.perf_counter()
                batch = next(copied)
                waited += time.perf_counter() - asked
                steps([batch])
            finish(setting.device)
            seconds = time.perf_counter() - started
        yield {
            "what": f"A from the loader, {way}",
            "images/s": number * size / seconds,
            "waiting": waited / seconds,
        }
        torch.set_num_threads(threads)


def alone(setting: Setting) -> Iterator[dict]:
    """D's net alone in each precision, and what a size costs that has not been seen before."""
    net = setting.net("D").eval().to(setting.device, memory_format=torch.channels_last)
    dense = methods.DenseConvNet(net)

    def drawn(number: int, height: int, width: int) -> torch.Tensor:
        images = torch.randn(number, 3, height, width, device=setting.device)
        return images.contiguous(memory_format=torch.channels_last)

    with torch.inference_mode():
        for Q, number in setting.either(((256, 73), (512, 18), (512, 1)), ((80, 2),)):
            images = drawn(number, Q, round(Q * 4 / 3))
            flop = float(evaluation_flop(net, "dense", Q, *SIZE)[0])
            for precision in setting.precisions:
                times = setting.either((3 if number > 1 else 10, 2), (1, 1))
                with computing(setting.device, precision):
                    seconds = mean_seconds(
                        lambda i=images: methods.dense_posteriors(dense, i),
                        setting.device,
                        *times,
                    )
                yield {
                    "what": f"D, Q = {Q}, {number} images, {precision}",
                    "images/s": number / seconds,
                    "TFLOP/s": number / seconds * flop / 1e12,
                }
        height = setting.either(256, 72)
        sizes = [(height, height + 40 + extra) for extra in range(setting.either(40, 2))]
        times = []
        with computing(setting.device, "tf32"):
            for _ in range(2):
                started = time.perf_counter()
                for size in sizes:
                    dense(drawn(2, *size)).sum().item()
                times.append(1e3 * (time.perf_counter() - started) / len(sizes))
    yield {"what": "two images of a size that is new", "ms": times[0]}
    yield {"what": "two images of a size that was seen", "ms": times[1]}


def evaluate(setting: Setting) -> Iterator[dict]:
    """Our evaluation of D from a shard: rates, and what each precision changes.

    Rates are of what follows the start of the workers, which is told apart.
    """
    net = setting.net("D").eval().to(setting.device, memory_format=torch.channels_last)
    shards = Shards([setting.original])
    wide = np.flatnonzero(shards.widths > shards.heights)

    def once(method: str, Q: int, number: int, workers: int) -> np.ndarray:
        size, places = setting.either(128, 8), np.resize(wide, number)
        images = RescaledImages([setting.original], Q, setting.crop, batch_size=size, places=places)
        how = methods.Method(method, batch_size=size)
        return methods.evaluate(
            net, images, how, MEAN, input_scale=INPUT_SCALE, workers=workers, progress=False
        )

    Q = setting.crop + 8
    dense = setting.either(((256, 1024), (384, 512), (512, 384)), ((Q, 4),))
    crops = setting.either(((384, 64),), ((Q, 1),))
    workers = setting.either(setting.workers, 0)
    for method, sizes in (("dense", dense), ("multicrop", crops)):
        start = 0.0
        if workers:
            once(method, sizes[0][0], workers, 0)
            started = time.perf_counter()
            once(method, sizes[0][0], workers, workers)
            start = time.perf_counter() - started
            yield {"what": f"{method}, one image for each worker, with its start", "s": start}
        for Q, number in sizes:
            flop, exact = float(evaluation_flop(net, method, Q, *SIZE)[0]), None
            for precision in setting.precisions:
                with computing(setting.device, precision):
                    found = once(method, Q, min(len(wide), number), 0)
                    started = time.perf_counter()
                    once(method, Q, number + workers, workers)
                    seconds = time.perf_counter() - started - start
                exact = found if exact is None else exact
                others = (found.argmax(1) != exact.argmax(1)).sum()
                yield {
                    "what": f"{method}, Q = {Q}, {precision}",
                    "images/s": number / seconds,
                    "TFLOP/s": number / seconds * flop / 1e12,
                    "posteriors differ by": float(np.abs(found - exact).max()),
                    "other answers": f"{others} of {len(found)}",
                }


def rival(setting: Setting) -> Iterator[dict]:
    """torchvision's net in a plain loop at its best, eager and compiled."""
    if setting.small:
        yield {"what": "torchvision", "skipped": "its nets have full size only"}
        return
    size, precision = 256, resolved("auto", setting.device)
    for name in NETS:
        rates = []
        for kind in ("torchvision", "torchvision, compiled"):
            with best_algorithms():
                loop = Plain(
                    name,
                    setting.device,
                    precision,
                    threads=setting.cores,
                    size=size,
                    compiled=kind.endswith("compiled"),
                )
                fact = step_fact(setting, name, kind, loop.step, size=size)
            del loop
            rates.append(fact["images/s"])
            yield fact | {"times eager": rates[1] / rates[0] if rates[1:] else None}


def compiled(setting: Setting) -> Iterator[dict]:
    """Ours with compiled conv layers: how fast, and whether the same bits come again."""
    size, name = setting.either(256, 2), setting.either("D", "A")
    batches = [setting.batch(size, seed) for seed in range(3)]
    nets, rates = [], []
    for what in ("conv layers as they are", "conv layers compiled"):
        steps = setting.training(name, size)
        if what.endswith("compiled"):
            compile_features(steps.net)
        fact = step_fact(setting, name, what, lambda s=steps: s(batches[:1]), size=size)
        del steps
        rates.append(fact["images/s"])
        yield fact | {"times eager": rates[1] / rates[0] if rates[1:] else None}
    for _ in range(2):
        steps = setting.training(name, size)
        compile_features(steps.net)
        steps(batches)
        nets.append(steps.net)
        del steps
    # No `ok`: of a GPU nobody has promised it yet.
    yield {"what": f"{name} compiled, 3 steps twice", "the same bits": same_bits(*nets)}


def profile(setting: Setting) -> Iterator[dict]:
    """The kernels of a few steps of D, in profile.txt."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    size = setting.either(256, 2)
    steps, batch = setting.training("D", size), setting.batch(size)
    steps([batch] * 2)
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * setting.on_gpu]
    with profiled(activities=activities) as found:
        steps([batch] * setting.either(3, 1))
        finish(setting.device)
    order = "cuda_time_total" if setting.on_gpu else "cpu_time_total"
    table = found.key_averages().table(sort_by=order, row_limit=45, max_name_column_width=90)
    (setting.folder / "profile.txt").write_text(table)
    yield {"what": "kernels of steps of D", "file": "profile.txt"}
