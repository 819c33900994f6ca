"""Examples of another data set: written, read again, and refused where they say what cannot be."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_frame, write_parquet
from workflow_scripts.vgg.data.examples import Examples, read_examples, write_examples
from workflow_scripts.vgg.data.truth import Truth, write_truth


def images(**changes):
    """Four images of three classes; labels of the last are withheld."""
    made = Examples(
        ids=["000005", "000007", "b:2", "x"],
        image_ids=["000005", "000007", "b:2", "x"],
        images=np.arange(4),
        parts=["train", "val", "train", "test"],
        labels=np.array([[1, -1, 0], [-1, 1, 1], [-1, -1, 1], [0, 0, 0]], np.int8),
        known=np.array([True, True, True, False]),
        boxes=None,
        classes=["cat", "dog", "müsli & co"],
        scored=np.array([True, True, False]),
    )
    return replace(made, **changes)


def people(**changes):
    """Four people in two images; the second image has eleven."""
    made = Examples(
        ids=["a:1", "a:3", "b:2", "b:11"],
        image_ids=["a", "b"],
        images=np.array([0, 0, 1, 1]),
        parts=["train", "train", "val", "val"],
        labels=np.array([[1], [-1], [1], [0]], np.int8),
        known=np.ones(4, bool),
        boxes=np.array([[0, 0, 10, 20], [0.5, 1, 9, 9], [3, 4, 11, 12], [7, 7, 15, 15.25]]),
        classes=["riding"],
        scored=np.array([True]),
    )
    return replace(made, **changes)


def some_unlisted():
    """The same people, of whom the list of riding leaves the last one out."""
    return people(listed=np.array([[True], [True], [True], [False]]))


@pytest.mark.parametrize("make", [images, people, some_unlisted])
def test_examples_are_read_as_they_were_written(make, tmp_path):
    written = make()
    write_examples(tmp_path / "e.parquet", written, {"kind": "voc", "sources": ["a", 1]})
    found = read_examples(tmp_path / "e.parquet")
    for name, value in vars(written).items():
        if isinstance(value, np.ndarray):
            there = getattr(found, name)
            assert there.dtype == value.dtype, name
            assert np.array_equal(there, value), name
        else:
            assert getattr(found, name) == value, name
    metadata = read_metadata(tmp_path / "e.parquet")
    assert metadata["kind"] == "voc"
    assert metadata["sources"] == ["a", 1]
    assert metadata["classes"] == written.classes
    assert metadata["scored"] == written.scored.tolist()
    assert metadata["boxes"] == (written.boxes is not None)


def test_other_programs_read_one_row_an_example(tmp_path):
    write_examples(tmp_path / "e.parquet", people(), {})
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert table["image"].tolist() == ["a", "a", "b", "b"]
    assert table["xmax"].tolist() == [10, 9, 11, 15]
    assert [labels.tolist() for labels in table["labels"]] == [[1], [-1], [1], [0]]


def test_a_file_that_is_missing_says_so(tmp_path):
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        read_examples(tmp_path / "none.parquet")


def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path):
    path = tmp_path / "e.parquet"
    write_examples(path, people(), {})
    whole = path.read_bytes()
    for place in range(0, len(whole), 29):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"e\.parquet: is damaged: .* Is it the"):
            read_examples(path)


def a_frame(path):
    write_frame(path, pd.DataFrame({"id": ["a"]}))


def true_boxes(path):
    none = np.zeros(1, np.int32)
    write_truth(path, Truth(["a"], np.zeros(2), np.zeros((0, 4)), none, none, none > 0), {})


def a_row(path, **more):
    facts = {"classes": ["cat"], "scored": [True], "boxes": False}
    table = pa.table({"id": ["a"], "image": ["a"], "part": [""], "known": [True], **more})
    texts = {key: json.dumps(value) for key, value in facts.items()}
    write_parquet(path, table.replace_schema_metadata(texts))


def scores_for_labels(path):
    a_row(path, labels=[0.5])


def classes_that_are_numbers(path):
    write_frame(path, pd.DataFrame({"id": ["a"]}), {"classes": [1], "scored": [1], "boxes": 0})


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (a_frame, "does not say its classes; is it examples?"),
        (true_boxes, "does not say its classes; is it examples?"),
        (a_row, "has no column labels; is it examples?"),
        (scores_for_labels, "its column labels is double, not fixed_size_list"),
        (classes_that_are_numbers, "its classes are [1]; is it examples?"),
    ],
)
def test_files_of_another_kind_are_called_that(write, words, tmp_path):
    write(tmp_path / "e.parquet")
    with pytest.raises(InputError, match=r"e\.parquet: ") as caught:
        read_examples(tmp_path / "e.parquet")
    assert words in str(caught.value)


def labels(*rows):
    return np.array(rows, np.int8)


NAN = float("nan")


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (images(parts=["train", "val", "both", "test"]), "b:2 is of part 'both'"),
        (images(parts=["train", "val", "", "test"]), "b:2 is of part ''"),
        (images(parts=["", "", "", "test"]), "x is of part 'test'"),
        (people(parts=["train", "val", "val", "val"]), "a is of train and val"),
        (people(labels=labels([1], [2], [1], [1])), "a:3 has the labels [2]"),
        (people(labels=labels([1], [1], [-128], [1])), "b:2 has the labels [-128]"),
        (
            images(known=np.array([True, True, False, False])),
            "b:2 has withheld labels, but [-1, -1, 1]",
        ),
        (
            people(listed=np.array([[True], [True], [False], [True]])),
            "b:2 has labels where it is not listed, [1]",
        ),
        (people(ids=["a:1", "a:1", "b:2", "b:11"]), "a:1 is not in order"),
        (people(ids=["a:3", "a:1", "b:2", "b:11"]), "a:1 is not in order"),
        (people(ids=["a:1", "a:3", "b:11", "b:2"]), "b:2 is not in order"),
        (people(images=np.array([0, 1, 0, 1])), "a:3 is not named after its image b"),
        (people(ids=["a:1", "a:0", "b:2", "b:11"]), "a:0 is not named after its image a"),
        (people(ids=["a:1", "a:x", "b:2", "b:11"]), "a:x is not named after its image a"),
        (images(ids=list("dcba"), image_ids=list("dcba")), "c is not in order"),
        (people(classes=["a", "b"], scored=np.ones(2, bool), labels=labels(*[[1, 1]] * 4)), None),
        (people(scored=np.ones(2, bool)), "its 1 classes are none, or not one each"),
        (images(classes=["cat", "dog", "cat"]), "its 3 classes are none, or not one each"),
        (people(boxes=np.array([[0, 0, 1, 1]] * 3 + [[2, 0, 2, 1]])), "b:11 has the box [2.0, 0.0"),
        (people(boxes=np.array([[0, 0, 1, 1]] * 3 + [[-1, 0, 2, 1]])), "b:11 has the box [-1.0"),
        (people(boxes=np.array([[0, 0, 1, 1]] * 3 + [[0, 0, NAN, 1]])), "b:11 has the box [0.0"),
        (people(boxes=np.array([[0, 0, 1, 1]] * 3 + [[0, 0, np.inf, 1]])), "b:11 has the box"),
        (
            images(
                ids=[], image_ids=[], images=np.arange(0), parts=[], known=np.ones(0, bool),
                labels=np.zeros((0, 3), np.int8),
            ),
            "it has no examples",
        ),
    ],
    ids=lambda value: None if value is None or isinstance(value, str) else "examples",
)  # fmt: skip
def test_what_cannot_be_is_refused(examples, words, tmp_path):
    write_examples(tmp_path / "e.parquet", examples, {})
    if words is None:  # nothing is wrong with two classes
        assert read_examples(tmp_path / "e.parquet").classes == ["a", "b"]
        return
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        read_examples(tmp_path / "e.parquet")
    assert "is damaged" in str(caught.value)
