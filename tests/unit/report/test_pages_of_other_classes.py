"""Pages of a run on other classes than ILSVRC's 1,000: no error is held against the paper's."""

import pytest

from tests.helpers.pages import Page
from tests.helpers.report_inputs import spaced
from workflow_scripts.vgg.report import pages as rendered

LISTED = [f"n0000000{number}" for number in range(6)]


@pytest.fixture
def config():
    return {"experiment": "m", "seeds": [3], "data": {"source": "archives"}}


@pytest.mark.parametrize(
    ("classes", "number"), [(LISTED, "6"), ({"number": 120, "seed": 0}, "120"), (102, "102")]
)
def test_no_number_is_held_against_the_papers(classes, number, evaluations, config):
    config["data"]["classes"] = classes
    html = rendered.render_table(evaluations, config)
    page = Page(html)
    first = evaluations["rows"][0]["metrics"]["top1_val"]
    notice = f"{number} classes. The paper’s numbers are of ILSVRC-2012’s 1,000, and errors on"
    assert notice in spaced(page.text)
    assert "errors on other classes do not compare with it in size" in spaced(page.text)
    assert "difference" not in page.text
    assert "outside the interval" not in page.text
    assert "minus" not in page.text
    (row,) = [row for row in page.rows if row and row[0] == first["measured"]]
    assert row[:4] == [first[key] for key in ("measured", "low", "high", "paper")]
    index = Page(rendered.render_index([evaluations], {"claims": []}, [], config))
    assert f"{number} classes." in index.text
    assert "outside the interval" not in index.text


def test_the_papers_classes_have_no_notice(evaluations, config):
    config["data"]["classes"] = 1000
    page = Page(rendered.render_table(evaluations, config))
    assert "1,000 classes" not in page.text
    assert "difference" in page.text


def test_a_reference_of_ones_own_is_held_against_the_same_data_set_whole(evaluations, config):
    evaluations["reference"] = "others"
    for classes, compared in ((102, True), (LISTED, False)):
        config["data"]["classes"] = classes
        text = Page(rendered.render_table(evaluations, config)).text
        assert ("measured minus others in points" in spaced(text)) == compared
        assert ("outside the interval" in text) == compared
