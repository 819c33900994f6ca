"""Model cards: errors against pandas and statsmodels, Hugging Face's own reader, statements."""

from __future__ import annotations

import json
import re

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import yaml
from statsmodels.stats.proportion import proportion_confint

from tests.helpers.exported_nets import exported, saved_net
from tests.helpers.posteriors import METADATA
from tests.helpers.released_nets import LAYERS
from workflow_scripts import export_weights
from workflow_scripts.vgg.core.files import InputError, sha256
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors

CLASSES, IMAGES = 7, 60
MODEL = "D_S256-512"
SINGLE = [("dense", 256), ("dense", 384), ("dense", 512), ("multicrop", 256), ("multicrop", 384)]
SINGLE += [("multicrop", 512)]
PAPER = {  # Tables 3 and 5, rows of D trained at S in [256; 512]
    ("dense", "384"): ("25.6", "8.1"),
    ("dense", "256, 384, 512"): ("24.8", "7.5"),
    ("multi-crop", "256, 384, 512"): ("24.6", "7.5"),
    ("multi-crop & dense", "256, 384, 512"): ("24.4", "7.2"),
}
IMPORTED = {"file": "VGG.caffemodel", "format": "caffe", "sha256": "ab" * 32}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with the weights of a D, its posteriors on validation images, and classes."""
    folder = tmp_path_factory.mktemp("results")
    weights = folder / "w.safetensors"
    saved_net(weights, LAYERS["D"], classes=CLASSES, hardware="a card", config_fingerprint="f00")
    labels = np.random.default_rng(9).integers(CLASSES, size=IMAGES)
    ids = [f"image{number:03d}" for number in range(IMAGES)]
    for number, (method, Q) in enumerate(SINGLE):
        rng = np.random.default_rng(number)
        values = rng.dirichlet(np.full(CLASSES, 0.5), IMAGES)
        values[np.arange(IMAGES), labels] += 0.2  # better than chance
        values = (values / values.sum(1, keepdims=True)).astype(np.float32)
        path = folder / f"posteriors/val/{MODEL}/{method}_Q{Q}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        own = {"model": MODEL, "method": method, "Q": Q, "weights_sha256": sha256(weights)}
        write_posteriors(path, ids, labels, values, METADATA | own)
    rows = [(n, f"n{n:08d}", f"thing {n}, object {n}") for n in range(CLASSES)]
    write_frame(folder / "classes.parquet", pd.DataFrame(rows, columns=["label", "wnid", "words"]))
    return folder


@pytest.fixture
def card(run, tmp_path):
    """`card(*options)`: the text of the card of an export with its errors."""

    def write(*options):
        paths = map(str, sorted((run / f"posteriors/val/{MODEL}").iterdir()))
        words = ["--posteriors", *paths, "--classes", str(run / "classes.parquet"), *options]
        folder = exported(run / "w.safetensors", tmp_path / "D", *words)
        return (folder / "README.md").read_text(encoding="utf-8")

    return write


def errors_of(run, parts):
    """Wrong answers at 1 and at 5 of the mean of posteriors, by pandas."""
    frames = [
        pd.read_parquet(run / f"posteriors/val/{MODEL}/{method}_Q{Q}.parquet").set_index("id")
        for method, Q in parts
    ]
    mean = sum(np.stack(frame["posterior"]).astype(float) for frame in frames) / len(frames)
    labels = frames[0]["label"].to_numpy()
    ranks = pd.DataFrame(mean).rank(axis=1, ascending=False, method="first").to_numpy()
    rank = ranks[np.arange(len(labels)), labels]
    return int((rank > 1).sum()), int((rank > 5).sum())


def pretrained_cfg(folder):
    return json.loads((folder / "config.json").read_text())["pretrained_cfg"]


def table_rows(text, section):
    body = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_errors_and_intervals_are_those_of_the_posteriors(run, card):
    rows = {(row[0], row[1]): row[2:] for row in table_rows(card(), "Measured errors")}
    words = {"dense": "dense", "multicrop": "multi-crop"}
    parts = {(words[method], str(Q)): [(method, Q)] for method, Q in SINGLE}
    for name, methods in (
        ("dense", ["dense"]), ("multi-crop", ["multicrop"]),
        ("multi-crop & dense", ["dense", "multicrop"]),
    ):  # fmt: skip
        parts[name, "256, 384, 512"] = [(m, Q) for m in methods for Q in (256, 384, 512)]
    assert rows.keys() == parts.keys()
    for key, (images, top1, paper1, top5, paper5) in rows.items():
        assert images == f"{IMAGES} validation"
        for text, wrong in zip((top1, top5), errors_of(run, parts[key]), strict=True):
            low, high = proportion_confint(wrong, IMAGES, method="wilson")
            assert text == f"{100 * wrong / IMAGES:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        assert (paper1, paper5) == PAPER.get(key, ("–", "–"))


def test_rows_of_a_table_of_one_s_own_are_told_with_their_references(run, card, tmp_path):
    """Those of this model alone; the scales of each method, where they differ."""
    own = [{"model": MODEL, "method": "dense", "Q": [256, 384]}]
    own += [{"model": MODEL, "method": "multicrop", "Q": [512]}]
    rows = [
        {"name": "own", "labels": ["own"], "evaluations": own, "reference": {"top5_val": 12.3}},
        {"name": "two", "labels": ["two"], "evaluations": [*own, {**own[0], "model": "E_S256"}]},
    ]
    mine = {"title": "Mine", "columns": ["net"], "metrics": ["top5_val"], "rows": rows}
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump({"mine": mine}))
    text = card("--tables", str(tmp_path / "tables.yaml"))
    *single, last = table_rows(text, "Measured errors")
    assert len(single) == len(SINGLE)
    wrong, _ = errors_of(run, [("dense", 256), ("dense", 384), ("multicrop", 512)])
    assert last[:2] == ["multi-crop & dense", "512; 256, 384"]
    assert last[3].startswith(f"{100 * wrong / IMAGES:.1f} [")
    assert (last[4], last[6]) == ("–", "12.3")


def test_hugging_face_reads_the_errors(run, card, tmp_path):
    card("--license", "cc-by-4.0")
    found = huggingface_hub.ModelCard.load(tmp_path / "D/README.md").data
    assert found.license == "cc-by-4.0"
    assert found.pipeline_tag == "image-classification"
    errors = {result.metric_name: result for result in found.eval_results}
    assert len(errors) == 2 * (len(SINGLE) + 3)
    one = errors["top-1 error in %, dense, Q = 384"]
    wrong, _ = errors_of(run, [("dense", 384)])
    assert one.metric_value == pytest.approx(100 * wrong / IMAGES, abs=1e-4)
    assert (one.dataset_split, one.metric_type) == ("validation", "error_rate")
    assert pretrained_cfg(tmp_path / "D")["license"] == "cc-by-4.0"


def test_the_card_tells_data_training_and_provenance(run, card, tmp_path):
    text = card("--source", "miniature", "--train-images", "4000")
    for told in (
        "Images that the pipeline drew, not photographs: 4,000 training images. 7 classes, named",
        "| S, the smallest side of a training image in the paper's units | jittered in [256; 512]",
        "| iterations | 370,000 |", "| seed | 0 |", "| hardware | a card |",
        r"resize\_filter: bilinear",
        "Not stated: the licence of weights is for those who trained them to choose.",
        f"| SHA-256 of the run's own weights | `{sha256(run / 'w.safetensors')}` |",
        f"| SHA-256 of `model.safetensors` | `{sha256(tmp_path / 'D/model.safetensors')}` |",
        "license: unknown\n", "Net D, from a run",
    ):  # fmt: skip
        assert told in text
    labels = json.loads((tmp_path / "D/config.json").read_text())
    assert labels["label_names"][3] == "n00000003"
    assert labels["label_descriptions"]["n00000003"] == "thing 3, object 3"
    assert not re.search(str(tmp_path), text)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "Which data set the run had is not stated. 7 classes, named"),
        (["--source", "folder"], "Images in folders, one a class. 7 classes"),
        (
            ["--source", "kaggle", "--val-images", "50000", "--subset", "drawn with seed 3"],
            "distributes it: 50,000 validation images. A subset of its classes, drawn with seed 3.",
        ),
    ],
)
def test_the_card_tells_which_data(data, told, card):
    text = card(*data)
    assert told in text
    assert "non-commercial" not in text


def test_weights_of_all_of_ilsvrc_say_so(tmp_path):
    """A net of 1000 classes; the terms of ILSVRC's images are told with a licence not stated."""
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"], classes=1000)
    data = ["--source", "archives", "--train-images", "1281167"]
    folder = exported(weights, tmp_path / "A", *data)
    text = (folder / "README.md").read_text()
    assert "ILSVRC's images are given out for non-commercial research and education only" in text
    assert huggingface_hub.ModelCard.load(folder / "README.md").data.datasets == ["imagenet-1k"]
    assert "1,281,167 training images" in text


def test_imported_weights_say_where_they_are_from(tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"], imported=IMPORTED, iterations=None, choices={})
    folder = exported(weights, tmp_path / "A")
    text = (folder / "README.md").read_text()
    assert (
        "Imported from `VGG.caffemodel`, whose format is caffe and whose SHA-256 is `abab" in text
    )
    assert "## Training" not in text
    assert "That of the file from which these were imported holds for them too." in text
    assert pretrained_cfg(folder)["interpolation"] == "bicubic"


def test_weights_of_another_run_bring_their_training(tmp_path):
    weights = tmp_path / "w.safetensors"
    own = {"file": "D_S384.safetensors", "format": "own", "sha256": "cd" * 32}
    saved_net(weights, LAYERS["A"], imported=own, parent="A_S256", inherit="all")
    text = (exported(weights, tmp_path / "A") / "README.md").read_text()
    assert "Imported from `D_S384.safetensors`, whose format is own" in text
    assert "their source tells" not in text
    assert "| iterations | 370,000 |" in text
    assert r"| starts from | A\_S256, all layers |" in text


def test_classes_that_are_not_the_net_s_stay_without_names(run, tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"], classes=CLASSES + 1)
    folder = exported(weights, tmp_path / "A", "--classes", str(run / "classes.parquet"))
    assert "label_names" not in json.loads((folder / "config.json").read_text())
    assert "8 classes; their names are not stated" in (folder / "README.md").read_text()


@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
def test_a_net_of_boxes_tells_what_its_numbers_are(head, run, tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"], head=head, choices={"box_units": "crop-pixels"})
    folder = exported(weights, tmp_path / "A", "--classes", str(run / "classes.parquet"))
    text = (folder / "README.md").read_text()
    whose = {"box-scr": "the object, whatever its class", "box-pcr": "each class"}[head]
    assert f"centre x, centre y, width and height in pixels of the crop, for {whose}." in text
    assert "label_names" not in json.loads((folder / "config.json").read_text())
    assert huggingface_hub.ModelCard.load(folder / "README.md").data.get("pipeline_tag") is None


def refused(*words):
    with pytest.raises(InputError) as error:
        export_weights.main([*map(str, words)])
    return str(error.value)


def test_posteriors_that_are_not_these_weights_are_refused(run, tmp_path):
    own = run / f"posteriors/val/{MODEL}/dense_Q256.parquet"
    other = tmp_path / "other.safetensors"
    saved_net(other, LAYERS["A"])
    output = tmp_path / "A"
    told = refused("--weights", other, "--posteriors", own, "--output", output)
    assert told == f"{own}: posteriors of other weights; evaluate these weights first"
    moved = tmp_path / "p.parquet"
    moved.write_bytes(own.read_bytes())
    told = refused("--weights", run / "w.safetensors", "--posteriors", moved, "--output", output)
    assert told.startswith(f"{moved}: its split is not known; give a file in posteriors/<split>/")
    place = tmp_path / f"posteriors/val/{MODEL}/dense_Q384.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(own.read_bytes())
    told = refused("--weights", run / "w.safetensors", "--posteriors", place, "--output", output)
    assert "dense_Q256" in told
    assert not output.exists()
