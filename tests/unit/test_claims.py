"""The ledger of claims on posteriors with known errors, speeds on histories with known ratios."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from tests.helpers.clones import ROOT
from tests.helpers.flop_by_hand import FC, FIRST, by_hand
from workflow_scripts import judge_claims
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.results import throughput
from workflow_scripts.vgg.settings import experiments
from workflow_scripts.vgg.settings.experiments import (
    find_row,
    read_tables,
    side_evaluations,
)
from workflow_scripts.vgg.training.history import COLUMNS as HISTORY_COLUMNS
from workflow_scripts.vgg.training.history import Validation, read_history, write_history

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())
CLAIMS = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
CONVNETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
IMAGES = 400
# Share of images that each row of Table 3 gets wrong; A-LRN's is A's, on other images.
ERRORS = {"A_S256": 0.5, "A-LRN_S256": 0.5, "B_S256": 0.35, "C_S256": 0.3, "D_S256": 0.28}


def random_outcomes(rate, seed):
    return np.random.default_rng(seed).random(IMAGES) < rate


def write_outcomes(path, wrong, higher=0.8):
    """Posteriors of two classes whose higher one is wrong where `wrong`, bool [images], says so."""
    labels = np.arange(len(wrong)) % 2
    posteriors = np.full((len(wrong), 2), 1 - higher)
    posteriors[np.arange(len(wrong)), np.where(wrong, 1 - labels, labels)] = higher
    path.parent.mkdir(parents=True, exist_ok=True)
    write_posteriors(path, [f"val_{n:08d}" for n in range(len(wrong))], labels, posteriors, {})


def posteriors(folder, model):
    """Where the one evaluation of a fixed S = 256 in Table 3 lies."""
    return folder / f"posteriors/val/{model}/dense_Q256.parquet"


def row(model):
    return f"table3/{model}"


def compared(candidate, baseline, **more):
    return {"candidate": candidate, "baseline": baseline, "expect": "lower_error"} | more


def claim(number, *comparisons, **more):
    return {"number": number, "section": "4", "claim": "c", "comparisons": [*comparisons]} | more


@pytest.fixture
def results(tmp_path):
    """An experiment's results: posteriors of ERRORS under seeds 0, 1 and 2."""
    folder = tmp_path / "results/x"
    for place, (model, rate) in enumerate(ERRORS.items()):
        for seed in range(3):
            own = folder / f"seed{seed}" if seed else folder
            write_outcomes(posteriors(own, model), random_outcomes(rate, 10 * place + seed))
    return folder


@pytest.fixture
def judge(results, tmp_path, monkeypatch):
    """`judge(claims, *words)` gives the ledger that the command writes; own: another file."""
    monkeypatch.chdir(ROOT)

    def run(claims, *words, own=None):
        (tmp_path / "claims.yaml").write_text(yaml.safe_dump(claims))
        options = ["--claims", str(tmp_path / "claims.yaml"), *([str(own)] if own else [])]
        options += ["--results", str(results)]
        judge_claims.main([*options, "--output", str(tmp_path / "claims"), *map(str, words)])
        return json.loads((tmp_path / "claims.json").read_text())

    return run


def outcomes_of(results, model, seed=0):
    """The outcomes that a file of posteriors was written for, read back from its values."""
    frame = pd.read_parquet(posteriors(results / f"seed{seed}" if seed else results, model))
    return np.stack(frame["posterior"]).argmax(1) != frame["label"].to_numpy()


def test_the_documentation_counts_the_comparisons_of_holm_right():
    tables = read_tables([str(ROOT / "config/tables.yaml")])
    claims = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
    every = [each for claim in claims for each in claim["comparisons"]]
    of_boxes = [
        each
        for each in every
        if isinstance(each["baseline"], str) and "boxes" in find_row(each["baseline"], tables)
    ]
    of_features = [each for each in every if "metric" in each]
    compared = [each for each in every if each not in of_boxes and each not in of_features]
    pairs = {
        frozenset(
            tuple(sorted(map(str, side_evaluations(each[side], tables))))
            for side in ("candidate", "baseline")
        )
        for each in compared
    }
    text = (ROOT / "config/README.md").read_text()
    assert f"Holm counts {len(pairs)} of the {len(compared)} comparisons" in text
    assert f"apart from them the {len(of_boxes)} of localisation" in text
    assert f"and the {len(of_features)} of features" in text


def test_a_claim_is_judged_by_the_paired_difference_of_its_rows(judge, results):
    ledger = judge([claim(2, compared(row("B_S256"), row("A_S256")), note="n")])
    assert (ledger["experiment"], ledger["seeds"], ledger["alpha"]) == ("x", [0], 0.05)
    (found,) = ledger["claims"]
    (comparison,) = found["comparisons"]
    candidate, baseline = (outcomes_of(results, model) for model in ("B_S256", "A_S256"))
    assert comparison["candidate_error"] == 100 * candidate.sum() / IMAGES
    assert comparison["baseline_error"] == 100 * baseline.sum() / IMAGES
    assert comparison["difference"] == pytest.approx(100 * (candidate.mean() - baseline.mean()))
    assert comparison["low"] < comparison["difference"] < comparison["high"] < 0
    table = [[0, np.sum(~candidate & baseline)], [np.sum(candidate & ~baseline), 0]]
    assert comparison["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert comparison["p_holm"] == comparison["p"]
    assert (comparison["images"], comparison["seeds"]) == (IMAGES, 1)
    assert comparison["per_seed"] == [pytest.approx(comparison["difference"])]
    assert comparison["seed_sd"] is comparison["seed_low"] is comparison["seed_high"] is None
    assert comparison["candidate"] == "Table 3: B / 256 / 256"
    assert comparison["paper_difference"] == pytest.approx(28.7 - 29.6)
    assert (comparison["verdict"], found["verdict"]) == ("reproduced", "reproduced")
    assert (found["number"], found["note"], found["throughput"]) == (2, "n", None)


def test_a_side_of_several_evaluations_is_the_mean_of_their_posteriors(judge, results):
    # Where the two scales disagree, the mean follows the surer one.
    surer = random_outcomes(0.2, 99)
    write_outcomes(results / "posteriors/val/B_S256/dense_Q288.parquet", surer, higher=0.9)
    scales = [{"model": "B_S256", "method": "dense", "Q": [256, 288]}]
    (comparison,) = judge([claim(6, compared(scales, row("B_S256")))])["claims"][0]["comparisons"]
    alone = outcomes_of(results, "B_S256")
    assert comparison["candidate_error"] == 100 * surer.sum() / IMAGES
    assert comparison["difference"] == pytest.approx(100 * (surer.mean() - alone.mean()))
    assert comparison["candidate"] == "B_S256, dense, Q = 256, B_S256, dense, Q = 288"
    assert comparison["paper_difference"] is None


def test_each_seed_of_a_claim_is_compared_with_itself(judge, results):
    ledger = judge([claim(2, compared(row("B_S256"), row("A_S256")))], "--seeds", 0, 1, 2)
    ((comparison,),) = ([*found["comparisons"]] for found in ledger["claims"])
    per_seed = [
        100 * (outcomes_of(results, "B_S256", s).mean() - outcomes_of(results, "A_S256", s).mean())
        for s in range(3)
    ]
    assert ledger["seeds"] == [0, 1, 2]
    assert comparison["seeds"] == 3
    np.testing.assert_allclose(comparison["per_seed"], per_seed)
    assert len(set(comparison["per_seed"])) > 1
    assert comparison["difference"] == pytest.approx(np.mean(per_seed))
    assert comparison["seed_sd"] == pytest.approx(np.std(per_seed, ddof=1))
    assert comparison["seed_low"] < comparison["difference"] < comparison["seed_high"]
    errors = [outcomes_of(results, "B_S256", seed).mean() for seed in range(3)]
    assert comparison["candidate_error"] == pytest.approx(100 * np.mean(errors))


def test_seeds_that_disagree_leave_a_claim_open_that_the_images_would_settle(judge, results):
    claims = [claim(2, compared(row("B_S256"), row("A_S256")))]
    for seed, rate in ((1, 0.5), (2, 0.1)):
        write_outcomes(posteriors(results / f"seed{seed}", "B_S256"), random_outcomes(rate, seed))
    ledger = judge(claims, "--seeds", 0, 1, 2)
    (comparison,) = ledger["claims"][0]["comparisons"]
    assert comparison["high"] < 0
    assert comparison["p_holm"] < 0.001
    assert comparison["seed_high"] > 0
    assert comparison["verdict"] == "inconclusive"


def test_imported_models_have_no_seeds(judge, results):
    for seed in (1, 2):
        posteriors(results / f"seed{seed}", "A_S256").unlink()
        posteriors(results / f"seed{seed}", "D_S256").unlink()
    claims = [
        claim(1, compared(row("B_S256"), row("A_S256")), compared(row("D_S256"), row("A_S256")))
    ]
    words = ["--seeds", 0, 1, 2, "--imported", "A_S256", "D_S256"]
    first, second = judge(claims, *words)["claims"][0]["comparisons"]
    baseline = outcomes_of(results, "A_S256").mean()
    expected = [100 * (outcomes_of(results, "B_S256", s).mean() - baseline) for s in range(3)]
    np.testing.assert_allclose(first["per_seed"], expected)
    assert (second["seeds"], second["seed_sd"]) == (1, None)


def test_p_is_corrected_over_the_ledger_where_the_same_pair_counts_once(judge):
    models = ["A_S256", "A-LRN_S256", "B_S256", "C_S256", "D_S256"]
    pairs = [(one, two) for place, one in enumerate(models) for two in models[:place]]
    claims = [claim(n, compared(row(one), row(two))) for n, (one, two) in enumerate(pairs)]
    again, swapped = compared(row("B_S256"), row("A_S256")), compared(row("A_S256"), row("B_S256"))
    listed = compared(
        [{"model": "B_S256", "method": "dense", "Q": [256]}], row("A_S256"), expect="equivalent",
        margin=1,
    )  # fmt: skip
    unmeasured = compared(row("E_S256"), row("A_S256"))
    claims.append(claim(20, again, swapped, listed, unmeasured))
    ledger = judge(claims, "--models", *models)
    assert ledger["family"] == len(pairs) == 10
    *first, last = [found["comparisons"] for found in ledger["claims"]]
    p = [comparison["p"] for (comparison,) in first]
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose([comparison["p_holm"] for (comparison,) in first], expected)
    assert any(own < 0.05 <= adjusted for own, adjusted in zip(p, expected, strict=True))
    of_pair = expected[pairs.index(("B_S256", "A_S256"))]
    assert [comparison["p_holm"] for comparison in last[:3]] == pytest.approx([of_pair] * 3)
    assert last[1]["difference"] == -last[0]["difference"]
    assert last[3]["p_holm"] is None


def test_claims_of_ones_own_have_holms_correction_to_themselves(judge, tmp_path):
    papers = [claim(1, compared(row("B_S256"), row("A_S256")))]
    alone = judge(papers)
    same, new = compared(row("B_S256"), row("A_S256")), compared(row("C_S256"), row("A_S256"))
    further = [claim(101, same, new), claim(102, compared(row("D_S256"), row("A_S256")))]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(further))
    both = judge(papers, own=tmp_path / "own.yaml")
    assert both["claims"][:1] == alone["claims"]
    assert (alone["family"], alone["family_of_own"]) == (1, 0)
    assert (both["family"], both["family_of_own"]) == (1, 2)
    (papers_own, first), (second,) = (each["comparisons"] for each in both["claims"][1:])
    assert papers_own["p_holm"] == papers_own["p"], "a pair that the paper's claims compare"
    expected = multipletests([first["p"], second["p"]], method="holm")[1]
    np.testing.assert_allclose([first["p_holm"], second["p_holm"]], expected)


def test_a_difference_that_holms_correction_makes_uncertain_is_inconclusive(judge, results):
    # 30 images against 14: McNemar's p is 0.023. Of the others, two are far below and two above it,
    # the second of which comes last.
    place = np.arange(IMAGES)
    write_outcomes(posteriors(results, "C_S256"), place < 14)
    write_outcomes(posteriors(results, "D_S256"), (place >= 14) & (place < 44))
    alone = claim(1, compared(row("C_S256"), row("D_S256")))
    (comparison,) = judge([alone])["claims"][0]["comparisons"]
    assert comparison["high"] < 0
    assert (round(comparison["p"], 3), comparison["verdict"]) == (0.023, "reproduced")
    others = claim(
        2, *(compared(row(m), row("A_S256")) for m in ("A-LRN_S256", "C_S256", "D_S256"))
    )
    ledger = judge([alone, others])
    (comparison,) = ledger["claims"][0]["comparisons"]
    assert (round(comparison["p_holm"], 3), comparison["verdict"]) == (0.045, "reproduced")
    more = claim(3, compared(row("A-LRN_S256"), row("A-LRN_S256")))
    (comparison,) = judge([alone, others, more])["claims"][0]["comparisons"]
    assert (round(comparison["p_holm"], 3), comparison["verdict"]) == (0.068, "inconclusive")


def test_claims_about_models_that_the_run_lacks_are_unmeasured(judge, results):
    lacking = compared(row("E_S256"), row("D_S256"))
    claims = [claim(1, compared(row("B_S256"), row("A_S256")), lacking), claim(2, lacking)]
    ledger = judge(claims, "--models", *ERRORS)
    first, second = ledger["claims"]
    assert [c["verdict"] for c in first["comparisons"]] == ["reproduced", "unmeasured"]
    assert (first["verdict"], second["verdict"]) == ("inconclusive", "unmeasured")
    unmeasured = first["comparisons"][1]
    assert unmeasured["paper_difference"] == pytest.approx(27.3 - 27.0)
    said = {"candidate", "baseline", "expect", "metric", "paper_difference", "verdict"}
    assert {key for key, value in unmeasured.items() if value is not None} == said
    assert ledger["family"] == 1
    assert judge([claim(1, lacking)], "--models")["family"] == 0


def test_the_csv_has_the_ledgers_numbers(judge, tmp_path):
    claims = [
        claim(1, compared(row("A-LRN_S256"), row("A_S256"), expect="equivalent", margin=0.5)),
        claim(2, compared(row("B_S256"), row("A_S256")), compared(row("E_S256"), row("D_S256"))),
    ]
    ledger = judge(claims, "--seeds", 0, 1, 2, "--models", *ERRORS)
    lines = pd.read_csv(tmp_path / "claims.csv")
    assert lines["number"].tolist() == [1, 2, 2]
    comparisons = [c for found in ledger["claims"] for c in found["comparisons"]]
    for line, comparison in zip(lines.to_dict("records"), comparisons, strict=True):
        assert list(line) == ["number", "claim", *comparison]
        for key, value in comparison.items():
            if key == "per_seed" and value:
                assert [float(word) for word in line[key].split(" ")] == value
            else:
                assert line[key] == value or (value is None and np.isnan(line[key]))
    text = (tmp_path / "claims.csv").read_text()
    judge(claims, "--seeds", 0, 1, 2, "--models", *ERRORS)
    assert (tmp_path / "claims.csv").read_text() == text


def test_posteriors_of_another_number_of_images_are_named(judge, results):
    write_outcomes(posteriors(results / "seed2", "B_S256"), random_outcomes(0.3, 0)[:-1])
    claims = [claim(2, compared(row("B_S256"), row("A_S256")))]
    with pytest.raises(InputError, match=r"seed2/.*B_S256/dense_Q256.parquet holds 399 images"):
        judge(claims, "--seeds", 0, 2)


def test_a_row_that_claims_name_but_tables_lack_is_reported():
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    claims = [claim(1, compared("table3/no", "table3/A_S256"))]
    with pytest.raises(InputError, match="table3/no is no row"):
        experiments.check_references(models["convnets"], models["models"], TABLES, claims)


def complaint(claims):
    """What the schema says of claims; None if they are accepted."""
    schema = str(ROOT / "config/schemas/claims.schema.yaml")
    try:
        validate({"claims": claims}, schema, set_default=False)
    except WorkflowError as error:
        return str(error)


def test_claims_are_held_to_their_schema():
    speed = {"processes": 4, "speedup": 3.75, "margin": 0.25}
    assert complaint([claim(9, throughput=speed)]) is None
    for slip, expected in (
        (claim(9, throughput={**speed, "cores": 4}), "cores"),
        (claim(9, throughput={"processes": 4, "speedup": 3.75}), "margin"),
        (claim(9, throughput={**speed, "processes": 1}), "processes"),
        (claim(1, compared("table3/a", "table3/b", expect="equivalent")), "margin"),
        (claim(1, compared("a", "table3/b")), "candidate"),
    ):
        assert expected in complaint([slip])


def test_a_claim_compares_errors_of_one_kind():
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    mixed = claim(14, compared("table9/fusion", "table6/D_E_both"))
    with pytest.raises(InputError, match="claims: 14 compares classification with localisation"):
        experiments.check_references(models["convnets"], models["models"], TABLES, [mixed])


def test_the_papers_claims_are_accepted_and_all_of_their_rows_exist():
    assert complaint(CLAIMS) is None
    assert [c["number"] for c in CLAIMS] == list(range(1, 20))
    sections = [*["4.1"] * 5, "4.2", "4.3", "4.4", "3.3", *["A.2"] * 4, *["B"] * 6]
    assert [c["section"] for c in CLAIMS] == sections
    for comparison in (c for found in CLAIMS for c in found["comparisons"]):
        for side in ("candidate", "baseline"):
            if isinstance(comparison[side], str):
                assert side_evaluations(comparison[side], TABLES)
    assert CLAIMS[8]["throughput"]["processes"] == 4
    assert CLAIMS[8]["throughput"]["speedup"] == 3.75


# Speed: FLOP of an image in training, by hand, of full-size nets.

TRAINING = {net: 3 * by_hand(net) - FIRST for net in "ABD"}


def leave_training(folder, net, rates, model=None, processes=1, hardware="GPU", S=256, **more):
    """What a training leaves: weights with metadata, and a history of rates in images a second."""
    model = model or f"{net}_S{S}"
    metadata = {
        "net": net, "S": [S, S], "hardware": hardware, "processes": processes,
        "architecture": {"layers": CONVNETS[net]}, "optimisation": {"trainable": "all"},
    } | more  # fmt: skip
    for name in ("weights", "history"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    save_file(
        {"classifier.6.bias": np.zeros(1, np.float32)},
        folder / f"weights/{model}.safetensors",
        {key: json.dumps(value) for key, value in metadata.items()},
    )
    validations = [
        Validation(10 * n, n / 2, 0.01, 2.0, 50.0, 20.0, float(rate))
        for n, rate in enumerate(rates)
    ]
    write_history(folder / f"history/{model}.csv", validations)


def measured(folder, *models, seeds=(0,)):
    """The measured speeds by hardware and number of processes."""
    found = throughput.speedups(throughput.read_trials(str(folder), models, seeds))
    return {(speed["hardware"], speed["processes"]): speed for speed in found}


def test_steady_trainings_of_one_net_give_the_ratio_of_their_rates(tmp_path):
    leave_training(tmp_path, "D", [10, 80, 80, 80])
    leave_training(tmp_path, "D", [100, 300, 300], "D_again", processes=4)
    found = measured(tmp_path, "D_S256", "D_again")
    one, four = found["GPU", 1], found["GPU", 4]
    assert one["tflops"] == pytest.approx(80 * TRAINING["D"] / 1e12)
    assert (one["speedup"], one["low"], one["high"], one["efficiency"]) == (1, 1, 1, 1)
    assert four["tflops"] == pytest.approx(300 * TRAINING["D"] / 1e12)
    for key in ("speedup", "low", "high"):
        assert four[key] == pytest.approx(3.75)
    assert four["efficiency"] == pytest.approx(3.75 / 4)
    assert (four["trainings"], four["baseline"]) == (["D_again"], ["D_S256"])
    assert list(four) == list(throughput.SPEED_KEYS)


def test_different_nets_compare_by_their_arithmetic(tmp_path):
    leave_training(tmp_path, "A", [240, 240, 240])
    rate = 240 * 3.6 * TRAINING["A"] / TRAINING["D"]
    leave_training(tmp_path, "D", [rate] * 3, processes=4)
    four = measured(tmp_path, "A_S256", "D_S256")["GPU", 4]
    assert four["speedup"] == pytest.approx(3.6)
    assert rate / 240 < 2


def test_fine_tuning_of_fc_layers_is_less_arithmetic(tmp_path):
    leave_training(tmp_path, "A", [100] * 3)
    leave_training(tmp_path, "D", [100] * 3, processes=4, optimisation={"trainable": "fc"})
    four = measured(tmp_path, "A_S256", "D_S256")["GPU", 4]
    # The forward pass, and twice the FC layers but for the first one's input.
    frozen = by_hand("D") + 2 * FC - 2 * 7 * 7 * 512 * 4096
    assert four["speedup"] == pytest.approx(frozen / TRAINING["A"])


def test_where_a_net_was_trained_both_ways_only_it_is_compared(tmp_path):
    leave_training(tmp_path, "A", [500] * 3)
    leave_training(tmp_path, "D", [80] * 3)
    leave_training(tmp_path, "D", [20] * 3, S=384)
    leave_training(tmp_path / "seed5", "A", [100] * 3, processes=2)
    leave_training(tmp_path / "seed5", "D", [240] * 3, processes=4)
    leave_training(tmp_path / "seed5", "D", [900] * 3, S=384, processes=4, hardware="other")
    found = measured(tmp_path, "A_S256", "D_S256", "D_S384", seeds=(3, 5))
    assert found["GPU", 1]["trainings"] == ["A_S256", "D_S256", "D_S384"]
    assert found["GPU", 2]["speedup"] == pytest.approx(0.2)
    four = found["GPU", 4]
    assert (four["trainings"], four["baseline"]) == (["seed5/D_S256"], ["D_S256"])
    assert four["speedup"] == pytest.approx(3)
    # No training of one process on that hardware.
    other = found["other", 4]
    assert other["tflops"] == pytest.approx(900 * TRAINING["D"] / 1e12)
    assert other["speedup"] is other["low"] is other["high"] is other["efficiency"] is None


def test_the_first_interval_counts_only_if_there_are_less_than_three(tmp_path):
    leave_training(tmp_path, "A", [10, 100])
    leave_training(tmp_path, "A", [10, 110, 220], "A_again", processes=2)
    found = measured(tmp_path, "A_S256", "A_again")
    assert found["GPU", 1]["tflops"] == pytest.approx(55 * TRAINING["A"] / 1e12)
    assert found["GPU", 2]["speedup"] == pytest.approx(3)


def test_speedup_has_a_bootstrap_interval_over_the_intervals(tmp_path):
    # The median of three drawn from three is the least of them in 7 of 27 draws, so the interval's
    # ends are the least and the largest; of a constant it is the constant.
    leave_training(tmp_path, "B", [1, 100, 100])
    leave_training(tmp_path, "B", [1, 300, 390, 330], "B_again", processes=4)
    four = measured(tmp_path, "B_S256", "B_again")["GPU", 4]
    assert [four[k] for k in ("low", "speedup", "high")] == pytest.approx([3.0, 3.3, 3.9])


SPEED = {"processes": 4, "speedup": 3.75, "margin": 0.25}


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        ({1: [100, 100, 100], 4: [400, 350, 350]}, "reproduced"),
        ({1: [100, 100, 100], 4: [1, 340, 360, 380]}, "inconclusive"),
        ({1: [100, 100, 100], 4: [400, 349, 349]}, "not reproduced"),
        ({1: [100, 100, 100], 2: [200, 200, 200]}, "inconclusive"),
        ({2: [100, 100, 100], 4: [200, 200, 200]}, "inconclusive"),
        ({4: [400, 400, 400]}, "unmeasured"),
        ({1: [100, 100, 100]}, "unmeasured"),
        ({}, "unmeasured"),
    ],
)
def test_a_claim_about_speed_is_judged_by_measured_speeds(judge, results, tmp_path, rates, verdict):
    for processes, own in rates.items():
        leave_training(results, "A", own, f"A_{processes}", processes=processes)
    names = [f"A_{processes}" for processes in rates]
    (found,) = judge([claim(9, throughput=SPEED)], "--trainings", *names)["claims"]
    assert found["verdict"] == verdict
    speed = found["throughput"]
    assert [speed[f"expected_{key}"] for key in ("processes", "speedup")] == [4, 3.75]
    assert speed["margin"] == 0.25
    several = sorted(rates) if len(rates) > 1 else []
    assert [own["processes"] for own in speed["measured"]] == several
    lines = pd.read_csv(tmp_path / "claims_throughput.csv")
    assert list(lines) == ["number", *throughput.SPEED_KEYS]
    assert lines["processes"].tolist() == several
    for line, own in zip(lines.to_dict("records"), speed["measured"], strict=True):
        assert line["trainings"] == " ".join(own["trainings"])
        for key in ("tflops", "speedup", "low", "high"):
            assert line[key] == own[key] or (own[key] is None and np.isnan(line[key]))


def test_a_claim_about_speed_must_hold_on_every_hardware(tmp_path):
    for hardware, rate in (("fast", 380), ("slow", 200)):
        leave_training(tmp_path, "A", [100] * 3, f"{hardware}_1", hardware=hardware)
        leave_training(tmp_path, "A", [rate] * 3, f"{hardware}_4", 4, hardware)
    fast, slow = ([f"{hardware}_1", f"{hardware}_4"] for hardware in ("fast", "slow"))
    for models, verdict in ((fast, "reproduced"), ([*fast, *slow], "not reproduced")):
        found = measured(tmp_path, *models)
        assert throughput.speed_verdict(list(found.values()), **SPEED) == verdict


def test_without_trainings_speed_is_unmeasured(judge):
    (found,) = judge([claim(9, throughput=SPEED)])["claims"]
    assert found["verdict"] == "unmeasured"
    assert found["throughput"]["measured"] == []


def test_what_a_training_should_have_left_is_named(judge, results, tmp_path):
    claims = [claim(9, throughput=SPEED)]
    with pytest.raises(InputError, match=r"results/x/weights/A_S256.safetensors: no such file"):
        judge(claims, "--trainings", "A_S256")
    leave_training(results, "A", [100] * 3)
    with pytest.raises(InputError, match=r"results/x/seed1/weights/A_S256.safetensors"):
        judge(claims, "--trainings", "A_S256", "--seeds", 0, 1)
    history = results / "history/A_S256.csv"
    of_none = replace(read_history(history).lines[0], images_per_second=math.nan)
    write_history(tmp_path / "h.csv", [of_none])
    for text, slip in (
        (f"{','.join(HISTORY_COLUMNS)}\n", "no rows"),
        ("iteration\n1\n", "no column .*images_per_second"),
        ((tmp_path / "h.csv").read_text(), "no speed"),
    ):
        history.write_text(text)
        with pytest.raises(InputError, match=rf"results/x/history/A_S256.csv: .*{slip}"):
            judge(claims, "--trainings", "A_S256")
    history.unlink()
    with pytest.raises(InputError, match=r"results/x/history/A_S256.csv: .*no such file"):
        judge(claims, "--trainings", "A_S256")
    weights = results / "weights/A_S256.safetensors"
    save_file({"a": np.zeros(1)}, weights, {"net": '"A"'})
    with pytest.raises(InputError, match=r"A_S256.safetensors: .*no S, architecture, hardware"):
        judge(claims, "--trainings", "A_S256")


def test_trainings_of_one_number_of_processes_are_judged_without_torch(results, tmp_path):
    leave_training(results, "A", [100] * 3)
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump([claim(9, throughput=SPEED)]))
    words = ["--claims", str(tmp_path / "claims.yaml"), "--results", str(results)]
    words += ["--trainings", "A_S256", "--output", str(tmp_path / "claims")]
    program = (
        "import sys; from workflow_scripts import judge_claims; "
        f"judge_claims.main({words!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
    assert (tmp_path / "claims.json").exists()
