"""Parts of the session that ask how fast a GPU is, and what would make it faster."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg import evaluation
from workflow_scripts.vgg.arithmetic import evaluation_flop, training_flop
from workflow_scripts.vgg.compiling import compile_features
from workflow_scripts.vgg.devices import describe_hardware, driver_version
from workflow_scripts.vgg.loader import READ_AHEAD, TrainingImages, on_device
from workflow_scripts.vgg.precision import computing
from workflow_scripts.vgg.shards import Shards

from .machine import NETS, FastestKernel, LayersAlone, best_algorithms, finish
from .session import Setting, seconds
from .session_right import digest
from .training import MEAN, Plain

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


def machine(setting: Setting) -> Iterator[dict]:
    """What the figures are of."""
    shared = os.statvfs("/dev/shm") if Path("/dev/shm").exists() else None
    yield {
        "what": describe_hardware(setting.device),
        "driver": driver_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if setting.on_gpu else None,
        "python": sys.version.split()[0],
        "cores": setting.cores,
        "GB_of_GPU": torch.cuda.get_device_properties(setting.device).total_memory / 2**30
        if setting.on_gpu
        else None,
        "GB_of_shm": shared and shared.f_bavail * shared.f_frsize / 2**30,
    }


def limits(setting: Setting) -> Iterator[dict]:
    """TFLOP/s of the fastest kernels in each precision, and copies to the GPU."""
    for precision in PRECISIONS if setting.on_gpu else PRECISIONS[:1]:
        rates = FastestKernel(setting.device, precision).rates()
        yield {
            "what": f"kernels in {precision}",
            **{name.replace(" ", "_"): rate / 1e12 for name, rate in rates.items()},
        }
    if setting.on_gpu:
        host = setting.batch(256, pinned=False).images
        for name, source in (("pageable", host), ("pinned", host.pin_memory())):
            took = seconds(
                lambda s=source: s.to(setting.device, non_blocking=True), setting.device, 5
            )
            yield {"what": f"copy of 256 images, {name}", "ms": 1e3 * took}


def rate_of(setting: Setting, name: str, what: str, work: Callable, size: int) -> dict:
    """A fact on training steps: time, images and FLOP a second, memory."""
    if setting.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    took = seconds(work, setting.device, *setting.either((12, 4), (1, 1)))
    flop = training_flop(setting.net(name))
    peak = torch.cuda.max_memory_allocated() / 2**30 if setting.on_gpu else None
    return {
        "what": f"{name}, {what}",
        "ms": 1e3 * took,
        "images_s": size / took,
        "tflops": size / took * flop / 1e12,
        "GB": peak,
    }


def step(setting: Setting) -> Iterator[dict]:
    """Training steps as they are, and with other settings of cuDNN."""
    size = setting.either(256, 2)
    for name in ("A", "D", "E", "A-LRN") if setting.on_gpu else ("A", "D"):
        steps, batch = setting.training(name, size, "auto"), setting.batch(size)

        def one(steps=steps, batch=batch) -> None:
            steps([batch])

        yield rate_of(setting, name, "ours", one, size)
        if name not in NETS:
            continue
        loose = setting.batch(size, pinned=False)
        yield rate_of(setting, name, "pageable batches", lambda s=steps, b=loose: s([b]), size)
        torch.backends.cudnn.benchmark = True
        yield rate_of(setting, name, "cudnn.benchmark, repeatable", one, size)
        torch.backends.cudnn.benchmark = False
        with best_algorithms():
            yield rate_of(setting, name, "cudnn.benchmark, not repeatable", one, size)
        del steps
        if not setting.small:
            alone = LayersAlone(name, size, setting.device, "bfloat16")
            found = max(alone() for _ in range(3))
            yield {"what": f"{name}, its layers alone, the reachable", "images_s": found}


def loader(setting: Setting) -> Iterator[dict]:
    """The loader alone, and A trained from it, with and without copies on a stream of their own."""
    size, workers = setting.either(256, 8), setting.workers

    def images(shard: Path, scales: tuple[int, int]) -> TrainingImages:
        return TrainingImages([shard], 0, size, setting.crop, scales, np.zeros((3, 3)))

    ahead = workers * (READ_AHEAD + 1)
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
            took = time.perf_counter() - started
        yield {"what": f"loader, {what}", "workers": workers, "images_s": number * size / took}
    own, number = images(setting.rescaled, (256, 256)), setting.either(300, 4)
    for what, ready in (("its own stream", on_device), ("the stream of steps", lambda b, _: b)):
        steps, waited = setting.training("A", size, "auto"), 0.0
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
            took = time.perf_counter() - started
        yield {
            "what": f"A from the loader, copies on {what}",
            "images_s": number * size / took,
            "waiting": waited / took,
        }


def alone(setting: Setting) -> Iterator[dict]:
    """D's net alone in each precision, and what a size costs that has not been seen before."""
    net = setting.net("D").eval().to(setting.device, memory_format=torch.channels_last)
    dense = evaluation.DenseConvNet(net)

    def drawn(number: int, height: int, width: int) -> torch.Tensor:
        images = torch.randn(number, 3, height, width, device=setting.device)
        return images.contiguous(memory_format=torch.channels_last)

    with torch.inference_mode():
        for Q, number in setting.either(((256, 73), (512, 18), (512, 1)), ((80, 2),)):
            images = drawn(number, Q, round(Q * 4 / 3))
            flop = float(evaluation_flop(net, "dense", Q, 375, 500)[0])
            for precision in PRECISIONS:
                with computing(setting.device, precision):
                    took = seconds(
                        lambda i=images: evaluation.dense_posteriors(dense, i),
                        setting.device,
                        *setting.either((3 if number > 1 else 10, 2), (1, 1)),
                    )
                yield {
                    "what": f"D alone, Q = {Q}, {number} images, {precision}",
                    "images_s": number / took,
                    "tflops": number / took * flop / 1e12,
                }
        first = setting.either(256, 72)
        sizes = [(first, first + 40 + extra) for extra in range(setting.either(40, 2))]
        took = []
        with computing(setting.device, "tf32"):
            for _ in range(2):
                started = time.perf_counter()
                for size in sizes:
                    dense(drawn(2, *size)).sum().item()
                took.append(1e3 * (time.perf_counter() - started) / len(sizes))
    yield {"what": "a size of images", "ms_if_new": took[0], "ms_if_known": took[1]}


def evaluate(setting: Setting) -> Iterator[dict]:
    """Our evaluation of D from a shard: rates, and what each precision changes."""
    net = setting.net("D").eval().to(setting.device, memory_format=torch.channels_last)
    shards = Shards([setting.original])
    wide = np.flatnonzero(shards.widths > shards.heights)

    def once(method: str, Q: int, number: int, workers: int) -> np.ndarray:
        return evaluation.evaluate(
            net,
            [setting.original],
            method=method,
            smallest_side=Q,
            mean=MEAN,
            input_scale=58.0,
            batch_size=setting.either(128, 8),
            workers=workers,
            progress=False,
            places=np.resize(wide, number),
        )

    dense = setting.either(((256, 1024), (384, 512), (512, 384)), ((setting.crop + 8, 4),))
    crops = setting.either(((384, 64),), ((setting.crop + 8, 1),))
    for method, sizes in (("dense", dense), ("multicrop", crops)):
        for Q, number in sizes:
            exact = None
            flop = float(evaluation_flop(net, method, Q, 375, 500)[0])
            for precision in PRECISIONS:
                with computing(setting.device, precision):
                    few = once(method, Q, min(len(wide), number), 0)
                    started = time.perf_counter()
                    once(method, Q, number, setting.either(setting.workers, 0))
                    took = time.perf_counter() - started
                exact = few if exact is None else exact
                yield {
                    "what": f"{method}, Q = {Q}, {precision}",
                    "images_s": number / took,
                    "tflops": number / took * flop / 1e12,
                    "largest_difference": float(np.abs(few - exact).max()),
                    "answers_that_differ": int((few.argmax(1) != exact.argmax(1)).sum()),
                    "of": len(few),
                }


def rival(setting: Setting) -> Iterator[dict]:
    """torchvision's net in a plain loop at its best."""
    if setting.small:
        yield {"what": "torchvision", "skipped": "its nets have full size only"}
        return
    size = setting.either(256, 4)
    precision = "bfloat16" if setting.on_gpu else "float32"
    for name in NETS:
        for compiled in (False, True) if setting.on_gpu else (False,):
            with best_algorithms():
                loop = Plain(name, setting.device, precision, setting.cores, size, compiled)
                what = "torchvision, compiled" if compiled else "torchvision"
                yield rate_of(setting, name, what, loop.step, size)
            del loop


def compiled(setting: Setting) -> Iterator[dict]:
    """Ours with compiled conv layers: how fast, and whether the same bits come again."""
    size, name = setting.either(256, 2), setting.either("D", "A")
    steps, batch = setting.training(name, size, "auto"), setting.batch(size)
    compile_features(steps.training.net)
    yield rate_of(setting, name, "features compiled", lambda: steps([batch]), size)
    sums = []
    for _ in range(2):
        again = setting.training(name, size, "auto", rate=1e-3)
        compile_features(again.training.net)
        again([setting.batch(size, seed) for seed in range(3)])
        sums.append(digest(again.training.net))
    # Not promised, so no verdict.
    yield {"what": f"{name} compiled, 3 steps twice", "same_bits": sums[0] == sums[1]}


def profile(setting: Setting) -> Iterator[dict]:
    """The kernels of a few steps of D, in profile.txt."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    size = setting.either(256, 2)
    steps, batch = setting.training("D", size, "auto"), setting.batch(size)
    steps([batch] * 2)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * setting.on_gpu
    with profiled(activities=activities) as found, contextlib.nullcontext():
        steps([batch] * setting.either(3, 1))
        finish(setting.device)
    order = "cuda_time_total" if setting.on_gpu else "cpu_time_total"
    text = found.key_averages().table(sort_by=order, row_limit=45, max_name_column_width=90)
    path = setting.folder / "profile.txt"
    path.write_text(text)
    yield {"what": "kernels of steps of D", "file": path.name}
