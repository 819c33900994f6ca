"""config/drawn.yaml: what it plans, and a thousandth of it on the CPU.

The thousandth is of the training and validation images and of the iterations, for one of the three
seeds, and as far as Table 5; the nets are of their full size.
"""

import json

import yaml

from tests.helpers.clones import clone, planned, snakemake

CONFIGURED = "--configfile", "config/config.yaml", "config/drawn.yaml"

THOUSANDTH = {
    "experiment": "thousandth",
    "seeds": [0],
    "data": {
        "directory": "resources/thousandth",
        "images": {"train": 60, "val": 10, "test": 10},
        "shards": {"train": 2, "val": 1, "test": 1},
    },
    "train": {
        "batch_size": 4,
        "stages": {
            "scratch": {"iterations": 6},
            "transferred": {"iterations": 6},
            "fine_tuned": {"iterations": 3},
            "box": {"iterations": 3},
        },
        "validation_interval": 3,
    },
}


def test_the_drawn_run_is_the_whole_pipeline_three_times(tmp_path):
    jobs = planned(clone(tmp_path / "clone"), "all", *CONFIGURED)
    assert jobs["train_convnet"] == 3 * 18
    assert jobs["evaluate_convnet"] == 3 * 76
    assert jobs["evaluate_choice"] == 10, "evaluated in less than float32, and checked"


def test_a_thousandth_of_the_drawn_run(tmp_path):
    folder = clone(tmp_path / "clone")
    (folder / "thousandth.yaml").write_text(yaml.safe_dump(THOUSANDTH))
    snakemake(folder, "reports/table5.html", "--cores", "2", *CONFIGURED, "thousandth.yaml")
    table = json.loads((folder / "results/thousandth/tables/table5.json").read_text())
    assert [row["metrics"]["top1_val"]["images"] for row in table["rows"]] == [10] * 6
    weights = {path.stem for path in (folder / "results/thousandth/weights").glob("*.safetensors")}
    fine_tuned = {f"{net}_S{s}" for net in "DE" for s in ("256", "384", "256-512")}
    assert weights == {"A_S256"} | fine_tuned
