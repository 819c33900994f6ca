"""From images to guesses: recompute a cell of each of Tables 8–10 from the archives' bytes.

    python -m tests.checks.recompute_boxes    # after `make demo`

Nothing of the pipeline's code is used: Pillow decodes, rescales and crops, the nets are
torch.nn.functional calls on the tensors of the weights files, boxes of windows are placed one by
one, merged by a search of all pairs before each merge, and scored by counting pixels of masks; true
boxes are read from the XML files, and the blacklist from the later development kit. Only the five
classes of an image come from the run's posteriors, which recompute_cells.py recomputes. Boxes must
agree within a pixel, whose rounding may fall the other way, and counts of errors must be equal.
"""

from __future__ import annotations

import math
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from tests import checks
from tests.checks.recompute_cells import (
    Net,
    fc_scores,
    feature_map,
    read_images,
    read_labels,
    rescaled,
    window_scores,
)

TOLERANCE = 1  # pixel of a box
BLACKLIST = "data/ILSVRC2014_clsloc_validation_blacklist.txt"


class Cell(NamedTuple):
    """A row of a table: its name, the column of its labels that tells it, and the boxes united."""

    table: int
    row: str
    label: tuple[str, str]
    parts: list[tuple[str, int]]  # model, test scale Q
    metric: str


CELLS = {
    "Table 8, all, PCR": Cell(
        8, "pcr_all", ("fine-tuned layers", "all"), [("D_S384_pcr", 384)], "gtloc_val"
    ),
    "Table 8, FC, SCR": Cell(
        8, "scr_fc", ("regression type", "SCR"), [("D_S384_scr_fc", 384)], "gtloc_val"
    ),
    "Table 9, S = 384, two Q": Cell(
        9,
        "S384_two_Q",
        ("test Q", "352, 384"),
        [("D_S384_pcr", 352), ("D_S384_pcr", 384)],
        "top5loc_val",
    ),
    "Table 10, VGG": Cell(
        10,
        "fusion",
        ("method", "VGG"),
        [("D_S256_pcr", 256), ("D_S384_pcr", 352), ("D_S384_pcr", 384)],
        "top5loc_val",
    ),
}
PARENTS = {"D_S256_pcr": "D_S256", "D_S384_pcr": "D_S384"}


class Comparison(NamedTuple):
    """Errors and images, as the table has them and as found; the largest difference of a box."""

    table: tuple[int, int]
    found: tuple[int, int]
    difference: float

    @property
    def agrees(self) -> bool:
        return self.table == self.found and self.difference <= TOLERANCE


# True boxes


def read_true_boxes(archive: Path, sizes: dict[str, tuple[int, int]]) -> dict[str, list[tuple]]:
    """First and last pixels of each image's boxes, by name. sizes: the images' (width, height)."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.name.endswith(".xml"):
                continue
            root = ElementTree.fromstring(tar.extractfile(member).read())
            name = Path(member.name).stem
            width, height = sizes[name]
            shown = [int(root.findtext(f"size/{side}")) for side in ("width", "height")]
            across, down = (width / shown[0], height / shown[1]) if all(shown) else (1, 1)
            boxes = []
            for box in root.iter("bndbox"):
                xmin, ymin, xmax, ymax = (
                    float(box.findtext(corner)) for corner in ("xmin", "ymin", "xmax", "ymax")
                )
                if xmin == xmax or ymin == ymax:
                    continue
                left, right = sorted((xmin, xmax))
                top, bottom = sorted((ymin, ymax))
                edges = (left * across, top * down, (right + 1) * across, (bottom + 1) * down)
                x0, x1 = (min(max(edge, 0), width) for edge in edges[::2])
                y0, y1 = (min(max(edge, 0), height) for edge in edges[1::2])
                if x0 < x1 and y0 < y1:
                    boxes.append((round(x0), round(y0), round(x1) - 1, round(y1) - 1))
            found[name] = boxes
    return found


def read_blacklist(kit: Path, names: list[str]) -> set[str]:
    """The images that the later development kit lists by their number, from 1."""
    with tarfile.open(kit) as tar:
        member = next(m for m in tar if m.name.endswith(BLACKLIST))
        numbers = map(int, tar.extractfile(member).read().split())
        return {sorted(names)[number - 1] for number in numbers}


# Boxes of nets


def placed(
    numbers: np.ndarray, left: int, top: int, crop: int, ratio: tuple[float, float]
) -> np.ndarray:
    """Corners in the image of one box in a window: its centre, width and height in crop's sides."""
    x, y, width, height = (float(number) for number in numbers)
    width, height = max(width, 1 / crop), max(height, 1 / crop)
    corners = (
        (left + crop * (x - width / 2)) * ratio[0],
        (top + crop * (y - height / 2)) * ratio[1],
        (left + crop * (x + width / 2)) * ratio[0],
        (top + crop * (y + height / 2)) * ratio[1],
    )
    return np.array(corners)


def of_class(outputs: torch.Tensor, label: int) -> np.ndarray:
    """The four numbers of a class, of outputs [4] or [4 · classes]."""
    return (outputs if len(outputs) == 4 else outputs[4 * label : 4 * label + 4]).double().numpy()


def central_box(net: Net, image: Image.Image, label: int, Q: int) -> np.ndarray:
    small = rescaled(image, round(Q * net.crop / 224), net.choices["resize_filter"])
    left, top = ((side - net.crop) // 2 for side in small.size)
    window = small.crop((left, top, left + net.crop, top + net.crop))
    outputs = fc_scores(net.tensors, feature_map(net.tensors, net.layers, net.input([window])))[0]
    ratio = (image.width / small.width, image.height / small.height)
    return placed(of_class(outputs, label), left, top, net.crop, ratio)


def dense_boxes(
    net: Net, parent: Net, image: Image.Image, labels: list[int], Q: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [classes, places, 4] and scores [classes, places], window by window."""
    small = rescaled(image, round(Q * net.crop / 224), net.choices["resize_filter"])
    pixels, side = net.input([small]), net.crop // 32
    rounding = net.choices["pool_rounding"]
    outputs = window_scores(net.tensors, net.layers, pixels, side, rounding)
    scores = window_scores(parent.tensors, parent.layers, pixels, side, rounding).softmax(2)
    ratio = (image.width / small.width, image.height / small.height)
    boxes, rated = [], []
    for label in labels:
        for row in range(outputs.shape[0]):
            for column in range(outputs.shape[1]):
                numbers = of_class(outputs[row, column], label)
                boxes.append(placed(numbers, 32 * column, 32 * row, net.crop, ratio))
                rated.append(float(scores[row, column, label]))
    shape = (len(labels), -1)
    return np.array(boxes).reshape(*shape, 4), np.array(rated).reshape(shape)


# Merging, by the default choices


def apart(one: np.ndarray, two: np.ndarray) -> float:
    """Distance of the centres over the root of the mean area, plus one minus the overlap."""
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    centres = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (one, two)]
    common = max(0, min(one[2], two[2]) - max(one[0], two[0]))
    common *= max(0, min(one[3], two[3]) - max(one[1], two[1]))
    return math.dist(*centres) / math.sqrt(sum(areas) / 2) + 1 - common / (sum(areas) - common)


def best_box(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """The merged box of the highest sum of scores, before it is clipped."""
    groups = [([box], [score]) for box, score in zip(boxes, scores, strict=True)]
    while len(groups) > 1:
        means = [np.mean(members, axis=0) for members, _ in groups]
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        distance, i, j = min((apart(means[i], means[j]), i, j) for i, j in pairs)
        if distance > threshold:
            break
        members, rated = groups.pop(i)
        groups[j] = (groups[j][0] + members, groups[j][1] + rated)
    return max(((sum(rated), np.mean(members, axis=0)) for members, rated in groups), key=first)[1]


def first(pair: tuple) -> float:
    return pair[0]


# Scoring


def in_pixels(corners: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last pixel of a box inside an image, one at least."""
    x0, x1 = (min(max(round(float(x)), 0), size[0]) for x in corners[::2])
    y0, y1 = (min(max(round(float(y)), 0), size[1]) for y in corners[1::2])
    x0, y0 = min(x0, size[0] - 1), min(y0, size[1] - 1)
    return x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)


def is_half(one: tuple, two: tuple, size: tuple[int, int]) -> bool:
    """Whether two boxes share half or more of the pixels that either has."""
    masks = []
    for x0, y0, x1, y1 in (one, two):
        mask = np.zeros((size[1], size[0]), bool)
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
        masks.append(mask)
    return 2 * int((masks[0] & masks[1]).sum()) >= int((masks[0] | masks[1]).sum())


def row_of(results: Path, cell: Cell) -> tuple[int, int]:
    rows = pd.read_csv(results / f"tables/table{cell.table}.csv", dtype=str)
    (row,) = rows[rows[cell.label[0]] == cell.label[1]].to_dict("records")
    return int(row[f"{cell.metric}_errors"]), int(row[f"{cell.metric}_images"])


@torch.inference_mode()
def recompute(results: Path) -> dict[str, Comparison]:
    """Compare the cells of an experiment in results/<experiment>, made by the default choices."""
    config = yaml.safe_load((results / "config.yaml").read_text())
    archives = {
        name: results.parents[1] / config["data"]["directory"] / file
        for name, file in config["data"]["archives"].items()
        if file
    }
    threshold = config["localise"]["thresholds"]["centres-and-overlap"]
    images = read_images(archives["val"], None)
    labels = dict(zip(images, read_labels(archives["devkit"]).tolist(), strict=True))
    true = read_true_boxes(archives["val_boxes"], {n: i.size for n, i in images.items()})
    counted = [n for n in images if n not in read_blacklist(archives["blacklist"], list(images))]
    likeliest = five_likeliest(results, config["localise"]["labels"])
    nets = {
        model: Net.read(results / f"weights/{model}.safetensors", config["choices"])
        for model in [*PARENTS.values(), *(m for cell in CELLS.values() for m, _ in cell.parts)]
    }
    dense: dict[tuple[str, int], dict[str, tuple]] = {}
    comparisons = {}
    for title, cell in CELLS.items():
        stored = pd.read_parquet(results / f"localisation/val/{cell.row}.parquet").set_index("id")
        wrong, difference = 0, 0.0
        for name in images:
            image = images[name]
            if cell.metric.startswith("gtloc"):
                ((model, Q),) = cell.parts
                guesses = [(labels[name], central_box(nets[model], image, labels[name], Q))]
            else:
                for model, Q in cell.parts:
                    if name not in dense.setdefault((model, Q), {}):
                        parent = nets[PARENTS[model]]
                        dense[model, Q][name] = dense_boxes(
                            nets[model], parent, image, likeliest[name], Q
                        )
                parts = [dense[part][name] for part in cell.parts]
                guesses = [
                    (
                        label,
                        best_box(
                            np.concatenate([boxes[place] for boxes, _ in parts]),
                            np.concatenate([scores[place] for _, scores in parts]),
                            threshold,
                        ),
                    )
                    for place, label in enumerate(likeliest[name])
                ]
            pixels = [(label, in_pixels(box, image.size)) for label, box in guesses]
            theirs = stored.loc[name]
            assert [label for label, _ in pixels] == list(theirs["guesses"])
            ours = np.array([box for _, box in pixels])
            difference = max(difference, float(np.abs(ours - np.stack(theirs["boxes"])).max()))
            right = any(
                label == labels[name] and is_half(box, one, image.size)
                for label, box in pixels
                for one in true[name]
            )
            wrong += name in counted and not right
        comparisons[title] = Comparison(row_of(results, cell), (wrong, len(counted)), difference)
    return comparisons


def five_likeliest(results: Path, row: str) -> dict[str, list[int]]:
    """The five classes of the highest mean posterior of each image, by the run's own files."""
    table, name = row.split("/")
    root = results.parents[1]
    rows = yaml.safe_load((root / "config/tables.yaml").read_text())[table]["rows"]
    entries = next(each for each in rows if each["name"] == name)["evaluations"]
    frames = [
        pd.read_parquet(results / f"posteriors/val/{e['model']}/{e['method']}_Q{Q}.parquet")
        for e in entries
        for Q in e["Q"]
    ]
    mean = np.mean([np.stack(f["posterior"]).astype(np.float64) for f in frames], axis=0)
    order = np.argsort(-mean, axis=1, kind="stable")[:, :5]
    return dict(zip(frames[0]["id"], order.tolist(), strict=True))


def main(arguments: list[str] | None = None) -> None:
    parser = checks.parser(__doc__)
    parser.add_argument(
        "--results", type=Path, default="results/miniature", help="default: %(default)s"
    )
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # such small nets only lose by more
    comparisons = recompute(given.results.resolve())
    print(f"{'localisation errors':34}{'table':>16}{'recomputed':>16}{'boxes':>14}")
    for name, (table, found, difference) in comparisons.items():
        counts = ["{} of {}".format(*each) for each in (table, found)]
        print(f"{name:34}{counts[0]:>16}{counts[1]:>16}{'±':>6}{difference:5.1f} px")
    differing = [name for name, comparison in comparisons.items() if not comparison.agrees]
    sys.exit(f"disagreement: {'; '.join(differing)}" if differing else 0)


if __name__ == "__main__":
    main()
