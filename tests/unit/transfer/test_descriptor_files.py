"""Files of descriptors: written, aligned with the examples, and refused where they are none."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_frame, write_parquet
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.transfer.descriptor_files import (
    ROWS_PER_GROUP,
    read_descriptors,
    write_descriptors,
)

IDS = ["a", "b", "c:1", "müsli"]
VALUES = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
SAID = {"model": "D_S256", "method": "image", "Q": 384, "iterations": 7}


@pytest.fixture
def path(tmp_path):
    write_descriptors(tmp_path / "d.parquet", IDS, VALUES, SAID)
    return tmp_path / "d.parquet"


def told(path, ids=IDS):
    with pytest.raises(InputError) as raised:
        read_descriptors(path, ids)
    assert str(raised.value).startswith(f"{path}: ")
    return str(raised.value)


def test_descriptors_are_read_as_they_were_written(path, caplog):
    found = read_descriptors(path, IDS)
    assert found.dtype == np.float32
    assert np.array_equal(found, VALUES)
    assert read_metadata(path) == SAID
    assert not caplog.text


def test_other_programs_read_one_row_an_image(path):
    frame = pd.read_parquet(path)
    assert frame["id"].tolist() == IDS
    assert np.array_equal(np.stack(frame["descriptor"]), VALUES)


def test_more_rows_than_a_group_are_read_in_order(tmp_path):
    many = np.arange(3 * (2 * ROWS_PER_GROUP + 5), dtype=np.float32).reshape(-1, 3)
    ids = [f"{place:05d}" for place in range(len(many))]
    write_descriptors(tmp_path / "d.parquet", ids, many, {})
    assert np.array_equal(read_descriptors(tmp_path / "d.parquet", ids), many)
    order = np.random.default_rng(1).permutation(len(many))
    found = read_descriptors(tmp_path / "d.parquet", [ids[place] for place in order])
    assert np.array_equal(found, many[order])


def test_images_come_in_the_order_asked_for(path, caplog):
    assert np.array_equal(read_descriptors(path, IDS[::-1]), VALUES[::-1])
    assert not caplog.text, "nothing is missing"


def test_images_that_were_left_out_are_zeros_and_told_of(path, caplog):
    found = read_descriptors(path, ["0", "a", "b", "c:1", "müsli", "z"])
    assert np.array_equal(found[1:5], VALUES)
    assert not found[[0, 5]].any()
    assert f"{path}: 2 of 6 are not described" in caplog.text


def test_descriptors_of_other_images_are_refused(path):
    complaint = told(path, IDS[:3])
    assert "is of other images than the data set, such as müsli" in complaint
    assert "Is it the right file? If it is, make it again with the command that wrote" in complaint


def test_a_name_that_stands_there_twice_is_refused(tmp_path):
    write_descriptors(tmp_path / "d.parquet", ["a", "a"], VALUES[:2], {})
    assert "a name stands there twice" in told(tmp_path / "d.parquet", ["a", "b"])


def test_a_missing_or_damaged_file_is_refused(path, tmp_path):
    assert "no such file" in told(tmp_path / "none.parquet")
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert "is damaged" in told(path)
    path.write_bytes(whole[:-20])
    assert "is damaged" in told(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value, tmp_path):
    values = VALUES.copy()
    values[2, 3] = value
    write_descriptors(tmp_path / "d.parquet", IDS, values, {})
    assert "descriptors are not finite" in told(tmp_path / "d.parquet")


def posteriors(path):
    write_posteriors(path, IDS, np.arange(4), np.full((4, 6), 1 / 6, np.float32), {})


def a_frame(path):
    write_frame(path, pd.DataFrame({"id": IDS}))


def of_kind(kind):
    def write(path):
        write_parquet(path, pa.table({"id": ["a"], "descriptor": pa.array([[1.0, 2.0]], kind)}))

    return write


def with_nulls(path):
    kind = pa.list_(pa.float32(), 2)
    values = pa.array([[1.0, None], [1.0, 2.0]], kind)
    write_parquet(path, pa.table({"id": ["a", "b"], "descriptor": values}))


def with_a_null(path):
    kind = pa.list_(pa.float32(), 2)
    write_parquet(path, pa.table({"id": ["a", "b"], "descriptor": pa.array([[1, 2], None], kind)}))


def without_a_name(path):
    kind = pa.list_(pa.float32(), 2)
    write_parquet(path, pa.table({"id": ["a", None], "descriptor": pa.array([[1, 2]] * 2, kind)}))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (posteriors, "has no column descriptor; is it the right file?"),
        (a_frame, "has no column descriptor; is it the right file?"),
        (of_kind(pa.list_(pa.float32())), "its descriptors are list<"),
        (of_kind(pa.list_(pa.float64(), 2)), "its descriptors are fixed_size_list<"),
        (with_nulls, "values are missing"),
        (with_a_null, "values are missing"),
        (without_a_name, "values are missing"),
    ],
)
def test_files_of_another_kind_are_refused(write, words, tmp_path):
    write(tmp_path / "d.parquet")
    assert words in told(tmp_path / "d.parquet", ["a", "b"])


# Where it lies


def placed(folder, where, **changes):
    path = folder / where
    path.parent.mkdir(parents=True)
    write_descriptors(path, IDS, VALUES, SAID | changes)
    return path


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("results/x/descriptors/voc2007/D_S256/image_Q384.parquet", {}),
        (
            "results/x/seed3/descriptors/voc2007/D_S256/box_Q512.parquet",
            {"method": "box", "Q": 512},
        ),
        ("descriptors/voc2007/D_S256.random/image_Q384.parquet", {"iterations": 0}),
        ("descriptors/voc2007/D_S256/image_Q384.parquet", {"iterations": None}),
        ("elsewhere/of/E_S256/image_Q256.parquet", {}),
        ("descriptors/mine.parquet", {}),
    ],
)
def test_a_file_in_its_place_or_outside_of_results_is_read(where, changes, tmp_path):
    path = placed(tmp_path, where, **changes)
    assert np.array_equal(read_descriptors(path, IDS), VALUES)


@pytest.mark.parametrize(
    ("where", "changes", "found"),
    [
        ("D_S256/image_Q256.parquet", {}, "D_S256/image_Q384.parquet"),
        ("D_S256/box_Q384.parquet", {}, "D_S256/image_Q384.parquet"),
        ("E_S256/image_Q384.parquet", {}, "D_S256/image_Q384.parquet"),
        ("D_S256.random/image_Q384.parquet", {}, "D_S256/image_Q384.parquet"),
        (
            "D_S256/image_Q384.parquet",
            {"iterations": 0},
            "D_S256.random/image_Q384.parquet",
        ),
        ("D_S256/image_Q384.parquet", {"Q": [256, 384]}, "D_S256/image_Q[256, 384].parquet"),
    ],
)
def test_a_file_in_anothers_place_is_refused(where, changes, found, tmp_path):
    path = placed(tmp_path, f"results/x/descriptors/voc2007/{where}", **changes)
    assert f"holds the descriptors of {found}. Make it again: rm {path}" in told(path)


def test_what_is_said_of_descriptors_is_json(path):
    import pyarrow.parquet as pq

    texts = pq.read_schema(path).metadata
    assert {key: json.loads(texts[key.encode()]) for key in SAID} == SAID
