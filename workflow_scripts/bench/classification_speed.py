"""Classifying a folder of pictures by full-size A, as `classify` does it, beside a plain script
around torchvision's net.

Both are whole: weights are read, every picture is decoded from its file and rescaled to Q = 256,
and the posteriors are those of dense evaluation with mirror images. Answers are compared before
anything counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.data.own_images import packed_meanwhile, pictures_of
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.workers import start_server
from workflow_scripts.vgg.evaluation.methods import Method, evaluate
from workflow_scripts.vgg.nets.precision import computing
from workflow_scripts.vgg.nets.weights import load_weights, save_weights

from .evaluation_speed import CROP, Straightforward
from .machine import finish
from .measuring import Elsewhere, Line, alternate, stopwatch
from .training_speed import MEAN, net_of

NET, SCALE = "A", 256
PICTURES = {"cpu": 24, "cuda": 1000}
RUNS = 3
LEAST_OVER_RIVAL = 1.2
ROUNDING, LESS_PRECISE = 1e-3, 0.1  # of a posterior, that both may differ by


def plain(files: Sequence[Path], weights: Path, device: torch.device, threads: int, precision: str):
    """The script as a contender: seconds for all files, and their posteriors, [files, classes]."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = device.type == "cuda"

    def answers() -> np.ndarray:
        with torch.inference_mode(), computing(device, precision):
            script = Straightforward(files, device, torch.load(weights), builder="vgg11")
            found = []
            for path in files:
                image = script.image(path, SCALE)
                views = [script.dense_net(view).mean((2, 3)) for view in (image, image.flip(3))]
                posteriors = (views[0].float().softmax(1) + views[1].float().softmax(1)) / 2
                found.append(posteriors.cpu().numpy())
        return np.concatenate(found)

    def seconds() -> tuple[float, np.ndarray]:
        found: list[np.ndarray] = []
        spent = stopwatch(lambda: found.append(answers()), lambda: finish(device))
        return spent, found[0]

    return seconds


def lines(
    folder: Path, encoded: Sequence[bytes], device: torch.device, threads: int, precision: str
) -> list[Line]:
    """The line on pictures of one's own. encoded: JPEGs, of which as many as needed are written.

    Raises RuntimeError if both do not give the same posteriors.
    """
    number = PICTURES[device.type]
    pictures = folder / "pictures"
    pictures.mkdir()
    files = [pictures / f"{place:05d}.jpg" for place in range(number)]
    for place, path in enumerate(files):
        path.write_bytes(encoded[place % len(encoded)])
    net = net_of(NET, torch.device("cpu"))
    metadata = {"model": NET, "S": [SCALE, SCALE], "mean_rgb": list(MEAN), "iterations": None}
    save_weights(folder / "a.safetensors", net, 1.0, metadata | {"code_fingerprint": ""})
    torch.save(net.state_dict(), folder / "a.pth")

    def answers() -> np.ndarray:
        net, metadata = load_weights(folder / "a.safetensors")
        net = net.to(device).to(memory_format=torch.channels_last)
        index = pictures_of([str(pictures)])
        packing = Packing(None, False, "bicubic", 95, CROP)
        with (
            packed_meanwhile(index, packing, folder, "packed-") as shard,
            computing(device, precision),
        ):
            images = RescaledImages([shard], SCALE, CROP)
            mean, workers = metadata["mean_rgb"], threads - 1
            return evaluate(net, images, Method("dense"), mean, workers=workers, progress=False)

    found: list[np.ndarray] = []

    def ours() -> float:
        return stopwatch(lambda: found.append(answers()), lambda: finish(device))

    if threads > 1:
        start_server()
    script = Elsewhere(plain, files, folder / "a.pth", device, threads, precision)
    ours()
    expected = script()[1]
    furthest = float(np.abs(found[0] - expected).max())
    if not furthest <= (ROUNDING if precision == "float32" else LESS_PRECISE):
        raise RuntimeError(f"posteriors differ from the rival's by {furthest:.2g}")
    measured = alternate(
        {"ours": lambda: number / ours(), "a torchvision script": lambda: number / script()[0]},
        runs=RUNS,
        warm=True,
    )
    script.close()
    return [
        Line(
            "classify",
            f"{number} pictures of one's own, {NET}, dense, Q = {SCALE}",
            "images/s",
            ours=measured["ours"],
            rival=measured["a torchvision script"],
            least_over_rival=LEAST_OVER_RIVAL,
            note=f"the same posteriors within {furthest:.0e}",
        )
    ]
