"""The plan of a run: what each job will cost, as a page and in the terminal, and has cost."""

import json
import re

import pyarrow as pa
import pytest
import yaml

from tests.helpers.clones import (
    ROOT,
    merged,
)
from tests.helpers.flop_by_hand import FIRST, by_hand
from tests.helpers.pages import Page, numbers, printed_table
from workflow_scripts.vgg.planning.arithmetic import evaluation_flop
from workflow_scripts.vgg.planning.plan_contents import make_plan
from workflow_scripts.vgg.planning.planner import Job, Planner, critical_path, most_checkpoints
from workflow_scripts.vgg.planning.records import by_rule, compare
from workflow_scripts.vgg.report import pages, plan_tables
from workflow_scripts.vgg.settings.experiments import Evaluation

DEFINITIONS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
COST = (ROOT / "docs/cost.md").read_text()
FULL = yaml.safe_load((ROOT / "config/ilsvrc2012.yaml").read_text())


def planner(tmp_path, **changes):
    return Planner(merged(FULL, changes), DEFINITIONS["convnets"], DEFINITIONS["models"], tmp_path)


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


# Planned and actual


def record(**facts):
    return {
        "wall_seconds": 7200.0, "cpu_seconds": 3600.0, "attempts": 1, "images": 100,
        "images_per_second": 2.0, "peak_memory_mb": 50.0, "gpu_peak_memory_mb": None,
        "device": "cpu", "hardware": "H", "processes": 1, "node": "n1", "slurm_job_id": None,
    } | facts  # fmt: skip


def test_actual_cost_stands_beside_the_planned():
    training = Job("train_convnet", "A_S256", images=1000, flop=5e15, hours=3.0)
    store = Job("pack_shard", "train_S256", jobs=3, images=300, hours=1.0)
    missing = Job("train_convnet", "B_S256", images=1000, flop=5e15)
    records = {
        ("train_convnet", "A_S256"): record(processes=4, images=500, images_per_second=8.0),
        ("pack_shard", "train_S256_00000"): record(),
        ("pack_shard", "train_S256_00001"): record(
            images=20, images_per_second=0.4, node="n2", peak_memory_mb=70.0, slurm_job_id="5"
        ),
        ("pack_shard", "train_S256-512_00000"): record(),
        ("tabulate", "table3"): record(images=None, images_per_second=None),
    }
    jobs = [training, store, missing]
    compare(jobs, records)
    # 5e12 FLOP an image, 8 images a second on 4 devices: 10 TFLOP/s each, plateau or not.
    assert training.actual["tflops"] == pytest.approx(10)
    assert (training.actual["wall_hours"], training.actual["device_hours"]) == (2, 8)
    assert (store.actual["jobs"], store.actual["images"]) == (2, 120)
    assert store.actual["images_per_second"] == pytest.approx(120 / (50 + 50))
    assert (store.actual["peak_memory_mb"], store.actual["node"]) == (70, ["n1", "n2"])
    assert (store.actual["wall_hours"], store.actual["slurm_job_id"]) == (4, ["5"])
    assert missing.actual is None
    rows = {row["rule"]: row for row in by_rule(jobs, records)}
    assert list(rows) == ["train_convnet", "pack_shard", "tabulate"]
    assert (rows["train_convnet"]["jobs"], rows["train_convnet"]["actual"]["jobs"]) == (2, 1)
    assert rows["pack_shard"]["actual"]["wall_hours"] == 6
    assert (rows["tabulate"]["jobs"], rows["tabulate"]["hours"]) == (None, None)


# The page and the terminal


def small_plan(tmp_path, records=None, **changes):
    """The plan of A trained and tested once, as plan.json has it."""
    own = planner(tmp_path, **changes)
    evaluations = [("val", Evaluation("A_S256", "dense", 256))]
    jobs = own.jobs(["train_S256", "val"], ["A_S256"], evaluations)
    return json.loads(json.dumps(make_plan(own, jobs, records or {})))


def test_the_page_shows_every_number_of_the_plan_and_says_what_is_assumed(tmp_path):
    plan = small_plan(tmp_path)
    page = Page(pages.render_plan(plan, FULL))
    unseen = ("after", "batch_size", "S", "assumptions", "flop_per_image", "unknown", "core_hours")
    assert numbers(plan, without=unseen) <= page.numbers()
    assert {job["flop_per_image"] for job in plan["jobs"] if job["flop"]} <= page.values
    for text in (page.text, plan_tables.as_text(plan)):
        text = " ".join(text.split())
        for said in ("not measured", "100 TFLOP/s", "10 TFLOP/s", "500×375", "train 1,281,167"):
            assert said in text
        assert "actual wall" not in text
    assert page.tags["script"] == 1
    assert not re.search(r"@import|url\((?!#)|src=", pages.render_plan(plan, FULL))


def test_columns_of_actual_cost_appear_once_there_are_records(tmp_path):
    records = {
        ("train_convnet", "A_S256"): record(images=94_720_000, images_per_second=2000.0),
        ("tabulate", "table3"): record(images=None, images_per_second=None),
    }
    plan = small_plan(tmp_path, records)
    page = Page(pages.render_plan(plan, FULL))
    (row,) = (
        line for line in printed_table(plan_tables.as_text(plan), "Trainings") if "A_S256" in line
    )
    for text in (page.text, row):
        for shown in ("2.0 h", "2,000", "50.0 MB", "n1"):
            assert shown in text
    assert {2000.0, plan["jobs"][2]["actual"]["tflops"]} <= page.values
    assert "tabulate" in page.text
    assert "GPU memory" not in page.text  # nothing ran on one


def test_jobs_of_an_unknown_number_of_images_are_named_and_in_no_total(tmp_path):
    plan = small_plan(tmp_path, data={"images": {"val": None}})
    # The training is planned without its validations.
    assert plan["totals"]["unknown"] == 2
    assert plan["totals"]["device_hours"] == pytest.approx(
        94_720_000 * (3 * by_hand("A") - FIRST) / 100e12 / 3600
    )
    for text in (plan_tables.as_text(plan), Page(pages.render_plan(plan, FULL)).text):
        assert "2 jobs work on an unknown number of images" in " ".join(text.split())
        assert "val an unknown number" in text


@pytest.mark.parametrize(
    ("hours", "text"),
    [(237.2, "237 h"), (31.04, "31.0 h"), (0.5, "30.0 min"), (0.001, "3.6 s"), (0, "0.0 s")],
)
def test_hours_are_written_in_a_unit_that_suits_them(hours, text):
    assert plan_tables.hours(hours) == (text, hours)


def test_quantities_have_three_digits_and_a_prefix():
    written = [plan_tables.flop(n).text for n in (30.94e9, 7.51e19, 999.7e12, 12, 0)]
    assert written == ["30.9 GFLOP", "75.1 EFLOP", "1.00 PFLOP", "12 FLOP", "0 FLOP"]
    assert plan_tables.size(None) == ("–", None)
