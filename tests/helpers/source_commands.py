"""The commands that index and pack a form of the data set, as the rules run them."""

import hashlib
import io
import shutil

import pandas as pd
import pytest
from PIL import Image

from tests.helpers.forms import ARCHIVES, IMAGES, WRITERS
from workflow_scripts import index_images, list_classes, pack_shards, unpack_parquet
from workflow_scripts.vgg.core.files import InputError

SOURCES = sorted(WRITERS)
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"


def small_jpeg(side):
    content = io.BytesIO()
    Image.new("RGB", (side, side), (side, 9, 9)).save(content, "JPEG")
    return content.getvalue()


def list_of_classes(source, folder, output, chosen=("--classes", "10")):
    where = {
        "archives": ["--devkit", f"{folder}/{DEVKIT}"],
        "kaggle": ["--synsets", f"{folder}/LOC_synset_mapping.txt"],
        "huggingface": ["--huggingface", str(folder)],
        "folder": ["--folders", f"{folder}/train"],
    }[source]
    list_classes.main([*where, *chosen, "--output", str(output)])
    return pd.read_parquet(output)


def index_of(source, folder, split, made, images=None, subset=False):
    """The index of a split, by the commands that the rules run. images: how many are expected."""
    classes = ["--classes", str(made / "classes.parquet")]
    words = [*classes, "--images", str(IMAGES[split] if images is None else images)]
    words += ["--unlabelled"] if split == "test" and source != "archives" else []
    match source:
        case "archives":
            truth = {"val": DEVKIT, "test": "ILSVRC2012_test_ground_truth.txt"}
            words += ["--archive", f"{folder}/{ARCHIVES[split]}"]
            words += ["--ground-truth", f"{folder}/{truth[split]}"] if split in truth else []
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
                        *(classes if subset else ()),
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
