"""A run's results with a random D, drawn boxes and drawn scores, and all files of its pictures."""

import json

import numpy as np
import pytest
import yaml

from tests.helpers.boxed_run import words_of, write_boxed
from tests.helpers.evaluations import posteriors_of
from tests.helpers.feature_results import DATA_SETS
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
from workflow_scripts import (
    draw_filters,
    examine_boxes,
    examine_errors,
    examine_features,
    look_through_net,
)
from workflow_scripts.vgg.data.examples import Examples, write_examples
from workflow_scripts.vgg.data.images import pixels_at
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import save_weights
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.transfer.scores import Tested, write_scores

OF_SETS = ["--data-sets", json.dumps(DATA_SETS)]


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
    write_several_labels(folder, sorted(ids))
    write_one_class(folder, sorted(ids))
    return folder


def write_several_labels(folder, ids):
    """Scores of four classes on the validation images, as if they were VOC-2007's; two are tied.

    The first two images are of another part, and no image shows a unicorn.
    """
    draw = np.random.default_rng(12)
    labels = draw.choice([1, 0, -1], size=(len(ids), 4), p=[0.4, 0.1, 0.5]).astype(np.int8)
    labels[:, 2] = np.minimum(labels[:, 2], 0)
    scores = draw.normal(size=labels.shape) + [1.5, 0.8, 0, 0.1] * labels
    scores[5] = scores[9]
    examples = Examples(
        ids=ids,
        image_ids=ids,
        images=np.arange(len(ids)),
        parts=["val", "val", *["test"] * (len(ids) - 2)],
        labels=labels,
        known=np.ones(len(ids), bool),
        boxes=None,
        classes=["bird", "cat", "unicorn", "dog"],
        scored=np.ones(4, bool),
    )
    parts = [Tested("val", 0, ids[:2], scores[:2]), Tested("test", 0, ids[2:][::-1], scores[:1:-1])]
    write_classified(folder, "voc2007", examples, parts)


def write_one_class(folder, ids):
    """Scores of four classes in two random splits, as if the images were Caltech-101's.

    The last class is tested in the second split alone.
    """
    draw = np.random.default_rng(13)
    of_class = np.append(np.arange(len(ids) - 1) % 3, 3)
    labels = np.where(of_class[:, None] == np.arange(4), 1, -1).astype(np.int8)
    places = [np.arange(0, 12), np.arange(8, len(ids))]
    parts = [
        Tested(
            "test", split, [ids[k] for k in own], draw.normal(size=(len(own), 4)) + labels[own] / 2
        )
        for split, own in enumerate(places)
    ]
    examples = Examples(
        ids=ids,
        image_ids=ids,
        images=np.arange(len(ids)),
        parts=[""] * len(ids),
        labels=labels,
        known=np.ones(len(ids), bool),
        boxes=None,
        classes=["anchor", "ant", "barrel", "clutter"],
        scored=np.ones(4, bool),
    )
    write_classified(folder, "caltech101", examples, parts)


def write_classified(folder, data_set, examples, parts):
    """Write a data set's examples, and the scores of the row whose features are shown."""
    chosen = [{"undescribed": []} for _ in parts]
    told = {"classes": examples.classes, "descriptors": [], "options": {}, "chosen": chosen}
    row = pictures_wanted.feature_classifiers(WANTED, TABLES)
    write_examples(folder / f"examples/{data_set}.parquet", examples, {})
    write_scores(row.path(folder, data_set), parts, told)


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
    examine_features.main([*words[:-1], str(folder), *OF_TABLES, *OF_SETS])
    weights = str(results / f"weights/{MODEL}.safetensors")
    words = ["--experiment", "m", "--weights", weights]
    draw_filters.main([*words, "--output", str(folder / "filters.json")])
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return lambda name: folder / name
