"""What follows from `data.classes`: facts, rules' options and plans; the documented subsets."""

import functools
import hashlib
import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.runs import FULL, MINIATURE, changed, run_of
from workflow_scripts import plan
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources.miniature.writing import SYNSETS
from workflow_scripts.vgg.planning.planner import Planner
from workflow_scripts.vgg.settings import data_rules, report_rules, training_rules
from workflow_scripts.vgg.settings.class_subsets import named_classes

WNIDS = ["n00001561", "n00000205", "n00001207", "n00000347", "n00000951", "n00000812"]
DRAWN = {"number": 7, "seed": 2}
CMC = "79f3f1552ccc478ce24bd934b4573625db584ddc1f4643ae23c994a94cb11397"
DOCS = (ROOT / "docs/subsets.md").read_text()


def with_classes(classes, base=MINIATURE, **data):
    return _read(base, json.dumps({"classes": classes, **data}))


@functools.cache
def _read(base, data):
    return run_of(base, data=json.loads(data))


@pytest.fixture
def in_file(tmp_path):
    (tmp_path / "mine.txt").write_text("# six\n" + "".join(f"{wnid} words\n" for wnid in WNIDS))
    return str(tmp_path / "mine.txt")


def test_the_number_of_classes_is_a_number_however_they_are_named(in_file):
    for classes, number in ((10, 10), (WNIDS, 6), (in_file, 6), (DRAWN, 7)):
        run = with_classes(classes)
        assert run.classes == number
        assert run.is_subset == (classes != 10)
        assert f"--classes {number} " in " ".join(
            training_rules.training_options(run, "A_S256", "")
        )


def test_a_file_is_recorded_as_the_classes_in_it(in_file):
    """So that what is recorded does not change with the file, and words and order count nothing."""
    runs = [with_classes(classes) for classes in (WNIDS, WNIDS[::-1], in_file)]
    for run in runs:
        assert run.data["classes"] == sorted(WNIDS)
        assert run.resolved == runs[0].resolved
        assert data_rules.class_list_options(run) == data_rules.class_list_options(runs[0])


def test_the_classes_are_options_of_their_list():
    kit = ["--devkit", "resources/miniature/ILSVRC2012_devkit_t12.tar.gz"]
    assert data_rules.class_list_options(run_of()) == [*kit, "--classes", "10"]
    listed = [*kit, "--only", *sorted(WNIDS)]
    assert data_rules.class_list_options(with_classes(WNIDS)) == listed
    drawn = [*kit, "--draw", "7", "--seed", "2"]
    assert data_rules.class_list_options(with_classes(DRAWN)) == drawn


def test_the_miniature_is_drawn_whole_whatever_is_chosen_of_it():
    """Else a subset would draw another miniature over that of other runs."""
    assert len(SYNSETS) == data_rules.DRAWN_CLASSES
    options = data_rules.drawing_options(run_of())
    assert options[:2] == ["--classes", "10"]
    assert data_rules.drawing_options(with_classes(WNIDS)) == options
    index = data_rules.index_options(with_classes(WNIDS), "val")
    assert "--images" not in index
    assert "--images" in data_rules.index_options(run_of(), "val")
    of_folders = with_classes(WNIDS, source="folder", images={"val": 30})
    assert data_rules.index_options(of_folders, "val")[-2:] == ["--images", "30"]


@pytest.mark.parametrize("classes", [11, {"number": 11, "seed": 3}])
def test_more_classes_than_are_drawn_are_refused_before_anything_is(classes):
    with pytest.raises(InputError, match="11 classes, but the miniature has 10; lower the number"):
        with_classes(classes)


def test_drawn_images_have_a_number():
    with pytest.raises(InputError, match=r"data\.images\.val: is null, but of the miniature"):
        with_classes(10, images={"val": None})


def test_hugging_faces_rows_wait_for_the_classes_of_a_subset_alone():
    whole, some = (
        with_classes(classes, source="huggingface", archives={"devkit": None}, test="absent")
        for classes in (10, WNIDS)
    )
    assert data_rules.classes_to_unpack(whole) == []
    assert data_rules.classes_to_unpack(some) == ["results/miniature/classes.parquet"]


def test_a_subset_has_no_withheld_test_set():
    with pytest.raises(InputError) as raised:
        with_classes({"number": 100, "seed": 0}, FULL)
    assert str(raised.value) == (
        "data.test: is withheld, so which test images are of the classes in data.classes is not "
        "known; set data.test: absent, or labelled where there is a ground truth"
    )
    assert with_classes({"number": 100, "seed": 0}, FULL, test="absent").labelled_splits == ["val"]


def test_of_a_labelled_test_set_errors_are_measured_and_nothing_is_sent():
    run = with_classes(WNIDS)
    assert run.labelled_splits == ["val", "test"]
    assert run.packed_splits == ["train", "val", "test"]
    assert (run.submitted, run.box_submitted) == ({}, {})
    assert run_of().submitted


def test_localisation_works_with_a_subset():
    run = with_classes(WNIDS)
    assert run.boxed_splits == ["val", "test"]
    assert run.guess_rows.keys() == run_of().guess_rows.keys()


def test_a_plan_is_of_the_classes_alone(tmp_path):
    """The miniature's numbers are of all ten classes; other sources' of the subset."""
    of_six, of_ten = (
        Planner(run.config, run.convnets, run.models, tmp_path)
        for run in (with_classes(WNIDS), run_of())
    )
    assert (of_ten.images("train"), of_six.images("train")) == (4000, 2400)
    assert (of_ten.images("val"), of_six.images("val")) == (1000, 600)
    config = changed(of_six.config, {"data": {"source": "kaggle"}})
    assert Planner(config, of_six.convnets, of_six.models, tmp_path).images("val") == 1000
    D = [one.net_of("D_S256").architecture.classes for one in (of_six, of_ten)]
    assert D == [6, 10]


# ImageNet-100 and Imagenette


def read(name):
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())


@functools.cache
def configured(name, **plan_rates):
    """The run of the paper's configuration with another laid over it."""
    more = read(name)
    assert more["experiment"] == name
    return run_of(FULL, **changed(more, {"plan": plan_rates}))


def test_the_classes_of_imagenet_100_are_those_of_their_authors():
    lines = (ROOT / "config/imagenet100.txt").read_text().splitlines()
    wnids = [line.split()[0] for line in lines if not line.startswith("#")]
    assert wnids[:7] == [
        "n02869837", "n01749939", "n02488291", "n02107142", "n13037406", "n02091831", "n04517823",
    ]  # fmt: skip
    # Of imagenet100.txt in the authors' repository, a WNID a line
    own = "".join(f"{wnid}\n" for wnid in wnids).encode()
    assert hashlib.sha256(own).hexdigest() == CMC
    assert named_classes("config/imagenet100.txt", "archives") == sorted(wnids)
    assert configured("imagenet100").classes == len(set(wnids)) == 100


def test_the_classes_of_imagenet_100_are_ilsvrcs():
    timm = importlib.util.find_spec("timm")
    if timm is None:
        pytest.skip("timm lists ILSVRC's classes")
    info = Path(timm.origin).parent / "data/_info"
    known = (info / "imagenet_synsets.txt").read_text().split()
    assert len(known) == 1000
    described = (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    words_of = dict(line.split("\t", 1) for line in described)
    for line in (ROOT / "config/imagenet100.txt").read_text().splitlines():
        if not line.startswith("#"):
            wnid, words = line.split(maxsplit=1)
            assert wnid in known
            assert words == words_of[wnid]


@pytest.mark.parametrize("name", ["imagenet100", "imagenette"])
def test_schedules_are_the_papers_epochs(name):
    full, own = run_of(FULL).config, configured(name).config
    share = own["data"]["images"]["train"] / full["data"]["images"]["train"]
    batches = full["train"]["batch_size"] / own["train"]["batch_size"]
    for stage, entry in full["train"]["stages"].items():
        scaled = entry["iterations"] * share * batches
        found = own["train"]["stages"][stage]
        assert found["iterations"] == pytest.approx(scaled, rel=0.005)
        assert (found["rate_factor"], found["latest_drops"]) == (
            entry["rate_factor"],
            entry["latest_drops"],
        )
    epoch = own["data"]["images"]["train"] / own["train"]["batch_size"]
    assert own["train"]["validation_interval"] == round(epoch)


def test_the_documented_schedules_are_the_configured_ones():
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]*?) \| ([^|]*?) \| ([^|]*?) \|$", DOCS, flags=re.M)
    told = {label: values for label, *values in rows}
    runs = [run_of(FULL), configured("imagenet100"), configured("imagenette")]
    of_train = {
        "batch": "batch_size",
        "iterations between validations": "validation_interval",
        "validations without improvement that make a plateau": "patience",
    }
    expected = {
        "training images": [run.data["images"]["train"] for run in runs],
        "iterations from random weights, and from A's layers": [
            run.config["train"]["stages"]["scratch"]["iterations"] for run in runs
        ],
        "iterations of fine-tuning": [
            run.config["train"]["stages"]["fine_tuned"]["iterations"] for run in runs
        ],
        **{label: [run.config["train"][key] for run in runs] for label, key in of_train.items()},
    }
    for label, values in expected.items():
        assert [v.removesuffix(" (ours)") for v in told[label]] == [f"{v:,}" for v in values]
    for run in runs:
        stages = run.config["train"]["stages"]
        assert stages["transferred"]["iterations"] == stages["scratch"]["iterations"]


def planned(run, folder):
    """The plan of a run, as `snakemake plan` makes it."""
    (folder / "config.yaml").write_text(run.resolved)
    words = report_rules.planned_jobs(run)
    for name, value in (
        ("--results", folder),
        ("--records", folder),
        ("--page", folder / "plan.html"),
        ("--output", folder / "plan"),
    ):
        words[words.index(name) + 1] = str(value)
    if "--rates" in words:  # this machine's, where it was measured
        del words[words.index("--rates") :][:2]
    plan.main(["--config", str(folder / "config.yaml"), *words])
    return json.loads((folder / "plan.json").read_text())


@pytest.mark.slow
def test_the_documented_costs_are_the_plans(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    costs = re.findall(
        r"^\| (.+?) \| (.+?) \| (\d+), (\d+), (\d+) \| ([\d.]+) \| (\d+) \|$", DOCS, re.M
    )
    assert len(costs) == 5
    plans = {}
    for label, card, *rates, hours, disk in costs:
        name = "imagenette" if label == "Imagenette" else "imagenet100"
        keys = ("train_tflops", "evaluate_tflops", "check_tflops")
        run = configured(name, **dict(zip(keys, map(int, rates), strict=True)))
        if label == "without localisation":
            no_boxes = {"train_boxes": None, "val_boxes": None}
            run = run_of(FULL, **changed(read(name), {"data": {"archives": no_boxes}}))
        folder = tmp_path / f"{label} {card}"
        folder.mkdir()
        found = plans[label, card] = planned(run, folder)
        assert round(found["totals"]["device_hours"], 1) == float(hours), label
        assert round(found["totals"]["disk"] / 1e9) == int(disk), label
        if (label, card) in (("ImageNet-100", "A100"), ("Imagenette", "RTX 4090")):
            assert [read(name)["plan"][key] for key in keys] == [int(rate) for rate in rates]
    part, whole = re.search(r"in ([\d.]+) of the RTX 4070's ([\d.]+) hours", DOCS).groups()
    of_table_5 = {
        "train_convnet": r"A_S256|[DE]_S(256|384|256-512)",
        "evaluate_convnet": r"val_[DE]_S256-512_(dense|multicrop)_Q\d+",
        "evaluate_choice": r"precision=float32_val_D_S256-512_dense_Q\d+",  # its first row
    }
    own = [
        job["hours"]
        for job in plans["Imagenette", "RTX 4070"]["jobs"]
        if re.fullmatch(of_table_5.get(job["rule"], ""), job["name"])
    ]
    assert len(own) == 7 + 12 + 3
    assert round(sum(own), 1) == float(part)
    assert whole == next(hours for _, card, *_, hours, _ in costs if card == "RTX 4070")
