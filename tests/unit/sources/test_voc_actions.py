"""VOC's people and what they do, in the forms of its archives and in wrong ones."""

import numpy as np
import pytest

from tests.helpers.voc_sets import (
    NEW,
    bytes_of,
    lists,
    pictures,
    refusal,
    trainval,
    with_bytes,
    without,
    write_folder,
    write_tar,
)
from workflow_scripts.vgg.data.sources.voc import read_actions, read_voc


def xml(*objects, size=(120, 80)):
    """An annotation of (name, xmin, ymin, xmax, ymax), first and last pixels, from 1."""
    sides = size and f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    things = "".join(
        f"<object><name>{name}</name><actions><jumping>1</jumping></actions><bndbox>"
        f"<xmax>{box[2]}</xmax><xmin>{box[0]}</xmin><ymax>{box[3]}</ymax><ymin>{box[1]}</ymin>"
        "</bndbox></object>"
        for name, *box in objects
    )
    return f"<annotation><filename>x.jpg</filename>{things}{sides or ''}</annotation>".encode()


def people():
    """Three images; in b the first object is a horse, and the first and tenth person are listed."""
    crowd = [("person", 10 + n, 10, 40 + n, 60) for n in range(10)]
    return {
        **pictures("a", "b", "c", "unlisted"),
        "Annotations/a.xml": xml(("person", 11, 21, 60, 70), ("person", 61, 21, 120, 80)),
        "Annotations/b.xml": xml(("horse", 1, 1, 120, 80), *crowd),
        "Annotations/c.xml": xml(("person", "0", "-3.5", "45.5", "90")),
        **lists(
            "Action",
            train="b\n",
            val="a\nc\n",
            riding_train="b 2  1\nb 11 -1\n",
            riding_val="a 1 -1\na 2 1\nc 1 -1\n",
            sleeping_train="b 2 -1\nb 11  1\n",
            sleeping_val="a 1 -1\na 2  1\nc 1  1\n",
        ),
    }


ACTION_IDS = ["a:1", "a:2", "b:2", "b:11", "c:1"]
ACTION_LABELS = [[1, -1, -1], [-1, 1, 1], [-1, 1, -1], [-1, -1, 1], [-1, -1, 1]]
BOXES = [[10, 20, 60, 70], [60, 20, 120, 80], [9, 9, 40, 60], [18, 9, 49, 60], [0, 0, 45.5, 80]]


@pytest.mark.parametrize("form", ["tar", "folder"])
def test_people_and_what_they_do_are_read(form, tmp_path):
    if form == "tar":
        source = write_tar(tmp_path / "VOCtrainval_11-May-2012.tar", people(), NEW)
    else:
        source = write_folder(tmp_path / "VOCdevkit/VOC2012", people()).parent
    members, examples = read_actions([source])
    assert examples.ids == ACTION_IDS, "numbers count all objects, and 11 comes after 2"
    assert examples.image_ids == ["a", "b", "c"]
    assert examples.images.tolist() == [0, 0, 1, 1, 2]
    assert examples.parts == ["val", "val", "train", "train", "val"]
    assert examples.classes == ["other", "riding", "sleeping"]
    assert examples.labels.tolist() == ACTION_LABELS
    assert examples.scored.tolist() == [False, True, True]
    assert examples.known.all()
    assert examples.boxes.dtype == np.float64
    assert examples.boxes.tolist() == BOXES
    files = people()
    assert bytes_of(members) == {name: files[f"JPEGImages/{name}.jpg"] for name in "abc"}


def test_other_is_read_where_a_list_tells_it(tmp_path):
    files = people() | lists(
        "Action", other_train="b 2 -1\nb 11 -1\n", other_val="a 1 -1\na 2 -1\nc 1 1\n"
    )
    _, examples = read_actions([write_folder(tmp_path / "x", files)])
    assert examples.classes == ["other", "riding", "sleeping"]
    assert examples.labels[:, 0].tolist() == [-1, -1, -1, -1, 1]
    assert examples.scored.tolist() == [False, True, True]


def test_lists_may_number_people_too(tmp_path):
    files = people() | lists("Action", train="b 2\nb 11\n", val="a 1\na 2\nc 1\n")
    _, examples = read_actions([write_folder(tmp_path / "x", files)])
    assert examples.ids == ACTION_IDS
    assert examples.labels.tolist() == ACTION_LABELS


def test_a_person_whom_a_list_leaves_out_counts_neither_for_nor_against(tmp_path, caplog):
    files = people() | lists("Action", riding_val="a 2 1\nc 1 -1\n")
    _, examples = read_actions([write_folder(tmp_path / "x", files)])
    assert examples.ids == ACTION_IDS
    assert examples.labels[0].tolist() == [0, 0, -1], "nor can it be told to do nothing else"
    assert "riding_val.txt: says nothing of 1 of 3 people, first a:1; they" in caplog.text
    assert examples.classes == ["other", "riding", "sleeping"]
    assert examples.listed.tolist() == [[True, False, True], *[[True] * 3] * 4]


def test_a_person_of_the_test_set_whom_a_list_leaves_out_is_known_to_be(tmp_path):
    files = people() | pictures("t")
    files["Annotations/t.xml"] = xml(("person", 1, 1, 20, 20), ("person", 31, 1, 60, 20))
    files |= lists("Action", test="t\n", riding_test="t 2\n", sleeping_test="t 1\nt 2\n")
    _, examples = read_actions([write_folder(tmp_path / "x", files)])
    assert examples.ids[-2:] == ["t:1", "t:2"]
    assert not examples.known[-2:].any()
    assert examples.listed.tolist() == [*[[True] * 3] * 5, [True, False, True], [True] * 3]


def test_where_all_lists_name_all_nothing_is_said_of_it(tmp_path):
    _, examples = read_actions([write_folder(tmp_path / "x", people())])
    assert examples.listed is None


ACTIONS_WITHHELD = {
    "no lists": {},
    "lists without labels": {"riding_test": "t 1\nt 3\n", "sleeping_test": "t 1\nt 3\n"},
    "a list of people": {"test": "t 1\nt 3\n"},
    "lists without a positive": {
        "riding_test": "t 1 0\nt 3 0\n",
        "sleeping_test": "t 1 0\nt 3 0\n",
    },
}


@pytest.mark.parametrize("form", list(ACTIONS_WITHHELD))
def test_actions_that_the_server_alone_knows_are_withheld(form, tmp_path):
    objects = [("person", 1, 1, 20, 20), ("dog", 1, 1, 20, 20), ("person", 31, 1, 60, 20)]
    files = {**pictures("t"), "Annotations/t.xml": xml(*objects), **lists("Action", test="t\n")}
    files |= lists("Action", **ACTIONS_WITHHELD[form])
    tars = [
        write_tar(tmp_path / "one.tar", people(), NEW),
        write_tar(tmp_path / "2.tar", files, NEW),
    ]
    _, examples = read_actions(tars)
    assert examples.ids == [*ACTION_IDS, "t:1", "t:3"]
    assert examples.known.tolist() == [True] * 5 + [False] * 2
    assert examples.labels.tolist() == [*ACTION_LABELS, [0, 0, 0], [0, 0, 0]]
    assert examples.boxes[-1].tolist() == [30, 0, 60, 20]


def test_a_test_image_without_people_is_refused(tmp_path):
    files = people() | pictures("t") | lists("Action", test="t\n")
    files["Annotations/t.xml"] = xml(("dog", 1, 1, 20, 20))
    message = refusal(write_folder(tmp_path / "x", files), read=read_actions)
    assert "test.txt: names t, but its XML holds no person; download" in message


def test_a_box_of_an_image_without_a_size_is_not_cut(tmp_path):
    files = people() | {"Annotations/c.xml": xml(("person", 0, 5, 999, 90), size=None)}
    _, examples = read_actions([write_folder(tmp_path / "x", files)])
    assert examples.boxes[-1].tolist() == [0, 4, 999, 90]


def action(**texts):
    return lambda files: files.update(lists("Action", **texts))


def of_c(*box):
    return with_bytes("Annotations/c.xml", xml(("person", *box)))


WRONG_PEOPLE = {
    "an image that is not there": (
        without("JPEGImages/c.jpg"),
        "val.txt, line 2: names c, but there is no JPEGImages/c.jpg in {where}",
    ),
    "an XML that is not there": (
        without("Annotations/c.xml"),
        "holds no Annotations/c.xml, which tells the boxes of people whose actions are listed",
    ),
    "an XML that ends early": (
        with_bytes("Annotations/c.xml", b"<annotation><object>"),
        "Annotations/c.xml: is no readable XML (no element found",
    ),
    "an XML of nobody": (
        with_bytes("Annotations/c.xml", xml()),
        "Annotations/c.xml: has no <object>, so no box",
    ),
    "a box that is a word": (
        of_c("left", 1, 20, 20),
        "Annotations/c.xml: a box or a size has 'left' for a number; correct it",
    ),
    "a person beyond those of the XML": (
        action(riding_val="a 1 -1\na 2 1\nc 1 -1\nc 2 1\n"),
        "Annotations/c.xml: a list names person 2 of c, but object 2 is not there, of 1; download",
    ),
    "a person who is a horse": (
        action(riding_train="b 2 1\nb 1 -1\nb 11 1\n"),
        "Annotations/b.xml: a list names person 1 of b, but object 1 is a horse, of 11; download",
    ),
    "person zero": (
        action(riding_train="b 2 1\nb 0 -1\nb 11 1\n"),
        "riding_train.txt, line 2: expected an image's name and a person's number from 1 and a "
        "label, found 'b 0 -1'",
    ),
    "no person's number": (
        action(riding_train="b 1\n"),
        "riding_train.txt, line 1: expected an image's name and a person's number from 1 and a "
        "label, found 'b 1'",
    ),
    "a label of two": (
        action(riding_train="b 2 2\nb 11 1\n"),
        "riding_train.txt, line 1: has the label '2', not -1, 0 or 1",
    ),
    "one person twice": (
        action(riding_train="b 2 1\nb 2 1\nb 11 -1\n"),
        "riding_train.txt, line 2: names b 2 a second time",
    ),
    "an image that is not listed": (
        action(riding_train="b 2 1\nb 11 -1\na 1 1\n"),
        "riding_train.txt, line 3: names a 1, which train.txt does not",
    ),
    "an image of whose people no list tells": (
        action(riding_val="a 1 1\n", sleeping_val="a 1 -1\n"),
        "val.txt: names c, but no action's list tells of it; download",
    ),
    "a person of whom no list tells": (
        action(train="b 2\nb 3\nb 11\n"),
        "train.txt: names b 3, but no action's list tells of it; download",
    ),
    "a person who is not listed": (
        action(train="b 2\n"),
        "riding_train.txt, line 2: names b 11, which train.txt does not",
    ),
    "lines with and without a person": (
        action(val="a\nc 1\n"),
        "val.txt: has lines with a person's number and lines without",
    ),
    "an action that nobody does": (
        action(riding_train="b 2 -1\nb 11 -1\n", riding_val="a 1 -1\na 2 -1\nc 1 0\n"),
        "nothing in train is of riding, so that it cannot be learned",
    ),
    "a box of seven pixels": (
        of_c(11, 11, 60, 17),
        "Annotations/c.xml: person 1 has the box 11 11 60 17, with less than 8 pixels a side "
        "within the image's 120×80 pixels; correct it, or remove the person from the lists",
    ),
    "a box that ends before it begins": (
        of_c(60, 11, 11, 60),
        "Annotations/c.xml: person 1 has the box 60 11 11 60, with less than 8 pixels a side",
    ),
    "a box with seven pixels in the image": (
        of_c(114, 11, 200, 60),
        "Annotations/c.xml: person 1 has the box 114 11 200 60, with less than 8 pixels a side",
    ),
    "a box outside the image": (
        of_c(130, 11, 200, 60),
        "Annotations/c.xml: person 1 has the box 130 11 200 60, with less than 8 pixels a side",
    ),
}


@pytest.mark.parametrize("wrong", list(WRONG_PEOPLE))
def test_wrong_files_about_people_are_refused_by_name(wrong, tmp_path):
    change, words = WRONG_PEOPLE[wrong]
    files = people()
    change(files)
    source = write_tar(tmp_path / "a.tar", files, NEW)
    message = refusal(source, read=read_actions)
    assert message.startswith(str(source))
    assert words.format(where=source) in message
    assert "\n" not in message


def test_a_box_of_eight_pixels_is_enough(tmp_path):
    files = people()
    of_c(113, 73, 120, 80)(files)
    _, examples = read_actions([write_folder(tmp_path / "x", files)])
    assert examples.boxes[-1].tolist() == [112, 72, 120, 80]


def test_objects_and_actions_of_one_archive_are_told_apart(tmp_path):
    path = write_tar(tmp_path / "a.tar", people() | trainval(), NEW)
    assert read_voc([path])[1].ids == ["000005", "000007", "000009", "000012", "000016"]
    assert read_actions([path])[1].ids == ACTION_IDS


def test_an_archive_without_actions_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", trainval())
    message = refusal(path, read=read_actions)
    assert f"{path}: holds no ImageSets/Action/train.txt" in message
