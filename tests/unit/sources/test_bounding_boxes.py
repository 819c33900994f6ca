"""ILSVRC's bounding boxes, read from every form of them; odd ones counted, wrong ones refused."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.clones import ROOT
from workflow_scripts import index_images, read_boxes
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_frame, write_parquet
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.classes import write_class_table
from workflow_scripts.vgg.data.sources.bounding_boxes import KINDS, read_blacklist
from workflow_scripts.vgg.data.truth import Truth, read_truth, write_truth

ONE, TWO, OTHER = "n00000001", "n00000002", "n00000003"  # classes; WNIDs of the tests alone
UNKNOWN = "n00000009"
SIZE = (40, 20)  # of all image files, width and height
WHOLE = (0.0, 0.0, 1.0, 1.0)


def jpeg(size=SIZE):
    content = io.BytesIO()
    Image.new("RGB", size, (9, 99, 9)).save(content, "JPEG")
    return content.getvalue()


def xml(*boxes, size=(100, 50), filename=None, names=ONE, more="<depth>3</depth>"):
    """An annotation of boxes (xmin, ymin, xmax, ymax), in pixels of a picture of that size.

    They are the first and the last pixel, from 0: the whole picture is (0, 0, 99, 49).
    """
    shown = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height>"
    shown += "" if size is None else f"{more}</size>"
    called = "" if filename is None else f"<filename>{filename}</filename>"
    names = [names] * len(boxes) if isinstance(names, str) else names
    objects = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>"
        "</bndbox></object>"
        for name, box in zip(names, boxes, strict=True)
    )
    return f"<annotation><folder>x</folder>{called}{shown}{objects}</annotation>".encode()


def tar(members, mode="w:gz"):
    """The bytes of a tar of {name: content}."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class Data(NamedTuple):
    """A folder with classes.parquet, train.parquet and val.parquet, and the commands on them."""

    folder: Path

    def index(self, split, *words):
        command = ["--classes", self.folder / "classes.parquet", "--split", split]
        command += ["--output", self.folder / f"{split}.parquet", *words]
        index_images.main([*map(str, command)])

    def words(self, split, boxes, output):
        words = ["--boxes", boxes, "--index", self.folder / f"{split}.parquet", "--split", split]
        words += ["--classes", self.folder / "classes.parquet", "--report", output / "truth.json"]
        return [*map(str, [*words, "--output", output / "truth.parquet"])]

    def read(self, split, boxes, *words):
        """(truth, report) as the command leaves them."""
        output = self.folder / "out"
        read_boxes.main([*self.words(split, boxes, output), *map(str, words)])
        return read_truth(output / "truth.parquet"), read_json(output / "truth.json")

    def refusal(self, split, boxes, *words):
        """The message of the command, which must leave nothing behind."""
        output = self.folder / "refused"
        output.mkdir()
        with pytest.raises(InputError) as caught:
            read_boxes.main([*self.words(split, boxes, output), *map(str, words)])
        assert list(output.iterdir()) == [], "something half-written is left"
        output.rmdir()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def archive(self, members, name="boxes.tar.gz"):
        return write(self.folder / name, tar(members, "w" if name.endswith(".tar") else "w:gz"))

    def train(self, content):
        """An archive of one annotation, of the first training image."""
        return self.archive({f"{ONE}/{ONE}_1.xml": content})


TRAIN = [f"{ONE}_1", f"{ONE}_10", f"{ONE}_2", f"{TWO}_7", f"{OTHER}_3"]  # in order
VAL = [f"ILSVRC2012_val_{number:08d}" for number in range(1, 5)]
VAL_WNIDS = [TWO, ONE, OTHER, ONE]
VAL_BOXES = {
    f"val/{name}.xml": xml((0, 0, 39, 19), size=SIZE, names=wnid)
    for name, wnid in zip(VAL, VAL_WNIDS, strict=True)
}


@pytest.fixture
def data(tmp_path):
    wnids = [ONE, TWO, OTHER]
    ids = pd.array([3, 1, 2], "Int32")  # of the development kit: in no order
    classes = pd.DataFrame({"label": np.arange(3, dtype=np.int32), "wnid": wnids})
    write_frame(tmp_path / "classes.parquet", classes.assign(ilsvrc2012_id=ids, words="a thing"))
    for name in TRAIN:
        write(tmp_path / f"train/{name[:9]}/{name}.JPEG", jpeg())
    write(tmp_path / "val.tar", tar({f"{name}.JPEG": jpeg() for name in reversed(VAL)}, "w"))
    id_of = dict(zip(wnids, ids, strict=True))
    (tmp_path / "val.txt").write_text("".join(f"{id_of[wnid]}\n" for wnid in VAL_WNIDS))
    made = Data(tmp_path)
    made.index("train", "--tree", tmp_path / "train")
    made.index("val", "--archive", tmp_path / "val.tar", "--ground-truth", tmp_path / "val.txt")
    return made


SOME = {
    f"{ONE}/{ONE}_1.xml": xml((10, 5, 59, 44)),
    f"{ONE}/{ONE}_2.xml": xml((0, 0, 249, 199), (125, 50, 499, 99), size=(500, 200)),
    f"{OTHER}/{OTHER}_3.xml": xml((1, 1, 2, 2), size=(4, 4), names=OTHER),
}  # of three of the five training images
MAC = {f"{ONE}/._{ONE}_1.xml": b"\0\5\x16\7", "__MACOSX/x.xml": b"", ".DS_Store": b"x"}


def a_class_a_tar(suffix):
    def write_to(folder):
        inner = {
            f"{wnid}{suffix}": tar(
                {name: content for name, content in SOME.items() if name.startswith(wnid)},
                "w" if suffix == ".tar" else "w:gz",
            )
            for wnid in (OTHER, ONE)
        }
        return write(folder / "boxes.tar.gz", tar(inner))

    return write_to


def a_folder(folder):
    for name, content in {**SOME, **MAC}.items():
        write(folder / "boxes" / name, content)
    return folder / "boxes"


FORMS = {
    "tar.gz": lambda folder: write(folder / "boxes.tar.gz", tar(SOME)),
    "tgz": lambda folder: write(folder / "boxes.tgz", tar(SOME)),
    "tar": lambda folder: write(folder / "boxes.tar", tar(SOME, "w")),
    "macOS's": lambda folder: write(folder / "boxes.tgz", tar({**MAC, **SOME})),
    "below a folder": lambda folder: write(
        folder / "boxes.tgz", tar({f"./Annotation/{name}": SOME[name] for name in reversed(SOME)})
    ),
    "a tar a class": a_class_a_tar(".tar"),
    "a tar.gz a class": a_class_a_tar(".tar.gz"),
    "folder": a_folder,
}


@pytest.mark.parametrize("form", FORMS)
def test_boxes_are_parts_of_the_picture_that_was_annotated(form, data, caplog):
    caplog.set_level("INFO")
    truth, report = data.read("train", FORMS[form](data.folder))
    assert truth.ids == TRAIN
    assert truth.starts.tolist() == [0, 1, 1, 3, 3, 4]
    assert truth.boxes.tolist() == [
        [0.1, 0.1, 0.6, 0.9],
        [0.0, 0.0, 0.5, 1.0],
        [0.25, 0.25, 1.0, 0.5],
        [0.25, 0.25, 0.75, 0.75],
    ]
    assert truth.of(2).tolist() == [[0.0, 0.0, 0.5, 1.0], [0.25, 0.25, 1.0, 0.5]]
    assert truth.of(1).shape == (0, 4)
    assert truth.boxed.tolist() == [True, False, True, False, True]
    assert truth.widths.tolist() == [100, 0, 500, 0, 4]
    assert truth.heights.tolist() == [50, 0, 200, 0, 4]
    assert not truth.blacklisted.any()
    assert report == {
        "images": 5,
        "boxed_images": 3,
        "boxes": 4,
        "blacklisted": 0,
        "oddities": {"several-objects": [f"{ONE}_2"]},
    }
    assert read_metadata(data.folder / "out/truth.parquet") == {"split": "train"}
    assert "4 boxes of 3 images in" in caplog.text
    assert "2 of 5 images have none" in caplog.text
    assert ("3 hidden files" in caplog.text) == (form in ("macOS's", "folder"))


class Odd(NamedTuple):
    """An annotation of the first training image, its kinds and boxes, and the size that counts."""

    content: bytes
    kinds: list[str]
    boxes: list[tuple]
    size: tuple[int, int] = (100, 50)


ODD = {
    "nothing": Odd(xml((10, 5, 59, 44), filename=f"{ONE}_1"), [], [(0.1, 0.1, 0.6, 0.9)]),
    "suffix": Odd(xml((10, 5, 59, 44), filename=f"{ONE}_1.JPEG"), [], [(0.1, 0.1, 0.6, 0.9)]),
    "fraction": Odd(xml((12.5, 5, " 59 ", "4.4e1")), [], [(0.125, 0.1, 0.6, 0.9)]),
    "no depth": Odd(xml((0, 0, 99, 49), more=""), [], [WHOLE]),
    "entity": Odd(
        b"<!DOCTYPE a [<!ENTITY e 'n00000001'>]>" + xml((0, 0, 99, 49), names="&e;"), [], [WHOLE]
    ),
    "%s": Odd(xml((0, 0, 99, 49), filename="%s"), ["percent-s-filename"], [WHOLE]),
    "another": Odd(xml((0, 0, 99, 49), filename=f"{ONE}_2"), ["other-filename"], [WHOLE]),
    "words": Odd(xml((0, 0, 99, 49), names="Scottish_deerhound"), ["words-for-wnid"], [WHOLE]),
    "%s object": Odd(xml((0, 0, 99, 49), names="%s"), ["words-for-wnid"], [WHOLE]),
    "nameless": Odd(xml((0, 0, 99, 49), names=""), ["words-for-wnid"], [WHOLE]),
    "swapped": Odd(xml((59, 5, 10, 44)), ["swapped"], [(0.1, 0.1, 0.6, 0.9)]),
    "swapped twice": Odd(xml((59, 44, 10, 5)), ["swapped"], [(0.1, 0.1, 0.6, 0.9)]),
    "outside": Odd(xml((-10, 5, 59, 75)), ["outside"], [(0.0, 0.1, 0.6, 1.0)]),
    "swapped outside": Odd(xml((59, 75, -10, 5)), ["swapped", "outside"], [(0.0, 0.1, 0.6, 1.0)]),
    "wholly outside": Odd(xml((120, 5, 160, 45)), ["skipped-outside"], []),
    "beside": Odd(xml((100, 5, 160, 45)), ["skipped-outside"], []),
    "above": Odd(xml((10, -9, 60, -1)), ["skipped-outside"], []),
    "one pixel": Odd(xml((10, 5, 10, 5)), ["skipped-empty"], []),
    "no width": Odd(xml((10, 5, 10, 45)), ["skipped-empty"], []),
    "no height outside": Odd(xml((10, 60, 60, 60)), ["skipped-empty"], []),
    "one of two": Odd(
        xml((10, 5, 10, 45), (0, 0, 99, 49), names=[ONE, "dog"]),
        ["words-for-wnid", "several-objects", "skipped-empty"],
        [WHOLE],
    ),
    "no size": Odd(xml((10, 5, 19, 14), size=None), ["no-size"], [(0.25, 0.25, 0.5, 0.75)], SIZE),
    "zero size": Odd(
        xml((10, 5, 19, 14), size=(0, 0)), ["no-size"], [(0.25, 0.25, 0.5, 0.75)], SIZE
    ),
    "no height told": Odd(
        xml((10, 5, 19, 14), size=(100, " ")), ["no-size"], [(0.25, 0.25, 0.5, 0.75)], SIZE
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_annotations_are_read_and_counted(name, data):
    odd = ODD[name]
    truth, report = data.read("train", data.train(odd.content))
    assert report["oddities"] == {kind: [f"{ONE}_1"] for kind in odd.kinds}
    assert list(report["oddities"]) == [kind for kind in KINDS if kind in odd.kinds]
    assert list(map(tuple, truth.of(0).tolist())) == odd.boxes
    assert truth.starts[-1] == len(odd.boxes) == report["boxes"]
    assert (truth.widths[0], truth.heights[0]) == odd.size
    assert report["boxed_images"] == bool(odd.boxes)


@pytest.mark.parametrize("size", [(100, 50), (500, 375), (333, 499), (49, 2)])
def test_a_box_from_the_first_to_the_last_pixel_is_the_whole_image(size, data):
    content = xml((0, 0, size[0] - 1, size[1] - 1), size=size)
    truth, report = data.read("train", data.train(content))
    assert truth.of(0).tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert report["oddities"] == {}


@pytest.mark.parametrize(
    ("box", "relative"),
    [
        ((10, 5, 100, 44), (0.1, 0.1, 1.0, 0.9)),  # xmax is the width
        ((10, 5, 59, 50), (0.1, 0.1, 0.6, 1.0)),  # ymax is the height
        ((0, 0, 100, 50), WHOLE),
        ((99, 49, 100, 50), (0.99, 0.98, 1.0, 1.0)),  # the last pixel and its neighbours
        ((-1, 5, 59, 44), (0.0, 0.1, 0.6, 0.9)),
        ((10, -1, 59, 44), (0.1, 0.0, 0.6, 0.9)),
        ((-1, -1, 0, 0), (0.0, 0.0, 0.01, 0.02)),  # the first pixel and its neighbours
    ],
)
def test_a_box_with_a_pixel_beyond_the_image_is_outside_and_clamped(box, relative, data):
    truth, report = data.read("train", data.train(xml(box)))
    assert truth.of(0).tolist() == [[*relative]]
    assert report["oddities"] == {"outside": [f"{ONE}_1"]}


def test_an_image_without_any_size_is_left_unboxed(data):
    """Packing stops at such an image, or leaves it out too."""
    (data.folder / f"train/{ONE}/{ONE}_1.JPEG").write_bytes(b"\xff\xd8" + bytes(70_000))
    data.index("train", "--tree", data.folder / "train", "--on-bad-image", "skip")
    truth, report = data.read("train", data.train(xml((10, 5, 19, 14), size=None)))
    assert report["oddities"] == {"no-size": [f"{ONE}_1"], "unreadable-image": [f"{ONE}_1"]}
    assert (report["boxed_images"], truth.widths.tolist()) == (0, [0] * 5)


def test_every_kind_is_met():
    assert {*(kind for odd in ODD.values() for kind in odd.kinds), "unreadable-image"} == set(KINDS)


@pytest.mark.parametrize("behind", [10, 200_000])
def test_an_image_that_tells_its_size_late_is_read_whole(behind, data):
    """In an archive, between others."""
    segments = b"".join(b"\xff\xef\xfd\xea" + bytes(65_000) for _ in range(behind // 65_000))
    content = jpeg((80, 10))
    late = content[:2] + segments + content[2:]
    archive = {f"{name}.JPEG": late if name == VAL[1] else jpeg() for name in VAL}
    write(data.folder / "val.tar", tar(archive, "w"))
    words = ["--archive", data.folder / "val.tar", "--ground-truth", data.folder / "val.txt"]
    data.index("val", *words)
    changed = {f"val/{VAL[1]}.xml": xml((20, 1, 39, 4), size=None)}
    truth, report = data.read("val", data.archive({**VAL_BOXES, **changed}))
    assert truth.of(1).tolist() == [[0.25, 0.1, 0.5, 0.5]]
    assert (truth.widths.tolist(), truth.heights.tolist()) == ([40, 80, 40, 40], [20, 10, 20, 20])
    assert report["oddities"] == {"no-size": [VAL[1]]}


def test_boxes_of_kaggles_lists_are_parts_of_the_image_file(data):
    lines = {
        VAL[2]: f"{OTHER} 10 5 29 14",
        VAL[0]: f"{TWO} -4 0 19 19 {TWO} 29 14 20 5 ",
        VAL[3]: f"{ONE} 0 0 39 19",
        VAL[1]: f"{ONE} 40 0 59 19",
    }
    text = "\n".join(["ImageId,PredictionString", *(f"{n},{w}" for n, w in lines.items()), ""])
    path = write(data.folder / "LOC_val_solution.csv", text.encode())
    truth, report = data.read("val", path)
    assert truth.starts.tolist() == [0, 2, 2, 3, 4]
    assert truth.of(0).tolist() == [[0.0, 0.0, 0.5, 1.0], [0.5, 0.25, 0.75, 0.75]]
    assert truth.of(2).tolist() == [[0.25, 0.25, 0.75, 0.75]]
    assert truth.widths.tolist() == [40] * 4
    assert truth.heights.tolist() == [20] * 4
    assert report["oddities"] == {
        "several-objects": [VAL[0]],
        "swapped": [VAL[0]],
        "outside": [VAL[0]],
        "skipped-outside": [VAL[1]],
    }


def test_the_list_of_training_images_may_lack_some(data):
    path = data.folder / "LOC_train_solution.csv"
    path.write_text(f"ImageId,PredictionString\n{TWO}_7,{TWO} 10 5 29 14 \n")
    truth, _ = data.read("train", path)
    assert truth.boxed.tolist() == [False, False, False, True, False]
    assert truth.of(3).tolist() == [[0.25, 0.25, 0.75, 0.75]]


def test_boxes_of_images_whose_labels_are_withheld(data):
    words = ["--archive", data.folder / "val.tar", "--unlabelled"]
    data.index("test", *words)
    truth, report = data.read("test", data.archive(VAL_BOXES))
    assert truth.boxed.all()
    assert report["oddities"] == {}


def without(members, *names):
    return {name: content for name, content in members.items() if name not in names}


XXE = b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"
BAD_XML = {
    "empty": (b"", "is no readable XML (no element found"),
    "text": (b"a note", "is no readable XML (syntax error"),
    "cut": (xml((1, 1, 3, 3))[:-20], "is no readable XML"),
    "entity": (b"<a>&e;</a>", "is no readable XML (undefined entity"),
    "external": (XXE + xml((1, 1, 3, 3), names="&e;"), "is no readable XML (undefined entity"),
    "encoding": (b"<?xml version='1.0' encoding='none-such'?><a/>", "is no readable XML"),
    "page": (b"<html><body>404</body></html>", "has no <object>, so no box"),
    "no object": (xml(), "has no <object>, so no box"),
    "no number": (xml((1, 1, "wide", 3)), "a box or a size has 'wide' for a number"),
    "empty number": (xml((1, "", 3, 3)), "a box or a size has '' for a number"),
    "NaN": (xml((1, 1, "nan", 3)), "a box or a size has 'nan' for a number"),
    "endless": (xml((1, 1, "1e999", 3)), "a box or a size has '1e999' for a number"),
    "no box": (
        xml((1, 1, 3, 3)).replace(b"bndbox", b"box"),
        "a box or a size has '' for a number",
    ),
    "word for a size": (xml((1, 1, 3, 3), size=("big", 9)), "a box or a size has 'big'"),
    "negative size": (xml((1, 1, 3, 3), size=(-4, 9)), "its <size> is -4×9; correct it"),
    "huge size": (xml((1, 1, 3, 3), size=(1e10, 9)), "its <size> is 1e+10×9; correct it"),
    "class": (xml((1, 1, 3, 3), names=TWO), f"has an object of {TWO}, but {ONE}_1 is of {ONE}: "),
    "synset": (xml((1, 1, 3, 3), names=UNKNOWN), "labels and boxes do not belong together; give"),
}


@pytest.mark.parametrize("name", BAD_XML)
def test_a_wrong_annotation_is_named_with_its_archive(name, data):
    content, words = BAD_XML[name]
    message = data.refusal("train", data.train(content))
    assert f"boxes.tar.gz: {ONE}/{ONE}_1.xml: " in message
    assert words in message


def test_a_wrong_annotation_in_a_folder_is_named(data):
    path = write(data.folder / f"xmls/{ONE}/{ONE}_1.xml", b"a note")
    message = data.refusal("train", data.folder / "xmls")
    assert message.startswith(f"{path}: is no readable XML")


def test_validation_boxes_of_another_class_are_refused(data):
    other = {f"val/{VAL[0]}.xml": xml((1, 1, 3, 3), names=OTHER)}
    message = data.refusal("val", data.archive({**VAL_BOXES, **other}))
    assert f"val/{VAL[0]}.xml: has an object of {OTHER}, but {VAL[0]} is of {TWO}" in message
    assert "labels and boxes do not belong together" in message


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_annotation_of_no_image_of_the_split_is_refused(split, data):
    own = VAL_BOXES if split == "val" else SOME
    path = data.archive({**own, "x/other.xml": xml((1, 1, 3, 3))})
    message = data.refusal(split, path)
    count = 4 if split == "val" else 5
    assert f"x/other.xml: is about other, which is none of the {count} images of {split}" in message


def test_validation_images_without_boxes_are_counted_and_the_first_named(data):
    path = data.archive(without(VAL_BOXES, f"val/{VAL[1]}.xml", f"val/{VAL[3]}.xml"))
    message = data.refusal("val", path)
    assert f"boxes.tar.gz: says nothing of 2 of the 4 images of val, first {VAL[1]}; " in message
    csv = data.folder / "LOC_val_solution.csv"
    csv.write_text(f"ImageId,PredictionString\n{VAL[0]},{TWO} 1 1 3 3\n")
    assert f"says nothing of 3 of the 4 images of val, first {VAL[1]}" in data.refusal("val", csv)


def test_two_annotations_of_an_image_are_refused(data):
    path = data.archive({**SOME, f"more/{ONE}_2.xml": xml((1, 1, 3, 3))})
    message = data.refusal("train", path)
    assert f"more/{ONE}_2.xml: is a second one about {ONE}_2; remove one" in message


@pytest.mark.parametrize("members", [{}, MAC])
def test_an_archive_without_annotations_is_refused(members, data):
    assert "boxes.tar.gz: holds no annotations; is it" in data.refusal(
        "train", data.archive(members)
    )
    (data.folder / "empty").mkdir()
    assert "empty: holds no annotations; is it" in data.refusal("val", data.folder / "empty")
    csv = write(data.folder / "LOC_val_solution.csv", b"ImageId,PredictionString\n")
    assert "solution.csv: holds no annotations; is it" in data.refusal("val", csv)


def test_a_missing_archive_is_named_with_where_to_get_it(data):
    message = data.refusal("val", data.folder / "no-such.tgz")
    assert "no-such.tgz: no such file or folder. ILSVRC-2012 is distributed by https:" in message
    message = data.refusal("val", data.folder / "LOC_val_solution.csv")
    assert "LOC_val_solution.csv: no such file; it is part of Kaggle's" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a complete tar, or a damaged one (empty file); download it again"),
        (b"a note", "not a complete tar, or a damaged one (truncated header)"),
        (b"a page of HTML" * 100, "not a complete tar, or a damaged one (invalid header)"),
        (gzip.compress(b"a page of HTML" * 100), "a damaged one (invalid header)"),
        (b"PK\x03\x04" + bytes(600), "compressed (zip), but a tar or tar.gz is expected; unpack"),
        (tar(SOME, "w:xz"), "compressed (xz), but a tar or tar.gz is expected"),
        (tar(SOME, "w") + b"more", "holds more after its end"),
        (tar(SOME, "w").rstrip(b"\0") + bytes(900), "breaks off or is damaged"),
        (tar({f"{ONE}_1.JPEG": b"x"}), f"{ONE}_1.JPEG: is no XML by its name"),
        (tar({f"{ONE}.tar": b"a note"}), f"{ONE}.tar: not a complete tar, or a damaged one"),
    ],
    ids=["empty", "note", "page", "page.gz", "zip", "xz", "joined", "cut", "JPEG", "inside"],
)  # fmt: skip
def test_what_is_no_archive_of_boxes_is_refused(content, words, data):
    message = data.refusal("train", write(data.folder / "boxes.tar.gz", content))
    assert "boxes.tar.gz: " in message
    assert words in message


def test_a_link_is_refused(data):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        link = tarfile.TarInfo(f"{ONE}_1.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    message = data.refusal("train", write(data.folder / "boxes.tgz", stream.getvalue()))
    assert f"boxes.tgz: {ONE}_1.xml is a link or a device, not a file" in message
    (data.folder / "xmls").mkdir()
    (data.folder / f"xmls/{ONE}_1.xml").symlink_to(data.folder / "nowhere")
    message = data.refusal("train", data.folder / "xmls")
    assert f"{ONE}_1.xml: is neither a file nor a folder; remove it" in message


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("end", range(1, 20))
def test_an_archive_is_read_to_its_end_wherever_it_is_cut(mode, end, data):
    whole = tar(SOME, mode)
    # A tar is filled up with zeros; what counts ends with two blocks of them.
    needed = len(whole.rstrip(b"\0")) if mode == "w" else len(whole)
    short = write(data.folder / "boxes.tgz", whole[: needed * end // 20])
    message = data.refusal("train", short)
    assert "boxes.tgz: " in message
    assert "download" in message


def test_no_changed_byte_of_a_compressed_archive_goes_unnoticed(data):
    whole = tar(SOME)
    rng = np.random.default_rng(0)
    path = data.folder / "boxes.tgz"
    # Of gzip's header, ten bytes, nobody reads the time.
    for place in rng.choice(np.arange(10, len(whole)), 60, replace=False):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        assert "boxes.tgz: " in data.refusal("train", path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{VAL[0]},{TWO} 1 2 3", "line 2: expected a WNID and four numbers for each box"),
        (f"{VAL[0]},{TWO}", "line 2: expected a WNID and four numbers for each box"),
        (f"{VAL[0]},{TWO} 1 2 3 wide", "line 2: a box or a size has 'wide' for a number"),
        (f"{VAL[0]},dog 1 2 3 4", "line 2: 'dog' is no WNID"),
        (f"{VAL[0]},{OTHER} 1 2 3 4", f"line 2: has an object of {OTHER}, but {VAL[0]} is "),
        (f"other,{TWO} 1 2 3 4", "line 2: is about other, which is none of the 4 images of val"),
        (f"{VAL[0]},{TWO} 1 2 3 4\n{VAL[0]},{TWO} 1 2 3 4", "line 3: no WNID, or a second line"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_kaggles_list_is_named(line, words, data):
    path = data.folder / "LOC_val_solution.csv"
    path.write_text(f"ImageId,PredictionString\n{line}\n")
    message = data.refusal("val", path)
    assert f"LOC_val_solution.csv, {words}" in message


def test_images_that_have_changed_since_they_were_indexed_are_refused(data):
    boxes = data.train(xml((10, 5, 19, 14), size=None))
    image = data.folder / f"train/{ONE}/{ONE}_1.JPEG"
    image.write_bytes(jpeg((80, 80)))
    assert f"{ONE}_1.JPEG: has changed since it was indexed" in data.refusal("train", boxes)
    image.unlink()
    message = data.refusal("train", boxes)
    assert f"{ONE}_1.JPEG: no such file, though it was there when it was indexed" in message


def test_an_archive_that_was_not_verified_is_refused(data):
    boxes = data.archive(VAL_BOXES)
    record = {"archive": str(boxes), "bytes": 1, "modified_ns": 1}
    (data.folder / "verified.json").write_text(json.dumps(record))
    message = data.refusal("val", boxes, "--verified", data.folder / "verified.json")
    assert "boxes.tar.gz: has changed since its MD5 sum was verified" in message


def test_blacklisted_images_are_numbered_in_the_order_of_file_names(tmp_path, data):
    """As `ls` sorts them: "a-1.JPEG" before "a.JPEG", though "a" < "a-1"."""
    names = ["a", "a-1", "b"]
    write(tmp_path / "val.tar", tar({f"{name}.JPEG": jpeg() for name in names}, "w"))
    data.index("val", "--archive", tmp_path / "val.tar", "--unlabelled")
    boxes = data.archive({f"val/{name}.xml": xml((1, 1, 3, 3)) for name in names})
    (tmp_path / "blacklist.txt").write_bytes(b"\xef\xbb\xbf3\r\n 1 \r\n\r\n")
    truth, report = data.read("val", boxes, "--blacklist", tmp_path / "blacklist.txt")
    assert dict(zip(truth.ids, truth.blacklisted.tolist(), strict=True)) == {
        "a-1": True,
        "a": False,
        "b": True,
    }
    assert report["blacklisted"] == 2
    assert report["boxed_images"] == 3


def of_a_subset(data):
    """The same data with two of the three classes."""
    classes = pd.read_parquet(data.folder / "classes.parquet")
    write_class_table(data.folder / "classes.parquet", classes, [0, 2])
    data.index("train", "--tree", data.folder / "train")
    truth = ("--ground-truth", str(data.folder / "val.txt"))
    data.index("val", "--archive", data.folder / "val.tar", *truth)
    return data


@pytest.mark.parametrize("form", FORMS)
def test_boxes_of_other_classes_than_a_subsets_are_passed_over(form, data):
    whole, _ = data.read("train", FORMS[form](data.folder))
    other = {f"{TWO}/{TWO}_7.xml": b"<no XML>", f"{TWO}/{TWO}_8.xml": xml((1, 1, 2, 2), names=TWO)}
    boxes = data.archive({**SOME, **other}) if form == "tgz" else FORMS[form](data.folder)
    own, report = of_a_subset(data).read("train", boxes)
    assert own.ids == [name for name in TRAIN if not name.startswith(TWO)]
    for place, name in enumerate(own.ids):
        assert own.of(place).tolist() == whole.of(TRAIN.index(name)).tolist()
    assert report["boxed_images"] == 3


def test_boxes_and_blacklist_of_a_subset_are_those_of_its_images(data):
    own = of_a_subset(data)
    (data.folder / "blacklist.txt").write_text("1\n4\n")
    found = own.read("val", own.archive(VAL_BOXES), "--blacklist", data.folder / "blacklist.txt")
    assert found[0].ids == VAL[1:]  # the first is of the class that is left out
    assert found[0].blacklisted.tolist() == [False, False, True]
    assert found[0].boxed.all()
    lacking = {name: content for name, content in VAL_BOXES.items() if VAL[2] not in name}
    message = own.refusal("val", own.archive(lacking))
    assert f"says nothing of 1 of the 3 images of val, first {VAL[2]}" in message


def test_a_blacklist_needs_numbers_in_the_names_of_a_subsets_images(tmp_path, data):
    names = ["a", "b", "c"]
    write(tmp_path / "val.tar", tar({f"{name}.JPEG": jpeg() for name in names}, "w"))
    (tmp_path / "val.txt").write_text("3\n3\n1\n")
    own = of_a_subset(data)
    boxes = own.archive({f"val/{name}.xml": xml((1, 1, 3, 3)) for name in names[:2]})
    (tmp_path / "blacklist.txt").write_text("1\n")
    message = own.refusal("val", boxes, "--blacklist", tmp_path / "blacklist.txt")
    assert "blacklist.txt: numbers the images of all classes, and the name a tells no" in message
    assert "set data.archives.blacklist to null" in message


@pytest.mark.parametrize("year", [2014, 2017])
@pytest.mark.parametrize("folder", ["", "kit/", "./a/kit/"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_the_blacklist_of_a_development_kit(mode, folder, year, data):
    kit = {
        f"{folder}data/ILSVRC{year}_clsloc_validation_ground_truth.txt": b"x\n",
        f"{folder}data/ILSVRC{year}_clsloc_validation_blacklist.txt": b"2\n4\n",
    }
    path = write(data.folder / "devkit.tar.gz", tar(kit, mode))
    truth, _ = data.read("val", data.archive(VAL_BOXES), "--blacklist", path)
    assert truth.blacklisted.tolist() == [False, True, False, True]
    lacking = write(path, tar(dict([*kit.items()][:1]), mode))
    message = data.refusal("val", data.archive(VAL_BOXES), "--blacklist", lacking)
    assert "devkit.tar.gz: holds no data/ILSVRC20??_clsloc_validation_blacklist.txt" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n0\n", "line 2: expected an image's number from 1 to 4, found '0'"),
        ("5\n", "line 1: expected an image's number from 1 to 4, found '5'"),
        ("-1\n", "line 1: expected an image's number from 1 to 4, found '-1'"),
        ("two\n", "line 1: expected an image's number from 1 to 4, found 'two'"),
        ("²\n", "line 1: expected an image's number from 1 to 4, found '²'"),
        (f"{VAL[0]}\n", f"line 1: expected an image's number from 1 to 4, found '{VAL[0]}'"),
        ("3\n1\n\n3\n", "line 4: names image 3 a second time; remove one line"),
    ],
)
def test_a_wrong_line_of_a_blacklist_is_named(text, words, data):
    path = data.folder / "blacklist.txt"
    path.write_text(text)
    message = data.refusal("val", data.archive(VAL_BOXES), "--blacklist", path)
    assert f"blacklist.txt, {words}" in message


def test_blacklists_that_are_none(data):
    boxes, path = data.archive(VAL_BOXES), data.folder / "blacklist.txt"
    message = data.refusal("val", boxes, "--blacklist", path)
    assert "blacklist.txt: no such file. The blacklist is in the development kits" in message
    path.write_bytes(tar({"data/a.txt": b"1\n" * 999})[:-20])
    assert "blacklist.txt: not a complete tar, or a" in data.refusal(
        "val", boxes, "--blacklist", path
    )
    path.write_text("1\n")
    message = data.refusal("train", data.archive(SOME), "--blacklist", path)
    assert "blacklist.txt: a blacklist is about images that are tested on" in message


@pytest.mark.parametrize(("images", "lines"), [(50_000, 1_762), (50_000, 1_761), (100, 9)])
def test_a_blacklist_of_another_length_is_a_warning(images, lines, tmp_path, caplog):
    (tmp_path / "blacklist.txt").write_text("".join(f"{n}\n" for n in range(1, lines + 1)))
    assert read_blacklist(tmp_path / "blacklist.txt", images).sum() == lines
    warned = "blacklist.txt: names 1761 images, but ILSVRC's blacklist 1762" in caplog.text
    assert warned == (lines == 1_761)
    assert len(caplog.records) == warned


def some_truth(**changes):
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(0, 1, (4, 2, 2)), axis=1).reshape(4, 4)
    values = {
        "ids": ["a", "b", "c", "é"],
        "starts": np.array([0, 1, 1, 4, 4]),
        "boxes": boxes,
        "widths": np.array([500, 0, 333, 20], np.int32),
        "heights": np.array([375, 0, 500, 10], np.int32),
        "blacklisted": np.array([True, False, False, False]),
    }
    return Truth(**{**values, **changes})


def test_true_boxes_are_read_as_they_were_written(tmp_path):
    truth = some_truth()
    write_truth(tmp_path / "truth.parquet", truth, {"split": "val"})
    found = read_truth(tmp_path / "truth.parquet")
    assert found.ids == truth.ids
    for name, kind in {
        "starts": np.int64, "boxes": np.float64, "widths": np.int32, "heights": np.int32,
        "blacklisted": bool,
    }.items():  # fmt: skip
        assert getattr(found, name).dtype == kind
        assert np.array_equal(getattr(found, name), getattr(truth, name)), name
    table = pd.read_parquet(tmp_path / "truth.parquet")  # as others read it
    assert table.columns.tolist() == ["id", "width", "height", "boxes", "blacklisted"]
    assert list(table["boxes"][0][0]) == ["xmin", "ymin", "xmax", "ymax"]
    assert list(table["boxes"][0][0].values()) == truth.boxes[0].tolist()
    assert [len(boxes) for boxes in table["boxes"]] == [1, 0, 3, 0]


def changed_box(value):
    boxes = some_truth().boxes.copy()
    boxes[2] = value
    return {"boxes": boxes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": ["a", "c", "b", "d"]}, "b comes behind c"),
        ({"ids": ["a", "b", "b", "d"]}, "b comes behind b"),
        (changed_box([0, 0, 1.5, 1]), "c has the box [0.0, 0.0, 1.5, 1.0]"),
        (changed_box([-0.5, 0, 1, 1]), "c has the box [-0.5, 0.0, 1.0, 1.0]"),
        (changed_box([0.5, 0, 0.5, 1]), "c has the box [0.5, 0.0, 0.5, 1.0]"),
        (changed_box([0, 1, 1, 0]), "c has the box [0.0, 1.0, 1.0, 0.0]"),
        (changed_box([np.nan, 0, 1, 1]), "c has the box [nan, 0.0, 1.0, 1.0]"),
        ({"widths": np.array([500, 0, 0, 20], np.int32)}, "c has 0×500 pixels"),
        ({"widths": np.array([500, 1, 333, 20], np.int32)}, "b has 1×0 pixels"),
        (
            {"widths": np.array([0, 0, 333, 20]), "heights": np.array([0, 0, 500, 10])},
            "a has 0×0 pixels",
        ),
        ({"widths": np.array([500, 0, 333, -20])}, "é has -20×10 pixels"),
    ],
)
def test_true_boxes_that_cannot_be_are_damaged(changes, words, tmp_path):
    path = tmp_path / "truth.parquet"
    write_truth(path, some_truth(**changes), {})
    with pytest.raises(InputError) as caught:
        read_truth(path)
    assert f"{path}: is damaged: {words}. Is it the right file" in str(caught.value)


def test_true_boxes_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "truth.parquet"
    with pytest.raises(InputError, match=r"truth\.parquet: no such file"):
        read_truth(path)
    write_truth(path, some_truth(), {})
    changed = bytearray(path.read_bytes())
    changed[60] ^= 1
    path.write_bytes(changed)
    with pytest.raises(InputError, match=r"truth\.parquet: is damaged: its checksum is another"):
        read_truth(path)
    columns = {"id": ["a"], "width": [1], "height": [1], "boxes": [[1.0]], "blacklisted": [False]}
    write_parquet(path, pa.table(columns))
    with pytest.raises(InputError, match="its column width is int64, not int32; is it true boxes"):
        read_truth(path)
    write_parquet(path, pa.table({"id": ["a"]}))
    with pytest.raises(InputError, match="has no column width, height, boxes, blacklisted"):
        read_truth(path)


@pytest.mark.parametrize("name", ["id", "boxes", "blacklisted", "xmax"])
def test_true_boxes_with_a_value_missing_are_damaged(name, tmp_path):
    path = tmp_path / "truth.parquet"
    box = {"xmin": 0.0, "ymin": 0.0, "xmax": 1.0, "ymax": 1.0}
    row = {"id": "a", "width": 1, "height": 1, "boxes": [box], "blacklisted": False}
    (box if name == "xmax" else row)[name] = None
    write_truth(path, some_truth(), {})
    write_parquet(path, pa.Table.from_pylist([row], pq.read_schema(path)))
    with pytest.raises(InputError, match=f"is damaged: 1 values of {name} are missing"):
        read_truth(path)


def test_true_boxes_are_read_without_pandas(tmp_path):
    """Each training reads them at its start."""
    write_truth(tmp_path / "truth.parquet", some_truth(), {})
    code = (
        "import sys; from workflow_scripts.vgg.data.truth import read_truth; "
        f"read_truth({str(tmp_path / 'truth.parquet')!r}); print('pandas' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (found.stdout.strip(), found.stderr) == ("False", "")
