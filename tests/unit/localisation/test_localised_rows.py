"""Localisation in the configurations: slips in models, rows, labels and answers are named."""

import copy

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.runs import FULL, MINIATURE, run_of
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import data_rules, localisation_rules, training_rules
from workflow_scripts.vgg.settings.localised_rows import BoxEvaluation, Guessed

MODELS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
CLASSIFIED = {
    "title": "Mine", "columns": ["net"], "metrics": ["top5_val"],
    "rows": [
        {"name": name, "labels": [name],
         "evaluations": [{"model": model, "method": "dense", "Q": [384]}]}
        for name, model in (("both", "D_S384"), ("other", "E_S384"))
    ],
}  # fmt: skip
CLAIMS = [
    {
        "number": 1, "section": "4.1", "claim": "D is better than E",
        "comparisons": [
            {"candidate": "mine/both", "baseline": "mine/other", "expect": "lower_error"}
        ],
    }
]  # fmt: skip


def row(name, *boxes, **more):
    """A row of boxes, each (model, method, *Q)."""
    entries = [{"model": model, "method": method, "Q": Q} for model, method, *Q in boxes]
    return {"name": name, "labels": [name], "boxes": entries, **more}


def fixed(name, box="central", labels="true-class"):
    return {"name": name, "labels": [name], "fixed_box": {"box": box, "labels": labels}}


def table(*rows, metrics=("top5loc_val",)):
    return {"title": "Boxes", "columns": ["row"], "metrics": [*metrics], "rows": [*rows]}


DENSE = ("D_S384_pcr", "dense", 384)
CENTRAL = ("D_S384_pcr", "center", 384)
GOOD = table(row("one", DENSE), row("two", CENTRAL))


@pytest.fixture
def mine(tmp_path):
    """`mine(tables, models, labels)`: a run of these tables and of models with changes; None
    leaves a model out."""

    def build(tables=None, models=None, labels="mine/both", base=FULL, **changes):
        defined = copy.deepcopy(MODELS)
        for name, entry in (models or {}).items():
            defined["models"][name] = entry
        defined["models"] = {n: e for n, e in defined["models"].items() if e is not None}
        files = {
            "models": defined,
            "tables": {"mine": CLASSIFIED, **({"boxes": GOOD} if tables is None else tables)},
            "claims": CLAIMS,
        }
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        paths = {name: str(tmp_path / f"{name}.yaml") for name in files}
        own = {**paths, "tables": [paths["tables"]], "pictures": None}
        return run_of(base, **own, localise={"labels": labels}, **changes)

    return build


def told(build, *given, **changes):
    with pytest.raises(InputError) as raised:
        build(*given, **changes)
    return str(raised.value)


# Models

BOXES = {"net": "D", "S": 384, "learning_rate": 1.0e-3, "head": "box-pcr"}
NEEDS = "models: mine predicts boxes: it needs a parent, a classifier, and inherit: all-but-last"


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (BOXES, NEEDS),
        (BOXES | {"head": "box-scr"}, NEEDS),
        (BOXES | {"parent": "D_S384", "inherit": "all"}, NEEDS),
        (BOXES | {"parent": "D_S384", "inherit": "layers-of-A"}, NEEDS),
        (
            BOXES | {"head": "classes", "parent": "D_S384", "inherit": "all-but-last"},
            "models: mine: all-but-last is inherited by nets with a `head`",
        ),
        (
            {k: v for k, v in BOXES.items() if k != "head"}
            | {"parent": "D_S384", "inherit": "all-but-last"},
            "models: mine: all-but-last is inherited by nets with a `head`",
        ),
        (
            BOXES | {"parent": "D_S384_pcr", "inherit": "all-but-last"},
            "models: mine starts from D_S384_pcr, which is no classifier of net D",
        ),
        (
            BOXES | {"parent": "E_S384", "inherit": "all-but-last"},
            "models: mine starts from E_S384, which is no classifier of net D",
        ),
        (
            BOXES | {"parent": "D_S999", "inherit": "all-but-last"},
            "models: mine starts from D_S999, which is not in ",
        ),
        (BOXES | {"inherit": "all-but-last"}, "parent"),
        (BOXES | {"head": "boxes"}, "boxes"),
    ],
)
def test_a_net_of_boxes_starts_from_a_classifier_of_its_net(mine, model, complaint):
    assert complaint in told(mine, models={"mine": model})


def test_a_classifier_that_starts_from_a_net_of_boxes_is_refused_or_whole(mine):
    """Its last layer would be of another width; `all` and layers of A need classifiers."""
    for inherit in ("all", "layers-of-A"):
        model = {"net": "D", "S": 384, "learning_rate": 1.0e-3, "parent": "D_S384_pcr"}
        complaint = told(mine, models={"mine": model | {"inherit": inherit}})
        assert "models: mine starts from D_S384_pcr, which predicts boxes" in complaint


# Rows


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([row("a", ("D_S999_pcr", "dense", 384))], "row a: D_S999_pcr is not in "),
        (
            [row("a", ("D_S384", "dense", 384))],
            "tables: row a: D_S384 predicts classes; name a model with a `head`",
        ),
        (
            [row("a", DENSE, ("D_S256_pcr", "center", 256))],
            "tables: row a: center and dense are two tests; give one",
        ),
        (
            [row("a", CENTRAL, ("D_S256_pcr", "center", 256))],
            "tables: row a: a central crop is of one model and one Q",
        ),
        (
            [row("a", ("D_S384_pcr", "center", 352, 384))],
            "tables: row a: a central crop is of one model and one Q",
        ),
        ([row("a", DENSE), row("a", DENSE)], "boxes: row a stands there twice"),
        ([row("a", ("D_S384_pcr", "multicrop", 384))], "multicrop"),
        ([row("a", ("D_S384_pcr", "dense", 200))], "200"),
        ([row("a", DENSE, fixed_box={"box": "central", "labels": "likeliest"})], "boxes"),
        ([fixed("a", box="corner")], "corner"),
    ],
)
def test_rows_of_boxes_are_of_nets_of_boxes_and_of_one_test(mine, rows, complaint):
    assert complaint in told(mine, {"boxes": table(*rows)})


DIFFERENT = "row a is another than the row of that name in another table of localisation; rename"


@pytest.mark.parametrize(
    ("one", "other", "complaint"),
    [
        (row("a", DENSE), row("a", DENSE, ("D_S256_pcr", "dense", 256)), DIFFERENT),
        (row("a", DENSE), row("a", CENTRAL), DIFFERENT),
        (row("a", DENSE), row("a", ("D_S384_pcr", "dense", 352)), DIFFERENT),
        (row("a", DENSE), fixed("a"), DIFFERENT),
        (fixed("a"), fixed("a", box="training-mean"), DIFFERENT),
        (fixed("a"), fixed("a", labels="likeliest"), DIFFERENT),
        (row("a", DENSE), row("a", DENSE), None),
        (fixed("a"), fixed("a"), None),
        (
            row("a", ("D_S384_pcr", "dense", 352, 384)),
            row("a", ("D_S384_pcr", "dense", 384), ("D_S384_pcr", "dense", 352)),
            None,
        ),
    ],
)
def test_rows_of_one_name_have_one_file_so_they_are_the_same(mine, one, other, complaint):
    tables = {"boxes": table(one), "more": table(other)}
    if complaint:
        assert complaint in told(mine, tables)
    else:
        assert list(mine(tables).guess_rows) == ["a"]


def test_a_row_of_boxes_may_have_the_name_of_a_row_of_posteriors(mine):
    assert list(mine({"boxes": table(row("both", DENSE))}).guess_rows) == ["both"]


def test_posteriors_of_a_net_of_boxes_are_refused(mine):
    evaluations = [{"model": "D_S384_pcr", "method": "dense", "Q": [384]}]
    own = CLASSIFIED | {"rows": [{"name": "a", "labels": ["a"], "evaluations": evaluations}]}
    told_of = "D_S384_pcr predicts boxes, so it has no posteriors; its rows have `boxes`"
    assert f"tables: own: {told_of}" in told(mine, {"own": own, "boxes": GOOD})


def test_metrics_are_of_classification_or_of_localisation(mine):
    for metrics, rows in (
        (["top5loc_val", "top5_val"], GOOD["rows"]),
        (["gtloc_val"], CLASSIFIED["rows"]),
        (["top5_val"], GOOD["rows"]),
    ):
        own = CLASSIFIED | {"metrics": metrics, "rows": rows}
        assert "own" in told(mine, {"own": own})


# Labels


@pytest.mark.parametrize("labels", ["nowhere/both", "mine/neither", "boxes/one", "table1/A"])
def test_the_labels_are_those_of_a_row_of_posteriors(mine, labels):
    complaint = f"localise.labels: {labels} is no row of posteriors in the tables; expected <table>"
    assert complaint in told(mine, labels=labels)


def test_rows_of_the_true_class_need_no_labels(mine):
    run = mine({"boxes": table(row("two", CENTRAL), fixed("three"))}, labels="nowhere/both")
    assert list(run.guess_rows) == ["two", "three"]
    one = table(row("two", CENTRAL), fixed("three", labels="likeliest"))
    assert "localise.labels: nowhere/both is no row" in told(
        mine, {"b": one}, labels="nowhere/both"
    )


def test_labels_of_models_that_the_run_lacks_are_refused(mine):
    weights = {"file": "w.npz", "format": "own"}
    lacking = {"train": False, "import": {m: weights for m in ("D_S384", "D_S384_pcr", "D_S256")}}
    run = mine(weights=lacking)
    assert list(run.guess_rows) == ["one", "two"]
    complaint = told(mine, labels="mine/other", weights=lacking)
    assert (
        "localise.labels: mine/other needs models that this run does not have, but the row one"
        in (complaint)
    )
    central = {"boxes": table(row("two", CENTRAL))}
    assert list(mine(central, labels="mine/other", weights=lacking).guess_rows) == ["two"]


# Data


@pytest.mark.parametrize("base", [FULL, MINIATURE])
@pytest.mark.parametrize("alone", ["train_boxes", "val_boxes"])
def test_boxes_of_one_split_alone_are_refused(base, alone):
    archives = {"train_boxes": None, "val_boxes": None, "test_boxes": None}
    archives[alone] = "boxes.tgz"
    with pytest.raises(InputError) as raised:
        run_of(base, data={"archives": archives})
    assert f"data.archives: {alone} is given alone; localisation needs train_boxes and val_bo" in (
        str(raised.value)
    )


def test_without_boxes_nothing_is_localised(mine):
    without = {"archives": {"train_boxes": None, "val_boxes": None, "test_boxes": None}}
    run = mine(data=without)
    assert not run.localises
    assert not [model for model in run.available if "pcr" in model or "scr" in model]
    assert (run.guess_rows, run.boxed_splits, run.box_submitted) == ({}, [], {})
    assert localisation_rules.guesses(run, "boxes", ["val"]) == []
    with_boxes = mine()
    assert {"D_S384_scr_fc", "D_S384_pcr_fc", "D_S384_pcr", "D_S256_pcr"} == (
        set(with_boxes.available) - set(run.available)
    )


def test_a_net_of_boxes_without_its_classifier_is_of_no_use(mine):
    """Which rates its boxes; so imported boxes alone localise nothing."""
    weights = {"file": "w.npz", "format": "own"}
    run = mine(weights={"train": False, "import": {"D_S384_pcr": weights, "E_S384": weights}})
    assert run.available == ["E_S384"]
    assert run.guess_rows == {}


# Answers and submissions


def test_answers_of_the_test_server_are_of_rows_of_boxes_too(mine, tmp_path):
    boxes = {"boxes": table(row("one", DENSE, submission="mine_boxes"))}
    answers = tmp_path / "answers.yaml"
    answers.write_text("mine_boxes: {top5loc_test: 25.3, date: 2014-08-15}\n")
    run = mine(boxes, server_answers=str(answers))
    assert run.answers == {"mine_boxes": {"top5loc_test": 25.3, "date": "2014-08-15"}}
    assert run.box_submitted == {"mine_boxes": Guessed("one", ("D_S384_pcr",))}
    for text, complaint in (
        ("mine_box: {top5loc_test: 25.3, date: 2014-08-15}", "no row has a submission mine_box;"),
        ("mine_boxes: {top5loc_test: 253, date: 2014-08-15}", "253"),
        ("mine_boxes: {top5loc: 25.3, date: 2014-08-15}", "top5loc"),
        ("mine_boxes: {date: 2014-08-15}", "is missing"),
        ("mine_boxes: {top5loc_test: 25.3}", "date"),
        (
            "mine_boxes: {top5_test: 25.3, date: 2014-08-15}",
            "top5loc_test is what the server tells of it",
        ),
    ):
        answers.write_text(f"{text}\n")
        assert complaint in told(mine, boxes, server_answers=str(answers))


def test_imported_boxes_of_several_seeds_need_imported_labels(mine):
    of_file = {"file": "mine.safetensors", "format": "own"}
    weights = {"train": True, "import": {"D_S384_pcr": of_file}}
    mine(weights=weights)
    assert "D_S384_pcr predicts boxes and has no seed" in told(mine, weights=weights, seeds=[0, 1])
    both = {"train": True, "import": dict.fromkeys(("D_S384_pcr", "D_S384"), of_file)}
    mine(weights=both, seeds=[0, 1])


def test_no_split_has_boxes_without_those_of_training_and_validation():
    archives = {"train_boxes": None, "val_boxes": None}
    assert run_of(data={"archives": archives}).boxed_splits == []
    assert run_of().boxed_splits == ["val", "test"]


def test_sums_are_checked_of_archives_of_boxes_only():
    md5 = dict.fromkeys(("train_boxes", "val_boxes", "blacklist"), "0" * 32)
    verified = {
        file: data_rules.verified_boxes(
            run_of(data={"md5": md5, "archives": {"val_boxes": file}}), "val"
        )
        for file in ("a.tgz", "a.tar.gz", "LOC_val_solution.csv", "Annotations/val")
    }
    kit = "results/miniature/verified/blacklist.json"
    archive = "results/miniature/verified/val_boxes.json"
    assert verified == {
        "a.tgz": [archive, kit],
        "a.tar.gz": [archive, kit],
        "LOC_val_solution.csv": [kit],
        "Annotations/val": [kit],
    }


def test_only_dense_boxes_depend_on_the_mirrored_pass():
    run = run_of()
    assert "--box-flip" in localisation_rules.box_evaluation_options(run, "dense")
    assert "--box-flip" not in localisation_rules.box_evaluation_options(run, "center")


def test_boxes_of_the_true_class_cannot_be_submitted(mine):
    central = row("one", ("D_S384_pcr", "center", 384), submission="a")
    assert "row one: boxes of the true class cannot be submitted" in told(
        mine, {"boxes": table(central)}
    )


def test_two_different_rows_of_boxes_cannot_share_a_submission(mine):
    one, two = (row(name, (*DENSE[:2], Q), submission="a") for name, Q in (("x", 352), ("y", 384)))
    complaint = told(mine, {"boxes": table(one, two)})
    assert "two rows with different boxes are both called submission a" in complaint
    both = {"boxes": table(one), "more": table(one)}
    assert list(mine(both).box_submitted) == ["a"]


def test_a_row_of_boxes_and_one_of_posteriors_cannot_share_a_submission(mine):
    classified = copy.deepcopy(CLASSIFIED)
    classified["rows"][0]["submission"] = "a"
    tables = {"own": classified, "boxes": table(row("one", DENSE, submission="a"))}
    assert "submission a is of labels and of boxes; rename one" in told(mine, tables)


def test_submissions_are_of_models_that_the_run_has(mine):
    tables = {
        "boxes": table(
            row("one", DENSE, submission="a"),
            row("two", ("D_S256_pcr", "dense", 256), submission="b"),
        )
    }
    assert list(mine(tables).box_submitted) == ["a", "b"]
    weights = {"file": "w.npz", "format": "own"}
    some = {"train": False, "import": {m: weights for m in ("D_S384", "D_S384_pcr")}}
    assert list(mine(tables, weights=some).box_submitted) == ["a"]
    assert mine(tables, data={"test": "absent"}).box_submitted == {}


# What the rules are given


def test_dense_boxes_wait_for_the_classifier_and_the_labels(mine):
    run, results = mine(), "results/ilsvrc2012"
    assert localisation_rules.classifier(run, "D_S384_pcr", "dense", "") == (
        f"{results}/weights/D_S384.safetensors"
    )
    assert localisation_rules.classifier(run, "D_S384_pcr", "center", "") == []
    assert localisation_rules.label_posteriors(run, "val", "dense", "") == [
        f"{results}/posteriors/val/D_S384/dense_Q384.parquet"
    ]
    assert localisation_rules.label_posteriors(run, "val", "center", "") == []
    assert localisation_rules.united_boxes(run, "one", "test", "") == [
        f"{results}/boxes/test/D_S384_pcr/dense_Q384.parquet"
    ]
    assert localisation_rules.guesses(run, "boxes", ["val"]) == [
        f"{results}/localisation/val/one.parquet",
        f"{results}/localisation/val/two.parquet",
        f"{results}/truth/val.parquet",
    ]


def test_every_seed_has_its_own_boxes_and_imported_nets_have_none(mine):
    weights = {"import": {"D_S384": {"file": "w.npz", "format": "own"}}}
    run, results = mine(seeds=[0, 3], weights=weights), "results/ilsvrc2012"
    assert localisation_rules.weights(run, "D_S384_pcr", "seed3/") == (
        f"{results}/seed3/weights/D_S384_pcr.safetensors"
    )
    assert localisation_rules.classifier(run, "D_S384_pcr", "dense", "seed3/") == (
        f"{results}/weights/D_S384.safetensors"
    )
    assert localisation_rules.label_posteriors(run, "val", "dense", "seed3/") == [
        f"{results}/posteriors/val/D_S384/dense_Q384.parquet"
    ]
    assert localisation_rules.united_boxes(run, "one", "val", "seed3/") == [
        f"{results}/seed3/boxes/val/D_S384_pcr/dense_Q384.parquet"
    ]
    assert localisation_rules.guesses(run, "boxes", ["val"])[:2] == [
        f"{results}/localisation/val/one.parquet",
        f"{results}/seed3/localisation/val/one.parquet",
    ]


def test_a_training_of_boxes_is_told_its_head_and_readings():
    run = run_of(FULL)
    words = training_rules.training_options(run, "D_S384_scr_fc", "")
    for option, value in (
        ("--head", "box-scr"), ("--inherit", "all-but-last"), ("--trainable", "fc"),
        ("--learning-rate", "0.001"), ("--box-units", "crop-fractions"),
        ("--box-loss", "half-sum-of-squares"), ("--box-of-many", "random"),
        ("--box-crops", "half-inside"), ("--box-extent", "whole"),
        ("--box-last-layer", "mean-box"),
    ):  # fmt: skip
        assert words[words.index(option) + 1] == value
    others = training_rules.training_options(run, "D_S384", "")
    assert not [word for word in others if "box" in word or word == "--head"]
    boxes = [training_rules.true_boxes(run, "D_S384_pcr", split) for split in ("train", "val")]
    assert boxes == [f"results/ilsvrc2012/truth/{split}.parquet" for split in ("train", "val")]
    assert training_rules.true_boxes(run, "D_S384", "train") == []
    held_out = run_of(FULL, choices={"validation_set": "held-out"})
    assert training_rules.true_boxes(held_out, "D_S384_pcr", "val") == []
    assert training_rules.true_boxes(held_out, "D_S384_pcr", "train") == boxes[0]


def test_options_of_boxes_and_guesses_are_those_of_the_configuration():
    run = run_of(FULL, choices={"merge_distance": "literal", "box_rating": "max"})
    words = localisation_rules.localisation_options(run)
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    threshold = run.config["localise"]["thresholds"]["literal"]
    assert pairs == {
        "--merge-threshold": str(threshold), "--merge-distance": "literal",
        "--merge-mean": "weighted", "--box-rating": "max", "--box-clipping": "clipped",
    }  # fmt: skip
    words = localisation_rules.localisation_options(run, merge_distance="overlap-only")
    other = run.config["localise"]["thresholds"]["overlap-only"]
    assert words[words.index("--merge-threshold") + 1] == str(other)
    assert localisation_rules.scoring_options(run) == [
        "--overlap-bound", "at-least-half", "--overlap-pixels", "inclusive",
        "--blacklisted", "left-out",
    ]  # fmt: skip
    words = localisation_rules.box_evaluation_options(run, box_flip="mirrored")
    assert words[words.index("--box-flip") + 1] == "mirrored"
    assert "--precision" in words


def test_the_papers_rows_are_the_papers_nets_and_scales():
    """Tables 8 and 9 of the paper: S, Q, what is trained, and one box or one a class."""
    run = run_of(FULL)
    boxes = {name: localisation_rules.boxes_of(row) for name, row in run.guess_rows.items()}
    at = [BoxEvaluation("D_S384_pcr", "dense", Q) for Q in (352, 384)]
    assert {name: own for name, own in boxes.items() if own} == {
        "scr_fc": [BoxEvaluation("D_S384_scr_fc", "center", 384)],
        "pcr_fc": [BoxEvaluation("D_S384_pcr_fc", "center", 384)],
        "pcr_all": [BoxEvaluation("D_S384_pcr", "center", 384)],
        "S256": [BoxEvaluation("D_S256_pcr", "dense", 256)],
        "S384": at[1:],
        "S384_two_Q": at,
        "fusion": [BoxEvaluation("D_S256_pcr", "dense", 256), *at],
    }
    for model, trainable, head, parent in (
        ("D_S384_scr_fc", "fc", "box-scr", "D_S384"),
        ("D_S384_pcr_fc", "fc", "box-pcr", "D_S384"),
        ("D_S384_pcr", None, "box-pcr", "D_S384"),
        ("D_S256_pcr", None, "box-pcr", "D_S256"),
    ):
        entry = run.models[model]
        assert (entry.get("trainable"), entry["head"], entry["parent"]) == (trainable, head, parent)
        assert entry["learning_rate"] == 1e-3
