"""The report's first page: errors against the paper's, verdicts, costs, choices, packing."""

import copy
import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.pages import Page, numbers
from tests.helpers.report_inputs import (
    HOSTILE,
    claim_lines,
    index_of,
    is_miniature,
    opening,
    read,
    spaced,
)
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_svg
from workflow_scripts.vgg.report import against_paper, inputs, verdicts
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.results.throughput import SPEED_KEYS
from workflow_scripts.vgg.training.history import Validation, read_history, write_history


def test_the_index_shows_the_tables_main_numbers(run, evaluations, parameters):
    page = Page(index_of(run))
    shown = page.numbers()
    assert numbers(parameters) <= shown
    secondary = ("low", "high", "errors", "images", "difference", "evaluations", "seeds")
    assert numbers(evaluations["rows"], without=secondary) <= shown
    assert "resize filter" in page.text
    assert "not seed variance" in page.text


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_tables_are_compared_with_each_reference_apart(evaluations, claims, config):
    # By hand: 23.46 [19.61, 27.92] against 29.6 is outside, 11.125 against 12.5 and 3.375
    # against 3.625 are inside; one row is unmeasured and one is the literature's.
    other = copy.deepcopy(evaluations) | {"name": "released_weights", "reference": "authors"}
    other["rows"] = other["rows"][:1]
    text = spaced(rendered.render_index([evaluations, other], claims, [], config))
    inside = "in their 95% interval."
    assert f"2 of 3 errors in all tables have the paper’s {inside} 0 of 1" in text
    assert f"0 of 1 errors in all tables have that of the authors {inside}" in text


# What it opens with


@pytest.fixture
def drawn(tmp_path):
    """Paths of the two pictures of errors against the paper's, and of another figure."""
    names = ("measured_against_paper/top1", "measured_against_paper/top5", "error_against_depth")
    for name in names:
        text = f'<svg viewBox="0 0 9 9"><title>{name}</title><g id="cell-0"/></svg>'
        write_svg(tmp_path / f"figures/{name}.svg", text)
    return [str(tmp_path / f"figures/{name}.svg") for name in names]


def test_the_index_opens_with_the_pictures_of_errors_against_the_papers(run, config, drawn):
    html = index_of(run, "--drawn", "table7", "--figures", *drawn, "--pages", "table7")
    text = opening(html)["Errors against the paper’s"]
    # By hand: of the paper's 6 errors 3 are measured, of which 11.125 [9.5, 13.75] holds 12.5 and
    # 3.375 [2.25, 4.5] holds 3.625; 23.46 [19.61, 27.92] is clearly above 11.125, as 29.6 is
    # above 12.5, and no other pair is of one metric.
    if is_miniature(config):
        assert (
            "1 of 1 pairs of rows whose intervals do not overlap are in the paper’s order" in text
        )
        assert "; 0 pairs are too close to tell." in text
        assert "each axis has its own scale" in text
        assert "diagonal" not in text
    else:
        assert "2 of 3 errors with the paper’s in their 95% interval." in text
        assert "On the diagonal an error is the paper’s." in text
    assert "3 of the 5 errors in Table 7 were measured" in text
    assert "Among the top-5 errors are some of test images (in Table 7). Bars are" in text
    assert "Among the top-1" not in text
    assert "not seed variance (n = 1)." in text
    section, after = html.partition('aria-labelledby="claims"')[::2]
    assert [name in section for name in drawn_names(drawn)] == [True, True, False]
    assert [name in after for name in drawn_names(drawn)] == [False, False, True]
    assert '<a href="table7.html">Table 7</a>' in section


def drawn_names(paths):
    return [f'aria-label="{path.partition("figures/")[2].removesuffix(".svg")}"' for path in paths]


def test_without_its_pictures_the_index_opens_with_the_claims(run):
    assert list(opening(index_of(run))) == ["Claims of the text"]


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_errors_of_other_classes_are_compared_by_order_alone(run, config, drawn):
    config["data"]["classes"] = 100
    (Path(run("config.yaml"))).write_text(yaml.safe_dump(config))
    html = index_of(run, "--drawn", "table7", "--figures", *drawn)
    assert "are in the paper’s order" in opening(html)["Errors against the paper’s"]
    assert "in their 95% interval" not in spaced(html)


def test_the_counts_of_a_picture_are_those_of_its_cells(evaluations, claims, config):
    for row in evaluations["rows"][:2]:
        for cell in row["metrics"].values():
            cell |= dict.fromkeys(("measured", "low", "high", "difference"))
    cells = against_paper.paper_cells([evaluations])
    assert against_paper.errors_on_test_images(cells) == {}
    assert [str(cell) for cell in cells] == [
        "Table 7: A, top-1 validation error not measured, paper 29.6%",
        "Table 7: A, top-5 test error not measured, paper 7.3%",
        "Table 7: B, top-1 validation error not measured, paper 12.5%",
        "Table 7: B, top-5 test error not measured, paper 3.6%",
        "Table 7: GoogLeNet, top-5 test error not measured, paper 7.9%",
    ]
    assert against_paper.order(cells) == (0, 0, 0)
    assert not any(cell.is_inside for cell in cells)


def test_the_errors_of_test_images_are_told_by_kind_and_table():
    measured = against_paper.Measured(2, 1, 3, 1)
    cells = [
        against_paper.PaperCell(table, ("X",), metric, 2, own)
        for table, metric, own in (
            ("table3", "top1_val", measured),
            ("table6", "top5_test", measured),
            ("table6", "top5_test", measured),
            ("mine", "top1_test", None),
            ("mine", "top5_test", measured),
        )
    ]
    assert against_paper.errors_on_test_images(cells) == {"top-5": ["table6", "mine"]}
    assert against_paper.errors_on_test_images(cells[:1]) == {}


def test_pairs_that_are_apart_stand_in_an_order():
    def cell(paper, low, high, metric="top1_val", table="table3"):
        measured = against_paper.Measured((low + high) / 2, low, high, 1)
        return against_paper.PaperCell(table, ("X",), metric, paper, measured)

    cells = [cell(20, 1, 2), cell(30, 3, 4), cell(40, 2.5, 3.5), cell(40, 9, 9.5)]
    # (20, 30), (20, 40) and (20, 40) rise, (30, 40) overlap, (30, 40) rise, (40, 40) are equal.
    assert against_paper.order(cells) == (4, 4, 1)
    assert against_paper.order([*cells, cell(50, 0, 0.5)]) == (8, 4, 1)
    others = [cell(1, 80, 90, metric="top5_val"), cell(2, 70, 75, table="table4")]
    assert against_paper.order([*cells, *others]) == (4, 4, 1)


# The list of claims


def compared(claims, **changes):
    """The first claim's comparison with changes."""
    (comparison,) = claims["claims"][0]["comparisons"][:1]
    return comparison | changes


def test_the_list_has_each_claims_verdict_and_difference(claims, config):
    html = rendered.render_index([], claims, [], config)
    words = {True: "◐ undecided", False: "◐ inconclusive"}[is_miniature(config)]
    paper = "" if is_miniature(config) else " paper +0.1"
    assert claim_lines(html) == [
        f"{words} B is like A −0.5 [−2.0, +0.9]{paper}",
        "○ unmeasured GPUs are fast –",
    ]
    (part,) = verdicts.parts(claims["claims"])
    assert (part.title, part.units, part.span) == ("Main text", ["top-1 error"], 2.1)


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_of_several_comparisons_the_one_that_speaks_least_for_the_claim_is_shown(claims, config):
    lower = {"expect": "lower_error", "paper_difference": -0.25}
    one = compared(claims, **lower, difference=-3.0, low=-4.0, high=-2.0, verdict="reproduced")
    two = compared(claims, **lower, difference=-2.0, low=-3.0, high=-1.0, verdict="reproduced")
    three = compared(claims, **lower, difference=-0.5, low=-1.5, high=0.5, verdict="inconclusive")
    equal = compared(claims, difference=1.0, low=0.5, high=1.4, verdict="reproduced")
    worse = compared(
        claims, **lower | {"paper_difference": None},
        difference=2.0, low=1.0, high=3.0, verdict="not reproduced",
    )  # fmt: skip
    gone = compared(claims, **lower, verdict="unmeasured", difference=None, low=None, high=None)
    higher = {"expect": "higher", "metric": "map_voc2007", "paper_difference": 0.25}
    better = compared(claims, **higher, difference=2.0, low=1.0, high=3.0, verdict="reproduced")
    little = compared(claims, **higher, difference=0.5, low=0.25, high=0.75, verdict="reproduced")

    def line(*comparisons):
        claims["claims"] = [claims["claims"][0] | {"comparisons": list(comparisons)}]
        (text,) = claim_lines(rendered.render_index([], claims, [], config))
        return text.partition("B is like A ")[2]

    assert line(one, two) == "−2.0 [−3.0, −1.0] least of 2, paper −0.2"
    assert line(one, two, three) == "−0.5 [−1.5, +0.5] least of 3, paper −0.2"
    assert line(one, three, worse) == "+2.0 [+1.0, +3.0] least of 3"
    assert line(one, equal) == "+1.0 [+0.5, +1.4] least of 2, paper +0.1"  # by 0.1 of 1.5
    assert line(one, gone) == "−3.0 [−4.0, −2.0] 1 of 2 measured, paper −0.2"
    assert line(gone) == "–"
    assert line(better, little) == "+0.5 [+0.2, +0.8] least of 2, paper +0.2"


def test_claims_are_grouped_by_the_papers_parts(claims):
    one = claims["claims"][0]
    metrics = {"4.1": "top1_val", "A.2": "gtloc_val", "B": "map_voc2007", "2.3": "top1_val"}
    made = [
        one | {"number": n, "section": s, "comparisons": [compared(claims, metric=metric)]}
        for n, (s, metric) in enumerate(metrics.items(), start=1)
    ]
    found = [
        (part.title, part.units, [line.claim["number"] for line in part.lines])
        for part in verdicts.parts(made)
    ]
    assert found == [
        ("Main text", ["top-1 error"], [1, 4]),
        ("Appendix A, localisation", ["localisation error"], [2]),
        ("Appendix B, features", ["mean average precision or recall"], [3]),
    ]


def test_a_lines_bars_are_its_intervals_and_end_at_the_axis(claims, config):
    far = compared(claims, expect="lower_error", difference=-30.0, low=-40.0, high=-20.0)
    middles = (1, -1.5, 2, 0, -2, 1.75, 0.5, -0.25)
    near = [
        compared(claims, expect="lower_error", difference=d, low=d - 1, high=d + 1) for d in middles
    ]
    claims["claims"][0]["comparisons"] = [far, *near]
    (part,) = verdicts.parts(claims["claims"])
    assert part.span == 3  # holds 8 of 9
    html = rendered.render_index([], claims, [], config)
    (drawing,) = re.findall(r'<svg class="intervals".*?</svg>', html, flags=re.DOTALL)
    ends = re.findall(r'x1="(\S+)" x2="(\S+)" y1="0" y2="0"', drawing)
    scale = 60 / 3
    assert [tuple(map(float, pair)) for pair in ends] == [
        (-60, -60),
        *((scale * (d - 1), scale * (d + 1)) for d in middles),
    ]
    assert [float(x) for x in re.findall(r'cx="(\S+)"', drawing)] == [scale * d for d in middles]
    assert drawing.count("<path") == 1


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_a_claim_about_speed_shows_its_least_speed_up(claims, config):
    speed = dict.fromkeys(SPEED_KEYS, None) | {"processes": 4, "trainings": [], "baseline": []}
    claims["claims"][1]["throughput"]["measured"] = [
        speed | {"speedup": 3.75, "low": 3.5, "high": 4.0},
        speed | {"speedup": 3.625, "low": 3.25, "high": 3.875},
        speed | {"processes": 2, "speedup": 1.5, "low": 1.0, "high": 2.0},
        speed | {"speedup": None, "low": None, "high": None},
    ]
    line = claim_lines(rendered.render_index([], claims, [], config))[1]
    assert line == "○ unmeasured GPUs are fast 3.62 [3.25, 3.88] times, paper 3.75"


# The rest


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


def test_the_index_tells_what_the_run_did_and_cost(run, tmp_path):
    text, page = spaced(index_of(run)), Page(index_of(run))
    assert "jobs with a record" not in text
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
