"""A table of the user's own: config/README.md's entry, and all that the paper's tables have."""

import re
import shutil

import pytest

from tests.checks.check_report import Check
from tests.checks.recomputed import Run
from tests.helpers.browser import focused_by_tab, opened, violations
from tests.helpers.clones import ROOT, outputs, snakemake
from workflow_scripts.vgg.report.inputs import FORMS

pytestmark = pytest.mark.browser
NEW = {f"val/D_S256-512/dense_Q{Q}.parquet" for Q in (320, 448)}  # the paper's tables need the rest


@pytest.fixture(scope="module")
def entry() -> str:
    """The entry as config/README.md has it."""
    readme = (ROOT / "config/README.md").read_text()
    (text,) = re.findall(r"```yaml\n# config/tables.yaml\n(.*?)```", readme, re.S)
    return text


@pytest.fixture(scope="module")
def extended(run, entry, tmp_path_factory):
    """A finished run to whose tables the entry was added, and what `all` makes then."""
    folder = tmp_path_factory.mktemp("own") / "run"
    shutil.copytree(run, folder, symlinks=True)
    with open(folder / "config/tables.yaml", "a") as file:
        file.write(f"\n{entry}")
    made = outputs(folder, "all")
    snakemake(folder, "all", "--cores", "2")
    return folder, made


def test_one_entry_makes_its_evaluations_its_files_and_its_page(extended):
    folder, made = extended
    assert {p.split("posteriors/")[1] for p in made if "/posteriors/" in p} == NEW
    assert not [p for p in made if p.endswith(".safetensors")], "nothing is trained again"
    assert {p for p in made if "/tables/" in p} == {
        f"results/tiny/tables/my_table{suffix}" for suffix in FORMS
    }
    assert all((folder / path).stat().st_size for path in made)
    assert "reports/my_table.html" in made
    assert "Nothing to be done" in snakemake(folder, "all", "--cores", "2")


def test_its_numbers_are_those_of_the_posteriors(extended):
    check = Check(Run(extended[0]))
    assert check.differences == []
    assert check.compared["my_table.html"] >= 3, "the error and its interval"
    assert check.compared["my_table.csv"] >= 3


def test_the_index_has_it_with_all_that_tables_have(browser, extended):
    folder, _ = extended
    with opened(browser, folder / "reports/index.html") as page:
        links = page.get_by_role("link", name="my_table", exact=True)
        assert links.count() == 2, "in the contents, and as a heading"
        article = page.locator("article[aria-labelledby=my_table]")
        assert "D with more test scales" in article.inner_text()
        names = [link.get_attribute("download") for link in article.locator("[download]").all()]
        assert names == [f"my_table{suffix}" for suffix in FORMS]
        article.locator("a.number").first.click()
        assert page.url.endswith("/my_table.html#my_table-1-val")
        panel = page.locator("#my_table-1-val")
        assert panel.is_visible()
        files = set(re.findall(r"posteriors/(\S+?\.parquet)", panel.text_content()))
        assert files > NEW
        assert len(files) == 5
        page.keyboard.press("Escape")
        focused_by_tab(page, "th.n.first > button.sort")
        page.keyboard.press("Enter")
        assert page.locator("[aria-sort=ascending]").count() == 1
        assert violations(page) == []
