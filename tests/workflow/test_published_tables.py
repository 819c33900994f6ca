"""The tables as other documents take them: LaTeX that compiles, Markdown that renders."""

import copy
import json
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt
from pypdf import PdfReader

from tests.helpers import debian
from tests.helpers.clones import ROOT
from tests.helpers.feature_results import NAMES as FEATURES
from tests.helpers.feature_results import made_table, write_results
from workflow_scripts.vgg.results.formats.layout import is_withheld
from workflow_scripts.vgg.results.tables import write_table

NAMES = [f"table{number}" for number in range(1, 13)]
ERRORS, MEASURES = NAMES[2:10], NAMES[10:]
PACKAGES = ("texlive-latex-base", "texlive-latex-recommended")
OVERFULL = 10  # points that a line may be too long
# Bold in the paper's Table 1: what a net adds to the one on its left.
ADDED = {
    "A": [],
    "A-LRN": ["LRN"],
    "B": ["conv3-64", "conv3-128"],
    "C": ["conv1-256", "conv1-512", "conv1-512"],
    "D": ["conv3-256", "conv3-512", "conv3-512"],
    "E": ["conv3-256", "conv3-512", "conv3-512"],
    "B-5x5": [],
}
# Everything that LaTeX, Markdown or HTML gives a meaning, and what our tables print.
HOSTILE = r"""[x](y) a|b \textbf{c} 100% #1 $d_2$ *e* _f_ `g` ~h^ <b>i</b> &amp; a--b"""
SYMBOLS = "× – ± † § α ⟨1⟩ − ≤ 5 · é"


def stored(results, name) -> dict:
    return json.loads((results / f"tables/{name}.json").read_text())


def cells(table: dict) -> list[dict]:
    return [cell for row in table["rows"] for cell in row["metrics"].values()]


def shown_numbers(table: dict) -> Counter:
    """The numbers with a decimal point that the cells of a table of errors or measures show."""
    keys = ("measured", "low", "high", "paper", "seed_sd", "split_sd", "paper_sd", "paper_starred")
    return Counter(
        f"{cell[key]:.1f}" for cell in cells(table) for key in keys if cell.get(key) is not None
    )


def check_measures(table: dict, page: str) -> None:
    """A page of a table of measures has the cells' numbers, and says what is withheld.

    It may have more numbers, in its notes.
    """
    shown, found = shown_numbers(table), Counter(re.findall(r"\d+\.\d", page))
    assert shown <= found, shown - found
    withheld = [is_withheld(row, metric) for row in table["rows"] for metric in row["metrics"]]
    assert page.count("withheld") == sum(withheld), table["name"]


@pytest.fixture
def own_table():
    """A user's table without numbers of the paper's; a copy for each test."""
    measured = {
        "measured": 23.46, "low": 19.6, "high": 27.94, "errors": 94, "images": 400, "paper": None,
        "difference": None, "entered": False, "bold": False, "seeds": 1, "seed_sd": None,
        "per_seed": [23.46],
    }  # fmt: skip
    row = {"name": "a", "labels": [HOSTILE, SYMBOLS], "literature": False, "evaluations": []}
    row |= {"submission": None, "metrics": {"top1_val": measured, "top5_test": dict(measured)}}
    return {
        "name": "mine_&_yours",
        "title": f"Mine: {SYMBOLS}",
        "section": None,
        "experiment": "m_1",
        "kind": "evaluation",
        "columns": ["[net]", "label | notes"],
        "metrics": ["top1_val", "top5_test"],
        "reference": "paper",
        "seeds": [0],
        "rows": [row, copy.deepcopy(row) | {"labels": ["*", "plain"]}],
        "notes": [f"A note: {HOSTILE}"],
    }


def written(tmp_path, table: dict) -> tuple[str, str]:
    """A table's LaTeX and Markdown."""
    write_table(tmp_path / "table", table, pd.DataFrame({"a": [1]}))
    return (tmp_path / "table.tex").read_text(), (tmp_path / "table.md").read_text()


# LaTeX


@pytest.fixture(scope="session")
def pdflatex():
    def missing():
        found = shutil.which("kpsewhich") and subprocess.run(["kpsewhich", "booktabs.sty"])
        return [] if found and found.returncode == 0 else ["pdflatex with booktabs"]

    debian.needed(missing, PACKAGES, "latex")


def typeset(folder, tables: list[str]) -> list[str]:
    """The text of each table's page, in a document with the packages that their first lines name.

    Fails if a line is too long for the page.
    """
    packages = {name for text in tables for name in re.findall(r"{(\w+)}", text.splitlines()[0])}
    document = [
        r"\documentclass{article}\input{glyphtounicode}\pdfgentounicode=1",
        *(rf"\usepackage{{{package}}}" for package in sorted(packages)),
        r"\begin{document}",
        *(f"{text}\\clearpage" for text in tables),
        r"\end{document}",
    ]
    (folder / "tables.tex").write_text("\n".join(document), encoding="utf-8")
    words = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "tables.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    assert packages <= {"booktabs", "array"}
    log = (folder / "tables.log").read_text(errors="replace")
    too_long = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(too_long, default=0) <= OVERFULL, too_long
    assert "Missing character" not in log
    pages = [page.extract_text() for page in PdfReader(folder / "tables.pdf").pages]
    assert len(pages) == len(tables)
    return pages


def squeezed(text: str) -> str:
    """Text without spaces and in one spelling, as a PDF may hold it in several."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def printed(text: str) -> str:
    """Text as LaTeX's default fonts print it: accents and underscores are drawn, not written."""
    same = str.maketrans(
        {"`": "‘", "~": "\N{COMBINING TILDE}", "^": "ˆ", "é": "\N{COMBINING ACUTE ACCENT}e"}
    )
    return squeezed(text.translate(same)).replace("_", "")


@pytest.mark.latex
def test_all_tables_of_a_run_compile_and_show_its_numbers(finished_results, pdflatex, tmp_path):
    tables = [stored(finished_results, name) for name in NAMES]
    texts = [(finished_results / f"tables/{name}.tex").read_text() for name in NAMES]
    pages = typeset(tmp_path, texts)
    for table, text, page in zip(tables, texts, pages, strict=True):
        assert re.sub(r"\W", "", table["title"]) in re.sub(r"\W", "", squeezed(page))
        if table["kind"] != "evaluation":
            continue
        if table["name"] in MEASURES:
            check_measures(table, page.partition("over images")[2])
            continue
        assert Counter(re.findall(r"\d+\.\d", page)) == shown_numbers(table)
        bold = Counter(f"{cell['paper']:.1f}" for cell in cells(table) if cell["bold"])
        assert Counter(re.findall(r"\\textbf{([\d.]+)}", text)) == bold
    for row in tables[1]["rows"]:
        assert f"{row['net']} {row['parameters'] / 1e6:.1f}" in re.sub(r"\s+", " ", pages[1])
    layers = Counter(layer for row in tables[0]["rows"] for layer in row["layers"])
    for layer in (name for name in layers if name.startswith("conv")):
        assert len(re.findall(rf"{layer}(?!\d)", squeezed(pages[0]))) == layers[layer], layer
    added = Counter(layer for own in ADDED.values() for layer in own)
    assert Counter(re.findall(r"\\textbf{([\w-]+)}", texts[0])) == added


@pytest.mark.latex
def test_tables_of_several_trainings_fit_the_page_too(finished_results, pdflatex, tmp_path):
    tables, texts = [stored(finished_results, name) for name in ERRORS], []
    for table in tables:
        table["seeds"] = [0, 1, 2]
        for cell in cells(table):
            if cell["measured"] is not None:
                cell |= {"seed_sd": 1.26, "seeds": 3}
        texts.append(written(tmp_path, table)[0])
    for table, page in zip(tables, typeset(tmp_path, texts), strict=True):
        assert Counter(re.findall(r"\d+\.\d", page)) == shown_numbers(table)
        assert len(re.findall(r"±\s*1\.3", page)) == sum(c["seeds"] == 3 for c in cells(table))


@pytest.mark.latex
@pytest.mark.parametrize("seeds", [(3,), (3, 5)])
def test_tables_of_features_compile_and_show_their_numbers(pdflatex, tmp_path, seeds):
    results = str(tmp_path / "m")
    write_results(results, seeds)
    answers = {"features_E": {"map_voc2012": 83.25, "date": "2026-11-24"}}
    tables = [made_table(name, results, seeds, answers) for name in FEATURES]
    pages = typeset(tmp_path, [written(tmp_path, table)[0] for table in tables])
    for table, page in zip(tables, pages, strict=True):
        check_measures(table, page.partition("over images")[2])


@pytest.mark.latex
def test_any_label_is_printed_as_it_stands(own_table, pdflatex, tmp_path):
    latex, _ = written(tmp_path, own_table)
    (page,) = typeset(tmp_path, [latex])
    assert page.count("23.5") == 4
    for text in (HOSTILE, SYMBOLS):
        assert printed(text) in printed(page)
    assert r"\_f\_" in latex
    for word in ("[net]", "label | notes", "A note", "Mine"):
        assert squeezed(word) in squeezed(page)


def test_a_label_stands_once_for_its_group_of_rows(finished_results):
    lines = (finished_results / "tables/table3.tex").read_text().splitlines()
    first = [line.split("&")[0].strip() for line in lines if re.match(r"[\w-]* & .*\\\\$", line)]
    assert first == ["ConvNet", "A", "A-LRN", "B", "C", "", "", "D", "", "", "E", "", ""]


# Markdown


class Rendered(HTMLParser):
    """The tables of an HTML text as rows of cells of lines; what is bold; all tags."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.bold, self.tags, self.open = [], [], set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
            self.bold.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([""])
            self.bold[-1].append([])
        if tag == "br":
            self.rows[-1][-1].append("")
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1][-1] += data
            if self.open[-1] == "strong":
                self.bold[-1][-1].append(data)


def rendered(markdown: str) -> Rendered:
    # HTML is let through, as GitHub does, so that a label's own would show.
    return Rendered(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


def value(text: str) -> float | None:
    return None if text == "–" else float(text)


@pytest.mark.parametrize("name", ERRORS)
def test_rendered_cells_are_the_runs_numbers(finished_results, name):
    table = stored(finished_results, name)
    found = rendered((finished_results / f"tables/{name}.md").read_text())
    assert len(found.rows) == 1 + len(table["rows"])
    labels = len(table["columns"])
    for row, own, bold in zip(table["rows"], found.rows[1:], found.bold[1:], strict=True):
        texts = [" ".join(cell) for cell in own]
        assert texts[:labels] == row["labels"]
        pairs = zip(texts[labels::2], texts[labels + 1 :: 2], strict=True)
        for (measured, paper), cell in zip(pairs, row["metrics"].values(), strict=True):
            numbers = [value(t) for t in re.findall(r"–(?= |$)|[\d.]+", measured)]
            keys = ("measured", "low", "high")
            expected = [cell[key] for key in keys] if cell["measured"] is not None else [None]
            assert numbers == pytest.approx(expected, abs=0.0500001)
            assert value(paper) == cell["paper"]
        marked = [any(lines) for lines in bold[labels:]]
        expected = [cell["bold"] for cell in row["metrics"].values()]
        assert marked == [
            mark for pair in zip([False] * 9, expected, strict=False) for mark in pair
        ]


def measure(cell: dict, withheld: bool) -> str:
    """A measured cell's text."""
    if cell["measured"] is None:
        return "withheld" if withheld else "–"
    spreads = [cell[key] for key in ("split_sd", "seed_sd") if cell[key] is not None]
    texts = [f"{cell['measured']:.1f}", *(f"± {spread:.1f}" for spread in spreads)]
    return " ".join([*texts, f"({cell['low']:.1f}–{cell['high']:.1f})"])


def printed_measure(cell: dict) -> str:
    """The text of a cell of the paper's."""
    texts = [] if cell["paper"] is None else [f"{cell['paper']:.1f}"]
    texts += [] if cell["paper_sd"] is None else [f"± {cell['paper_sd']:.1f}"]
    texts += [] if cell["paper_starred"] is None else [f"[{cell['paper_starred']:.1f}*]"]
    return " ".join(texts) or "–"


@pytest.mark.parametrize("name", MEASURES)
def test_rendered_cells_are_the_runs_measures(finished_results, name):
    table = stored(finished_results, name)
    found = rendered((finished_results / f"tables/{name}.md").read_text())
    assert len(found.rows) == 1 + len(table["rows"])
    for row, own in zip(table["rows"], found.rows[1:], strict=True):
        expected = list(row["labels"])
        for metric, cell in row["metrics"].items():
            expected.append(measure(cell, is_withheld(row, metric)))
            if not metric.startswith("mapval_"):  # which the paper has no numbers of
                expected.append(printed_measure(cell))
        assert [" ".join(cell) for cell in own] == expected


def test_rendered_tables_1_and_2_are_the_nets(finished_results):
    table = stored(finished_results, "table1")
    found = rendered((finished_results / "tables/table1.md").read_text())
    nets = [cell[0] for cell in found.rows[0]]
    assert nets == list(ADDED)
    for place, (net, row) in enumerate(zip(nets, table["rows"], strict=True)):
        layers = [layer for line in found.rows[2:] for layer in line[place]]
        assert layers == row["layers"]
        assert found.rows[1][place] == [f"{row['weight_layers']} weight", "layers"]
        assert [layer for line in found.bold for layer in line[place] if layer] == ADDED[net]
    paper = yaml.safe_load((ROOT / "config/paper_tables.yaml").read_text())["table2"]
    found = rendered((finished_results / "tables/table2.md").read_text())
    for (net,), (millions,), (printed,), _ in found.rows[1:]:
        if net in paper["exact"]:
            assert float(millions) == round(paper["exact"][net] / 1e6, 1)
            assert int(printed) == paper["paper"][net]


def test_any_label_survives_in_markdown(own_table, tmp_path):
    _, markdown = written(tmp_path, own_table)
    found = rendered(markdown)
    assert [cell for (cell,) in found.rows[0][:2]] == own_table["columns"]
    assert [[cell for (cell,) in row[:2]] for row in found.rows[1:]] == [
        row["labels"] for row in own_table["rows"]
    ]
    assert found.tags <= {"p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert HOSTILE.replace("&amp;", "&amp;amp;").replace("<b>", "&lt;b&gt;").replace(
        "</b>", "&lt;/b&gt;"
    ) in MarkdownIt("commonmark").render(markdown), "the note"


def test_several_trainings_show_mean_spread_and_interval(own_table, tmp_path):
    own_table["seeds"] = [0, 1, 2]
    own_table["rows"][0]["metrics"]["top1_val"] |= {"seeds": 3, "seed_sd": 0.42}
    latex, markdown = written(tmp_path, own_table)
    (first, second) = (row[2:] for row in rendered(markdown).rows[1:])
    assert first == [["23.5 ± 0.4 (19.6–27.9)"], ["23.5 (19.6–27.9)"]]
    assert second == [["23.5 (19.6–27.9)"]] * 2
    for text in (latex, markdown):
        assert "over 3 trainings" in text
        assert "paper" not in text, "there is nothing to stand beside"


def test_an_answer_of_the_test_server_keeps_its_mark_and_its_note(own_table, tmp_path):
    own_table["rows"][0]["metrics"]["top5_test"]["entered"] = True
    own_table["rows"][0]["labels"] = ["a", "b"]
    own_table["notes"] = ["† entered by hand"]
    latex, markdown = written(tmp_path, own_table)
    assert r"23.5$\dagger$ (19.6--27.9)" in latex
    assert r"$\dagger$ entered by hand" in latex
    assert rendered(markdown).rows[1][3] == ["23.5† (19.6–27.9)"]
    assert markdown.endswith("† entered by hand\n")
