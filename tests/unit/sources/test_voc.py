"""PASCAL VOC, of objects and of people's actions: read in place, and refused where it is wrong."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.members import Hidden
from workflow_scripts.vgg.data.sources.voc import read_actions, read_voc

OLD, NEW = "VOCdevkit/VOC2007/", "VOCdevkit/VOC2012/"


def jpeg(colour):
    content = io.BytesIO()
    Image.new("RGB", (120, 80), (colour, 99, 9)).save(content, "JPEG")
    return content.getvalue()


def lists(folder, **texts):
    return {f"ImageSets/{folder}/{name}.txt": text.encode() for name, text in texts.items()}


def pictures(*names):
    return {f"JPEGImages/{name}.jpg": jpeg(20 * place) for place, name in enumerate(names)}


def trainval():
    """Two classes, one of them called train, as one of PASCAL's is; an image that no list names."""
    return {
        **pictures("000005", "000007", "000012", "000009", "000016", "009999"),
        "SegmentationClass/000005.png": b"\x89PNG of no concern",
        "Annotations/000005.xml": b"of no concern",
        **lists(
            "Main",
            train="000005\n000007\n000012\n",
            val="000009\n000016\n",
            trainval="000005\n000007\n000009\n000012\n000016\n",
            train_train="000005 -1\n000007  1\n000012 -1\n",
            train_val="000009  1\n000016 -1\n",
            train_trainval="000005 -1\n000007  1\n000009  1\n000012 -1\n000016 -1\n",
            cat_train="000005  1\n000007 -1\n000012  0\n",
            cat_val="000009 -1\n000016  1\n",
            cat_trainval="000005  1\n000007 -1\n000009 -1\n000012  0\n000016  1\n",
        ),
        **lists("Layout", train="000005 1\n"),
    }


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


def write_tar(path, files, prefix=OLD):
    with tarfile.open(path, "w") as archive:
        for folder in ("VOCdevkit", prefix.rstrip("/"), f"{prefix}JPEGImages"):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def write_folder(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def bytes_of(members):
    """The bytes of each member, by its id, as its offset and size tell."""
    found = {}
    for member in members:
        with open(member.file, "rb") as file:
            file.seek(member.offset)
            found[member.id] = file.read(member.size)
    return found


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


def changed(name, text):
    """A change of one list; None removes it."""

    def change(files):
        if text is None:
            del files[f"ImageSets/Main/{name}.txt"]
        else:
            files[f"ImageSets/Main/{name}.txt"] = text.encode()

    return change


def without(name):
    return lambda files: files.pop(name)


def with_bytes(name, content):
    return lambda files: files.update({name: content})


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


def refusal(*sources, read=read_voc):
    with pytest.raises(InputError) as caught:
        read(sources)
    return str(caught.value)


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
    assert read_voc([path])[1].ids == [name for name in IDS if name not in ("000001", "000008")]
    assert read_actions([path])[1].ids == ACTION_IDS


def test_an_archive_without_actions_is_refused(tars):
    message = refusal(tars[0], read=read_actions)
    assert f"{tars[0]}: holds no ImageSets/Action/train.txt" in message
