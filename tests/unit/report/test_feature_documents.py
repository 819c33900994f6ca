"""Tables of features on other data sets as LaTeX, Markdown, CSV, and as text for a terminal."""

import copy
import re

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from tests.helpers.feature_results import TABLES, made_table, write_results
from workflow_scripts.vgg.results.formats.layout import is_withheld, measure_name
from workflow_scripts.vgg.results.run_summary import errors_as_text
from workflow_scripts.vgg.results.tables import flat, write_table

NAMES = ("table11", "table12")
ANSWERS = {"features_E": {"map_voc2012": 83.25, "date": "2026-11-24"}}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "m"
    write_results(str(folder), (3,), NAMES)
    return folder


@pytest.fixture(scope="module")
def made(results):
    return {name: made_table(name, str(results), answers=ANSWERS) for name in NAMES}


@pytest.fixture
def table11(made):
    return copy.deepcopy(made["table11"])


def written(folder, table) -> dict[str, str]:
    """A table's files by their endings."""
    write_table(folder / "t", table, flat(table))
    return {suffix: (folder / f"t.{suffix}").read_text() for suffix in ("tex", "md", "csv")}


def cells_of(markdown: str) -> list[list[str]]:
    """The rows of a Markdown table as it renders, the headings first."""
    html = MarkdownIt("commonmark").enable("table").render(markdown).replace("&amp;", "&")
    rows = re.findall("<tr>(.*?)</tr>", html, re.DOTALL)
    return [re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("map_voc2007", "mean average precision, VOC-2007"),
        ("mapval_voc2012", "mean average precision, VOC-2012 (val.)"),
        ("recall_unknown", "mean class recall, unknown"),
    ],
)
def test_measures_are_named_with_their_data_set(metric, words, table11):
    assert measure_name(metric, table11["data_sets"]) == words


@pytest.mark.parametrize(
    ("metric", "measured", "submission", "found"),
    [
        ("map_voc2012", None, "r/submission/a_voc2012.tar.gz", True),
        ("map_voc2012", 71.5, "r/submission/a_voc2012.tar.gz", False),
        ("mapval_voc2012", None, "r/submission/a_voc2012.tar.gz", False),
        ("map_voc2012", None, "r/submission/a_voc2012_action.tar.gz", False),
        ("map_voc2012_action", None, "r/submission/a_voc2012_action.tar.gz", True),
        ("map_voc2007", None, None, False),
    ],
)
def test_only_a_test_set_with_a_file_for_its_server_is_withheld(
    metric, measured, submission, found
):
    row = {"submission": submission, "metrics": {metric: {"measured": measured}}}
    assert is_withheld(row, metric) == found


def test_rendered_cells_are_the_tables(tmp_path, table11):
    found = cells_of(written(tmp_path, table11)["md"])
    assert found[0] == [
        "method",
        "mean average precision, VOC-2007, measured",
        "mean average precision, VOC-2007, paper",
        "mean average precision, VOC-2012, measured",
        "mean average precision, VOC-2012, paper",
        "mean average precision, VOC-2012 (val.), measured",
        "mean class recall, Caltech-101, measured",
        "mean class recall, Caltech-101, paper",
        "mean class recall, Caltech-256, measured",
        "mean class recall, Caltech-256, paper",
    ]
    own = table11["rows"][1]["metrics"]
    precision, recall = own["map_voc2007"], own["recall_caltech256"]
    assert found[2][1] == "{measured:.1f} ({low:.1f}–{high:.1f})".format(**precision)
    assert found[2][2:5] == ["89.3", "83.2†", "89.0"]
    assert found[2][8:] == [
        "{measured:.1f} ± {split_sd:.1f} ({low:.1f}–{high:.1f})".format(**recall),
        "85.1 ± 0.3",
    ]
    assert [row[3] for row in found[1:4]] == ["withheld", "83.2†", "withheld"]
    assert found[7] == ["Wei et al. (2014)", "–", "81.5 [85.2*]", "–", "81.7 [90.3*]", *"–––––"]


def test_a_number_that_is_starred_alone_stands_alone(tmp_path, made):
    found = cells_of(written(tmp_path, made["table12"])["md"])
    assert found[3] == ["Oquab et al. (2014)", "–", "[70.2*]", "–"]


def test_bold_is_what_the_paper_prints_bold(tmp_path, table11):
    table11["rows"][2]["metrics"]["recall_caltech101"]["bold"] = True
    files = written(tmp_path, table11)
    assert re.findall(r"\*\*(.*?)\*\*", files["md"].partition("|")[2]) == ["92.7 ± 0.5"]
    assert re.findall(r"\\textbf{(.*?)}", files["tex"]) == [r"92.7 $\pm$ 0.5"]


def test_captions_say_what_is_better_and_never_error(tmp_path, made):
    for table in made.values():
        files = written(tmp_path, table)
        for text in (files["md"], files["tex"].replace("\\%", "%")):
            assert "In percent, higher is better, as measured in experiment m with 95%" in text
            assert "beside them the numbers of the paper." in text
            assert "error" not in text.lower()
            assert text.count("igher is better") == 1


def test_several_trainings_say_which_spread_is_which(tmp_path, table11):
    table11["seeds"] = [3, 5]
    own = table11["rows"][0]["metrics"]
    for metric in ("map_voc2007", "recall_caltech101"):
        own[metric] |= {"seeds": 2, "seed_sd": 0.42, "split_sd": own[metric]["split_sd"] and 1.26}
    text = written(tmp_path, table11)["md"]
    row = cells_of(text)[1]
    assert " ± 0.4 (" in row[1]
    assert " ± 1.3 ± 0.4 (" in row[6]
    assert "means over 2 trainings; the last ± is the standard deviation over them, one" in text
    assert "one before it that over random splits." in text


def test_a_table_that_is_too_wide_is_set_in_pieces(tmp_path, made):
    latex = written(tmp_path, made["table11"])["tex"]
    assert latex.count(r"\begin{table}") == latex.count(r"\caption{") == 1
    pieces = latex.split(r"\begin{tabular}")[1:]
    assert len(pieces) == 2
    for piece in pieces:
        for row in made["table11"]["rows"]:
            assert row["labels"][0].replace("&", r"\&") in piece
    assert "class recall" not in pieces[0]
    assert "average precision" not in pieces[1].partition(r"\bottomrule")[0]
    assert written(tmp_path, made["table12"])["tex"].count(r"\begin{tabular}") == 1


def test_the_csv_has_every_field(tmp_path, table11):
    written(tmp_path, table11)
    lines = pd.read_csv(tmp_path / "t.csv")
    own = table11["rows"][0]["metrics"]["recall_caltech101"]
    assert lines["recall_caltech101"][0] == own["measured"]
    assert lines["recall_caltech101_split_sd"][0] == own["split_sd"]
    assert lines["recall_caltech101_paper_sd"][0] == 1.0
    assert lines["map_voc2012_paper_starred"].dropna().tolist() == [90.3]


def test_the_summary_of_a_run_has_its_measures(results, made):
    for name, table in made.items():
        write_table(results / "tables" / name, table, flat(table))
    text = errors_as_text(results, {name: TABLES[name] for name in NAMES})
    eleven, twelve = text.split("\n\n")
    assert eleven.splitlines()[0].endswith("Caltech-256 (in percent, higher is better)")
    for heading in ("mAP VOC-2007 (paper)", "mAP VOC-2012 val  recall Caltech-101  recall"):
        assert heading in eleven
    assert re.search(r"Net-E \(19 layers\) +\d\d\.\d +89\.3 +83\.2 +89\.0", eleven)
    assert "Oquab" not in twelve
    assert re.search(r"image-only +- +79\.2 +\d", twelve)
