"""Features in the configurations: slips in rows, metrics, data sets, claims, answers are named."""

import copy
import dataclasses
import json

import pytest
import yaml

from tests.helpers.runs import FULL, MINIATURE, RELEASED, changed, run_of
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import experiments, report_rules, transfer_rules
from workflow_scripts.vgg.settings.transferred_rows import (
    Description,
    Transferred,
    classified_sets,
    descriptions,
    measure_of,
    scale_pooling,
    scales_of,
)

RESULTS = "results/ilsvrc2012"
MODELS = ["D_S256-512", "E_S256-512"]
CLASSIFIED = {
    "title": "Mine", "columns": ["net"], "metrics": ["top5_val"],
    "rows": [
        {"name": name, "labels": [name],
         "evaluations": [{"model": model, "method": "dense", "Q": [384]}]}
        for name, model in (("both", "D_S384"), ("other", "E_S384"))
    ],
}  # fmt: skip
WEIGHTS = {"file": "w.npz", "format": "own"}


def row(name, *models, submission=None, labels=None, **descriptors):
    """A row of classifiers; descriptors: all but models."""
    own = {"name": name, "labels": labels or [name]}
    if submission:
        own["submission"] = submission
    return own | {"descriptors": {"models": list(models or MODELS[:1]), **descriptors}}


def table(*rows, metrics=("map_voc2007", "recall_caltech101")):
    return {"title": "Features", "columns": ["row"], "metrics": [*metrics], "rows": [*rows]}


GOOD = table(row("one"), row("two", *MODELS))


def compared(candidate="features/one", baseline="features/two", **more):
    own = {"candidate": candidate, "baseline": baseline, "expect": "higher"} | more
    return [{"number": 7, "section": "B", "claim": "c", "comparisons": [own]}]


@pytest.fixture
def mine(tmp_path):
    """`mine(tables, claims)`: a run of these tables beside one of posteriors."""

    def build(tables=None, claims=(), base=FULL, **changes):
        files = {
            "tables": {"mine": CLASSIFIED, **({"features": GOOD} if tables is None else tables)},
            "claims": [*claims],
        }
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        own = {"tables": [str(tmp_path / "tables.yaml")], "claims": str(tmp_path / "claims.yaml")}
        answers = {"server_answers": changes.pop("server_answers", None)}
        own |= {"pictures": None, "localise": {"labels": "mine/both"}}
        return run_of(base, **own, **answers, **changes)

    return build


def told(build, *given, **changes):
    with pytest.raises(InputError) as raised:
        build(*given, **changes)
    return str(raised.value)


def sets(**entries):
    """Changes of the data sets."""
    return {"transfer": {"data_sets": entries}}


ONLY_VOC2007 = sets(voc2012=None, voc2012_action=None, caltech101=None, caltech256=None)


# Rows


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([row("a", "D_S999")], "tables: row a: D_S999 is not in config/models.yaml"),
        (
            [row("a", "D_S384", "D_S384_pcr")],
            "tables: row a: D_S384_pcr predicts boxes; name a classifier, whose activations",
        ),
        ([row("a"), row("a")], "features: row a stands there twice"),
        ([row("a", labels=["a", "b"])], "row a has 2 labels, but the table 1 columns"),
        ([row("a", Q=[256, 200])], "200"),
        ([row("a", Q=[256, 256])], "features"),
        ([row("a", Q=[])], "features"),
        ([row("a", scale_pooling="median")], "median"),
        ([row("a", regions=["person"])], "person"),
        ([row("a", weights="zeros")], "zeros"),
        ([row("a") | {"evaluations": []}], "features"),
        ([{"name": "a", "labels": ["a"], "descriptors": {"models": []}}], "features"),
        (
            [row("a", regions=["image", "box"])],
            "tables: features: a row describes boxes, but voc2007 is of kind voc, which has none; "
            "leave out regions",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_named(mine, rows, complaint):
    assert complaint in told(mine, {"features": table(*rows)})


OTHER = "tables: more: row a has other descriptors than the row of that name in another table of"


@pytest.mark.parametrize(
    ("one", "other", "complaint"),
    [
        (row("a"), row("a", "E_S384"), OTHER),
        (row("a"), row("a", Q=[256]), OTHER),
        (row("a"), row("a", weights="random"), OTHER),
        (row("a", *MODELS), row("a", *MODELS[::-1]), OTHER),
        (row("a"), row("a", scale_pooling="max"), OTHER),
        (row("a"), row("a"), None),
        (row("a", submission="x"), row("a"), None),
    ],
)
def test_rows_of_one_name_have_one_file_so_they_are_the_same(mine, one, other, complaint):
    tables = {"features": table(one), "more": table(other, metrics=["map_voc2007"])}
    if complaint:
        assert complaint in told(mine, tables)
    else:
        assert list(mine(tables).transfer_rows) == ["a"]


def test_a_row_of_features_may_have_the_name_of_a_row_of_posteriors(mine):
    run = mine({"features": table(row("both"))})
    assert list(run.transfer_rows) == ["both"]
    assert (run.measured, run.transferred, run.localised) == (["mine"], ["features"], [])


# Metrics and data sets


@pytest.mark.parametrize(
    ("metrics", "complaint"),
    [
        (
            ["map_voc2007", "map_coco"],
            "tables: features: map_coco is of coco, which `transfer` of the configuration lacks; "
            "add it there, or null to leave it out",
        ),
        (
            ["recall_voc2007"],
            "tables: features: recall_voc2007: voc2007 is of kind voc, which is measured by "
            "map_voc2007",
        ),
        (
            ["map_caltech101"],
            "tables: features: map_caltech101: caltech101 is of kind folders, which is measured by "
            "recall_caltech101",
        ),
        (["mapval_caltech256"], "which is measured by recall_caltech256"),
        (["recall_voc2012_action"], "which is measured by map_voc2012_action"),
        (["map_VOC2007"], "map_VOC2007"),
        (["ap_voc2007"], "ap_voc2007"),
        (["map_voc2007", "top5_val"], "features"),
        (["map_voc2007", "map_voc2007"], "features"),
        ([], "features"),
    ],
)
def test_a_metric_that_does_not_fit_is_named(mine, metrics, complaint):
    assert complaint in told(mine, {"features": table(row("a"), metrics=metrics)})


def test_a_metric_is_of_a_kind_and_a_data_set():
    assert measure_of("map_voc2012_action") == ("map", "voc2012_action")
    assert measure_of("mapval_voc2012") == ("mapval", "voc2012")
    assert measure_of("recall_x") == ("recall", "x")


def test_a_data_set_that_is_left_out_is_asked_for_nothing(mine):
    """Its metrics may be of any kind, and its rows of any region: nobody knows what it is."""
    tables = {
        "features": table(row("a"), row("b", regions=["box"]), metrics=["map_voc2007"]),
        "more": table(row("c"), metrics=["recall_voc2007", "recall_caltech101"]),
    }
    run = mine(tables, **sets(voc2007=None))
    assert list(run.transfer_rows) == ["c"]
    assert run.sets_of_row("c") == ["caltech101"]
    assert run.described_sets == ["caltech101"]
    assert transfer_rules.table_classifiers(run, "features") == []
    assert transfer_rules.table_classifiers(run, "more") == [
        f"{RESULTS}/classifiers/caltech101/c.parquet",
        f"{RESULTS}/examples/caltech101.parquet",
    ]


def test_a_data_set_to_leave_out_whose_name_is_misspelt_is_named(mine):
    pairs = (("caltec101", "caltech101"), ("voc2012_actions", "voc2012_action"))
    for name, right in pairs:
        with pytest.raises(InputError) as raised:
            mine(**sets(**{name: None}))
        assert f"transfer.data_sets.{name}: there is no such data set to leave out" in str(
            raised.value
        )
        assert f"did you mean {right}?" in str(raised.value)


def test_a_data_set_that_no_table_of_the_run_has_may_be_left_out(mine):
    tables = {"features": table(row("a"), metrics=["map_voc2007"])}
    left_out = dict.fromkeys(("voc2012", "voc2012_action", "caltech101", "caltech256"))
    assert list(mine(tables, **sets(**left_out)).data_sets) == ["voc2007"]


def test_without_any_data_set_nothing_is_described(mine):
    run = mine(**sets(**dict.fromkeys(run_of(FULL).data_sets)))
    assert (run.data_sets, run.transfer_rows, run.described_sets) == ({}, {}, [])
    assert run.feature_files == {}
    assert transfer_rules.described_nets(run) == []
    assert report_rules.table_posteriors(run, "features") == []
    words = report_rules.table_options(run, "features")
    assert words[words.index("--data-sets") + 1] == "{}"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"md5": [None]},
            "transfer.data_sets.voc2007: has 2 sources and 1 md5 sums; give one for each, or null",
        ),
        (
            {"background": "bg"},
            "transfer.data_sets.voc2007.background: is of no use for kind voc; remove it",
        ),
        ({"splits": 3}, "transfer.data_sets.voc2007.splits: is of no use for kind voc; remove it"),
        (
            {"test": "withheld"},
            "transfer.data_sets.voc2007: its test labels are withheld, so it needs server_folder",
        ),
        ({"test": "labeled"}, "labeled"),
        ({"average_precision": "ten-point"}, "ten-point"),
        ({"kind": "coco"}, "coco"),
        ({"Q": [200]}, "200"),
        ({"Q": []}, "Q"),
        ({"shards": 0}, "shards"),
        ({"title": ""}, "title"),
        ({"sources": []}, "sources"),
        ({"sources": ["a.tar", "a.tar"]}, "sources"),
        ({"scales": "mean"}, "transfer.data_sets.voc2007.scales: there is no such key"),
        ({"md5": ["0" * 31, None]}, "md5"),
    ],
)
def test_a_data_set_that_does_not_fit_is_named(mine, changes, complaint):
    assert complaint in told(mine, **sets(voc2007=changes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"test": "labelled"},
            "transfer.data_sets.caltech101.test: is of no use for kind folders; remove it",
        ),
        ({"average_precision": "area"}, "caltech101.average_precision: is of no use for kind"),
        ({"server_folder": "x"}, "caltech101.server_folder: is of no use for kind folders"),
        ({"train_per_class": 1}, "train_per_class"),
        ({"splits": 0}, "splits"),
        ({"test_per_class": 0}, "test_per_class"),
    ],
)
def test_a_set_of_folders_that_does_not_fit_is_named(mine, changes, complaint):
    assert complaint in told(mine, **sets(caltech101=changes))


def test_a_name_of_a_split_is_none_of_a_data_set(mine):
    entry = run_of(FULL).data_sets["voc2007"]
    complaint = told(mine, **sets(train=entry, VOC=entry, vocx=entry))
    assert "train" in complaint
    assert "VOC" in complaint
    assert "vocx" not in complaint


@pytest.mark.parametrize("drawn", ["elsewhere/sets", "resources/miniature", "resources/a b", "x"])
def test_data_sets_are_drawn_into_a_folder_of_their_own_in_resources(drawn):
    with pytest.raises(InputError) as raised:
        run_of(MINIATURE, transfer={"drawn": drawn})
    assert f"transfer.drawn: {drawn} is no folder in resources/ of its own" in str(raised.value)


@pytest.mark.parametrize("values", [[], [0], [-1, 1], [1, 1], ["many"]], ids=str)
def test_values_of_c_are_above_0(mine, values):
    assert "transfer.C" in told(mine, transfer={"C": values})


# Claims


def test_claims_compare_rows_of_features_by_a_metric_that_both_have(mine):
    tables = {"features": GOOD, "more": table(row("x", *MODELS), metrics=["map_voc2007"])}
    run = mine(tables, compared(baseline="more/x", metric="map_voc2007"))
    assert report_rules.claim_posteriors(run) == [
        f"{RESULTS}/classifiers/voc2007/one.parquet",
        f"{RESULTS}/classifiers/voc2007/x.parquet",
        f"{RESULTS}/examples/voc2007.parquet",
    ]
    where = "claims: 7: features/one and more/x: `metric` is to be one that both tables have: map_"
    for metric in ({}, {"metric": "recall_caltech101"}, {"metric": "map_voc2012"}):
        assert where in told(mine, tables, compared(baseline="more/x", **metric))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"metric": "map_voc2007", "expect": "lower_error"},
            "map_voc2007 is better the higher it is; write expect: higher",
        ),
        (
            {"metric": "map_voc2007", "baseline": "mine/both"},
            "claims: 7 compares classification with features of other data sets: features/one and "
            "mine/both; give two rows of one",
        ),
        (
            {"metric": "map_voc2007", "baseline": "features/three"},
            "claims: features/three is no row of ",
        ),
        ({"metric": "map_voc2007", "expect": "equivalent"}, "margin"),
        ({"metric": "top1_val"}, "top1_val"),
        (
            {"candidate": "mine/both", "baseline": "mine/other"},
            "metric and expect: higher are of features of other data sets; errors are compared by",
        ),
        (
            {"candidate": "mine/both", "baseline": "mine/other", "expect": "lower_error",
             "metric": "map_voc2007"},
            "metric and expect: higher are of features of other data sets",
        ),
    ],
)  # fmt: skip
def test_a_claim_that_does_not_fit_is_named(mine, changes, complaint):
    assert complaint in told(mine, claims=compared(**changes))


def test_claims_about_a_data_set_that_is_left_out_need_nothing(mine):
    run = mine(claims=compared(metric="map_voc2007"), **sets(voc2007=None))
    assert report_rules.claim_posteriors(run) == []
    assert report_rules.claim_posteriors(mine(claims=compared(metric="recall_caltech101"))) == [
        f"{RESULTS}/classifiers/caltech101/one.parquet",
        f"{RESULTS}/classifiers/caltech101/two.parquet",
        f"{RESULTS}/examples/caltech101.parquet",
    ]


# Files for the organisers' server, and their answers

SUBMITTED = {
    "features": table(
        row("one", submission="a"), row("two", *MODELS, submission="b"), row("three", Q=[256]),
        metrics=["map_voc2007", "map_voc2012", "mapval_voc2012"],
    ),
    "actions": table(
        row("four", *MODELS, regions=["box"], submission="a"),
        metrics=["map_voc2012_action", "mapval_voc2012_action"],
    ),
}  # fmt: skip


def test_a_row_has_a_file_for_each_data_set_whose_labels_are_withheld(mine):
    run = mine(SUBMITTED)
    assert run.feature_files == {
        "a_voc2012": ("voc2012", Transferred("one", ("D_S256-512",))),
        "b_voc2012": ("voc2012", Transferred("two", tuple(MODELS))),
        "a_voc2012_action": ("voc2012_action", Transferred("four", tuple(MODELS))),
    }
    assert transfer_rules.submitted_scores(run, "b_voc2012") == [
        f"{RESULTS}/classifiers/voc2012/two.parquet"
    ]
    assert transfer_rules.submitted_examples(run, "a_voc2012_action") == (
        f"{RESULTS}/examples/voc2012_action.parquet"
    )
    assert transfer_rules.submitted_folder(run, "a_voc2012") == "VOC2012"
    words = report_rules.table_options(run, "features")
    assert words[words.index("--submissions") + 1 : words.index("--test-images")] == [
        "a_voc2012", "b_voc2012",
    ]  # fmt: skip


def test_files_are_of_withheld_sets_and_models_that_the_run_has(mine):
    some = mine(
        SUBMITTED, weights={"train": False, "import": {MODELS[0]: WEIGHTS, "D_S384": WEIGHTS}}
    )
    assert list(some.feature_files) == ["a_voc2012"]
    assert list(mine(SUBMITTED, **sets(voc2012=None)).feature_files) == ["a_voc2012_action"]
    known = mine(SUBMITTED, **sets(voc2012={"test": "labelled"}))
    assert list(known.feature_files) == ["a_voc2012_action"]
    seeds = mine(SUBMITTED, seeds=[3, 4])
    assert transfer_rules.submitted_scores(seeds, "a_voc2012") == [
        f"{RESULTS}/classifiers/voc2012/one.parquet"
    ]


def test_two_rows_that_differ_cannot_share_a_file(mine):
    tables = copy.deepcopy(SUBMITTED)
    tables["features"]["rows"][1]["submission"] = "a"
    complaint = "tables: two rows of other descriptors are both called submission a"
    assert complaint in told(mine, tables)
    same = copy.deepcopy(SUBMITTED)
    same["more"] = table(row("one", submission="a"), metrics=["map_voc2012"])
    assert list(mine(same).feature_files) == ["a_voc2012", "b_voc2012", "a_voc2012_action"]


def answered(tmp_path, text):
    (tmp_path / "answers.yaml").write_text(f"{text}\n")
    return str(tmp_path / "answers.yaml")


def test_answers_of_the_organisers_server_are_of_rows_of_features_too(mine, tmp_path):
    text = "a: {map_voc2012: 89.0, map_voc2012_action: 79.2, date: 2014-11-01}"
    run = mine(SUBMITTED, server_answers=answered(tmp_path, text))
    own = {"map_voc2012": 89.0, "map_voc2012_action": 79.2, "date": "2014-11-01"}
    assert report_rules.table_answers(run, "features") == {"a": own}
    assert report_rules.table_answers(run, "actions") == {"a": own}
    assert report_rules.table_answers(run, "mine") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "c: {map_voc2012: 89, date: 2014-11-01}",
            "server answers: no row has a submission c; there are a, b",
        ),
        (
            "b: {map_voc2012_action: 79, date: 2014-11-01}",
            "server answers: b: map_voc2007 or map_voc2012 is what the server tells of",
        ),
        (
            "b: {top5_test: 7, date: 2014-11-01}",
            "server answers: b: map_voc2007 or map_voc2012 is what the server tells of",
        ),
        ("b: {mapval_voc2012: 89, date: 2014-11-01}", "mapval_voc2012"),
        ("b: {map_voc2012: 890, date: 2014-11-01}", "890"),
        ("b: {map_VOC2012: 89, date: 2014-11-01}", "map_VOC2012"),
        ("b: {map_voc2012: 89}", "date"),
        ("b: {date: 2014-11-01}", "b.top5_test: is missing"),
        ("b: {note: sent by a friend, date: 2014-11-01}", "b.top5_test: is missing"),
    ],
)
def test_an_answer_that_does_not_fit_is_named(mine, tmp_path, text, complaint):
    assert complaint in told(mine, SUBMITTED, server_answers=answered(tmp_path, text))


def test_one_name_of_labels_and_of_features_is_refused(mine, tmp_path):
    """Of whose answers it would not be known which table they belong to."""
    tables = copy.deepcopy(SUBMITTED)
    tables["own"] = copy.deepcopy(CLASSIFIED)
    tables["own"]["rows"][0]["submission"] = "a"
    complaint = "tables: submission a is of features and of labels or boxes; rename one of them"
    assert complaint in told(mine, tables)


# What is behind a row


def test_a_row_takes_its_scales_and_pooling_or_the_data_sets():
    entry = {"Q": [256, 384], "scale_pooling": "stack"}
    plain, own = row("a"), row("b", Q=[224], scale_pooling="max")
    assert (scales_of(plain, entry), scale_pooling(plain, entry)) == ([256, 384], "stack")
    assert (scales_of(own, entry), scale_pooling(own, entry)) == ([224], "max")


def test_descriptions_are_by_net_then_region_then_scale():
    entry = {"Q": [256, 384], "scale_pooling": "stack"}
    found = descriptions(row("a", "D", "E", regions=["image", "box"], weights="random"), entry)
    assert found == [
        Description(model, region, Q, "random")
        for model in "DE"
        for region in ("image", "box")
        for Q in (256, 384)
    ]
    assert found[0].path("r/x", "voc") == "r/x/descriptors/voc/D.random/image_Q256.parquet"
    assert Description("D", "box", 768).path("r", "voc") == "r/descriptors/voc/D/box_Q768.parquet"


def test_a_row_is_classified_on_all_sets_of_its_tables():
    tables = {
        "mine": CLASSIFIED,
        "one": table(row("a"), metrics=["map_voc2012", "mapval_voc2012", "map_voc2007"]),
        "two": table(row("a"), row("b"), metrics=["recall_caltech101", "map_voc2007"]),
    }
    assert classified_sets(tables, "a") == ["voc2012", "voc2007", "caltech101"]
    assert classified_sets(tables, "b") == ["caltech101", "voc2007"]
    assert classified_sets(tables, "c") == []


def test_a_row_waits_for_the_descriptors_of_its_nets_and_scales(mine):
    tables = {
        "features": table(
            row("random", weights="random", Q=[256]), row("two", *MODELS, Q=[384, 256])
        )
    }
    run = mine(tables)
    folder = f"{RESULTS}/descriptors/voc2007"
    assert transfer_rules.row_descriptors(run, "two", "voc2007", "") == [
        f"{folder}/{model}/image_Q{Q}.parquet" for model in MODELS for Q in (384, 256)
    ]
    assert transfer_rules.row_descriptors(run, "random", "caltech101", "") == [
        f"{RESULTS}/descriptors/caltech101/D_S256-512.random/image_Q256.parquet"
    ]
    assert transfer_rules.described_nets(run) == ["D_S256-512.random", *MODELS]
    for net, folder in ((MODELS[0], "weights"), (f"{MODELS[0]}.random", "random")):
        weights = transfer_rules.description_weights(run, net, "")
        assert weights == f"{RESULTS}/{folder}/D_S256-512.safetensors"


def test_every_seed_has_its_own_descriptors_and_imported_nets_have_none(mine):
    weights = {"import": {MODELS[0]: WEIGHTS}}
    run = mine(seeds=[0, 3], weights=weights)
    both = transfer_rules.row_descriptors(run, "two", "voc2007", "seed3/")
    scales = (256, 384, 512, 640, 768)
    assert both == [
        *(f"{RESULTS}/descriptors/voc2007/{MODELS[0]}/image_Q{Q}.parquet" for Q in scales),
        *(f"{RESULTS}/seed3/descriptors/voc2007/{MODELS[1]}/image_Q{Q}.parquet" for Q in scales),
    ]
    found = transfer_rules.table_classifiers(run, "features")
    assert found == [
        f"{RESULTS}/classifiers/voc2007/one.parquet",
        f"{RESULTS}/classifiers/voc2007/two.parquet",
        f"{RESULTS}/seed3/classifiers/voc2007/two.parquet",
        f"{RESULTS}/classifiers/caltech101/one.parquet",
        f"{RESULTS}/classifiers/caltech101/two.parquet",
        f"{RESULTS}/seed3/classifiers/caltech101/two.parquet",
        f"{RESULTS}/examples/voc2007.parquet",
        f"{RESULTS}/examples/caltech101.parquet",
    ]
    for net, folder in ((MODELS[0], ""), (MODELS[1], "seed3/")):
        weights = transfer_rules.description_weights(run, net, "seed3/")
        assert weights == f"{RESULTS}/{folder}weights/{net}.safetensors"
    for replicate, seed in (("", "0"), ("seed3/", "3")):
        words = transfer_rules.random_options(run, replicate)
        assert words[words.index("--seed") + 1] == seed


def test_a_row_of_models_that_the_run_lacks_is_left_out(mine):
    weights = {"train": False, "import": {MODELS[0]: WEIGHTS, "D_S384": WEIGHTS}}
    run = mine(weights=weights)
    assert list(run.transfer_rows) == ["one"]
    assert transfer_rules.described_nets(run) == MODELS[:1]
    assert f"{RESULTS}/classifiers/voc2007/two.parquet" not in (
        transfer_rules.table_classifiers(run, "features")
    )


def test_a_net_may_have_a_dot_in_its_name(mine):
    """Which is no sign that its weights are random."""
    run = mine()
    weights = transfer_rules.description_weights(run, "D.v2", "")
    assert weights == f"{RESULTS}/weights/D.v2.safetensors"
    weights = transfer_rules.description_weights(run, "D.v2.random", "")
    assert weights == f"{RESULTS}/random/D.v2.safetensors"


# What the commands are told


def pairs(words):
    """Options of one value each."""
    return dict(zip(words[::2], words[1::2], strict=True))


def test_descriptors_follow_the_configured_readings():
    """Those that they share with evaluation, too."""
    choices = {
        "feature_relu": "before", "action_box": "with-margin", "pool_rounding": "ceil",
        "resize_filter": "bilinear",
    }  # fmt: skip
    run = run_of(FULL, choices=choices)
    words = pairs(transfer_rules.description_options(run, "box"))
    assert words == {
        "--feature-relu": "before", "--action-box": "with-margin", "--pool-rounding": "ceil",
        "--resize-filter": "bilinear", "--batch-size": "128", "--precision": "tf32",
    }  # fmt: skip
    assert pairs(transfer_rules.description_options(run, "image")) == {
        name: value for name, value in words.items() if name != "--action-box"
    }
    other = transfer_rules.description_options(run, "image", feature_relu="after")
    assert pairs(other)["--feature-relu"] == "after"


def test_classifiers_follow_the_configured_readings(mine):
    tables = {"features": table(row("one"), row("at", Q=[256]), row("max", scale_pooling="max"))}
    choices = {"svm_loss": "hinge", "feature_l2": "whole", "svm_difficult": "negatives"}
    run = mine(tables, choices=choices, transfer={"C": [1, 0.5]}, seeds=[4, 5])
    words = transfer_rules.classifier_options(run, "one", "voc2007")
    start = words.index("--C")
    assert words[start : start + 3] == ["--C", "1", "0.5"]
    assert pairs(words[:start] + words[start + 3 :]) == {
        "--scale-pooling": "mean", "--seed": "4", "--average-precision": "eleven-point",
        "--feature-l2": "whole", "--svm-loss": "hinge", "--svm-refit": "all",
        "--svm-difficult": "negatives",
    }  # fmt: skip
    of_caltech = transfer_rules.classifier_options(run, "one", "caltech101")
    assert "--average-precision" not in of_caltech
    assert of_caltech[:2] == ["--scale-pooling", "stack"]
    assert "--scale-pooling" not in transfer_rules.classifier_options(run, "at", "voc2007")
    for data_set in ("voc2007", "caltech101"):
        words = transfer_rules.classifier_options(run, "max", data_set)
        assert words[:2] == ["--scale-pooling", "max"]


@pytest.mark.parametrize("chosen", ["years-own", "eleven-point", "area"])
def test_average_precision_is_the_years_own_or_one_for_all(mine, chosen):
    run = mine(SUBMITTED, choices={"average_precision": chosen})
    found = {name: transfer_rules.precision_of(run, name) for name in run.data_sets}
    voc2007, later = ("eleven-point", "area") if chosen == "years-own" else (chosen, chosen)
    assert found == {
        "voc2007": voc2007, "voc2012": later, "voc2012_action": later, "caltech101": None,
        "caltech256": None,
    }  # fmt: skip
    words = transfer_rules.measuring_options(run)
    told = json.loads(words[words.index("--data-sets") + 1])
    assert {name: entry["average_precision"] for name, entry in told.items()} == found
    assert told["voc2012"] == {
        "title": "VOC-2012", "test": "withheld", "Q": [256, 384, 512, 640, 768],
        "scale_pooling": "mean", "average_precision": later,
    }  # fmt: skip


def test_splits_are_drawn_where_no_organiser_has():
    run = run_of(FULL)
    assert [name for name in run.data_sets if transfer_rules.drawn_splits(run, name)] == [
        "caltech101", "caltech256",
    ]  # fmt: skip
    assert transfer_rules.drawn_splits(run, "caltech101") == f"{RESULTS}/splits/caltech101.parquet"
    assert transfer_rules.drawn_splits(run, "voc2012_action") == []
    assert pairs(transfer_rules.split_options(run, "caltech101")) == {
        "--seed": "0", "--splits": "3", "--train-per-class": "30", "--test-per-class": "50",
    }  # fmt: skip
    assert "--test-per-class" not in transfer_rules.split_options(run, "caltech256")


def test_boxes_are_read_where_persons_are_described():
    run = run_of(FULL)
    assert transfer_rules.described_boxes(run, "voc2012_action", "image") == []
    assert transfer_rules.described_boxes(run, "voc2012_action", "box") == (
        f"{RESULTS}/examples/voc2012_action.parquet"
    )


def with_sets(**entries):
    """The full-size run with changes of its data sets that need no check."""
    run = run_of(FULL)
    return dataclasses.replace(run, config=changed(run.config, sets(**entries)))


def test_archives_that_have_a_sum_are_verified_first():
    def verified(**changes):
        return transfer_rules.verified_sources(with_sets(voc2007=changes), "voc2007")

    assert verified() == [f"{RESULTS}/verified/voc2007_{n}.json" for n in (0, 1)]
    assert verified(md5=[None, "0" * 32]) == [f"{RESULTS}/verified/voc2007_1.json"]
    for folder in ("VOCdevkit", "my.set", "x.tar/VOCdevkit"):
        assert verified(sources=[folder, "VOCtest_06-Nov-2007.tar"]) == [
            f"{RESULTS}/verified/voc2007_1.json"
        ]
    for packed in ("V.TAR", "c.tar.bz2", "c.zip", "c.Tgz"):
        assert len(verified(sources=[packed, "VOCtest_06-Nov-2007.tar"])) == 2
    run = with_sets(voc2007={"directory": "/data", "sources": ["a.tar", "/else/b.tar"]})
    assert transfer_rules.sources(run, "voc2007") == ["/data/a.tar", "/else/b.tar"]
    words = transfer_rules.verified_source(run, "voc2007", 1)
    assert pairs(words) == {
        "--archive": "/else/b.tar", "--md5": "b6e924de25625d8de591ea690078ad9f",
    }  # fmt: skip


def test_an_index_is_told_what_the_data_set_is():
    run = run_of(FULL)
    assert transfer_rules.index_options(run, "caltech256") == [
        "--kind", "folders", "--sources", "resources/caltech/256_ObjectCategories.tar",
        "--images", "30607", "--background", "257.clutter",
    ]  # fmt: skip
    assert transfer_rules.index_options(run, "voc2012") == [
        "--kind", "voc", "--sources", "resources/voc/VOCtrainval_11-May-2012.tar",
        "resources/voc/VOC2012test.tar", "--images", "22531", "--test", "withheld",
    ]  # fmt: skip


def test_drawn_sets_wait_for_the_drawing_and_others_do_not():
    drawn, full = run_of(MINIATURE), run_of(FULL)
    assert transfer_rules.made_sets(drawn, "voc2007") == "resources/other_sets/manifest.json"
    assert transfer_rules.drawn_folder(drawn) == ["other_sets"]
    assert transfer_rules.made_sets(full, "voc2007") == []
    assert transfer_rules.drawn_folder(full) == []
    own = run_of(MINIATURE, transfer={"data_sets": {"voc2007": {"directory": "/data"}}})
    assert transfer_rules.made_sets(own, "voc2007") == []
    assert transfer_rules.made_sets(own, "caltech101") == "resources/other_sets/manifest.json"


def test_the_memory_of_classifiers_is_that_of_all_pairs_of_images():
    """4 bytes for each, and two matrices of 8 of which each is a part; in megabytes."""
    run = run_of(FULL)
    images = 22_531
    needed = transfer_rules.memory(run, "voc2012")
    assert 4 * images**2 / 1e6 + 3000 < needed < (4 + 2 * 8) * images**2 / 1e6 + 4000
    assert transfer_rules.memory(run, "caltech256") > needed, "of which the number is not stated"
    assert transfer_rules.memory(run_of(MINIATURE), "voc2012") == 2000


# The configurations of the tree


ROWS = {
    "table11": ["D", "E", "D_E"],
    "table12": ["D_E_image", "D_E_image_box"],
    "feature_scales": ["mean_of_three", "stack_of_three", "max_of_three"],
    "random_features": ["D_at_256", "D_at_256_random"],
}


@pytest.mark.parametrize("base", [MINIATURE, FULL, RELEASED])
def test_every_configuration_measures_the_papers_rows(base):
    run = run_of(base)
    assert run.transferred[:4] == list(ROWS)
    for name, rows in ROWS.items():
        assert [own["name"] for own in run.tables[name]["rows"]] == rows
    assert list(run.transfer_rows) == [name for rows in ROWS.values() for name in rows]
    assert run.described_sets == [
        "voc2007", "voc2012", "voc2012_action", "caltech101", "caltech256",
    ]  # fmt: skip
    assert run.packed_stores[-5:] == run.described_sets
    assert list(run.feature_files) == [
        "features_D_voc2012", "features_E_voc2012", "features_D_E_voc2012",
        "actions_image_voc2012_action", "actions_image_box_voc2012_action",
    ]  # fmt: skip


def test_the_papers_scales_and_poolings_are_the_papers():
    """Five scales and their mean for VOC, three that are stacked for Caltech."""
    for base in (FULL, RELEASED):
        run = run_of(base)
        for name, entry in run.data_sets.items():
            is_voc = name.startswith("voc")
            assert entry["Q"] == [256, 384, 512, 640, 768][: None if is_voc else 3]
            assert entry["scale_pooling"] == ("mean" if is_voc else "stack")
        sizes = {name: run.data_sets[name].get("train_per_class") for name in run.data_sets}
        assert (sizes["caltech101"], sizes["caltech256"]) == (30, 60)
        assert run.data_sets["caltech101"]["test_per_class"] == 50


def test_the_released_weights_need_no_file_of_ilsvrc_for_table_11():
    run = run_of(RELEASED)
    needed = report_rules.table_posteriors(run, "table11")
    rows = ROWS["table11"]
    names = ("voc2007", "voc2012", "caltech101", "caltech256")
    folder = "results/released_weights"
    assert needed == [
        *(f"{folder}/classifiers/{name}/{own}.parquet" for name in names for own in rows),
        *(f"{folder}/examples/{name}.parquet" for name in names),
    ]
    described = {
        path
        for own in rows
        for name in names
        for path in transfer_rules.row_descriptors(run, own, name, "")
    }
    assert len(described) == 2 * (5 + 5 + 3 + 3)
    assert {path.split("/")[-2] for path in described} == set(MODELS)
    for model in MODELS:
        weights = transfer_rules.description_weights(run, model, "")
        assert weights == f"{folder}/weights/{model}.safetensors"
        assert model in run.imported
    everything = [word for name in names for word in transfer_rules.index_options(run, name)]
    everything += [path for name in names for path in run.shards(name)]
    assert not [word for word in everything if "ILSVRC" in word or "ilsvrc" in word]


def test_one_data_set_alone_can_be_measured():
    run = run_of(RELEASED, **ONLY_VOC2007)
    assert run.described_sets == ["voc2007"]
    assert run.packed_stores == ["val", "voc2007"]
    assert report_rules.table_posteriors(run, "table12") == []
    assert [path.split("/")[-1] for path in report_rules.table_posteriors(run, "table11")] == [
        "D.parquet", "E.parquet", "D_E.parquet", "voc2007.parquet",
    ]  # fmt: skip
    assert "D_E_image" not in run.transfer_rows
    assert run.feature_files == {}


def test_shards_of_data_sets_are_numbered_as_those_of_splits():
    run = with_sets(caltech101={"shards": 2})
    assert run.shards("caltech101") == [
        f"{RESULTS}/shards/caltech101/{number:05d}.arrow" for number in range(2)
    ]


def test_rows_of_features_are_no_posteriors_of_any_split():
    run = run_of(FULL)
    for name in ROWS:
        assert report_rules.measured_splits(run, name) == []
        assert not experiments.is_measured(run.tables[name])
    (own,) = experiments.row_evaluations(run.transfer_rows["D_E"])
    assert own == Transferred("D_E", tuple(MODELS))
    assert own.path("r", "voc2007") == "r/classifiers/voc2007/D_E.parquet"
