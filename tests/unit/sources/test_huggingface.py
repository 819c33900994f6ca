"""Hugging Face's Parquet files: forms that are read, and others, refused by file and row."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.forms import mutations
from tests.helpers.source_commands import complaint, index_of, list_of_classes, pack, small_jpeg
from workflow_scripts import index_images, list_classes, unpack_parquet
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.sources import huggingface


def test_a_truncated_parquet_file_is_named(forms, tmp_path):
    def change(folder):
        path = folder / "data/train-00001-of-00003.parquet"
        path.write_bytes(path.read_bytes()[:-100])

    found = complaint("huggingface", forms, "train", tmp_path, change)
    assert "train-00001-of-00003.parquet: damaged" in found
    assert "download it again" in found


HUGGINGFACE_FORMS = {
    "path null": ("image", lambda image: {"bytes": image["bytes"], "path": None}),
    "no path": ("image", lambda image: {"bytes": image["bytes"]}),
    "plain bytes": ("image", lambda image: image["bytes"]),
    "another name": ("img", lambda image: image),
    "another name, plain": ("jpg", lambda image: image["bytes"]),
}


NULL_AMONG_GOOD = [{"bytes": content} for content in (small_jpeg(70), None, small_jpeg(80))]


def rewritten(folder, column, change):
    """A change of a Hugging Face form's images, rows in their order; gives their bytes by label."""
    contents = []
    for path in sorted((folder / "data").glob("*.parquet")):
        table = pq.read_table(path)
        images, labels = table["image"].to_pylist(), table["label"]
        if path.name.startswith("validation"):
            pairs = zip(images, labels.to_pylist(), strict=True)
            contents += [(label, image["bytes"]) for image, label in pairs]
        new = pa.table({column: list(map(change, images)), "label": labels})
        pq.write_table(new.replace_schema_metadata(table.schema.metadata), path)
    return sorted(contents)


@pytest.mark.parametrize("form", HUGGINGFACE_FORMS)
def test_other_forms_of_hugging_faces_columns_are_read(form, forms, tmp_path):
    folder = tmp_path / "huggingface"
    shutil.copytree(forms["huggingface"], folder)
    column, change = HUGGINGFACE_FORMS[form]
    expected = rewritten(folder, column, change)
    classes = list_of_classes("huggingface", folder, tmp_path / "classes.parquet")
    names = json.loads(
        pq.read_schema(folder / "data/train-00000-of-00003.parquet").metadata[b"huggingface"]
    )
    assert classes["words"].tolist() == names["info"]["features"]["label"]["names"]
    index = pd.read_parquet(index_of("huggingface", folder, "val", tmp_path))
    found = []
    for row in index.itertuples():
        with open(row.file, "rb") as file:
            file.seek(row.offset)
            found.append((row.label, file.read(row.size)))
    assert sorted(found) == expected
    if form != "another name":
        assert index["id"].tolist() == sorted(
            f"validation-{number:05d}-of-00003-{row:08d}" for number in range(3) for row in range(8)
        )
    assert index_of("huggingface", folder, "test", tmp_path).exists()


@pytest.mark.parametrize("image", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": ""}])
def test_a_null_image_is_named_by_file_and_row(image, forms, tmp_path):
    def change(folder):
        path = folder / "data/validation-00001-of-00003.parquet"
        table = pq.read_table(path)
        images = table["image"].to_pylist()
        images[3] = image
        column = pa.array(images, table.schema.field("image").type)
        pq.write_table(table.set_column(0, "image", column), path)

    found = complaint("huggingface", forms, "val", tmp_path, change)
    assert "validation-00001-of-00003.parquet, row 3: " in found
    assert "has no bytes; repair or replace it" in found
    assert "data.on_bad_image: skip" in found
    # Nothing is left of the part in which it was, neither images nor list.
    assert not [path for path in (tmp_path / "val").iterdir() if path.name.startswith((".", "1"))]


def test_a_null_image_is_left_out_where_bad_images_are_skipped(tmp_path):
    contents = [row["bytes"] for row in NULL_AMONG_GOOD]
    (tmp_path / "data").mkdir()
    table = pa.table({"image": NULL_AMONG_GOOD, "label": [0, 1, 0]})
    pq.write_table(table, tmp_path / "data/validation-00000-of-00001.parquet")
    list_classes.main(
        [
            *("--huggingface", str(tmp_path), "--classes", "2"),
            *("--output", str(tmp_path / "classes.parquet")),
        ]
    )
    skip = ("--on-bad-image", "skip")
    piece = str(tmp_path / "0.parquet")
    words = ["--directory", str(tmp_path), "--split", "val", "--part", "0", "--parts", "1", *skip]
    unpack_parquet.main([*words, "--images", str(tmp_path / "0.images"), "--output", piece])
    words = ["--unpacked", piece, "--classes", str(tmp_path / "classes.parquet"), *skip]
    index_images.main([*words, "--images", "3", "--output", str(tmp_path / "index.parquet")])
    pack(tmp_path / "index.parquet", tmp_path, *skip)
    shards = Shards([tmp_path / "0.arrow", tmp_path / "1.arrow"])
    assert [bytes(shards.jpeg(place)) for place in range(2)] == [contents[0], contents[2]]
    assert shards.labels.tolist() == [0, 0]
    reports = [json.loads((tmp_path / f"{shard}.json").read_text()) for shard in "01"]
    skipped = [image["id"] for report in reports for image in report["skipped"]]
    assert skipped == ["validation-00000-of-00001-00000001"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": pa.nulls(2), "label": [0, 1]}, "no columns of images"),
        ({"image": [{"bytes": None, "path": "a"}] * 2, "label": [0, 1]}, "no columns of images"),
        ({"a": [b"x", b"y"], "b": [b"x", b"y"], "label": [0, 1]}, "2 columns of images"),
        ({"image": [b"x", b"y"]}, "no columns image {bytes, path} and label"),
        ({"image": [b"x", b"y"], "label": ["cat", "dog"]}, "no columns image {bytes, path} and"),
    ],
)
def test_columns_that_leave_open_where_the_images_are_are_refused(columns, words, forms, tmp_path):
    def change(folder):
        pq.write_table(pa.table(columns), folder / "data/validation-00001-of-00003.parquet")

    found = complaint("huggingface", forms, "val", tmp_path, change)
    assert f"validation-00001-of-00003.parquet: has {words}" in found


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["00000-of-00003", "00002-of-00003"], "of 3 files validation-*.parquet, 1 are missing"),
        (["00000-of-00001", "00000-of-00002", "00001-of-00002"], "are of several downloads"),
        (["00000-of-00001-0a1b", "00000-of-00001-2c3d"], "are of several downloads"),
        (["00000-of-00001", "00000-of-00001 (1)"], "is no part of the other files"),
        (["00000-of-00001", "../validation-00000-of-00001"], "and its folder data both hold"),
    ],
)
def test_a_download_that_is_incomplete_or_doubled_is_refused(names, words, tmp_path):
    (tmp_path / "data").mkdir()
    for name in names:
        folder = tmp_path if name.startswith("..") else tmp_path / "data"
        (folder / f"validation-{name.rpartition('validation-')[2]}.parquet").touch()
    with pytest.raises(InputError, match=re.escape(words)):
        huggingface.parquet_files(tmp_path, "val")


@pytest.mark.parametrize("names", [["00000-of-00002-0a1b", "00001-of-00002-2c3d"], ["mine", "b"]])
def test_a_complete_download_is_taken_whatever_its_names(names, tmp_path):
    for name in names:
        (tmp_path / f"validation-{name}.parquet").touch()
    assert len(huggingface.parquet_files(tmp_path, "val")) == 2


def test_a_link_of_a_download_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "validation-00000-of-00001.parquet").symlink_to(tmp_path / "blobs/1")
    with pytest.raises(InputError, match=r"00001\.parquet: is a link that leads nowhere"):
        huggingface.parquet_files(tmp_path, "val")


def with_paths(path, kind, values=("a_n00000001.JPEG", "b_n00000002.JPEG")):
    """A parquet file of two images with names of a type."""
    names = pa.array(values).dictionary_encode() if kind is None else pa.array(values, kind)
    contents = pa.array([small_jpeg(70), small_jpeg(80)], pa.binary())
    image = pa.StructArray.from_arrays([contents, names], ["bytes", "path"])
    pq.write_table(pa.table({"image": image, "label": [0, 1]}), path)
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), None])
def test_names_of_every_type_of_text_are_read(kind, tmp_path):
    found = list(huggingface.rows(with_paths(tmp_path / "a.parquet", kind)))
    assert [(row.id, row.wnid) for row in found] == [("a", "n00000001"), ("b", "n00000002")]


def test_names_that_are_no_text_are_refused(tmp_path):
    path = with_paths(tmp_path / "a.parquet", pa.binary(), [b"a", b"b"])
    with pytest.raises(InputError, match=r"a\.parquet: its images' paths are binary, not text"):
        list(huggingface.rows(path))


def test_columns_of_odd_schemas_are_refused(tmp_path):
    inner = pa.StructArray.from_arrays([pa.array([b"x"])], ["bytes"])
    nested = pa.StructArray.from_arrays([inner], ["bytes"])
    pq.write_table(pa.table({"image": nested, "label": [0]}), tmp_path / "nested.parquet")
    with pytest.raises(InputError, match=r"nested\.parquet: has no columns of images"):
        list(huggingface.rows(tmp_path / "nested.parquet"))
    columns = [pa.array([b"x"]), pa.array([0]), pa.array([1])]
    pq.write_table(pa.table(columns, ["image", "label", "label"]), tmp_path / "twice.parquet")
    with pytest.raises(InputError, match=r"twice\.parquet: has several columns label"):
        list(huggingface.rows(tmp_path / "twice.parquet"))


def test_labels_that_are_no_class_numbers_are_refused(tmp_path):
    table = pa.table({"image": [small_jpeg(70), small_jpeg(80)], "label": [0, 2**40]})
    pq.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    with pytest.raises(InputError, match=r"labels are to be 0 to 1, .* but no image has 1"):
        huggingface.read_classes(tmp_path)


def test_test_images_without_names_are_refused_where_answers_will_be_sent(packed, tmp_path):
    table = pa.table({"image": [small_jpeg(70), small_jpeg(80)], "label": [-1, -1]})
    pq.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    words = ["--directory", str(tmp_path), "--split", "test", "--part", "0", "--parts", "1"]
    piece = str(tmp_path / "0.parquet")
    unpack_parquet.main([*words, "--images", str(tmp_path / "0.images"), "--output", piece])
    words = ["--unpacked", piece, "--classes", str(packed / "classes.parquet"), "--unlabelled"]
    with pytest.raises(InputError, match="has no name of its own, but the test server"):
        index_images.main([*words, "--output", str(tmp_path / "index.parquet")])
    assert not (tmp_path / "index.parquet").exists()


def test_mutated_parquet_files_are_read_or_refused_by_name(forms, tmp_path):
    path = tmp_path / "train-0.parquet"
    content = (forms["huggingface"] / "data/validation-00000-of-00003.parquet").read_bytes()
    messages = []
    for mutated in mutations(content, np.random.default_rng(0), 60):
        path.write_bytes(mutated)
        try:
            list(huggingface.rows(path))
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all(str(path) in message for message in messages)


def test_a_folder_without_parquet_files_is_named(forms, tmp_path):
    def change(folder):
        for path in (folder / "data").glob("train-*"):
            path.unlink()

    found = complaint("huggingface", forms, "train", tmp_path, change)
    assert "holds train-*.parquet; data.directory must name a download" in found


def test_labels_in_another_order_than_the_wnids_are_refused(forms, tmp_path):
    """Class indices that follow the ILSVRC2012_IDs are the classic bug."""

    def change(folder):
        for path in (folder / "data").glob("*.parquet"):
            table = pq.read_table(path)
            swapped = [{0: 1, 1: 0}.get(label, label) for label in table["label"].to_pylist()]
            pq.write_table(table.set_column(1, "label", pa.array(swapped, pa.int64())), path)

    found = complaint("huggingface", forms, "val", tmp_path, change)
    assert "labels are not the places of the WNIDs in sorted order" in found
