"""Snakemake's own report: unpacked, and opened in a browser as its reader would."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.helpers.clones import snakemake

pytestmark = pytest.mark.browser
TABLES = [f"table{number}" for number in range(1, 13)]
TABLES += ["fixed_boxes", "feature_scales", "random_features"]


@pytest.fixture(scope="module")
def unpacked(finished, tmp_path_factory) -> Path:
    """The folder of the report of a finished run."""
    folder = tmp_path_factory.mktemp("report")
    snakemake(finished, "--report", str(folder / "report.zip"))
    with ZipFile(folder / "report.zip") as file:
        file.extractall(folder)
    return folder / "report"


@pytest.fixture
def page(browser, unpacked):
    """The report, opened. Fails if anything done with it went wrong or left its folder."""
    problems = []

    def check(request):
        if not request.url.startswith((unpacked.as_uri(), "data:")):
            problems.append(request.url)

    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(10_000)
    opened = context.new_page()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("requestfailed", lambda request: problems.append(request.url))
    context.on("request", check)
    opened.goto((unpacked / "report.html").as_uri())
    yield opened
    context.close()
    assert problems == []


def entries(page, category: str) -> dict[tuple, object]:
    """The lines of a category by what stands in them; each has two buttons, to show and to tell."""
    page.get_by_text(category, exact=True).click()
    lines = page.locator("tbody tr").all()
    return {tuple(line.locator("td").all_inner_texts()[:-1]): line.locator("a") for line in lines}


def test_tables_and_claims_have_labels_and_captions_and_are_the_files(page, unpacked, finished):
    config = finished / "config/tables.yaml"
    titles = dict(re.findall(r"^(\w+):\n  title: (.*)$", config.read_text(), flags=re.M))
    assert list(titles) == TABLES
    lines = entries(page, "Tables")
    assert sorted(lines) == sorted(titles.items())  # in an order of its own
    (results,) = finished.glob("results/*")
    for (name, _), buttons in lines.items():
        packed = unpacked / buttons.first.get_attribute("href")
        assert packed.read_bytes() == (results / f"tables/{name}.csv").read_bytes()
    for name in ("table5", "table11"):
        lines[name, titles[name]].last.click()
        told = page.locator("body").inner_text()
        assert f"{name} of the experiment {results.name}" in told
        assert "95% intervals" in told
        page.goto((unpacked / "report.html").as_uri())
        lines = entries(page, "Tables")
    page.goto((unpacked / "report.html").as_uri())
    (claims,) = entries(page, "Claims").values()
    packed = unpacked / claims.first.get_attribute("href")
    assert packed.read_bytes() == (results / "claims.csv").read_bytes()
    claims.last.click()
    assert "Holm's correction" in page.locator("body").inner_text()


def test_figures_are_shown_and_named_by_what_they_draw(page, finished):
    (results,) = finished.glob("results/*")
    drawn = {path.relative_to(results / "figures") for path in results.glob("figures/**/*.svg")}
    lines = entries(page, "Figures")
    kinds = {
        "top-1 errors against the paper's": "measured_against_paper/top1",
        "top-5 errors against the paper's": "measured_against_paper/top5",
        "error against depth": "error_against_depth",
        "error against test scale": "error_against_scale/{}",
        "learning curve": "learning_curves/{}",
    }
    named = {Path(f"{kinds[kind].format(model)}.svg") for kind, model in lines}
    assert named == drawn
    assert len(lines) == len(drawn)
    for kind, path in kinds.items():
        model = next(model for own, model in lines if own == kind)
        lines[kind, model].first.click()
        image = f"img[src$='/{Path(path.format(model)).name}.svg']"
        page.wait_for_function(f'() => document.querySelector("{image}")?.naturalWidth')


def test_pages_stand_alone_in_it_without_links_to_each_other(page, finished):
    lines = entries(page, "Pages")
    assert {name for (name,) in lines} == {"index", "claims", *TABLES, "What the nets see"}
    frame = page.frame_locator("iframe")
    for name, title in (("index", "reproduced"), ("table11", "Table 11"), ("table3", "Table 3")):
        lines[name,].first.click()
        frame.locator("h1", has_text=title).wait_for()
        links = [a.get_attribute("href") for a in frame.locator("a").all()]
        assert links
        assert frame.locator("nav[aria-label=Pages]").count() == 0
        assert all(link.startswith(("#", "data:", "https://arxiv.org/")) for link in links)
    frame.locator("button.number").first.click()
    assert frame.locator("#table3-1-val").is_visible()


def test_the_workflow_is_described(unpacked, finished):
    text = (unpacked / "report.html").read_text()
    described = json.loads(re.search(r'workflow_desc = (".*")', text)[1])
    (results,) = finished.glob("results/*")
    words = " ".join(re.sub("<[^>]+>", "", described).split())
    assert f"in the experiment {results.name}, data miniature." in words
    assert "arxiv.org/abs/1409.1556" in described
