"""Random splits of sets of Caltech's form: their sizes, and what has a part in them."""

import functools

import numpy as np
import pyarrow as pa
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_parquet
from workflow_scripts.vgg.core.randomness import Stream, generator
from workflow_scripts.vgg.transfer.splits import (
    counter_of,
    drawn_split,
    read_splits,
    write_splits,
)

SIZES = {"accordion": 55, "inline_skate": 31, "Faces": 435, "BACKGROUND_Google": 90}


def listed(sizes):
    """Names of images and their classes, in a folder's order."""
    names = [(f"{c}/image_{i:04d}", c) for c in sorted(sizes) for i in range(1, sizes[c] + 1)]
    return [name for name, _ in names], [own for _, own in names]


def split_of(ids, classes, number=0, seed=0, train=30, test=50):
    # Any stream serves: the splits' own is its caller's affair.
    return drawn_split(
        ids, classes, number, functools.partial(generator, seed, Stream.SAMPLE), train, test
    )


def names_of(split, ids):
    """The names in each part, as sets."""
    return [{ids[place] for place in part} for part in (split.learn, split.validate, split.test)]


def of_class(parts, name):
    return [{own for own in part if own.startswith(f"{name}/")} for part in parts]


@pytest.mark.parametrize("test", [50, None], ids=["up to 50", "the rest"])
def test_a_class_has_30_to_train_on_of_which_6_choose_and_others_to_test(test):
    ids, classes = listed(SIZES)
    for number in range(3):
        split = split_of(ids, classes, number, test=test)
        for part in (split.learn, split.validate, split.test, split.train):
            assert part.dtype == np.int64
            assert (np.diff(part) > 0).all(), "ascending, each once"
        assert sorted([*split.learn, *split.validate]) == split.train.tolist()
        assert not set(split.train) & set(split.test)
        parts = names_of(split, ids)
        for name, size in SIZES.items():
            left = size - 30
            tested = left if test is None else min(left, test)
            assert [len(part) for part in of_class(parts, name)] == [24, 6, tested]
    assert len(of_class(parts, "inline_skate")[2]) == 1


@pytest.mark.parametrize(
    ("train", "held_out"), [(2, 1), (3, 1), (7, 1), (8, 2), (12, 2), (13, 3), (30, 6), (60, 12)]
)
def test_a_fifth_of_the_training_images_and_at_least_one_are_to_choose_by(train, held_out):
    ids, classes = listed({"a": 61, "b": 70})
    split = split_of(ids, classes, train=train)
    assert (len(split.learn), len(split.validate)) == (2 * (train - held_out), 2 * held_out)


def test_seed_number_and_class_draw_and_nothing_else():
    ids, classes = listed({"a": 80, "b": 80})
    first = split_of(ids, classes)
    again = split_of(list(ids), list(classes))
    for one, other in zip(names_of(first, ids), names_of(again, ids), strict=True):
        assert one == other
    for changed in (split_of(ids, classes, number=1), split_of(ids, classes, seed=1)):
        for name in ("a", "b"):
            parts = of_class(names_of(changed, ids), name)
            assert parts != of_class(names_of(first, ids), name)
    a, b = ({own.split("/")[1] for own in of_class(names_of(first, ids), c)[0]} for c in "ab")
    assert a != b, "each class has a permutation of its own"


def test_the_order_of_the_list_has_no_part_in_a_split():
    ids, classes = listed(SIZES)
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = [ids[place] for place in order], [classes[place] for place in order]
    assert names_of(split_of(*shuffled), shuffled[0]) == names_of(split_of(ids, classes), ids)


def test_an_image_or_class_more_changes_no_other_class():
    ids, classes = listed(SIZES)
    parts = names_of(split_of(ids, classes), ids)
    for sizes in (SIZES | {"accordion": 56}, SIZES | {"ant": 40}):
        others = names_of(split_of(*listed(sizes)), listed(sizes)[0])
        for name in SIZES.keys() - {"accordion"}:
            assert of_class(others, name) == of_class(parts, name)
        if "ant" not in sizes:
            assert of_class(others, "accordion") != of_class(parts, "accordion")


def test_fewer_to_test_change_nothing_else():
    ids, classes = listed(SIZES)
    all_left, few = (split_of(ids, classes, test=test) for test in (None, 7))
    assert few.learn.tolist() == all_left.learn.tolist()
    assert few.validate.tolist() == all_left.validate.tolist()
    assert set(few.test) < set(all_left.test)


def test_each_image_is_as_likely_in_each_part():
    """Of 10 images, 5 are trained on and 1 of these held out, over 2,000 splits."""
    ids, classes = listed({"a": 10})
    counts = np.zeros((3, 10))
    for number in range(2000):
        split = split_of(ids, classes, number, train=5, test=3)
        for part, places in enumerate((split.learn, split.validate, split.test)):
            counts[part, places] += 1
    np.testing.assert_allclose(counts / 2000, np.repeat([[0.4], [0.1], [0.3]], 10, 1), atol=0.05)


def test_a_split_is_the_permutation_that_its_words_say():
    ids, classes = listed({"b": 12, "a": 9})
    split = split_of(ids, classes, number=2, seed=5, train=5, test=3)
    expected = [[], [], []]
    for name, places in (("a", np.arange(9)), ("b", np.arange(9, 21))):
        order = generator(5, Stream.SAMPLE, counter_of(2, name)).permutation(places)
        for part, own in zip(expected, (order[:4], order[4:5], order[5:8]), strict=True):
            part.extend(own.tolist())
    found = [split.learn, split.validate, split.test]
    assert [part.tolist() for part in found] == [sorted(part) for part in expected]


def test_counters_differ_and_fill_64_bits():
    counters = {counter_of(number, f"class{i}") for number in range(3) for i in range(300)}
    assert len(counters) == 900
    assert 2**63 < max(counters) < 2**64


@pytest.mark.parametrize("size", [30, 12])
def test_a_class_without_an_image_to_test_is_refused(size):
    ids, classes = listed({"a": 40, "yin_yang": size})
    with pytest.raises(InputError, match=f"class yin_yang has {size} images, and 30 are to train"):
        split_of(ids, classes)


def test_what_cannot_be_split_is_refused():
    ids, classes = listed({"a": 40})
    with pytest.raises(InputError, match="two images are called a/image_0003"):
        split_of([*ids, ids[2]], [*classes, "a"])
    with pytest.raises(InputError, match="no images"):
        split_of([], [])
    for train, test in ((1, 5), (0, None), (5, 0)):
        with pytest.raises(ValueError, match="of each class"):
            split_of(ids, classes, train=train, test=test)


# Files


@pytest.fixture
def written(tmp_path):
    ids, classes = listed(SIZES)
    splits = [split_of(ids, classes, number) for number in range(3)]
    write_splits(tmp_path / "splits.parquet", ids, splits, {"seed": 0, "train_per_class": 30})
    return tmp_path / "splits.parquet", ids, splits


def test_splits_are_read_as_they_were_written(written):
    path, ids, splits = written
    found_ids, found = read_splits(path)
    assert found_ids == ids
    for one, other in zip(found, splits, strict=True):
        assert names_of(one, ids) == names_of(other, ids)
        assert one.learn.tolist() == other.learn.tolist()
        assert one.learn.dtype == np.int64
    assert read_metadata(path) == {"seed": 0, "train_per_class": 30}


def test_a_file_says_in_words_what_an_image_is_in_each_split(written):
    import pandas as pd

    path, ids, _ = written
    frame = pd.read_parquet(path)
    assert frame.columns.tolist() == ["id", "split_0", "split_1", "split_2"]
    assert frame["id"].tolist() == ids
    counts = frame["split_2"].value_counts().to_dict()
    tested = 25 + 1 + 50 + 50
    assert counts == {"learn": 96, "validate": 24, "test": tested, "": len(ids) - 120 - tested}


PARTS = ["learn", "validate", "test", ""]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"id": ["a"] * 4, "descriptor": PARTS}, "not those of splits"),
        ({"id": ["a"] * 4}, "not those of splits"),
        ({"split_0": PARTS, "id": ["a"] * 4}, "not those of splits"),
        ({"id": ["a"] * 4, "split_0": PARTS, "split_2": PARTS}, "not those of splits"),
        ({"id": ["a"] * 4, "split_0": ["learn", "validate", "test", "train"]}, "that there is not"),
        ({"id": ["a"] * 4, "split_0": ["learn", "validate", "test", None]}, "that there is not"),
        ({"id": ["a"] * 4, "split_0": ["learn", "learn", "test", ""]}, "without an image"),
    ],
)
def test_files_that_are_no_splits_are_refused(columns, told, tmp_path):
    write_parquet(tmp_path / "other.parquet", pa.table(columns))
    with pytest.raises(InputError, match=f"other.parquet: .*{told}"):
        read_splits(tmp_path / "other.parquet")


def test_a_missing_or_damaged_file_is_refused(written, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_splits(tmp_path / "none.parquet")
    path, _, _ = written
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        read_splits(path)
