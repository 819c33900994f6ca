"""Which cells a run evaluates in float32 as well, and what its pages say of them."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.helpers.clones import clone, planned, snakemake
from tests.helpers.pages import Page

FULL = ("--configfile", "config/ilsvrc2012.yaml")


def test_a_full_run_checks_one_cell_a_table_and_a_run_in_float32_none(tmp_path):
    folder = clone(tmp_path / "clone")
    # Tables 3 to 6: A; B at three Q; D at three; and D and E at three, half of which are D's.
    assert planned(folder, "all", *FULL)["evaluate_choice"] == 1 + 3 + 3 + 3
    (folder / "float32.yaml").write_text("evaluate: {precision: float32}\n")
    assert "evaluate_choice" not in planned(folder, "all", *FULL, "float32.yaml")
    assert "evaluate_choice" not in planned(folder, "all")


OWN = {
    "mine": {
        "title": "Mine",
        "columns": ["ConvNet", "Q"],
        "metrics": ["top1_val", "top5_val"],
        "rows": [
            {
                "name": "one",
                "labels": ["one", "384"],
                "evaluations": [{"model": "A_S256", "method": "dense", "Q": [384]}],
            }
        ],
    }
}


def test_the_page_shows_both_numbers_and_posteriors_say_their_precision(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "tree", symlinks=True)
    (folder / "mine.yaml").write_text(yaml.safe_dump(OWN))
    changes = {"tables": ["mine.yaml"], "evaluate": {"precision": "bfloat16"}, "pictures": None}
    (folder / "changes.yaml").write_text(yaml.safe_dump(changes | {"claims": "claims.yaml"}))
    (folder / "claims.yaml").write_text("[]\n")
    words = ("--configfile", "changes.yaml", "--cores", "2")
    snakemake(folder, "reports/mine.html", *words)
    results = folder / "results/tiny"
    ours, exact = (
        results / f"{place}posteriors/val/A_S256/dense_Q384.parquet"
        for place in ("", "choices/precision=float32/")
    )
    precisions = [json.loads(pq.read_metadata(p).metadata[b"precision"]) for p in (ours, exact)]
    assert precisions == ["bfloat16", "float32"]
    one, two = (pq.read_table(path) for path in (ours, exact))
    assert one["id"].equals(two["id"])
    assert not one["posterior"].equals(two["posterior"])
    tops = [np.stack(t["posterior"].to_numpy()).argmax(1) for t in (one, two)]
    wrong = 100 * (tops[1] != two["label"].to_numpy()).mean()
    check = json.loads((results / "tables/mine.json").read_text())["check"]
    assert check["changed"] == (tops[0] != tops[1]).sum()
    assert check["top1_error_float32"] == pytest.approx(wrong)
    for text in (
        Page((folder / "reports/mine.html").read_text()).text,
        (results / "tables/mine.md").read_text(),
    ):
        assert "Check: one · 384, once more in float32, errs on" in text
        assert f"{wrong:.2f}% top-1" in text
