"""From images to measures: recompute cells of Tables 11 and 12 from the archives' bytes.

    python -m tests.checks.recompute_features    # after `make demo`

Nothing of the pipeline's code is used: images, lists of labels and persons' boxes are read from the
tars and the zip; a descriptor is the mean over windows that are cut one by one; random splits are
drawn by their rule; machines are scikit-learn's LinearSVC; average precision and recall are literal
loops. Compared are all descriptors of these cells, the splits, each C and what it was chosen by,
the test scores, and the measures of the tables.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image, ImageOps
from sklearn.svm import LinearSVC
from torch.nn import functional as F

from tests import checks
from tests.checks.recompute_cells import Net, feature_map, rescaled

OF_DESCRIPTORS = 1e-5  # of their norm, by which two may differ: sums in float32 differ so
OF_SCORES = 2e-4  # of a test score
OF_MEASURES = 0.01  # points of a measure, and of what C is chosen by; most are equal
DEFAULTS = {
    "feature_relu": "after",
    "action_box": "exact",
    "feature_l2": "each-and-whole",
    "svm_loss": "squared-hinge",
    "svm_refit": "all",
    "svm_difficult": "left-out",
    "average_precision": "years-own",
}
SPLITS = 8  # the stream of random numbers that splits are drawn from


class Cell(NamedTuple):
    """A number of a table: its row, and what describes the images."""

    table: int
    label: str
    row: str
    metric: str
    models: list[str]
    regions: list[str]


D, E = "D_S256-512", "E_S256-512"
CELLS = {
    "Table 11, D, VOC-2007": Cell(
        11, "VGG Net-D (16 layers)", "D", "map_voc2007", [D], ["image"]
    ),
    "Table 11, D, Caltech-101": Cell(
        11, "VGG Net-D (16 layers)", "D", "recall_caltech101", [D], ["image"]
    ),
    "Table 12, D & E, image and box": Cell(
        12,
        "VGG Net-D & Net-E, image and bounding box",
        "D_E_image_box",
        "mapval_voc2012_action",
        [D, E],
        ["image", "box"],
    ),
}  # fmt: skip


class Comparison(NamedTuple):
    """What a cell says and what was found, and the largest differences of what led to it."""

    table: float
    found: float
    descriptors: float  # of their norms
    scores: float
    wrong: list[str]  # what else differs, in words

    @property
    def agrees(self) -> bool:
        near = abs(self.table - self.found) <= OF_MEASURES and self.scores <= OF_SCORES
        return near and self.descriptors <= OF_DESCRIPTORS and not self.wrong


# The archives


class Example(NamedTuple):
    """An image, or a person in one, with labels of the classes in their order."""

    name: str
    image: str
    part: str
    labels: tuple[int, ...]
    box: tuple[int, int, int, int] | None = None  # for Pillow's crop


class DataSet(NamedTuple):
    """Examples by name, ascending, and images by name; classes that count, in columns."""

    examples: list[Example]
    images: dict[str, Image.Image]
    classes: list[str]


def files_of(sources: list[Path]) -> dict[str, bytes]:
    """The files in tars, and in the tar that a zip holds, by their names."""
    found = {}
    for source in sources:
        content = source.read_bytes()
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                names = archive.namelist()
                (packed,) = (n for n in names if n.endswith("/101_ObjectCategories.tar.gz"))
                content = archive.read(packed)
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            found |= {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    return found


def opened(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def read_voc(files: dict[str, bytes], task: str) -> DataSet:
    """The train, val and, of objects, test images of VOC, or their people of known actions."""
    root = next(name for name in files if "/ImageSets/" in name).split("/ImageSets/")[0]
    lists = {
        Path(name).stem: [line.split() for line in content.decode().splitlines()]
        for name, content in files.items()
        if name.startswith(f"{root}/ImageSets/{task}/")
    }
    parts = ("train", "val", "test") if task == "Main" else ("train", "val")
    classes = sorted(name.removesuffix("_train") for name in lists if name.endswith("_train"))
    classes = [name for name in classes if name != "other"]
    examples = []
    for part in parts:
        labels = {
            (name, tuple(words[:-1])): int(words[-1])
            for name in classes
            for words in lists[f"{name}_{part}"]
        }
        for key in sorted({key for _, key in labels}):
            of_classes = tuple(labels.get((name, key), 0) for name in classes)
            box = None
            if task == "Action":
                xml = ElementTree.fromstring(files[f"{root}/Annotations/{key[0]}.xml"])
                box = box_of(xml, int(key[1]))
            examples.append(Example(":".join(key), key[0], part, of_classes, box))
    names = sorted({each.image for each in examples})
    images = {name: opened(files[f"{root}/JPEGImages/{name}.jpg"]) for name in names}
    # Persons in order of their numbers, which one digit has here.
    return DataSet(sorted(examples), images, classes)


def box_of(xml: ElementTree.Element, number: int) -> tuple[int, int, int, int]:
    """Edges of an object's box; the XML names its first and last pixels, from 1."""
    box = xml.findall("object")[number - 1].find("bndbox")
    xmin, ymin, xmax, ymax = (
        int(float(box.findtext(corner))) for corner in ("xmin", "ymin", "xmax", "ymax")
    )
    width, height = (int(xml.findtext(f"size/{side}")) for side in ("width", "height"))
    return max(xmin - 1, 0), max(ymin - 1, 0), min(xmax, width), min(ymax, height)


def read_folders(files: dict[str, bytes]) -> DataSet:
    """The images in folders of classes, `<root>/<class>/<name>.jpg`."""
    names = [name.split("/") for name in files if name.endswith(".jpg") and name.count("/") == 2]
    classes = sorted({name[1] for name in names})
    images = {f"{n[1]}/{Path(n[2]).stem}": opened(files["/".join(n)]) for n in names}
    examples = []
    for name in sorted(images):
        own = name.split("/")[0]
        labels = tuple(1 if each == own else -1 for each in classes)
        examples.append(Example(name, name, "", labels))
    return DataSet(examples, images, classes)


# Splits: places of examples to learn from, to choose C by, and to test on

Split = tuple[list[int], list[int], list[int]]


def drawn(seed: int, counter: int, places: list[int]) -> list[int]:
    """Places in an order that is a function of the seed and a counter."""
    bits = np.random.Philox(key=[seed, SPLITS], counter=[0, counter, 0, 0])
    return np.random.Generator(bits).permutation(np.array(places)).tolist()


def fifth(number: int) -> int:
    return max(1, round(number / 5))


def class_split(data: DataSet, entry: dict, seed: int, number: int) -> Split:
    """A random split: of each class so many to train on, a fifth of them to choose by."""
    split: Split = ([], [], [])
    train, test = entry["train_per_class"], entry["test_per_class"]
    for column, name in enumerate(data.classes):
        own = [i for i, each in enumerate(data.examples) if each.labels[column] == 1]
        digest = hashlib.sha256(f"{number}/{name}".encode()).digest()
        own = drawn(seed, int.from_bytes(digest[:8], "little"), own)
        held = train - fifth(train)
        last = len(own) if test is None else train + test
        for part, places in zip(split, (own[:held], own[held:train], own[train:last]), strict=True):
            part.extend(places)
    return split


def organised_split(data: DataSet, metric: str, seed: int) -> Split:
    """The organisers' parts; where val is tested, a fifth of the training images chooses C."""
    of_part: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for place, each in enumerate(data.examples):
        of_part[each.part].append(place)
    if not metric.startswith("mapval_"):
        return of_part["train"], of_part["val"], of_part["test"]
    names = sorted({data.examples[place].image for place in of_part["train"]})
    order = drawn(seed, 0, list(range(len(names))))
    held = {names[place] for place in order[: fifth(len(names))]}
    learn = [i for i in of_part["train"] if data.examples[i].image not in held]
    return learn, [i for i in of_part["train"] if data.examples[i].image in held], of_part["val"]


# Descriptors, and what is made of them


@torch.inference_mode()
def descriptor(net: Net, image: Image.Image, Q: int) -> np.ndarray:
    """The second FC layer's activations [fc], mean over windows and over the mirror image."""
    small = rescaled(image, round(Q * net.crop / 224), net.choices["resize_filter"])
    side, means = net.crop // 32, []
    for view in (small, ImageOps.mirror(small)):
        rounding = net.choices["pool_rounding"]
        last = feature_map(net.tensors, net.layers, net.input([view]), rounding)
        rows, columns = (length - side + 1 for length in last.shape[2:])
        cut = [
            last[0, :, i : i + side, j : j + side].flatten()
            for i in range(rows)
            for j in range(columns)
        ]
        x = torch.stack(cut)
        for layer in ("classifier.0", "classifier.3"):
            x = F.relu(F.linear(x, net.tensors[f"{layer}.weight"], net.tensors[f"{layer}.bias"]))
        means.append(x.mean(0))
    return ((means[0] + means[1]) / 2).double().numpy()


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of norm 1; those of zeros stay so."""
    norms = np.sqrt((rows**2).sum(1, keepdims=True))
    return rows / np.where(norms > 0, norms, 1)


def pooled(scales: list[np.ndarray], pooling: str) -> list[np.ndarray]:
    """The parts that descriptors of several scales are."""
    return scales if pooling == "stack" else [np.mean(scales, axis=0)]


def machine_scores(
    vectors: np.ndarray, labels: np.ndarray, learn: list[int], test: list[int], C: float
) -> np.ndarray:
    """Scores [test, classes] of one machine a class; examples of label 0 are left out."""
    found = []
    for column in labels.T:
        own = [place for place in learn if column[place]]
        machine = LinearSVC(C=C, dual=False, tol=1e-8, max_iter=100_000)
        found.append(machine.fit(vectors[own], column[own]).decision_function(vectors[test]))
    return np.stack(found, axis=1)


# Measures


def average_precision(scores: np.ndarray, labels: np.ndarray, definition: str) -> float:
    """Of a class: example by example in falling order, as the development kits have it."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    positives = sum(label == 1 for label in labels)
    right = wrong = 0
    reached = []  # (found, precision) after each example
    for place in order:
        if labels[place] == 0:
            continue
        right, wrong = right + (labels[place] == 1), wrong + (labels[place] == -1)
        reached.append((right, right / (right + wrong)))
    if definition == "eleven-point":
        most = [max(p for n, p in reached if 10 * n >= t * positives) for t in range(11)]
        return 100 * sum(most) / 11
    area, before = 0.0, 0
    for place, (found, _) in enumerate(reached):
        area += (found - before) / positives * max(p for _, p in reached[place:])
        before = found
    return 100 * area


def measure(scores: np.ndarray, labels: np.ndarray, definition: str | None) -> float:
    """Mean average precision, or without a definition mean class recall, in percent."""
    of_classes = []
    for column in range(labels.shape[1]):
        own = labels[:, column]
        if definition:
            of_classes.append(average_precision(scores[:, column], own, definition))
            continue
        given = [int(np.argmax(scores[place])) for place in range(len(own)) if own[place] == 1]
        of_classes.append(100 * sum(each == column for each in given) / len(given))
    return sum(of_classes) / len(of_classes)


# The comparison


class Run:
    """A finished experiment in results/<experiment>."""

    def __init__(self, results: Path):
        self.results = results
        self.config = yaml.safe_load((results / "config.yaml").read_text())
        others = {k: v for k, v in DEFAULTS.items() if self.config["choices"].get(k) != v}
        if others:
            sys.exit(f"{results}: was made by other choices than {others}")
        self.seed = self.config["seeds"][0]
        self.nets: dict[str, Net] = {}

    def net(self, model: str) -> Net:
        if model not in self.nets:
            path = self.results / f"weights/{model}.safetensors"
            self.nets[model] = Net.read(path, self.config["choices"])
        return self.nets[model]

    def data(self, entry: dict) -> DataSet:
        folder = self.results.parents[1] / entry["directory"]
        files = files_of([folder / name for name in entry["sources"]])
        readers: dict[str, Callable[[dict[str, bytes]], DataSet]] = {
            "voc": lambda own: read_voc(own, "Main"),
            "actions": lambda own: read_voc(own, "Action"),
            "folders": read_folders,
        }
        return readers[entry["kind"]](files)

    def vectors(self, cell: Cell, name: str, data: DataSet) -> tuple[np.ndarray, float]:
        """Our representations [examples, dimensions], and how far descriptors are from theirs."""
        entry, parts, difference = self.config["transfer"]["data_sets"][name], [], 0.0
        for model in cell.models:
            for region in cell.regions:
                scales = []
                for Q in entry["Q"]:
                    path = f"descriptors/{name}/{model}/{region}_Q{Q}.parquet"
                    stored = pd.read_parquet(self.results / path).set_index("id")["descriptor"]
                    if region == "box":
                        ours = {
                            each.name: descriptor(
                                self.net(model), data.images[each.image].crop(each.box), Q
                            )
                            for each in data.examples
                        }
                    else:
                        ours = {
                            image: descriptor(self.net(model), pixels, Q)
                            for image, pixels in data.images.items()
                        }
                    for key, own in ours.items():
                        apart = np.abs(own - stored[key]).max() / np.linalg.norm(own)
                        difference = max(difference, float(apart))
                    keys = [e.name if region == "box" else e.image for e in data.examples]
                    scales.append(np.stack([ours[key] for key in keys]))
                parts += [unit(part) for part in pooled(scales, entry["scale_pooling"])]
        return unit(np.concatenate(parts, axis=1)), difference

    def compare(self, cell: Cell) -> Comparison:
        name = cell.metric.partition("_")[2]
        entry = self.config["transfer"]["data_sets"][name]
        data, wrong = self.data(entry), []
        vectors, of_descriptors = self.vectors(cell, name, data)
        labels = np.array([each.labels for each in data.examples])
        path = self.results / f"classifiers/{name}/{cell.row}"
        scored = pd.read_parquet(path.with_suffix(".parquet"))
        told = json.loads(path.with_suffix(".json").read_text())["chosen"]
        definition = entry.get("average_precision")
        part = "val" if cell.metric.startswith("mapval_") else "test"
        if definition:
            splits = [organised_split(data, cell.metric, self.seed)]
        else:
            splits = [class_split(data, entry, self.seed, n) for n in range(entry["splits"])]
            wrong += self.differing_splits(name, data, splits)
        found, of_scores = [], 0.0
        for number, (learn, validate, test) in enumerate(splits):
            (chosen,) = (t for t in told if (t["part"], t["split"]) == (part, number))
            grid = sorted(self.config["transfer"]["C"])
            figures = [
                measure(
                    machine_scores(vectors, labels, learn, validate, C),
                    labels[validate],
                    definition,
                )
                for C in grid
            ]
            best = grid[figures.index(max(figures))]
            if chosen["grid"] != grid or chosen["C"] != best:
                wrong.append(f"split {number}: C = {chosen['C']:g}, but {best:g}")
            apart = np.abs(np.array(figures) - chosen["figures"]).max()
            if apart > OF_MEASURES:
                wrong.append(f"split {number}: what C is chosen by differs by {apart:.2f}")
            scores = machine_scores(vectors, labels, learn + validate, test, best)
            found.append(measure(scores, labels[test], definition))
            own = scored[(scored["part"] == part) & (scored["split"] == number)].set_index("id")
            ids = [data.examples[place].name for place in test]
            if sorted(own.index) != sorted(ids):
                wrong.append(f"split {number}: tested are {len(own)} examples, not {len(ids)}")
                continue
            theirs = np.stack(own.loc[ids, "scores"])
            columns = self.columns(name, data)
            of_scores = max(of_scores, float(np.abs(scores - theirs[:, columns]).max()))
        table = pd.read_csv(self.results / f"tables/table{cell.table}.csv")
        (stated,) = table.loc[table["method"] == cell.label, cell.metric]
        mean = float(sum(found) / len(found))
        return Comparison(float(stated), mean, of_descriptors, of_scores, wrong)

    def columns(self, name: str, data: DataSet) -> list[int]:
        """Where the classes that count stand among all of a data set's, which are sorted."""
        stored = pd.read_parquet(self.results / f"examples/{name}.parquet", columns=["labels"])
        with_other = len(stored["labels"][0]) > len(data.classes)
        known = sorted([*data.classes, *(["other"] if with_other else [])])
        return [known.index(each) for each in data.classes]

    def differing_splits(self, name: str, data: DataSet, splits: list[Split]) -> list[str]:
        """The stored splits that are not those that the seed draws."""
        stored = pd.read_parquet(self.results / f"splits/{name}.parquet")
        ids = [each.name for each in data.examples]
        if stored["id"].tolist() != ids:
            return [f"splits are of {len(stored)} images, not of the {len(ids)} in the archive"]
        found = []
        for number, split in enumerate(splits):
            words = [""] * len(ids)
            for word, places in zip(("learn", "validate", "test"), split, strict=True):
                for place in places:
                    words[place] = word
            if stored[f"split_{number}"].tolist() != words:
                found.append(f"split {number} is another one than the seed draws")
        return found


def main(arguments: list[str] | None = None) -> None:
    parser = checks.parser(__doc__)
    parser.add_argument(
        "--results", type=Path, default="results/miniature", help="default: %(default)s"
    )
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # such small nets only lose by more
    run, differing = Run(given.results.resolve()), []
    print(f"{'measure (%)':34}{'table':>10}{'recomputed':>12}{'descriptors':>14}{'scores':>12}")
    for name, cell in CELLS.items():
        comparison = run.compare(cell)
        table, found, of_descriptors, of_scores, wrong = comparison
        print(
            f"{name:34}{table:10.3f}{found:12.3f}{'±':>7}{of_descriptors:7.0e}"
            f"{'±':>5}{of_scores:7.0e}"
        )
        for each in wrong:
            print(f"    {each}")
        differing += [] if comparison.agrees else [name]
    sys.exit(f"disagreement: {'; '.join(differing)}" if differing else 0)


if __name__ == "__main__":
    main()
