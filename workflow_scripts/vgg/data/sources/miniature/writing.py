"""Write a drawn ten-class data set as the archives in which ILSVRC-2012 is distributed."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import multiprocessing
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io

from ....core.files import InputError, whole_file
from ....core.progress import Progress
from ....core.text_artefacts import write_json
from .annotating import annotation, drawn_oddity
from .containers import add_file
from .drawing import Drawing, Looks, World, draw

TRAIN = "ILSVRC2012_img_train.tar"
VAL = "ILSVRC2012_img_val.tar"
TEST = "ILSVRC2012_img_test_v10102019.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
TEST_GROUND_TRUTH = "ILSVRC2012_test_ground_truth.txt"
TRAIN_BOXES = "ILSVRC2012_bbox_train_v2.tar.gz"
VAL_BOXES = "ILSVRC2012_bbox_val_v3.tgz"
TEST_BOXES = "ILSVRC2012_bbox_test.tgz"  # ILSVRC has never published its own
LATER_DEVKIT = "ILSVRC2014_devkit.tgz"
MANIFEST = "manifest.json"


class Synset(NamedTuple):
    """A class: its invented WNID, its looks, and the family that its shape belongs to."""

    wnid: str
    looks: Looks
    family: str

    @property
    def words(self) -> str:
        return f"{self.looks.shape} with {self.looks.pattern}"


# WordNet 3.0's first noun is n00001740: these names look real and can mean no real synset.
# As in ILSVRC-2012, the ILSVRC2012_IDs 1, 2, … follow this order, not that of the WNIDs.
# Each shape and each pattern belongs to two classes: neither alone tells one.
SYNSETS = (
    Synset("n00001124", Looks("star", "spots", "water"), "angular"),
    Synset("n00000347", Looks("disc", "spots", "grass"), "round"),
    Synset("n00001561", Looks("star", "bands", "gravel"), "angular"),
    Synset("n00000812", Looks("disc", "diagonals", "water"), "round"),
    Synset("n00000205", Looks("cross", "bands", "brick"), "angular"),
    Synset("n00001390", Looks("triangle", "bars", "water"), "angular"),
    Synset("n00000678", Looks("cross", "bars", "grass"), "angular"),
    Synset("n00000951", Looks("hourglass", "lattice", "brick"), "angular"),
    Synset("n00000433", Looks("triangle", "lattice", "gravel"), "angular"),
    Synset("n00001207", Looks("hourglass", "diagonals", "grass"), "angular"),
)
FAMILIES = {"round": "n00000119", "angular": "n00000126"}
ROOT = "n00000101"

BOXED = 0.6  # of each class's training images, at least two or all; in ILSVRC 0.43
BLACKLISTED = 0.03  # of the validation images, at least one; in ILSVRC 0.035

_SPLITS = {"train": 1, "val": 2, "test": 3}
# Random streams (seed, number, …). Those of _SPLITS are the images', which the others leave alone:
# 0 is the plan, 4 the training images' names, and
_BOXED, _BLACKLIST, _ANNOTATIONS = 5, 6, 7


class Plan(NamedTuple):
    """The images to draw. `train` has the number for each class; `val`, `test` a class an image.

    A class is an int64 index into `SYNSETS`.
    """

    seed: int
    world: World
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class Task(NamedTuple):
    """An image to draw. `number` counts the images of its split from 0, in train class by class."""

    seed: int
    world: World
    split: str
    number: int
    label: int


class Described(NamedTuple):
    """An image in an archive: its name, its drawing without the JPEG, and what was to be drawn."""

    name: str
    drawing: Drawing
    task: Task


def plan(seed: int, classes: int, train: int, val: int, test: int, world: World) -> Plan:
    """Share images among classes: train unequally (732 to 1300 in ILSVRC), val and test evenly.

    Raises InputError for numbers that make no data set.
    """
    if not 2 <= classes <= len(SYNSETS):
        raise InputError(f"--classes {classes}: expected 2 to {len(SYNSETS)}")
    if seed < 0:
        raise InputError(f"--seed {seed}: expected 0 or more")
    for name, count, least in (
        ("train", train, 2 * classes),
        ("val", val, classes),
        ("test", test, classes),
    ):
        if count < least:
            raise InputError(
                f"--{name} {count}: expected at least {least} images for {classes} classes"
            )
    rng = np.random.default_rng((seed, 0))
    shares = rng.uniform(0.8, 1.1, classes)
    ends = np.rint(np.cumsum(shares) / shares.sum() * train).astype(int)
    return Plan(
        seed,
        world,
        np.diff(ends, prepend=0),
        rng.permutation(np.arange(val) % classes),
        rng.permutation(np.arange(test) % classes),
    )


def boxed_images(planned: Plan) -> np.ndarray:
    """Which training images have boxes, bool [images], by their tasks' numbers."""
    rng = np.random.default_rng((planned.seed, _BOXED))
    counts = planned.train.tolist()
    return np.concatenate([rng.permutation(n) < max(round(BOXED * n), 2) for n in counts])


def blacklisted_images(planned: Plan) -> np.ndarray:
    """Places from 1 of the validation images that localisation leaves out, int64, ascending."""
    rng = np.random.default_rng((planned.seed, _BLACKLIST))
    total = len(planned.val)
    return np.sort(rng.choice(total, max(round(BLACKLISTED * total), 1), replace=False)) + 1


def oddity_of(seed: int, split: str, number: int) -> str | None:
    """Which of `ODDITIES` the XML of an image has, if any; `number` is the one of its `Task`."""
    return drawn_oddity(_annotator(seed, split, number))


def write_archives(directory: Path, planned: Plan, processes: int) -> None:
    """Write all archives of `planned` into `directory`, and last their `MANIFEST`.

    The bytes depend on `planned` only, not on the number of processes.
    """
    total = planned.train.sum() + len(planned.val) + len(planned.test)
    progress = Progress(int(total), "images drawn")
    (directory / MANIFEST).unlink(missing_ok=True)
    with _workers(processes) as imap:

        def drawn(split: str, labels: np.ndarray, first: int = 0) -> Iterator[tuple[Task, Drawing]]:
            tasks = [
                Task(planned.seed, planned.world, split, first + n, label)
                for n, label in enumerate(labels.tolist())
            ]
            for task, drawing in zip(tasks, imap(tasks), strict=True):
                progress.update(1)
                yield task, drawing

        _write_train(directory, planned, drawn)
        val = _write_flat(directory / VAL, "", "ILSVRC2012_val", drawn("val", planned.val))
        _write_boxes(directory / VAL_BOXES, "val", val)
        test = _write_flat(
            directory / TEST, "test/", "ILSVRC2012_test", drawn("test", planned.test)
        )
        _write_boxes(directory / TEST_BOXES, "test", test)
    _write_devkit(directory / DEVKIT, planned)
    _write_later_devkit(directory / LATER_DEVKIT, planned)
    with whole_file(directory / TEST_GROUND_TRUTH) as temporary:
        temporary.write_bytes(_ground_truth(planned.test))
    _write_manifest(directory, planned)


def draw_task(task: Task) -> Drawing:
    """Draw one image; its pixels depend on the seed, world, split, index and class alone."""
    rng = np.random.default_rng((task.seed, _SPLITS[task.split], task.number))
    return draw(rng, SYNSETS[task.label].looks, task.world)


def _annotator(seed: int, split: str, number: int) -> np.random.Generator:
    return np.random.default_rng((seed, _ANNOTATIONS, _SPLITS[split], number))


@contextlib.contextmanager
def _workers(processes: int) -> Iterator[Callable[[list[Task]], Iterable[Drawing]]]:
    """A function that draws tasks, in order, in this process or in several others."""
    if processes < 1:
        raise InputError(f"--processes {processes}: expected 1 or more")
    if processes == 1:
        yield lambda tasks: map(draw_task, tasks)
        return
    with multiprocessing.Pool(processes) as pool:
        yield lambda tasks: pool.imap(draw_task, tasks, chunksize=16)


def _write_train(directory: Path, planned: Plan, drawn: Callable) -> None:
    """A tar of one tar a class, and some images' boxes; one class at a time is in memory."""
    numbers = np.random.default_rng((planned.seed, 4))
    boxed = boxed_images(planned)
    described = []
    with _new_tar(directory / TRAIN) as outer:
        for label in sorted(range(len(planned.train)), key=lambda k: SYNSETS[k].wnid):
            wnid, count = SYNSETS[label].wnid, planned.train[label]
            first = planned.train[:label].sum().item()
            # Gaps, no fixed width and no order, as in ILSVRC.
            names = [f"{wnid}_{n + 1}" for n in numbers.choice(30 * count, count, replace=False)]
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                drawings = drawn("train", np.full(count, label), first)
                for name, (task, drawing) in zip(names, drawings, strict=True):
                    add_file(inner, f"{name}.JPEG", drawing.jpeg)
                    if boxed[task.number]:
                        described.append(Described(name, drawing._replace(jpeg=b""), task))
            add_file(outer, f"{wnid}.tar", stream.getvalue())
    _write_boxes(directory / TRAIN_BOXES, None, described)


def _write_flat(
    path: Path, folder: str, prefix: str, drawings: Iterable[tuple[Task, Drawing]]
) -> list[Described]:
    """A tar of images numbered from 1, in `folder`; returns what they are."""
    described = []
    with _new_tar(path) as archive:
        for number, (task, drawing) in enumerate(drawings, 1):
            name = f"{prefix}_{number:08d}"
            add_file(archive, f"{folder}{name}.JPEG", drawing.jpeg)
            described.append(Described(name, drawing._replace(jpeg=b""), task))
    return described


def _write_boxes(path: Path, folder: str | None, described: Iterable[Described]) -> None:
    """A compressed tar of one PASCAL VOC annotation an image, in `folder` or a folder a WNID."""
    with _new_tar(path, compressed=True) as archive:
        for name, drawing, task in described:
            synset = SYNSETS[task.label]
            inside = folder or synset.wnid
            rng = _annotator(task.seed, task.split, task.number)
            xml = annotation(inside, name, drawing, synset.wnid, synset.words, rng)
            add_file(archive, f"{inside}/{name}.xml", xml)


_README = b"""A miniature in the form of the ILSVRC-2012 development kit (task 1 and 2).

All images are drawings made by workflow_scripts/make_miniature.py; none comes from ImageNet.
data/meta.mat: the synsets, first the classes, then their ancestors.
data/ILSVRC2012_validation_ground_truth.txt: one ILSVRC2012_ID a line, in file name order.
"""


def _write_devkit(path: Path, planned: Plan) -> None:
    root = "ILSVRC2012_devkit_t12"
    with _new_tar(path, compressed=True) as archive:
        add_file(archive, f"{root}/readme.txt", _README)
        add_file(archive, f"{root}/data/meta.mat", _meta_mat(planned.train))
        ground_truth = _ground_truth(planned.val)
        add_file(archive, f"{root}/data/ILSVRC2012_validation_ground_truth.txt", ground_truth)


_LATER_README = b"""A miniature in the form of the ILSVRC-2014 development kit: one of its lists.

data/ILSVRC2014_clsloc_validation_blacklist.txt: numbers of validation images, from 1 in file name
order, which localisation leaves out. These are drawn at random: all boxes are right.
"""


def _write_later_devkit(path: Path, planned: Plan) -> None:
    root = "ILSVRC2014_devkit"
    numbers = "".join(f"{number}\n" for number in blacklisted_images(planned)).encode()
    with _new_tar(path, compressed=True) as archive:
        add_file(archive, f"{root}/readme.txt", _LATER_README)
        add_file(archive, f"{root}/data/ILSVRC2014_clsloc_validation_blacklist.txt", numbers)


def _ground_truth(labels: np.ndarray) -> bytes:
    """One ILSVRC2012_ID a line."""
    return "".join(f"{label + 1}\n" for label in labels).encode()


def _meta_mat(train: np.ndarray) -> bytes:
    """The `synsets` of meta.mat as a MATLAB v5 file: leaves, then families, then the root."""
    leaves = SYNSETS[: len(train)]
    rows: list[tuple] = [
        (
            s.wnid,
            s.words,
            f"a drawn {s.words}, mostly on {s.looks.ground}",
            [],
            0,
            count,
        )
        for s, count in zip(leaves, train, strict=True)
    ]
    families = [name for name in FAMILIES if any(s.family == name for s in leaves)]
    for name in families:
        children = [n for n, leaf in enumerate(leaves, 1) if leaf.family == name]
        gloss = f"drawn shapes that are {name}"
        rows.append((FAMILIES[name], f"{name} shape", gloss, children, 1, 0))
    children = [len(leaves) + n for n in range(1, len(families) + 1)]
    rows.append((ROOT, "drawn shape", "anything that the miniature draws", children, 2, 0))

    fields = "ILSVRC2012_ID WNID words gloss num_children children wordnet_height num_train_images"
    synsets = np.empty((len(rows), 1), [(field, object) for field in fields.split()])
    for number, (wnid, words, gloss, children, height, count) in enumerate(rows):
        values = (number + 1, wnid, words, gloss, len(children), children, height, count)
        synsets[number, 0] = tuple(
            value if isinstance(value, str) else np.array(value, np.uint32) for value in values
        )
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"synsets": synsets}, oned_as="row")
    # The first 116 bytes are free text in which scipy puts the date.
    return b"MATLAB 5.0 MAT-file, miniature".ljust(116) + stream.getvalue()[116:]


def _write_manifest(directory: Path, planned: Plan) -> None:
    archives = []
    boxes = (TRAIN_BOXES, VAL_BOXES, TEST_BOXES, LATER_DEVKIT)
    for name in (TRAIN, VAL, TEST, DEVKIT, TEST_GROUND_TRUTH, *boxes):
        with open(directory / name, "rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        archives.append({"name": name, "bytes": (directory / name).stat().st_size, "md5": md5})
    counts = {
        "classes": len(planned.train),
        "train": int(planned.train.sum()),
        "val": len(planned.val),
        "test": len(planned.test),
    }
    lacks = [name for name, present in asdict(planned.world).items() if not present]
    told = {"seed": planned.seed, "without": lacks, **counts, "archives": archives}
    write_json(directory / MANIFEST, told)


@contextlib.contextmanager
def _new_tar(path: Path, compressed: bool = False) -> Iterator[tarfile.TarFile]:
    """A tar to add to, whole or absent; gzip without the name and time that it would record."""
    with whole_file(path) as temporary, contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(temporary, "wb"))
        if compressed:
            file = stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
        yield stack.enter_context(tarfile.open(fileobj=file, mode="w|"))
