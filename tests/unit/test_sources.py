"""The four forms of one data set give the same shards; a wrong form is named."""

import hashlib
import io
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.conftest import IMAGES
from tests.helpers.forms import WRITERS, mutations, read_archives
from workflow_scripts import index_images, list_classes, pack_shards, unpack_parquet, verify_archive
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.sources import folders, huggingface, kaggle
from workflow_scripts.vgg.data.sources.archives import check_verified

SOURCES = sorted(WRITERS)


@pytest.fixture(scope="session")
def forms(archives, tmp_path_factory):
    """{source: folder} with the archives' images in each form."""
    folder = tmp_path_factory.mktemp("forms")
    splits, words = read_archives(archives)
    for source, write in WRITERS.items():
        write(folder / source, splits, words)
    return {source: folder / source for source in SOURCES}


def list_of_classes(source, folder, output):
    where = {
        "kaggle": ["--synsets", f"{folder}/LOC_synset_mapping.txt"],
        "huggingface": ["--huggingface", str(folder)],
        "folder": ["--folders", f"{folder}/train"],
    }[source]
    list_classes.main([*where, "--classes", "10", "--output", str(output)])
    return pd.read_parquet(output)


def index_of(source, folder, split, made):
    """The index of a split, by the commands that the rules run."""
    words = ["--classes", str(made / "classes.parquet"), "--images", str(IMAGES[split])]
    words += ["--unlabelled"] if split == "test" else []
    match source:
        case "kaggle":
            words += ["--tree", f"{folder}/ILSVRC/Data/CLS-LOC/{split}"]
            words += ["--ground-truth", f"{folder}/LOC_val_solution.csv"] if split == "val" else []
        case "folder":
            words += ["--tree", f"{folder}/{split}"]
        case "huggingface":
            pieces = []
            for part in "01":
                piece = made / split / f"{part}.parquet"
                unpack_parquet.main(
                    [
                        *("--directory", str(folder), "--split", split),
                        *("--part", part, "--parts", "2"),
                        *("--images", str(piece.with_suffix(".images")), "--output", str(piece)),
                    ]
                )
                pieces.append(str(piece))
            words += ["--unpacked", *pieces]
    index_images.main([*words, "--output", str(made / f"{split}.parquet")])
    return made / f"{split}.parquet"


def pack(index, output, *words):
    """Pack both shards of a split; gives their SHA-256."""
    sums = []
    for shard in "01":
        path = output / f"{shard}.arrow"
        pack_shards.main(
            [
                *("--index", str(index), "--shard", shard, "--shards", "2", "--crop", "64", *words),
                *("--report", str(path.with_suffix(".json")), "--output", str(path)),
            ]
        )
        sums.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return sums


@pytest.fixture(scope="session")
def made(forms, tmp_path_factory):
    """`made(source)`: a folder with that source's classes and indexes."""
    done = {}

    def make(source):
        if source not in done:
            done[source] = tmp_path_factory.mktemp(source)
            list_of_classes(source, forms[source], done[source] / "classes.parquet")
            for split in IMAGES:
                index_of(source, forms[source], split, done[source])
        return done[source]

    return make


@pytest.mark.parametrize("split", list(IMAGES))
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_archives_original_bytes_in_identical_shards(
    source, split, made, packed, tmp_path
):
    from_archive = pd.read_parquet(packed / f"index/{split}.parquet")
    if split == "test":  # the miniature knows its labels, the other forms do not
        from_archive["label"] = from_archive["label"] * 0 - 1
    write_frame(tmp_path / "index.parquet", from_archive)
    expected = pack(tmp_path / "index.parquet", tmp_path / "archives")
    assert pack(made(source) / f"{split}.parquet", tmp_path / source) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_rescaled_shards(source, made, packed, tmp_path):
    words = ["--smallest-side", "73"]
    expected = pack(packed / "index/train.parquet", tmp_path / "archives", *words)
    assert pack(made(source) / "train.parquet", tmp_path / source, *words) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_lists_the_classes_in_the_same_order(source, made, classes):
    found = pd.read_parquet(made(source) / "classes.parquet")
    assert found.columns.tolist() == classes.columns.tolist()
    assert found["label"].tolist() == classes["label"].tolist()
    assert found["wnid"].tolist() == classes["wnid"].tolist()
    assert found["ilsvrc2012_id"].isna().all(), "only the development kit knows them"
    if source != "folder":  # folders have no words but their names
        assert found["words"].tolist() == classes["words"].tolist()


def test_equal_names_in_two_classes_are_told_apart(tmp_path, archives):
    splits, _ = read_archives(archives)
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "train" / name).mkdir(parents=True)
        for place in range(3):
            path = tmp_path / "train" / name / f"{place}.jpg"
            path.write_bytes(splits["train"][3 * number + place].content)
    list_classes.main(
        [
            *("--folders", str(tmp_path / "train"), "--classes", "2"),
            *("--output", str(tmp_path / "classes.parquet")),
        ]
    )
    index_images.main(
        [
            *("--tree", str(tmp_path / "train"), "--classes", str(tmp_path / "classes.parquet")),
            *("--output", str(tmp_path / "index.parquet")),
        ]
    )
    pack(tmp_path / "index.parquet", tmp_path)
    shards = Shards([tmp_path / "0.arrow", tmp_path / "1.arrow"])
    assert list(shards.ids()) == ["cat/0", "cat/1", "cat/2", "dog/0", "dog/1", "dog/2"]
    assert shards.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert bytes(shards.jpeg(4)) == splits["train"][4].content


# Forms that are not what they should be


def complaint(source, forms, split, tmp_path, change):
    """What indexing says after `change` was made to a copy of a form."""
    folder = tmp_path / source
    shutil.copytree(forms[source], folder)
    change(folder)
    try:
        list_of_classes(source, folder, tmp_path / "classes.parquet")
        index_of(source, folder, split, tmp_path)
    except InputError as error:
        return str(error)
    pytest.fail("the change was not noticed")


def test_a_file_that_is_no_image_is_named(forms, tmp_path):
    def change(folder):
        (folder / "train/n00000205/notes.txt").write_text("a note")

    found = complaint("folder", forms, "train", tmp_path, change)
    assert "train/n00000205/notes.txt: not an image by its name; move it out" in found


def test_images_beside_class_folders_are_named(forms, tmp_path):
    def change(folder):
        (folder / "val/loose.JPEG").write_bytes(b"x")

    found = complaint("folder", forms, "val", tmp_path, change)
    assert "val: holds class folders and also loose.JPEG" in found


def test_a_missing_folder_is_named_with_the_key_to_look_at(forms, tmp_path):
    found = complaint("kaggle", forms, "val", tmp_path, lambda f: shutil.rmtree(f / "ILSVRC/Data"))
    assert "CLS-LOC/val: no such folder; see data.source and data.directory" in found


def test_a_missing_solution_is_named_with_where_to_get_it(forms, tmp_path):
    found = complaint(
        "kaggle", forms, "val", tmp_path, lambda f: (f / "LOC_val_solution.csv").unlink()
    )
    assert "LOC_val_solution.csv: no such file; it is part of Kaggle's" in found


def test_a_solution_that_lacks_an_image_is_named(forms, tmp_path):
    def change(folder):
        path = folder / "LOC_val_solution.csv"
        path.write_text("".join(line for line in path.open() if "val_00000007" not in line))

    found = complaint("kaggle", forms, "val", tmp_path, change)
    assert "LOC_val_solution.csv: has no line for ILSVRC2012_val_00000007" in found


def test_a_missing_image_is_named(forms, tmp_path):
    def change(folder):
        (folder / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000003.JPEG").unlink()

    found = complaint("kaggle", forms, "val", tmp_path, change)
    assert "holds 23 images, 24 expected; missing: ILSVRC2012_val_00000003" in found


def test_a_truncated_parquet_file_is_named(forms, tmp_path):
    def change(folder):
        path = folder / "data/train-00001-of-00003.parquet"
        path.write_bytes(path.read_bytes()[:-100])

    found = complaint("huggingface", forms, "train", tmp_path, change)
    assert "train-00001-of-00003.parquet: damaged" in found
    assert "download it again" in found


HUGGINGFACE_FORMS = {
    "path null": ("image", lambda image: {"bytes": image["bytes"], "path": None}),
    "no path": ("image", lambda image: {"bytes": image["bytes"]}),
    "plain bytes": ("image", lambda image: image["bytes"]),
    "another name": ("img", lambda image: image),
    "another name, plain": ("jpg", lambda image: image["bytes"]),
}


def small_jpeg(side):
    content = io.BytesIO()
    Image.new("RGB", (side, side), (side, 9, 9)).save(content, "JPEG")
    return content.getvalue()


NULL_AMONG_GOOD = [{"bytes": content} for content in (small_jpeg(70), None, small_jpeg(80))]


def rewritten(folder, column, change):
    """A change of a Hugging Face form's images, rows in their order; gives their bytes by label."""
    contents = []
    for path in sorted((folder / "data").glob("*.parquet")):
        table = pq.read_table(path)
        images, labels = table["image"].to_pylist(), table["label"]
        if path.name.startswith("validation"):
            pairs = zip(images, labels.to_pylist(), strict=True)
            contents += [(label, image["bytes"]) for image, label in pairs]
        new = pa.table({column: list(map(change, images)), "label": labels})
        pq.write_table(new.replace_schema_metadata(table.schema.metadata), path)
    return sorted(contents)


@pytest.mark.parametrize("form", HUGGINGFACE_FORMS)
def test_other_forms_of_hugging_faces_columns_are_read(form, forms, tmp_path):
    folder = tmp_path / "huggingface"
    shutil.copytree(forms["huggingface"], folder)
    column, change = HUGGINGFACE_FORMS[form]
    expected = rewritten(folder, column, change)
    classes = list_of_classes("huggingface", folder, tmp_path / "classes.parquet")
    names = json.loads(
        pq.read_schema(folder / "data/train-00000-of-00003.parquet").metadata[b"huggingface"]
    )
    assert classes["words"].tolist() == names["info"]["features"]["label"]["names"]
    index = pd.read_parquet(index_of("huggingface", folder, "val", tmp_path))
    found = []
    for row in index.itertuples():
        with open(row.file, "rb") as file:
            file.seek(row.offset)
            found.append((row.label, file.read(row.size)))
    assert sorted(found) == expected
    if form != "another name":
        assert index["id"].tolist() == sorted(
            f"validation-{number:05d}-of-00003-{row:08d}" for number in range(3) for row in range(8)
        )
    assert index_of("huggingface", folder, "test", tmp_path).exists()


@pytest.mark.parametrize("image", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": ""}])
def test_a_null_image_is_named_by_file_and_row(image, forms, tmp_path):
    def change(folder):
        path = folder / "data/validation-00001-of-00003.parquet"
        table = pq.read_table(path)
        images = table["image"].to_pylist()
        images[3] = image
        column = pa.array(images, table.schema.field("image").type)
        pq.write_table(table.set_column(0, "image", column), path)

    found = complaint("huggingface", forms, "val", tmp_path, change)
    assert "validation-00001-of-00003.parquet, row 3: " in found
    assert "has no bytes; repair or replace it" in found
    assert "data.on_bad_image: skip" in found
    # Nothing is left of the part in which it was, neither images nor list.
    assert not [path for path in (tmp_path / "val").iterdir() if path.name.startswith((".", "1"))]


def test_a_null_image_is_left_out_where_bad_images_are_skipped(tmp_path):
    contents = [row["bytes"] for row in NULL_AMONG_GOOD]
    (tmp_path / "data").mkdir()
    table = pa.table({"image": NULL_AMONG_GOOD, "label": [0, 1, 0]})
    pq.write_table(table, tmp_path / "data/validation-00000-of-00001.parquet")
    list_classes.main(
        [
            *("--huggingface", str(tmp_path), "--classes", "2"),
            *("--output", str(tmp_path / "classes.parquet")),
        ]
    )
    skip = ("--on-bad-image", "skip")
    piece = str(tmp_path / "0.parquet")
    words = ["--directory", str(tmp_path), "--split", "val", "--part", "0", "--parts", "1", *skip]
    unpack_parquet.main([*words, "--images", str(tmp_path / "0.images"), "--output", piece])
    words = ["--unpacked", piece, "--classes", str(tmp_path / "classes.parquet"), *skip]
    index_images.main([*words, "--images", "3", "--output", str(tmp_path / "index.parquet")])
    pack(tmp_path / "index.parquet", tmp_path, *skip)
    shards = Shards([tmp_path / "0.arrow", tmp_path / "1.arrow"])
    assert [bytes(shards.jpeg(place)) for place in range(2)] == [contents[0], contents[2]]
    assert shards.labels.tolist() == [0, 0]
    reports = [json.loads((tmp_path / f"{shard}.json").read_text()) for shard in "01"]
    skipped = [image["id"] for report in reports for image in report["skipped"]]
    assert skipped == ["validation-00000-of-00001-00000001"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": pa.nulls(2), "label": [0, 1]}, "no columns of images"),
        ({"image": [{"bytes": None, "path": "a"}] * 2, "label": [0, 1]}, "no columns of images"),
        ({"a": [b"x", b"y"], "b": [b"x", b"y"], "label": [0, 1]}, "2 columns of images"),
        ({"image": [b"x", b"y"]}, "no columns image {bytes, path} and label"),
        ({"image": [b"x", b"y"], "label": ["cat", "dog"]}, "no columns image {bytes, path} and"),
    ],
)
def test_columns_that_leave_open_where_the_images_are_are_refused(columns, words, forms, tmp_path):
    def change(folder):
        pq.write_table(pa.table(columns), folder / "data/validation-00001-of-00003.parquet")

    found = complaint("huggingface", forms, "val", tmp_path, change)
    assert f"validation-00001-of-00003.parquet: has {words}" in found


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["00000-of-00003", "00002-of-00003"], "of 3 files validation-*.parquet, 1 are missing"),
        (["00000-of-00001", "00000-of-00002", "00001-of-00002"], "are of several downloads"),
        (["00000-of-00001-0a1b", "00000-of-00001-2c3d"], "are of several downloads"),
        (["00000-of-00001", "00000-of-00001 (1)"], "is no part of the other files"),
        (["00000-of-00001", "../validation-00000-of-00001"], "and its folder data both hold"),
    ],
)
def test_a_download_that_is_incomplete_or_doubled_is_refused(names, words, tmp_path):
    (tmp_path / "data").mkdir()
    for name in names:
        folder = tmp_path if name.startswith("..") else tmp_path / "data"
        (folder / f"validation-{name.rpartition('validation-')[2]}.parquet").touch()
    with pytest.raises(InputError, match=re.escape(words)):
        huggingface.parquet_files(tmp_path, "val")


@pytest.mark.parametrize("names", [["00000-of-00002-0a1b", "00001-of-00002-2c3d"], ["mine", "b"]])
def test_a_complete_download_is_taken_whatever_its_names(names, tmp_path):
    for name in names:
        (tmp_path / f"validation-{name}.parquet").touch()
    assert len(huggingface.parquet_files(tmp_path, "val")) == 2


def test_a_link_of_a_download_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "validation-00000-of-00001.parquet").symlink_to(tmp_path / "blobs/1")
    with pytest.raises(InputError, match=r"00001\.parquet: is a link that leads nowhere"):
        huggingface.parquet_files(tmp_path, "val")


def with_paths(path, kind, values=("a_n00000001.JPEG", "b_n00000002.JPEG")):
    """A parquet file of two images with names of a type."""
    names = pa.array(values).dictionary_encode() if kind is None else pa.array(values, kind)
    contents = pa.array([small_jpeg(70), small_jpeg(80)], pa.binary())
    image = pa.StructArray.from_arrays([contents, names], ["bytes", "path"])
    pq.write_table(pa.table({"image": image, "label": [0, 1]}), path)
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), None])
def test_names_of_every_type_of_text_are_read(kind, tmp_path):
    found = list(huggingface.rows(with_paths(tmp_path / "a.parquet", kind)))
    assert [(row.id, row.wnid) for row in found] == [("a", "n00000001"), ("b", "n00000002")]


def test_names_that_are_no_text_are_refused(tmp_path):
    path = with_paths(tmp_path / "a.parquet", pa.binary(), [b"a", b"b"])
    with pytest.raises(InputError, match=r"a\.parquet: its images' paths are binary, not text"):
        list(huggingface.rows(path))


def test_columns_of_odd_schemas_are_refused(tmp_path):
    inner = pa.StructArray.from_arrays([pa.array([b"x"])], ["bytes"])
    nested = pa.StructArray.from_arrays([inner], ["bytes"])
    pq.write_table(pa.table({"image": nested, "label": [0]}), tmp_path / "nested.parquet")
    with pytest.raises(InputError, match=r"nested\.parquet: has no columns of images"):
        list(huggingface.rows(tmp_path / "nested.parquet"))
    columns = [pa.array([b"x"]), pa.array([0]), pa.array([1])]
    pq.write_table(pa.table(columns, ["image", "label", "label"]), tmp_path / "twice.parquet")
    with pytest.raises(InputError, match=r"twice\.parquet: has several columns label"):
        list(huggingface.rows(tmp_path / "twice.parquet"))


def test_labels_that_are_no_class_numbers_are_refused(tmp_path):
    table = pa.table({"image": [small_jpeg(70), small_jpeg(80)], "label": [0, 2**40]})
    pq.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    with pytest.raises(InputError, match=r"labels are to be 0 to 1, .* but no image has 1"):
        huggingface.read_classes(tmp_path)


def test_test_images_without_names_are_refused_where_answers_will_be_sent(packed, tmp_path):
    table = pa.table({"image": [small_jpeg(70), small_jpeg(80)], "label": [-1, -1]})
    pq.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    words = ["--directory", str(tmp_path), "--split", "test", "--part", "0", "--parts", "1"]
    piece = str(tmp_path / "0.parquet")
    unpack_parquet.main([*words, "--images", str(tmp_path / "0.images"), "--output", piece])
    words = ["--unpacked", piece, "--classes", str(packed / "classes.parquet"), "--unlabelled"]
    with pytest.raises(InputError, match="has no name of its own, but the test server"):
        index_images.main([*words, "--output", str(tmp_path / "index.parquet")])
    assert not (tmp_path / "index.parquet").exists()


def test_mutated_parquet_files_are_read_or_refused_by_name(forms, tmp_path):
    path = tmp_path / "train-0.parquet"
    content = (forms["huggingface"] / "data/validation-00000-of-00003.parquet").read_bytes()
    messages = []
    for mutated in mutations(content, np.random.default_rng(0), 60):
        path.write_bytes(mutated)
        try:
            list(huggingface.rows(path))
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all(str(path) in message for message in messages)


# Lists as spreadsheets and other systems save them


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


def test_a_folder_without_parquet_files_is_named(forms, tmp_path):
    def change(folder):
        for path in (folder / "data").glob("train-*"):
            path.unlink()

    found = complaint("huggingface", forms, "train", tmp_path, change)
    assert "holds train-*.parquet; data.directory must name a download" in found


def test_labels_in_another_order_than_the_wnids_are_refused(forms, tmp_path):
    """Class indices that follow the ILSVRC2012_IDs are the classic bug."""

    def change(folder):
        for path in (folder / "data").glob("*.parquet"):
            table = pq.read_table(path)
            swapped = [{0: 1, 1: 0}.get(label, label) for label in table["label"].to_pylist()]
            pq.write_table(table.set_column(1, "label", pa.array(swapped, pa.int64())), path)

    found = complaint("huggingface", forms, "val", tmp_path, change)
    assert "labels are not the places of the WNIDs in sorted order" in found


# MD5 sums


def test_a_verified_archive_is_remembered_until_it_changes(archives, tmp_path, classes):
    archive = tmp_path / "ILSVRC2012_img_val.tar"
    archive.write_bytes((archives / archive.name).read_bytes())
    manifest = json.loads((archives / "manifest.json").read_text())
    md5 = {entry["name"]: entry["md5"] for entry in manifest["archives"]}[archive.name]
    record = tmp_path / "val.json"
    verify_archive.main(["--archive", str(archive), "--md5", md5, "--output", str(record)])
    check_verified(record)
    archive.write_bytes(archive.read_bytes() + bytes(512))
    with pytest.raises(InputError, match=r"val\.tar: has changed since .* delete .*val\.json"):
        check_verified(record)


def test_another_md5_sum_is_refused_with_the_cure(archives, tmp_path):
    archive = archives / "ILSVRC2012_img_val.tar"
    words = ["--archive", str(archive), "--md5", "29b22e2961454d5413ddabcf34fc5622"]
    with pytest.raises(InputError, match=r"val\.tar: its MD5 sum is .* download it again, or set"):
        verify_archive.main([*words, "--output", str(tmp_path / "val.json")])
    assert not (tmp_path / "val.json").exists()
