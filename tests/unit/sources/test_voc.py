"""PASCAL VOC, of objects: read in place, and refused where it is wrong."""

import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.voc_sets import (
    NEW,
    OLD,
    bytes_of,
    changed,
    lists,
    pictures,
    refusal,
    trainval,
    with_bytes,
    without,
    write_folder,
    write_tar,
)
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.members import Hidden
from workflow_scripts.vgg.data.sources.voc import read_voc


def held_out():
    return {
        **pictures("000001", "000008"),
        **lists(
            "Main",
            test="000001\n000008\n",
            cat_test="000001  0\n000008  1\n",
            train_test="000001 -1\n000008 -1\n",
        ),
    }


IDS = ["000001", "000005", "000007", "000008", "000009", "000012", "000016"]
PARTS = ["test", "train", "train", "test", "val", "train", "val"]
LABELS = [[0, -1], [1, -1], [-1, 1], [1, -1], [-1, 1], [0, -1], [1, -1]]  # of cat and of train


def same(these, those):
    assert vars(these).keys() == vars(those).keys()
    for name, value in vars(these).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, vars(those)[name]), name
        else:
            assert value == vars(those)[name], name


@pytest.fixture
def tars(tmp_path):
    return [
        write_tar(tmp_path / "VOCtrainval_06-Nov-2007.tar", trainval()),
        write_tar(tmp_path / "VOCtest_06-Nov-2007.tar", held_out()),
    ]


def test_objects_are_read_from_the_archives(tars):
    members, examples = read_voc(tars)
    assert examples.ids == examples.image_ids == IDS
    assert examples.images.tolist() == list(range(7))
    assert examples.parts == PARTS
    assert examples.classes == ["cat", "train"]
    assert examples.labels.dtype == np.int8
    assert examples.labels.tolist() == LABELS
    assert examples.known.tolist() == [True] * 7
    assert examples.scored.tolist() == [True, True]
    assert examples.boxes is None
    assert [member.id for member in members] == IDS, "images that no list names are left out"
    files = {**trainval(), **held_out()}
    assert bytes_of(members) == {name: files[f"JPEGImages/{name}.jpg"] for name in IDS}
    assert {member.file for member in members} == {*map(str, tars)}


@pytest.mark.parametrize("inside", ["VOCdevkit/VOC2007", "VOC2007", "", "here/VOCdevkit/VOC2007"])
@pytest.mark.parametrize("joined", [True, False], ids=["one folder", "two folders"])
def test_folders_are_read_as_the_archives_are(inside, joined, tars, tmp_path):
    names = ["one", "one"] if joined else ["one", "two"]
    for name, files in zip(names, (trainval(), held_out()), strict=True):
        write_folder(tmp_path / name / inside, files)
    outer = "here" if inside.startswith("here") else ""
    members, examples = read_voc([tmp_path / name / outer for name in dict.fromkeys(names)])
    from_tars, expected = read_voc(tars)
    same(examples, expected)
    assert bytes_of(members) == bytes_of(from_tars)
    assert {member.offset for member in members} == {0}


def test_a_tar_and_a_folder_go_together(tars, tmp_path):
    folder = write_folder(tmp_path / "VOC2007", held_out())
    same(read_voc([tars[0], folder])[1], read_voc(tars)[1])


def test_without_a_test_set_there_is_none(tars):
    _, examples = read_voc(tars[:1])
    assert set(examples.parts) == {"train", "val"}
    assert examples.known.all()


WITHHELD = {
    "no lists": {},
    "empty lists": {"cat_test": "", "train_test": "\n"},
    "lists without labels": {"cat_test": "000001\n000008\n", "train_test": "000001\n000008\n"},
    "lists without a positive": {
        "cat_test": "000001 0\n000008 0\n",
        "train_test": "000001 -1\n000008 -1\n",
    },
}


@pytest.mark.parametrize("form", list(WITHHELD))
def test_labels_that_the_server_alone_knows_are_withheld(form, tars, tmp_path):
    files = {**pictures("000001", "000008"), **lists("Main", test="000001\n000008\n")}
    files |= lists("Main", **WITHHELD[form])
    members, examples = read_voc([tars[0], write_tar(tmp_path / "t.tar", files)])
    assert len(members) == 7
    assert examples.parts == PARTS
    assert examples.known.tolist() == [part != "test" for part in PARTS]
    assert (examples.labels[~examples.known] == 0).all()
    assert examples.labels[examples.known].tolist() == [LABELS[row] for row in (1, 2, 4, 5, 6)]


def test_a_validation_set_without_a_positive_is_known(tmp_path):
    files = trainval() | lists("Main", cat_val="000009 -1\n000016 0\n")
    files |= lists("Main", train_val="000009 -1\n000016 -1\n")
    _, examples = read_voc([write_tar(tmp_path / "a.tar", files)])
    assert examples.known.all()
    assert examples.labels.tolist() == [[1, -1], [-1, 1], [-1, -1], [0, -1], [0, -1]]


def test_hidden_files_are_left_out_and_counted(tmp_path):
    files = trainval()
    files["JPEGImages/._000005.jpg"] = files["ImageSets/Main/._train.txt"] = b"\0\5\x16\7"
    hidden = Hidden("here")
    _, examples = read_voc([write_tar(tmp_path / "a.tar", files)], hidden=hidden)
    assert len(examples.ids) == 5
    assert hidden.count == 2
    hidden = Hidden("here")
    folder = write_folder(tmp_path / "VOC2007", files)
    (folder / ".DS_Store").write_bytes(b"x")
    assert len(read_voc([folder], hidden=hidden)[1].ids) == 5
    assert hidden.count == 3


def test_lists_that_other_programs_saved_are_read_rightly(tars, tmp_path):
    files = trainval() | held_out()
    for name, content in files.items():
        if name.endswith(".txt"):
            files[name] = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
    same(read_voc([write_folder(tmp_path / "x", files)])[1], read_voc(tars)[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="Linux counts what is read")
def test_the_images_of_an_archive_are_passed_over(tmp_path):
    files = trainval()
    for name in [name for name in files if name.endswith(".jpg")]:
        files[name] += bytes(4 * 2**20)
    path = write_tar(tmp_path / "large.tar", files)

    def bytes_read():
        return int(Path("/proc/self/io").read_text().split()[1])

    before = bytes_read()
    read_voc([path])
    assert path.stat().st_size > 24 * 2**20
    assert bytes_read() - before < 2**20


WRONG = {
    "an image that is not there": (
        without("JPEGImages/000007.jpg"),
        "train.txt, line 2: names 000007, but there is no JPEGImages/000007.jpg in {where}; give "
        "all archives of the year",
    ),
    "a label of two": (
        changed("cat_val", "000009 2\n000016 1\n"),
        "cat_val.txt, line 1: has the label '2', not -1, 0 or 1; download",
    ),
    "a label that is a word": (
        changed("cat_val", "000009 yes\n000016 1\n"),
        "cat_val.txt, line 1: has the label 'yes', not -1, 0 or 1; download",
    ),
    "a line without a label": (
        changed("cat_train", "000005 1\n000007\n000012 0\n"),
        "cat_train.txt, line 2: expected an image's name and a label, found '000007'; download",
    ),
    "a line of three words": (
        changed("cat_train", "000005 1 1\n000007 -1\n000012 0\n"),
        "cat_train.txt, line 1: expected an image's name and a label, found '000005 1 1'",
    ),
    "a list of images with labels": (
        changed("train", "000005 1\n000007\n000012\n"),
        "train.txt, line 1: expected an image's name, found '000005 1'; download",
    ),
    "no list of a class": (
        changed("cat_val", None),
        "holds no ImageSets/Main/cat_val.txt, but train_val.txt; download",
    ),
    "no list of any class for val": (
        lambda files: [changed(f"{name}_val", None)(files) for name in ("cat", "train")],
        "holds no ImageSets/Main/cat_val.txt; download",
    ),
    "a class of trainval alone": (
        changed("dog_trainval", "000005 1\n"),
        "holds no ImageSets/Main/dog_train.txt, but cat_train.txt; download",
    ),
    "no classes": (
        lambda files: [files.pop(name) for name in list(files) if "_" in name],
        "holds no ImageSets/Main/<class>_train.txt, which tell the labels; is it complete?",
    ),
    "no list of train": (
        changed("train", None),
        "holds no ImageSets/Main/train.txt, which lists the images of a part that classifiers "
        "need. Give archives, such as VOCtrainval_06",
    ),
    "an empty list of val": (changed("val", " \n\n"), "val.txt: names no images; download"),
    "a label of an image that is not listed": (
        changed("cat_train", "000005 1\n000007 -1\n000009 1\n000012 0\n"),
        "cat_train.txt, line 3: names 000009, which train.txt does not; download",
    ),
    "no label of an image that is listed": (
        changed("cat_train", "000005 1\n000012 0\n"),
        "cat_train.txt: has no line for 000007, which train.txt names; download",
    ),
    "two labels of an image": (
        changed("cat_train", "000005 1\n000007 -1\n000007 1\n000012 0\n"),
        "cat_train.txt, line 3: names 000007 a second time; download",
    ),
    "an image twice in a list": (
        changed("val", "000009\n000016\n000009\n"),
        "val.txt, line 3: names 000009 a second time; download",
    ),
    "an image of two parts": (
        changed("val", "000009\n000016\n000005\n"),
        "val.txt, line 3: names 000005, which train.txt names too; an image is of one part",
    ),
    "a class of nothing": (
        lambda files: [
            changed("cat_train", "000005 -1\n000007 -1\n000012 0\n")(files),
            changed("cat_val", "000009 0\n000016 -1\n")(files),
        ],
        "nothing in train is of cat, so that it cannot be learned; correct its lists",
    ),
    "a list that is no text": (
        with_bytes("ImageSets/Main/train.txt", "000005\n".encode("utf-16")),
        "train.txt, line 1: not UTF-8 text",
    ),
    "an image without bytes": (
        with_bytes("JPEGImages/000007.jpg", b""),
        "000007 has no bytes; repair or replace it",
    ),
    "an image that is a page": (
        with_bytes("JPEGImages/000007.jpg", b"<html>not found</html>"),
        "000007 is no image; it begins with b'<html>not found<'; repair or replace it",
    ),
}


@pytest.mark.parametrize("form", ["tar", "folder"])
@pytest.mark.parametrize("wrong", list(WRONG))
def test_wrong_files_are_refused_by_name(wrong, form, tmp_path):
    change, words = WRONG[wrong]
    files = trainval()
    change(files)
    if form == "tar":
        source = write_tar(tmp_path / "a.tar", files)
    else:
        source = write_folder(tmp_path / "VOC2007", files)
    with pytest.raises(InputError) as caught:
        read_voc([source])
    message = str(caught.value)
    assert message.startswith(str(source))
    assert words.format(where=source) in message
    assert "\n" not in message


def test_bad_images_are_left_to_packing_if_asked(tmp_path, caplog):
    files = trainval()
    files["JPEGImages/000007.jpg"] = files["JPEGImages/000012.jpg"] = b""
    members, _ = read_voc([write_tar(tmp_path / "a.tar", files)], on_bad_image="skip")
    assert len(members) == 5
    assert "a.tar: 000007 has no bytes (and 1 more like it); packing will leave it" in caplog.text


def test_some_labels_of_a_test_set_are_not_enough(tars, tmp_path):
    files = held_out()
    files["ImageSets/Main/cat_test.txt"] = b"000001 1\n000008\n"
    message = refusal(tars[0], write_tar(tmp_path / "t.tar", files))
    assert "t.tar: VOCdevkit/VOC2007/ImageSets/Main/cat_test.txt: has lines with and" in message
    files["ImageSets/Main/cat_test.txt"] = b"000001\n000008\n"
    message = refusal(tars[0], write_tar(tmp_path / "t.tar", files))
    assert "cat_test.txt: has no labels, though other classes' lists of test have" in message
    del files["ImageSets/Main/cat_test.txt"]
    message = refusal(tars[0], write_tar(tmp_path / "t.tar", files))
    assert "holds no ImageSets/Main/cat_test.txt, but train_test.txt; download" in message


def test_an_image_of_two_sources_is_refused(tars, tmp_path):
    message = refusal(*tars, write_tar(tmp_path / "t.tar", pictures("000008")))
    assert message.startswith(
        f"{tmp_path}/t.tar: VOCdevkit/VOC2007/JPEGImages/000008.jpg: {tars[1]}"
    )
    assert "give each source once" in refusal(tars[0], tars[0])


def test_two_years_are_not_mixed(tars, tmp_path):
    other = write_tar(tmp_path / "VOCtrainval_11-May-2012.tar", trainval(), NEW)
    message = refusal(*tars, other)
    assert f"{other}: is of VOC2012, but {tars[0]} of VOC2007; give sources of one year" in message
    for prefix in (OLD, NEW):
        write_folder(tmp_path / "both" / prefix, trainval())
    message = refusal(tmp_path / "both")
    assert f"{tmp_path}/both: holds " in message
    assert "VOC2007 and also " in message
    assert "VOC2012; give one of them" in message


def test_what_holds_no_data_set_is_refused(tars, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: holds no VOCdevkit/VOC<year>/" in refusal(tmp_path / "empty")
    assert "devkit.tar: holds no VOCdevkit/VOC<year>/ with JPEGImages" in refusal(
        write_tar(tmp_path / "devkit.tar", {"VOCcode/VOCinit.m": b"%"})
    )
    assert "none.tar: no such file or folder. Give archives" in refusal(tmp_path / "none.tar")


def test_a_test_archive_alone_is_refused(tars):
    message = refusal(tars[1])
    assert f"{tars[1]}: holds no ImageSets/Main/train.txt" in message
    assert "VOCtrainval_06-Nov-2007.tar" in message


@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_an_archive_that_is_cut_short_is_refused(part, tars, tmp_path):
    whole = tars[0].read_bytes().rstrip(b"\0")
    (tmp_path / "cut.tar").write_bytes(whole[: int(part * len(whole))])
    message = refusal(tmp_path / "cut.tar")
    assert message.startswith(
        (
            f"{tmp_path}/cut.tar: not a complete tar, or a damaged one (",
            f"{tmp_path}/cut.tar: breaks off or is damaged at byte ",
        )
    )
    assert message.endswith("; download it again")


def test_an_archive_without_its_end_is_refused(tars, tmp_path):
    whole = tars[0].read_bytes().rstrip(b"\0")
    (tmp_path / "cut.tar").write_bytes(whole + bytes(-len(whole) % 512))
    message = refusal(tmp_path / "cut.tar")
    assert f"cut.tar: breaks off or is damaged at byte {len(whole) + -len(whole) % 512}" in message


def test_an_archive_with_a_damaged_header_is_refused(tars, tmp_path):
    content = bytearray(tars[0].read_bytes())
    place = content.index(b"VOCdevkit/VOC2007/JPEGImages/000012.jpg")
    content[place] ^= 1
    (tmp_path / "bad.tar").write_bytes(content)
    message = refusal(tmp_path / "bad.tar")
    assert f"bad.tar: breaks off or is damaged at byte {place}, where its end mark or" in message


def test_what_is_no_plain_tar_is_refused_with_its_cure(tars, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tars[0].read_bytes()))
    message = refusal(tmp_path / "a.tar.gz")
    assert "a.tar.gz: compressed (gzip), but images are read where they lie" in message
    assert "unpack it with gunzip" in message
    (tmp_path / "a.tar").write_bytes(b"<html>please log in</html>" * 99)
    assert "a.tar: not a complete tar, or a damaged one (" in refusal(tmp_path / "a.tar")


def test_links_in_an_archive_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo(f"{OLD}JPEGImages/000005.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    message = refusal(tmp_path / "a.tar")
    assert "a.tar: VOCdevkit/VOC2007/JPEGImages/000005.jpg is a link" in message
