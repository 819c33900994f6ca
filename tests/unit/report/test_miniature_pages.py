"""What the miniature's pages say of the paper: directions, in words of their own, and no sizes."""

import re

import pytest

from tests.helpers.pages import Page
from tests.helpers.report_inputs import is_miniature, opening, page_of, spaced
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.report.directions import Differences, directions

MINIATURE = pytest.mark.parametrize("config", ["miniature"], indirect=True)


@pytest.fixture
def compared(claims):
    """`compared(...)`: a comparison of the ledger, with these values."""
    (comparison,) = claims["claims"][0]["comparisons"]

    def changed(candidate, difference, low, high, expect="lower_error", **more):
        values = {"expect": expect, "candidate": candidate, "difference": difference}
        return comparison | values | {"low": low, "high": high, "verdict": "inconclusive"} | more

    return changed


@pytest.fixture
def ledger(claims, compared):
    """A ledger of claims of every verdict."""
    first = compared("B", -2.0, -3.0, -1.0, paper_difference=-90.0, verdict="reproduced")
    of_claims = {
        "reproduced": [first],
        "not reproduced": [
            first,  # as another claim compares them too
            compared("C", -1.0, -2.0, 0.0),
            compared("D", 4.0, 3.0, 5.0, verdict="not reproduced"),
            compared("E", 0.0, -1.0, 1.0),
            compared("F", None, None, None, verdict="unmeasured"),
        ],
        "inconclusive": [
            compared("C", 0.5, -1.0, 2.0, "equivalent"),
            compared("D", 0.5, 0.0, 1.0, "equivalent", verdict="reproduced"),
            compared("E", 5.0, 4.0, 6.0, "equivalent", verdict="not reproduced"),
        ],
    }
    one, speed = claims["claims"]
    claims["claims"] = [
        one | {"number": place, "verdict": verdict, "comparisons": comparisons}
        for place, (verdict, comparisons) in enumerate(of_claims.items(), start=1)
    ] + [speed]
    return claims


# Counting


def test_directions_are_those_of_pairs_each_counted_once(ledger):
    found = directions(ledger["claims"])
    assert found.pairs == 4
    assert found.with_paper == Differences(all=2, clear=1)
    assert found.against == Differences(all=1, clear=1)
    assert found.equal == {"inconclusive": 1, "reproduced": 1, "not reproduced": 1}


def test_the_seeds_interval_must_exclude_zero_too(claims, compared):
    def clear(low, high):
        (claim, *_) = claims["claims"]
        claim["comparisons"] = [compared("B", -2.0, -3.0, -1.0, seed_low=low, seed_high=high)]
        return directions([claim]).with_paper.clear

    assert [clear(-5.0, 1.0), clear(-5.0, -0.5), clear(None, None)] == [0, 1, 1]


# The index


@MINIATURE
def test_the_index_counts_directions(evaluations, ledger, config):
    def told(ledger=ledger):
        html = rendered.render_index([evaluations], ledger, [], config)
        return opening(html)["Claims of the text"], spaced(html)

    opened, text = told()
    for words in (
        "● as in the paper 1 ✕ unlike the paper 1 ◐ undecided 1 ○ unmeasured 1",
        "2 of 4 differences go the paper’s way (1 of them clearly: a 95% interval excludes zero),",
        "1 the other way (1 clearly). Of 3 pairs expected equal, 1 are within the margin, 1",
        "undecided, 1 beyond it.",
    ):
        assert words in opened
    assert "Directions may be compared with the paper; sizes of errors and differences" in text
    assert "objects of all sizes, detail, context (docs/miniature.md)" in text
    config["data"]["without"] = ["sizes", "context"]
    assert "detail, context, here without sizes and context (docs/miniature.md)" in told()[1]
    ledger["seeds"] = config["seeds"] = [3, 5]
    assert "(1 of them clearly: 95% intervals exclude zero)" in told()[0]


@MINIATURE
def test_without_measured_pairs_or_claims_there_are_no_such_counts(ledger, config):
    unmeasured = ledger | {"claims": ledger["claims"][-1:]}
    opened = opening(rendered.render_index([], unmeasured, [], config))["Claims of the text"]
    assert "differences go" not in opened
    assert "expected equal" not in opened
    assert opening(rendered.render_index([], {"claims": []}, [], config)) == {}


def test_verdicts_are_in_words_that_fit_the_run(ledger, config):
    html = rendered.render_claims(ledger, [], config)
    shown = re.findall(r'<span class="verdict ([\w-]+)"><span[^>]*>.</span> ([\w ]+)</span>', html)
    rules = Page(html).text.partition("A lower error is ")[2].partition("Ledger of claims")[0]
    words = {"reproduced", "not reproduced", "inconclusive", "unmeasured"}
    quoted = set(re.findall("“(.*?)”", rules))
    if not is_miniature(config):
        assert {word for _, word in shown} == words
        assert quoted == set()
        return
    assert set(shown) == {
        ("reproduced", "as in the paper"),
        ("not-reproduced", "unlike the paper"),
        ("inconclusive", "undecided"),
        ("unmeasured", "unmeasured"),
    }
    rules, told, _ = re.split(r"(The files say .*? instead\.)", " ".join(rules.split()))
    assert set(re.findall("“(.*?)”", rules)) == {word for _, word in shown} - {"unmeasured"}
    assert set(re.findall("“(.*?)”", told)) == words - {"unmeasured"}
    assert not re.search("reproduced|inconclusive", rules)
    assert "and “unlike the paper” if one of them is. The" in f"{rules}{told}"


def test_the_papers_differences_are_a_column_and_in_the_miniature_no_drawing(ledger, config):
    html = rendered.render_claims(ledger, [], config)
    small = is_miniature(config)
    assert ("the diamond is the paper’s" in spaced(html)) != small
    assert ('<path transform="translate' in html) != small
    assert f"on an axis of ±{6 if small else 90}.0 points" in html
    assert -90.0 in Page(html).values
    assert ("compare their signs with those measured here, not their" in html) == small


def test_each_kind_of_difference_is_drawn_on_an_axis_of_its_own(ledger, config, compared):
    """Points of average precision are tens where those of errors are ones."""
    claim = {**ledger["claims"][0]}
    claim["comparisons"] = [
        compared("B", -2.0, -4.0, 1.0, paper_difference=None),
        compared("B", 20.0, 10.0, 40.0, paper_difference=None, metric="map_voc2007"),
    ]
    html = rendered.render_claims({**ledger, "claims": [claim]}, [], config)
    axes = "±4.0 points of top-1 error or ±40.0 points of mean average precision or recall"
    assert f"on an axis of {axes}, the dot" in spaced(html)
    drawn = re.findall(r'<circle cx="([-.0-9]+)"', html)
    assert list(map(float, drawn)) == [-30.0, 30.0]


# Tables


@MINIATURE
def test_nothing_marks_or_subtracts_the_papers_numbers(run, evaluations, ledger, config):
    index = rendered.render_index([evaluations], ledger, [], config)
    for html, after in ((page_of(run, "table7"), "Notes"), (index, "In brief")):
        page = Page(html)
        assert not re.search('[◇◆]|class="mark"|outside the', html.partition("</style>")[2])
        assert {29.6, 12.5, 7.9} <= page.values
        assert "here for layout" in spaced(html).partition(after)[2]
        for row in evaluations["rows"]:
            for cell in row["metrics"].values():
                assert cell["difference"] not in page.values
    heads = [" ".join(head["text"].split()) for head in Page(page_of(run, "table7")).elements["th"]]
    assert {"measured", "95% interval", "paper"} <= set(heads)
    assert not {"difference", "diff."} & set(heads)
    assert "minus" not in Page(page_of(run, "table7")).text


def test_the_rows_of_a_table_are_as_wide_as_its_head(run, evaluations):
    """Also where the difference is left out."""
    head, body = page_of(run, "table7").partition("<thead>")[2].split("</thead>")
    over, own = (len(re.findall("<th", row)) for row in head.split("</tr>")[:2])
    spanned = sum(map(int, re.findall(r'colspan="(\d+)"', head)))
    assert (over, own) == (len(evaluations["columns"]) + len(evaluations["metrics"]), spanned)
    heading, row = (part.partition("</tr>")[0] for part in body.split("<tr>")[1:3])
    columns = len(evaluations["columns"]) + spanned
    assert f'colspan="{columns}"' in heading
    assert len(re.findall("<t[dh]", row)) == columns


def test_notes_of_the_miniature_stand_where_the_table_has_them(evaluations, config):
    note = "Depth: <deep> nets are not trained out."
    pages = (
        lambda: rendered.render_table(evaluations, config),
        lambda: rendered.render_index([evaluations], {"claims": []}, [], config),
    )
    for page in pages:
        assert note not in spaced(page())
    evaluations["miniature_notes"] = [note]
    for page in pages:
        assert note in spaced(page())
    assert "Seen in the miniature" in spaced(pages[0]())
    evaluations["miniature_notes"] = []
    assert "Seen in the miniature" not in spaced(pages[0]())
