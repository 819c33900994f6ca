"""What boxes and guesses will cost (appendix A)."""

import pyarrow as pa
import pytest

from tests.helpers.clones import (
    ROOT,
)
from tests.helpers.flop_by_hand import FC, FIRST, by_hand
from tests.helpers.planned import (
    CENTRAL,
    FC_1,
    FIXED,
    FUSED,
    LABELS,
    LAST,
    MEAN,
    dense_by_hand,
    planner,
)
from workflow_scripts.vgg.planning import box_costs
from workflow_scripts.vgg.planning.box_jobs import boxes, guesses, true_boxes
from workflow_scripts.vgg.settings.experiments import Evaluation
from workflow_scripts.vgg.settings.localised_rows import BoxEvaluation


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
