"""The miniature: drawn images in the archives, names and forms of ILSVRC-2012."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import tarfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from workflow_scripts.make_miniature import main
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.boxes import overlaps
from workflow_scripts.vgg.data.sources.miniature import annotating, drawing, writing
from workflow_scripts.vgg.data.sources.miniature.annotating import ODDITIES, annotation
from workflow_scripts.vgg.data.sources.miniature.drawing import (
    ASPECTS,
    PROPERTIES,
    SHORT_SIDE,
    SUPERSAMPLING,
    Drawing,
    World,
    world_without,
)
from workflow_scripts.vgg.data.sources.miniature.writing import (
    SYNSETS,
    Task,
    blacklisted_images,
    boxed_images,
    draw_task,
    oddity_of,
    plan,
)

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
def images(miniature, train) -> dict[str, bytes]:
    """All images by name, without suffix."""
    found = {name: jpeg for inner in train.values() for name, jpeg in inner.items()}
    found |= members(miniature / "ILSVRC2012_img_val.tar")
    found |= members(miniature / "ILSVRC2012_img_test_v10102019.tar")
    return {Path(name).stem: jpeg for name, jpeg in found.items()}


@pytest.fixture(scope="module")
def annotations(miniature) -> dict[str, bytes]:
    """All XMLs by their archives' names."""
    found = members(miniature / "ILSVRC2012_bbox_train_v2.tar.gz")
    found |= members(miniature / "ILSVRC2012_bbox_val_v3.tgz")
    found |= members(miniature / "ILSVRC2012_bbox_test.tgz")
    return found


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
    names = {row["ILSVRC2012_ID"]: {row["WNID"], row["words"].replace(" ", "_")} for row in synsets}
    for archive, numbers in (
        ("ILSVRC2012_bbox_val_v3.tgz", val),
        ("ILSVRC2012_bbox_test.tgz", test),
    ):
        boxes = members(miniature / archive).values()
        for box, number in zip(boxes, numbers, strict=True):
            assert ElementTree.fromstring(box).findtext("object/name") in names[int(number)]


def boxes_in(xml: bytes, name: str, synset, width: int, height: int) -> list[list[float]]:
    """The boxes that an XML means for an image file: its first and last pixels, from 0."""
    root = ElementTree.fromstring(xml)
    assert root.findtext("filename") in (name, "%s")
    shown = [int(root.findtext(f"size/{side}")) for side in ("width", "height")]
    across, down = shown if all(shown) else (width, height)
    boxes = []
    for thing in root.findall("object"):
        assert thing.findtext("name") in (synset.wnid, synset.words.replace(" ", "_"))
        xmin, ymin, xmax, ymax = (
            int(thing.findtext(f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax")
        )
        first, last = sorted((xmin, xmax))
        left, right = first * width / across, (last + 1) * width / across - 1
        first, last = sorted((ymin, ymax))
        top, bottom = first * height / down, (last + 1) * height / down - 1
        if left < width and right >= 0 and top < height and bottom >= 0:
            boxes.append(
                [max(left, 0), max(top, 0), min(right, width - 1), min(bottom, height - 1)]
            )
    return boxes


def inclusive(image: Drawing) -> list[list[float]]:
    return (np.array(image.boxes) - (0, 0, 1, 1)).tolist()


def test_every_annotation_means_the_drawn_boxes(images, annotations):
    planned = plan(0, CLASSES, TRAIN, VAL, TEST, World())
    labels = {
        "train": np.repeat(np.arange(CLASSES), planned.train),
        "val": planned.val,
        "test": planned.test,
    }
    drawings = {}
    for split, those in labels.items():
        for number, label in enumerate(those.tolist()):
            image = draw_task(Task(0, World(), split, number, label))
            drawings[image.jpeg] = (image, SYNSETS[label])
    assert len(drawings) == len(images)
    for path, xml in annotations.items():
        folder, name = path.removesuffix(".xml").split("/")
        image, synset = drawings[images[name]]
        assert folder == (synset.wnid if name.startswith("n") else name.split("_")[1])
        assert ElementTree.fromstring(xml).findtext("folder") == folder
        assert boxes_in(xml, name, synset, image.width, image.height) == inclusive(image)


def test_every_box_lies_inside_its_image(images, annotations):
    for path, xml in annotations.items():
        name = Path(path).stem
        with Image.open(io.BytesIO(images[name])) as image:
            width, height = image.size
            assert (image.format, image.mode) == ("JPEG", "RGB")
        assert any(width * b == height * a for a, b in ASPECTS)
        assert SHORT_SIDE[0] <= min(width, height) <= SHORT_SIDE[1]
        names = {ElementTree.fromstring(xml).findtext("object/name")}
        synset = next(s for s in SYNSETS if names & {s.wnid, s.words.replace(" ", "_")})
        boxes = boxes_in(xml, name, synset, width, height)
        assert boxes
        for left, top, right, bottom in boxes:
            assert 0 <= left < right < width
            assert 0 <= top < bottom < height
        left, top, right, bottom = boxes[0]
        assert max(right - left, bottom - top) > 0.2 * min(width, height)


def test_all_images_have_boxes_but_some_of_the_training_images(images, train, annotations):
    folders = Counter(path.split("/")[0] for path in annotations)
    assert {Path(path).stem for path in annotations} < images.keys()
    assert (folders.pop("val"), folders.pop("test")) == (VAL, TEST)
    for wnid, inner in train.items():
        assert folders[wnid] == pytest.approx(0.6 * len(inner), abs=0.5)


@pytest.mark.parametrize(("count", "share"), [(20, None), (37, None), (300, 0.6), (4000, 0.6)])
def test_boxed_training_images_are_a_share_but_two_of_every_class(count, share):
    for seed in range(5):
        planned = plan(seed, 10, count, 10, 10, World())
        boxed = boxed_images(planned)
        assert len(boxed) == count
        ends = np.cumsum(planned.train).tolist()
        for first, end in pairwise([0, *ends]):
            assert boxed[first:end].sum() >= min(2, end - first)
        if share:
            assert boxed.mean() == pytest.approx(share, abs=0.01)
            assert (boxed != boxed_images(plan(seed + 1, 10, count, 10, 10, World()))).any()


@pytest.mark.parametrize(("count", "listed"), [(VAL, 1), (10, 1), (300, 9), (400, 12)])
def test_the_blacklist_names_few_validation_images_once_each(count, listed):
    lists = [blacklisted_images(plan(seed, 4, 60, count, 20, World())) for seed in range(30)]
    assert {len(numbers) for numbers in lists} == {listed}
    assert all((np.diff(numbers) > 0).all() for numbers in lists)
    assert 1 <= np.min(lists) <= np.max(lists) <= count
    assert len({tuple(numbers) for numbers in lists}) > 5


def test_a_later_development_kit_holds_the_blacklist(miniature):
    kit = members(miniature / "ILSVRC2014_devkit.tgz")
    blacklist = "ILSVRC2014_devkit/data/ILSVRC2014_clsloc_validation_blacklist.txt"
    assert kit.keys() == {"ILSVRC2014_devkit/readme.txt", blacklist}
    assert kit[blacklist].endswith(b"\n")
    planned = plan(0, CLASSES, TRAIN, VAL, TEST, World())
    assert list(map(int, kit[blacklist].split())) == blacklisted_images(planned).tolist()


def oddity_seen(xml: bytes, plain: bytes) -> str:
    """How an XML differs from one without oddities."""
    root, expected = ElementTree.fromstring(xml), ElementTree.fromstring(plain)
    if len(root.findall("object")) > len(expected.findall("object")):
        boxes = root.iter("bndbox")
        empty = any(box.findtext("xmin") == box.findtext("xmax") for box in boxes)
        return "empty" if empty else "outside"
    if root.findtext("filename") != expected.findtext("filename"):
        return "percent-s"
    if root.findtext("object/name") != expected.findtext("object/name"):
        return "words"
    if (width := int(root.findtext("size/width"))) != int(expected.findtext("size/width")):
        return "enlarged" if width else "no-size"
    for box in root.iter("bndbox"):
        xmin, ymin, xmax, ymax = (int(corner.text) for corner in box)
        if xmin > xmax or ymin > ymax:
            return "swapped"
    return "none" if xml == plain else "beyond"


def test_odd_annotations_are_a_tenth_and_mean_what_plain_ones_mean(monkeypatch):
    images = drawn(60, World())
    assert any(len(image.boxes) > 1 for image in images)
    seen: Counter[str] = Counter()
    total = 4000
    for number in range(total):
        image, synset = images[number % len(images)], SYNSETS[number % len(SYNSETS)]
        given = ("val", "image", image, synset.wnid, synset.words)
        xml = annotation(*given, np.random.default_rng((3, number)))
        assert boxes_in(xml, "image", synset, image.width, image.height) == inclusive(image)
        with monkeypatch.context() as patch:
            patch.setattr(annotating, "ODDITIES", {})
            plain = annotation(*given, np.random.default_rng((3, number)))
        seen[oddity_seen(xml, plain)] += 1
    assert seen.keys() == {*ODDITIES, "none"}
    for kind in ODDITIES:
        assert 0.008 * total < seen[kind] < 0.025 * total, kind
    assert 0.08 * total < total - seen["none"] < 0.12 * total


def test_which_annotations_are_odd_is_known(annotations):
    planned = plan(0, CLASSES, TRAIN, VAL, TEST, World())
    checked = 0
    for split, labels in (("val", planned.val), ("test", planned.test)):
        for number in range(len(labels)):
            xml = annotations[f"{split}/ILSVRC2012_{split}_{number + 1:08d}.xml"].decode()
            oddity = oddity_of(0, split, number)
            checked += oddity is not None
            assert (oddity == "percent-s") == ("%s" in xml)
            assert (oddity == "words") == ("_with_" in xml)
            assert (oddity == "no-size") == ("<width>0<" in xml)
    assert checked > 0


def test_images_do_not_depend_on_what_is_annotated(miniature, tmp_path, monkeypatch):
    monkeypatch.setattr(annotating, "ODDITIES", {"swapped": 1.0})
    monkeypatch.setattr(writing, "BOXED", 1.0)
    monkeypatch.setattr(writing, "BLACKLISTED", 0.5)
    monkeypatch.setattr(drawing, "LEAST_SIDE", 0)
    other, before = digests(make(tmp_path)), digests(miniature)
    changed = {name for name in before if other[name] != before[name]}
    assert changed == {
        "ILSVRC2012_bbox_train_v2.tar.gz",
        "ILSVRC2012_bbox_val_v3.tgz",
        "ILSVRC2012_bbox_test.tgz",
        "ILSVRC2014_devkit.tgz",
        "manifest.json",
    }


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


def extent(shown: np.ndarray) -> np.ndarray:
    """The first and last columns and rows in which pixels bool [height, width] are shown."""
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]])


def test_a_box_is_the_extent_of_the_pixels_that_the_object_covers_by_half(monkeypatch):
    relief, masks = drawing._relief, []

    def spied(rng, canvas, width, height):
        enlarged = np.asarray(canvas, float).reshape(height, SUPERSAMPLING, width, SUPERSAMPLING)
        masks.append(enlarged.mean((1, 3)) / 255)
        return relief(rng, canvas, width, height)

    monkeypatch.setattr(drawing, "_relief", spied)
    for image, mask in zip(drawn(60, World()), masks, strict=True):
        assert extent(mask > 0.5).tolist() == inclusive(image)[0]


def test_a_box_is_where_a_white_object_differs_from_a_black_one(monkeypatch):
    monkeypatch.setattr(drawing, "STROKES", (0, 0))  # nothing in front
    surface, shades = drawing.surface_of, []
    for shade in (0, 255):
        monkeypatch.setattr(
            drawing, "surface_of", lambda *given, _shade=shade: 0 * surface(*given) + _shade
        )
        shades.append(drawn(60, World()))
    found, boxes = [], []
    for black, white in zip(*shades, strict=True):
        change = (pixels(white) - pixels(black)).mean(2)
        # Light differs from place to place, so half of a change is not quite half an object.
        found.append(extent(change > np.median(change[change > 50]) / 2))
        boxes.append(inclusive(white)[0])
    assert overlaps(np.array(found), np.array(boxes)).min() > 0.8
    assert np.abs(np.subtract(found, boxes)).mean() < 1.2  # of spikes the ends are faint


def test_a_tenth_of_the_images_has_another_object_where_the_background_shows_its_outline(
    monkeypatch,
):
    """Compares backgrounds with the same ones without the distractors of the object's outline."""
    background, changes, alone = drawing._background, [], []

    def compared(rng, width, height, ground):
        again = copy.deepcopy(rng)
        image, clutter = background(rng, width, height, ground)
        shapes = [distractor.shape for distractor in clutter.distractors]
        without = image
        if shape in shapes:
            with monkeypatch.context() as patch:
                patch.setitem(drawing.SHAPES, shape, [np.full((3, 2), 1e4)])  # far outside
                without, _ = background(again, width, height, ground)
        changes.append(np.abs(image - without).max(0))
        alone.append(shapes.count(shape) == 1 and shapes[-1] == shape)
        return image, clutter

    monkeypatch.setattr(drawing, "_background", compared)
    images = []
    for number in range(300):
        shape = SYNSETS[number % len(SYNSETS)].looks.shape
        images.append(draw_task(Task(9, World(), "val", number, number % len(SYNSETS))))
    several = np.array([len(image.boxes) > 1 for image in images])
    assert 0.08 < several.mean() < 0.12
    off = []
    for image, change, last in zip(images, changes, alone, strict=True):
        boxes = np.array(inclusive(image))
        if len(boxes) > 1:
            assert change.max() > 20
            main, other = boxes[:2]
            common = np.r_[np.maximum(main[:2], other[:2]), np.minimum(main[2:], other[2:])]
            sides = common[2:] - common[:2] + 1
            covered = np.maximum(sides, 0).prod() / (other[2:] - other[:2] + 1).prod()
            assert covered < 0.5
        if len(boxes) > 1 and last:
            found = extent(change > np.percentile(change[change > 8], 90) / 2)
            off.append(np.abs(found - boxes[1]))
    assert len(off) > 8
    assert np.mean(off) < 2.5  # a pixel of the small background is 2.5 to 4.5
    assert np.percentile(off, 90) < 5


def longer_sides(world: World) -> np.ndarray:
    """Of the objects of a class, as shares of the mean of their images' sides."""
    return np.array(
        [
            2 * max(boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1]) / (width + height)
            for _, width, height, boxes in drawn(60, world, label=1)
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
    left, top, right, bottom = image.boxes[0]
    middle = pixels(image)[(3 * top + bottom) // 4 : (top + bottom) // 2, left:right].mean((0, 2))
    spectrum = np.abs(np.fft.rfft(middle - middle.mean()))
    return 2 + float(spectrum[2:].argmax())


@pytest.mark.parametrize(("without", "low", "high"), [([], -0.4, 0.4), (["detail"], 0.5, 1.5)])
def test_patterns_are_as_fine_as_objects_are_small_or_equally_coarse(without, low, high):
    """The exponent by which the number of repetitions grows with the object's size."""
    crosses = next(k for k, s in enumerate(SYNSETS) if s.looks[:2] == ("cross", "bars"))
    images = drawn(60, world_without(without), crosses)
    widths = np.log([image.boxes[0][2] - image.boxes[0][0] for image in images])
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
