"""The ledger of claims about features, on made scores; and that it changes no other claim."""

import json
import statistics

import numpy as np
import pytest
import yaml
from statsmodels.stats.multitest import multipletests

from tests.helpers.clones import ROOT
from tests.helpers.feature_results import (
    CLAIMS,
    DATA_SETS,
    EXAMPLES,
    PAPER,
    TABLES,
    made_ledger,
    made_table,
    write_results,
)
from workflow_scripts import judge_claims
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.results.claims import judged_ledger
from workflow_scripts.vgg.results.feature_measures import Measures
from workflow_scripts.vgg.transfer import scores as files
from workflow_scripts.vgg.transfer.intervals import map_difference
from workflow_scripts.vgg.transfer.scores import read_scores

SEEDS = (3, 7)
IMAGES = 300


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Scores of two seeds, and posteriors of the first of two nets of Table 3."""
    folder = tmp_path_factory.mktemp("results") / "x"
    write_results(str(folder), SEEDS)
    for place, (model, rate) in enumerate((("A_S256", 0.5), ("B_S256", 0.4), ("C_S256", 0.38))):
        wrong = np.random.default_rng(place).random(IMAGES) < rate
        labels = np.arange(IMAGES) % 2
        posteriors = np.full((IMAGES, 2), 0.2)
        posteriors[np.arange(IMAGES), np.where(wrong, 1 - labels, labels)] = 0.8
        path = folder / f"posteriors/val/{model}/dense_Q256.parquet"
        path.parent.mkdir(parents=True)
        write_posteriors(path, [f"{n:04d}" for n in range(IMAGES)], labels, posteriors, {})
    return str(folder)


def compared(candidate, baseline, metric=None, **more):
    own = {"candidate": candidate, "baseline": baseline, "expect": "higher"}
    return own | ({"metric": metric} if metric else {}) | more


OF_ERRORS = {
    "number": 1, "section": "4.1", "claim": "deeper is better",
    "comparisons": [
        compared("table3/B_S256", "table3/A_S256", expect="lower_error"),
        compared("table3/C_S256", "table3/B_S256", expect="lower_error"),
    ],
}  # fmt: skip


def of_features(*comparisons, number=2):
    return {"number": number, "section": "B", "claim": "c", "comparisons": [*comparisons]}


def judged(results, *claims, seeds=(3,), data_sets=DATA_SETS, tables=TABLES, **more):
    given = {"imported": [], "models": None, "speeds": [], "bootstrap_seed": 1} | more
    return judged_ledger(
        list(claims), tables, PAPER, results=results, seeds=list(seeds), data_sets=data_sets,
        **given,
    )  # fmt: skip


def only(ledger):
    """The comparisons of the only claim."""
    (claim,) = ledger["claims"]
    return claim["comparisons"]


BETTER = compared("table11/D_E", "table11/D", "map_voc2007")
WORSE = compared("table11/D", "table11/D_E", "map_voc2007")


# What is compared


def test_a_difference_is_that_of_the_tables_measures(results):
    cells = {
        row["name"]: row["metrics"]
        for name in ("table11", "feature_scales", "table12")
        for row in made_table(name, results)["rows"]
    }
    ledger = made_ledger(results)
    found = {
        (one["candidate"], one["baseline"], one["metric"]): other
        for claim, other_claim in zip(
            [own for own in CLAIMS if own["number"] in range(14, 20)], ledger["claims"], strict=True
        )
        for one, other in zip(claim["comparisons"], other_claim["comparisons"], strict=True)
    }
    assert len(found) > 10
    for (candidate, baseline, metric), own in found.items():
        one, other = (cells[side.split("/")[1]][metric] for side in (candidate, baseline))
        assert own["candidate_error"] == pytest.approx(one["measured"])
        assert own["baseline_error"] == pytest.approx(other["measured"])
        assert own["difference"] == pytest.approx(one["measured"] - other["measured"])
        assert own["low"] <= own["difference"] <= own["high"]
        assert (own["metric"], own["images"], own["seeds"]) == (metric, one["images"], 1)
        assert own["seed_sd"] is own["seed_low"] is None
        assert 0 < own["p"] <= own["p_holm"] <= 1


def test_a_difference_is_of_the_same_resampled_images(results):
    (own,) = only(judged(results, of_features(BETTER)))
    measure = Measures(results, DATA_SETS, 1).of("map_voc2007")
    one, other = (
        measure.scores(read_scores(f"{results}/classifiers/voc2007/{name}.parquet"))
        for name in ("D_E", "D")
    )
    examples = EXAMPLES["voc2007"]
    tested = np.flatnonzero(np.array(examples.parts) == "test")
    expected = map_difference(
        [one], [other], examples.labels[tested], tested, "eleven-point", examples.scored, 1
    )
    assert (own["low"], own["high"], own["p"]) == (expected.low, expected.high, expected.p)
    turned = only(judged(results, of_features(WORSE)))[0]
    assert (turned["low"], turned["high"]) == pytest.approx((-own["high"], -own["low"]))
    assert turned["p"] == own["p"]


def test_the_papers_difference_stands_beside(results):
    of_paper = [
        compared("table11/D_E", "table11/E", metric)
        for metric in ("map_voc2007", "recall_caltech101", "mapval_voc2012")
    ]
    of_paper.append(compared("table11/D_E", "feature_scales/mean_of_three", "map_voc2007"))
    found = only(judged(results, of_features(*of_paper)))
    expected = [pytest.approx(89.7 - 89.3), pytest.approx(92.7 - 92.3), None, None]
    assert [own["paper_difference"] for own in found] == expected
    assert found[0]["candidate"] == "Table 11: VGG Net-D & Net-E"
    assert found[3]["baseline"] == "feature_scales: D and E / 256, 384, 512 / mean"


def test_each_seed_is_compared_with_itself(results):
    found = only(judged(results, of_features(BETTER), seeds=SEEDS))[0]
    values = {
        (name, seed): cell
        for name in ("D", "D_E")
        for row in made_table("table11", results, seeds=SEEDS)["rows"]
        if row["name"] == name
        for seed, cell in zip(SEEDS, row["metrics"]["map_voc2007"]["per_seed"], strict=True)
    }
    each = [values["D_E", seed] - values["D", seed] for seed in SEEDS]
    assert found["per_seed"] == pytest.approx(each)
    assert found["difference"] == pytest.approx(np.mean(each))
    assert found["seeds"] == 2
    assert found["seed_sd"] == pytest.approx(statistics.stdev(each))
    half = 12.706204736 * statistics.stdev(each) / 2**0.5  # of t at one degree of freedom
    assert found["seed_low"] == pytest.approx(np.mean(each) - half)
    assert found["seed_high"] == pytest.approx(np.mean(each) + half)


def test_a_side_of_imported_models_is_compared_with_every_seed(tmp_path):
    folder = str(tmp_path / "x")
    write_results(folder, SEEDS, names=("table11",), imported=("E_S256-512",))
    claim = of_features(compared("table11/D", "table11/E", "map_voc2007"))
    (own,) = only(judged(folder, claim, seeds=SEEDS, imported=["E_S256-512"]))
    assert own["seeds"] == 2
    rows = made_table("table11", folder, seeds=SEEDS, imported=("E_S256-512",))["rows"]
    cells = {row["name"]: row["metrics"]["map_voc2007"] for row in rows}
    expected = [value - cells["E"]["measured"] for value in cells["D"]["per_seed"]]
    assert own["per_seed"] == pytest.approx(expected)


# Verdicts


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (BETTER, "reproduced"),
        (WORSE, "not reproduced"),
        (BETTER | {"expect": "equivalent", "margin": 1.0}, "not reproduced"),
        (BETTER | {"expect": "equivalent", "margin": 60.0}, "reproduced"),
        (BETTER | {"expect": "equivalent", "margin": 12.0}, "inconclusive"),
    ],
)
def test_higher_is_better(results, comparison, verdict):
    ledger = judged(results, of_features(comparison))
    (own,) = only(ledger)
    assert (own["verdict"], ledger["claims"][0]["verdict"]) == (verdict, verdict)
    assert (own["expect"], own["margin"]) == (comparison["expect"], comparison.get("margin"))


def test_sides_that_are_alike_are_neither_better_nor_worse(results):
    claim = of_features(compared("table11/D", "table11/E", "map_voc2012"))
    assert only(judged(results, claim))[0]["verdict"] == "unmeasured"
    own = compared("feature_scales/max_of_three", "feature_scales/mean_of_three", "map_voc2007")
    found = only(judged(results, of_features(own)))[0]
    assert found["low"] < 0 < found["high"]
    assert found["verdict"] == "inconclusive"


UNMEASURED = dict.fromkeys(
    ("candidate_error", "baseline_error", "difference", "low", "high", "p", "p_holm", "images",
     "seeds", "per_seed", "seed_sd", "seed_low", "seed_high")
)  # fmt: skip


def assert_unmeasured(own):
    assert own["verdict"] == "unmeasured"
    assert {name: own[name] for name in UNMEASURED} == UNMEASURED


def test_withheld_labels_and_lacking_data_sets_leave_a_claim_unmeasured(results):
    withheld = compared("table11/D_E", "table11/D", "map_voc2012")
    lacking = compared("table11/D_E", "table11/D", "recall_caltech256")
    sets = {name: own for name, own in DATA_SETS.items() if name != "caltech256"}
    ledger = judged(results, of_features(withheld, lacking, BETTER), data_sets=sets)
    for own in only(ledger)[:2]:
        assert_unmeasured(own)
    assert only(ledger)[2]["verdict"] == "reproduced"
    assert ledger["claims"][0]["verdict"] == "inconclusive", "a part alone was measured"
    assert ledger["family_of_features"] == 1
    assert only(ledger)[0]["paper_difference"] == pytest.approx(0.3)
    nothing = judged(results, of_features(BETTER), data_sets={})
    assert nothing["claims"][0]["verdict"] == "unmeasured"


def test_models_that_the_run_lacks_leave_a_claim_unmeasured(results):
    ledger = judged(results, of_features(BETTER), models=["D_S256-512"])
    assert_unmeasured(only(ledger)[0])


SCALES = compared("table11/D_E", "feature_scales/mean_of_three", "map_voc2007")


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"Q": [256, 384, 512]}, True),
        ({"Q": [256, 384, 512, 640, 768]}, False),
        ({"Q": [256, 384, 512], "scale_pooling": "stack"}, False),
        ({"Q": [512, 384, 256]}, False),
        ({"Q": [256]}, False),
    ],
)
def test_the_same_descriptors_on_a_data_set_are_nothing_to_test(results, changes, is_same):
    """As where a data set is described at three scales only, and five are claimed to be better."""
    sets = DATA_SETS | {"voc2007": DATA_SETS["voc2007"] | changes}
    ledger = judged(results, of_features(SCALES, BETTER), data_sets=sets)
    assert (only(ledger)[0]["verdict"] == "unmeasured") == is_same
    assert ledger["family_of_features"] == (1 if is_same else 2)


def rows_at(Q, *poolings):
    """A table of rows whose scales are their own, one for each pooling."""
    rows = [
        {"name": name, "labels": [name],
         "descriptors": {"models": ["D_S256-512"], "Q": Q, "scale_pooling": name}}
        for name in poolings
    ]  # fmt: skip
    return {"title": "Own", "columns": ["pooling"], "metrics": ["map_voc2007"], "rows": rows}


@pytest.mark.parametrize(
    ("Q", "of_set", "is_same"),
    [([256, 384], [256], False), ([256], [256, 384], True), ([256], [256], True)],
)
def test_pooling_matters_at_several_scales_of_the_row_itself(Q, of_set, is_same, tmp_path):
    tables = TABLES | {"own": rows_at(Q, "mean", "stack")}
    sets = DATA_SETS | {"voc2007": DATA_SETS["voc2007"] | {"Q": of_set}}
    folder = tmp_path / "x"
    write_results(str(folder), (3,), names=("table11",))
    for name, other in (("mean", "D"), ("stack", "E")):
        path = folder / f"classifiers/voc2007/{name}.parquet"
        path.write_bytes((folder / f"classifiers/voc2007/{other}.parquet").read_bytes())
    claim = of_features(compared("own/stack", "own/mean", "map_voc2007"))
    (own,) = only(judged(str(folder), claim, tables=tables, data_sets=sets))
    assert (own["verdict"] == "unmeasured") == is_same


# Families of tests


def test_holm_counts_features_apart_and_changes_nothing_of_classification(results):
    claims = [
        of_features(BETTER, compared("table11/D_E", "table11/E", "map_voc2007")),
        of_features(
            compared("table11/D_E", "table11/E", "mapval_voc2012"),
            compared("table12/D_E_image_box", "table12/D_E_image", "mapval_voc2012_action"),
            BETTER,
            number=3,
        ),
    ]
    alone = judged(results, OF_ERRORS)
    both = judged(results, OF_ERRORS, *claims)
    assert both["claims"][0] == alone["claims"][0]
    assert (alone["family"], alone["family_of_features"]) == (2, 0)
    assert (both["family"], both["family_of_features"], both["family_of_localisation"]) == (2, 4, 0)
    features = judged(results, *claims)
    assert features["claims"] == both["claims"][1:]
    for comparisons in (
        alone["claims"][0]["comparisons"],
        [own for claim in features["claims"] for own in claim["comparisons"]][:4],
    ):
        p_values = [own["p"] for own in comparisons]
        expected = multipletests(p_values, method="holm")[1]
        assert [own["p_holm"] for own in comparisons] == pytest.approx(expected)
    again = features["claims"][1]["comparisons"][2]
    assert again == features["claims"][0]["comparisons"][0], "one test, in two claims"


def test_one_pair_by_two_metrics_is_two_tests(results):
    pair = [compared("table11/D_E", "table11/D", m) for m in ("map_voc2007", "mapval_voc2012")]
    assert judged(results, of_features(*pair))["family_of_features"] == 2
    assert judged(results, of_features(BETTER, WORSE))["family_of_features"] == 1


def test_the_papers_claims_are_each_of_one_kind():
    """And those about features name a metric that both rows show."""
    own = [claim for claim in CLAIMS if claim["section"] == "B"]
    assert [claim["number"] for claim in own] == list(range(14, 20))
    for claim in own:
        for comparison in claim["comparisons"]:
            for side in ("candidate", "baseline"):
                table, name = comparison[side].split("/")
                assert comparison["metric"] in TABLES[table]["metrics"]
                assert name in [row["name"] for row in TABLES[table]["rows"]]
            assert comparison["expect"] in ("higher", "equivalent")


# What is refused, and the command


def test_scores_of_other_examples_are_refused(tmp_path):
    folder = str(tmp_path / "x")
    write_results(folder, (3,), names=("table11",))
    path = f"{folder}/classifiers/voc2007/D.parquet"
    told = files.read_told(path)
    files.write_scores(path, read_scores(path)[:1], told)
    with pytest.raises(InputError, match=r"voc2007/D\.parquet: has no score of i00"):
        judged(folder, of_features(BETTER))
    files.write_scores(path, read_scores(f"{folder}/classifiers/voc2012/D.parquet"), told)
    with pytest.raises(InputError, match=r"voc2007/D\.parquet: has no score of i06"):
        judged(folder, of_features(BETTER))


def test_the_command_writes_the_same_ledger(results, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    claims = [OF_ERRORS, of_features(BETTER, compared("table11/D_E", "table11/D", "map_voc2012"))]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(claims))
    words = ["--claims", str(tmp_path / "claims.yaml"), "--results", results, "--seeds", "3"]
    words += ["--seed", "1", "--data-sets", json.dumps(DATA_SETS)]
    judge_claims.main([*words, "--output", str(tmp_path / "claims")])
    written = read_json(tmp_path / "claims.json")
    assert written == json.loads(json.dumps(judged(results, *claims)))
    lines = (tmp_path / "claims.csv").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 5
    assert "map_voc2007" in lines[-2]
