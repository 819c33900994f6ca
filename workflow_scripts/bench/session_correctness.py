"""Parts of the session that ask whether a GPU computes the right thing."""

from __future__ import annotations

import copy
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import distributed, nn

from workflow_scripts.vgg import evaluation
from workflow_scripts.vgg.devices import explained_memory
from workflow_scripts.vgg.dropout import SequencedDropout
from workflow_scripts.vgg.files import InputError
from workflow_scripts.vgg.precision import computing, resolved
from workflow_scripts.vgg.weights import tensors_sha256

from .processes import free_port
from .session import Setting, relative, seconds
from .training import MEAN


def digest(net: nn.Module) -> str:
    """Of all of a net's weights."""
    found = hashlib.sha256()
    for value in net.state_dict().values():
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def parity(setting: Setting) -> Iterator[dict]:
    """A step on the GPU and on the CPU against the same in float64, in each precision."""
    ways = {
        "float64": ("float64", setting.device),
        "CPU float32": ("float32", torch.device("cpu")),
        "float32": ("float32", setting.device),
        "tf32": ("tf32", setting.device),
        "bfloat16": ("bfloat16", setting.device),
        "float16": ("float16", setting.device),
    }
    batch = setting.batch(4, pinned=False)
    for name in ("A", "A-LRN", "C", "D", "E"):
        found, norms = {}, {}
        for way, (precision, device) in ways.items():
            if precision == "bfloat16" and setting.on_gpu and _lacks_bfloat16(device):
                continue
            steps = setting.training(
                name, 4, "float32" if precision == "tf32" else precision, dropout=0.0, device=device
            )
            steps.training.precision = precision  # TF32 is no precision of training otherwise
            if precision == "float16":  # by default the first step overflows
                scaler = steps.training.scaler
                scaler.load_state_dict(scaler.state_dict() | {"scale": 16.0})
            losses, norm = steps([batch])
            found[way] = losses, [p.grad for p in steps.training.net.parameters()]
            norms[way] = norm.item()
        exact, exact_gradients = found.pop("float64")
        for way, (losses, gradients) in found.items():
            pairs = zip(gradients, exact_gradients, strict=True)
            yield {
                "what": f"{name}, {way}",
                "loss": relative(losses, exact),
                "worst_gradient": max(relative(a, b) for a, b in pairs),
                "norm": abs(norms[way] / norms["float64"] - 1),
                "ok": relative(losses, exact) < 1e-4 if "float32" in way else None,
            }


def _lacks_bfloat16(device: torch.device) -> bool:
    try:
        return resolved("bfloat16", device) != "bfloat16"
    except InputError:
        return True


def repeat(setting: Setting) -> Iterator[dict]:
    """The same bits twice; parts of a batch, and a process of its own, against the whole."""
    size = setting.either(64, 4)
    batches = [setting.batch(size, seed) for seed in range(8)]
    sums = {}
    for name in ("A", "D", "A-LRN"):
        made = []
        for _ in range(2):
            steps = setting.training(name, size, "auto", rate=1e-3)
            steps(batches)
            made.append(digest(steps.training.net))
        sums[name] = made[0]
        yield {"what": f"{name}, 8 steps twice: the same bits", "ok": made[0] == made[1]}
        whole, parts = (setting.training(name, size, "auto") for _ in range(2))
        whole(batches[:1])
        parts(batches[:1], micro=size // 4 + 1)
        nets = (whole.training.net.parameters(), parts.training.net.parameters())
        worst = max(relative(b.grad, a.grad) for a, b in zip(*nets, strict=True))
        yield {"what": f"{name}, a batch in parts", "worst_gradient": worst, "ok": worst < 0.1}
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if setting.on_gpu else "gloo",
        init_method=f"tcp://127.0.0.1:{free_port()}",
        rank=0,
        world_size=1,
    )
    try:
        steps = setting.training("A-LRN", size, "auto", rate=1e-3)
        model = nn.parallel.DistributedDataParallel(
            steps.training.net, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
        steps.training.settle(model)
        steps(batches, model)
        yield {
            "what": "A-LRN under DDP, one process: the same bits",
            "ok": digest(steps.training.net) == sums["A-LRN"],
        }
        agreed = torch.zeros(2, dtype=torch.int64)
        took = seconds(lambda: distributed.all_reduce(agreed), torch.device("cpu"), 50)
        yield {"what": "an agreement of processes", "ms": 1e3 * took}
    finally:
        distributed.destroy_process_group()


def dropout(setting: Setting) -> Iterator[dict]:
    """The masks of a CPU, on the device and by rows."""
    layer, ones = SequencedDropout(0.5).train(), torch.ones(256, 4096)
    layer.seek(7, slice(None), 256)
    expected = layer(ones)
    found = layer(ones.to(setting.device))
    layer.seek(7, slice(64, 192), 256)
    rows = layer(ones[64:192].to(setting.device))
    yield {
        "what": "masks of the CPU, and of rows alone",
        "kept": found.ne(0).float().mean().item(),
        "ok": torch.equal(found.cpu(), expected) and torch.equal(rows.cpu(), expected[64:192]),
    }
    layer.seek(7, slice(None), 256)
    yield {"what": "a mask drawn on the CPU", "ms": 1e3 * seconds(
        lambda: layer.mask(torch.Size([4096])), torch.device("cpu"), 10
    )}  # fmt: skip


def dense(setting: Setting) -> Iterator[dict]:
    """Dense evaluation against a loop over windows of the map, and against the CPU."""
    net, crop = setting.net("D").eval(), setting.crop
    images = torch.randn(2, 3, crop + 64, crop + 99) * 50
    there = copy.deepcopy(net).to(setting.device, memory_format=torch.channels_last)
    with torch.inference_mode(), computing(setting.device, "float32"):
        on_cpu = evaluation.DenseConvNet(net.to(memory_format=torch.channels_last))(images)
        images = images.to(setting.device).contiguous(memory_format=torch.channels_last)
        scores, maps = evaluation.DenseConvNet(there)(images), there.features(images)
        side = net.architecture.map_side
        worst = max(
            relative(
                scores[:, :, top, left],
                there.classifier(maps[:, :, top : top + side, left : left + side].flatten(1)),
            )
            for top in range(scores.shape[2])
            for left in range(scores.shape[3])
        )
    yield {"what": "D against a loop over windows", "worst": worst, "ok": worst < 1e-4}
    apart = relative(scores, on_cpu)
    yield {"what": "D against the CPU", "worst": apart, "ok": apart < 1e-4}


def resume(setting: Setting) -> Iterator[dict]:
    """The command, through to the end and interrupted after its first validation."""
    statistics = setting.folder / "statistics.json"
    statistics.write_text(
        json.dumps({"mean_rgb": MEAN, "eigenvectors": np.eye(3).tolist(), "eigenvalues": [9, 4, 1]})
    )
    iterations, every = setting.either((300, 100), (30, 10))
    divisor, fc = setting.either((1, 256), (16, 64))

    def command(name: str) -> list[str]:
        values = {
            "model": "A", "net": "A", "layers": setting.layers["A"], "classes": 2,
            "crop": setting.crop, "fc": fc, "width-divisor": divisor,
            "train-shards": setting.rescaled, "val-shards": setting.rescaled,
            "statistics": statistics, "train-scale": 256, "learning-rate": 1e-3,
            "batch-size": setting.either(64, 16), "iterations": iterations,
            "validation-interval": every, "initialisation": "he", "input-scale": 58,
            "threads": min(8, setting.cores), "device": setting.device.type,
            "checkpoints": setting.folder / name, "output": setting.folder / f"{name}.safetensors",
            "history": setting.folder / f"{name}.csv",
        }  # fmt: skip
        words = [word for key, value in values.items() for word in (f"--{key}", str(value))]
        return [sys.executable, "-m", "workflow_scripts.train", *words]

    whole = subprocess.run(command("whole"), capture_output=True, text=True)
    if whole.returncode:
        raise RuntimeError(f"the training failed: {whole.stderr[-500:]}")
    job = subprocess.Popen(command("cut"), stderr=subprocess.PIPE, text=True)
    for line in job.stderr:
        if "validation error" in line:
            job.send_signal(signal.SIGUSR1)
            break
    job.stderr.read()
    status = job.wait()
    again = subprocess.run(command("cut"), capture_output=True, text=True)
    sums = [tensors_sha256(setting.folder / f"{name}.safetensors") for name in ("whole", "cut")]
    yield {
        "what": "interrupted, and gone on with: the same bits",
        "status": status,
        "went_on": "going on from iteration" in again.stderr,
        "ok": status == 75 and sums[0] == sums[1],
    }
    warnings = sorted({line[:160] for line in whole.stderr.splitlines() if "Warning" in line})
    yield {"what": "warnings of the training", "number": len(warnings), "texts": warnings}


def memory(setting: Setting) -> Iterator[dict]:
    """Too large a batch: an error that names the cure."""
    if not setting.on_gpu:
        yield {"what": "a batch that does not fit", "skipped": "no GPU"}
        return
    steps = setting.training("D", 256, "auto")
    torch.cuda.set_per_process_memory_fraction(
        6 * 2**30 / torch.cuda.get_device_properties(setting.device).total_memory
    )
    said = "nothing"
    try:
        with explained_memory("256 samples", "set train.micro_batch"):
            steps([setting.batch(256)])
    except InputError as error:
        said = str(error)[:160]
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:200]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    yield {"what": "a batch that does not fit", "said": said, "ok": said.startswith("out of mem")}
