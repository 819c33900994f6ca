"""Broken archives and folders: a message naming file and cure, and nothing half-written."""

import gzip
import io
import os
import subprocess
import tarfile
import time

import numpy as np
import pandas as pd
import pytest

from tests.helpers.forms import ARCHIVES, IMAGES, mutations
from tests.helpers.refusals import (
    DEVKIT,
    indexed,
    indexing,
    indexing_any,
    numbered,
    read_tar,
    refusal,
    small_jpeg,
    start,
    write_tar,
)
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.sources import devkit
from workflow_scripts.vgg.data.sources.archives import image_members


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
