"""The comparison of the test-time choices, against numpy and scipy; and its page."""

import csv
import json
import re

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest

from tests.helpers.clones import ROOT
from tests.helpers.pages import Page, numbers
from workflow_scripts import compare_choices, render_choices
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.report import pages
from workflow_scripts.vgg.results.choice_comparison import as_text
from workflow_scripts.vgg.settings import test_time_choices
from workflow_scripts.vgg.settings.experiments import Evaluation, read_tables

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
TABLES = read_tables([ROOT / "config/tables.yaml"])
IMAGES, CLASSES = 200, 8


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A folder with random posteriors under every value, and choices.csv and .json of them."""
    folder = tmp_path_factory.mktemp("compared")
    draw = np.random.default_rng(0)
    ids = [f"image{i:04d}" for i in range(IMAGES)]
    labels = draw.integers(CLASSES, size=IMAGES)
    scores = np.eye(CLASSES)[labels] * 2 + draw.normal(size=(IMAGES, CLASSES))
    for choice, own in test_time_choices.measurable(TABLES).items():
        configured = CONFIG["choices"][choice]
        for value in test_time_choices.values(SCHEMA, choice, configured):
            for evaluation in own:
                shifted = np.exp(scores + draw.normal(size=scores.shape) * 0.7)
                path = evaluation.path(
                    test_time_choices.results_of(folder, choice, value, configured), "val"
                )
                posteriors = shifted / shifted.sum(1, keepdims=True)
                write_posteriors(path, ids, labels, posteriors.astype(np.float32), {})
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    words = ["--config", str(folder / "config.yaml"), "--results", str(folder)]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    words += ["--tables", str(ROOT / "config/tables.yaml")]
    compare_choices.main([*words, "--output", str(folder / "choices")])
    return folder


def mean(paths):
    import pandas as pd

    frames = [pd.read_parquet(path) for path in paths]
    return frames[0]["label"].to_numpy(), np.mean([np.stack(f["posterior"]) for f in frames], 0)


def test_every_alternative_is_compared_with_the_configured_value(compared):
    with open(compared / "choices.csv") as file:
        lines = list(csv.DictReader(file))
    expected = [
        (name, value)
        for name in ("score_average", "pool_rounding", "crop_grid", "resize_filter")
        for value in SCHEMA["properties"]["choices"]["properties"][name]["enum"]
    ]
    assert [(line["choice"], line["value"]) for line in lines] == expected
    assert [line["configured"] for line in lines] == ["True", "False"] * 4


def test_differences_are_paired_and_changes_are_counted(compared):
    with open(compared / "choices.csv") as file:
        lines = {(line["choice"], line["value"]): line for line in csv.DictReader(file)}
    for choice, value, method in (
        ("pool_rounding", "ceil", "dense"),
        ("crop_grid", "central-square", "multicrop"),
    ):
        line, order, wrong = lines[choice, value], [], []
        for folder in ("posteriors", f"choices/{choice}={value}/posteriors"):
            files = (compared / folder / "val/D_S256-512").glob(f"{method}_*")
            labels, posteriors = mean(sorted(files))
            order.append(np.argsort(-posteriors, axis=1))
            wrong.append({k: ~(order[-1][:, :k] == labels[:, None]).any(1) for k in (1, 5)})
        for k in (1, 5):
            before, after = (w[k] for w in wrong)
            gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
            assert gained + lost > 0
            assert float(line[f"top{k}_error"]) == pytest.approx(100 * after.mean())
            difference = 100 * (gained - lost) / IMAGES
            assert float(line[f"top{k}_difference"]) == pytest.approx(difference)
            p = binomtest(gained, gained + lost, 0.5).pvalue
            assert float(line[f"top{k}_p"]) == pytest.approx(p)
            # The normal approximation of a paired difference's interval.
            half = 1.96 * 100 * (gained + lost - (gained - lost) ** 2 / IMAGES) ** 0.5 / IMAGES
            for end, expected in (("low", difference - half), ("high", difference + half)):
                assert float(line[f"top{k}_difference_{end}"]) == pytest.approx(expected, abs=0.8)
        assert int(line["changed_class"]) == (order[0][:, 0] != order[1][:, 0]).sum()
        assert int(line["changed_outcome"]) == (wrong[0][1] != wrong[1][1]).sum()
        assert int(line["changed_class"]) > int(line["changed_outcome"])


def test_another_configured_value_makes_the_default_an_alternative():
    assert test_time_choices.values(SCHEMA, "pool_rounding", "ceil") == ["ceil", "floor"]
    folders = [
        test_time_choices.results_of("r", "pool_rounding", v, "ceil") for v in ("ceil", "floor")
    ]
    assert folders == ["r", "r/choices/pool_rounding=floor"]


def test_choices_without_their_row_or_model_are_left_out(compared):
    assert test_time_choices.measurable({}) == {}
    assert test_time_choices.measurable(TABLES, ["E_S256-512"]) == {}
    only = {"table5": {"rows": [r for r in TABLES["table5"]["rows"] if r["name"] == "D_multicrop"]}}
    assert test_time_choices.measurable(only, ["D_S256-512"]) == {
        "crop_grid": [Evaluation("D_S256-512", "multicrop", Q) for Q in (256, 384, 512)]
    }
    words = ["--config", str(compared / "config.yaml"), "--results", str(compared)]
    words += ["--tables", str(ROOT / "config/tables.yaml"), "--models", "A_S256"]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    with pytest.raises(InputError, match="no row of the tables that measures a choice"):
        compare_choices.main([*words, "--output", str(compared / "none")])


def test_the_text_table_is_aligned_and_marks_the_configured_values(compared):
    content = json.loads((compared / "choices.json").read_text())["choices"]
    lines = as_text(content).splitlines()
    assert len(lines) == 9
    assert [line.split()[1] for line in lines if " * " in line] == [
        CONFIG["choices"][choice["choice"]] for choice in content
    ]
    ends = {line.index("]") for line in lines[1:]}
    assert len(ends) == 1, "errors stand below each other"
    ceil = content[1]["values"][1]
    (line,) = (line for line in lines if line.split()[0] == "ceil")
    assert f"{ceil['top1_error']:.2f} [" in line
    assert line.split()[-2:] == [str(ceil["changed_class"]), str(ceil["changed_outcome"])]


def test_the_page_shows_every_number(compared):
    words = ["--choices", str(compared / "choices.json"), "--config", str(compared / "config.yaml")]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    render_choices.main([*words, "--output", str(compared / "choices.html")])
    html = (compared / "choices.html").read_text()
    page, content = Page(html), json.loads((compared / "choices.json").read_text())
    for choice in content["choices"]:
        for value in choice["values"]:
            unshown = ()
            if value["configured"]:
                unshown = [k for k in value if re.search("difference|_p$|changed", k)]
            assert numbers(value, without=unshown) <= page.numbers()
            assert value["value"] in page.text
    assert "not evidence about ILSVRC" in " ".join(page.notices.split())
    assert not page.tags.keys() & {"link", "img", "iframe"}
    assert not re.search(r"@import|url\((?!#)", html)


def test_the_index_says_where_plateaus_were_seen_and_links_to_the_comparison():
    def text(page=None, **changes):
        config = CONFIG | {"choices": CONFIG["choices"] | changes}
        html = pages.render_index([], {"claims": []}, [], config, pages=[page] if page else [])
        return " ".join(Page(html).text.split()), html

    reported, html = text()
    assert "lowers the learning rate by the error on the same validation images" in reported
    assert "snakemake choices measures what the test-time choices change" in reported
    assert "choices.html" not in html
    held_out, html = text("choices", validation_set="held-out")
    assert "by the error on a held-out part of the training set, not on the" in held_out
    assert 'href="choices.html"' in html
    assert "snakemake choices" not in held_out
