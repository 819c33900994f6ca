"""A run's results with a random D and drawn boxes, and all files of its pictures."""

import numpy as np
import pytest
import yaml

from tests.helpers.boxed_run import words_of, write_boxed
from tests.helpers.evaluations import posteriors_of
from tests.helpers.pictured_run import (
    CONFIG,
    CROP_SCALE,
    FILES,
    MEAN,
    MODEL,
    MODELS,
    OF_TABLES,
    TABLES,
    WANTED,
)
from workflow_scripts import draw_filters, examine_boxes, examine_errors, look_through_net
from workflow_scripts.vgg.data.images import pixels_at
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import save_weights
from workflow_scripts.vgg.settings import pictures_wanted


@pytest.fixture(scope="session")
def results(packed, shard_paths, tmp_path_factory):
    """A run's results: a random D with its posteriors, and random posteriors of all else."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "classes.parquet").write_bytes((packed / "classes.parquet").read_bytes())
    net = ConvNet(Architecture(MODELS["convnets"]["D"], 10, 64, fc=64, width_divisor=8))
    initialise(net, "he", seed=5)
    save_weights(folder / f"weights/{MODEL}.safetensors", net, 58.0, {"mean_rgb": MEAN})
    net.features[0].weight.data /= 58
    shards = Shards(shard_paths("val"))
    ids, labels = list(shards.ids()), shards.labels
    wanted = {*pictures_wanted.looked_through(WANTED), *pictures_wanted.examined(WANTED, TABLES)}
    draw = np.random.default_rng(3)
    for e in sorted(wanted, key=str):
        if e.model == MODEL and (e.method == "dense" or e.Q == CROP_SCALE):
            posteriors = posteriors_of(
                net,
                shard_paths("val"),
                method=e.method,
                smallest_side=pixels_at(e.Q, 64),
                mean=MEAN,
            )
        else:
            scores = 1.5 * np.eye(10)[labels] + 2 * draw.normal(size=(len(ids), 10))
            posteriors = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        write_posteriors(e.path(folder, "val"), ids, labels, posteriors, {})
    write_boxed(folder, shard_paths)
    return folder


@pytest.fixture(scope="session")
def made(results, shard_paths, tmp_path_factory):
    """`made(name)` is the path of a picture's file, as the commands write it."""
    folder = tmp_path_factory.mktemp("pictures")
    shards = ["--shards", *shard_paths("val")]
    words = [*FILES, "--results", str(results), *shards, "--output", str(folder)]
    look_through_net.main(words)
    examine_errors.main([*words, *OF_TABLES])
    words = [*words[:-1], str(folder / "boxes.json")]
    examine_boxes.main([*words, *OF_TABLES, *words_of(results)])
    weights = str(results / f"weights/{MODEL}.safetensors")
    words = ["--experiment", "m", "--weights", weights]
    draw_filters.main([*words, "--output", str(folder / "filters.json")])
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return lambda name: folder / name
