"""A run's facts and paths, and what rules of data, training and evaluation are given."""

import copy
import dataclasses

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.runs import FULL, MINIATURE, RELEASED, run_of
from workflow_scripts import evaluate, evaluate_boxes, train
from workflow_scripts.vgg.core.declarations import choices_of
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.images import Resizing
from workflow_scripts.vgg.localisation.guesses import Clipping
from workflow_scripts.vgg.localisation.merging import Merging
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.settings import (
    data_rules,
    evaluation_rules,
    test_time_choices,
    training_rules,
)
from workflow_scripts.vgg.settings.experiments import Evaluation
from workflow_scripts.vgg.settings.run import read_run


def told(base=MINIATURE, **changes):
    """What is said of a configuration that is refused."""
    with pytest.raises(InputError) as raised:
        run_of(base, **changes)
    return str(raised.value)


# Reading

IMPORTED = {"A_S256": {"file": "w/a b.npz", "format": "own"}}
NO_KIT = {"archives": {"devkit": None}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"train": {"wieght_decay": 0.1}},
            "train.wieght_decay: there is no such key; did you mean",
        ),
        ({"tables": ["config/tables.yaml"] * 2}, "config/tables.yaml has a table table1 already"),
        ({"models": "config/nowhere.yaml"}, "config/nowhere.yaml: no such file"),
        (
            {"weights": {"import": {"F_S256": {"file": "f.pth", "format": "torchvision"}}}},
            "weights.import: F_S256 is not in config/models.yaml",
        ),
        (
            {"weights": {"train": False}},
            "weights: `train` is false and `import` is empty, so there is no model",
        ),
        ({"train": {"observer": "mine.py:f"}}, "train.observer: mine.py is no file; name a file"),
        (
            {"data": NO_KIT},
            "data.archives.devkit: is null, but without the development kit the classes and labels "
            "of ILSVRC-2012's archives are not known; name its file, ILSVRC2012_devkit_t12.tar.gz",
        ),
        (
            {"data": {"directory": "elsewhere"}},
            "data.directory: elsewhere is no folder in resources/, where alone the miniature is "
            "drawn; name one of letters, digits and _.-, such as resources/miniature",
        ),
        (
            {"data": {"source": "folder", "without": ["sizes"]}},
            "data.without: sizes can be left out of drawn images only, and data.source is folder",
        ),
        (
            {"train": {"processes": 3, "nodes": 2}},
            "train: 3 processes cannot be shared evenly by 2 nodes",
        ),
    ],
)
def test_a_slip_in_the_configuration_is_named(changes, complaint):
    assert complaint in told(**changes)


def test_an_answer_to_an_unknown_submission_is_named(tmp_path):
    (tmp_path / "answers.yaml").write_text("F_both: {top5_test: 7, date: 2026-11-24}\n")
    complaint = told(FULL, server_answers=str(tmp_path / "answers.yaml"))
    assert "no row has a submission F_both; there are ilsvrc_submission" in complaint


def test_the_configuration_is_changed_to_what_is_meant(monkeypatch):
    monkeypatch.setenv("SITE", "/site")
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / FULL).read_text())
    given = {"seeds": ["0", "2"], "pictures": "null"}
    config |= copy.deepcopy(given)
    config["data"]["directory"] = "$SITE/ilsvrc"
    run = read_run(config, [FULL], given)
    assert run.config is config
    assert (config["seeds"], config["pictures"]) == ([0, 2], None)
    assert config["data"]["directory"] == "/site/ilsvrc"
    assert yaml.safe_load(run.resolved) == config
    assert list(yaml.safe_load(run.resolved)) == list(config)


# Facts

TRAININGS = [
    "A_S256", "A-LRN_S256", "B_S256", "B-5x5_S256", "C_S256", "D_S256", "E_S256", "C_S384",
    "D_S384", "E_S384", "C_S256-512", "D_S256-512", "E_S256-512", "D_S256-512_fc",
    "D_S384_scr_fc", "D_S384_pcr_fc", "D_S384_pcr", "D_S256_pcr",
]  # fmt: skip


OTHER_SETS = ["voc2007", "voc2012", "voc2012_action", "caltech101", "caltech256"]


def test_the_miniature_trains_all_models_and_tests_on_both_splits():
    run = run_of()
    assert run.available == run.trained == TRAININGS
    assert (run.results, run.logs) == ("results/miniature", "logs/miniature")
    assert run.labelled_splits == ["val", "test"]
    assert run.described == ["table1", "table2"]
    assert run.measured == ["table3", "table4", "table5", "table6", "table7"]
    of_ilsvrc = ["train_S256", "train_S384", "train_S256-512", "val", "test"]
    assert run.packed_stores == of_ilsvrc + OTHER_SETS
    assert run.by_size(32000, 1500) == 1500
    assert list(run.submitted) == ["ilsvrc_submission", "D_E_dense", "D_E_both", "E_both"]
    assert run.device == run.place == "--device auto"


def test_released_weights_are_tested_and_nothing_is_trained():
    run = run_of(RELEASED)
    assert (run.available, run.trained) == (["D_S256-512", "E_S256-512"], [])
    assert (run.packed_splits, run.packed_stores) == (["val"], ["val", *OTHER_SETS])
    assert run.submitted == {}
    assert run.by_size(32000, 1500) == 32000
    assert list(run.measurable) == list(test_time_choices.MEASURED_BY)


def test_withheld_labels_leave_the_test_set_to_the_submissions():
    run = run_of(FULL)
    assert run.labelled_splits == ["val"]
    assert run.packed_splits == ["train", "val", "test"]
    assert run_of(FULL, data={"test": "absent"}).packed_splits == ["train", "val"]


def test_a_run_without_the_page_of_pictures_looks_at_nothing():
    run = run_of(pictures=None)
    assert (run.looked_through, run.examined) == ([], [])
    dense = [Evaluation("D_S256-512", "dense", Q) for Q in (256, 384, 512)]
    assert run_of().looked_through == [*dense, Evaluation("D_S256-512", "multicrop", 384)]


def test_every_seed_but_the_first_has_a_folder_of_its_own():
    run = run_of(seeds=[3, 1], weights={"import": IMPORTED})
    assert run.replicates == {1: "seed1/"}
    assert run.of_all_seeds("weights/{model}.safetensors", ["A_S256", "B_S256"]) == [
        "results/miniature/weights/A_S256.safetensors",  # imported weights have no seed
        "results/miniature/weights/B_S256.safetensors",
        "results/miniature/seed1/weights/B_S256.safetensors",
    ]
    own = [Evaluation(model, "dense", 256) for model in ("A_S256", "B_S256")]
    assert run.posteriors(own, "val") == [
        "results/miniature/posteriors/val/A_S256/dense_Q256.parquet",
        "results/miniature/posteriors/val/B_S256/dense_Q256.parquet",
        "results/miniature/seed1/posteriors/val/B_S256/dense_Q256.parquet",
    ]
    assert run.posteriors(own[1:], "val", run.seeds[:1]) == [
        "results/miniature/posteriors/val/B_S256/dense_Q256.parquet"
    ]


def test_shards_are_counted_by_split():
    run = run_of()
    assert run.shards("train_S256") == [
        "results/miniature/shards/train_S256/00000.arrow",
        "results/miniature/shards/train_S256/00001.arrow",
    ]
    assert run.shards("val", "packing", "json") == ["results/miniature/packing/val/00000.json"]


# Choices

SCHEMA = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
KNOWN = SCHEMA["properties"]["choices"]["properties"]


@pytest.mark.parametrize(
    ("stage", "declarations"),
    [
        ("training", train.CHOICES),
        ("evaluation", evaluate.DECIDING),
        ("packing", (Resizing,)),
        ("box_training", train.OF_BOXES),
        ("boxes", evaluate_boxes.DECIDING),
        ("localisation", (Merging, Clipping)),
        ("scoring", (Scoring,)),
    ],
)
def test_the_schema_has_the_choices_that_a_stage_declares(stage, declarations):
    of_schema = {n: tuple(e["enum"]) for n, e in KNOWN.items() if stage in e["decides"]}
    assert of_schema == choices_of(*declarations)


def test_every_choice_decides_something_and_those_of_evaluation_are_measured():
    stages = {"training", "packing", "evaluation", "box_training", "boxes", "localisation"}
    stages |= {"scoring", "descriptors", "classifiers", "measuring", "importing"}
    assert all(entry["decides"] and set(entry["decides"]) <= stages for entry in KNOWN.values())
    assert list(run_of().choices_deciding("evaluation")) == list(test_time_choices.MEASURED_BY)


def test_a_choice_of_training_that_is_new_is_an_option_of_the_command():
    run = run_of()
    schema = copy.deepcopy(run.schema)
    new = {"description": "Even or odd.", "decides": ["training"], "enum": ["even", "odd"]}
    schema["properties"]["choices"]["properties"]["new_choice"] = new
    config = {**run.config, "choices": {**run.choices, "new_choice": "odd"}}
    changed = dataclasses.replace(run, config=config, schema=schema)
    before = training_rules.training_options(run, "A_S256", "")
    place = before.index("--crop")
    assert training_rules.training_options(changed, "A_S256", "") == [
        *before[:place], "--new-choice", "odd", *before[place:],
    ]  # fmt: skip
    assert evaluation_rules.evaluation_options(changed) == evaluation_rules.evaluation_options(run)


# Data

KIT = "resources/ilsvrc2012/ILSVRC2012_devkit_t12.tar.gz"
INDEXED = {  # source → options of the validation set's index
    "archives": f"--archive resources/ilsvrc2012/ILSVRC2012_img_val.tar --images 50000 "
    f"--ground-truth {KIT}",
    "kaggle": "--tree resources/ilsvrc2012/ILSVRC/Data/CLS-LOC/val --images 50000 "
    "--ground-truth resources/ilsvrc2012/LOC_val_solution.csv",
    "huggingface": "--unpacked results/ilsvrc2012/unpacked/val/00000.parquet "
    "results/ilsvrc2012/unpacked/val/00001.parquet --images 50000",
    "folder": "--tree resources/ilsvrc2012/val --images 50000",
}
TRAINING = {
    "archives": "--archive resources/ilsvrc2012/ILSVRC2012_img_train.tar --images 1281167",
    "kaggle": "--tree resources/ilsvrc2012/ILSVRC/Data/CLS-LOC/train --images 1281167",
    "huggingface": "--unpacked results/ilsvrc2012/unpacked/train/00000.parquet --images 1281167",
    "folder": "--tree resources/ilsvrc2012/train --images 1281167",
}
LISTED = {  # source without a development kit → options of the list of classes
    "kaggle": "--synsets resources/ilsvrc2012/LOC_synset_mapping.txt",
    "huggingface": "--huggingface resources/ilsvrc2012",
    "folder": "--folders resources/ilsvrc2012/train",
}


@pytest.mark.parametrize("source", INDEXED)
def test_an_index_is_told_where_images_and_labels_are(source):
    shards = {"train": 1, "val": 2, "test": 1}
    run = run_of(FULL, data={"source": source, "shards": shards})
    assert data_rules.index_options(run, "val") == INDEXED[source].split()
    assert data_rules.index_options(run, "train") == [*TRAINING[source].split(), "--every-class"]
    test = data_rules.index_options(run, "test")
    assert test[-3:] == ["--images", "100000", "--unlabelled"]
    assert data_rules.class_list_options(run) == ["--devkit", KIT, "--classes", "1000"]


@pytest.mark.parametrize("source", LISTED)
def test_classes_are_listed_in_the_sources_own_way_without_a_kit(source):
    run = run_of(FULL, data={"source": source, **NO_KIT})
    assert data_rules.class_list_options(run) == [*LISTED[source].split(), "--classes", "1000"]
    assert data_rules.verified_kit(run) == []
    assert run.submitted == {}, "answers are numbered as the kit numbers classes"


def test_classes_of_folders_are_those_of_val_where_nothing_is_trained():
    run = run_of(RELEASED, data={"source": "folder", **NO_KIT})
    expected = ["--folders", "resources/ilsvrc2012/val", "--classes", "1000"]
    assert data_rules.class_list_options(run) == expected


def test_labels_of_the_test_set_and_any_number_of_images():
    run = run_of(data={"images": {"test": None}, "source": "archives"})
    assert data_rules.index_options(run, "test") == [
        "--archive", "resources/miniature/ILSVRC2012_img_test_v10102019.tar",
        "--ground-truth", "resources/miniature/ILSVRC2012_test_ground_truth.txt",
    ]  # fmt: skip


def test_archives_with_an_md5_are_verified_before_they_are_read():
    run, results = run_of(FULL), "results/ilsvrc2012/verified"
    assert data_rules.verified_for(run, "train") == [f"{results}/train.json"]
    assert data_rules.verified_for(run, "val") == [f"{results}/val.json", f"{results}/devkit.json"]
    assert data_rules.verified_kit(run) == f"{results}/devkit.json"
    some = run_of(FULL, data={"md5": {"val": None}})
    assert data_rules.verified_for(some, "val") == [f"{results}/devkit.json"]
    assert data_rules.verified_for(run_of(FULL, data={"source": "kaggle"}), "val") == []
    assert data_rules.verified_for(run_of(), "val") == []


def test_only_the_miniature_makes_its_archives():
    assert data_rules.made_archives(run_of()) == "resources/miniature/manifest.json"
    assert data_rules.made_archives(run_of(FULL)) == []


def test_only_parquet_files_are_unpacked():
    assert data_rules.unpacked(run_of(), "val", "images") == []
    run = run_of(FULL, data={"source": "huggingface", "shards": {"val": 1}})
    unpacked = data_rules.unpacked(run, "val", "images")
    assert unpacked == ["results/ilsvrc2012/unpacked/val/00000.images"]


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("val", "--shards 1 --crop 96 --on-bad-image error"),
        (
            "train_S256",
            "--shards 2 --crop 96 --on-bad-image error --smallest-side 110 --resize-filter bicubic "
            "--jpeg-quality 95",
        ),
        (
            "train_S256-512",
            "--shards 2 --crop 96 --on-bad-image error --smallest-side 219 --only-shrink "
            "--resize-filter bicubic --jpeg-quality 95",
        ),
    ],
)
def test_training_images_are_packed_at_s_and_others_as_they_are(store, words):
    assert data_rules.packing_options(run_of(), store) == words.split()


def test_statistics_are_measured_at_the_smallest_scale():
    run = run_of(weights={"import": {m: IMPORTED["A_S256"] for m in TRAININGS if "256" in m}})
    assert run.stores("train") == ["train_S384"]
    assert data_rules.statistics_shards(run) == run.shards("train_S384")
    assert data_rules.statistics_shards(run_of()) == run_of().shards("train_S256")
    assert data_rules.statistics_shards(run_of(RELEASED)) == []


# Trainings


def test_a_training_is_told_all_that_decides_its_result():
    run = run_of(FULL, seeds=[0, 7], train={"compile": True})
    assert training_rules.training_options(run, "D_S256-512_fc", "seed7/") == [
        "--model", "D_S256-512_fc", "--net", "D", "--layers", run.convnets["D"],
        "--train-scale", "256", "512", "--inherit", "all", "--trainable", "fc",
        "--learning-rate", "0.001", "--iterations", "185000", "--latest-drops", "0.7", "0.9",
        "--batch-size", "256", "--momentum", "0.9", "--weight-decay", "0.0005", "--dropout", "0.5",
        "--validation-interval", "5000", "--patience", "5", "--margin", "0.0", "--input-scale", "1",
        "--precision", "auto", "--compile", "--initialisation", "normal-std-0.01",
        "--transferred-convs", "by-shape", "--biases", "as-weights", "--lrn", "krizhevsky",
        "--colour-shift", "pca-root-eigenvalues", "--scale-sampling", "uniform-integer",
        "--resize-filter", "bicubic", "--last-batch", "wrap", "--validation-set", "reported",
        "--crop", "224", "--fc", "4096", "--width-divisor", "1", "--classes", "1000",
        "--seed", "7",
    ]  # fmt: skip


def test_how_a_training_runs_is_no_part_of_what_decides_its_result(tmp_path):
    (tmp_path / "{a} b.py").touch()
    one = run_of()
    other = run_of(
        train={
            "processes": 4, "nodes": 2, "micro_batch": 3, "flat_line_iterations": None,
            "tensorboard": True, "observer": f"{tmp_path}/{{a}} b.py:c",
        }
    )  # fmt: skip
    assert training_rules.training_options(one, "A_S256", "") == (
        training_rules.training_options(other, "A_S256", "")
    )
    assert training_rules.running_options(one) == (
        "--checkpoint-seconds 600 --flat-line-iterations 1000"
    )
    assert training_rules.running_options(other) == (
        f"--checkpoint-seconds 600 --micro-batch 3 --observer '{tmp_path}/{{{{a}}}} b.py:c' "
        "--tensorboard "
        "results/miniature/{wildcards.replicate}tensorboard/{wildcards.model}"
    )
    assert (other.processes, other.nodes, other.processes_per_node) == (4, 2, 2)


def test_the_rate_of_a_stage_multiplies_the_models():
    words = training_rules.training_options(run_of(), "B_S256", "")
    assert words[words.index("--learning-rate") + 1] == "0.0015"
    assert words[words.index("--train-scale") + 1 :][:2] == ["256", "256"]


def test_a_training_starts_from_its_parent_of_the_same_seed():
    run = run_of(seeds=[0, 2], weights={"import": IMPORTED})
    results = "results/miniature"
    of = {
        ("D_S384", ""): f"{results}/weights/D_S256.safetensors",
        ("D_S384", "seed2/"): f"{results}/seed2/weights/D_S256.safetensors",
        ("D_S256", "seed2/"): f"{results}/weights/A_S256.safetensors",  # imported
        ("B-5x5_S256", "seed2/"): [],
    }
    assert {key: training_rules.parent_weights(run, *key) for key in of} == of
    assert [training_rules.seed_of(run, replicate) for replicate in ("", "seed2/")] == [0, 2]


def test_the_longest_chain_of_trainings_comes_first():
    waiting = {m: training_rules.trainings_that_wait(run_of(), m) for m in TRAININGS}
    assert waiting == {
        "A_S256": 4, "A-LRN_S256": 1, "B_S256": 1, "B-5x5_S256": 1, "C_S256": 3, "D_S256": 3,
        "E_S256": 3, "C_S384": 2, "D_S384": 2, "E_S384": 2, "C_S256-512": 1, "D_S256-512": 1,
        "E_S256-512": 1, "D_S256-512_fc": 1,
        "D_S384_scr_fc": 1, "D_S384_pcr_fc": 1, "D_S384_pcr": 1, "D_S256_pcr": 1,
    }  # fmt: skip


def test_a_held_out_part_needs_no_validation_images_in_training():
    assert training_rules.validation_shards(run_of()) == run_of().shards("val")
    held_out = run_of(choices={"validation_set": "held-out"})
    assert training_rules.validation_shards(held_out) == []
    assert training_rules.training_shards(held_out, "C_S256-512") == (
        held_out.shards("train_S256-512")
    )


def test_imported_weights_have_a_file_and_the_net_that_it_must_fit():
    run = run_of(weights={"import": IMPORTED})
    assert training_rules.import_options(run, "A_S256") == [
        "--model", "A_S256", "--net", "A", "--layers", run.convnets["A"], "--scale", "256", "256",
        "--crop", "96", "--fc", "512", "--width-divisor", "16", "--classes", "10",
        "--file", "w/a b.npz", "--format", "own",
    ]  # fmt: skip


TORCHVISIONS = {"A_S256": {"file": "w/a.pth", "format": "torchvision"}}


@pytest.mark.parametrize(
    ("base", "imported", "classes", "may_know_more"),
    [
        (MINIATURE, TORCHVISIONS, 10, True),
        (MINIATURE, IMPORTED, {"number": 6, "seed": 0}, True),
        (MINIATURE, IMPORTED, 10, False),
        (FULL, TORCHVISIONS, 1000, False),
        (FULL, IMPORTED, 1000, False),
    ],
)
def test_classes_are_listed_for_weights_that_may_know_more(base, imported, classes, may_know_more):
    run = run_of(base, data={"classes": classes}, weights={"train": True, "import": imported})
    listed = [f"{run.results}/classes.parquet"] if may_know_more else []
    assert training_rules.known_classes(run, "A_S256") == (listed[0] if listed else [])
    words = training_rules.import_options(run, "A_S256")
    assert ("--subset-posteriors" in words) is may_know_more


def test_checkpoints_are_discarded_where_the_weights_are_there(tmp_path, monkeypatch):
    run = run_of(seeds=[0, 1])
    monkeypatch.chdir(tmp_path)
    for model in ("A_S256", "B_S256"):
        for seed in ("", "seed1/"):
            (tmp_path / f"{run.results}/{seed}checkpoints/{model}").mkdir(parents=True)
    weights = tmp_path / f"{run.results}/seed1/weights/A_S256.safetensors"
    weights.parent.mkdir()
    weights.touch()
    training_rules.discard_checkpoints(run)
    left = {str(p.relative_to(tmp_path / run.results)) for p in tmp_path.rglob("?_S256")}
    assert left == {"checkpoints/A_S256", "checkpoints/B_S256", "seed1/checkpoints/B_S256"}


# Evaluations


def test_an_evaluation_is_told_all_that_decides_its_posteriors():
    expected = [
        "--score-average", "before-softmax", "--pool-rounding", "floor",
        "--crop-grid", "whole-image", "--resize-filter", "bicubic", "--batch-size", "128",
        "--precision", "tf32",
    ]  # fmt: skip
    run = run_of(FULL)
    assert evaluation_rules.evaluation_options(run) == expected
    place = expected.index("floor")
    changed = [*expected[:place], "ceil", *expected[place + 1 :]]
    assert evaluation_rules.evaluation_options(run, pool_rounding="ceil") == changed
    assert evaluation_rules.evaluation_options(run, precision="float32") == [
        *expected[:-1], "float32",
    ]  # fmt: skip


def test_dense_evaluation_takes_more_cores_than_crops():
    run = run_of(FULL)
    methods = ("dense", "multicrop", "center")
    assert [evaluation_rules.evaluation_threads(run, m) for m in methods] == [16, 4, 16]
    assert {evaluation_rules.evaluation_threads(run_of(), m) for m in methods} == {1}
