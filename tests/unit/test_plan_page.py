"""The plan as a page and in the terminal, and what jobs have cost beside it."""

import json
import re

import pytest

from tests.helpers.flop_by_hand import FIRST, by_hand
from tests.helpers.pages import Page, numbers, printed_table
from tests.helpers.planned import (
    ACTING,
    BOTH,
    FULL,
    FUSED,
    MEAN,
    RANDOM,
    STACKED,
    counted,
    dense_by_hand,
    planner,
    record,
)
from workflow_scripts.vgg.planning.plan_contents import lines_of_jobs, make_plan
from workflow_scripts.vgg.planning.planner import Job
from workflow_scripts.vgg.planning.records import by_rule, compare
from workflow_scripts.vgg.report import pages, plan_tables
from workflow_scripts.vgg.settings.experiments import Evaluation


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
    own = Page(pages.render_plan(plan, FULL | {"data": {"source": "miniature"}}))
    assert "not evidence about ILSVRC" in " ".join(own.notices.split())
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


def test_localisation_stands_beside_the_rest_with_what_it_has_cost(tmp_path):
    own = planner(tmp_path)
    jobs = own.jobs(
        ["train_S256", "train_S384", "val"],
        ["A_S256", "D_S256", "D_S384", "D_S256_pcr", "D_S384_pcr"],
        [],
        guesses=[("val", FUSED), ("val", MEAN)],
        labels=[Evaluation("D_S256", "dense", 256)],
    )
    boxes_of_D = "val_D_S384_pcr_dense_Q384"
    records = {
        ("evaluate_boxes", boxes_of_D): record(images=50_000, images_per_second=40.0),
        ("localise", "val_fused"): record(images=50_000, images_per_second=30.0),
        ("read_boxes", "train"): record(images=1_281_167, images_per_second=9000.0),
        ("guess_one_box", "val_mean"): record(images=50_000, images_per_second=7000.0),
    }
    content = json.loads(json.dumps(make_plan(own, jobs, records)))
    (boxed,) = (job for job in content["jobs"] if job["name"] == boxes_of_D)
    flop = dense_by_hand(384, 512) + dense_by_hand(384, 512, 4000)
    assert boxed["actual"]["tflops"] == pytest.approx(40 * flop / 1e12)
    recorded = {row["rule"] for row in content["by_rule"] if row["actual"]}
    assert recorded == {rule for rule, _ in records}
    page, printed = Page(pages.render_plan(content, FULL)), plan_tables.as_text(content)
    unseen = ("after", "batch_size", "S", "assumptions", "flop_per_image", "unknown", "core_hours")
    assert numbers(content, without=unseen) <= page.numbers()
    for title, name, shown in (
        ("Boxes", "D_S384_pcr", ["60", "40", "303 MB"]),
        ("Guesses", "fused", ["D_S256_pcr, D_S384_pcr", "108", "30"]),
        ("Guesses", "mean", ["0.0 s", "7,000"]),
        ("True boxes", "train", ["1,281,167", "9,000"]),
    ):
        row = [line for line in printed_table(printed, title) if name in line][-1]
        assert all(text in row for text in shown), row
    for text in (page.text, printed):
        assert "two passes" in " ".join(text.split())
    assert "passes for boxes" in page.text
    lines = lines_of_jobs(content).set_index("name")
    assert lines.loc["val_fused", "boxes"] == 108
    assert lines.loc["val_fused", "actual_images_per_second"] == 30


def test_features_stand_beside_the_rest_with_what_they_have_cost(tmp_path):
    own = planner(tmp_path, transfer=counted())
    rows = [("voc2012_action", ACTING), ("caltech101", STACKED), ("caltech101", RANDOM)]
    jobs = own.jobs(
        ["train_S256", "train_S384", "train_S256-512", "val", "voc2012_action", "caltech101"],
        ["A_S256", "D_S256", "D_S384", "E_S256", "E_S384", *BOTH],
        [],
        classified=rows,
    )
    persons = round(9_200 * 6278 / 4588)
    boxed = "voc2012_action_E_S256-512_box_Q768"
    records = {
        ("index_examples", "caltech101"): record(images=9_144, images_per_second=900.0),
        ("pack_shard", "caltech101_00000"): record(images=9_144, images_per_second=321.0),
        ("draw_weights", "D_S256-512"): record(images=None, images_per_second=None),
        ("describe_images", boxed): record(images=persons, images_per_second=20.0),
        ("train_classifiers", "caltech101_stacked"): record(images=None, images_per_second=None),
    }
    content = json.loads(json.dumps(make_plan(own, jobs, records)))
    assert {row["rule"] for row in content["by_rule"] if row["actual"]} == {r for r, _ in records}
    totals = content["totals"]
    assert (totals["descriptions"], totals["classifiers"]) == (20 + 6 + 1, 3)
    by_rule = {row["rule"]: row for row in content["by_rule"]}
    assert totals["device_hours"] == pytest.approx(
        by_rule["train_convnet"]["hours"] + by_rule["describe_images"]["hours"]
    )
    page, printed = Page(pages.render_plan(content, FULL)), plan_tables.as_text(content)
    unseen = ("after", "batch_size", "S", "assumptions", "flop_per_image", "unknown", "core_hours")
    assert numbers(content, without=unseen) <= page.numbers()
    for title, name, shown in (
        ("Descriptors", "E_S256-512", ["box", "768", f"{persons:,}", "20"]),
        ("Descriptors", "random", ["caltech101", "D_S256-512", "256", "150 MB"]),
        ("Classifiers", "stacked", ["caltech101", "D_S256-512, E_S256-512", "24,576", "2.0 h"]),
        ("Examples", "caltech101", ["9,144", "900"]),
        ("Random weights", "D_S256-512", ["553 MB"]),
        ("Packing", "caltech101", ["321"]),
    ):
        rows_of_name = [line for line in printed_table(printed, title) if name in line]
        assert any(all(text in row for text in shown) for row in rows_of_name), (title, name)
    for text in (page.text, printed):
        text = " ".join(text.split())
        for said in ("without the last layer", "1.37 persons", "77 GFLOP/s", "measured once",
                     "caltech101 9,144", "those of caltech101 of 300×200"):  # fmt: skip
            assert said in text
    assert "passes for descriptors" in page.text
    assert "rows of classifiers" in page.text
    lines = lines_of_jobs(content).set_index("name")
    assert lines.loc["caltech101_stacked", "dimensions"] == 24_576
    assert lines.loc[boxed, "actual_images_per_second"] == 20


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
