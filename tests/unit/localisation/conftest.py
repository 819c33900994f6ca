"""True boxes for the small data set, and trainings of nets of boxes on it."""

import numpy as np
import pytest

from tests.helpers.drawn_boxes import write_boxes_of
from workflow_scripts import train
from workflow_scripts.vgg.data.shards import Shards


def drawn_boxes(rng, number):
    """Relative corners of boxes around the middle, some far from it."""
    middle = rng.uniform(0.3, 0.7, (number, 2))
    half = rng.uniform(0.12, 0.4, (number, 2))
    first, last = (middle - half).clip(0, 0.8), (middle + half).clip(0.2, 1)
    return np.concatenate([first, last], axis=1).tolist()


@pytest.fixture(scope="session")
def boxed_ids(shard_paths):
    """`boxed_ids(split)`: the names of the images that have boxes."""

    def of(split):
        names = list(Shards(shard_paths(split)).ids())
        left_out = {"train": range(1, 60, 2), "val": (4, 17)}[split]
        return [name for place, name in enumerate(names) if place not in left_out]

    return of


BLACKLISTED = [f"ILSVRC2012_val_{number:08d}" for number in (2, 11, 20)]


@pytest.fixture(scope="session")
def true_boxes(shard_paths, boxed_ids):
    """`true_boxes(split)`: relative corners by the names of the images, one to three each."""
    found = {}
    for seed, split in enumerate(("train", "val")):
        rng = np.random.default_rng(seed)
        found[split] = {
            name: drawn_boxes(rng, 1 + (place % 6 == 0) + (place % 12 == 0))
            for place, name in enumerate(boxed_ids(split))
        }
    return found.__getitem__


@pytest.fixture(scope="session")
def truths(shard_paths, true_boxes, tmp_path_factory):
    """A folder with train.parquet and val.parquet."""
    folder = tmp_path_factory.mktemp("truth")
    for split in ("train", "val"):
        blacklisted = BLACKLISTED if split == "val" else ()
        write_boxes_of(
            folder / f"{split}.parquet", shard_paths(split), true_boxes(split), blacklisted
        )
    return folder


@pytest.fixture(scope="session")
def parent(command, tmp_path_factory):
    """Weights of a classifier, hardly trained, that nets of boxes can start from."""
    folder = tmp_path_factory.mktemp("parent")
    train.main(command(folder, iterations=1))
    return folder / "w.safetensors"


@pytest.fixture(scope="session")
def boxing(command, truths, parent):
    """`boxing(folder, **options)` is the command line of a short training of a net of boxes."""

    def build(folder, **changes):
        values = {
            "model": "A_S256_pcr", "head": "box-pcr", "parent": parent, "inherit": "all-but-last",
            "train_boxes": truths / "train.parquet", "val_boxes": truths / "val.parquet",
        }  # fmt: skip
        return command(folder, **values | changes)

    return build
