"""The page of a table shows every number of its file and says what the numbers are."""

import copy
import json
import re

import pytest

from tests.helpers.clones import ROOT
from tests.helpers.pages import Page, numbers
from tests.helpers.report_inputs import cell, is_miniature, page_of, spaced
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.results.formats import layout


def test_a_table_page_shows_every_number_of_its_file(
    run, evaluations, configurations, parameters, config
):
    left_out = ["difference"] if is_miniature(config) else []
    for content in (evaluations, configurations, parameters):
        missing = numbers(content, left_out) - Page(page_of(run, content["name"])).numbers()
        assert not missing, content["name"]


def test_a_row_reads_measured_interval_paper_difference(run, evaluations, config):
    rows = [row for row in Page(page_of(run, "table7")).rows if row and row[0] in (23.4567, 11.125)]
    first, second = (row["metrics"]["top1_val"] for row in evaluations["rows"][:2])
    keys = ("measured", "low", "high", "paper", "difference")
    if is_miniature(config):
        keys = keys[:-1]
    assert rows[0] == [*(first[key] for key in keys), 7.3]
    assert rows[1][: len(keys)] == [second[key] for key in keys]


def test_bold_is_what_the_paper_prints_bold(evaluations, config):
    for html in (
        rendered.render_table(evaluations, config),
        rendered.render_index([evaluations], {"claims": []}, [], config),
    ):
        bold = re.findall(r'<td class="n paper[^"]*">(<strong>)?<data value="([\d.]+)"', html)
        assert {value for strong, value in bold if strong} == {"12.5"}
        assert {"29.6", "7.3", "3.625", "7.9"} <= {value for strong, value in bold if not strong}
    style = (ROOT / "reports/templates/style.css").read_text()
    assert not re.search(r"\.(value|number)\b[^{}]*\{[^}]*font-weight", style)


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_only_a_paper_number_outside_the_interval_is_marked(run):
    assert Page(page_of(run, "table7")).text.count("paper outside the interval") == 1


def test_added_layers_are_those_that_the_net_to_the_left_lacks(configurations):
    first, *_, classifier = layout.blocks(configurations["rows"])
    assert first[1] == [("conv3-64", False), ("conv3-64", True)]
    assert not any(added for _, added in first[0])
    assert classifier == [[("FC-4096", False), ("soft-max", False)]]


def test_an_answer_entered_by_hand_has_a_dagger_and_a_note(run, evaluations, config):
    answered = cell(7.25, 5.125, 10.375, 30, 7.3, entered=True)
    evaluations["rows"][0]["metrics"]["top5_test"] = answered
    evaluations["notes"] = ["† entered by hand from the test server's answer of 2026-11-24 to a"]
    (page, index) = (
        rendered.render_table(evaluations, config),
        rendered.render_index([evaluations], {"claims": []}, [], config),
    )
    for html in (page, index):
        assert html.count('<data value="7.25">7.2</data><span class="entered">†') == 1
        assert "answer of 2026-11-24" in spaced(html)
    left_out = ["difference"] if is_miniature(config) else []
    assert numbers(answered, left_out) <= Page(page).numbers()
    assert "30 of 417 images wrong, by the test server’s answer" in spaced(page)
    evaluations["notes"] = []
    evaluations["rows"][0]["metrics"]["top5_test"] = cell(7.25, 5.125, 10.375, 30, 7.3)
    assert "†" not in rendered.render_table(evaluations, config)


def test_a_reference_other_than_the_paper_heads_its_column(evaluations, config):
    evaluations |= {"reference": "authors", "section": None, "name": "released_weights"}
    page = Page(rendered.render_table(evaluations, config))
    heads = [" ".join(head["text"].split()) for head in page.elements["th"]]
    assert heads.count("authors") == 2
    assert "paper" not in heads
    for words in ("measured minus authors", "authors outside the interval"):
        assert (words in page.text) != is_miniature(config)
    assert "None" not in page.text
    assert "Experiment m" in page.text


def test_a_missing_file_is_named(run):
    with pytest.raises(InputError, match=r"table5\.json: no such file"):
        page_of(run, "table5")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table["rows"][1]["metrics"]["top1_val"].pop("paper"), "row 2.*paper"),
        (lambda table: table.pop("title"), "title"),
        (lambda table: table.update(kind="pie"), "pie"),
        (lambda table: table["rows"][0]["evaluations"][0].pop("node"), "row 1, evaluations.*node"),
        (
            lambda table: table["rows"][0]["evaluations"][0]["training"].pop("parent_sha256"),
            "row 1, training.*parent_sha256",
        ),
    ],
)
def test_a_damaged_table_is_named_with_what_it_lacks(tmp_path, evaluations, damage, message):
    damaged = copy.deepcopy(evaluations)
    damage(damaged)
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match=rf"odd\.json.*{message}"):
        inputs.load_table(path)
