"""Broken ground truths, class lists and development kits: a message naming file and cure."""

import hashlib
import os

import pandas as pd
import pytest

from tests.helpers.forms import ARCHIVES, IMAGES
from tests.helpers.refusals import (
    DEVKIT,
    indexed,
    indexing,
    read_tar,
    refusal,
    small_jpeg,
    start,
    write_tar,
)
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.sources import devkit


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
