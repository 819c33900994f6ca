"""The index that lies among the pages already: it is another experiment's, or this one's."""

import os
import re

import pytest

from tests.helpers.clones import ROOT
from tests.helpers.pages import Page
from tests.helpers.report_inputs import index_of
from tests.helpers.runs import run_of
from workflow_scripts import plan, summarise_run
from workflow_scripts.vgg.report.present_index import experiment_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that has the configurations, and no page."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "reports").mkdir()
    return tmp_path


@pytest.fixture
def index(project):
    """The project has an index, of the experiment m."""
    (project / "reports/index.html").write_text(of_experiment("m"))


def of_experiment(name):
    """What counts of an index, as the template writes it."""
    return f'<h1>A title</h1>\n<p class="subtitle">Experiment <code>{name}</code> · data</p>'


def test_an_index_says_of_which_experiment_it_is(run, tmp_path):
    assert experiment_of(tmp_path / "index.html") is None
    index_of(run)
    assert experiment_of(tmp_path / "index.html") == "m"
    (tmp_path / "index.html").write_bytes(b"\xff cut")
    assert experiment_of(tmp_path / "index.html") is None


@pytest.mark.parametrize("name", ["released_weights", "Mine.2-b_"])
def test_every_name_of_an_experiment_is_found(tmp_path, name):
    (tmp_path / "index.html").write_text(of_experiment(name))
    assert experiment_of(tmp_path / "index.html") == name


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(("experiment", "told"), [("m", True), ("other", False), ("m2", False)])
def test_a_run_ends_with_the_path_of_the_report_if_it_is_its_own(project, capsys, experiment, told):
    summarise_run.main(["--results", f"results/{experiment}", "--records", f"logs/{experiment}"])
    found = re.findall("^Report: (.*)$", capsys.readouterr().out, flags=re.MULTILINE)
    assert found == ([str(project / "reports/index.html")] if told else [])


def test_without_a_report_a_run_names_none(project, capsys):
    summarise_run.main(["--results", "results/m", "--records", "logs/m"])
    assert "Report:" not in capsys.readouterr().out


# The plan


def planned(experiment, *words):
    """What `plan` is told of a training of A, as the rules tell it, in the project."""
    os.makedirs(f"results/{experiment}", exist_ok=True)
    config = f"results/{experiment}/config.yaml"
    with open(config, "w", encoding="utf-8") as file:
        file.write(run_of(experiment=experiment).resolved)
    own = ["--config", config, "--results", f"results/{experiment}", "--records", "logs"]
    own += ["--stores", "train_S256", "val", "--models", "A_S256", "--splits", "val"]
    return [*own, *words, "--output", f"results/{experiment}/plan"]


IN_REPORT = ("--page", "reports/plan.html")


@pytest.mark.usefixtures("index")
def test_a_plan_of_another_experiment_leaves_the_reports_as_it_is(project, capsys):
    page = project / "reports/plan.html"
    page.write_text("that of m")
    plan.main(planned("other", *IN_REPORT, "--refresh"))
    assert page.read_text() == "that of m"
    own = project / "results/other/plan.html"
    assert f"The same as a page: {own}\n" in capsys.readouterr().out
    assert "experiment other" in " ".join(Page(own.read_text()).text.split())
    plan.main(planned("m", *IN_REPORT, "--refresh"))
    assert f"The same as a page: {page}\n" in capsys.readouterr().out
    assert "experiment m" in " ".join(Page(page.read_text()).text.split())
    # Only one of the two lies beside the index.
    assert "index.html" in Page(page.read_text()).links()
    assert "index.html" not in Page((project / "results/m/plan.html").read_text()).links()


def test_without_an_index_a_plan_is_no_part_of_a_report(project, capsys):
    plan.main(planned("m", *IN_REPORT, "--refresh"))
    assert not (project / "reports/plan.html").exists()
    assert str(project / "results/m/plan.html") in capsys.readouterr().out


@pytest.mark.usefixtures("index")
def test_a_report_of_another_experiment_begins_with_its_plan(project):
    plan.main(planned("other", *IN_REPORT, "--index"))
    page = Page((project / "reports/plan.html").read_text())
    assert "experiment other" in " ".join(page.text.split())
    assert "index.html" in page.links()
