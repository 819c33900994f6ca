"""The four forms of one data set give the same shards; a wrong form is named."""

import json
import shutil

import pandas as pd
import pytest

from tests.helpers.forms import IMAGES, read_archives
from tests.helpers.source_commands import SOURCES, complaint, pack
from workflow_scripts import index_images, list_classes, verify_archive
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.sources.archives import check_verified


@pytest.mark.parametrize("split", list(IMAGES))
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_archives_original_bytes_in_identical_shards(
    source, split, made, packed, tmp_path
):
    from_archive = pd.read_parquet(packed / f"index/{split}.parquet")
    if split == "test":  # the miniature knows its labels, the other forms do not
        from_archive["label"] = from_archive["label"] * 0 - 1
    write_frame(tmp_path / "index.parquet", from_archive)
    expected = pack(tmp_path / "index.parquet", tmp_path / "archives")
    assert pack(made(source) / f"{split}.parquet", tmp_path / source) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_rescaled_shards(source, made, packed, tmp_path):
    words = ["--smallest-side", "73"]
    expected = pack(packed / "index/train.parquet", tmp_path / "archives", *words)
    assert pack(made(source) / "train.parquet", tmp_path / source, *words) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_lists_the_classes_in_the_same_order(source, made, classes):
    found = pd.read_parquet(made(source) / "classes.parquet")
    assert found.columns.tolist() == classes.columns.tolist()
    assert found["label"].tolist() == classes["label"].tolist()
    assert found["wnid"].tolist() == classes["wnid"].tolist()
    assert found["ilsvrc2012_id"].isna().all(), "only the development kit knows them"
    if source != "folder":  # folders have no words but their names
        assert found["words"].tolist() == classes["words"].tolist()


def test_equal_names_in_two_classes_are_told_apart(tmp_path, archives):
    splits, _ = read_archives(archives)
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "train" / name).mkdir(parents=True)
        for place in range(3):
            path = tmp_path / "train" / name / f"{place}.jpg"
            path.write_bytes(splits["train"][3 * number + place].content)
    list_classes.main(
        [
            *("--folders", str(tmp_path / "train"), "--classes", "2"),
            *("--output", str(tmp_path / "classes.parquet")),
        ]
    )
    index_images.main(
        [
            *("--tree", str(tmp_path / "train"), "--classes", str(tmp_path / "classes.parquet")),
            *("--output", str(tmp_path / "index.parquet")),
        ]
    )
    pack(tmp_path / "index.parquet", tmp_path)
    shards = Shards([tmp_path / "0.arrow", tmp_path / "1.arrow"])
    assert list(shards.ids()) == ["cat/0", "cat/1", "cat/2", "dog/0", "dog/1", "dog/2"]
    assert shards.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert bytes(shards.jpeg(4)) == splits["train"][4].content


def test_a_file_that_is_no_image_is_named(forms, tmp_path):
    def change(folder):
        (folder / "train/n00000205/notes.txt").write_text("a note")

    found = complaint("folder", forms, "train", tmp_path, change)
    assert "train/n00000205/notes.txt: not an image by its name; move it out" in found


def test_images_beside_class_folders_are_named(forms, tmp_path):
    def change(folder):
        (folder / "val/loose.JPEG").write_bytes(b"x")

    found = complaint("folder", forms, "val", tmp_path, change)
    assert "val: holds class folders and also loose.JPEG" in found


def test_a_missing_folder_is_named_with_the_key_to_look_at(forms, tmp_path):
    found = complaint("kaggle", forms, "val", tmp_path, lambda f: shutil.rmtree(f / "ILSVRC/Data"))
    assert "CLS-LOC/val: no such folder; see data.source and data.directory" in found


def test_a_missing_solution_is_named_with_where_to_get_it(forms, tmp_path):
    found = complaint(
        "kaggle", forms, "val", tmp_path, lambda f: (f / "LOC_val_solution.csv").unlink()
    )
    assert "LOC_val_solution.csv: no such file; it is part of Kaggle's" in found


def test_a_solution_that_lacks_an_image_is_named(forms, tmp_path):
    def change(folder):
        path = folder / "LOC_val_solution.csv"
        path.write_text("".join(line for line in path.open() if "val_00000007" not in line))

    found = complaint("kaggle", forms, "val", tmp_path, change)
    assert "LOC_val_solution.csv: has no line for ILSVRC2012_val_00000007" in found


def test_a_missing_image_is_named(forms, tmp_path):
    def change(folder):
        (folder / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000003.JPEG").unlink()

    found = complaint("kaggle", forms, "val", tmp_path, change)
    assert "holds 23 images, 24 expected; missing: ILSVRC2012_val_00000003" in found


def test_a_verified_archive_is_remembered_until_it_changes(archives, tmp_path, classes):
    archive = tmp_path / "ILSVRC2012_img_val.tar"
    archive.write_bytes((archives / archive.name).read_bytes())
    manifest = json.loads((archives / "manifest.json").read_text())
    md5 = {entry["name"]: entry["md5"] for entry in manifest["archives"]}[archive.name]
    record = tmp_path / "val.json"
    verify_archive.main(["--archive", str(archive), "--md5", md5, "--output", str(record)])
    check_verified(record)
    archive.write_bytes(archive.read_bytes() + bytes(512))
    with pytest.raises(InputError, match=r"val\.tar: has changed since .* delete .*val\.json"):
        check_verified(record)


def test_another_md5_sum_is_refused_with_the_cure(archives, tmp_path):
    archive = archives / "ILSVRC2012_img_val.tar"
    words = ["--archive", str(archive), "--md5", "29b22e2961454d5413ddabcf34fc5622"]
    with pytest.raises(InputError, match=r"val\.tar: its MD5 sum is .* download it again, or set"):
        verify_archive.main([*words, "--output", str(tmp_path / "val.json")])
    assert not (tmp_path / "val.json").exists()
