"""From images to posteriors: recompute a cell of each of Tables 3–6 from the archives' bytes.

    python -m tests.checks.recompute_cells    # after `make demo`

Nothing of the pipeline's code is used: Pillow decodes, rescales and crops, the nets are
torch.nn.functional calls on the tensors of the weights files, and the dense score map is a loop
over windows. Error counts must be equal, and every posterior of every image within 0.001.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file
from scipy.io import loadmat
from torch.nn import functional as F

from tests import checks

TOLERANCE = 1e-3
MULTI = [256, 384, 512]
DEVKIT_DATA = "ILSVRC2012_devkit_t12/data"


class Cell(NamedTuple):
    """A row of a table: its labels, and the sets of posteriors whose means are averaged."""

    table: int
    labels: dict[str, str]
    parts: list[tuple[str, str, list[int]]]  # model, method, test scales Q


CELLS = {
    "Table 3, A": Cell(
        3, {"ConvNet": "A", "train S": "256", "test Q": "256"}, [("A_S256", "dense", [256])]
    ),
    "Table 3, C jittered": Cell(
        3,
        {"ConvNet": "C", "train S": "[256;512]", "test Q": "384"},
        [("C_S256-512", "dense", [384])],
    ),
    "Table 4, B": Cell(
        4,
        {"ConvNet": "B", "train S": "256", "test Q": "224, 256, 288"},
        [("B_S256", "dense", [224, 256, 288])],
    ),
    "Table 5, D, multi-crop & dense": Cell(
        5,
        {"ConvNet": "D", "evaluation method": "multi-crop & dense"},
        [("D_S256-512", "multicrop", MULTI), ("D_S256-512", "dense", MULTI)],
    ),
    "Table 6, D and E, dense": Cell(
        6,
        {"group": "post-submission", "evaluation method": "dense"},
        [("D_S256-512", "dense", MULTI), ("E_S256-512", "dense", MULTI)],
    ),
}


class Comparison(NamedTuple):
    """What a cell says and what was found; `table` is None if not all images were recomputed."""

    table: tuple[int, int, int] | None  # top-1 errors, top-5 errors, images
    found: tuple[int, int, int]
    difference: float  # largest of a posterior

    @property
    def agrees(self) -> bool:
        return self.table in (None, self.found) and self.difference <= TOLERANCE


# The nets


def normalised(a: torch.Tensor) -> torch.Tensor:
    """Krizhevsky et al.'s local response normalisation of [N, channels, height, width]."""
    b = torch.empty_like(a)
    for i in range(a.shape[1]):
        total = torch.zeros_like(a[:, 0])
        for j in range(max(0, i - 2), min(a.shape[1] - 1, i + 2) + 1):
            total += a[:, j] ** 2
        b[:, i] = a[:, i] / (2 + 1e-4 * total) ** 0.75
    return b


def feature_map(
    tensors: dict, layers: str, x: torch.Tensor, pool_rounding: str = "floor"
) -> torch.Tensor:
    """The map behind the last pooling of images [N, 3, height, width].

    tensors: weights under torchvision's names. layers: in Table 1's words, blocks divided by |.
    """
    places = iter(sorted({int(n.split(".")[1]) for n in tensors if n.startswith("features")}))
    for block in layers.split("|"):
        for layer in block.split():
            if layer == "LRN":
                x = normalised(x)
                continue
            name = f"features.{next(places)}"
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            kernel = int(layer.removeprefix("conv").split("-")[0])
            assert weight.shape[2:] == (kernel, kernel)
            x = F.relu(F.conv2d(x, weight, bias, stride=1, padding=(kernel - 1) // 2))
        x = F.max_pool2d(x, 2, stride=2, ceil_mode=pool_rounding == "ceil")
    return x


def fc_scores(tensors: dict, x: torch.Tensor) -> torch.Tensor:
    """Class scores [N, classes] of windows of the last map, [N, channels, side, side]."""
    x = x.flatten(1)
    x = F.relu(F.linear(x, tensors["classifier.0.weight"], tensors["classifier.0.bias"]))
    x = F.relu(F.linear(x, tensors["classifier.3.weight"], tensors["classifier.3.bias"]))
    return F.linear(x, tensors["classifier.6.weight"], tensors["classifier.6.bias"])


def window_scores(
    tensors: dict, layers: str, image: torch.Tensor, side: int, pool_rounding: str = "floor"
) -> torch.Tensor:
    """Class scores [rows, columns, classes] of the side × side windows of an image's last map."""
    last = feature_map(tensors, layers, image, pool_rounding)
    rows, columns = (length - side + 1 for length in last.shape[2:])
    windows = [last[0, :, i : i + side, j : j + side] for i in range(rows) for j in range(columns)]
    return fc_scores(tensors, torch.stack(windows)).view(rows, columns, -1)


class Net(NamedTuple):
    """A weights file and the choices with which it is tested."""

    tensors: dict[str, torch.Tensor]
    layers: str
    crop: int
    mean: torch.Tensor
    choices: dict

    @classmethod
    def read(cls, path: Path, choices: dict) -> Net:
        with safe_open(path, "pt") as file:
            metadata = {key: json.loads(value) for key, value in file.metadata().items()}
        shape = metadata["architecture"]
        mean = torch.tensor(metadata["mean_rgb"], dtype=torch.float32)
        return cls(load_file(path), shape["layers"], shape["crop"], mean, choices)

    def input(self, images: list[Image.Image]) -> torch.Tensor:
        pixels = np.stack([np.asarray(image, dtype=np.float32) for image in images])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2) - self.mean.view(1, 3, 1, 1)


# The methods of §3.2: posteriors [classes] of one rescaled image


def dense(net: Net, image: Image.Image) -> torch.Tensor:
    posteriors = []
    for view in (image, ImageOps.mirror(image)):
        scores = window_scores(
            net.tensors, net.layers, net.input([view]), net.crop // 32, net.choices["pool_rounding"]
        )
        if net.choices["score_average"] == "before-softmax":
            posteriors.append(scores.mean((0, 1)).softmax(0))
        else:
            posteriors.append(scores.softmax(2).mean((0, 1)))
    return sum(posteriors) / 2


def crop_boxes(
    size: tuple[int, int], crop: int, grid: str = "whole-image"
) -> list[tuple[int, int, int, int]]:
    """The 5×5 grid of crops of an image of (width, height), as Pillow's boxes."""
    spans = size if grid == "whole-image" else (min(size), min(size))  # or the central square
    lefts, tops = (
        [(length - span) // 2 + round(i * (span - crop) / 4) for i in range(5)]
        for length, span in zip(size, spans, strict=True)
    )
    return [(left, top, left + crop, top + crop) for top in tops for left in lefts]


def multicrop(net: Net, image: Image.Image) -> torch.Tensor:
    crops = [image.crop(box) for box in crop_boxes(image.size, net.crop, net.choices["crop_grid"])]
    crops += [ImageOps.mirror(crop) for crop in crops]
    assert len(crops) == 50
    maps = feature_map(net.tensors, net.layers, net.input(crops))
    return fc_scores(net.tensors, maps).softmax(1).mean(0)


def rescaled(image: Image.Image, smallest: int, resize_filter: str) -> Image.Image:
    size = [round(side * smallest / min(image.size)) for side in image.size]
    return image.resize(size, Image.Resampling[resize_filter.upper()])


@torch.inference_mode()
def posteriors(net: Net, images: dict[str, Image.Image], method: str, Q: int) -> np.ndarray:
    """Posteriors [images, classes] at the test scale Q, given in the paper's units."""
    smallest = round(Q * net.crop / 224)
    of_image = {"dense": dense, "multicrop": multicrop}[method]
    resize = partial(rescaled, smallest=smallest, resize_filter=net.choices["resize_filter"])
    return np.stack([of_image(net, resize(i)).double().numpy() for i in images.values()])


# The archives


def read_images(archive: Path, count: int | None) -> dict[str, Image.Image]:
    """The first images of the validation archive in file name order, by name."""
    with tarfile.open(archive) as tar:
        members = sorted((m for m in tar if m.isfile()), key=lambda m: m.name)[:count]
        content = {Path(m.name).stem: tar.extractfile(m).read() for m in members}
    return {
        name: Image.open(io.BytesIO(encoded)).convert("RGB") for name, encoded in content.items()
    }


def read_labels(devkit: Path) -> np.ndarray:
    """Class indices of the validation images in file name order: places in sorted-WNID order."""
    with tarfile.open(devkit) as tar:
        meta = tar.extractfile(f"{DEVKIT_DATA}/meta.mat").read()
        truth = tar.extractfile(f"{DEVKIT_DATA}/ILSVRC2012_validation_ground_truth.txt").read()
    synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    wnid_of_id = {int(s["ILSVRC2012_ID"]): s["WNID"] for s in synsets if s["num_children"] == 0}
    order = sorted(wnid_of_id.values())
    return np.array([order.index(wnid_of_id[int(line)]) for line in truth.split()])


# The comparison


def errors(posteriors: np.ndarray, labels: np.ndarray) -> tuple[int, int, int]:
    """Top-1 errors, top-5 errors and images."""
    highest = np.argsort(-posteriors, axis=1, kind="stable")
    hits = highest == labels[:, None]
    return int((~hits[:, 0]).sum()), int((~hits[:, :5].any(1)).sum()), len(labels)


def row_of(results: Path, cell: Cell) -> tuple[int, int, int]:
    rows = pd.read_csv(results / f"tables/table{cell.table}.csv", dtype=str)
    for column, label in cell.labels.items():
        rows = rows[rows[column] == label]
    (row,) = rows.to_dict("records")
    fields = ("top1_val_errors", "top5_val_errors", "top1_val_images")
    return tuple(int(row[field]) for field in fields)


def recompute(results: Path, count: int | None = None) -> dict[str, Comparison]:
    """Compare the cells of an experiment in results/<experiment>.

    count: of the first images, whose posteriors alone are compared then; all if None.
    """
    config = yaml.safe_load((results / "config.yaml").read_text())
    data, choices = config["data"], config["choices"]
    folder = results.parents[1] / data["directory"]
    images = read_images(folder / data["archives"]["val"], count)
    labels = read_labels(folder / data["archives"]["devkit"])[:count]
    nets: dict[str, Net] = {}
    done: dict[tuple[str, str, int], tuple[np.ndarray, float]] = {}

    def compared(model: str, method: str, Q: int) -> tuple[np.ndarray, float]:
        """Our posteriors and the largest difference from the pipeline's."""
        if model not in nets:
            nets[model] = Net.read(results / f"weights/{model}.safetensors", choices)
        if (model, method, Q) not in done:
            ours = posteriors(nets[model], images, method, Q)
            path = results / f"posteriors/val/{model}/{method}_Q{Q}.parquet"
            theirs = pd.read_parquet(path).set_index("id")["posterior"]
            difference = np.abs(ours - np.stack(theirs[list(images)])).max()
            done[model, method, Q] = ours, float(difference)
        return done[model, method, Q]

    comparisons = {}
    for name, cell in CELLS.items():
        parts = [
            [compared(model, method, Q) for Q in scales] for model, method, scales in cell.parts
        ]
        mean = np.mean([np.mean([ours for ours, _ in part], axis=0) for part in parts], axis=0)
        comparisons[name] = Comparison(
            row_of(results, cell) if count is None else None,
            errors(mean, labels),
            max(difference for part in parts for _, difference in part),
        )
    return comparisons


def main(arguments: list[str] | None = None) -> None:
    parser = checks.parser(__doc__)
    parser.add_argument(
        "--results", type=Path, default="results/miniature", help="default: %(default)s"
    )
    parser.add_argument(
        "--images", type=int, help="compare the posteriors of the first IMAGES only, not the tables"
    )
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # such small nets only lose by more
    comparisons = recompute(given.results.resolve(), given.images)
    print(f"{'top-1 and top-5 errors':34}{'table':>16}{'recomputed':>16}{'posteriors':>14}")
    for name, (table, found, difference) in comparisons.items():
        counts = ["–" if each is None else "{} {} of {}".format(*each) for each in (table, found)]
        print(f"{name:34}{counts[0]:>16}{counts[1]:>16}{'±':>6}{difference:8.1e}")
    if given.images is not None:
        print(f"only the first {given.images} images: no counts were compared with the tables")
    differing = [name for name, comparison in comparisons.items() if not comparison.agrees]
    sys.exit(f"disagreement: {'; '.join(differing)}" if differing else 0)


if __name__ == "__main__":
    main()
