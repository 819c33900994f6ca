"""evaluations.csv is what the posteriors say."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from tests.helpers.clones import ROOT
from tests.helpers.posteriors import METADATA
from workflow_scripts import list_evaluations, tabulate
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.results.single_evaluations import read_evaluations, weight_layers
from workflow_scripts.vgg.settings.experiments import all_evaluations

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())
CLAIMS = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
PAPER = yaml.safe_load((ROOT / "config/paper_tables.yaml").read_text())
DEFINITIONS = yaml.safe_load((ROOT / "config/models.yaml").read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Random posteriors of the validation set for all evaluations, of seeds 0 and 7."""
    folder = tmp_path_factory.mktemp("run") / "results/x"
    labels = np.random.default_rng(99).integers(10, size=150)
    ids = [f"ILSVRC2012_val_{n:08d}" for n in range(len(labels))]
    needed = [own for _, own in all_evaluations(TABLES, CLAIMS, None, ["val"], [])]
    for number, own in enumerate(needed):
        for seed, place in ((0, folder), (7, folder / "seed7")):
            if seed and own.model == "E_S256":  # imported, see below
                continue
            rng = np.random.default_rng(100 * number + seed)
            values = rng.dirichlet(np.full(10, 0.3), len(labels)).astype(np.float32)
            path = place / f"posteriors/val/{own.model}/{own.method}_Q{own.Q}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_posteriors(path, ids, labels, values, METADATA)
    return folder


def listed(results, *more):
    output = results / "evaluations.csv"
    words = ["--results", str(results), "--output", str(output), *more]
    for option, name in (
        ("--tables", "tables"),
        ("--claims", "claims"),
        ("--models-file", "models"),
        ("--paper", "paper_tables"),
    ):
        words += [option, str(ROOT / f"config/{name}.yaml")]
    list_evaluations.main(words)
    return pd.read_csv(output, dtype={"S": str})


def error(path, k):
    """Share of images in percent whose class is not among the k highest posteriors; no ties."""
    frame = pd.read_parquet(path)
    values = np.stack(frame["posterior"])
    highest = np.argsort(-values, axis=1)[:, :k]
    return 100 * (highest != frame["label"].to_numpy()[:, None]).all(1).mean(), len(frame)


def test_every_evaluation_of_tables_and_claims_is_listed_once(results):
    lines = listed(results)
    rows = [row for table in TABLES.values() for row in table.get("rows", [])]
    entries = [entry for row in rows for entry in row.get("evaluations", [])]
    for claim in CLAIMS:
        for comparison in claim["comparisons"]:
            for side in (comparison["candidate"], comparison["baseline"]):
                entries += side if isinstance(side, list) else []
    needed = {(e["model"], e["method"], Q) for e in entries for Q in e["Q"]}
    found = list(zip(lines["model"], lines["method"], lines["Q"], strict=True))
    assert len(found) == len(set(found))
    assert set(found) == needed
    order = list(DEFINITIONS["models"])
    methods = ["dense", "multicrop", "center"]
    assert found == sorted(found, key=lambda e: (order.index(e[0]), methods.index(e[1]), e[2]))


def test_listed_errors_are_those_of_the_posteriors_beside_the_papers(results):
    lines = listed(results)
    printed = {}
    for net, S, Q, top1, top5 in PAPER["table3"]["rows"]:
        S = "-".join(map(str, S)) if isinstance(S, list) else str(S)
        printed[f"{net}_S{S}", "dense", Q] = (net, S, top1, top5)
    for line in lines.to_dict("records"):
        path = results / f"posteriors/val/{line['model']}/{line['method']}_Q{line['Q']}.parquet"
        own = printed.get((line["model"], line["method"], line["Q"]))
        for metric, k, place in (("top1", 1, 2), ("top5", 5, 3)):
            expected, images = error(path, k)
            assert line[metric] == pytest.approx(expected)
            assert (line["images"], line["seeds"]) == (images, 1)
            interval = stats.binomtest(round(expected * images / 100), images).proportion_ci(
                method="wilson"
            )
            assert line[f"{metric}_low"] == pytest.approx(100 * interval.low)
            assert line[f"{metric}_high"] == pytest.approx(100 * interval.high)
            assert np.isnan(line[f"{metric}_seed_sd"])
            paper = line[f"{metric}_paper"]
            assert np.isnan(paper) if own is None else paper == own[place]
        if own:
            assert (line["net"], line["S"]) == own[:2]
    assert lines["top1_paper"].notna().sum() == len(PAPER["table3"]["rows"])
    # The figures read the same.
    read = read_evaluations(results / "evaluations.csv")
    assert [(e.model, e.method, e.Q) for e in read] == list(
        lines[["model", "method", "Q"]].itertuples(index=False, name=None)
    )
    assert [e.top5.error for e in read] == lines["top5"].tolist()


def test_several_seeds_are_averaged_and_imported_models_have_none(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    seeds = ["--seeds", "0", "7", "--imported", "E_S256"]
    lines = listed(results, *seeds).set_index(["model", "method", "Q"])
    for (model, method, Q), line in lines.iterrows():
        folders = [results] if model == "E_S256" else [results, results / "seed7"]
        name = f"posteriors/val/{model}/{method}_Q{Q}.parquet"
        for metric, k in (("top1", 1), ("top5", 5)):
            errors = [error(folder / name, k)[0] for folder in folders]
            assert line[metric] == pytest.approx(np.mean(errors))
            deviation = pd.Series(errors).std()
            assert line[f"{metric}_seed_sd"] == pytest.approx(deviation, nan_ok=True)
            assert line[f"{metric}_low"] < line[metric] < line[f"{metric}_high"]
        assert line["seeds"] == len(folders)
    # The same numbers as in the table, whose interval it shares.
    output = str(results / "tables/table3")
    tabulate.main(["--table", "table3", "--results", str(results), *seeds, "--output", output])
    with open(f"{output}.json") as file:
        rows = json.load(file)["rows"]
    for row, entry in zip(rows, TABLES["table3"]["rows"], strict=True):
        (e,) = entry["evaluations"]
        line = lines.loc[e["model"], e["method"], e["Q"][0]]
        for metric in ("top1", "top5"):
            cell = row["metrics"][f"{metric}_val"]
            for key, column in (("measured", ""), ("low", "_low"), ("high", "_high")):
                assert line[f"{metric}{column}"] == pytest.approx(cell[key], rel=1e-12)


def test_only_the_models_of_the_run_are_listed(results):
    lines = listed(results, "--models", "D_S256-512")
    assert set(lines["model"]) == {"D_S256-512"}
    assert sorted(zip(lines["method"], lines["Q"], strict=True)) == [
        (method, Q) for method in ("dense", "multicrop") for Q in (256, 384, 512)
    ]
    assert listed(results, "--models").empty


def test_seeds_of_other_images_are_refused(results, tmp_path):
    for folder, images in ((tmp_path, 20), (tmp_path / "seed1", 21)):
        path = folder / "posteriors/val/A_S256/dense_Q256.parquet"
        path.parent.mkdir(parents=True)
        values = np.full((images, 10), 0.1)
        write_posteriors(
            path, [f"{n:03}" for n in range(images)], np.zeros(images), values, METADATA
        )
    with pytest.raises(InputError, match=r"seed1.*not about the same images"):
        listed(tmp_path, "--models", "A_S256", "--seeds", "0", "1")


@pytest.mark.parametrize("net", DEFINITIONS["convnets"])
def test_weight_layers_are_counted_as_in_table_1(net):
    layers = DEFINITIONS["convnets"][net]
    counted = weight_layers(layers)
    assert counted == PAPER["table1"]["weight_layers"].get(net, counted)
    small = Architecture(layers, classes=2, crop=32, fc=4, width_divisor=64)
    assert counted == ConvNet(small).weight_layers


def test_the_command_loads_no_torch():
    code = (
        "import sys; from workflow_scripts import list_evaluations;"
        "sys.exit('torch' if 'torch' in sys.modules else None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
