"""What features for other data sets will cost (appendix B)."""

import numpy as np
import pytest

from tests.helpers.clones import (
    ROOT,
)
from tests.helpers.planned import (
    ACTING,
    BOTH,
    FULL,
    POOLED,
    RANDOM,
    STACKED,
    counted,
    dense_by_hand,
    planner,
)
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.examples import Examples, write_examples
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.planning import feature_costs
from workflow_scripts.vgg.planning.feature_jobs import (
    classifying,
    describing,
    reading,
    source_bytes,
)
from workflow_scripts.vgg.settings.transferred_rows import Description


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
