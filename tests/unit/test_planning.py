"""The plan of a run: what each job will cost, as a page and in the terminal, and has cost."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
import yaml

from tests.helpers.clones import (
    ROOT,
    merged,
)
from tests.helpers.flop_by_hand import FC, FIRST, TABLE_1, by_hand
from tests.helpers.pages import Page, numbers, printed_table
from tests.helpers.runs import run_of
from workflow_scripts import plan
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.examples import Examples, write_examples
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.planning import box_costs, feature_costs
from workflow_scripts.vgg.planning.arithmetic import evaluation_flop
from workflow_scripts.vgg.planning.box_jobs import boxes, guesses, true_boxes
from workflow_scripts.vgg.planning.feature_jobs import (
    classifying,
    describing,
    reading,
    source_bytes,
)
from workflow_scripts.vgg.planning.plan_contents import lines_of_jobs, make_plan
from workflow_scripts.vgg.planning.planner import Job, Planner, critical_path, most_checkpoints
from workflow_scripts.vgg.planning.records import by_rule, compare
from workflow_scripts.vgg.report import pages, plan_tables
from workflow_scripts.vgg.settings import report_rules
from workflow_scripts.vgg.settings.experiments import Evaluation
from workflow_scripts.vgg.settings.localised_rows import BoxEvaluation
from workflow_scripts.vgg.settings.transferred_rows import Description

DEFINITIONS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
COST = (ROOT / "docs/cost.md").read_text()
FULL_PATH = "config/ilsvrc2012.yaml"
FULL = yaml.safe_load((ROOT / FULL_PATH).read_text())


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


# Localisation


FC_1 = 2 * 7 * 7 * 512 * 4096
LAST = 2 * 4096  # FLOP of the last layer for each of its outputs
LABELS = [Evaluation("E_S256-512", "dense", 384)]
FUSED = {
    "name": "fused",
    "boxes": [
        {"model": "D_S256_pcr", "method": "dense", "Q": [256]},
        {"model": "D_S384_pcr", "method": "dense", "Q": [352, 384]},
    ],
}
CENTRAL = {"name": "central", "boxes": [{"model": "D_S384_pcr", "method": "center", "Q": [384]}]}
FIXED = {"name": "fixed", "fixed_box": {"box": "central", "labels": "true-class"}}
MEAN = {"name": "mean", "fixed_box": {"box": "training-mean", "labels": "likeliest"}}


def dense_by_hand(height, width, outputs=1000):
    """FLOP of one pass of D over a whole image whose sides are multiples of 32."""
    convs = ((side, *conv) for side, own in TABLE_1["D"].items() for conv in own)
    features = sum(
        2 * k * k * into * out * height * width * side**2 / 224**2 for side, k, into, out in convs
    )
    places = (height // 32 - 6) * (width // 32 - 6)
    return features + places * (FC - LAST * 1000 + LAST * outputs)


def test_a_net_of_boxes_is_trained_with_another_last_layer(tmp_path):
    of, stores = planner(tmp_path), ["train_S256", "train_S384", "val"]
    images, validated = 185_000 * 256, 37 * 50_000
    for name, outputs in (("D_S384_pcr", 4000), ("D_S384_pcr_fc", 4000), ("D_S384_scr_fc", 4)):
        job = of.training(name, stores)
        fc = FC - LAST * 1000 + LAST * outputs
        forward = by_hand("D") - FC + fc
        step = 3 * forward - FIRST
        if name.endswith("fc"):
            step = forward + fc + fc - FC_1  # gradients of weights, and of all inputs but FC-1's
        assert job.flop_per_image == step
        assert (job.images, job.flop) == (
            images,
            pytest.approx(images * step + validated * forward),
        )
        weights = 138_357_544 + 4097 * (outputs - 1000)
        assert job.disk == 4 * weights
        assert job.parent == "D_S384"
        assert {("read_boxes", "train"), ("read_boxes", "val")} < set(job.after)
    momenta = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4097 * 4
    assert job.checkpoints == 3 * 4 * (weights + momenta)
    held_out = planner(tmp_path, choices={"validation_set": "held-out"})
    after = held_out.training("D_S384_pcr", stores).after
    assert ("read_boxes", "train") in after
    assert ("read_boxes", "val") not in after
    assert ("read_boxes", "train") not in of.training("D_S256-512_fc", stores).after


def test_dense_boxes_take_a_pass_of_the_net_and_one_of_its_classifier(tmp_path):
    of = planner(tmp_path)
    job = boxes(of, "val", BoxEvaluation("D_S384_pcr", "dense", 384), LABELS)
    flop = dense_by_hand(384, 512) + dense_by_hand(384, 512, 4000)
    assert job.flop_per_image == flop
    assert job.hours == job.wall_hours == pytest.approx(50_000 * flop / 100e12 / 3600)
    assert (job.rule, job.name) == ("evaluate_boxes", "val_D_S384_pcr_dense_Q384")
    assert (job.boxes, job.images) == (6 * 10, 50_000)
    assert job.disk == pytest.approx(50_000 * 60 * 5 * 5 * 4, rel=0.02)
    assert set(job.after) == {
        ("pack_shard", "val"), ("train_convnet", "D_S384_pcr"), ("train_convnet", "D_S384"),
        ("evaluate_convnet", "val_E_S256-512_dense_Q384"),
    }  # fmt: skip
    classified = of.evaluation("val", Evaluation("D_S384", "dense", 384))
    assert classified.flop_per_image == 2 * dense_by_hand(384, 512)
    assert 1 < job.flop / classified.flop < 1.01

    crop = boxes(of, "val", BoxEvaluation("D_S384_scr_fc", "center", 384), LABELS)
    assert crop.flop_per_image == by_hand("D") - LAST * 996
    assert crop.boxes == 1
    assert crop.after == [("pack_shard", "val"), ("train_convnet", "D_S384_scr_fc")]

    mirrored = planner(tmp_path, choices={"box_flip": "mirrored"})
    both = boxes(mirrored, "val", BoxEvaluation("D_S384_pcr", "dense", 384), LABELS)
    assert (both.flop_per_image, both.boxes) == (2 * flop, 2 * 60)
    again = boxes(mirrored, "val", BoxEvaluation("D_S384_scr_fc", "center", 384), LABELS)
    assert again.flop == crop.flop


def test_merging_takes_what_was_measured_for_all_places_together(tmp_path):
    of = planner(tmp_path)
    job = guesses(of, "val", FUSED, LABELS)
    assert job.boxes == 2 * 4 + 5 * 8 + 6 * 10  # of 256×341, 352×469 and 384×512 pixels
    seconds = 50_000 * 5 * box_costs.MERGING[108] / 1000
    assert job.hours == pytest.approx(seconds / 3600)
    assert job.wall_hours == pytest.approx(job.hours / 16)
    rule = (
        (ROOT / "rules/localisation.smk").read_text().split("rule localise:")[1].split("rule ")[0]
    )
    assert f"threads: RUN.by_size({box_costs.MERGERS}, 1)" in rule
    small = planner(tmp_path, convnet={"width_divisor": 16})
    alone = guesses(small, "val", CENTRAL, LABELS)
    assert alone.boxes == 1
    assert alone.wall_hours == alone.hours < 10 / 3600
    assert [key for _, key in job.after] == [
        "val_D_S256_pcr_dense_Q256", "val_D_S384_pcr_dense_Q352", "val_D_S384_pcr_dense_Q384",
    ]  # fmt: skip
    between, twice = box_costs.merging_seconds([84, 432])
    assert between == pytest.approx((box_costs.MERGING[60] + box_costs.MERGING[108]) / 2000)
    assert twice == pytest.approx(4 * box_costs.MERGING[216] / 1000)

    fixed = guesses(of, "val", FIXED, LABELS)
    assert (fixed.rule, fixed.hours, fixed.after) == ("guess_one_box", 0, [("pack_shard", "val")])
    mean = guesses(of, "val", MEAN, LABELS)
    assert mean.after[1:] == [
        ("read_boxes", "train"), ("evaluate_convnet", "val_E_S256-512_dense_Q384")
    ]  # fmt: skip
    train, val = true_boxes(of, "train"), true_boxes(of, "val")
    assert train.hours / val.hours == pytest.approx(544_546 / 50_000)
    unknown = planner(tmp_path, data={"images": {"val": None}})
    for job in (guesses(unknown, "val", FUSED, LABELS), true_boxes(unknown, "val")):
        assert (job.images, job.hours, job.disk) == (None, None, None)


def test_places_are_those_of_the_images_once_they_are_packed(tmp_path, packed):
    (tmp_path / "shards/val").mkdir(parents=True)
    places = []
    for number, shard in enumerate(sorted((packed / "shards/val").glob("*.arrow"))):
        (tmp_path / f"shards/val/{number:05d}.arrow").symlink_to(shard)
        columns = pa.ipc.open_file(str(shard)).read_all().to_pydict()
        for height, width in zip(columns["height"], columns["width"], strict=True):
            longer = max(height, width) * 384 // min(height, width)  # the other side is 384
            places.append(6 * (longer // 32 - 6))
    assert len(set(places)) > 1
    of = planner(tmp_path, data={"shards": {"val": 2}})
    job = boxes(of, "val", BoxEvaluation("D_S384_pcr", "dense", 384), [])
    assert (job.images, job.boxes) == (24, pytest.approx(sum(places) / 24))
    row = {"name": "r", "boxes": [{"model": "D_S384_pcr", "method": "dense", "Q": [384]}]}
    seconds = 5 * sum(box_costs.merging_seconds(number) for number in places)
    assert guesses(of, "val", row, []).hours == pytest.approx(seconds / 3600)


def test_every_seed_has_boxes_of_its_own_nets_and_guesses_of_its_own_boxes(tmp_path):
    of = planner(tmp_path, seeds=[5, 2], weights={"import": {}})
    of.config["weights"]["import"] = {
        name: {"file": "a", "format": "own"} for name in ("D_S384", "D_S384_pcr", "A_S256")
    }
    imported = {"name": "imported", "boxes": FUSED["boxes"][1:]}
    jobs = of.jobs(
        ["train_S256", "train_S256-512", "val", "test"],
        ["D_S384", "D_S384_pcr", "A_S256", "D_S256", "D_S256_pcr", "E_S256-512"],
        [],
        guesses=[*(("val", row) for row in (FUSED, imported, CENTRAL, FIXED, MEAN)),
                 ("test", FUSED)],
        labels=LABELS,
    )  # fmt: skip
    named = {job.key: job for job in jobs}
    assert len(named) == len(jobs)
    assert all(key in named for job in jobs for key in job.after if "E_S384" not in key)
    assert ("import_weights", "D_S384") in named, "which rates the boxes"
    assert {name for rule, name in named if rule == "read_boxes"} == {"train", "val"}
    # The posteriors that name the classes, though no table has them
    assert {name for rule, name in named if rule == "evaluate_convnet"} == {
        f"{where}_E_S256-512_dense_Q384" for where in ("val", "seed2/val", "test")
    }  # fmt: skip
    assert {name for rule, name in named if rule == "evaluate_boxes"} == {
        *(f"{split}_D_S384_pcr_dense_Q{Q}" for split in ("val", "test") for Q in (352, 384)),
        *(f"{where}_D_S256_pcr_dense_Q256" for where in ("val", "seed2/val", "test")),
        "val_D_S384_pcr_center_Q384",
    }  # fmt: skip
    assert named["evaluate_boxes", "seed2/val_D_S256_pcr_dense_Q256"].after == [
        ("pack_shard", "val"), ("train_convnet", "seed2/D_S256_pcr"),
        ("train_convnet", "seed2/D_S256"),
        ("evaluate_convnet", "seed2/val_E_S256-512_dense_Q384"),
    ]  # fmt: skip
    assert {name for rule, name in named if rule == "localise"} == {
        "val_fused", "seed2/val_fused", "test_fused", "val_imported", "val_central"
    }  # fmt: skip
    assert named["localise", "seed2/val_fused"].after == [
        ("evaluate_boxes", "seed2/val_D_S256_pcr_dense_Q256"),
        ("evaluate_boxes", "val_D_S384_pcr_dense_Q352"),
        ("evaluate_boxes", "val_D_S384_pcr_dense_Q384"),
    ]
    assert named["localise", "val_imported"].seed is None
    assert {name for rule, name in named if rule == "guess_one_box"} == {"val_fixed", "val_mean"}


# Features for other data sets


COUNTED = {"voc2012_action": 9_200}
BOTH = ["D_S256-512", "E_S256-512"]
STACKED = {"name": "stacked", "descriptors": {"models": BOTH, "scale_pooling": "stack"}}
POOLED = {"name": "pooled", "descriptors": {"models": BOTH, "Q": [256, 384]}}
ACTING = {"name": "acting", "descriptors": {"models": BOTH, "regions": ["image", "box"]}}
RANDOM = {"name": "unlearnt", "descriptors": {"models": BOTH[:1], "Q": [256], "weights": "random"}}


def counted():
    """The configuration's data sets with a number of images that it leaves open."""
    return {"data_sets": {name: {"images": number} for name, number in COUNTED.items()}}


def test_a_descriptor_takes_two_passes_without_the_last_layer(tmp_path):
    of = planner(tmp_path, transfer=counted())
    job = describing(of, "voc2007", Description("D_S256-512", "image", 384))
    flop = 2 * dense_by_hand(384, 512, outputs=0)
    assert (job.flop_per_image, job.flop) == (flop, 9_963 * flop)
    assert job.hours == job.wall_hours == pytest.approx(job.flop / 100e12 / 3600)
    assert job.disk == 9_963 * 4096 * 4
    assert (job.rule, job.name) == ("describe_images", "voc2007_D_S256-512_image_Q384")
    assert job.after == [("pack_shard", "voc2007"), ("train_convnet", "D_S256-512")]

    unlearnt = describing(of, "caltech101", Description("D_S256-512", "image", 256, "random"))
    assert unlearnt.flop_per_image == 2 * dense_by_hand(256, 384, outputs=0)  # of 200 × 300 pixels
    assert unlearnt.name == "caltech101_D_S256-512.random_image_Q256"
    assert unlearnt.after[1:] == [("draw_weights", "D_S256-512")]

    boxed = describing(of, "voc2012_action", Description("D_S256-512", "box", 256))
    assert boxed.flop_per_image == 2 * dense_by_hand(512, 256, outputs=0)
    assert boxed.images == round(9_200 * 6278 / 4588)  # persons
    assert ("index_examples", "voc2012_action") in boxed.after


def test_classifiers_take_the_inner_products_and_machines_at_each_c(tmp_path):
    of = planner(tmp_path, transfer=counted() | {"C": [1, 2]})
    job = classifying(of, "voc2007", POOLED)
    # Half of the matrix; then a quarter of the images at each C, and half of them at the best.
    learning = 2 * 84 * 20 * (2 * (9_963 / 4) ** 2 + (9_963 / 2) ** 2)
    assert job.dimensions == 2 * 4096
    assert job.flop == pytest.approx(9_963**2 * 2 * 4096 + learning)
    assert job.hours == pytest.approx(job.flop / 77e9 / 3600)
    assert job.wall_hours == pytest.approx(job.hours / 16)
    assert job.disk == 0.75 * 9_963 * (4 * 20 + feature_costs.EXAMPLE)
    assert (job.rule, job.name) == ("train_classifiers", "voc2007_pooled")
    assert job.after == [
        ("index_examples", "voc2007"),
        *(("describe_images", f"voc2007_{model}_image_Q{Q}") for model in BOTH for Q in (256, 384)),
    ]
    rule = (ROOT / "rules/transfer.smk").read_text().split("rule train_classifiers:")[1]
    assert f"threads: RUN.by_size({feature_costs.CORES}, 1)" in rule.split("rule ")[0]
    small = planner(tmp_path, convnet={"width_divisor": 16})
    alone = classifying(small, "voc2007", POOLED)
    assert alone.wall_hours == alone.hours

    learnt = planner(tmp_path, choices={"svm_refit": "learnt"}, transfer={"C": [1, 2]})
    less = learnt.config["transfer"]["data_sets"]["voc2007"] | {"test": "absent"}
    learnt.config["transfer"]["data_sets"]["voc2007"] = less
    without = classifying(learnt, "voc2007", POOLED)
    learning = 2 * 84 * 20 * 2 * (9_963 / 2) ** 2
    assert without.flop == pytest.approx(9_963**2 * 2 * 4096 + learning)

    classes = round(30_607 / 119)
    stacked = classifying(of, "caltech256", STACKED)
    assert (stacked.dimensions, stacked.classes) == (2 * 3 * 4096, classes)
    learning = 3 * 2 * 84 * classes * (2 * (48 * classes) ** 2 + (60 * classes) ** 2)
    assert stacked.flop == pytest.approx(30_607**2 * 6 * 4096 + learning)
    assert len(stacked.after) == 1 + 2 * 3
    tested = 3 * (30_607 - 60 * classes)
    assert stacked.disk == tested * (4 * classes + feature_costs.EXAMPLE)
    few = classifying(of, "caltech101", STACKED)
    assert few.disk == 3 * 50 * few.classes * (4 * few.classes + feature_costs.EXAMPLE)
    acting = classifying(of, "voc2012_action", ACTING)
    assert (acting.dimensions, acting.classes) == (2 * 2 * 4096, 11)
    assert acting.images == round(9_200 * 6278 / 4588)


def test_another_data_set_is_packed_as_it_is_in_its_own_number_of_shards(tmp_path):
    of = planner(tmp_path, transfer=counted())
    voc, caltech = of.packing("voc2007"), of.packing("caltech256")
    assert (voc.rule, voc.name, voc.jobs) == ("pack_shard", "voc2007", 4)
    assert voc.after == [("index_examples", "voc2007")]
    assert voc.hours == pytest.approx(9_963 / 890 / 3600)
    assert voc.wall_hours == pytest.approx(voc.hours / 4)
    assert caltech.hours == pytest.approx(30_607 * (200 * 300) / (375 * 500) / 890 / 3600)
    assert caltech.disk == 30_607 * 33_000
    drawn = planner(tmp_path, transfer={"drawn": "resources/caltech"} | counted())
    assert drawn.typical_size_of("caltech256") == (375, 500)  # at the crop of the run's nets
    assert drawn.packing("caltech256").hours == pytest.approx(30_607 / 890 / 3600)


def test_an_archive_of_two_data_sets_counts_once(tmp_path):
    folder = tmp_path / "voc"
    both, other = ({"directory": str(folder), "images": n} for n in (100, 50))
    of = planner(tmp_path, transfer={"data_sets": {"voc2012": both, "voc2012_action": other}})
    two = ["voc2012", "voc2012_action"]
    assert source_bytes(of, two) == 150 * 109_000
    unknown = planner(tmp_path, transfer={"data_sets": {"caltech101": {"images": None}}})
    assert source_bytes(unknown, ["caltech101"]) is None
    folder.mkdir()
    for name in FULL["transfer"]["data_sets"]["voc2012"]["sources"]:
        (folder / name).write_bytes(b"12345")
    assert source_bytes(of, two) == 10
    assert source_bytes(of, [*two, "voc2007"]) == 10 + 9_963 * 109_000


def test_a_data_set_that_is_indexed_and_packed_is_known(tmp_path, packed):
    data_set = "voc2012_action"
    shards = sorted((packed / "shards/val").glob("*.arrow"))
    (tmp_path / f"shards/{data_set}").mkdir(parents=True)
    for number, shard in enumerate(shards):
        (tmp_path / f"shards/{data_set}/{number:05d}.arrow").symlink_to(shard)
    of = planner(tmp_path, transfer={"data_sets": {data_set: {"shards": 2}}})
    assert of.images(data_set) == 24
    boxed = Description("D_S256-512", "box", 256)
    assumed = describing(of, data_set, boxed)
    assert (assumed.images, assumed.flop_per_image) == (33, 2 * dense_by_hand(512, 256, outputs=0))

    names = sorted(Shards(shards).ids())
    images = np.repeat(np.arange(24), 2)
    write_examples(
        tmp_path / f"examples/{data_set}.parquet",
        Examples(
            ids=[f"{names[place]}:{k + 1}" for place in range(24) for k in (0, 1)],
            image_ids=names,
            images=images,
            parts=["train"] * 48,
            labels=np.ones((48, 3), np.int8),
            known=np.ones(48, bool),
            boxes=np.tile([[0.5, 0, 31.5, 32], [8, 8, 40, 24]], (24, 1)).astype(float),
            classes=["a", "b", "c"],
            scored=np.ones(3, bool),
        ),
        {},
    )
    counts = {"examples": {"train": 20, "val": 12, "test": 16}, "classes": ["a", "b", "c"]}
    write_json(tmp_path / f"examples/{data_set}.json", counts)
    of = planner(tmp_path, transfer={"C": [1], "data_sets": {data_set: {"shards": 2}}})
    job = describing(of, data_set, boxed)
    assert job.images == 48
    # 32 × 32 and 16 × 32 pixels
    sides = dense_by_hand(256, 256, outputs=0) + dense_by_hand(256, 512, outputs=0)
    assert job.flop_per_image == sides
    row = classifying(of, data_set, RANDOM)
    assert (row.images, row.classes) == (48, 3)
    assert row.flop == 48**2 * 4096 + 2 * 84 * 3 * (20**2 + 32**2)
    other = planner(tmp_path, transfer={"data_sets": {data_set: {"shards": 1}}})  # of half of them
    assert describing(other, data_set, boxed).flop_per_image == assumed.flop_per_image


def test_an_index_tells_the_images_of_a_data_set_and_none_is_no_number(tmp_path, packed):
    of = planner(tmp_path, transfer={"data_sets": {"caltech101": {"images": None}}})
    rows = [("caltech101", RANDOM)]
    jobs = of.jobs(["train_S256-512", "caltech101"], BOTH[:1], [], classified=rows)
    of_set = [job for job in jobs if job.split == "caltech101"]
    assert [job.rule for job in of_set] == [
        "index_examples", "pack_shard", "describe_images", "train_classifiers"
    ]  # fmt: skip
    for job in of_set:
        assert (job.images, job.hours, job.disk, job.classes) == (None, None, None, None)
    (tmp_path / "index").mkdir()
    (tmp_path / "index/caltech101.parquet").symlink_to(packed / "index/train.parquet")
    assert of.images("caltech101") == reading(of, "caltech101").images == 60
    assert of.packing("caltech101").images == 60


def test_every_seed_describes_by_its_own_nets_and_trains_its_own_classifiers(tmp_path):
    of = planner(tmp_path, seeds=[5, 2], weights={"import": {}})
    of.config["weights"]["import"] = {"E_S256-512": {"file": "a", "format": "own"}}
    alone = {"name": "alone", "descriptors": {"models": BOTH[1:], "Q": [256]}}
    rows = [("voc2007", row) for row in (POOLED, alone, RANDOM)]
    stores = ["train_S256", "train_S256-512", "val", "voc2007"]
    models = ["A_S256", "D_S256", "D_S384", *BOTH]
    jobs = of.jobs(["train_S384", *stores], models, [], classified=rows)
    named = {job.key: job for job in jobs}
    assert len(named) == len(jobs)
    keys = list(named)
    for job in jobs:
        assert all(keys.index(key) < keys.index(job.key) for key in job.after)
    assert ("import_weights", "E_S256-512") in named
    assert {name for rule, name in named if rule == "describe_images"} == {
        *(f"{own}voc2007_D_S256-512_image_Q{Q}" for own in ("", "seed2/") for Q in (256, 384)),
        *(f"voc2007_E_S256-512_image_Q{Q}" for Q in (256, 384)),
        *(f"{own}voc2007_D_S256-512.random_image_Q256" for own in ("", "seed2/")),
    }
    assert {name for rule, name in named if rule == "train_classifiers"} == {
        *(f"{own}voc2007_{row}" for own in ("", "seed2/") for row in ("pooled", "unlearnt")),
        "voc2007_alone",
    }
    assert named["train_classifiers", "voc2007_alone"].seed is None
    again = named["train_classifiers", "seed2/voc2007_pooled"]
    assert again.after == [
        ("index_examples", "voc2007"),
        *(("describe_images", f"seed2/voc2007_D_S256-512_image_Q{Q}") for Q in (256, 384)),
        *(("describe_images", f"voc2007_E_S256-512_image_Q{Q}") for Q in (256, 384)),
    ]
    unlearnt = named["describe_images", "seed2/voc2007_D_S256-512.random_image_Q256"]
    assert unlearnt.after == [("pack_shard", "voc2007"), ("draw_weights", "seed2/D_S256-512")]
    drawing = named["draw_weights", "seed2/D_S256-512"]
    assert drawing.after == [("train_convnet", "seed2/D_S256-512")]
    assert (drawing.hours, drawing.disk) == (0, 4 * 138_357_544)


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
