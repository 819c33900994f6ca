"""A seed that is added later."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.helpers.clones import TINY, configured_clone, snakemake
from tests.helpers.measured_features import class_recalls
from workflow_scripts.vgg.nets.weights import read_metadata

MINE = """
mine:
  title: A and B
  columns: [ConvNet]
  metrics: [top1_val]
  rows:
    - {name: A, labels: [A], evaluations: [{model: A_S256, method: center, Q: [256]}]}
    - {name: B, labels: [B], evaluations: [{model: B_S256, method: center, Q: [256]}]}
described:
  title: Features of A
  columns: [ConvNet]
  metrics: [recall_caltech101]
  rows:
    - {name: A, labels: [A], descriptors: {models: [A_S256]}}
"""
DEEPER = """
- number: 1
  section: "4.1"
  claim: B has a lower error than A
  comparisons:
    - {candidate: mine/B, baseline: mine/A, expect: lower_error}
"""


def test_a_seed_added_later_is_trained_from_its_own_parents_and_enters_tables_and_claims(tmp_path):
    own = {"seeds": [3], "tables": ["mine.yaml"], "claims": "claims.yaml", "pictures": None}
    others = {"data_sets": dict.fromkeys(("voc2007", "voc2012_action"))}
    own |= {"server_answers": None, "transfer": others}
    folder = configured_clone(tmp_path / "seeds", TINY, own)
    (folder / "mine.yaml").write_text(MINE)
    (folder / "claims.yaml").write_text(DEEPER)
    targets = ["reports/mine.html", "reports/described.html", "claims"]
    snakemake(folder, *targets, "--cores", "2")
    results = folder / "results/tiny"
    first = {p: p.stat().st_mtime_ns for p in results.glob("[wp]*/**/*[ts]") if p.is_file()}
    assert len(first) == 4  # two nets, and their posteriors
    features = [*results.glob("descriptors/**/*.parquet"), *results.glob("classifiers/**/*.*")]
    assert len(features) == 3  # descriptors, scores and what is said of these
    first |= {p: p.stat().st_mtime_ns for p in features}
    more = tmp_path / "more.yaml"
    more.write_text("seeds: [3, 1]")
    snakemake(folder, *targets, "--cores", "2", "--configfile", str(more))
    assert first == {p: p.stat().st_mtime_ns for p in first}, "the first seed's stay as they are"

    weights = {
        (model, seed): results / f"{folder_of}weights/{model}.safetensors"
        for model in ("A_S256", "B_S256")
        for seed, folder_of in ((3, ""), (1, "seed1/"))
    }
    for seed in (3, 1):
        metadata = read_metadata(weights["B_S256", seed])
        parent = hashlib.sha256(weights["A_S256", seed].read_bytes()).hexdigest()
        assert (metadata["seed"], metadata["parent_sha256"]) == (seed, parent)
    conv = [load_file(weights["A_S256", seed])["features.0.weight"] for seed in (3, 1)]
    assert not np.allclose(*conv)

    errors = []
    for model in ("A_S256", "B_S256"):
        for seed in ("", "seed1/"):
            path = results / f"{seed}posteriors/val/{model}/center_Q256.parquet"
            frame = pd.read_parquet(path)
            wrong = np.stack(frame["posterior"]).argmax(1) != frame["label"]
            errors.append(100 * wrong.mean())
    lines = pd.read_csv(results / "tables/mine.csv")
    assert lines["top1_val"].tolist() == pytest.approx([np.mean(errors[:2]), np.mean(errors[2:])])
    assert lines["top1_val_seed_sd"].tolist() == pytest.approx(
        [np.std(errors[:2], ddof=1), np.std(errors[2:], ddof=1)]
    )
    (line,) = pd.read_csv(results / "tables/described.csv").to_dict("records")
    examples = results / "examples/caltech101.parquet"
    recalls = [
        class_recalls(results / f"{seed}classifiers/caltech101/A.parquet", examples)
        for seed in ("", "seed1/")
    ]
    assert recalls[0] != recalls[1]
    means = [np.mean(of_splits) for of_splits in recalls]
    assert line["recall_caltech101"] == pytest.approx(np.mean(means))
    assert line["recall_caltech101_seed_sd"] == pytest.approx(np.std(means, ddof=1))
    assert line["recall_caltech101_split_sd"] == pytest.approx(np.std(recalls[0], ddof=1))
    (claim,) = json.loads((results / "claims.json").read_text())["claims"]
    (comparison,) = claim["comparisons"]
    assert comparison["seeds"] == 2
    assert comparison["per_seed"] == pytest.approx([errors[2] - errors[0], errors[3] - errors[1]])
