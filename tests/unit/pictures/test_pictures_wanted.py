"""Which pictures are asked for: the shipped wishes, slips in them, and models that are missing."""

import json

import jsonschema
import pytest
import yaml

from tests.helpers.feature_results import DATA_SETS
from tests.helpers.pages import Page
from tests.helpers.pictured_run import (
    FILES,
    MODEL,
    MODELS,
    OF_TABLES,
    SCALES,
    SCHEMA,
    TABLES,
    WANTED,
    lines_of,
    page_of,
    read,
)
from tests.helpers.runs import MINIATURE, RELEASED, run_of
from workflow_scripts import examine_boxes, examine_errors, examine_features, look_through_net
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import localisation_rules, pictures_wanted
from workflow_scripts.vgg.settings.experiments import Evaluation


def test_what_needs_missing_models_is_left_out_and_said_so(
    made, results, shard_paths, classes, tmp_path
):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "classes.parquet").write_bytes((results / "classes.parquet").read_bytes())
    words = [*FILES, "--results", str(bare), "--shards", *shard_paths("val")]
    words += ["--models", "A_S256", "E_S256-512", "--output", str(tmp_path)]
    look_through_net.main(words)
    examine_errors.main([*words, *OF_TABLES])
    examine_boxes.main([*words[:-1], str(tmp_path / "boxes.json"), *OF_TABLES])
    assert read(tmp_path / "boxes.json")["missing"] == ["D_S256_pcr", "D_S384_pcr"]
    examine_features.main([*words, *OF_TABLES, "--data-sets", json.dumps(DATA_SETS)])
    assert not list(tmp_path.glob("*.svg"))
    for name in ("score_maps", "crops", "images", "classes", "features"):
        assert read(tmp_path / f"{name}.json")["missing"] == [MODEL]
    assert lines_of(tmp_path / "images.csv") == lines_of(tmp_path / "classes.csv") == []
    page = Page(page_of(made, tmp_path))
    text = " ".join(page.text.split())
    assert text.count(f"Left out: this run has no {MODEL}.") == 7
    assert text.count("Left out: this run has no D_S256_pcr and no D_S384_pcr.") == 1
    assert page.tags["img"] == 1, "the filters"
    wanted = pictures_wanted.looked_through(WANTED, ["A_S256", "E_S256-512"])
    assert wanted == pictures_wanted.examined(WANTED, TABLES, ["A_S256"]) == []


def test_one_net_suffices_for_what_is_asked_of_it_alone(results, shard_paths, tmp_path):
    alone = WANTED | {
        "images": {"nets": {}, "fusion": "table5/D_both", "hardest": 2, "best_fused": 3},
        "classes": WANTED["classes"] | {"row": "table5/D_both"},
    }
    (tmp_path / "alone.yaml").write_text(yaml.safe_dump(alone))
    jsonschema.validate(alone, SCHEMA)
    words = ["--pictures", str(tmp_path / "alone.yaml"), *OF_TABLES, "--results", str(results)]
    words += ["--shards", *shard_paths("val"), "--models", MODEL, "--output", str(tmp_path)]
    examine_errors.main(words)
    content = read(tmp_path / "images.json")
    assert (len(content["hardest"]), content["best_fused"]) == (2, [])
    assert [s["system"] for s in content["hardest"][0]["systems"]] == ["fusion"]
    expected = {Evaluation(MODEL, m, Q) for m in ("dense", "multicrop") for Q in SCALES}
    assert set(pictures_wanted.examined(alone, TABLES, [MODEL])) == expected


def test_the_shipped_wishes_fit_their_schema_and_name_what_there_is():
    jsonschema.validate(WANTED, SCHEMA)
    pictures_wanted.check_pictures(WANTED, MODELS["models"], TABLES)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("score_maps", {"q": 256}),
        ("score_maps", {"Q": []}),
        ("score_maps", {"Q": [200]}),
        ("crops", {"images": -1}),
        ("images", {"nets": {"fusion": "table5/D_both"}}),
        ("images", {"fusion": "D_both"}),
        ("classes", {"worst": "all"}),
        ("boxes", {"right": -1}),
        ("boxes", {"row": "fusion"}),
        ("boxes", {"images": 4}),
        ("features", {"row": "D_E"}),
        ("features", {"images": -1}),
        ("features", {"recall": {"data_set": "caltech101", "best": 3}}),
        ("features", {"recall": None}),
    ],
)
def test_a_slip_in_what_is_asked_for_is_found(section, change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(WANTED | {section: WANTED[section] | change}, SCHEMA)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("crops", {"model": "F_S256"}, "pictures: crops: F_S256 is not in models.yaml"),
        ("images", {"nets": {"D": "table5/no"}}, "pictures: table5/no is no row of the tables"),
        (
            "crops",
            {"model": "D_S384_pcr"},
            "pictures: crops: D_S384_pcr predicts boxes, so it has no",
        ),
        ("classes", {"row": "table1/A"}, "pictures: table1/A is no row of the tables"),
        ("classes", {"row": "table9/S384"}, "pictures: table9/S384 has no posteriors; name a row"),
        ("boxes", {"row": "table9/no"}, "pictures: table9/no is no row of the tables"),
        ("boxes", {"row": "table8/pcr_all"}, "table8/pcr_all is no row of dense boxes; name one"),
        (
            "boxes",
            {"row": "table6/D_E_both"},
            "table6/D_E_both is no row of dense boxes.*pictures.yaml",
        ),
        ("boxes", {"row": "fixed_boxes/mean_likeliest"}, "mean_likeliest is no row of dense boxes"),
    ],
)
def test_models_and_rows_must_be_defined(section, change, message):
    wanted = WANTED | {section: WANTED[section] | change}
    with pytest.raises(InputError, match=message):
        pictures_wanted.check_pictures(wanted, MODELS["models"], TABLES)


# Features of other data sets


def of_features(**change):
    """The wishes, with changes of those for features."""
    return WANTED | {"features": WANTED["features"] | change}


def recall_of(data_set):
    return {"data_set": data_set, "best": 2, "worst": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row": "table11/F"}, "pictures: table11/F is no row of the tables; expected <table>/"),
        (
            {"row": "table6/D_E_both"},
            "features: table6/D_E_both is no row of features; name one, such as table11/D_E, as "
            "features.row of pictures.yaml",
        ),
        (
            {"data_set": "voc2099"},
            "features: voc2099 is no data set that D_E is measured on; name one of voc2007, "
            "voc2012 as features.data_set of pictures.yaml",
        ),
        (
            {"data_set": "caltech101"},
            "features: caltech101 has one class an image, which gives no curve for each; name one "
            "of voc2007, voc2012 as features.data_set of pictures.yaml",
        ),
        (
            {"row": "feature_scales/mean_of_three", "data_set": "voc2012"},
            "features: mean_of_three is measured on the validation images of voc2012 alone; name "
            "one of voc2007 as features.data_set",
        ),
        (
            {"recall": recall_of("voc2007")},
            "features: voc2007 has several labels an image, so it has no recall by class; name one "
            "of caltech101, caltech256 as features.recall.data_set of pictures.yaml",
        ),
        (
            {"row": "table12/D_E_image", "data_set": "voc2012_action"},
            "features: caltech101 is no data set that D_E_image is measured on; name another row "
            "as features.row of pictures.yaml",
        ),
    ],
)
def test_features_are_those_of_a_row_that_is_measured_so(change, message):
    with pytest.raises(InputError) as caught:
        pictures_wanted.check_pictures(of_features(**change), MODELS["models"], TABLES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "data_set", "message"),
    [
        (
            "table11/D_E",
            "voc2012",
            "pictures: features: the test labels of voc2012 are withheld, so what is right is not "
            "known; name another, such as voc2007, as features.data_set of pictures.yaml",
        ),
        (
            "table12/D_E_image",
            "voc2012_action",
            "pictures: features: voc2012_action has persons, not images; name another, such as "
            "voc2007, as features.data_set of pictures.yaml",
        ),
    ],
)
def test_features_need_images_whose_labels_are_known(row, data_set, message):
    features = {"row": row, "data_set": data_set, "images": 4}
    known = run_of().config["transfer"]["data_sets"]
    wanted = WANTED | {"features": features}
    with pytest.raises(InputError) as caught:
        pictures_wanted.check_pictures(wanted, MODELS["models"], TABLES, known)
    assert str(caught.value) == message
    lacking = known | {data_set: None}
    pictures_wanted.check_pictures(wanted, MODELS["models"], TABLES, lacking)
    pictures_wanted.check_pictures(WANTED, MODELS["models"], TABLES, known)


def rule_of_features(run):
    """Output and inputs of the rule: what is made, and what it is made from."""
    return {
        "made": [pictures_wanted.feature_pictures(run), pictures_wanted.feature_curves(run)],
        "scores": pictures_wanted.feature_scores(run),
        "shards": pictures_wanted.feature_shards(run),
    }


def test_features_come_from_the_first_seeds_classifiers():
    results = "results/miniature"
    assert rule_of_features(run_of(seeds=[3, 1])) == {
        "made": [f"{results}/pictures/features.json", f"{results}/pictures/features.svg"],
        "scores": [
            f"{results}/classifiers/voc2007/D_E.parquet",
            f"{results}/examples/voc2007.parquet",
            f"{results}/classifiers/caltech101/D_E.parquet",
            f"{results}/examples/caltech101.parquet",
        ],
        "shards": [f"{results}/shards/voc2007/00000.arrow"],
    }


@pytest.mark.parametrize("change", [None, {"test": "absent"}], ids=["no set", "no test set"])
def test_recalls_alone_are_shown_of_a_run_without_the_other_data_set(change):
    found = rule_of_features(run_of(transfer={"data_sets": {"voc2007": change}}))
    results = "results/miniature"
    assert found == {
        "made": [f"{results}/pictures/features.json", []],
        "scores": [
            f"{results}/classifiers/caltech101/D_E.parquet",
            f"{results}/examples/caltech101.parquet",
        ],
        "shards": [],
    }


def test_a_run_without_the_nets_makes_a_page_that_says_so():
    one = {"train": False, "import": {"A_S256": {"file": "a", "format": "own"}}}
    boxless = {"archives": {"train_boxes": None, "val_boxes": None}}
    found = rule_of_features(run_of(weights=one, data=boxless))
    made = ["results/miniature/pictures/features.json", []]
    assert found == {"made": made, "scores": [], "shards": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"pictures": None},
        {"transfer": {"data_sets": {"voc2007": None, "caltech101": None}}},
    ],
    ids=["no page", "no data sets"],
)
def test_runs_that_show_no_features_make_no_pictures_of_them(changes):
    assert rule_of_features(run_of(**changes)) == {"made": [[], []], "scores": [], "shards": []}


def test_wishes_without_features_are_for_none(tmp_path):
    bare = {key: own for key, own in WANTED.items() if key != "features"}
    jsonschema.validate(bare, SCHEMA)
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    found = rule_of_features(run_of(pictures=str(tmp_path / "bare.yaml")))
    assert found == {"made": [[], []], "scores": [], "shards": []}


# Inputs of the rule of boxes


def inputs_of_boxes(run):
    return (
        localisation_rules.pictured_guesses(run),
        localisation_rules.pictured_boxes(run),
        localisation_rules.pictured_truth(run),
    )


def test_boxes_come_from_the_first_seeds_guesses_and_what_they_were_made_of():
    results = "results/miniature"
    assert inputs_of_boxes(run_of(seeds=[3, 1])) == (
        [f"{results}/localisation/val/fusion.parquet"],
        [
            f"{results}/boxes/val/D_S256_pcr/dense_Q256.parquet",
            f"{results}/boxes/val/D_S384_pcr/dense_Q352.parquet",
            f"{results}/boxes/val/D_S384_pcr/dense_Q384.parquet",
        ],
        [f"{results}/truth/val.parquet"],
    )


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (MINIATURE, {"pictures": None}),
        (MINIATURE, {"data": {"archives": {"val_boxes": None, "train_boxes": None}}}),
        (RELEASED, {}),
    ],
    ids=["no page", "no boxes", "no nets"],
)
def test_runs_that_do_not_localise_need_no_boxes(base, changes):
    assert inputs_of_boxes(run_of(base, **changes)) == ([], [], [])
