"""The command that draws random splits of a data set: what it writes, and what has a part in it."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.classified import folders_of, images_of
from tests.helpers.refusals import refusal
from workflow_scripts import draw_splits
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.core.randomness import Stream, generator
from workflow_scripts.vgg.data.examples import write_examples
from workflow_scripts.vgg.transfer.splits import counter_of

SIZES = {"BACKGROUND_Google": 30, "anchor": 13, "ant": 45}


@pytest.fixture
def words(tmp_path):
    """`words(**options)`: of three splits of 12 training and at most 10 test images a class."""
    write_examples(tmp_path / "e.parquet", folders_of(SIZES), {})

    def build(**changes):
        values = {
            "examples": tmp_path / "e.parquet", "splits": 3, "train_per_class": 12,
            "test_per_class": 10, "seed": 5, "output": tmp_path / "out/s.parquet",
        } | changes  # fmt: skip
        return [
            word
            for name, value in values.items()
            if value is not None
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]

    return build


def drawn(words):
    """What each image is in each split, by its name, as another program reads the file."""
    draw_splits.main(words)
    return pd.read_parquet(words[words.index("--output") + 1]).set_index("id")


def test_each_class_has_its_share_of_each_part(words, tmp_path):
    found = drawn(words())
    assert found.index.tolist() == folders_of(SIZES).ids
    assert found.columns.tolist() == ["split_0", "split_1", "split_2"]
    for name in found:
        for own, size in SIZES.items():
            of_class = found[name][found.index.str.startswith(f"{own}/")]
            counts = of_class.value_counts().to_dict()
            tested = min(10, size - 12)
            left = {"": size - 12 - tested} if size > 12 + tested else {}
            assert counts == {"learn": 10, "validate": 2, "test": tested} | left
    assert read_metadata(tmp_path / "out/s.parquet") == {
        "seed": 5, "train_per_class": 12, "test_per_class": 10,
    }  # fmt: skip


def test_without_a_limit_all_that_is_left_is_tested(words):
    found = drawn(words(test_per_class=None))
    assert not (found == "").any(axis=None)
    assert (found["split_1"] == "test").sum() == sum(SIZES.values()) - 36


def test_a_split_is_drawn_by_the_stream_of_splits(words):
    found = drawn(words())
    for number in range(3):
        for own, size in SIZES.items():
            counter = counter_of(number, own)
            order = generator(5, Stream.SPLITS, counter).permutation(size)
            column = found[f"split_{number}"]
            for part, places in (("learn", order[:10]), ("validate", order[10:12])):
                names = {f"{own}/{place:04d}" for place in places}
                there = column.index[(column == part) & column.index.str.startswith(f"{own}/")]
                assert set(there) == names


def test_splits_and_seeds_differ(words):
    found = drawn(words())
    other = drawn(words(seed=6))
    assert len({tuple(found[name]) for name in found}) == 3
    assert not any(found[name].equals(other[name]) for name in found)
    assert drawn(words()).equals(found)
    assert drawn(words(splits=1))["split_0"].equals(found["split_0"])


def test_labels_by_another_order_of_classes_change_nothing(words, tmp_path):
    found = drawn(words())
    examples = folders_of(SIZES)
    order = [2, 0, 1]
    turned = replace(
        examples, classes=[examples.classes[place] for place in order],
        labels=np.ascontiguousarray(examples.labels[:, order]),
    )  # fmt: skip
    write_examples(tmp_path / "t.parquet", turned, {})
    assert drawn(words(examples=tmp_path / "t.parquet")).equals(found)


def test_the_same_command_writes_the_same_bytes(words, tmp_path):
    contents = []
    for _ in range(2):
        draw_splits.main(words())
        contents.append((tmp_path / "out/s.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_the_log_counts_each_split(words, caplog):
    caplog.set_level(logging.INFO)
    drawn(words(splits=2))
    for number in range(2):
        assert f"split {number}: 30 to learn from, 6 to choose by, 21 to test on" in caplog.text


def told(words, tmp_path):
    with pytest.raises(InputError) as raised:
        draw_splits.main(words)
    assert not list((tmp_path / "out").glob("*"))
    return str(raised.value)


def test_parts_that_organisers_have_drawn_stay(words, tmp_path):
    write_examples(tmp_path / "v.parquet", images_of(["cat", "dog"]), {})
    complaint = told(words(examples=tmp_path / "v.parquet"), tmp_path)
    assert complaint.startswith(f"{tmp_path}/v.parquet: its parts are drawn already")


def test_a_class_of_too_few_images_is_named(words, tmp_path):
    complaint = told(words(train_per_class=13), tmp_path)
    assert "class anchor has 13 images, and 13 are to train on and others to test" in complaint
    assert "no such file" in told(words(examples=tmp_path / "none.parquet"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"splits": 0}, "--splits is at least 1, and --train-per-class 2"),
        ({"train_per_class": 1}, "--splits is at least 1, and --train-per-class 2"),
        ({"test_per_class": 0}, "--test-per-class is at least 1"),
        ({"splits": None}, "the following arguments are required: --splits"),
        ({"seed": "x"}, "invalid int value"),
    ],
)
def test_numbers_that_make_no_split_are_refused(changes, complaint, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        draw_splits.main(words(**changes))
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_refusal_ends_the_process_with_one_line_and_leaves_nothing(words, tmp_path):
    given = words(output=None, train_per_class=13)
    message = refusal("draw_splits", *given, output=tmp_path / "out/s.parquet")
    assert "e.parquet: class anchor has 13 images" in message
