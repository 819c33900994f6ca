"""A small ILSVRC-2012 of drawn images, packed once for all tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from workflow_scripts import index_images, list_classes, make_miniature, pack_shards

ROOT = Path(__file__).resolve().parents[1]
IMAGES = {"train": 60, "val": 24, "test": 12}
ARCHIVES = {
    "train": "ILSVRC2012_img_train.tar",
    "val": "ILSVRC2012_img_val.tar",
    "test": "ILSVRC2012_img_test_v10102019.tar",
}


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def archives(tmp_path_factory) -> Path:
    """A folder with the archives of a small ten-class data set."""
    folder = tmp_path_factory.mktemp("archives")
    counts = [word for split, n in IMAGES.items() for word in (f"--{split}", str(n))]
    make_miniature.main(["--directory", str(folder), *counts, "--classes", "10", "--seed", "1"])
    return folder


@pytest.fixture(scope="session")
def packed(archives, tmp_path_factory) -> Path:
    """A folder with classes.parquet, index/<split>.parquet and shards/<split>/<number>.arrow.

    Training shards are as for S = 256 at crop 64 (73 pixels); all splits have two shards.
    """
    folder = tmp_path_factory.mktemp("packed")
    devkit = str(archives / "ILSVRC2012_devkit_t12.tar.gz")
    classes = str(folder / "classes.parquet")
    list_classes.main(["--devkit", devkit, "--classes", "10", "--output", classes])
    truth = {"val": devkit, "test": str(archives / "ILSVRC2012_test_ground_truth.txt")}
    for split, images in IMAGES.items():
        archive, index = str(archives / ARCHIVES[split]), str(folder / f"index/{split}.parquet")
        words = ["--archive", archive, "--classes", classes, "--images", str(images)]
        words += ["--ground-truth", truth[split]] if split in truth else []
        index_images.main([*words, "--output", index])
        for shard in "01":
            words = ["--index", index, "--shard", shard, "--shards", "2", "--crop", "64"]
            words += ["--smallest-side", "73"] if split == "train" else []
            words += ["--report", str(folder / f"packing/{split}/{shard}.json")]
            pack_shards.main([*words, "--output", str(folder / f"shards/{split}/{shard}.arrow")])
    return folder


@pytest.fixture(scope="session")
def shard_paths(packed):
    """`shard_paths("train")` gives the paths of a split's shards."""
    return lambda split: sorted(map(str, (packed / "shards" / split).glob("*.arrow")))


@pytest.fixture(scope="session")
def classes(packed) -> pd.DataFrame:
    return pd.read_parquet(packed / "classes.parquet")
