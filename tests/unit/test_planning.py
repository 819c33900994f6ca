"""The plan of a run: what each job will cost."""

import json
import re

import pyarrow as pa
import pytest

from tests.helpers.clones import (
    ROOT,
)
from tests.helpers.flop_by_hand import FIRST, by_hand
from tests.helpers.planned import (
    COST,
    FULL,
    FULL_PATH,
    counted,
    planner,
)
from tests.helpers.runs import run_of
from workflow_scripts import plan
from workflow_scripts.vgg.planning.arithmetic import evaluation_flop
from workflow_scripts.vgg.planning.planner import Job, critical_path, most_checkpoints
from workflow_scripts.vgg.report import plan_tables
from workflow_scripts.vgg.settings import report_rules
from workflow_scripts.vgg.settings.experiments import Evaluation


def test_a_training_takes_its_iterations_and_its_validations(tmp_path):
    job = planner(tmp_path).training("D_S384", ["train_S256", "train_S384", "val"])
    images = 185_000 * 256
    assert (job.iterations, job.images, job.parent) == (185_000, images, "D_S256")
    training = images * (3 * by_hand("D") - FIRST)
    validation = 37 * 50_000 * by_hand("D")  # every 5,000 iterations
    assert job.flop == pytest.approx(training + validation)
    assert job.validation_hours == pytest.approx(validation / 100e12 / 3600)
    assert job.hours == pytest.approx(training / 100e12 / 3600 + job.validation_hours)
    assert job.wall_hours == job.hours
    assert job.disk == 4 * 138_357_544
    assert job.checkpoints == 3 * 2 * 4 * 138_357_544  # weights and momenta, two kept, one begun
    assert set(job.after) == {
        ("pack_shard", "train_S384"), ("pack_shard", "train_S256"), ("pack_shard", "val"),
        ("train_convnet", "D_S256"),
    }  # fmt: skip


def test_four_processes_take_a_quarter_of_the_time_and_as_many_gpu_hours(tmp_path):
    one, four = (
        planner(tmp_path, train={"processes": n}).training("A_S256", ["train_S256"]) for n in (1, 4)
    )
    assert four.hours == one.hours
    assert four.wall_hours == pytest.approx(one.wall_hours / 4)


def test_a_held_out_part_of_the_training_set_is_validated_on(tmp_path):
    held_out = planner(tmp_path, choices={"validation_set": "held-out"})
    job = held_out.training("A_S256", ["train_S256", "val"])
    flop = 74 * 51_247 * by_hand("A")  # 4% of 1,281,167
    assert job.validation_hours == pytest.approx(flop / 100e12 / 3600)
    assert ("pack_shard", "val") not in job.after


def test_dense_evaluation_assumes_500_by_375_pixels_until_images_are_packed(tmp_path, packed):
    evaluation = Evaluation("A_S256", "dense", 256)
    assumed = planner(tmp_path).evaluation("val", evaluation)
    net = planner(tmp_path).net("A")
    side = evaluation_flop(net, "dense", 256, [375], [500])[0]
    assert assumed.flop == pytest.approx(50_000 * side)
    assert assumed.disk == 50_000 * 1000 * 4
    assert assumed.hours == pytest.approx(assumed.flop / 100e12 / 3600)
    check = planner(tmp_path).check(evaluation)
    assert (check.rule, check.name) == ("evaluate_choice", f"precision=float32_{assumed.name}")
    assert (check.flop, check.after) == (assumed.flop, assumed.after)
    assert check.hours == pytest.approx(assumed.flop / 10e12 / 3600)

    (tmp_path / "shards/val").mkdir(parents=True)
    flops = []
    for number, shard in enumerate(sorted((packed / "shards/val").glob("*.arrow"))):
        (tmp_path / f"shards/val/{number:05d}.arrow").symlink_to(shard)
        columns = pa.ipc.open_file(str(shard)).read_all().to_pydict()
        for size in zip(columns["height"], columns["width"], strict=True):
            flops.append(evaluation_flop(net, "dense", 256, *size)[0])
    assert len(set(flops)) > 2
    some = planner(tmp_path).evaluation("val", evaluation)  # two of eight shards are not enough
    assert (some.images, some.flop) == (50_000, assumed.flop)
    measured = planner(tmp_path, data={"shards": {"val": 2}}).evaluation("val", evaluation)
    assert measured.images == 24
    assert measured.flop == pytest.approx(sum(flops))


def test_packing_takes_what_the_readme_measured(tmp_path):
    train, val = 1_281_167, 50_000
    measured = {
        "train_S256": (train / 210, train * 46_000),
        "train_S384": (train / 135, train * 91_000),
        "train_S256-512": (train / 890, 147.9e9),
        "val": (val / 890, 6.745e9),
    }
    for store, (seconds, size) in measured.items():
        job = planner(tmp_path).packing(store)
        assert job.hours == pytest.approx(seconds / 3600)
        assert job.wall_hours == pytest.approx(job.hours / job.jobs)
        assert job.disk == pytest.approx(size, rel=0.002)
    between = planner(tmp_path).packing("train_S320")
    assert train / 210 < 3600 * between.hours < train / 135
    enlarged = planner(tmp_path).packing("train_S768")  # four times the pixels of 384
    assert enlarged.disk == pytest.approx(4 * train * 91_000)


def test_an_unknown_number_of_images_is_no_number_but_the_index_may_know_it(tmp_path, packed):
    unknown = {"images": {"train": None, "val": None, "test": None}}
    job = planner(tmp_path, data=unknown).evaluation("val", Evaluation("A_S256", "center", 256))
    assert (job.images, job.flop, job.hours, job.disk) == (None, None, None, None)
    assert job.flop_per_image == by_hand("A")
    assert planner(tmp_path, data=unknown).packing("val").hours is None
    assert planner(packed, data=unknown).packing("train_S256").images == 60


def test_every_seed_trains_and_is_tested_after_its_own_parents(tmp_path):
    source = {"file": "a.pth", "format": "torchvision"}
    of = planner(tmp_path, seeds=[5, 2], weights={"import": {}})
    of.config["weights"]["import"]["A_S256"] = source
    needed = [("val", Evaluation(m, "dense", 256)) for m in ("A_S256", "B_S256", "D_S384")]
    needed += [("test", Evaluation("D_S384", "dense", 384))]
    jobs = of.jobs(["train_S256", "train_S384", "val", "test"],
                   ["A_S256", "B_S256", "D_S256", "D_S384"], needed)  # fmt: skip
    named = {job.key: job for job in jobs}
    assert len(named) == len(jobs) == 4 + 1 + 2 * 3 + (3 + 2) + 1  # the answer to the server is one
    assert named["train_convnet", "D_S384"].seed == 5
    again = named["train_convnet", "seed2/D_S384"]
    assert (again.seed, again.model) == (2, "D_S384")
    assert ("train_convnet", "seed2/D_S256") in again.after
    assert ("pack_shard", "val") in again.after
    assert ("import_weights", "A_S256") in named["train_convnet", "seed2/B_S256"].after
    test = named["evaluate_convnet", "seed2/val_D_S384_dense_Q256"]
    assert test.after == [("pack_shard", "val"), ("train_convnet", "seed2/D_S384")]
    assert named["evaluate_convnet", "val_A_S256_dense_Q256"].seed is None
    assert ("evaluate_convnet", "seed2/val_A_S256_dense_Q256") not in named
    assert ("evaluate_convnet", "seed2/test_D_S384_dense_Q384") not in named
    assert all(key in named for job in jobs for key in job.after)


def planned_by_rules(tmp_path, monkeypatch, **changes):
    """The plan that the rule `plan` makes of the paper's run with some changes."""
    run = run_of(FULL_PATH, **changes)
    monkeypatch.chdir(ROOT)
    words = report_rules.planned_jobs(run)
    for option, name in (("results", ""), ("records", "logs"), ("page", "p.html"), ("output", "p")):
        words[words.index(f"--{option}") + 1] = str(tmp_path / name)
    (tmp_path / "config.yaml").write_text(run.resolved)
    plan.main(["--config", str(tmp_path / "config.yaml"), *words])
    content = json.loads((tmp_path / "p.json").read_text())
    return content, {rule: {j["name"] for j in content["jobs"] if j["rule"] == rule}
                     for rule in plan_tables.KINDS}  # fmt: skip


@pytest.mark.slow
def test_submissions_box_the_test_set_and_no_row_else_does(tmp_path, monkeypatch):
    content, named = planned_by_rules(tmp_path, monkeypatch)
    assert {name for name in named["localise"] if name.startswith("test")} == {
        "test_S384", "test_fusion"
    }  # fmt: skip
    assert len(named["evaluate_boxes"]) == 9
    assert named["read_boxes"] == {"train", "val"}
    assert len(named["guess_one_box"]) == 4
    assert content["totals"]["box_evaluations"] == 9
    labels = {
        f"test_{net}_S256-512_{method}_Q{Q}"
        for net in "DE" for method in ("dense", "multicrop") for Q in (256, 384, 512)
    }  # fmt: skip
    of_test = next(j for j in content["jobs"] if j["name"] == "test_D_S256_pcr_dense_Q256")
    assert {name for rule, name in of_test["after"] if rule == "evaluate_convnet"} == labels
    disk = {
        rule: sum(j["disk"] or 0 for j in content["jobs"] if j["rule"] == rule) for rule in named
    }
    floats = 5 * 5 * 4 * (8 + 40 + 60) * 150_000  # classes, numbers, bytes, places, images
    assert disk["evaluate_boxes"] == pytest.approx(floats, rel=0.03)
    (part,) = (part for part in content["disk"] if part["part"] == "boxes")
    of_boxes = ("read_boxes", "evaluate_boxes", "localise", "guess_one_box")
    assert part["bytes"] == pytest.approx(sum(disk[rule] for rule in of_boxes))
    of_cores = ("pack_shard", "localise", "read_boxes", "guess_one_box")
    of_cores += ("index_examples", "train_classifiers")
    hours = sum(j["hours"] or 0 for j in content["jobs"] if j["rule"] in of_cores)
    assert content["totals"]["core_hours"] == pytest.approx(hours)


@pytest.mark.slow
def test_a_run_without_boxes_plans_no_localisation(tmp_path, monkeypatch):
    without = dict.fromkeys(("train_boxes", "val_boxes", "blacklist"))
    content, named = planned_by_rules(tmp_path, monkeypatch, data={"archives": without})
    for rule in ("read_boxes", "evaluate_boxes", "localise", "guess_one_box"):
        assert not named[rule]
    assert len(named["train_convnet"]) == 14
    assert "boxes" not in {part["part"] for part in content["disk"]}
    assert "net of boxes" not in " ".join(plan_tables.summary(content))  # persons have others
    tested = {"test_boxes": "t.tgz"}
    content, named = planned_by_rules(
        tmp_path, monkeypatch, data={"archives": without | tested, "test": "labelled"}
    )
    assert not named["guess_one_box"]


@pytest.mark.slow
def test_the_readme_states_the_hours_of_features_by_data_set(tmp_path, monkeypatch):
    content, named = planned_by_rules(tmp_path, monkeypatch, transfer=counted())
    titles = {name: entry["title"] for name, entry in FULL["transfer"]["data_sets"].items()}
    images = {entry["split"]: entry["images"] for entry in content["assumptions"]["splits"]}
    hours = {(name, rule): sum(job["hours"] for job in content["jobs"]
                               if (job["split"], job["rule"]) == (name, rule))
             for name in titles for rule in ("describe_images", "train_classifiers")}  # fmt: skip
    expected = [
        (title, f"{images[name]:,}", *(f"{hours[name, rule]:.2f}" for rule in
                                       ("describe_images", "train_classifiers")))
        for name, title in titles.items()
    ]  # fmt: skip
    assert (
        re.findall(r"^\| (\S.*?) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|$", COST, re.M) == expected
    )
    text = " ".join(COST.split())
    for rule, said in (
        ("describe_images", "{} passes of D and E"),
        ("train_classifiers", "{} rows of classifiers"),
    ):
        assert said.format(len(named[rule])) in text
    assert named["draw_weights"] == {"D_S256-512"}
    assert content["totals"]["unknown"] == 0
    parts = {part["part"]: part["bytes"] for part in content["disk"]}
    descriptors = [job["disk"] for job in content["jobs"] if job["rule"] == "describe_images"]
    assert parts["descriptors"] == pytest.approx(sum(descriptors))
    assert f"{parts['descriptors'] / 1e9:.0f} GB of descriptors" in text
    assert f"{parts['weights'] / 1e9:.0f} GB of weights" in text


@pytest.mark.slow
def test_a_data_set_that_is_left_out_is_not_planned(tmp_path, monkeypatch):
    kept = {"voc2007"}
    without = dict.fromkeys(FULL["transfer"]["data_sets"].keys() - kept)
    content, named = planned_by_rules(tmp_path, monkeypatch, transfer={"data_sets": without})
    assert named["index_examples"] == kept
    assert len(named["describe_images"]) == 2 * 5 + 1
    assert len(named["train_classifiers"]) == 8
    assert "persons" not in " ".join(plan_tables.summary(content))
    nothing = dict.fromkeys(FULL["transfer"]["data_sets"])
    content, named = planned_by_rules(tmp_path, monkeypatch, transfer={"data_sets": nothing})
    for rule in ("index_examples", "draw_weights", "describe_images", "train_classifiers"):
        assert not named[rule]
    assert not {"descriptors", "examples and classifiers' scores"} & {
        part["part"] for part in content["disk"]
    }
    assert "escriptors" not in " ".join(plan_tables.summary(content))


def chain_of(jobs):
    return [job.name for job in critical_path(jobs)]


def test_the_critical_path_is_the_chain_that_takes_longest():
    def job(name, wall_hours, *after, **more):
        return Job("train_convnet", name, 1, [("train_convnet", a) for a in after],
                   wall_hours=wall_hours, **more)  # fmt: skip

    jobs = [job("a", 1, checkpoints=40), job("b", 5, "a", checkpoints=16), job("c", 2, "a"),
            job("d", 3.5, "c", checkpoints=32), job("e", 1, "b", "d"), job("f", 6)]  # fmt: skip
    assert chain_of(jobs) == ["a", "c", "d", "e"]  # 7.5 hours, by b 7, f alone 6
    assert chain_of([]) == []
    # b until 6, d from 3; a has one of three left
    assert most_checkpoints(jobs) == pytest.approx(16 + 32 + 40 / 3)
