"""What tests share: a small ILSVRC-2012 of drawn images, and a whole run of the workflow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.helpers.browser import chromium
from tests.helpers.clones import ROOT, TINY, configured_clone, snakemake
from tests.helpers.forms import ARCHIVES, IMAGES
from tests.helpers.trainings import LAYERS_A
from workflow_scripts import (
    index_images,
    list_classes,
    make_miniature,
    measure_statistics,
    pack_shards,
)
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.weights import save_weights


def pytest_addoption(parser):
    group = parser.getgroup("report", "the finished run whose report and tables are tested")
    group.addoption(
        "--report-of",
        type=Path,
        metavar="FOLDER",
        help="a tree in which `snakemake all` has run, with =; default: a tiny run of this tree",
    )
    group.addoption(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        default=ROOT / "tests/pictures",
        help="where pictures of the pages are left (default: tests/pictures)",
    )


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


@pytest.fixture(scope="session")
def statistics(shard_paths, tmp_path_factory):
    path = tmp_path_factory.mktemp("statistics") / "statistics.json"
    measure_statistics.main(["--shards", *shard_paths("train"), "--output", str(path)])
    return str(path)


@pytest.fixture(scope="session")
def command(shard_paths, statistics):
    """`command(folder, **options)` is the command line of a short training of A."""

    def build(folder, **changes):
        values = {
            "model": "A_S256", "net": "A", "layers": LAYERS_A, "crop": 64, "classes": 10, "fc": 32,
            "width_divisor": 16, "train_scale": 256, "initialisation": "he", "iterations": 12,
            "batch_size": 8, "validation_interval": 5, "input_scale": 64, "statistics": statistics,
            "checkpoints": folder / "checkpoints", "output": folder / "w.safetensors",
            "history": folder / "h.csv",
        } | changes  # fmt: skip
        words = ["--train-shards", *shard_paths("train"), "--val-shards", *shard_paths("val")]
        for name, value in values.items():
            words += [f"--{name.replace('_', '-')}", *map(str, np.atleast_1d(value))]
        return words

    return build


@pytest.fixture
def evaluating(shard_paths, tmp_path):
    """`evaluating(net)` is the command line, but for --output, of a dense evaluation of a net.

    Its weights are `tmp_path / "w.safetensors"`; drawn ones if no net is given.
    """

    def build(net=None):
        if net is None:
            torch.manual_seed(0)
            layers = "conv3-64 | conv3-128 | conv3-256 | conv3-512 | conv3-512"
            net = ConvNet(Architecture(layers, 10, 64, 16, 32))
        metadata = {
            "model": "A_S256", "mean_rgb": [120.0, 115.0, 100.0], "iterations": 0,
            "code_fingerprint": "none",
        }  # fmt: skip
        save_weights(tmp_path / "w.safetensors", net, 64.0, metadata)
        words = ["--weights", str(tmp_path / "w.safetensors"), "--method", "dense"]
        return [*words, "--scale", "256", "--shards", *shard_paths("val")]

    return build


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A clone in which `snakemake all` has run, with the tiny configuration as its default."""
    folder = configured_clone(tmp_path_factory.mktemp("run"), TINY)
    output = snakemake(folder, "all", "--cores", "2")
    (folder / "output.txt").write_text(output)
    return folder


@pytest.fixture(scope="session")
def finished(request, tmp_path_factory) -> Path:
    """A tree with a finished run: that of `--report-of`, or the tiny one with compared choices."""
    if given := request.config.getoption("--report-of"):
        return given.resolve()
    folder = tmp_path_factory.mktemp("finished") / "run"
    # A copy, because other tests look at what the run has made so far.
    shutil.copytree(request.getfixturevalue("run"), folder, symlinks=True)
    for target in ("choices", "all"):
        snakemake(folder, target, "--cores", "2")
    return folder


@pytest.fixture(scope="session")
def finished_results(finished) -> Path:
    """The results of the finished run."""
    config = yaml.safe_load((finished / "config/config.yaml").read_text())
    return finished / "results" / config["experiment"]


@pytest.fixture(scope="session")
def browser():
    """Chromium, for the pages of the report."""
    with chromium() as one:
        yield one
