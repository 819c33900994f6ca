"""Broken data sets: a message naming file and cure, exit status 1, nothing half-written.

Each case runs the command as the workflow does. Then packing that leaves images out, or is killed.
"""

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.conftest import ARCHIVES, IMAGES, ROOT
from tests.helpers.evaluations import posteriors_of
from tests.helpers.forms import mutations
from tests.helpers.odd_images import odd_images, undecodable_images
from workflow_scripts import pack_shards, report_packing
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.images import FORMATS, decode
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.data.sources import devkit
from workflow_scripts.vgg.data.sources.archives import image_members
from workflow_scripts.vgg.data.sources.members import HEAD, flaw
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"


def start(command, *words):
    return subprocess.Popen(
        [sys.executable, "-m", f"workflow_scripts.{command}", *map(str, words)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def refusal(command, *words, output):
    """The message of a command that must fail and leave nothing in its output's folder."""
    output.parent.mkdir(parents=True, exist_ok=True)
    before = sorted(output.parent.iterdir())
    process = start(command, *words, "--output", output)
    _, message = process.communicate()
    assert process.returncode == 1, message
    assert "Traceback" not in message
    assert sorted(output.parent.iterdir()) == before, "something half-written is left"
    return message.strip().splitlines()[-1]


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read_tar(path):
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}


def indexing(archive, packed, tmp_path, *words, images=24):
    """The refusal of indexing an archive."""
    words = ["--archive", archive, "--classes", packed / "classes.parquet", *words]
    return refusal("index_images", *words, "--images", images, output=tmp_path / "out/i.parquet")


def packing(archive, tmp_path, *words):
    """The refusal of packing an archive of few images."""
    index = tmp_path / "index.parquet"
    members = pd.DataFrame([vars(member) for member in image_members(archive)])
    write_frame(index, members.assign(label=0))
    report = ["--report", tmp_path / "out/0.json"]
    words = ["--index", index, "--shard", 0, "--shards", 1, *report, *words]
    return refusal("pack_shards", *words, output=tmp_path / "out/0.arrow")


def test_a_missing_archive(packed, tmp_path):
    message = indexing(tmp_path / "no-such.tar", packed, tmp_path)
    assert "no-such.tar: no such file. ILSVRC-2012 is distributed by https://image-net" in message
    assert "data.directory" in message


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_truncated_archive(split, archives, packed, tmp_path):
    whole = (archives / ARCHIVES[split]).read_bytes()
    short = tmp_path / ARCHIVES[split]
    short.write_bytes(whole[: len(whole) // 2 + 100])
    message = indexing(short, packed, tmp_path, images=IMAGES[split])
    assert ARCHIVES[split] in message
    assert "download" in message


@pytest.mark.parametrize("missing", [11, IMAGES["val"]])
def test_a_validation_archive_with_an_image_missing(missing, archives, packed, tmp_path):
    members = read_tar(archives / ARCHIVES["val"])
    del members[f"ILSVRC2012_val_{missing:08d}.JPEG"]
    path = write_tar(tmp_path / "val.tar", members)
    message = indexing(path, packed, tmp_path, "--ground-truth", archives / DEVKIT)
    assert f"holds 23 images, 24 expected; missing: ILSVRC2012_val_{missing:08d}; " in message
    assert "data.images" in message


def test_a_ground_truth_with_too_few_lines(archives, packed, tmp_path):
    truth = tmp_path / "truth.txt"
    truth.write_text("1\n2\n")
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path, "--ground-truth", truth)
    assert "truth.txt: 2 lines for 24 images" in message


def test_a_ground_truth_with_an_id_that_is_no_class(archives, packed, tmp_path):
    truth = tmp_path / "truth.txt"
    truth.write_text("11\n" * 24)
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path, "--ground-truth", truth)
    assert "truth.txt: IDs from 11 to 11, but the classes are 1–10" in message


def test_labels_that_nothing_tells(archives, packed, tmp_path):
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path)
    assert "neither folders nor a ground truth tell the images' classes" in message


def test_a_foreign_file_in_an_archive(packed, tmp_path):
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": b"x", "notes.txt": b"hello"})
    message = indexing(path, packed, tmp_path)
    assert "val.tar: notes.txt is not named as a JPEG" in message
    assert "download it again" in message


def test_a_training_class_that_the_devkit_does_not_know(packed, tmp_path):
    inner = write_tar(tmp_path / "n99999999.tar", {"n99999999_1.JPEG": b"x"}).read_bytes()
    path = write_tar(tmp_path / "train.tar", {"n99999999.tar": inner})
    message = indexing(path, packed, tmp_path, images=1)
    assert "train.tar: n99999999 is none of the 10 classes" in message


def test_a_training_archive_without_images_of_a_class(archives, packed, tmp_path):
    members = read_tar(archives / ARCHIVES["train"])
    lost = members.pop("n00000205.tar")
    path = write_tar(tmp_path / "train.tar", members)
    with tarfile.open(fileobj=io.BytesIO(lost)) as inner:
        images = IMAGES["train"] - len(inner.getmembers())
    message = indexing(path, packed, tmp_path, "--every-class", images=images)
    assert "train.tar: holds no image of n00000205" in message


def test_a_class_whose_images_are_all_bad_is_missed_although_they_are_skipped(packed, tmp_path):
    wnids = pd.read_parquet(packed / "classes.parquet")["wnid"]
    for wnid in wnids:
        (tmp_path / "train" / wnid).mkdir(parents=True)
        bad = b"" if wnid == wnids[3] else small_jpeg()
        (tmp_path / "train" / wnid / f"{wnid}_1.JPEG").write_bytes(bad)
    words = ["--tree", tmp_path / "train", "--classes", packed / "classes.parquet", "--every-class"]
    words += ["--on-bad-image", "skip"]
    message = refusal("index_images", *words, output=tmp_path / "out/i.parquet")
    assert f"train: holds no image of {wnids[3]} that can be read" in message


@pytest.mark.parametrize("truth", [[], ["--ground-truth", "truth.txt"], ["--unlabelled"]])
def test_an_archive_without_images_is_refused(truth, packed, tmp_path):
    words = ["--classes", packed / "classes.parquet", *truth]
    path = write_tar(tmp_path / "val.tar", {})
    words += ["--archive", path]
    message = refusal("index_images", *words, output=tmp_path / "out/i.parquet")
    assert "val.tar: holds no images" in message


# Archives of other forms, and such as hold less than they seem to


@pytest.mark.parametrize("name", ["ILSVRC2012_img_val.tar", "images.TAR"])
def test_an_archive_in_an_archive_is_called_that(name, packed, tmp_path):
    inner = write_tar(tmp_path / "inner.tar", numbered(2)).read_bytes()
    message = indexing_any(write_tar(tmp_path / "val.tar", {name: inner}), packed, tmp_path)
    assert f"val.tar: holds {name}, which is no class's tar" in message
    assert "unpack the outer one" in message


def test_two_images_of_one_name_are_both_named(packed, tmp_path):
    images = {"x/a.JPEG": small_jpeg(), "y/a.JPEG": small_jpeg(80)}
    message = indexing_any(write_tar(tmp_path / "val.tar", images), packed, tmp_path)
    assert "1 names occur twice, first a (in " in message
    assert "without folders: rename or remove one" in message


def test_ground_truth_lines_are_in_the_order_of_file_names(archives, packed, tmp_path):
    """As `ls` and the devkit sort them: "a-1.JPEG" before "a.JPEG", though "a" < "a-1"."""
    names = ["a", "a-1", "a 2", "b", "a(3)", "a.b"]
    path = write_tar(tmp_path / "val.tar", {f"{name}.JPEG": small_jpeg() for name in names})
    in_order = [file.removesuffix(".JPEG") for file in sorted(f"{name}.JPEG" for name in names)]
    (tmp_path / "truth.txt").write_text("".join(f"{n}\n" for n in range(1, len(names) + 1)))
    index, _ = indexed(path, packed, tmp_path, "--ground-truth", tmp_path / "truth.txt")
    classes = pd.read_parquet(packed / "classes.parquet").set_index("ilsvrc2012_id")["label"]
    found = dict(zip(index["id"], index["label"], strict=True))
    assert [found[name] for name in in_order] == [classes[n] for n in range(1, len(names) + 1)]
    assert in_order != sorted(names)


def small_jpeg(side=64):
    content = io.BytesIO()
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def numbered(count):
    return {f"ILSVRC2012_val_{n:08d}.JPEG": small_jpeg(60 + n) for n in range(1, count + 1)}


def indexing_any(archive, packed, tmp_path, *words):
    """The refusal of indexing an archive of any number of images, without labels."""
    words = ["--archive", archive, "--classes", packed / "classes.parquet", "--unlabelled", *words]
    return refusal("index_images", *words, output=tmp_path / "out/index.parquet")


def indexed(archive, packed, tmp_path, *words):
    """(index, what was logged) of an archive."""
    words = ["--archive", archive, "--classes", packed / "classes.parquet", *words]
    process = start("index_images", *words, "--output", tmp_path / "index.parquet")
    _, log = process.communicate()
    assert process.returncode == 0, log
    return pd.read_parquet(tmp_path / "index.parquet"), log


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_sparse_members_are_refused_by_name(form, packed, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in numbered(3).items():
        (folder / name).write_bytes(content)
    with open(folder / "ILSVRC2012_val_00000002.JPEG", "r+b") as file:
        file.truncate(2**20)  # a hole
    path = tmp_path / "val.tar"
    subprocess.run(["tar", "-S", f"--format={form}", "-cf", path, "-C", folder, "."], check=True)
    message = indexing_any(path, packed, tmp_path)
    assert "val.tar: ./ILSVRC2012_val_00000002.JPEG is stored as a sparse file" in message
    assert "without tar's option -S" in message


def test_tars_that_were_joined_are_refused(packed, tmp_path):
    parts = [write_tar(tmp_path / "part.tar", {n: c}).read_bytes() for n, c in numbered(2).items()]
    path = tmp_path / "val.tar"
    path.write_bytes(b"".join(parts))
    message = indexing_any(path, packed, tmp_path)
    assert "val.tar: holds more after its end" in message
    assert "unpack them and pack one" in message


@pytest.mark.parametrize("inside", [False, True])
def test_a_tar_that_is_cut_between_two_members_is_refused(inside, packed, tmp_path):
    path = write_tar(tmp_path / "val.tar", numbered(5))
    with tarfile.open(path) as archive:
        place = archive.getmembers()[3].offset
    path.write_bytes(path.read_bytes()[:place])
    where = "val.tar"
    if inside:
        where = "train.tar: n00000205.tar"
        path = write_tar(tmp_path / "train.tar", {"n00000205.tar": path.read_bytes()})
    message = indexing_any(path, packed, tmp_path)
    assert f"{where}: breaks off or is damaged at byte {place}" in message
    assert "download it again" in message


def test_a_damaged_header_in_the_middle_is_no_end(packed, tmp_path):
    path = write_tar(tmp_path / "val.tar", numbered(5))
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        place = archive.getmembers()[3].offset
    content[place + 2] ^= 1
    path.write_bytes(content)
    assert f"damaged at byte {place}" in indexing_any(path, packed, tmp_path)


def test_hidden_members_are_left_out_and_counted(packed, tmp_path):
    inner = {"._n00000205_1.JPEG": b"\0\5\x16\7" * 40, "n00000205_1.JPEG": small_jpeg()}
    inner = write_tar(tmp_path / "n00000205.tar", inner).read_bytes()
    junk = b"\0\5\x16\7\0\2" + bytes(150)
    members = {"._n00000205.tar": junk, ".DS_Store": junk, "__MACOSX/._n00000205.tar": junk}
    members |= {"lost+found/x": junk, "./n00000205.tar": inner}
    path = write_tar(tmp_path / "train.tar", members)
    index, log = indexed(path, packed, tmp_path)
    assert index["id"].tolist() == ["n00000205_1"]
    assert "train.tar: 5 hidden files or folders left out, such as ._n00000205.tar" in log


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_compressed_archive_is_named_with_the_cure(kind, packed, tmp_path):
    path = tmp_path / f"train.tar.{kind}"
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(write_tar(tmp_path / "val.tar", numbered(1)), "n00000205.tar")
    message = indexing_any(path, packed, tmp_path)
    cure = {"gz": "gunzip", "bz2": "bunzip2", "xz": "unxz"}[kind]
    assert f"train.tar.{kind}: compressed" in message
    assert f"unpack it with {cure} " in message


@pytest.mark.parametrize("name", ["n00000205.tar", "n00000205.tar.gz", "n00000205.tgz"])
def test_compressed_inner_archives_are_named_with_the_cure(name, packed, tmp_path):
    inner = gzip.compress(write_tar(tmp_path / "n.tar", numbered(1)).read_bytes())
    path = write_tar(tmp_path / "train.tar", {name: inner})
    message = indexing_any(path, packed, tmp_path)
    assert f"train.tar: {name}" in message
    assert "compressed" in message
    assert "gunzip" in message


def test_class_folders_in_one_tar_are_called_what_they_are(packed, tmp_path):
    members = {"./train/n00000205/n00000205_1.JPEG": small_jpeg()}
    path = write_tar(tmp_path / "train.tar", members)
    message = indexing_any(path, packed, tmp_path, "--images", 60)
    assert "train.tar: holds folders of classes, such as train/n00000205" in message
    assert "data.source: folder" in message
    assert "download" not in message


def test_a_member_name_that_is_not_utf8_is_shown(packed, tmp_path):
    path = tmp_path / "val.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        member = tarfile.TarInfo("café.JPEG")
        archive.addfile(member, io.BytesIO())
    message = indexing_any(path, packed, tmp_path)
    assert "val.tar: the name caf\\xe9.JPEG is not UTF-8" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "has no bytes"), (b"<!DOCTYPE html>" * 9, "is no image; it begins with b'<!DOCTYPE")],
)
def test_what_is_no_image_is_found_before_packing(content, reason, packed, tmp_path):
    members = numbered(5)
    name = "ILSVRC2012_val_00000003"
    members[f"{name}.JPEG"] = members["ILSVRC2012_val_00000005.JPEG"] = content
    path = write_tar(tmp_path / "val.tar", members)
    message = indexing_any(path, packed, tmp_path)
    assert f"val.tar: {name} {reason}" in message
    assert "(and 1 more like it); repair or replace it" in message
    index, log = indexed(path, packed, tmp_path, "--unlabelled", "--on-bad-image", "skip")
    assert len(index) == 5
    assert f"val.tar: {name} {reason}" in log


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_that_is_read_passes_for_an_image(kind):
    content = io.BytesIO()
    Image.new("RGB", (9, 9)).save(content, kind)
    assert flaw(content.getvalue()[:HEAD], len(content.getvalue())) is None


def test_a_class_list_that_lacks_a_class_does_not_blame_the_archive(archives, packed, tmp_path):
    classes = pd.read_parquet(packed / "classes.parquet").query("wnid != 'n00000205'")
    write_frame(tmp_path / "classes.parquet", classes)
    words = ["--archive", archives / ARCHIVES["train"], "--classes", tmp_path / "classes.parquet"]
    message = refusal("index_images", *words, output=tmp_path / "out/i.parquet")
    assert "n00000205 is none of the 9 classes that the development kit, or the data set" in message
    assert "one of the two is incomplete" in message


def test_missing_labels_of_the_test_set_are_sought_nowhere(archives, packed, tmp_path):
    words = ["--ground-truth", tmp_path / "truth.txt"]
    message = indexing(archives / ARCHIVES["test"], packed, tmp_path, *words, images=12)
    assert "truth.txt: no such file" in message
    assert "never published: without them, set data.test: withheld" in message
    assert "image-net.org" not in message


def test_validation_images_without_classes_are_not_taken_for_a_test_set(packed, tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "val/a.JPEG").write_bytes(small_jpeg())
    words = ["--tree", tmp_path / "val", "--classes", packed / "classes.parquet"]
    message = refusal("index_images", *words, "--split", "val", output=tmp_path / "out/i.parquet")
    assert "val/<class>/" in message
    assert "data.test" not in message


@pytest.mark.parametrize("line", ["3 4", "n01440764", "1_0", "-1", "7;", "3.0", "1" * 12])
def test_a_line_that_is_no_id_is_named(line, archives, packed, tmp_path):
    truth = tmp_path / "truth.txt"
    truth.write_text("1\r\n" * 6 + line + "\r\n" + "1\r\n" * 17)
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path, "--ground-truth", truth)
    assert f"truth.txt, line 7: expected one ILSVRC2012_ID a line, found {line!r}" in message


def test_a_ground_truth_with_a_byte_order_mark_and_any_line_ends_is_read(tmp_path):
    for number, end in enumerate(["\n", "\r\n", "\r"]):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(b"\xef\xbb\xbf" + end.join(["3", "1 ", "2", ""]).encode())
        assert devkit.read_ground_truth(path).tolist() == [3, 1, 2]


READERS = {
    ARCHIVES["train"]: image_members,
    ARCHIVES["val"]: image_members,
    DEVKIT: devkit.read_classes,
    "ILSVRC2012_test_ground_truth.txt": devkit.read_ground_truth,
}


@pytest.mark.parametrize("name", READERS)
def test_mutated_files_are_read_or_refused_by_name(name, archives, tmp_path):
    path = tmp_path / name
    messages = []
    for content in mutations((archives / name).read_bytes(), np.random.default_rng(0), 60):
        path.write_bytes(content)
        try:
            list(READERS[name](path))
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all(str(path) in message for message in messages)


def test_a_kit_of_another_year(tmp_path):
    kit = write_tar(tmp_path / "ILSVRC2010_devkit.tar", {"devkit-1.0/readme.txt": b""})
    output = tmp_path / "out/classes.parquet"
    message = refusal("list_classes", "--devkit", kit, "--classes", 10, output=output)
    assert "ILSVRC2010_devkit.tar: holds no data/meta.mat" in message
    assert "ILSVRC2012_devkit_t12.tar.gz" in message


@pytest.mark.parametrize("top", ["./ILSVRC2012_devkit_t12/", "", "kit/"])
def test_a_kit_that_was_packed_again_is_read(top, archives, tmp_path):
    members = read_tar(archives / DEVKIT)
    again = {f"{top}{name.partition('/')[2]}": content for name, content in members.items()}
    kit = write_tar(tmp_path / "kit.tar", again)
    pd.testing.assert_frame_equal(devkit.read_classes(kit), devkit.read_classes(archives / DEVKIT))
    assert len(devkit.read_ground_truth(kit)) == IMAGES["val"]


def test_a_kit_that_is_no_tar_is_told_on_one_line(tmp_path):
    (tmp_path / "kit.tar.gz").write_text("<html>not found</html>")
    words = ["--devkit", tmp_path / "kit.tar.gz", "--classes", 10]
    message = refusal("list_classes", *words, output=tmp_path / "out/classes.parquet")
    assert message.startswith("error: ")
    assert "kit.tar.gz: damaged (" in message


def test_a_kit_that_changes_after_it_was_verified_is_refused(archives, packed, tmp_path):
    kit, record = tmp_path / DEVKIT, tmp_path / "devkit.json"
    kit.write_bytes((archives / DEVKIT).read_bytes())
    md5 = hashlib.md5(kit.read_bytes()).hexdigest()
    process = start("verify_archive", "--archive", kit, "--md5", md5, "--output", record)
    assert process.wait() == 0
    os.utime(kit, ns=(0, 0))
    words = ["--devkit", kit, "--classes", 10, "--verified", record]
    message = refusal("list_classes", *words, output=tmp_path / "out/classes.parquet")
    assert f"{DEVKIT}: has changed since its MD5 sum was verified; delete {record}" in message
    words = ["--ground-truth", kit, "--verified", record]
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path, *words)
    assert f"{DEVKIT}: has changed since its MD5 sum was verified" in message


def test_ids_without_a_kit_are_not_guessed(archives, packed, tmp_path):
    classes = pd.read_parquet(packed / "classes.parquet")
    classes["ilsvrc2012_id"] = pd.array([None] * len(classes), "Int32")
    write_frame(tmp_path / "classes.parquet", classes)
    (tmp_path / "truth.txt").write_text("1\n" * IMAGES["val"])
    words = ["--archive", archives / ARCHIVES["val"], "--classes", tmp_path / "classes.parquet"]
    words += ["--ground-truth", tmp_path / "truth.txt"]
    message = refusal("index_images", *words, output=tmp_path / "out/i.parquet")
    assert "truth.txt: has ILSVRC2012_IDs, which the classes do not" in message


def test_a_kit_with_another_number_of_classes(archives, tmp_path):
    words = ["--devkit", archives / DEVKIT, "--classes", 1000]
    message = refusal("list_classes", *words, output=tmp_path / "out/classes.parquet")
    assert "10 classes, but the configuration's data.classes is 1000" in message


@pytest.mark.parametrize("name", sorted(undecodable_images()))
def test_an_image_that_cannot_be_decoded(name, tmp_path):
    good = odd_images(np.random.default_rng(0))["progressive"].content
    content = undecodable_images()[name]
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": good, "bad.JPEG": content, "c.JPEG": good})
    message = packing(path, tmp_path)
    assert "val.tar: bad" in message
    assert "data.on_bad_image: skip" in message


def test_an_archive_that_was_cut_after_it_was_indexed(tmp_path, archives):
    path = tmp_path / "val.tar"
    path.write_bytes((archives / ARCHIVES["val"]).read_bytes())
    members = [vars(member) for member in image_members(path)]
    write_frame(tmp_path / "index.parquet", pd.DataFrame(members).assign(label=0))
    path.write_bytes(path.read_bytes()[: members[-1]["offset"] + 10])
    words = ["--index", tmp_path / "index.parquet", "--shard", 0, "--shards", 1]
    words += ["--report", tmp_path / "out/0.json"]
    message = refusal("pack_shards", *words, output=tmp_path / "out/0.arrow")
    assert f"val.tar: {members[-1]['id']}: its file ends inside it" in message


def packing_later(index, tmp_path):
    """The refusal of packing an index that has been made before."""
    words = ["--index", index, "--shard", 0, "--shards", 1, "--report", tmp_path / "out/0.json"]
    return refusal("pack_shards", *words, "--on-bad-image", "skip", output=tmp_path / "out/0.arrow")


def test_an_archive_that_changes_between_indexing_and_packing_is_refused(packed, tmp_path):
    """Another image would be found where one lay before, and even decoded."""
    images = numbered(5)
    path = write_tar(tmp_path / "val.tar", images)
    indexed(path, packed, tmp_path, "--unlabelled")
    write_tar(path, dict(reversed(images.items())))
    message = packing_later(tmp_path / "index.parquet", tmp_path)
    assert "val.tar: has changed since it was indexed; delete" in message
    assert "index.parquet and run the command again" in message


def test_an_archive_from_the_future_is_refused(packed, tmp_path):
    """Packing would take it for one that has changed since it was indexed."""
    path = write_tar(tmp_path / "val.tar", numbered(2))
    os.utime(path, (time.time() + 3600,) * 2)
    message = indexing_any(path, packed, tmp_path)
    assert message == f"error: {path}: was changed in the future, by its time; run touch {path}"


def test_an_image_file_that_has_been_repaired_is_not_called_truncated(packed, tmp_path):
    (tmp_path / "val").mkdir()
    path = tmp_path / "val/a.JPEG"
    path.write_bytes(small_jpeg()[:700])
    words = ["--tree", tmp_path / "val", "--classes", packed / "classes.parquet", "--unlabelled"]
    process = start("index_images", *words, "--output", tmp_path / "index.parquet")
    assert process.wait() == 0
    path.write_bytes(small_jpeg())
    message = packing_later(tmp_path / "index.parquet", tmp_path)
    assert "a.JPEG: has changed since it was indexed; delete" in message


def test_an_image_that_no_evaluation_could_rescale_is_found_in_packing(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (60_000, 1)).save(content, "PNG")
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": small_jpeg(), "b.JPEG": content.getvalue()})
    message = packing(path, tmp_path)
    assert "val.tar: b: 1×60000 pixels are too elongated to be rescaled" in message
    assert "data.on_bad_image: skip" in message


# Images left out, oddities counted, packing killed


def test_bad_images_are_left_out_and_listed_if_asked(tmp_path):
    rng = np.random.default_rng(0)
    odd, bad = odd_images(rng), undecodable_images()
    contents = {name: image.content for name, image in odd.items()} | bad
    path = write_tar(tmp_path / "val.tar", {f"{k}.JPEG": v for k, v in contents.items()})
    index = pd.DataFrame([vars(member) for member in image_members(path)])
    index = index.assign(label=np.arange(len(index), dtype=np.int32)).sort_values("id")
    write_frame(tmp_path / "index.parquet", index)
    for shard in range(2):
        pack_shards.main(
            [
                *("--index", str(tmp_path / "index.parquet"), "--shard", str(shard), "--shards=2"),
                *("--crop", "64", "--on-bad-image", "skip"),
                *("--report", str(tmp_path / f"val/{shard}.json")),
                *("--output", str(tmp_path / f"{shard}.arrow")),
            ]
        )
    report_packing.main(
        [
            *("--reports", str(tmp_path / "val/0.json"), str(tmp_path / "val/1.json")),
            *("--experiment", "odd", "--output", str(tmp_path / "packing.json")),
        ]
    )
    shards = Shards([tmp_path / "0.arrow", tmp_path / "1.arrow"])
    assert list(shards.ids()) == sorted(odd)
    labels = dict(zip(index["id"], index["label"], strict=True))
    assert shards.labels.tolist() == [labels[name] for name in sorted(odd)]
    report = json.loads((tmp_path / "packing.json").read_text())["stores"]["val"]
    assert report["images"] == len(odd)
    assert report["source_bytes"] == sum(len(image.content) for image in odd.values())
    assert sorted(image["id"] for image in report["skipped"]) == sorted(bad)
    assert all(image["reason"].startswith(str(path)) for image in report["skipped"])
    found = {name: {k for k, ids in report["oddities"].items() if name in ids} for name in odd}
    assert found == {name: set(image.kinds) for name, image in odd.items()}
    for place, name in enumerate(shards.ids()):
        if odd[name].pixels is not None:
            pixels = decode(shards.jpeg(place), name).astype(int)
            assert np.abs(pixels - odd[name].pixels).max() <= odd[name].tolerance, name


@torch.inference_mode()
@pytest.mark.parametrize("method", methods.METHODS)
def test_odd_images_are_evaluated_by_the_pixels_that_they_show(method, tmp_path):
    """Tiny, elongated, grey, CMYK, broken EXIF: the posteriors are those of the known pixels."""
    odd = {k: v for k, v in odd_images(np.random.default_rng(0)).items() if v.pixels is not None}
    paths = []
    for kind in ("found", "expected"):
        rows = []
        for name, image in sorted(odd.items()):
            pixels = Image.fromarray(np.asarray(image.pixels, np.uint8))
            lossless = io.BytesIO()
            pixels.save(lossless, "PNG")
            content = image.content if kind == "found" else lossless.getvalue()
            rows.append((name, 0, content, pixels.height, pixels.width))
        paths.append(tmp_path / f"{kind}.arrow")
        write_shard(paths[-1], rows)
    layers = "conv3-64 | conv3-64 | conv3-128 | conv3-128 | conv3-128"
    net = ConvNet(Architecture(layers, classes=10, crop=64, fc=32, width_divisor=8))
    initialise(net, "he", seed=3)
    found, expected = (
        posteriors_of(
            net, [path], method=method, smallest_side=73, mean=[128.0] * 3, input_scale=64.0
        )
        for path in paths
    )
    assert len(np.unique(expected.argmax(1))) > 1, "the images must be told apart"
    for place, name in enumerate(sorted(odd)):
        atol = 1e-6 if odd[name].tolerance == 0 else 0.02
        np.testing.assert_allclose(found[place], expected[place], atol=atol, err_msg=name)


@pytest.mark.parametrize("words", [[], ["--smallest-side", "73"]])
def test_packing_killed_in_the_middle_and_run_again_gives_the_undisturbed_shard(
    words, packed, tmp_path
):
    once = pd.read_parquet(packed / "index/val.parquet")
    index = pd.concat([once.assign(id=once["id"] + f"_{n}") for n in range(100)])
    write_frame(tmp_path / "index.parquet", index.sort_values("id"))
    words = ["--index", tmp_path / "index.parquet", "--shard", 0, "--shards", 1, *words]
    for run in ("undisturbed", "killed"):
        output = tmp_path / run / "0.arrow"
        files = ["--report", output.with_suffix(".json"), "--output", output]
        process = start("pack_shards", *words, *files)
        if run == "killed":
            temporary = output.with_name(".0.arrow.tmp")
            while not (temporary.exists() and temporary.stat().st_size > 1_000_000):
                assert process.poll() is None, "packing ended before it could be killed"
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            left = {path.name for path in output.parent.iterdir()}
            assert left == {temporary.name, ".0.arrow.lock"}  # a lock that no process holds
            process = start("pack_shards", *words, *files)
        _, messages = process.communicate()
        assert process.returncode == 0, messages
    for name in ("0.arrow", "0.json"):
        one, two = ((tmp_path / run / name).read_bytes() for run in ("undisturbed", "killed"))
        assert one == two
    assert not list((tmp_path / "killed").glob(".*"))
