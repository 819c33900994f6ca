"""The page of claims: every comparison of the ledger, how it was judged, and speeds."""

import json

from tests.helpers.pages import Page, numbers
from tests.helpers.report_inputs import claims_of, downloads
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.report import verdicts
from workflow_scripts.vgg.results.throughput import SPEED_KEYS


def test_the_page_shows_every_number_of_the_ledger(run, claims):
    families = [key for key in claims if key.startswith("family_of_")]  # none is of any
    assert numbers(claims, without=families) <= Page(claims_of(run)).numbers()


def test_a_claim_that_was_not_measured_shows_the_papers_difference_only(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    measured = [
        *("candidate_error", "baseline_error", "difference", "low", "high", "p", "p_holm"),
        *("images", "seeds", "per_seed", "seed_sd", "seed_low", "seed_high"),
    ]
    comparison |= dict.fromkeys(measured) | {"verdict": "unmeasured", "paper_difference": -1.25}
    claims["claims"] = claims["claims"][:1]
    claims["claims"][0]["verdict"] = "unmeasured"
    page = Page(rendered.render_claims(claims, [], config))
    rows = [row for row in page.rows if row]
    assert rows == [[comparison["margin"], -1.25]]
    assert page.text.count("unmeasured") == 2


def test_the_ledger_keeps_test_set_noise_and_seed_variance_apart(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    keys = ("margin", "candidate_error", "baseline_error", "difference", "paper_difference")
    keys += ("low", "high", "p", "p_holm", "images", "seeds")
    page = Page(rendered.render_claims(claims, [], config))
    assert next(row for row in page.rows if row) == [comparison[key] for key in keys]
    heads = [" ".join(head["text"].split()) for head in page.elements["th"]]
    for head in ("test-set noise", "seeds", "p", "Holm’s p", "n"):
        assert head in heads
    assert not {"seed variance", "sd"} & set(heads)
    text = " ".join(page.text.split())
    assert "exact McNemar test; and p as Holm raises it for 29 comparisons, where a pair" in text
    assert "Seed variance: unknown, since n = 1" in text
    assert "Holm’s p is below 0.05" in text
    assert "expected equal within 1.5 points" in text

    claims["seeds"] = config["seeds"] = [3, 5]
    spread = {"seeds": 2, "per_seed": [-0.3125, -0.7675], "seed_sd": 0.3217}
    comparison |= spread | {"seed_low": -3.43, "seed_high": 2.35}
    page = Page(rendered.render_claims(claims, [], config))
    keys += ("seed_sd", "seed_low", "seed_high")
    measured = [comparison[key] for key in keys] + comparison["per_seed"]
    assert next(row for row in page.rows if row) == measured
    text = " ".join(page.text.split())
    assert "exact sign-flip test on the images, which for one seed is McNemar’s" in text
    assert "if both 95% intervals lie below zero" in text
    heads = [" ".join(head["text"].split()) for head in page.elements["th"]]
    assert heads.count("95% interval") == 2
    assert {"test-set noise", "seed variance", "sd"} <= set(heads)


def test_throughput_is_a_table_where_it_was_measured(run, tmp_path, claims):
    page = Page(claims_of(run))
    text = " ".join(page.text.split())
    assert (
        "4 processes, expected 3.75 times as fast as one, at most 0.25 less: not measured" in text
    )
    assert "throughput" not in {value for _, name, value in page.attributes if name == "id"}

    values = [
        (1, ["A", "B"], [], "H200", 41.25, 1.0, 1.0, 1.0, 1.0),
        (4, ["C_S256"], ["A"], "H200", 152.5, 3.6969, 3.625, 3.75, 0.92424),
        (2, ["D"], [], "old <b>", 7.125, None, None, None, None),
    ]
    speeds = [dict(zip(SPEED_KEYS, row, strict=True)) for row in values]
    claims["claims"][1]["throughput"]["measured"] = speeds
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    (tmp_path / "claims_throughput.csv").write_bytes(b"number,processes\n9,1\n")
    html = claims_of(run)
    page = Page(html)
    for row in values:
        numbers_of_row = [value for value in row if isinstance(value, (int, float))]
        assert numbers_of_row in page.rows
    assert not page.tags["b"]
    assert "not measured" not in page.text
    assert downloads(html)["claims_throughput.csv"][1] == b"number,processes\n9,1\n"


def test_claims_of_a_runs_own_stand_apart(claims, config):
    own = claims["claims"][-1] | {"number": 101, "section": "", "claim": "Mine is better"}
    claims["claims"].append(own)
    claims["family_of_own"] = 3
    text = " ".join(Page(rendered.render_claims(claims, [], config)).text.split())
    assert "for the 3 that this run’s own claims alone make, apart from all of these" in text
    assert "101. Mine is better" in text
    *_, last = verdicts.parts(claims["claims"])
    assert (last.title, [line.claim for line in last.lines]) == ("Claims of this run’s own", [own])
