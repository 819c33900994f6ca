"""Caltech's data sets, and folders of classes: read from every form, and refused where wrong."""

import bz2
import gzip
import io
import tarfile
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.caltech import read_class_folders
from workflow_scripts.vgg.data.sources.members import Hidden

BACKGROUND = "BACKGROUND_Google"


def jpeg(colour):
    content = io.BytesIO()
    Image.new("RGB", (60, 40), (colour, 9, 99)).save(content, "JPEG")
    return content.getvalue()


IMAGES = {
    f"{name}/image_{number:04d}": jpeg(30 * place + number)
    for place, name in enumerate([BACKGROUND, "Faces", "accordion", "wild_cat"])
    for number in range(1, 4)
}
# Of the data sets as they are distributed: a script, a folder that was forgotten, an odd image.
STRAYS = {
    f"{BACKGROUND}/tmp": jpeg(7),
    "accordion/RENAME2": b"#!/bin/sh\n",
    "wild_cat/greg/vision309/image_0009.jpg": jpeg(8),
}
STRAY_NAMES = [f"{BACKGROUND}/tmp", "accordion/RENAME2", "wild_cat/greg"]
HIDDEN = {"Faces/._image_0001.jpg": b"\0\5\x16\7", ".DS_Store": b"x"}


def official(images=IMAGES, more=None):
    """Names and contents, but for folders, which have none, in the order of no name."""
    files = {f"{name}.jpg": content for name, content in images.items()}
    files |= STRAYS | HIDDEN if more is None else more
    return dict(sorted(files.items(), key=lambda item: item[0][::-1]))


def tar_of(files, outer="101_ObjectCategories/", mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{outer}{name}")
            if content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content or b""))
    return stream.getvalue()


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def plain_tar(folder, files):
    (folder / "256_ObjectCategories.tar").write_bytes(tar_of(files, "256_ObjectCategories/"))
    return folder / "256_ObjectCategories.tar"


def packed_tar(folder, files):
    (folder / "101_ObjectCategories.tar.gz").write_bytes(tar_of(files, mode="w:gz"))
    return folder / "101_ObjectCategories.tar.gz"


def zipped_tar(folder, files):
    beside = {
        "caltech-101/101_ObjectCategories.tar.gz": tar_of(files, mode="w:gz"),
        "caltech-101/Annotations.tar": tar_of({"Annotations/cat/annotation_0001.mat": b"x"}, ""),
        "caltech-101/show_annotation.m": b"% MATLAB",
        "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz": b"\0\5\x16\7",
    }
    return zip_of(folder / "caltech-101.zip", beside)


def zipped_plain_tar(folder, files):
    name = "256_ObjectCategories.tar"
    return zip_of(folder / "caltech-256.zip", {name: tar_of(files, "256_ObjectCategories/")})


def zipped_folders(folder, files):
    return zip_of(folder / "images.zip", {f"images/{name}": files[name] for name in files})


def plain_folder(folder, files, inside="classes"):
    for name, content in files.items():
        path = folder / inside / name
        if content is None:
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder / inside.split("/")[0]


def folder_as_unzipped(folder, files):
    plain_folder(folder, {"annotation_0001.mat": b"x"}, "caltech-101/Annotations/cat")
    return plain_folder(folder, files, "caltech-101/101_ObjectCategories")


IN_PLACE = [plain_tar, plain_folder, folder_as_unzipped]
COPIED = [packed_tar, zipped_tar, zipped_plain_tar, zipped_folders]


def bytes_of(members):
    found = {}
    for member in members:
        with open(member.file, "rb") as file:
            file.seek(member.offset)
            found[member.id] = file.read(member.size)
    return found


@pytest.mark.parametrize("form", [*IN_PLACE, *COPIED], ids=lambda form: form.__name__)
def test_every_form_gives_the_same_images_and_classes(form, tmp_path, caplog):
    source, unpacked = form(tmp_path, official()), tmp_path / "unpacked.bin"
    hidden = Hidden("here")
    members, examples, strays = read_class_folders(
        [source], unpacked, background=BACKGROUND, hidden=hidden
    )
    assert examples.ids == examples.image_ids == sorted(IMAGES)
    assert examples.classes == [BACKGROUND, "Faces", "accordion", "wild_cat"]
    assert examples.labels.dtype == np.int8
    one_hot = [[1, -1, -1, -1], [-1, 1, -1, -1], [-1, -1, 1, -1], [-1, -1, -1, 1]]
    assert examples.labels.tolist() == [row for row in one_hot for _ in range(3)]
    assert examples.images.tolist() == list(range(12))
    assert examples.parts == [""] * 12
    assert examples.known.all()
    assert examples.scored.all()
    assert examples.boxes is None
    assert strays == STRAY_NAMES
    assert f"left out {len(strays)} files and folders" in caplog.text
    assert strays[0] in caplog.text
    assert hidden.count == (3 if form is zipped_tar else 2)
    assert bytes_of(members) == IMAGES
    assert [member.id for member in members] == sorted(IMAGES)
    if form in COPIED:
        assert {member.file for member in members} == {str(unpacked)}
        assert all(content in unpacked.read_bytes() for content in IMAGES.values())
    else:
        assert unpacked.read_bytes() == b""
    assert {path.name for path in tmp_path.iterdir()} >= {"unpacked.bin"}


def test_images_are_unpacked_end_to_end(tmp_path):
    source = zipped_tar(tmp_path, official(more={}))
    members, _, _ = read_class_folders([source], tmp_path / "unpacked")
    size = sum(map(len, IMAGES.values()))
    assert (tmp_path / "unpacked").stat().st_size == size
    places = sorted((member.offset, member.size) for member in members)
    assert [start for start, _ in places] == [0, *np.cumsum([size for _, size in places])[:-1]]


def test_what_is_read_in_place_needs_no_file(tmp_path):
    members, _, _ = read_class_folders([plain_tar(tmp_path, official())])
    assert bytes_of(members) == IMAGES


def test_an_empty_folder_in_a_class_is_a_stray(tmp_path):
    files = official(more={"accordion": None, "accordion/greg": None})
    for source in (plain_tar(tmp_path, files), packed_tar(tmp_path, files)):
        assert read_class_folders([source], tmp_path / "unpacked")[2] == ["accordion/greg"]
    folder = plain_folder(tmp_path, official(more={"accordion/greg": None}))
    assert read_class_folders([folder])[2] == ["accordion/greg"]


def test_a_file_beside_the_classes_is_a_stray(tmp_path):
    folder = plain_folder(tmp_path, official(more={"README.txt": b"hello", "loose.jpg": jpeg(1)}))
    members, _, strays = read_class_folders([folder])
    assert strays == ["README.txt", "loose.jpg"]
    assert len(members) == 12


@pytest.mark.parametrize("form", [*IN_PLACE, *COPIED], ids=lambda form: form.__name__)
def test_images_may_be_of_other_formats(form, tmp_path):
    content = io.BytesIO()
    Image.new("L", (9, 9)).save(content, "PNG")
    more = {"Faces/a.b.PNG": content.getvalue(), "Faces/c.jpeg": jpeg(9)}
    members, examples, strays = read_class_folders(
        [form(tmp_path, official(more=more))], tmp_path / "unpacked"
    )
    assert {"Faces/a.b", "Faces/c"} < set(examples.ids)
    assert bytes_of(members)["Faces/a.b"] == content.getvalue()
    assert strays == []


def test_class_folders_may_be_links(tmp_path):
    folder = plain_folder(tmp_path, official(more={}))
    (tmp_path / "linked").mkdir()
    for name in (BACKGROUND, "Faces"):
        (tmp_path / "linked" / name).symlink_to(folder / name)
    _, examples, _ = read_class_folders([tmp_path / "linked"])
    assert examples.classes == [BACKGROUND, "Faces"]


def test_an_accent_is_one_character_in_every_form(tmp_path):
    name = unicodedata.normalize("NFD", "café")
    images = {f"{name}/{number}": jpeg(number) for number in range(2)}
    images |= {f"bar/{number}": jpeg(9 + number) for number in range(2)}
    for source in (
        plain_folder(tmp_path, official(images, {})),
        plain_tar(tmp_path, official(images, {})),
    ):
        _, examples, _ = read_class_folders([source])
        assert examples.classes == ["bar", "café"]
        assert examples.ids == ["bar/0", "bar/1", "café/0", "café/1"]


def test_names_in_an_archive_may_begin_with_a_point_or_a_slash(tmp_path):
    for outer in ("./", "/", "./101_ObjectCategories/", ""):
        (tmp_path / "a.tar").write_bytes(tar_of(official(more={}), outer))
        assert read_class_folders([tmp_path / "a.tar"])[1].ids == sorted(IMAGES)


def test_classes_of_several_sources_go_together(tmp_path):
    one = plain_folder(tmp_path, official({k: v for k, v in IMAGES.items() if k[0] != "w"}, {}))
    two = tmp_path / "two.tar.gz"
    two.write_bytes(
        tar_of(official({k: v for k, v in IMAGES.items() if k[0] == "w"}, {}), mode="w:gz")
    )
    members, examples, _ = read_class_folders([one, two], tmp_path / "unpacked")
    assert examples.ids == sorted(IMAGES)
    assert bytes_of(members) == IMAGES


def refusal(source, *more, unpacked="unpacked", background=BACKGROUND):
    """The message about a source in a folder where nothing must be left behind."""
    before = sorted(source.parent.iterdir())
    target = source.parent / unpacked if unpacked else None
    with pytest.raises(InputError) as caught:
        read_class_folders([source, *more], target, background=background)
    assert sorted(source.parent.iterdir()) == before, "something half-written is left"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def without(*prefixes):
    return official({k: v for k, v in IMAGES.items() if not k.startswith(prefixes)}, {})


WRONG = {
    "no background": (
        lambda: without(BACKGROUND),
        "has no class BACKGROUND_Google, which counts as one of the classes, 102 of Caltech-101 "
        "and 257 of Caltech-256, though torchvision removes it; unpack the archive again",
    ),
    "one image of a class": (
        lambda: without("accordion/image_0001", "accordion/image_0003"),
        "the class accordion has fewer than 2 images (1), one to learn from and one to be tested",
    ),
    "a class of strays": (
        lambda: official(more={"notes/readme.txt": b"hello"}),
        "the class notes has fewer than 2 images (0)",
    ),
    "an image without bytes": (
        lambda: official(IMAGES | {"Faces/image_0002": b""}, {}),
        "image_0002{suffix} has no bytes; repair or replace it",
    ),
    "images that are pages": (
        lambda: official(
            IMAGES | dict.fromkeys(("Faces/image_0002", "Faces/image_0003"), b"<html>" * 9), {}
        ),
        "{suffix} is no image; it begins with b'<html><html><htm' (and 1 more like it); repair",
    ),
    "two images of one name": (
        lambda: official(more={"Faces/image_0002.JPG": jpeg(3)}),
        "holds Faces/image_0002, of which there is one already in ",
    ),
    "images that differ in their suffix": (
        lambda: official(more={"Faces/image_0002.jPg": jpeg(3)}),
        "names count without what follows the last dot: rename or remove one",
    ),
    "no images": (lambda: {"Faces/a.txt": b"x"}, "holds no images, by their names' ends. Give ca"),
    "folders of folders": (
        lambda: {f"{s}/{name}.jpg": c for s in ("train", "val") for name, c in IMAGES.items()},
        "holds no images right in the folders of classes train, …; give a folder with one folder",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", [*IN_PLACE, *COPIED], ids=lambda form: form.__name__)
@pytest.mark.parametrize("wrong", list(WRONG))
def test_wrong_data_sets_are_refused_by_name(wrong, form, tmp_path):
    files, words = WRONG[wrong]
    source = form(tmp_path, files())
    message = refusal(source, background=BACKGROUND if wrong == "no background" else None)
    assert message.startswith(str(source))
    assert words.format(suffix="" if form in IN_PLACE else ".jpg") in message


@pytest.mark.parametrize("form", [plain_tar, packed_tar], ids=lambda form: form.__name__)
def test_bad_images_are_left_to_packing_if_asked(form, tmp_path, caplog):
    source = form(tmp_path, official(IMAGES | {"Faces/image_0002": b""}, {}))
    members, examples, _ = read_class_folders([source], tmp_path / "unpacked", on_bad_image="skip")
    assert len(members) == len(examples.ids) == 12
    assert bytes_of(members)["Faces/image_0002"] == b""
    assert "has no bytes; packing will leave it out" in caplog.text


@pytest.mark.parametrize("form", [plain_tar, packed_tar], ids=lambda form: form.__name__)
def test_a_stray_may_be_bad(form, tmp_path):
    source = form(tmp_path, official(more={"Faces/old/image.jpg": b""}))
    _, examples, strays = read_class_folders([source], tmp_path / "unpacked")
    assert examples.ids == sorted(IMAGES)
    assert strays == ["Faces/old"]


def test_the_clutter_of_caltech_256_may_be_asked_for(tmp_path):
    images = {f"{name}/{n}": jpeg(n) for name in ("001.ak47", "257.clutter") for n in range(2)}
    source = plain_tar(tmp_path, official(images, {}))
    _, examples, _ = read_class_folders([source], background="257.clutter")
    assert examples.classes == ["001.ak47", "257.clutter"]
    assert "has no class BACKGROUND_Google" in refusal(source)


def test_images_that_are_in_no_folders_are_refused(tmp_path):
    folder = plain_folder(tmp_path, {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    message = refusal(folder)
    assert f"{folder}: holds no images right in the folders of classes; give a folder" in message


def test_one_class_is_refused(tmp_path):
    files = without("Faces", "accordion", "wild_cat")
    assert f"holds one class only, {BACKGROUND}; give several" in refusal(
        plain_tar(tmp_path, files)
    )


def test_two_sources_of_one_image_are_refused(tmp_path):
    source = plain_tar(tmp_path, official())
    folder = plain_folder(tmp_path, official())
    message = refusal(source, folder)
    words = f"{folder}: holds {BACKGROUND}/image_0001, of which there is one already in {source};"
    assert message.startswith(words)
    assert "give each source once" in message


def test_what_must_be_unpacked_needs_a_file(tmp_path):
    message = refusal(packed_tar(tmp_path, official()), unpacked=None)
    assert "101_ObjectCategories.tar.gz: compressed, so that images cannot be read where" in message


def test_an_unknown_form_is_refused_with_its_cure(tmp_path):
    content = tar_of(official())
    for name, packed, words in (
        ("a.tar.bz2", bz2.compress(content), "compressed (bzip2), but a zip, a tar.gz or a plain"),
        ("a.rar", b"Rar!\x1a\7" + bytes(999), "is no zip, no tar and no folder. Give caltech-101"),
        ("page.tar", b"<html>" * 200, "is no zip, no tar and no folder. Give caltech-101"),
        ("empty.tar", b"", "is no zip, no tar and no folder. Give caltech-101"),
        ("page.tar.gz", gzip.compress(b"<html>" * 200), "not a complete tar, or a damaged one"),
    ):
        (tmp_path / name).write_bytes(packed)
        assert f"{name}: {words}" in refusal(tmp_path / name)
    assert "none.zip: no such file or folder. Give caltech-101" in refusal(tmp_path / "none.zip")


@pytest.mark.parametrize("part", [0.4, 0.8, 0.97])
@pytest.mark.parametrize("form", [plain_tar, packed_tar, zipped_tar], ids=lambda f: f.__name__)
def test_archives_that_are_cut_short_are_refused(part, form, tmp_path):
    source = form(tmp_path, official())
    whole = source.read_bytes().rstrip(b"\0")
    source.write_bytes(whole[: int(part * len(whole))])
    message = refusal(source)
    assert message.startswith(str(source))
    assert message.endswith("; download it again")


@pytest.mark.parametrize("form", COPIED, ids=lambda form: form.__name__)
def test_a_changed_byte_of_a_compressed_archive_is_noticed_or_changes_nothing(form, tmp_path):
    source = form(tmp_path, official(more={}))
    whole = source.read_bytes()
    start = whole.index(b"ObjectCategories") + 99 if form is zipped_tar else 99
    messages = []
    for place in range(start, start + len(whole) // 3, len(whole) // 30):
        source.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            members, _, _ = read_class_folders([source], tmp_path / "unpacked")
        except InputError as error:
            messages.append(str(error))
        else:
            assert bytes_of(members) == IMAGES, "it was a time, or the like"
    assert len(messages) > 5
    assert all(text.startswith(str(source)) and "download it again" in text for text in messages)


def test_an_encrypted_zip_is_refused(tmp_path):
    content = bytearray(zipped_folders(tmp_path, official(more={})).read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + place] |= 1
            start = content.find(mark, start + 1)
    (tmp_path / "images.zip").write_bytes(content)
    assert "images.zip: is encrypted; unpack it, and give its folder" in refusal(
        tmp_path / "images.zip"
    )


def test_a_link_to_a_folder_around_it_is_refused(tmp_path):
    folder = plain_folder(tmp_path, official(more={}))
    (folder / "Faces/again").symlink_to(folder)
    assert f"{folder}/Faces/again: is a link to a folder around it; remove it" in refusal(folder)


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    folder = plain_folder(tmp_path, official(more={}))
    (folder / "Faces/lost.jpg").symlink_to(folder / "none.jpg")
    assert f"{folder}/Faces/lost.jpg: is neither a file nor a folder" in refusal(folder)


@pytest.mark.parametrize("form", [plain_tar, plain_folder], ids=lambda form: form.__name__)
def test_names_that_are_not_utf_8_are_refused(form, tmp_path):
    source = form(tmp_path, official(more={"Faces/caf\udce9.jpg": jpeg(1)}))
    assert "the name " in (message := refusal(source))
    assert "caf\\xe9.jpg is not UTF-8" in message
