"""From archives to shards: offsets, labels, pixels, and clear errors on bad input."""

import io
import json
import re
import tarfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from scipy.io import loadmat

from tests.conftest import ARCHIVES, IMAGES
from workflow_scripts import index_archive, measure_statistics, pack_shards, read_devkit
from workflow_scripts.vgg import images
from workflow_scripts.vgg.archives import image_members
from workflow_scripts.vgg.files import InputError
from workflow_scripts.vgg.shards import Shards


def archived_images(path):
    """{id: (inner tar's wnid, bytes)}, read by unpacking everything with tarfile."""
    found = {}
    with tarfile.open(path) as outer:
        for member in outer:
            if member.name.endswith(".tar"):
                with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                    for image in inner:
                        wnid = member.name.removesuffix(".tar")
                        found[image.name[:-5]] = wnid, inner.extractfile(image).read()
            elif member.isfile():
                name = member.name.rsplit("/", 1)[-1][:-5]
                found[name] = None, outer.extractfile(member).read()
    return found


def test_labels_are_sorted_wnid_order_and_not_ilsvrc2012_ids(archives, classes):
    with tarfile.open(archives / "ILSVRC2012_devkit_t12.tar.gz") as kit:
        content = kit.extractfile("ILSVRC2012_devkit_t12/data/meta.mat").read()
        truth = kit.extractfile(
            "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
        ).read()
    synsets = loadmat(io.BytesIO(content))["synsets"]
    wnid_of_id = {int(s["ILSVRC2012_ID"][0][0][0]): str(s["WNID"][0][0]) for s in synsets}
    leaves = sorted(wnid_of_id[n] for n in range(1, 11))
    assert classes["wnid"].tolist() == leaves
    assert classes["label"].tolist() == list(range(10))
    assert [wnid_of_id[n] for n in classes["ilsvrc2012_id"]] == leaves
    assert classes["ilsvrc2012_id"].tolist() != list(range(1, 11)), "the orders must differ"
    assert len(truth.split()) == IMAGES["val"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_ground_truth_is_read_in_file_name_order(split, archives, packed, classes, shard_paths):
    if split == "val":
        with tarfile.open(archives / "ILSVRC2012_devkit_t12.tar.gz") as kit:
            name = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
            lines = kit.extractfile(name).read().decode().split()
    else:
        lines = (archives / "ILSVRC2012_test_ground_truth.txt").read_text().split()
    shards = Shards(shard_paths(split))
    expected = {
        f"ILSVRC2012_{split}_{number:08d}": int(line) for number, line in enumerate(lines, start=1)
    }
    id_of_label = dict(zip(classes["label"], classes["ilsvrc2012_id"], strict=True))
    found = dict(zip(shards.ids(), (id_of_label[x] for x in shards.labels), strict=True))
    assert found == expected


def test_training_labels_come_from_the_inner_archive(archives, shard_paths, classes):
    wnids = {k: wnid for k, (wnid, _) in archived_images(archives / ARCHIVES["train"]).items()}
    shards = Shards(shard_paths("train"))
    found = dict(zip(shards.ids(), classes["wnid"].to_numpy()[shards.labels], strict=True))
    assert found == wnids


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_shards_hold_the_original_bytes_in_id_order(split, archives, shard_paths):
    original = archived_images(archives / ARCHIVES[split])
    shards = Shards(shard_paths(split))
    ids = list(shards.ids())
    assert ids == sorted(original)
    for place, name in enumerate(ids):
        assert bytes(shards.jpeg(place)) == original[name][1]
        assert shards.id(place) == name
        with Image.open(io.BytesIO(original[name][1])) as image:
            assert image.size == (shards.widths[place], shards.heights[place])


def test_training_shards_hold_each_image_rescaled_to_s(archives, shard_paths):
    original = archived_images(archives / ARCHIVES["train"])
    shards = Shards(shard_paths("train"))
    assert sorted(shards.ids()) == sorted(original)
    differences = []
    for place, name in enumerate(shards.ids()):
        with Image.open(io.BytesIO(original[name][1])) as image:
            width, height = image.size
            short = min(width, height)
            size = round(width * 73 / short), round(height * 73 / short)
            rescaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        stored = io.BytesIO()
        rescaled.save(stored, "JPEG", quality=95, subsampling=0)
        expected = np.asarray(Image.open(stored))
        found = images.decode(shards.jpeg(place), name)
        assert found.shape == expected.shape == (shards.heights[place], shards.widths[place], 3)
        differences.append(np.abs(found.astype(int) - expected).mean())
    # Two encoders round differently, which makes 1.1; a bilinear resize would make 2.4.
    assert np.mean(differences) < 1.5


def test_jittered_shards_never_enlarge(archives, packed, tmp_path):
    index = pd.read_parquet(packed / "index/train.parquet")
    with open(archives / ARCHIVES["train"], "rb") as file:
        rows = list(pack_shards.rows(file, index, "train", 120, True, "bicubic", 95))
    original = archived_images(archives / ARCHIVES["train"])
    smaller = 0
    for name, _, encoded, height, width in rows:
        before = min(Image.open(io.BytesIO(original[name][1])).size)
        assert min(height, width) == min(before, 120)
        if before <= 120:
            smaller += 1
            assert encoded == original[name][1]
    assert 0 < smaller < len(rows), "the data must hold both kinds"


def test_shards_have_the_contracts_columns(shard_paths):
    with pa.memory_map(shard_paths("val")[0]) as source:
        schema = pa.ipc.open_file(source).schema
    assert [(f.name, str(f.type)) for f in schema] == [
        ("id", "string"),
        ("label", "int32"),
        ("jpeg", "large_binary"),
        ("height", "int32"),
        ("width", "int32"),
    ]


def test_statistics_equal_numpys_over_all_pixels(shard_paths):
    shards = Shards(shard_paths("train"))
    found = measure_statistics.measure_statistics(shards, threads=2)
    pixels = np.concatenate(
        [
            np.asarray(Image.open(io.BytesIO(shards.jpeg(i))).convert("RGB")).reshape(-1, 3)
            for i in range(len(shards))
        ]
    ).astype(np.float64)
    assert found["pixels"] == len(pixels)
    assert found["images"] == IMAGES["train"]
    np.testing.assert_allclose(found["mean_rgb"], pixels.mean(0), rtol=1e-12)
    covariance = np.cov(pixels.T, bias=True)
    np.testing.assert_allclose(found["covariance_rgb"], covariance, rtol=1e-9)
    for value, vector in zip(found["eigenvalues"], found["eigenvectors"], strict=True):
        np.testing.assert_allclose(covariance @ vector, value * np.array(vector), atol=1e-8)
    assert found["eigenvalues"] == sorted(found["eigenvalues"], reverse=True)


def test_statistics_do_not_depend_on_threads(shard_paths):
    shards = Shards(shard_paths("train"))
    one, three = (json.dumps(measure_statistics.measure_statistics(shards, n)) for n in (1, 3))
    assert one == three


# Bad input


def index_of(path, classes, images, ground_truth=None):
    return index_archive.index_archive(str(path), classes, ground_truth, images)


def test_a_missing_archive_is_named_with_where_to_get_it(tmp_path, classes):
    with pytest.raises(InputError, match=r"no-such\.tar: no such file.*image-net\.org"):
        index_of(tmp_path / "no-such.tar", classes, 1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_truncated_archive_is_refused(split, archives, tmp_path, classes):
    whole = (archives / ARCHIVES[split]).read_bytes()
    short = tmp_path / ARCHIVES[split]
    short.write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(InputError, match=f"{ARCHIVES[split]}.*download"):
        index_of(short, classes, IMAGES[split])


def test_another_number_of_images_than_configured_is_refused(archives, classes):
    with pytest.raises(InputError, match=r"holds 24 images, 23 expected.*data\.images"):
        index_of(archives / ARCHIVES["val"], classes, 23)


def test_a_ground_truth_with_too_few_lines_is_refused(archives, classes, tmp_path):
    (tmp_path / "truth.txt").write_text("1\n2\n")
    with pytest.raises(InputError, match=r"truth\.txt: 2 lines for 24 images"):
        index_of(archives / ARCHIVES["val"], classes, 24, str(tmp_path / "truth.txt"))


def test_an_id_that_is_no_class_is_refused(archives, classes, tmp_path):
    (tmp_path / "truth.txt").write_text("11\n" * 24)
    with pytest.raises(InputError, match=r"truth\.txt: IDs from 11 to 11.*1–10"):
        index_of(archives / ARCHIVES["val"], classes, 24, str(tmp_path / "truth.txt"))


def test_a_kit_of_another_year_is_refused(tmp_path):
    kit = tmp_path / "ILSVRC2010_devkit.tar.gz"
    with tarfile.open(kit, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("devkit-1.0/readme.txt"))
    with pytest.raises(InputError, match=r"holds no ILSVRC2012_devkit_t12/data/meta\.mat"):
        read_devkit.main(["--devkit", str(kit), "--classes", "10", "--output", "x.parquet"])


def foreign_archive(path, name, content):
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [("notes.txt", b"hello", "notes.txt is not a JPEG"), ("a.JPEG", b"", "a.JPEG has no bytes")],
)
def test_a_foreign_or_empty_member_is_refused(name, content, complaint, tmp_path):
    path = foreign_archive(tmp_path / "val.tar", name, content)
    with pytest.raises(InputError, match=re.escape(f"val.tar: {complaint}")):
        list(image_members(path))


def test_a_member_that_is_no_image_stops_packing_and_leaves_no_shard(tmp_path):
    path = foreign_archive(tmp_path / "val.tar", "a.JPEG", b"\xff\xd8 this is no JPEG")
    (member,) = image_members(path)
    index = tmp_path / "val.parquet"
    pd.DataFrame(
        [{"id": member.id, "label": 0, "offset": member.offset, "size": member.size}]
    ).to_parquet(index)
    words = ["--archive", str(path), "--index", str(index), "--shard", "0", "--shards", "1"]
    with pytest.raises(InputError, match=r"val\.tar: a.*not an image"):
        pack_shards.main([*words, "--output", str(tmp_path / "out" / "0.arrow")])
    assert list((tmp_path / "out").iterdir()) == []
