"""The command that indexes other data sets: what it writes, and that refused it leaves nothing."""

import io
import os
import re
import tarfile
import zipfile
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.helpers.clones import ROOT
from tests.helpers.refusals import refusal
from tests.helpers.runs import run_of
from workflow_scripts import index_examples, index_images, pack_shards, verify_archive
from workflow_scripts.vgg.core.files import InputError, md5
from workflow_scripts.vgg.core.parquet import read_metadata, write_frame
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.examples import read_examples
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.settings import transfer_rules


def jpeg(colour, size=(90, 70)):
    content = io.BytesIO()
    Image.new("RGB", size, (colour, 9, 99)).save(content, "JPEG")
    return content.getvalue()


CLASSES = {f"{name}/{n}.jpg": jpeg(9 * n) for name in ("bg", "cat") for n in (1, 2, 3)}
STRAYS = {"cat/notes": b"x", "bg/old/1.jpg": jpeg(3), "cat/._1.jpg": b"\0\5\x16\7"}
VOC = {
    **{f"JPEGImages/{name}.jpg": jpeg(9 * place) for place, name in enumerate("badc")},
    "Annotations/a.xml": b"<annotation><object><name>person</name><bndbox><xmin>1</xmin>"
    b"<ymin>11</ymin><xmax>40</xmax><ymax>70</ymax></bndbox></object></annotation>",
    "ImageSets/Main/train.txt": b"b\na\n",
    "ImageSets/Main/val.txt": b"c\n",
    "ImageSets/Main/test.txt": b"d\n",
    "ImageSets/Main/cat_train.txt": b"b 1\na 0\n",
    "ImageSets/Main/cat_val.txt": b"c -1\n",
    "ImageSets/Action/train.txt": b"a\n",
    "ImageSets/Action/val.txt": b"b\n",
    "ImageSets/Action/reading_train.txt": b"a 1 1\n",
    "ImageSets/Action/reading_val.txt": b"b 1 0\n",
}
VOC["Annotations/b.xml"] = VOC["Annotations/a.xml"]


def tar_of(files, mode="w", outer="x/"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{outer}{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class Made(NamedTuple):
    """What the command wrote."""

    index: pd.DataFrame
    state: dict
    examples: object
    report: dict
    unpacked: bytes


def outputs(folder):
    names = {"unpacked": "images.bin", "index": "index.parquet", "report": "report.json"}
    return [word for name, file in names.items() for word in (f"--{name}", str(folder / file))]


def command(kind, *sources, folder, more=()):
    words = ["--kind", kind, "--sources", *map(str, sources), *more, *outputs(folder)]
    index_examples.main([*words, "--output", str(folder / "examples.parquet")])
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "examples.parquet", "images.bin", "index.parquet", "report.json",
    ]  # fmt: skip
    return Made(
        pd.read_parquet(folder / "index.parquet"),
        read_metadata(folder / "index.parquet"),
        read_examples(folder / "examples.parquet"),
        read_json(folder / "report.json"),
        (folder / "images.bin").read_bytes(),
    )


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def bytes_at(row):
    with open(row.file, "rb") as file:
        file.seek(row.offset)
        return file.read(row.size)


def test_an_index_is_as_that_of_other_images(out, tmp_path):
    images = {f"{number}.JPEG": jpeg(number) for number in range(3)}
    archive = write(tmp_path / "val.tar", tar_of(images, outer=""))
    write_frame(
        tmp_path / "classes.parquet",
        pd.DataFrame({"label": [0], "wnid": ["n00000001"], "ilsvrc2012_id": [1]}),
    )
    words = ["--classes", tmp_path / "classes.parquet", "--archive", archive, "--unlabelled"]
    index_images.main([*map(str, words), "--output", str(tmp_path / "other.parquet")])
    other = pd.read_parquet(tmp_path / "other.parquet")
    made = command("voc", write(tmp_path / "VOC.tar", tar_of(VOC)), folder=out)
    assert made.index.dtypes.tolist() == other.dtypes.tolist()
    assert made.index.columns.tolist() == other.columns.tolist()
    assert made.index["id"].tolist() == made.examples.image_ids == ["a", "b", "c", "d"]
    assert made.index["label"].tolist() == [-1] * 4
    for row in made.index.itertuples():
        assert bytes_at(row) == VOC[f"JPEGImages/{row.id}.jpg"]
    assert made.unpacked == b""


def test_what_is_said_of_objects_is_reported(out, tmp_path):
    archive = write(tmp_path / "VOC.tar", tar_of(VOC | {"JPEGImages/._a.jpg": b"x"}))
    made = command("voc", archive, folder=out)
    assert made.state == {"archive_bytes": {str(archive): archive.stat().st_size}}
    assert made.report == {
        "images": 4,
        "examples": {"train": 2, "val": 1, "test": 1},
        "withheld": 1,
        "classes": ["cat"],
        "not_scored": [],
        "difficult": 1,
        "unlisted": 0,
        "strays": [],
        "hidden": 1,
    }
    assert read_metadata(out / "examples.parquet")["kind"] == "voc"


def test_what_is_said_of_people_is_reported(out, tmp_path):
    for name, content in VOC.items():
        write(tmp_path / "VOC2012" / name, content)
    made = command("actions", tmp_path / "VOC2012", folder=out)
    assert made.state == {"whole_files": True}
    assert made.index["offset"].tolist() == [0, 0]
    assert made.examples.ids == ["a:1", "b:1"]
    assert made.examples.boxes.tolist() == [[0, 10, 40, 70]] * 2
    assert made.report["examples"] == {"train": 1, "val": 1}
    assert made.report["classes"] == ["other", "reading"]
    assert made.report["not_scored"] == ["other"]
    assert (made.report["difficult"], made.report["unlisted"]) == (1, 0)
    assert made.report["images"] == 2


def test_people_whom_an_actions_list_leaves_out_are_counted_apart(out, tmp_path):
    more = {
        "ImageSets/Action/running_train.txt": b"a 1 1\n",
        "ImageSets/Action/running_val.txt": b"",
    }
    for name, content in {**VOC, **more}.items():
        write(tmp_path / "VOC2012" / name, content)
    made = command("actions", tmp_path / "VOC2012", folder=out)
    assert (made.report["difficult"], made.report["unlisted"]) == (1, 1)
    assert made.examples.listed.tolist() == [[True] * 3, [True, True, False]]


def test_archives_and_folders_together_are_both_told(out, tmp_path):
    lists = {k: v for k, v in VOC.items() if "JPEG" not in k}
    archive = write(tmp_path / "VOC.tar", tar_of({k: VOC[k] for k in VOC.keys() - lists}))
    for name, content in (lists | {"JPEGImages/z.jpg": jpeg(1)}).items():
        write(tmp_path / "more" / name, content)
    write(tmp_path / "more/ImageSets/Main/test.txt", b"d\nz\n")
    made = command("voc", archive, tmp_path / "more", folder=out)
    assert made.state == {
        "archive_bytes": {str(archive): archive.stat().st_size},
        "whole_files": True,
    }


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_is_said_of_classes_is_reported(mode, out, tmp_path):
    archive = write(tmp_path / "a.tar.gz", tar_of(CLASSES | STRAYS, mode))
    made = command("folders", archive, folder=out, more=["--background", "bg"])
    ids = ["bg/1", "bg/2", "bg/3", "cat/1", "cat/2", "cat/3"]
    assert made.index["id"].tolist() == made.examples.image_ids == ids
    for row in made.index.itertuples():
        assert bytes_at(row) == CLASSES[f"{row.id}.jpg"]
    assert made.report == {
        "images": 6,
        "examples": {"": 6},
        "withheld": 0,
        "classes": ["bg", "cat"],
        "not_scored": [],
        "difficult": 0,
        "unlisted": 0,
        "strays": ["bg/old", "cat/notes"],
        "hidden": 1,
    }
    file = archive if mode == "w" else out / "images.bin"
    assert set(made.index["file"]) == {str(file)}
    assert made.state == {"archive_bytes": {str(file): file.stat().st_size}}
    assert bool(made.unpacked) == (mode == "w:gz")


def test_the_same_sources_give_the_same_bytes(tmp_path):
    archive = write(tmp_path / "a.tar.gz", tar_of(CLASSES | STRAYS, "w:gz"))
    contents = []
    for _ in range(2):
        (tmp_path / "out").mkdir(exist_ok=True)
        command("folders", archive, folder=tmp_path / "out")
        contents.append([path.read_bytes() for path in sorted((tmp_path / "out").glob("[a-z]*"))])
    assert contents[0] == contents[1]


def test_images_in_folders_can_be_packed(out, tmp_path):
    for name, content in CLASSES.items():
        write(tmp_path / "classes" / name, content)
    made = command("folders", tmp_path / "classes", folder=out)
    words = ["--index", out / "index.parquet", "--shard", 0, "--shards", 1, "--crop", 64]
    words += ["--report", tmp_path / "packing.json", "--output", tmp_path / "0.arrow"]
    pack_shards.main([*map(str, words)])
    assert len(Shards([str(tmp_path / "0.arrow")])) == len(made.index) == 6


def odd_jpegs():
    """Images of one channel, of four, and one whose end is missing."""
    found = {}
    for number, mode in enumerate(["L", "CMYK", "RGB"], 1):
        content = io.BytesIO()
        noise = np.random.default_rng(number).integers(0, 255, (70, 90, 3), np.uint8)
        Image.fromarray(noise).convert(mode).save(content, "JPEG")
        found[f"odd/{number}.jpg"] = content.getvalue()
    found["odd/3.jpg"] = found["odd/3.jpg"][: len(found["odd/3.jpg"]) // 2]
    return found


def test_odd_images_are_packed_and_a_broken_one_is_refused_by_name(out, tmp_path):
    archive = write(tmp_path / "256_ObjectCategories.tar", tar_of(CLASSES | odd_jpegs()))
    made = command("folders", archive, folder=out)
    words = ["--index", out / "index.parquet", "--shard", 0, "--shards", 1, "--crop", 64]
    words += ["--report", tmp_path / "packed/0.json"]
    message = refusal("pack_shards", *words, output=tmp_path / "packed/0.arrow")
    assert f"{archive}: odd/3: cannot be decoded as an image" in message
    assert "repair or replace it, or leave such images out with data.on_bad_image" in message
    words += ["--on-bad-image", "skip", "--output", tmp_path / "packed/0.arrow"]
    pack_shards.main([*map(str, words)])
    assert list(Shards([str(tmp_path / "packed/0.arrow")]).ids()) == [
        name for name in made.examples.image_ids if name != "odd/3"
    ]
    oddities = read_json(tmp_path / "packed/0.json")["oddities"]
    assert (oddities["grey-scale"], oddities["cmyk"]) == (["odd/1"], ["odd/2"])


def test_a_bad_image_stops_the_command_or_is_left_to_packing(out, tmp_path, caplog):
    archive = write(tmp_path / "a.tar", tar_of(CLASSES | {"cat/2.jpg": b""}))
    with pytest.raises(InputError, match=r"a\.tar: cat/2 has no bytes; repair or replace it"):
        command("folders", archive, folder=out)
    assert list(out.iterdir()) == []
    made = command("folders", archive, folder=out, more=["--on-bad-image", "skip"])
    assert made.index["size"].tolist().count(0) == 1
    assert "packing will leave it out" in caplog.text


def test_an_archive_that_changed_since_it_was_verified_is_refused(out, tmp_path):
    archive, record = write(tmp_path / "VOC.tar", tar_of(VOC)), tmp_path / "VOC.json"
    words = ["--archive", archive, "--md5", md5(archive), "--output", record]
    verify_archive.main([*map(str, words)])
    command("voc", archive, folder=out, more=["--verified", str(record)])
    for path in out.iterdir():
        path.unlink()
    os.utime(archive, (1, 1))
    with pytest.raises(InputError, match=r"VOC\.tar: has changed since its MD5 sum was verified"):
        command("voc", archive, folder=out, more=["--verified", str(record)])
    assert list(out.iterdir()) == []


def test_an_archive_of_the_future_is_refused(out, tmp_path):
    archive = write(tmp_path / "VOC.tar", tar_of(VOC))
    os.utime(archive, (2**33, 2**33))
    with pytest.raises(InputError, match=r"VOC\.tar: was changed in the future"):
        command("voc", archive, folder=out)
    assert list(out.iterdir()) == []


REFUSED = {
    "voc": ({"ImageSets/Main/cat_val.txt": b"c 5\n"}, "cat_val.txt, line 1: has the label '5'"),
    "actions": ({"Annotations/b.xml": b"<annotation"}, "b.xml: is no readable XML"),
    "folders": ({"new/1.jpg": jpeg(1)}, "the class new has fewer than 2 images (1)"),
}


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("voc", ["--test", "labelled"], "the labels of 1 test examples are withheld; set test:"),
        ("voc", ["--images", "5"], "4 images, but 5 are expected; get what is missing, or correct"),
        ("folders", ["--images", "7"], "6 images, but 7 are expected; get what is missing"),
        ("actions", ["--test", "withheld"], "holds no test set; add its archive to `sources`, or"),
    ],
)
def test_what_is_not_as_asked_is_refused_and_nothing_is_left(kind, more, words, out, tmp_path):
    mode = "w:gz" if kind == "folders" else "w"
    archive = write(tmp_path / "a.tar", tar_of(CLASSES if kind == "folders" else VOC, mode))
    with pytest.raises(InputError) as caught:
        command(kind, archive, folder=out, more=more)
    assert str(caught.value).startswith(f"{archive}: {words}")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("kind", list(REFUSED))
def test_a_refused_command_leaves_nothing_and_ends_with_status_1(kind, out, tmp_path):
    change, words = REFUSED[kind]
    files = (CLASSES if kind == "folders" else VOC) | change
    mode = "w:gz" if kind == "folders" else "w"
    archive = write(tmp_path / "a.tar", tar_of(files, mode))
    message = refusal(
        "index_examples", "--kind", kind, "--sources", archive, *outputs(out),
        output=out / "examples.parquet",
    )  # fmt: skip
    assert message.startswith(f"error: {archive}")
    assert words in message


def test_a_background_is_of_folders_alone(out, tmp_path):
    archive = write(tmp_path / "VOC.tar", tar_of(VOC))
    with pytest.raises(InputError, match=r"--background bg: only --kind folders has a background"):
        command("voc", archive, folder=out, more=["--background", "bg"])
    assert list(out.iterdir()) == []


def example_of_the_manual():
    """The entry of a data set of one's own that config/README.md shows."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "config/README.md").read_text(), re.DOTALL)
    (entry,) = (yaml.safe_load(block) for block in blocks if "\ntransfer:" in block)
    (own,) = entry["transfer"]["data_sets"].values()
    return own


def own_set(entry, out):
    """What the workflow's command makes of one's own data set: of one entry of a configuration."""
    run = run_of(transfer={"data_sets": {"own": entry}})
    words = [*transfer_rules.index_options(run, "own"), *outputs(out)]
    index_examples.main([*words, "--output", str(out / "examples.parquet")])
    return read_examples(out / "examples.parquet"), read_json(out / "report.json")


@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz", "zip"])
def test_folders_of_ones_own_need_one_entry_alone(form, out, tmp_path):
    png = io.BytesIO()
    Image.new("L", (9, 9)).save(png, "PNG")
    files = CLASSES | {"cat/4.JPG": jpeg(4), "bg/grey.png": png.getvalue()}
    if form == "folder":
        source = "flowers"
        for name, content in files.items():
            write(tmp_path / source / name, content)
    else:
        source = f"flowers.{form}"
        if form == "zip":
            with zipfile.ZipFile(tmp_path / source, "w") as archive:
                for name, content in files.items():
                    archive.writestr(f"flowers/{name}", content)
        else:
            write(tmp_path / source, tar_of(files, "w" if form == "tar" else "w:gz"))
    entry = example_of_the_manual() | {"directory": str(tmp_path), "sources": [source]}
    examples, report = own_set(entry, out)
    assert examples.ids == ["bg/1", "bg/2", "bg/3", "bg/grey", "cat/1", "cat/2", "cat/3", "cat/4"]
    assert examples.classes == ["bg", "cat"]
    assert report["strays"] == []


@pytest.mark.parametrize("form", ["folder", "tar"])
@pytest.mark.parametrize("test", ["withheld", "absent"])
def test_a_set_in_vocs_form_of_ones_own_needs_one_entry_alone(form, test, out, tmp_path):
    files = {name: content for name, content in VOC.items() if "Action" not in name}
    source = "mine" if form == "folder" else "mine.tar"
    if form == "folder":
        for name, content in files.items():
            write(tmp_path / source / name, content)
    else:
        write(tmp_path / source, tar_of(files, outer="mine/"))
    kept = ("title", "directory", "sources", "md5", "images", "shards", "Q", "scale_pooling")
    entry = {name: example_of_the_manual()[name] for name in kept}
    entry |= {"kind": "voc", "directory": str(tmp_path), "sources": [source]}
    entry |= {"test": test, "average_precision": "area"}
    entry |= {"server_folder": "MINE"} if test == "withheld" else {}
    examples, _ = own_set(entry, out)
    assert examples.ids == (["a", "b", "c"] if test == "absent" else ["a", "b", "c", "d"])
    assert examples.known.tolist() == [True] * 3 + [False] * (test == "withheld")


def test_labels_are_as_typed(out, tmp_path):
    made = command("voc", write(tmp_path / "VOC.tar", tar_of(VOC)), folder=out)
    assert made.examples.labels.tolist() == [[0], [1], [-1], [0]]
    assert made.examples.known.tolist() == [True, True, True, False]
    assert made.examples.labels.dtype == np.int8
