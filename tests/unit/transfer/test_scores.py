"""Files of classifiers' scores: written, read by part and split, refused where they are none."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame, write_parquet
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.transfer import scores as files
from workflow_scripts.vgg.transfer.descriptor_files import write_descriptors
from workflow_scripts.vgg.transfer.scores import TOLD, read_scores, read_told, write_scores

DRAW = np.random.default_rng(0)
PARTS = [
    files.Tested("test", 0, ["a", "b", "c"], DRAW.normal(size=(3, 2)).astype(np.float32)),
    files.Tested("test", 1, ["b", "d"], DRAW.normal(size=(2, 2)).astype(np.float32)),
    files.Tested("val", 0, ["e:1", "e:2"], DRAW.normal(size=(2, 2)).astype(np.float32)),
]
SAID = {
    "classes": ["cat", "müsli & co"],
    "descriptors": [["d/D.parquet", {"model": "D", "Q": 256}]],
    "options": {"seed": 0},
    "chosen": [{"part": "test", "split": 0, "C": 1.0}],
}


@pytest.fixture
def path(tmp_path):
    write_scores(tmp_path / "s.parquet", PARTS, SAID)
    return tmp_path / "s.parquet"


def told(path):
    with pytest.raises(InputError) as raised:
        read_scores(path)
    assert str(raised.value).startswith(f"{path}: ")
    return str(raised.value)


def test_scores_are_read_as_they_were_written(path):
    for found, own in zip(read_scores(path), PARTS, strict=True):
        assert (found.part, found.split, found.ids) == (own.part, own.split, own.ids)
        assert found.scores.dtype == np.float32
        assert np.array_equal(found.scores, own.scores)
    assert read_told(path) == SAID


def test_scores_are_kept_in_single_precision(tmp_path):
    double = [files.Tested("test", 0, ["a"], np.array([[1 / 3, -2e-9]]))]
    write_scores(tmp_path / "s.parquet", double, SAID)
    (found,) = read_scores(tmp_path / "s.parquet")
    assert np.array_equal(found.scores, np.array([[1 / 3, -2e-9]], np.float32))


def test_other_programs_read_one_row_an_example(path):
    frame = pd.read_parquet(path)
    assert frame["id"].tolist() == ["a", "b", "c", "b", "d", "e:1", "e:2"]
    assert frame["part"].tolist() == ["test"] * 5 + ["val"] * 2
    assert frame["split"].tolist() == [0, 0, 0, 1, 1, 0, 0]
    assert np.array_equal(np.stack(frame["scores"]), np.concatenate([p.scores for p in PARTS]))


def test_rows_of_a_part_may_lie_apart(tmp_path, path):
    frame = pd.read_parquet(path).iloc[[0, 3, 5, 1, 4, 6, 2]]
    values = pa.array(np.stack(frame["scores"]).ravel(), pa.float32())
    table = pa.table(
        {
            "id": frame["id"].tolist(),
            "part": frame["part"].tolist(),
            "split": pa.array(frame["split"].tolist(), pa.int32()),
            "scores": pa.FixedSizeListArray.from_arrays(values, 2),
        }
    )
    texts = {key: json.dumps(value) for key, value in SAID.items()}
    write_parquet(tmp_path / "o.parquet", table.replace_schema_metadata(texts))
    for found, own in zip(read_scores(tmp_path / "o.parquet"), PARTS, strict=True):
        assert (found.part, found.split, found.ids) == (own.part, own.split, own.ids)
        assert np.array_equal(found.scores, own.scores)


def test_a_missing_or_damaged_file_is_refused(path, tmp_path):
    assert "no such file" in told(tmp_path / "none.parquet")
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert "is damaged" in told(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(value, tmp_path):
    write_scores(
        tmp_path / "s.parquet", [files.Tested("test", 0, ["a"], np.array([[1, value]]))], SAID
    )
    assert "scores are not finite" in told(tmp_path / "s.parquet")


@pytest.mark.parametrize("key", TOLD)
def test_a_file_that_does_not_say_all_is_refused(key, path, tmp_path):
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    texts = {k: json.dumps(value) for k, value in SAID.items() if k != key}
    write_parquet(tmp_path / "s.parquet", table.replace_schema_metadata(texts))
    complaint = told(tmp_path / "s.parquet")
    assert f"does not say its {key}; is it a file of scores?" in complaint


def posteriors(path):
    write_posteriors(path, ["a"], np.zeros(1, int), np.ones((1, 1), np.float32), {})


def descriptors(path):
    write_descriptors(path, ["a"], np.ones((1, 3), np.float32), {"model": "D"})


def a_frame(path):
    write_frame(path, pd.DataFrame({"id": ["a"]}), SAID)


def columns(**changes):
    """A file of one score whose columns are others."""

    def write(path):
        values = {
            "id": pa.array(["a"]),
            "part": pa.array(["test"]),
            "split": pa.array([0], pa.int32()),
            "scores": pa.array([[1, 2]], pa.list_(pa.float32(), 2)),
        } | changes
        texts = {key: json.dumps(value) for key, value in SAID.items()}
        write_parquet(path, pa.table(values).replace_schema_metadata(texts))

    return write


OTHERS = "its columns are not those of scores; is it the right file?"


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (posteriors, "is it a file of scores?"),
        (descriptors, "is it a file of scores?"),
        (a_frame, "has no column part, split, scores; is it the right file?"),
        (columns(scores=pa.array([[1, 2, 3]], pa.list_(pa.float32(), 3))), OTHERS),
        (columns(scores=pa.array([[1, 2]], pa.list_(pa.float64(), 2))), OTHERS),
        (columns(scores=pa.array([[1, 2]], pa.list_(pa.float32()))), OTHERS),
        (columns(split=pa.array([0], pa.int64())), OTHERS),
        (columns(id=pa.array([1])), OTHERS),
        (columns(part=pa.array([None], pa.string())), "some values are missing"),
        (columns(scores=pa.array([None], pa.list_(pa.float32(), 2))), "some values are missing"),
        (columns(scores=pa.array([[1, None]], pa.list_(pa.float32(), 2))), "some values are miss"),
        (columns(), None),
    ],
)
def test_files_of_another_kind_are_refused(write, words, tmp_path):
    write(tmp_path / "s.parquet")
    if words is None:  # nothing is wrong with this one
        assert read_scores(tmp_path / "s.parquet")[0].scores.tolist() == [[1, 2]]
    else:
        assert words in told(tmp_path / "s.parquet")
