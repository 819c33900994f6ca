"""The miniature: drawn images in the archives, names and forms of ILSVRC-2012."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from workflow_scripts.make_miniature import main
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.miniature import drawing
from workflow_scripts.vgg.data.sources.miniature.drawing import (
    ASPECTS,
    PROPERTIES,
    SHORT_SIDE,
    Drawing,
    World,
    world_without,
)
from workflow_scripts.vgg.data.sources.miniature.writing import SYNSETS, Task, draw_task

TRAIN, VAL, TEST, CLASSES = 60, 21, 11, 4


def make(directory: Path, *options: str) -> Path:
    counts = f"--train {TRAIN} --val {VAL} --test {TEST} --classes {CLASSES}".split()
    main(["--directory", str(directory), *counts, *options])
    return directory


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }


def members(archive: Path | io.BytesIO) -> dict[str, bytes]:
    """Names and bytes of a tar's members, in the order of the tar."""
    source = archive if isinstance(archive, io.BytesIO) else io.BytesIO(archive.read_bytes())
    with tarfile.open(fileobj=source) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("miniature"))


@pytest.fixture(scope="module")
def train(miniature) -> dict[str, dict[str, bytes]]:
    """Images by WNID and member name."""
    outer = members(miniature / "ILSVRC2012_img_train.tar")
    return {Path(name).stem: members(io.BytesIO(inner)) for name, inner in outer.items()}


@pytest.fixture(scope="module")
def devkit(miniature) -> dict[str, bytes]:
    kit = members(miniature / "ILSVRC2012_devkit_t12.tar.gz")
    return {name.removeprefix("ILSVRC2012_devkit_t12/"): content for name, content in kit.items()}


@pytest.fixture(scope="module")
def synsets(devkit):
    return scipy.io.loadmat(io.BytesIO(devkit["data/meta.mat"]), squeeze_me=True)["synsets"]


@pytest.mark.slow
def test_bytes_depend_on_the_seed_and_not_on_the_processes(miniature, tmp_path):
    assert digests(make(tmp_path / "two", "--processes", "2")) == digests(miniature)
    other = digests(make(tmp_path / "other", "--seed", "1"))
    assert all(other[name] != digest for name, digest in digests(miniature).items())


def test_manifest_lists_every_other_file(miniature):
    manifest = json.loads((miniature / "manifest.json").read_text())
    assert (manifest["train"], manifest["val"], manifest["test"]) == (TRAIN, VAL, TEST)
    listed = {entry["name"]: entry for entry in manifest["archives"]}
    assert {*listed, "manifest.json"} == {path.name for path in miniature.iterdir()}
    for name, entry in listed.items():
        content = (miniature / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["md5"] == hashlib.md5(content).hexdigest()


def test_train_images_sit_in_one_tar_a_class_under_irregular_names(train):
    assert sum(map(len, train.values())) == TRAIN
    assert len({len(images) for images in train.values()}) > 1
    names = [name for images in train.values() for name in images]
    assert names != sorted(names)
    assert len({len(name) for name in names}) > 1
    for wnid, images in train.items():
        assert all(name.startswith(f"{wnid}_") and name.endswith(".JPEG") for name in images)


def test_val_is_flat_and_test_nested(miniature):
    val = list(members(miniature / "ILSVRC2012_img_val.tar"))
    assert val == [f"ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, VAL + 1)]
    test = list(members(miniature / "ILSVRC2012_img_test_v10102019.tar"))
    assert test == [f"test/ILSVRC2012_test_{n:08d}.JPEG" for n in range(1, TEST + 1)]


def test_meta_mat_holds_classes_then_their_ancestors(synsets, train):
    leaves = [row for row in synsets if row["num_children"] == 0]
    assert [row["ILSVRC2012_ID"] for row in synsets] == list(range(1, len(synsets) + 1))
    assert {row["WNID"]: row["num_train_images"] for row in leaves} == {
        wnid: len(images) for wnid, images in train.items()
    }
    wnids = [row["WNID"] for row in leaves]
    assert wnids != sorted(wnids)
    ancestors = synsets[len(leaves) :]
    assert all(row["num_children"] > 0 for row in ancestors)
    children = [child for row in ancestors for child in row["children"].ravel()]
    assert sorted(children) == list(range(1, len(synsets)))
    assert [len(row["children"]) for row in ancestors] == [r["num_children"] for r in ancestors]


def test_ground_truth_is_an_id_an_image_and_agrees_with_the_boxes(miniature, devkit, synsets):
    val = devkit["data/ILSVRC2012_validation_ground_truth.txt"].split()
    test = (miniature / "ILSVRC2012_test_ground_truth.txt").read_text().split()
    assert (len(val), len(test)) == (VAL, TEST)
    assert set(map(int, test)) == set(range(1, CLASSES + 1))
    wnids = {row["ILSVRC2012_ID"]: row["WNID"] for row in synsets}
    boxes = members(miniature / "ILSVRC2012_bbox_val_v3.tgz").values()
    assert [ElementTree.fromstring(box).findtext("object/name") for box in boxes] == [
        wnids[int(number)] for number in val
    ]


def test_every_box_lies_inside_its_image(miniature, train):
    images = {name: jpeg for inner in train.values() for name, jpeg in inner.items()}
    images |= members(miniature / "ILSVRC2012_img_val.tar")
    boxes = members(miniature / "ILSVRC2012_bbox_train_v2.tar.gz")
    boxes |= members(miniature / "ILSVRC2012_bbox_val_v3.tgz")
    assert len(boxes) == len(images) == TRAIN + VAL
    for name, xml in boxes.items():
        annotation = ElementTree.fromstring(xml)
        assert f"{annotation.findtext('folder')}/{annotation.findtext('filename')}.xml" == name
        with Image.open(io.BytesIO(images[f"{Path(name).stem}.JPEG"])) as image:
            width, height = image.size
            assert (image.format, image.mode) == ("JPEG", "RGB")
        assert any(width * b == height * a for a, b in ASPECTS)
        assert SHORT_SIDE[0] <= min(width, height) <= SHORT_SIDE[1]
        assert [int(annotation.findtext(f"size/{side}")) for side in ("width", "height")] == [
            width,
            height,
        ]
        left, top, right, bottom = (
            int(annotation.findtext(f"object/bndbox/{corner}"))
            for corner in ("xmin", "ymin", "xmax", "ymax")
        )
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert max(right - left, bottom - top) > 0.2 * min(width, height)


def drawn(count: int, world: World, label: int | None = None) -> list[Drawing]:
    """Some images, of all classes in turn or of one."""
    labels = [number % len(SYNSETS) if label is None else label for number in range(count)]
    return [draw_task(Task(5, world, "train", number, k)) for number, k in enumerate(labels)]


def pixels(image: Drawing) -> np.ndarray:
    """float64 [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(image.jpeg)), np.float64)


def test_no_shape_and_no_pattern_tells_a_class_but_both_do():
    looks = [(synset.looks.shape, synset.looks.pattern) for synset in SYNSETS]
    assert len(set(looks)) == len(SYNSETS)
    for attribute in zip(*looks, strict=True):
        assert {attribute.count(value) for value in attribute} == {2}


def test_colour_does_not_tell_the_class():
    """Nearest class mean of colours' means and deviations: 10% by chance, 25% is four sd above."""
    images = [pixels(image).reshape(-1, 3) for image in drawn(400, World())]
    seen = np.array([np.r_[values.mean(0), values.std(0)] for values in images])
    seen = seen.reshape(-1, len(SYNSETS), 6)  # [images of a class, classes, values]
    known, asked = seen[:20], seen[20:]
    distances = np.linalg.norm((asked[:, :, None] - known.mean(0)) / known.std((0, 1)), axis=3)
    right = distances.argmin(2) == np.arange(len(SYNSETS))
    assert right.mean() < 0.25


def longer_sides(world: World) -> np.ndarray:
    """Of the objects of a class, as shares of the mean of their images' sides."""
    return np.array(
        [
            2 * max(box[2] - box[0], box[3] - box[1]) / (width + height)
            for _, width, height, box in drawn(60, world, label=1)
        ]
    )


def test_objects_are_of_all_sizes_or_of_one():
    shares = longer_sides(World())
    assert shares.min() < 0.35
    assert shares.max() > 0.9
    one = longer_sides(world_without(["sizes"]))
    assert one.max() / one.min() < 1.3  # by the stretch alone


def cycles(image: Drawing) -> float:
    """How often a pattern of bars repeats from one side of an object to the other."""
    left, top, right, bottom = image.box
    middle = pixels(image)[(3 * top + bottom) // 4 : (top + bottom) // 2, left:right].mean((0, 2))
    spectrum = np.abs(np.fft.rfft(middle - middle.mean()))
    return 2 + float(spectrum[2:].argmax())


@pytest.mark.parametrize(("without", "low", "high"), [([], -0.4, 0.4), (["detail"], 0.5, 1.5)])
def test_patterns_are_as_fine_as_objects_are_small_or_equally_coarse(without, low, high):
    """The exponent by which the number of repetitions grows with the object's size."""
    crosses = next(k for k, s in enumerate(SYNSETS) if s.looks[:2] == ("cross", "bars"))
    images = drawn(60, world_without(without), crosses)
    widths = np.log([image.box[2] - image.box[0] for image in images])
    found = np.log([cycles(image) for image in images])
    assert low < np.polyfit(widths, found, 1)[0] < high


@pytest.mark.parametrize(("without", "share"), [([], 0.775), (["context"], 0.25)])
def test_a_class_is_mostly_found_on_its_own_ground_or_on_any(monkeypatch, without, share):
    grounds = []
    background = drawing._background
    monkeypatch.setattr(
        drawing, "_background", lambda *given: (grounds.append(given[3]), background(*given))[1]
    )
    drawn(300, world_without(without), label=0)
    own = grounds.count(SYNSETS[0].looks.ground) / len(grounds)
    assert own == pytest.approx(share, abs=0.08)


def test_a_property_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(InputError, match="'size'; expected some of sizes, detail, context"):
        make(tmp_path, "--without", "size")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_a_data_set_says_what_it_lacks(miniature, tmp_path, name):
    manifest = json.loads((make(tmp_path, "--without", name) / "manifest.json").read_text())
    assert manifest["without"] == [name]
    assert json.loads((miniature / "manifest.json").read_text())["without"] == []


@pytest.mark.parametrize(
    "options",
    ["--classes 11", "--classes 1", "--seed -1", "--train 7", "--val 0", "--processes 0"],
)
def test_impossible_numbers_are_refused_by_name(tmp_path, options):
    with pytest.raises(InputError, match=options.split()[0]):
        make(tmp_path, *options.split())
    assert not list(tmp_path.iterdir())
