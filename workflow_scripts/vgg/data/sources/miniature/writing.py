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
from .drawing import Drawing, Looks, World, draw

TRAIN = "ILSVRC2012_img_train.tar"
VAL = "ILSVRC2012_img_val.tar"
TEST = "ILSVRC2012_img_test_v10102019.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
TEST_GROUND_TRUTH = "ILSVRC2012_test_ground_truth.txt"
TRAIN_BOXES = "ILSVRC2012_bbox_train_v2.tar.gz"
VAL_BOXES = "ILSVRC2012_bbox_val_v3.tgz"
MANIFEST = "manifest.json"


class Synset(NamedTuple):
    """A class: its invented WNID, its looks, and the family that its shape belongs to."""

    wnid: str
    looks: Looks
    family: str


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

_SPLITS = {"train": 1, "val": 2, "test": 3}


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
    seed: int
    world: World
    split: str
    number: int
    label: int


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


def write_archives(directory: Path, planned: Plan, processes: int) -> None:
    """Write all archives of `planned` into `directory`, and last their `MANIFEST`.

    The bytes depend on `planned` only, not on the number of processes.
    """
    total = planned.train.sum() + len(planned.val) + len(planned.test)
    progress = Progress(int(total), "images drawn")
    (directory / MANIFEST).unlink(missing_ok=True)
    with _workers(processes) as imap:

        def drawn(split: str, labels: np.ndarray, first: int = 0) -> Iterator[Drawing]:
            tasks = [
                Task(planned.seed, planned.world, split, first + n, label)
                for n, label in enumerate(labels.tolist())
            ]
            for drawing in imap(tasks):
                progress.update(1)
                yield drawing

        _write_train(directory, planned, drawn)
        boxes = _write_flat(directory / VAL, "ILSVRC2012_val", drawn("val", planned.val))
        _write_boxes(directory / VAL_BOXES, "val", zip(boxes, planned.val, strict=True))
        _write_flat(directory / TEST, "test/ILSVRC2012_test", drawn("test", planned.test))
    _write_devkit(directory / DEVKIT, planned)
    with whole_file(directory / TEST_GROUND_TRUTH) as temporary:
        temporary.write_bytes(_ground_truth(planned.test))
    _write_manifest(directory, planned)


def draw_task(task: Task) -> Drawing:
    """Draw one image; its pixels depend on the seed, world, split, index and class alone."""
    rng = np.random.default_rng((task.seed, _SPLITS[task.split], task.number))
    return draw(rng, SYNSETS[task.label].looks, task.world)


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
    """A tar of one tar a class, and the boxes; one class at a time is in memory."""
    numbers = np.random.default_rng((planned.seed, 4))
    boxes = []
    with _new_tar(directory / TRAIN) as outer:
        for label in sorted(range(len(planned.train)), key=lambda k: SYNSETS[k].wnid):
            wnid, count = SYNSETS[label].wnid, planned.train[label]
            first = planned.train[:label].sum().item()
            # Gaps, no fixed width and no order, as in ILSVRC.
            names = [f"{wnid}_{n + 1}" for n in numbers.choice(30 * count, count, replace=False)]
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                drawings = drawn("train", np.full(count, label), first)
                for name, drawing in zip(names, drawings, strict=True):
                    _add(inner, f"{name}.JPEG", drawing.jpeg)
                    boxes.append(((name, drawing._replace(jpeg=b"")), label))
            _add(outer, f"{wnid}.tar", stream.getvalue())
    _write_boxes(directory / TRAIN_BOXES, None, boxes)


def _write_flat(path: Path, prefix: str, drawings: Iterable[Drawing]) -> list[tuple[str, Drawing]]:
    """A tar of images numbered from 1; returns their names and drawings without the JPEG."""
    described = []
    with _new_tar(path) as archive:
        for number, drawing in enumerate(drawings, 1):
            name = f"{prefix}_{number:08d}"
            _add(archive, f"{name}.JPEG", drawing.jpeg)
            described.append((name, drawing._replace(jpeg=b"")))
    return described


def _write_boxes(path: Path, folder: str | None, boxes: Iterable) -> None:
    """A compressed tar of one PASCAL VOC annotation an image, in `folder` or a folder a WNID."""
    with _new_tar(path, compressed=True) as archive:
        for (name, drawing), label in boxes:
            wnid = SYNSETS[label].wnid
            inside = folder or wnid
            _add(archive, f"{inside}/{name}.xml", _annotation(inside, name, drawing, wnid))


def _annotation(folder: str, name: str, drawing: Drawing, wnid: str) -> bytes:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), drawing.box, strict=True)
    box = "".join(f"\n\t\t\t<{corner}>{value}</{corner}>" for corner, value in corners)
    return f"""<annotation>
\t<folder>{folder}</folder>
\t<filename>{name}</filename>
\t<source>
\t\t<database>ILSVRC_2012</database>
\t</source>
\t<size>
\t\t<width>{drawing.width}</width>
\t\t<height>{drawing.height}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>{wnid}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>{box}
\t\t</bndbox>
\t</object>
</annotation>
""".encode()


_README = b"""A miniature in the form of the ILSVRC-2012 development kit (task 1 and 2).

All images are drawings made by workflow_scripts/make_miniature.py; none comes from ImageNet.
data/meta.mat: the synsets, first the classes, then their ancestors.
data/ILSVRC2012_validation_ground_truth.txt: one ILSVRC2012_ID a line, in file name order.
"""


def _write_devkit(path: Path, planned: Plan) -> None:
    root = "ILSVRC2012_devkit_t12"
    with _new_tar(path, compressed=True) as archive:
        _add(archive, f"{root}/readme.txt", _README)
        _add(archive, f"{root}/data/meta.mat", _meta_mat(planned.train))
        ground_truth = _ground_truth(planned.val)
        _add(archive, f"{root}/data/ILSVRC2012_validation_ground_truth.txt", ground_truth)


def _ground_truth(labels: np.ndarray) -> bytes:
    """One ILSVRC2012_ID a line."""
    return "".join(f"{label + 1}\n" for label in labels).encode()


def _meta_mat(train: np.ndarray) -> bytes:
    """The `synsets` of meta.mat as a MATLAB v5 file: leaves, then families, then the root."""
    leaves = SYNSETS[: len(train)]
    rows: list[tuple] = [
        (
            s.wnid,
            f"{s.looks.shape} with {s.looks.pattern}",
            f"a drawn {s.looks.shape} with {s.looks.pattern}, mostly on {s.looks.ground}",
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
    for name in (TRAIN, VAL, TEST, DEVKIT, TEST_GROUND_TRUTH, TRAIN_BOXES, VAL_BOXES):
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


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
