"""What a run leaves of the features of other data sets (appendix B), read without its code."""

import hashlib
import io
import json
import shutil
import statistics
import tarfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from tests.helpers.clones import ROOT, TINY, clone, planned, snakemake
from tests.helpers.descriptors_by_hand import assert_close, descriptor, rescaled
from tests.helpers.measured_features import (
    average_precision,
    class_recalls,
    mean_average_precision,
    told_of,
)
from workflow_scripts.vgg.core.files import sha256

SETS = {name: entry for name, entry in TINY["transfer"]["data_sets"].items() if entry}
NETS = ("D_S256-512", "E_S256-512")
OF_IMAGES = {"D", "E", "D_E", "D_at_256", "D_at_256_random"}
OF_IMAGES |= {f"{pooling}_of_three" for pooling in ("mean", "stack", "max")}
OF_PERSONS = {"D_E_image", "D_E_image_box"}
# The rows that the run has classifiers of
ROWS = {"voc2007": OF_IMAGES, "caltech101": OF_IMAGES, "voc2012_action": OF_PERSONS}


@pytest.fixture(scope="module")
def results(run):
    return run / "results/tiny"


def columns(path) -> dict[str, str]:
    return {field.name: str(field.type) for field in pq.read_schema(path)}


def test_each_step_leaves_its_files_for_the_data_sets_that_the_run_has(results):
    assert {path.stem for path in (results / "examples").glob("*.parquet")} == SETS.keys()
    assert {path.stem for path in (results / "examples").glob("*.json")} == SETS.keys()
    assert [path.name for path in (results / "splits").iterdir()] == ["caltech101.parquet"]
    for data_set, rows in ROWS.items():
        for suffix in (".parquet", ".json"):
            made = {path.stem for path in (results / f"classifiers/{data_set}").glob(f"*{suffix}")}
            assert made == rows
    for data_set in SETS:
        described = results / f"descriptors/{data_set}"
        regions = ("image", "box") if data_set == "voc2012_action" else ("image",)
        scales = (256,) if data_set == "voc2012_action" else (256, 384, 512)
        expected = {f"{net}/{region}_Q{Q}" for net in NETS for region in regions for Q in scales}
        if data_set != "voc2012_action":
            expected.add("D_S256-512.random/image_Q256")
        made = described.rglob("*.parquet")
        assert {str(p.relative_to(described).with_suffix("")) for p in made} == expected
        assert list((results / f"shards/{data_set}").glob("*.arrow"))
    assert not list(results.rglob("*.images")), "unpacked images stay"


def test_the_files_have_the_columns_of_their_kind_and_a_line_an_example(results):
    width = TINY["convnet"]["fc"]
    for data_set in SETS:
        examples = results / f"examples/{data_set}.parquet"
        classes = len(told_of(examples)["classes"])
        boxes = dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), "double")
        assert columns(examples) == {
            "id": "string", "image": "string", "part": "string", "known": "bool",
            "labels": f"fixed_size_list<element: int8>[{classes}]",
        } | (boxes if data_set == "voc2012_action" else {})  # fmt: skip
        known = pd.read_parquet(examples)
        for path in (results / f"descriptors/{data_set}").rglob("*.parquet"):
            assert columns(path) == {
                "id": "string", "descriptor": f"fixed_size_list<element: float>[{width}]",
            }  # fmt: skip
            ids = pd.read_parquet(path)["id"]
            described = known["id" if path.stem.startswith("box") else "image"]
            assert sorted(ids) == sorted(set(described))
        for path in (results / f"classifiers/{data_set}").glob("*.parquet"):
            assert columns(path) == {
                "id": "string", "part": "string", "split": "int32",
                "scores": f"fixed_size_list<element: float>[{classes}]",
            }  # fmt: skip
            report = json.loads(path.with_suffix(".json").read_text())
            assert report["chosen"] == told_of(path)["chosen"]
    splits = pd.read_parquet(results / "splits/caltech101.parquet")
    assert list(splits) == ["id", "split_0", "split_1", "split_2"]
    of_class = splits["id"].str.split("/").str[0]
    for split in ("split_0", "split_1", "split_2"):
        assert set(splits[split].unique()) == {"learn", "validate", "test"}
        taken = splits[split].isin(["learn", "validate"])
        assert set(taken.groupby(of_class).sum()) == {12}
        tests = (splits[split] == "test").groupby(of_class).sum()
        assert 0 < tests.min() < tests.max() == 10
        scored = pd.read_parquet(results / "classifiers/caltech101/D.parquet")
        own = scored.loc[scored["split"] == int(split[-1]), "id"]
        assert sorted(own) == sorted(splits.loc[splits[split] == "test", "id"])


# From the archives to descriptors


def image_of(archive, name) -> Image.Image:
    """An image of a VOC archive."""
    with tarfile.open(archive) as tar:
        (member,) = (m for m in tar if m.name.endswith(f"JPEGImages/{name}.jpg"))
        return Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")


def by_hand(results, model, image, Q) -> np.ndarray:
    """The descriptor of an image, by loops over windows."""
    from workflow_scripts.vgg.nets.weights import load_weights

    net, metadata = load_weights(results / f"weights/{model}.safetensors")
    layers = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"][model[0]]
    pixels = np.array(rescaled(image, round(Q * 96 / 224)))
    x = torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None]
    x = x - torch.tensor(metadata["mean_rgb"]).view(1, 3, 1, 1)
    with torch.inference_mode():
        return descriptor(net.state_dict(), layers, x, 96 // 32)


@pytest.mark.parametrize(("model", "Q"), [("D_S256-512", 384), ("E_S256-512", 256)])
def test_images_are_described_as_they_lie_in_the_archive(run, results, model, Q):
    examples = pd.read_parquet(results / "examples/voc2007.parquet").set_index("id")
    found = pd.read_parquet(results / f"descriptors/voc2007/{model}/image_Q{Q}.parquet")
    found = found.set_index("id")["descriptor"]
    archives = {"test": "VOCtest_06-Nov-2007.tar"}
    chosen = found.index[[0, len(found) // 2, -1]]
    expected = []
    for name in chosen:
        archive = archives.get(examples.loc[name, "part"], "VOCtrainval_06-Nov-2007.tar")
        image = image_of(run / "resources/other_sets" / archive, name)
        expected.append(by_hand(results, model, image, Q))
    assert_close(np.stack(found[chosen]), np.stack(expected))


def test_persons_are_described_by_their_boxes(run, results):
    persons = pd.read_parquet(results / "examples/voc2012_action.parquet").set_index("id")
    path = results / "descriptors/voc2012_action/D_S256-512/box_Q256.parquet"
    found = pd.read_parquet(path).set_index("id")["descriptor"]
    chosen = persons.index[persons["part"] != "test"][:3]
    assert persons.loc[chosen, "image"].nunique() == 2
    expected = []
    for name in chosen:
        own = persons.loc[name]
        archive = run / "resources/other_sets/VOCtrainval_11-May-2012.tar"
        box = tuple(int(own[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
        image = image_of(archive, own["image"]).crop(box)
        expected.append(by_hand(results, "D_S256-512", image, 256))
    assert_close(np.stack(found[chosen]), np.stack(expected))


# From scores to tables and to the server


@pytest.mark.parametrize("name", ["table11", "table12", "feature_scales", "random_features"])
def test_cells_are_the_measures_of_their_scores(results, name):
    table, measured = json.loads((results / f"tables/{name}.json").read_text()), 0
    for row in table["rows"]:
        for metric, cell in row["metrics"].items():
            kind, data_set = metric.split("_", 1)
            if row["literature"] or data_set not in SETS or metric == "map_voc2012_action":
                assert cell["measured"] is None
                continue
            scores = results / f"classifiers/{data_set}/{row['name']}.parquet"
            examples = results / f"examples/{data_set}.parquet"
            if kind == "recall":
                recalls = class_recalls(scores, examples)
                assert len(recalls) == 3
                expected = statistics.fmean(recalls)
                assert cell["split_sd"] == pytest.approx(statistics.stdev(recalls))
            else:
                of = ("test", "eleven-point") if kind == "map" else ("val", "area")
                expected = mean_average_precision(scores, examples, *of)
            assert cell["measured"] == pytest.approx(expected)
            assert cell["low"] <= cell["high"]
            measured += 1
    count = {"table11": 3 * 2, "table12": 2, "feature_scales": 3 * 2, "random_features": 2 * 2}
    assert measured == count[name]


def test_the_box_tells_persons_of_one_image_apart(results):
    table = json.loads((results / "tables/table12.json").read_text())
    image, both = (row["metrics"]["mapval_voc2012_action"]["measured"] for row in table["rows"][:2])
    assert both > image + 20


def read_server_file(path) -> dict[str, dict[str, float]]:
    """The score of each person, "<image> <number>", by action."""
    found = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            assert folder == "results/VOC2012/Action"
            action = name.removeprefix("comp10_action_test_").removesuffix(".txt")
            assert name == f"comp10_action_test_{action}.txt"
            lines = [
                line.split(" ") for line in archive.extractfile(member).read().decode().splitlines()
            ]
            found[action] = {f"{image} {number}": float(score) for image, number, score in lines}
            assert len(found[action]) == len(lines), "no person twice"
    return found


def test_the_servers_files_hold_what_its_labels_are_asked_for(run, results):
    withheld = json.loads((run / "resources/other_sets/withheld.json").read_text())["action"]
    measured = {}
    for row in ("D_E_image", "D_E_image_box"):
        submission = row.replace("D_E", "actions")
        found = read_server_file(results / f"submission/{submission}_voc2012_action.tar.gz")
        assert found.keys() == withheld.keys() - {"other"}
        scores = pd.read_parquet(results / f"classifiers/voc2012_action/{row}.parquet")
        scores = scores[scores["part"] == "test"].set_index("id")["scores"]
        classes = told_of(results / f"classifiers/voc2012_action/{row}.parquet")["classes"]
        precisions = []
        for action, own in found.items():
            assert own.keys() == withheld[action].keys()
            given = np.array(
                [scores[name.replace(" ", ":")][classes.index(action)] for name in own]
            )
            np.testing.assert_allclose(list(own.values()), given, rtol=1e-5)
            labels = np.array([withheld[action][name] for name in own])
            precisions.append(average_precision(np.array([*own.values()]), labels, "area"))
        measured[row] = np.mean(precisions)
    assert measured["D_E_image_box"] > measured["D_E_image"] + 20


def test_scores_name_all_that_they_come_from(results):
    config = yaml.safe_load((results / "config.yaml").read_text())["choices"]
    path = results / "classifiers/voc2012_action/D_E_image_box.parquet"
    told = told_of(path)
    assert [source.split("tiny/")[1] for source, _ in told["descriptors"]] == [
        f"descriptors/voc2012_action/{net}/{region}_Q256.parquet"
        for net in NETS for region in ("image", "box")
    ]  # fmt: skip
    for _, said in told["descriptors"]:
        assert said["weights_sha256"] == sha256(results / f"weights/{said['model']}.safetensors")
        keys = ("feature_relu", "action_box", "pool_rounding", "resize_filter")
        assert said["choices"] == {key: config[key] for key in keys}
    keys = ("feature_l2", "svm_loss", "svm_refit", "svm_difficult")
    assert {key: told["options"][key] for key in keys} == {key: config[key] for key in keys}
    random = told_of(results / "descriptors/voc2007/D_S256-512.random/image_Q256.parquet")
    assert random["weights_sha256"] == sha256(results / "random/D_S256-512.safetensors")


# With others' weights alone


def md5(path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_weights_from_elsewhere_give_the_shortest_run_the_same_numbers(run, results, tmp_path):
    """`reports/voc2007.html` of config/released_weights.yaml, which trains no net."""
    folder = clone(tmp_path / "tree")
    voc = folder / "resources/voc"
    shutil.copytree(
        run / "resources/other_sets", voc, ignore=shutil.ignore_patterns("*2012*", "c*")
    )
    files = ("VOCtrainval_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar")
    paths = {net: results / f"weights/{net}.safetensors" for net in NETS}
    weights = {
        net: {"file": str(path), "format": "own", "md5": md5(path)} for net, path in paths.items()
    }
    sets = dict.fromkeys(TINY["transfer"]["data_sets"]) | {
        "voc2007": {
            "md5": [md5(voc / name) for name in files],
            "images": 350,
            "shards": 2,
            "Q": [256],
        }
    }
    changes = {
        "experiment": "elsewhere",
        "convnet": {"crop": 96, **TINY["convnet"]},
        "data": {"classes": 10},
        "weights": {"import": weights},
        "evaluate": {"precision": "float32"},
        "transfer": {"data_sets": sets},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(changes))
    configured = ("--configfile", "config/released_weights.yaml", "small.yaml")
    snakemake(folder, "reports/voc2007.html", "--cores", "2", *configured)
    verified = {path.name for path in (folder / "results/elsewhere/verified").iterdir()}
    assert verified == {"voc2007_0.json", "voc2007_1.json"}
    tables = [
        json.loads(path.read_text())["rows"][:3]
        for path in (
            folder / "results/elsewhere/tables/voc2007.json",
            results / "tables/table11.json",
        )
    ]
    ours, theirs = ([row["metrics"]["map_voc2007"] for row in rows] for rows in tables)
    for one, two in zip(ours, theirs, strict=True):
        assert one["measured"] == pytest.approx(two["measured"], abs=1e-6)
        assert (one["paper"], one["images"]) == (two["paper"], 150)
    page = (folder / "reports/voc2007.html").read_text()
    assert "Features of the released nets on VOC-2007" in page
    made = {path.parent.name for path in (folder / "results/elsewhere").rglob("*.safetensors")}
    assert made == {"weights"}
    assert not list((folder / "results/elsewhere").glob("history"))
    assert not (folder / "resources/ilsvrc2012").exists()


# What runs again


def again(run, tmp_path, **transfer) -> dict[str, int]:
    """Jobs of a dry-run of Tables 11 and 12 after a change of `transfer`."""
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"transfer": transfer}))
    targets = ("reports/table11.html", "reports/table12.html")
    jobs = planned(run, *targets, "--configfile", str(tmp_path / "more.yaml"))
    assert jobs.pop("record_config") == 1
    return jobs


def test_another_grid_trains_classifiers_alone(run, tmp_path):
    assert again(run, tmp_path, C=[0.5, 1, 2]) == {
        "train_classifiers": 3 + 3 + 2, "tabulate": 2, "render_table": 2,
    }  # fmt: skip


def test_a_setting_of_one_data_set_is_of_no_concern_to_others(run, tmp_path):
    jobs = again(run, tmp_path, data_sets={"caltech101": {"splits": 2}})
    assert jobs == {"draw_splits": 1, "train_classifiers": 3, "tabulate": 1, "render_table": 2}
    jobs = again(run, tmp_path, data_sets={"voc2012_action": {"Q": [256, 320]}})
    assert jobs == {
        "describe_images": 4, "train_classifiers": 2, "tabulate": 2, "render_table": 2,
    }  # fmt: skip
