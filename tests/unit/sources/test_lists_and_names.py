"""Lists as spreadsheets save them, and names of files and folders as systems leave them."""

import os
import re
import shutil

import pandas as pd
import pytest

from tests.helpers.source_commands import index_of, list_of_classes, small_jpeg
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources import folders, kaggle


def saved_as(path, form):
    """Save a text file anew, as another program would."""
    text = path.read_text()
    match form:
        case "mark":
            path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        case "CRLF":
            path.write_bytes(text.replace("\n", "\r\n").encode())
        case "tabs":
            table = text.replace(",", "\t") if path.suffix == ".csv" else text.replace(" ", "\t", 1)
            path.write_text(table)
        case "semicolons":
            path.write_text(text.replace(",", ";") if path.suffix == ".csv" else text)


@pytest.mark.parametrize("form", ["mark", "CRLF", "tabs", "semicolons"])
def test_lists_that_other_programs_saved_are_read_rightly(form, forms, made, tmp_path):
    folder = tmp_path / "kaggle"
    folder.mkdir()
    for name in ("LOC_synset_mapping.txt", "LOC_val_solution.csv"):
        shutil.copy(forms["kaggle"] / name, folder)
        saved_as(folder / name, form)
    (folder / "ILSVRC").symlink_to(forms["kaggle"] / "ILSVRC")
    found = list_of_classes("kaggle", folder, tmp_path / "classes.parquet")
    pd.testing.assert_frame_equal(found, pd.read_parquet(made("kaggle") / "classes.parquet"))
    index = pd.read_parquet(index_of("kaggle", folder, "val", tmp_path)).drop(columns="file")
    expected = pd.read_parquet(made("kaggle") / "val.parquet").drop(columns="file")
    pd.testing.assert_frame_equal(index, expected)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("synset_mapping.txt", b"n00000001 a\nn0000002 b\n", "line 2: 'n0000002' is no WNID"),
        ("synset_mapping.txt", b"n00000001;a\n", "line 1: 'n00000001;a' is no WNID"),
        ("synset_mapping.txt", b"n00000001 a\nn00000001 b\n", "line 2: expected a WNID and words"),
        ("synset_mapping.txt", b"n00000001 a\nn00000002\n", "line 2: expected a WNID and words"),
        ("synset_mapping.txt", "n00000001 caf\u00e9".encode("latin-1"), "line 1: not UTF-8"),
        ("synset_mapping.txt", "n00000001 a".encode("utf-16"), "line 1: not UTF-8"),
        ("synset_mapping.txt", b"", "is empty"),
        ("solution.csv", b"id|class\n", "expected the columns ImageId,PredictionString"),
        ("solution.csv", b"ImageId,PredictionString\na,cat 1\n", "line 2: 'cat' is no WNID"),
        ("solution.csv", b"ImageId,PredictionString\na;n00000001 1\n", "line 2: no WNID"),
        ("solution.csv", b"", "expected the columns"),
        ("solution.csv", b"ImageId,PredictionString\na," + b"1" * 200_000, "line 2: field larger"),
    ],
)
def test_lists_of_another_form_are_refused_by_line(name, content, words, tmp_path):
    path = tmp_path / f"LOC_{name}"
    path.write_bytes(content)
    read = kaggle.read_solution if name.endswith("csv") else kaggle.read_synsets
    with pytest.raises(InputError, match=re.escape(str(path))) as caught:
        read(path)
    assert words in str(caught.value)


def test_hidden_and_system_folders_are_no_classes(forms, tmp_path, caplog):
    folder = tmp_path / "folder"
    shutil.copytree(forms["folder"], folder)
    for name in ("__MACOSX", "lost+found", ".Trashes"):
        (folder / "train" / name).mkdir()
        (folder / "train" / name / "a.JPEG").write_bytes(b"x")
    (folder / "train/n00000205/._a.JPEG").write_bytes(b"\0\5\x16\7")
    list_of_classes("folder", folder, tmp_path / "classes.parquet")
    with caplog.at_level("INFO"):
        index_of("folder", folder, "train", tmp_path)
    assert "train: 5 hidden files or folders left out, such as" in caplog.text


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_name_that_is_not_utf8_is_shown(inside, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    folder = tmp_path / "train" / ("cat" if inside else name)
    folder.mkdir(parents=True)
    (folder / (f"{name}.jpg" if inside else "a.jpg")).write_bytes(b"x")
    with pytest.raises(InputError, match=r"the name caf\\xe9(\.jpg)? is not UTF-8, .*rename"):
        list(folders.image_files(tmp_path / "train"))
    if not inside:
        with pytest.raises(InputError, match=r"the name caf\\xe9 is not UTF-8"):
            folders.class_folders(tmp_path / "train")


def test_what_is_no_file_in_a_folder_of_images_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")  # to open it would wait for ever
    with pytest.raises(InputError, match=r"a\.jpg: is neither a file nor a folder"):
        folders.image_files(tmp_path)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "fox").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="fox: is a link that leads nowhere"):
        folders.image_files(tmp_path)


def test_class_names_are_equal_in_both_forms_of_unicode(tmp_path):
    for name in ("caf\u00e9", "cafe\u0301"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "a.jpg").write_bytes(small_jpeg(64))
    names = [folders.class_folders(tmp_path / name) for name in ("caf\u00e9", "cafe\u0301")]
    assert names == [["caf\u00e9"]] * 2
    (member,) = folders.image_files(tmp_path / "cafe\u0301")
    assert member.wnid == "caf\u00e9"
    assert os.path.exists(member.file)
    with pytest.raises(InputError, match="two folders are called caf\u00e9 in two forms"):
        folders.class_folders(tmp_path)
