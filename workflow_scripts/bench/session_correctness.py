"""Parts of the session that ask whether a GPU computes the right thing."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import distributed, nn

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.signals import STOPPED
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.convnets import ConvNet
from workflow_scripts.vgg.nets.devices import explained_memory
from workflow_scripts.vgg.nets.dropout import SequencedDropout, drawn_mask
from workflow_scripts.vgg.nets.precision import computing
from workflow_scripts.vgg.nets.weights import tensors_sha256
from workflow_scripts.vgg.training.distributed import Processes

from .process_scaling import free_port
from .session_setting import INPUT_SCALE, RATE, Setting, Steps, mean_seconds, relative
from .training_speed import MEAN

CPU = torch.device("cpu")
NETS = ("A", "A-LRN", "C", "D", "E")
LARGEST_SCALE = 16  # 2¹⁶ is the first by which float16's losses are scaled


def same_bits(one: ConvNet, other: ConvNet) -> bool:
    """Whether two nets have the same weights."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


def worst_gradient(one: ConvNet, other: ConvNet) -> float:
    """The largest relative difference of a parameter's gradient in `one` to that in `other`."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(relative(ours.grad, theirs.grad) for ours, theirs in pairs)


def parity(setting: Setting) -> Iterator[dict]:
    """A step in each precision, and on the CPU, against the same in float64.

    Losses are compared by their rounding, in which TF32 cannot hide. A parameter's gradient may be
    further off, where a ReLU near zero tips over: of D at full size by 2e-3 in a CPU's float32. It
    should not be ten times as far off as the CPU's.
    """
    batch = setting.batch(4, pinned=False)
    ways = {"CPU float32": ("float32", CPU)}
    ways |= {precision: (precision, setting.device) for precision in setting.precisions}
    for name in NETS:
        exact = setting.training(name, 4, "float64", dropout=0.0)
        exact_losses, exact_norm = exact([batch])
        allowed = None
        for way, (precision, device) in ways.items():
            steps = setting.training(name, 4, "float32", dropout=0.0, device=device)
            if precision == "tf32":  # trainings have no such precision
                steps.training.precision = "tf32"
            elif precision != "float32":
                steps = setting.training(name, 4, precision, dropout=0.0, device=device)
            with computing(device, "tf32") if precision == "tf32" else contextlib.nullcontext():
                losses, norm = _first_step(steps, batch)
            loss, worst = relative(losses, exact_losses), worst_gradient(steps.net, exact.net)
            allowed = allowed or max(1e-4, 10 * worst)  # the CPU comes first
            yield {
                "what": f"{name}, {way}",
                "loss": loss,
                "worst gradient": worst,
                "norm": abs(norm.item() / exact_norm.item() - 1),
                "ok": loss < 1e-5 and worst <= allowed if precision == "float32" else None,
            }


def _first_step(steps: Steps, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and gradient norm of a step; float16's scale is lowered until its gradients fit."""
    for _ in range(LARGEST_SCALE):
        losses, norm = steps([batch])
        if norm > 0:  # it is 0 where the step was left out
            break
    return losses, norm


class _Shared(Processes):
    """One process, whose net is wrapped as those of several are."""

    def wrap(self, net: nn.Module) -> nn.Module:
        return nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)


def repeat(setting: Setting) -> Iterator[dict]:
    """The same bits twice; parts of a batch, and a process of its own, against the whole."""
    size = setting.either(64, 4)
    batches = [setting.batch(size, seed) for seed in range(8)]
    for name in ("A", "A-LRN", "D"):
        once, again = (setting.training(name, size) for _ in range(2))
        once(batches)
        again(batches)
        same = same_bits(once.net, again.net)
        yield {"what": f"{name}, 8 steps twice: the same bits", "ok": same}
        whole, parts = (setting.training(name, size, "float32") for _ in range(2))
        whole(batches[:1])
        parts(batches[:1], micro_batch=size // 4 + 1)
        worst = worst_gradient(parts.net, whole.net)
        yield {"what": f"{name}, a batch in parts", "worst gradient": worst, "ok": worst < 0.1}
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), RANK="0", WORLD_SIZE="1"
    )
    distributed.init_process_group("cpu:gloo,cuda:nccl" if setting.on_gpu else "gloo")
    try:
        shared = setting.training(name, size)
        shared.training.processes = _Shared()
        shared.training.prepare()
        shared(batches, shared.training.model)
        yield {
            "what": f"{name} by DistributedDataParallel of one process: the same bits",
            "ok": same_bits(shared.net, once.net),
        }
        agreed = torch.zeros(2, dtype=torch.int64)
        seconds = mean_seconds(lambda: distributed.all_reduce(agreed), CPU, 50)
        yield {"what": "an agreement of processes", "ms": 1e3 * seconds}
    finally:
        distributed.destroy_process_group()


def dropout(setting: Setting) -> Iterator[dict]:
    """The masks of a CPU, on the device and by rows."""
    layer, ones = SequencedDropout(0.5).train(), torch.ones(256, 4096)
    layer.seek(7, slice(None), 256)
    expected, found = layer(ones), layer(ones.to(setting.device))
    layer.seek(7, slice(64, 192), 256)
    rows = layer(ones[64:192].to(setting.device))
    yield {
        "what": "masks as on the CPU, of all rows and of some",
        "kept": found.ne(0).float().mean().item(),
        "ok": torch.equal(found.cpu(), expected) and torch.equal(rows.cpu(), expected[64:192]),
    }
    seconds = mean_seconds(lambda: drawn_mask(7, (256, 4096), 0.5), CPU, 10)
    yield {"what": "a mask of 256 × 4096, drawn on the CPU", "ms": 1e3 * seconds}


def dense(setting: Setting) -> Iterator[dict]:
    """Dense evaluation against a loop over windows of the map, and against the CPU."""
    net, crop = setting.net("D").eval(), setting.crop
    images = torch.randn(2, 3, crop + 64, crop + 99) * 50
    there = copy.deepcopy(net).to(setting.device, memory_format=torch.channels_last)
    with torch.inference_mode():
        on_cpu = methods.DenseConvNet(net.to(memory_format=torch.channels_last))(images)
        images = images.to(setting.device).contiguous(memory_format=torch.channels_last)
        scores, maps = methods.DenseConvNet(there)(images), there.features(images)
        side = net.architecture.map_side
        worst = max(
            relative(
                scores[:, :, top, left],
                there.classifier(maps[:, :, top : top + side, left : left + side].flatten(1)),
            )
            for top in range(scores.shape[2])
            for left in range(scores.shape[3])
        )
    yield {"what": "D against a loop over windows", "worst": worst, "ok": worst < 1e-5}
    apart = relative(scores, on_cpu)
    yield {"what": "D against the CPU", "worst": apart, "ok": apart < 1e-4}


def training_command(setting: Setting, name: str) -> list[str]:
    """The command of a short training of A, whose files have this name in the setting's folder."""
    statistics = setting.folder / "statistics.json"
    content = {"mean_rgb": MEAN, "eigenvectors": np.eye(3).tolist(), "eigenvalues": [9, 4, 1]}
    statistics.write_text(json.dumps(content))
    iterations, every = setting.either((300, 100), (30, 10))
    values = {
        "model": "A", "net": "A", "layers": setting.layers["A"], "classes": 2,
        "crop": setting.crop, "fc": setting.either(256, 64),
        "width-divisor": setting.either(1, 16), "initialisation": "he",
        "train-shards": setting.rescaled, "val-shards": setting.rescaled,
        "statistics": statistics, "train-scale": 256, "learning-rate": RATE,
        "batch-size": setting.either(64, 16), "iterations": iterations,
        "validation-interval": every, "input-scale": INPUT_SCALE,
        "threads": min(8, setting.cores), "device": setting.device.type,
        "checkpoints": setting.folder / name, "output": setting.folder / f"{name}.safetensors",
        "history": setting.folder / f"{name}.csv",
    }  # fmt: skip
    words = [word for key, value in values.items() for word in (f"--{key}", str(value))]
    return [sys.executable, "-m", "workflow_scripts.train", *words]


def resume(setting: Setting) -> Iterator[dict]:
    """The command, through to the end and interrupted after its first validation."""

    def run(name: str) -> str:
        done = subprocess.run(training_command(setting, name), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the training failed: {done.stderr[-500:]}")
        return done.stderr

    said = run("whole")
    warnings = sorted({line[:160] for line in said.splitlines() if "Warning" in line})
    yield {"what": "a training's warnings", "number": len(warnings), "they say": warnings or None}
    job = subprocess.Popen(training_command(setting, "cut"), stderr=subprocess.PIPE, text=True)
    for line in job.stderr:
        if "validation error" in line:
            job.send_signal(signal.SIGUSR1)
            break
    job.stderr.read()
    status = job.wait()
    went_on = "going on from iteration" in run("cut")
    sums = [tensors_sha256(setting.folder / f"{name}.safetensors") for name in ("whole", "cut")]
    yield {
        "what": "interrupted and gone on with: the same bits",
        "status": status,
        "went on": went_on,
        "ok": status == STOPPED and went_on and sums[0] == sums[1],
    }


def memory(setting: Setting) -> Iterator[dict]:
    """Too large a batch: an error that names the cure."""
    if not setting.on_gpu:
        yield {"what": "a batch that does not fit", "skipped": "no GPU"}
        return
    size = setting.either(256, 4096)
    steps, batch = setting.training("D", size), setting.batch(size)
    total = torch.cuda.get_device_properties(setting.device).total_memory
    torch.cuda.set_per_process_memory_fraction(setting.either(6, 1) * 2**30 / total)
    try:
        with explained_memory(f"{size} samples", "the cure"):
            steps([batch])
        said = "nothing: it did fit"
    except InputError as error:
        said = str(error)[:160]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    yield {"what": "a batch that does not fit", "it says": said, "ok": "the cure" in said}
