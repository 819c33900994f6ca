"""Files of predicted boxes: what is written is read again, and nothing that cannot be."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_parquet
from workflow_scripts.vgg.localisation.box_files import (
    BoxedImage,
    Predicted,
    joined,
    read_boxes,
    write_boxes,
)

PLACE = "boxes/val/D_S384_pcr/dense_Q384.parquet"
SAID = {"model": "D_S384_pcr", "method": "dense", "Q": 384}


def image_of(number, classes=(3, 1), rows=2, columns=3, label=3):
    rng = np.random.default_rng(number)
    first = rng.uniform(0, 50, (len(classes), rows, columns, 2))
    boxes = np.concatenate([first, first + rng.uniform(1, 50, first.shape)], -1)
    scores = rng.random((len(classes), rows, columns))
    predicted = Predicted(np.array(classes), boxes.astype(np.float32), scores.astype(np.float32))
    return BoxedImage(f"image_{number:04d}", label, 120, 90, predicted)


def file_of(folder, images, place=PLACE, **said):
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    write_boxes(path, images, SAID | said)
    return path


def same(one, other):
    ours, theirs = one.predicted, other.predicted
    facts = [(i.id, i.label, i.width, i.height) for i in (one, other)]
    arrays = [(ours.classes, theirs.classes), (ours.boxes, theirs.boxes)]
    arrays += [(ours.scores, theirs.scores)]
    return facts[0] == facts[1] and all(np.array_equal(a, b) for a, b in arrays)


def test_boxes_are_read_as_they_were_written_in_the_order_of_names(tmp_path):
    """Of different shapes, and of more images than a group of rows holds."""
    images = [
        image_of(number, rows=1 + number % 3, columns=1 + number % 4, classes=range(1 + number % 5))
        for number in range(600)
    ]
    order = np.random.default_rng(0).permutation(600)
    path = file_of(tmp_path, [images[place] for place in order])
    found = list(read_boxes(path))
    assert len(found) == 600
    assert all(same(one, other) for one, other in zip(found, images, strict=True))
    assert found[7].predicted.boxes.dtype == np.float32
    assert read_metadata(path) == SAID


def test_other_programs_read_the_numbers_row_by_row(tmp_path):
    images = [image_of(number) for number in range(3)]
    table = pq.read_table(file_of(tmp_path, images), page_checksum_verification=True)
    assert table["rows"].to_pylist() == [2] * 3
    assert table["columns"].to_pylist() == [3] * 3
    for image, boxes, scores in zip(images, table["boxes"], table["scores"], strict=True):
        assert boxes.as_py() == [
            float(number)
            for of_class in image.predicted.boxes
            for row in of_class
            for box in row
            for number in box
        ]
        assert scores.as_py() == image.predicted.scores.flatten().tolist()


def test_several_files_are_read_side_by_side(tmp_path):
    ones = [image_of(number) for number in range(300)]
    others = [image_of(number, rows=1, columns=5) for number in range(300)]
    paths = [file_of(tmp_path / "1", ones), file_of(tmp_path / "2", others)]
    for place, (one, other) in enumerate(joined(paths)):
        assert same(one, ones[place])
        assert same(other, others[place])
    assert place == 299


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda i: i[:-1], "hold different numbers of images"),
        (lambda i: [*i[:-1], image_of(7)], "are not about the same images"),
        (lambda i: [*i[:-1], image_of(4, label=1)], "are not about the same images"),
        (lambda i: [*i[:-1], image_of(4, classes=(1, 3))], "other classes for image_0004; delete"),
        (lambda i: [*i[:-1], image_of(4, classes=(3,))], "other classes for image_0004; delete"),
        (
            lambda i: [*i[:-1], dataclasses.replace(i[-1], width=121)],
            "are not about the same images",
        ),
    ],
)
def test_files_of_other_images_or_classes_are_not_united(tmp_path, changed, told):
    images = [image_of(number) for number in range(5)]
    one, other = file_of(tmp_path / "1", images), file_of(tmp_path / "2", changed(images))
    assert len(list(joined([one, one]))) == 5
    with pytest.raises(InputError, match=rf"^{other} and {one} .*{told}"):
        list(joined([one, other]))


@pytest.mark.parametrize(
    "place",
    [
        PLACE.replace("D_S384", "D_S256"),
        PLACE.replace("dense", "center"),
        PLACE.replace("Q384", "Q352"),
    ],
)
def test_boxes_at_anothers_place_are_refused(tmp_path, place):
    path = file_of(tmp_path / "results", [image_of(1)], place)
    told = rf"^{path}: holds the boxes of D_S384_pcr/dense_Q384\.parquet\. .* rm {path}"
    with pytest.raises(InputError, match=told):
        list(read_boxes(path))
    with pytest.raises(InputError, match=told):
        list(joined([path, path]))


def test_elsewhere_any_boxes_are_read(tmp_path):
    assert len(list(read_boxes(file_of(tmp_path, [image_of(1)], "mine.parquet")))) == 1


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.99])
def test_a_changed_byte_is_noticed(tmp_path, share):
    path = file_of(tmp_path, [image_of(number) for number in range(40)])
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 16
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: is damaged: .* Is it the right"):
        list(read_boxes(path))


def test_no_file_and_another_kind_of_file_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.parquet: no such file; has its rule run"):
        list(read_boxes(tmp_path / "nowhere.parquet"))
    write_parquet(tmp_path / "p.parquet", pa.table({"id": ["a"], "label": [1]}))
    with pytest.raises(InputError, match=r"p\.parquet: has no label of int32; is it a file of box"):
        list(read_boxes(tmp_path / "p.parquet"))


def sealed(path, changes):
    """A whole file of two images of one class and place, with some columns replaced."""
    columns = {
        "id": ["a", "b"], "label": [0, 1], "width": [9, 9], "height": [8, 8],
        "classes": [[0], [1]], "rows": [1, 1], "columns": [1, 1],
        "boxes": [[0, 0, 4, 4], [1, 1, 2, 2]], "scores": [[0.5], [1.0]],
    } | changes  # fmt: skip
    whole = pa.list_(pa.int32())
    kinds = {"id": pa.string(), "classes": whole}
    kinds |= dict.fromkeys(("label", "width", "height", "rows", "columns"), pa.int32())
    kinds |= dict.fromkeys(("boxes", "scores"), pa.list_(pa.float32()))
    write_parquet(path, pa.table({n: pa.array(v, kinds[n]) for n, v in columns.items()}))


NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"id": ["b", "a"]}, "a comes behind b"),
        ({"id": ["a", "a"]}, "a comes behind a"),
        ({"boxes": [[0, 0, 4, 4], [2, 1, 2, 2]]}, "b has a box that ends before it begins"),
        ({"boxes": [[0, 4, 4, 1], [1, 1, 2, 2]]}, "a has a box that ends before it begins"),
        ({"boxes": [[0, 0, NAN, 4], [1, 1, 2, 2]]}, "a has a box that ends before it begins"),
        ({"boxes": [[0, 0, float("inf"), 4], [1, 1, 2, 2]]}, "a has a box that ends before"),
        ({"boxes": [[0, 0, 4, 4], [1, 1, 2]]}, "b has 3 numbers and 1 scores"),
        ({"scores": [[0.5, 0.5], [1.0]]}, "a has 4 numbers and 2 scores"),
        ({"rows": [1, 2]}, "b has 4 numbers and 1 scores"),
        ({"scores": [[0.5], [1.01]]}, "b has a score outside 0 to 1"),
        ({"scores": [[-0.1], [1.0]]}, "a has a score outside 0 to 1"),
        ({"scores": [[NAN], [1.0]]}, "a has a score outside 0 to 1"),
        ({"classes": [[0], []]}, "b has no boxes"),
        ({"rows": [0, 1], "boxes": [[], [1, 1, 2, 2]], "scores": [[], [1]]}, "a has no boxes"),
        ({"label": [0, None]}, "b has no boxes"),
    ],
)
def test_boxes_that_cannot_be_are_damage(tmp_path, changes, told):
    path = tmp_path / "b.parquet"
    sealed(path, changes)
    if told is None:
        assert [image.predicted.boxes.tolist() for image in read_boxes(path)] == [
            [[[[0, 0, 4, 4]]]],
            [[[[1, 1, 2, 2]]]],
        ]
        return
    with pytest.raises(InputError, match=rf"b\.parquet: is damaged: {told}"):
        list(read_boxes(path))
