"""The plan beside the workflow that it plans: its jobs, and after a run what they have cost."""

import json
import os
import re

import pandas as pd
import pytest
import yaml

from tests.helpers.clones import (
    ROOT,
    TINY,
    clone,
    configured_clone,
    snakemake,
)
from tests.helpers.pages import Page, printed_table
from workflow_scripts.vgg.report import plan_tables

COST = (ROOT / "docs/cost.md").read_text()

CONFIGURATIONS = {
    "ilsvrc2012": ("--configfile", "config/ilsvrc2012.yaml"),
    "miniature": (),
    "released_weights": ("--configfile", "config/released_weights.yaml"),
    "mixed": ("--configfile", "mixed.yaml"),
    "seeds": ("--configfile", "seeds.yaml"),
    "classifying": ("--configfile", "config/ilsvrc2012.yaml", "classifying.yaml"),
    "fewer_sets": ("--configfile", "fewer_sets.yaml"),
}
# A and D are imported, which others start from, and a net of boxes; there are no test images
MIXED = {
    "experiment": "mixed",
    "data": {"test": "absent"},
    "choices": {"validation_set": "held-out"},
    "weights": {
        "import": {
            model: {"file": f"{model}.safetensors", "format": "own"}
            for model in ("A_S256", "D_S384", "D_S256-512_fc", "D_S384_pcr")
        }
    },
}
# A net of boxes and those that name its classes are imported; others are trained with two seeds.
SEEDS = {
    "experiment": "seeds",
    "seeds": [3, 1],
    "choices": {"box_flip": "mirrored"},
    "weights": {
        "import": {
            model: {"file": f"{model}.safetensors", "format": "own"}
            for model in ("D_S256-512", "E_S256-512", "D_S384_pcr")
        }
    },
}
DATA_SETS = ("voc2007", "voc2012", "voc2012_action", "caltech101", "caltech256")
# Neither boxes nor other data sets
CLASSIFYING = {
    "experiment": "classifying",
    "data": {"archives": dict.fromkeys(("train_boxes", "val_boxes", "blacklist"))},
    "transfer": {"data_sets": dict.fromkeys(DATA_SETS)},
}
# Of the nets that describe images, one is imported; the other one is trained with two seeds.
FEWER_SETS = {
    "experiment": "fewer_sets",
    "seeds": [0, 4],
    "weights": {"import": {"E_S256-512": {"file": "E_S256-512.safetensors", "format": "own"}}},
    "transfer": {"data_sets": dict.fromkeys(("voc2012_action", "caltech256"))},
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A clone in which nothing was run but plans."""
    folder = clone(tmp_path_factory.mktemp("bare"))
    for changes in (MIXED, SEEDS, CLASSIFYING, FEWER_SETS):
        (folder / f"{changes['experiment']}.yaml").write_text(yaml.safe_dump(changes))
    return folder


@pytest.fixture(scope="module")
def plans(bare):
    """`plans(name)`: a configuration's plan.json, what `snakemake plan` printed, and its page."""
    made = {}

    def plan_of(name):
        if name not in made:
            printed = snakemake(bare, "plan", *CONFIGURATIONS[name])
            content = json.loads((bare / f"results/{name}/plan.json").read_text())
            page = bare / f"results/{name}/plan.html"
            assert str(page) in printed
            made[name] = content, printed, page.read_text()
        return made[name]

    return plan_of


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_plan_has_the_jobs_that_the_workflow_would_run(bare, plans, name):
    jobs = plans(name)[0]["jobs"]
    of_rule = {rule: [j for j in jobs if j["rule"] == rule] for rule in plan_tables.KINDS}
    printed = snakemake(bare, "-n", "all", *CONFIGURATIONS[name])
    logs = re.findall(rf"^ +log: logs/{name}/(\w+)(?:/(.*))?\.log$", printed, flags=re.M)
    for rule, own in of_rule.items():
        made = [log for of, log in logs if of == rule]
        assert sum(job["jobs"] for job in own) == len(made), rule
        if rule == "pack_shard":
            made = [re.sub(r"_\d{5}$", "", log) for log in made]
        assert {job["name"] for job in own} == set(made), rule


def test_the_plan_of_the_full_run_needs_no_data_and_lists_all_that_is_trained_and_tested(
    bare, plans
):
    plan, printed, page = plans("ilsvrc2012")
    assert not (bare / "resources").exists()
    # Data sets whose number of images the configuration leaves open
    unknown = {job["split"] for job in plan["jobs"] if job["hours"] is None}
    assert unknown == {"voc2012_action"}
    for title, rows in (
        ("Trainings", 18),
        ("Evaluations", 76),
        ("Evaluations once more in float32", 10),
        ("Boxes", 9),
        ("Guesses", 13),
        ("True boxes", 2),
        ("Descriptors", 56),
        ("Classifiers", 34),
        ("Examples", 5),
        ("Packing", 10),
    ):
        heading, *lines, last = printed_table(printed, title)
        assert len(lines) == rows, title
        assert re.search(r"(device|core) time", heading)
        known = [line for line in lines if not unknown & set(line.split())]
        assert all(re.search(r"\d (h|min|s)\b", line) for line in [*known, last])
    assert "24 jobs work on an unknown number of images" in " ".join(printed.split())
    assert {job["hours"] for job in plan["jobs"]} - {None} <= Page(page).values
    lines = pd.read_csv(bare / "results/ilsvrc2012/plan.csv")
    counts = lines["rule"].value_counts()
    assert (counts[["train_convnet", "evaluate_convnet", "evaluate_boxes"]] == [18, 76, 9]).all()
    hours = [job["hours"] for job in plan["jobs"] if job["hours"] is not None]
    assert lines["hours"].sum() == pytest.approx(sum(hours))


def test_the_readme_states_the_hours_of_the_plan(plans):
    jobs = pd.DataFrame(plans("ilsvrc2012")[0]["jobs"])
    trainings = jobs[jobs["rule"] == "train_convnet"]
    of_boxes = trainings["model"].str.contains("_scr|_pcr")
    learning = (trainings["hours"] - trainings["validation_hours"]).groupby(of_boxes)
    evaluations = jobs[jobs["rule"] == "evaluate_convnet"].groupby("split")["hours"]
    checks = jobs[jobs["rule"] == "evaluate_choice"]
    expected = {
        f"{learning.size()[False]} trainings of classifiers": learning.sum()[False],
        f"{learning.size()[True]} trainings of nets of boxes": learning.sum()[True],
        "their validations, every 5,000 iterations": trainings["validation_hours"].sum(),
        f"{evaluations.size()['val']} evaluations of the validation set": evaluations.sum()["val"],
        f"{evaluations.size()['test']} evaluations of the test set": evaluations.sum()["test"],
        f"{len(checks)} evaluations once more, to check": checks["hours"].sum(),
    }
    stated = re.findall(r"^\| (.*?) \| \d+ TFLOP/s .*? \| (\d+) \|$", COST, flags=re.M)
    assert stated == [(part, str(round(hours))) for part, hours in expected.items()]
    boxes = jobs[jobs["rule"] == "evaluate_boxes"]["hours"]
    told = re.search(r"The nine passes of nets of boxes take (\d+) minutes", " ".join(COST.split()))
    assert (len(boxes), told[1]) == (9, str(round(60 * boxes.sum())))


def test_the_longest_chain_of_the_papers_nets_goes_through_e(plans):
    plan, *_ = plans("ilsvrc2012")
    chain = [(step["rule"], step["name"]) for step in plan["critical_path"]]
    trainings = ["A_S256", "E_S256", "E_S384", "E_S256-512"]
    assert chain[0] == ("pack_shard", "train_S256")
    assert chain[1:-1] == [("train_convnet", name) for name in trainings]
    assert re.search(r"_E_S256-512_\w+_Q\d+$", chain[-1][1])


def test_the_plan_is_made_in_the_main_process_under_slurm(bare):
    at_once = ("--slurm-init-seconds-before-status-checks", "1")
    assert "localrule plan" in snakemake(bare, "plan", "--profile", "slurm", *at_once)


def test_after_a_run_the_page_shows_planned_against_actual(tmp_path):
    folder = configured_clone(tmp_path / "run", TINY)
    posteriors = "results/tiny/posteriors/val/A_S256/dense_Q256.parquet"
    snakemake(folder, posteriors, "reports/table2.html", "--cores", "2")
    plan = json.loads((folder / "results/tiny/plan.json").read_text())  # made at the run's end
    actual = {(job["rule"], job["name"]): job["actual"] for job in plan["jobs"] if job["actual"]}
    assert actual.keys() == {
        ("pack_shard", "train_S256"), ("pack_shard", "val"), ("train_convnet", "A_S256"),
        ("evaluate_convnet", "val_A_S256_dense_Q256"),
    }  # fmt: skip
    assert {cost["images"] for cost in actual.values()} == {60, 24, 48}
    assert actual["pack_shard", "train_S256"]["jobs"] == 2
    for cost in actual.values():
        assert cost["node"] == [os.uname().nodename]
        assert cost["wall_hours"] > 0
        assert cost["peak_memory_mb"] > 30
    recorded = {row["rule"] for row in plan["by_rule"] if row["actual"]}
    assert recorded == {
        "make_miniature", "list_classes", "index_images", "pack_shard", "measure_statistics",
        "train_convnet", "evaluate_convnet", "describe_convnets", "render_table",
    }  # fmt: skip
    path = folder / "results/tiny/plan.html"
    page = Page(path.read_text())
    assert {cost["wall_hours"] for cost in actual.values()} <= page.values

    # Asked for, it is made anew each time; the sizes are now those of the packed images.
    path.unlink()
    for _ in range(2):
        printed = snakemake(folder, "plan")
        assert "val 24, as packed" in printed
        assert "actual wall" in printed
    assert path.exists()
    assert not (folder / "reports/plan.html").exists(), "there is no index beside it"
