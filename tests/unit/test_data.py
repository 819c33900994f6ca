"""From archives to shards: offsets, labels, pixels, and clear errors on bad input."""

import io
import json
import tarfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from scipy.io import loadmat

from tests.helpers.forms import ARCHIVES, IMAGES
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.pixel_statistics import pixel_statistics
from workflow_scripts.vgg.data.shards import Shards


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
    rows = list(Packing(180, True, "bicubic", 95, crop=64).rows(index))
    original = archived_images(archives / ARCHIVES["train"])
    smaller = 0
    for name, _, encoded, height, width in rows:
        before = min(Image.open(io.BytesIO(original[name][1])).size)
        assert min(height, width) == min(before, 180)
        if before <= 180:
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
        ("checksum", "uint64"),
    ]


def test_statistics_equal_numpys_over_all_pixels(shard_paths):
    shards = Shards(shard_paths("train"))
    found = pixel_statistics(shards, threads=2)
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
    one, three = (json.dumps(pixel_statistics(shards, n)) for n in (1, 3))
    assert one == three
