"""The report's first page: headline, claims, costs, choices, packing and figures."""

import copy
import json
import math
from collections import Counter

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.pages import Page, numbers
from tests.helpers.report_inputs import HOSTILE, downloads, headline, index_of, read, spaced
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_svg
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.results.throughput import SPEED_KEYS
from workflow_scripts.vgg.training.history import Validation, read_history, write_history


def test_the_index_shows_every_claim_and_the_tables_main_numbers(
    run, claims, evaluations, parameters
):
    page = Page(index_of(run))
    shown = page.numbers()
    assert numbers(claims) <= shown
    assert numbers(parameters) <= shown
    secondary = ("low", "high", "errors", "images", "difference", "evaluations", "seeds")
    assert numbers(evaluations["rows"], without=secondary) <= shown
    assert "resize filter" in page.text
    assert "not seed variance" in page.text


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_the_headline_compares_with_each_reference_apart(evaluations, claims, config):
    # By hand: 23.46 [19.61, 27.92] against 29.6 is outside, 11.125 against 12.5 and 3.375
    # against 3.625 are inside; one row is unmeasured and one is the literature's.
    other = copy.deepcopy(evaluations) | {"name": "released_weights", "reference": "authors"}
    other["rows"] = other["rows"][:1]
    html = rendered.render_index([evaluations, other], claims, [], config)
    assert headline(html) == [
        ("errors with the paper’s in their 95% interval", "2 of 3"),
        ("errors with that of the authors in their 95% interval", "0 of 1"),
        ("claims ● reproduced", "0"),
        ("claims ✕ not reproduced", "0"),
        ("claim ◐ inconclusive", "1"),
        ("claim ○ unmeasured", "1"),
        ("training seed (n = 1)", "1"),
    ]


def test_figures_are_images_with_words_and_identifiers_of_their_own(run, figures):
    page = Page(index_of(run, "--figures", *figures))
    drawings = [d["attributes"] for d in page.elements["svg"] if d["attributes"].get("role")]
    labels = [d["aria-label"] for d in drawings if d["role"] == "img"]
    assert [label.split(" of ") for label in labels] == [
        ['Errors & "depths"', path.partition("figures/")[2]] for path in figures
    ]
    ids = Counter(value for _, name, value in page.attributes if name == "id")
    assert set(ids.values()) == {1}
    assert [page.named(d["aria-describedby"]) for d in drawings] == ["A 11.5%"] * 3
    used = {value[1:] for tag, name, value in page.attributes if (tag, name) == ("use", "href")}
    clipped = {value[5:-1] for tag, name, value in page.attributes if name == "clip-path"}
    assert len(used) == len(clipped) == 3
    assert used | clipped <= ids.keys()
    assert page.tags["figcaption"] == 2
    assert "23.8% after 30 iterations" in " ".join(page.text.split())
    assert {23.75, 30.0} <= page.values  # where the learning curve ends
    for heading in ("Learning curves", "Error against depth"):
        assert heading in page.text


def test_a_figure_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.svg: no such file"):
        rendered.inline_svg(tmp_path / "gone.svg")
    for content in ("<html></html>", "<svg><g/></svg>"):
        write_svg(tmp_path / "odd.svg", content)
        with pytest.raises(InputError, match=r"odd\.svg: expected an SVG drawing with a <title>"):
            rendered.inline_svg(tmp_path / "odd.svg")


def test_histories_of_other_seeds_are_told_apart(tmp_path):
    lines = [
        Validation(iteration, 1.0, 0.1, 2.0, error, 9.0, 9.0)
        for iteration, error in ((10, 50.5), (20, math.nan))
    ]
    for folder, seed in (("r/history", None), ("r/seed12/history", 12)):
        write_history(tmp_path / folder / "A_S256.csv", lines)
        history = read_history(tmp_path / folder / "A_S256.csv")
        assert (history.model, history.seed) == ("A_S256", seed)
        assert history.measured("val_top1_error") == [(10, 50.5)]


def test_a_claim_that_was_not_measured_shows_the_papers_difference_only(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    measured = [
        *("candidate_error", "baseline_error", "difference", "low", "high", "p", "p_holm"),
        *("images", "seeds", "per_seed", "seed_sd", "seed_low", "seed_high"),
    ]
    comparison |= dict.fromkeys(measured) | {"verdict": "unmeasured", "paper_difference": -1.25}
    claims["claims"] = claims["claims"][:1]
    claims["claims"][0]["verdict"] = "unmeasured"
    page = Page(rendered.render_index([], claims, [], config))
    rows = [row for row in page.rows if row]
    assert rows == [[comparison["margin"], -1.25]]
    assert page.text.count("unmeasured") >= 3


def test_the_ledger_keeps_test_set_noise_and_seed_variance_apart(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    keys = ("margin", "candidate_error", "baseline_error", "difference", "paper_difference")
    keys += ("low", "high", "p", "p_holm", "images", "seeds")
    page = Page(rendered.render_index([], claims, [], config))
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
    page = Page(rendered.render_index([], claims, [], config))
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
    page = Page(index_of(run))
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
    html = index_of(run)
    page = Page(html)
    for row in values:
        numbers_of_row = [value for value in row if isinstance(value, (int, float))]
        assert numbers_of_row in page.rows
    assert not page.tags["b"]
    assert "not measured" not in page.text
    assert downloads(html)["claims_throughput.csv"][1] == b"number,processes\n9,1\n"


def test_the_index_tells_what_the_run_did_and_cost(run, tmp_path):
    text, page = spaced(index_of(run)), Page(index_of(run))
    assert "The run" not in text
    assert "What the run costs" not in text

    def kind(rule, planned, hours, **actual):
        found = dict.fromkeys(("jobs", "device_hours", "cpu_hours", "peak_memory_mb")) | actual
        return {"rule": rule, "jobs": planned, "flop": 1e15, "hours": hours, "actual": found}

    plan = {key: [] for key in inputs.PLAN_KEYS}
    plan["by_rule"] = [kind("train_convnet", 14, 237.25, jobs=13, device_hours=31.125)]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    words = ("--records", run("logs"), "--plan", run("plan.json"), "--pages", "plan")
    page = Page(index_of(run, *words))
    text = " ".join(page.text.split())
    assert {14.0, 237.25, 13.0, 31.125} <= page.values
    # Three records: 83 s, 83 s and 7384 s of wall time, 71.5 s each of CPU time.
    assert {(2 * 83 + 7384) / 3600, 3 * 71.5 / 3600} <= page.values
    for words in (
        *("trainings 1", "evaluations 1", "jobs with a record 3", "devices Xeon (cpu)"),
        *("nodes node-r9", "torch 2.12.1", "2026-11-24 20:38 UTC, 2026-11-24 20:39 UTC"),
    ):
        assert words in text
    assert "plan.html" in page.links()


def test_choices_stand_beside_their_alternatives_and_what_they_decide(run):
    schema = str(ROOT / "config/schemas/config.schema.yaml")
    text = spaced(index_of(run, "--schema", schema))
    known = yaml.safe_load(read(schema))["properties"]["choices"]["properties"]
    description = known["resize_filter"]["description"]
    assert f"resize filter bicubic bilinear {description}" in text


PACKING = {
    "experiment": "m",
    "stores": {
        "val": {
            "images": 298,
            "source_bytes": 6_744_924_160,
            "bytes": 31_415,
            "oddities": {"cmyk": ["id1", "id2"], "grey": [f"grey{n}" for n in range(1, 9)]},
            "skipped": [{"id": "val_7", "reason": "no bytes"}, {"id": "val_8", "reason": HOSTILE}],
        },
        "train_S256": {
            "images": 4000,
            "source_bytes": 999,
            "bytes": 27_182,
            "oddities": {"cmyk": ["t9"]},
            "skipped": [],
        },
    },
}


def test_the_index_lists_what_was_packed_and_every_skipped_image(run, tmp_path):
    (tmp_path / "packing.json").write_text(json.dumps(PACKING))
    page = Page(index_of(run, "--packing", run("packing.json")))
    text = " ".join(page.text.split())
    assert {298, 4000, 6_744_924_160, 31_415, 27_182, 999} <= page.values
    assert "6.74 GB" in text
    assert "31.4 kB" in text
    # Counts of cmyk in both stores and of grey; no more than the first five ids.
    assert {2, 1, 8} <= page.values
    assert "id1, id2" in text
    assert "grey1, grey2, grey3, grey4, grey5, …" in text
    assert "grey6" not in text
    assert "Skipped: 2." in text
    for words in ("val_7 val no bytes", f"val_8 val {HOSTILE}"):
        assert words in text
    assert page.tags["script"] == 1


def test_a_packing_without_oddities_says_so(run, tmp_path):
    quiet = copy.deepcopy(PACKING)
    for store in quiet["stores"].values():
        store |= {"oddities": {}, "skipped": []}
    (tmp_path / "packing.json").write_text(json.dumps(quiet))
    text = spaced(index_of(run, "--packing", run("packing.json")))
    assert "No image was odd." in text
    assert "No image was skipped." in text
    assert "Images as packed" not in spaced(index_of(run))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda stores: stores["val"].pop("skipped"), "store val.*skipped"),
        (lambda stores: stores["val"]["skipped"][0].pop("reason"), "store val, skipped.*reason"),
        (lambda stores: stores["val"].update(oddities=[]), "store val, oddities"),
    ],
)
def test_a_damaged_packing_report_is_named_with_what_it_lacks(tmp_path, damage, message):
    damaged = copy.deepcopy(PACKING)
    damage(damaged["stores"])
    path = tmp_path / "packing.json"
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match=rf"packing\.json.*{message}"):
        inputs.load_packing(path)
