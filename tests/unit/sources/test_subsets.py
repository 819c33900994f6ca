"""Subsets of the classes: what is packed of them, what is not read, and what is refused."""

import io
import itertools
import os
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.clones import ROOT
from tests.helpers.forms import IMAGES, mutations, read_archives
from tests.helpers.refusals import read_tar, refusal, write_tar
from tests.helpers.source_commands import (
    DEVKIT,
    SOURCES,
    index_of,
    list_of_classes,
    pack,
    small_jpeg,
)
from workflow_scripts import index_images
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_frame
from workflow_scripts.vgg.data.classes import read_class_table, write_class_table
from workflow_scripts.vgg.data.sources import huggingface
from workflow_scripts.vgg.data.sources.archives import image_members
from workflow_scripts.vgg.settings.class_subsets import named_classes

# Six of the miniature's ten, in no order
LISTED = ["n00001561", "n00000205", "n00001207", "n00000347", "n00000951", "n00000812"]
NUMBER, SEED = 7, 3
MASK = 2**64 - 1


class Packed(NamedTuple):
    """An image of a shard."""

    id: str
    label: int
    content: bytes


def in_shards(folder):
    """The images of both shards, by Arrow alone."""
    found = []
    for shard in "01":
        with pa.ipc.open_file(folder / f"{shard}.arrow") as file:
            rows = file.read_all().select(["id", "label", "jpeg"]).to_pylist()
        found += [Packed(row["id"], row["label"], row["jpeg"]) for row in rows]
    return found


def by_hand(images, wnids):
    """The images of classes, in the order of their names, each class labelled by its place."""
    order = sorted(wnids)
    chosen = [i for i in images if i.wnid in order]
    return [Packed(i.id, order.index(i.wnid), i.content) for i in sorted(chosen)]


def philox(key, counter):
    """Four 64-bit words of Philox-4x64 with ten rounds, by its definition (Salmon et al., 2011)."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (right >> 64) ^ c1 ^ k0, right & MASK, (left >> 64) ^ c3 ^ k1, left & MASK
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [c0, c1, c2, c3]


def drawn_by_hand(wnids, number, seed):
    """The classes of the smallest draws; stream 9, counted from 1 on."""
    words = [w for n in range(1, 1 + len(wnids) // 4 + 1) for w in philox((seed, 9), (n, 0, 0, 0))]
    draws = [word >> 11 for word in words[: len(wnids)]]
    return sorted(sorted(wnids, key=lambda wnid: draws[sorted(wnids).index(wnid)])[:number])


@pytest.fixture(scope="session")
def every_form(archives, forms):
    return {"archives": archives, **forms}


@pytest.fixture(scope="session")
def by_tarfile(archives):
    """({split: images}, {wnid: words}) of the archives, without the library."""
    return read_archives(archives)


@pytest.fixture(params=["list", "file", "number"])
def chosen(request, by_tarfile, tmp_path):
    """(the WNIDs of a subset, the options that name it to `list_classes`)."""
    words = by_tarfile[1]
    if request.param == "number":
        wnids = drawn_by_hand(sorted(words), NUMBER, SEED)
        return wnids, ("--draw", str(NUMBER), "--seed", str(SEED))
    if request.param == "list":
        return LISTED, ("--only", *named_classes(LISTED, "archives"))
    lines = ["# mine", "", *(f"{wnid}\t{words[wnid]}" for wnid in LISTED)]
    (tmp_path / "mine.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return LISTED, ("--only", *named_classes(str(tmp_path / "mine.txt"), "archives"))


@pytest.mark.parametrize("source", ["archives", *SOURCES])
def test_a_subset_is_packed_as_by_hand(source, chosen, every_form, by_tarfile, tmp_path):
    wnids, options = chosen
    images, words = by_tarfile
    classes = list_of_classes(source, every_form[source], tmp_path / "classes.parquet", options)
    assert classes["wnid"].tolist() == sorted(wnids)
    assert classes["label"].tolist() == list(range(len(wnids)))
    assert classes["source_label"].tolist() == [sorted(words).index(w) for w in sorted(wnids)]
    assert read_metadata(tmp_path / "classes.parquet") == {"source_classes": 10}
    for split in IMAGES if source == "archives" else ("train", "val"):
        expected = by_hand(images[split], wnids)
        count = len(expected)
        index = index_of(source, every_form[source], split, tmp_path, images=count, subset=True)
        (tmp_path / f"shards_{split}").mkdir()
        pack(index, tmp_path / f"shards_{split}")
        assert in_shards(tmp_path / f"shards_{split}") == expected


def test_labels_of_the_archives_follow_the_kit(archives, by_tarfile, tmp_path):
    """The kit's own numbering, in which its ground truth is written, is another than the labels."""
    classes = list_of_classes("archives", archives, tmp_path / "c.parquet", ("--only", *LISTED))
    whole = list_of_classes("archives", archives, tmp_path / "w.parquet")
    ids = dict(zip(whole["wnid"], whole["ilsvrc2012_id"], strict=True))
    assert classes["ilsvrc2012_id"].tolist() == [ids[wnid] for wnid in sorted(LISTED)]
    assert classes["ilsvrc2012_id"].tolist() != sorted(classes["ilsvrc2012_id"])


def test_imagenettes_tree_is_packed_as_by_hand(tmp_path):
    """Folders by class as fastai distributes them, here eleven, of which ten are named."""
    wnids = [f"n0{number:07d}" for number in range(2000, 1900, -9)][:11]
    tree = tmp_path / "imagenette2"
    images = {"train": [], "val": []}
    for split, each in (("train", 3), ("val", 2)):
        for place, wnid in enumerate(wnids):
            (tree / split / wnid).mkdir(parents=True)
            for number in range(each):
                # Its validation images are of ILSVRC's training set too
                name = f"{wnid}_{number}" if number else f"ILSVRC2012_val_{place:08d}_{split}"
                content = small_jpeg(20 + 4 * place + number)
                (tree / split / wnid / f"{name}.JPEG").write_bytes(content)
                images[split].append((name, wnid, content))
    kept = wnids[:5] + wnids[6:]
    for own in (wnids, kept):
        made = tmp_path / str(len(own))
        made.mkdir()
        chosen = ("--classes", "11") if own is wnids else ("--only", *own)
        found = list_of_classes("folder", tree, made / "classes.parquet", chosen)
        assert found["wnid"].tolist() == found["words"].tolist() == sorted(own)
        for split in images:
            expected = sorted(
                Packed(name, sorted(own).index(wnid), content)
                for name, wnid, content in images[split]
                if wnid in own
            )
            count = len(expected)
            index = index_of("folder", tree, split, made, images=count, subset=True)
            (made / split).mkdir()
            pack(index, made / split)
            assert in_shards(made / split) == expected


def test_the_whole_set_is_indexed_as_it_was(made, tmp_path, forms):
    """A list that names all classes is no other set; the columns of an index are the same."""
    wnids = pd.read_parquet(made("kaggle") / "classes.parquet")["wnid"]
    list_of_classes("kaggle", forms["kaggle"], tmp_path / "classes.parquet", ("--only", *wnids))
    for split in ("train", "val"):
        index = index_of("kaggle", forms["kaggle"], split, tmp_path)
        assert index.read_bytes() == (made("kaggle") / f"{split}.parquet").read_bytes()


def test_a_list_of_classes_from_before_subsets_is_read(packed, tmp_path):
    before = pd.read_parquet(packed / "classes.parquet").drop(columns="source_label")
    write_frame(tmp_path / "classes.parquet", before)
    classes, of = read_class_table(tmp_path / "classes.parquet")
    assert of == len(classes) == 10
    assert classes["source_label"].tolist() == classes["label"].tolist()


# What is written down


@pytest.mark.parametrize("source", ["archives", "huggingface", "folder"])
def test_a_drawn_subset_is_written_down_as_a_file_that_names_it(source, every_form, tmp_path):
    for name, options in (
        ("drawn", ("--draw", str(NUMBER), "--seed", str(SEED))),
        ("again", ("--draw", str(NUMBER), "--seed", str(SEED))),
        ("other", ("--draw", str(NUMBER), "--seed", str(SEED + 1))),
    ):
        text = ("--text", str(tmp_path / f"{name}.txt"))
        folder = every_form[source]
        list_of_classes(source, folder, tmp_path / f"{name}.parquet", (*options, *text))
    drawn, again, other = (tmp_path / f"{name}.txt" for name in ("drawn", "again", "other"))
    assert drawn.read_bytes() == again.read_bytes()
    assert drawn.read_text().startswith("# 7 of 10 classes; data.classes takes this file\nn0")
    named = named_classes(str(drawn), source)
    assert named == pd.read_parquet(tmp_path / "drawn.parquet")["wnid"].tolist()
    assert named != named_classes(str(other), source)


def test_of_one_seed_fewer_classes_are_among_more(archives, tmp_path):
    drawn = [
        set(
            list_of_classes(
                "archives",
                archives,
                tmp_path / "c.parquet",
                ("--draw", str(number), "--seed", "5"),
            )["wnid"]
        )
        for number in range(6, 11)
    ]
    assert all(fewer < more for fewer, more in itertools.pairwise(drawn))


# What is not read


def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])


reads_are_counted = pytest.mark.skipif(
    not os.path.exists("/proc/self/io"), reason="Linux counts what is read"
)


def write_with_holes(path, members):
    """A tar of (name, content or a number of bytes that are a hole of zeros)."""
    with open(path, "wb") as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            hole = isinstance(content, int)
            member.size = content if hole else len(content)
            file.write(member.tobuf())
            if not hole:
                file.write(content)
            file.seek(-(-(file.tell() + (content if hole else 0)) // 512) * 512)
        file.write(bytes(10240))
    return path


def inner_tar(wnid, count):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for number in range(count):
            member = tarfile.TarInfo(f"{wnid}_{number}.JPEG")
            jpeg = small_jpeg(30 + number)
            member.size = len(jpeg)
            archive.addfile(member, io.BytesIO(jpeg))
    return content.getvalue()


GIBI = 2**30


@reads_are_counted
def test_training_tars_of_other_classes_are_passed_over(tmp_path):
    members = [
        ("n00000001.tar", GIBI),
        ("n00000002.tar", inner_tar("n00000002", 2)),
        ("n00000003.tar", GIBI),
        ("n00000004.tar", inner_tar("n00000004", 3)),
        ("n00000005.tar", GIBI),
    ]
    path = write_with_holes(tmp_path / "train.tar", members)
    before = bytes_read()
    found = list(image_members(path, {"n00000002", "n00000004"}))
    assert path.stat().st_size > 3 * GIBI
    assert bytes_read() - before < 2**20
    assert [m.id for m in found] == [
        *(f"n00000002_{n}" for n in range(2)),
        *(f"n00000004_{n}" for n in range(3)),
    ]


@reads_are_counted
@pytest.mark.parametrize("truth", ["list", "solution"])
def test_validation_images_of_other_classes_are_passed_by_their_headers(truth, tmp_path):
    wnids = sorted(f"n0000000{number}" for number in range(1, 9))
    classes = pd.DataFrame({"wnid": wnids, "words": wnids}).assign(
        label=range(8), ilsvrc2012_id=range(8, 0, -1)
    )
    write_class_table(tmp_path / "classes.parquet", classes, [1, 2, 3, 4, 5, 6])
    of_images = [wnids[number % 8] for number in range(40)]
    members, lines = [], {"list": [], "solution": ["ImageId,PredictionString"]}
    for number, wnid in enumerate(of_images, start=1):
        name, other = f"ILSVRC2012_val_{number:08d}", wnid in (wnids[0], wnids[7])
        members.append((f"{name}.JPEG", 2**26 if other else small_jpeg(40 + number)))
        lines["list"].append(str(8 - wnids.index(wnid)))
        lines["solution"].append(f"{name},{wnid} 1 2 3 4")
    archive = write_with_holes(tmp_path / "val.tar", members)
    ground_truth = tmp_path / ("truth.txt" if truth == "list" else "truth.csv")
    ground_truth.write_text("\n".join(lines[truth]))
    words = ["--archive", archive, "--classes", tmp_path / "classes.parquet", "--images", 30]
    words += ["--ground-truth", ground_truth, "--output", tmp_path / "index.parquet"]
    before = bytes_read()
    index_images.main([*map(str, words)])
    assert archive.stat().st_size > 10 * 2**26
    assert bytes_read() - before < 2**21
    index = pd.read_parquet(tmp_path / "index.parquet")
    expected = [w for w in of_images if w not in (wnids[0], wnids[7])]
    assert index["label"].tolist() == [wnids.index(wnid) - 1 for wnid in expected]
    assert index.columns.tolist() == ["id", "label", "file", "offset", "size"]


@reads_are_counted
@pytest.mark.parametrize("named", [True, False])
def test_groups_of_rows_without_an_image_of_the_classes_are_not_read(named, tmp_path):
    labels = [0] * 8 + [1] * 8 + [2, 3] * 4
    large = [label.to_bytes() + os.urandom(2**20) for label in labels]
    names = [f"{n}_n0000000{label}.JPEG" if named else None for n, label in enumerate(labels)]
    images = [{"bytes": b, "path": p} for b, p in zip(large, names, strict=True)]
    path = tmp_path / "train-0.parquet"
    pq.write_table(pa.table({"image": images, "label": labels}), path, row_group_size=8)
    before = bytes_read()
    found = list(huggingface.rows_of_classes(path, {"n00000003": 3}))
    assert bytes_read() - before < 10 * 2**20  # of 24 MiB, the last group's 8
    assert [row.content for row in found] == large[17::2]
    assert [row.where for row in found] == [f"{path}, row {n}" for n in (17, 19, 21, 23)]
    assert [row.id for row in found] == [
        str(n) if named else f"train-0-{n:08d}" for n in (17, 19, 21, 23)
    ]


# What is wrong with other classes does not matter


def subset(source, folder, split, tmp_path, expected):
    """The index of a split's LISTED classes."""
    list_of_classes(source, folder, tmp_path / "classes.parquet", ("--only", *LISTED))
    index = index_of(source, folder, split, tmp_path, images=len(expected), subset=True)
    return pd.read_parquet(index)


@pytest.fixture
def rewritten(archives, tmp_path):
    """`rewritten(archive, change)`: the folder of the archives, one changed by {name: content}."""

    def rewrite(name, change):
        folder = tmp_path / "archives"
        folder.mkdir()
        for path in archives.iterdir():
            (folder / path.name).symlink_to(path)
        members = read_tar(archives / name)
        (folder / name).unlink()
        write_tar(folder / name, change(members))
        return folder

    return rewrite


VAL = "ILSVRC2012_img_val.tar"


def of_class(images, listed):
    """The name in the archive of the first image that is, or is not, of the LISTED classes."""
    return next(i.id for i in images["val"] if (i.wnid in LISTED) == listed)


def test_bad_images_of_other_classes_do_not_matter(rewritten, by_tarfile, tmp_path):
    images, _ = by_tarfile
    others = of_class(images, listed=False)
    folder = rewritten(VAL, lambda m: {n: b"" if others in n else c for n, c in m.items()})
    expected = by_hand(images["val"], LISTED)
    index = subset("archives", folder, "val", tmp_path, expected)
    assert index["id"].tolist() == [image.id for image in expected]


def test_a_bad_image_of_the_classes_is_named(rewritten, by_tarfile, tmp_path):
    own = of_class(by_tarfile[0], listed=True)
    folder = rewritten(VAL, lambda m: {n: b"" if own in n else c for n, c in m.items()})
    with pytest.raises(InputError, match=f"{VAL}: {own} has no bytes; repair or replace it"):
        subset("archives", folder, "val", tmp_path, by_hand(by_tarfile[0]["val"], LISTED))


def test_folders_of_other_classes_are_not_listed(forms, by_tarfile, tmp_path):
    folder = tmp_path / "tree"
    for path in forms["folder"].glob("train/n*/*"):
        link = folder / path.relative_to(forms["folder"])
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    other = next(p for p in (folder / "train").iterdir() if p.name not in LISTED)
    (other / "notes.txt").write_text("no image")
    expected = by_hand(by_tarfile[0]["train"], LISTED)
    index = subset("folder", folder, "train", tmp_path, expected)
    assert index["label"].tolist() == [image.label for image in expected]
    own = folder / "train" / LISTED[0]
    (own / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=f"{LISTED[0]}/notes.txt: not an image by its name"):
        subset("folder", folder, "train", tmp_path, expected)


# What is missing


@pytest.mark.parametrize("listed", [True, False])
def test_a_missing_validation_image_is_named_whatever_its_class(
    listed, rewritten, by_tarfile, tmp_path
):
    """The ground truth counts them all: where one is missing, the others' labels would shift."""
    gone = of_class(by_tarfile[0], listed)
    folder = rewritten(VAL, lambda m: {n: c for n, c in m.items() if gone not in n})
    told = rf"{DEVKIT}: 24 lines for 23 images; missing: {gone}; does it belong to this archive"
    with pytest.raises(InputError, match=told):
        subset("archives", folder, "val", tmp_path, by_hand(by_tarfile[0]["val"], LISTED))


def kaggle_without(forms, tmp_path, name):
    folder = tmp_path / "kaggle"
    val = folder / "ILSVRC/Data/CLS-LOC/val"
    val.mkdir(parents=True)
    for path in forms["kaggle"].glob("LOC_*"):
        (folder / path.name).symlink_to(path)
    for path in forms["kaggle"].glob("ILSVRC/Data/CLS-LOC/val/*"):
        if path.stem != name:
            (val / path.name).symlink_to(path)
    return folder


def test_of_kaggles_images_those_of_the_classes_must_be_there(forms, by_tarfile, tmp_path):
    expected = by_hand(by_tarfile[0]["val"], LISTED)
    others = of_class(by_tarfile[0], listed=False)
    index = subset(
        "kaggle", kaggle_without(forms, tmp_path / "a", others), "val", tmp_path, expected
    )
    assert index["id"].tolist() == [image.id for image in expected]
    own = of_class(by_tarfile[0], listed=True)
    count = len(expected)
    told = rf"val: holds {count - 1} of the {count} images of these classes; missing: {own}; is it"
    with pytest.raises(InputError, match=told):
        subset("kaggle", kaggle_without(forms, tmp_path / "b", own), "val", tmp_path, expected)


@pytest.mark.parametrize("source", ["archives", "kaggle"])
def test_another_number_than_data_images_is_no_guess_at_names(
    source, every_form, by_tarfile, tmp_path
):
    expected = by_hand(by_tarfile[0]["val"], LISTED)
    told = rf"holds {len(expected)} images of the 6 classes, 24 expected; is it complete, and is"
    with pytest.raises(InputError, match=told):
        subset(source, every_form[source], "val", tmp_path, range(24))


def test_images_without_labels_are_of_no_subset(archives, tmp_path):
    list_of_classes("archives", archives, tmp_path / "classes.parquet", ("--only", *LISTED))
    words = ["--archive", archives / "ILSVRC2012_img_test_v10102019.tar", "--unlabelled"]
    words += ["--classes", tmp_path / "classes.parquet"]
    message = refusal("index_images", *words, output=tmp_path / "out/index.parquet")
    assert "has 6 of 10 classes, and which images without labels are of these is not" in message


# What a list names wrongly


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (
            ("--only", "n00001124", "n00001125"),
            "has no class n00001125, which data.classes names; did you mean n00001124?",
        ),
        (
            ("--only", "n00001124", "zebra", "gnu"),
            "has no class zebra, which data.classes names (and 1 more like it); correct it there",
        ),
        (("--draw", "11"), "10 classes, of which 11 cannot be drawn; lower the number"),
        (("--classes", "11"), "10 classes, but the configuration's data.classes is 11"),
    ],
)
def test_classes_that_there_are_not_are_named(chosen, told, archives, tmp_path):
    words = ["--devkit", archives / DEVKIT, *chosen, "--text", tmp_path / "out/classes.txt"]
    message = refusal("list_classes", *words, output=tmp_path / "out/classes.parquet")
    assert f"{DEVKIT}: {told}" in message


FILES = {
    "twice": (
        "# mine\n{five}\nn00000011\nn00000012 again\nn00000011 x\n",
        "line 9: names n00000011",
    ),
    "no WNID": ("{five}\nn0000123 tench\n", "line 6: 'n0000123 tench' is no WNID, which is n and"),
    "an index": ("n00000011/n00000011_1.JPEG 0\n", "line 1: 'n00000011/n00000011_1.JPEG 0' is no"),
    "images": ("n00000011_1.JPEG\n", "line 1: 'n00000011_1.JPEG' is no WNID"),
    "too few": ("{five}\n", "mine.txt names 5 classes, but 6 or more are needed"),
    "none": ("# nothing\n\n", "mine.txt names no classes, but 6 or more are needed"),
    "not UTF-8": (b"\xff\xfe", "line 1: not UTF-8 text"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_another_form_is_refused_by_its_line(kind, tmp_path):
    content, told = FILES[kind]
    if isinstance(content, str):
        five = "\n".join(f"n0000000{number}" for number in range(5))
        content = content.format(five=five).encode()
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(InputError) as raised:
        named_classes(str(tmp_path / "mine.txt"), "archives")
    assert told in str(raised.value)
    assert str(tmp_path / "mine.txt") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_mutated_files_of_classes_are_read_or_refused_by_name(tmp_path):
    content = (ROOT / "config/imagenet100.txt").read_bytes()
    whole, path = named_classes(f"{ROOT}/config/imagenet100.txt", "archives"), tmp_path / "mine.txt"
    messages = []
    for mutated in mutations(content, np.random.default_rng(0), 40):
        path.write_bytes(mutated)
        try:
            assert set(named_classes(str(path), "archives")) <= set(whole)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all(str(path) in message and "\n" not in message for message in messages)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "mine.txt", tmp_path):
        with pytest.raises(InputError, match=rf"data\.classes: {path} is no file; give a number"):
            named_classes(str(path), "archives")


def test_a_list_in_the_configuration_names_each_wnid_once():
    with pytest.raises(InputError, match=r"^data\.classes: names n00000001 a second time"):
        named_classes([f"n0000000{number}" for number in (1, 2, 3, 4, 5, 1)], "kaggle")
    with pytest.raises(InputError, match=r"^data\.classes: 'tench' is no WNID"):
        named_classes(["tench"] * 6, "kaggle")


def test_folders_are_named_as_they_are_called(tmp_path):
    names = ["golden retriever", "n0", "cafe\u0301", "Zebra", "zebra", "x#y"]
    (tmp_path / "mine.txt").write_text("\n".join(["# folders", *names]))
    expected = sorted(["golden retriever", "n0", "caf\u00e9", "Zebra", "zebra", "x#y"])
    assert named_classes(str(tmp_path / "mine.txt"), "folder") == expected
    assert named_classes(names, "folder") == expected
