"""The report shows every number that it is given, says what the numbers are, and stands alone."""

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest
import yaml

from workflow_scripts import render_index, render_table
from workflow_scripts.vgg import report, report_inputs
from workflow_scripts.vgg.files import InputError

VOID = {"meta", "br", "link", "img", "input", "hr", "col"}
HOSTILE = "<script>alert('S')</script>\"&<b>"


class Page(HTMLParser):
    """A page's tags, attributes, text and `<data>` values; fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.values, self.text = Counter(), [], set(), ""
        self.open, self.notices, self.rows = [], "", []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "data":
            self.values.add(float(attributes["value"]))
            if self.rows:
                self.rows[-1].append(float(attributes["value"]))
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append((tag, attributes.get("role")))

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if ("style", None) in self.open:
            return
        self.text += data
        if any(role == "note" for _, role in self.open):
            self.notices += data

    def numbers(self):
        return self.values | {float(text) for text in re.findall(r"\d+(?:\.\d+)?", self.text)}


def cell(measured, low, high, errors, paper):
    difference = None if None in (measured, paper) else measured - paper
    images = None if measured is None else 417
    values = (measured, low, high, errors, images, paper, difference)
    return dict(zip(report_inputs.CELL_KEYS, values, strict=True))


def evaluation_row(labels, **cells):
    row = {"labels": labels, "literature": False, "metrics": cells, "submission": None}
    evaluation = {
        "posteriors": "results/m/posteriors/val/A_S256/dense_Q288.parquet",
        "model": "A_S256",
        "method": "dense",
        "Q": 288,
        "split": "val",
        "weights_sha256": "0123456789abcdef" * 4,
        "iterations": 751,
        "code": "deadbeef1234",
    }
    return row | {"evaluations": [evaluation]}


def table(name, kind, rows, **more):
    head = {"name": name, "title": f"Title of {name}", "section": "4.9", "experiment": "m"}
    return head | {"kind": kind, "rows": rows, "notes": ["A note on it."]} | more


@pytest.fixture
def evaluations():
    unmeasured = cell(None, None, None, None, 7.3)
    literature = evaluation_row(
        ["GoogLeNet"],
        top1_val=cell(None, None, None, None, None),
        top5_test=cell(None, None, None, None, 7.9),
    )
    return table(
        "table7",
        "evaluation",
        [
            evaluation_row(
                ["A"], top1_val=cell(23.4567, 19.61, 27.92, 94, 29.6), top5_test=unmeasured
            )
            | {"submission": "results/m/submission/a.txt"},
            evaluation_row(
                ["B"],
                top1_val=cell(11.125, 9.5, 13.75, 46, 12.5),
                top5_test=cell(3.375, 2.25, 4.5, 14, 3.625),
            ),
            literature | {"literature": True, "evaluations": []},
        ],
        columns=["method"],
        metrics=["top1_val", "top5_test"],
    )


@pytest.fixture
def configurations():
    a = ["conv3-64", "maxpool", "conv3-128", "maxpool", "FC-4096", "soft-max"]
    b = ["conv3-64", "conv3-64", "maxpool", "conv3-128", "maxpool", "FC-4096", "soft-max"]
    keys = report_inputs.ROW_KEYS["configurations"]
    rows = [("A", 3, 3, a, True), ("B", 4, 4, b, True), ("B-5x5", 3, None, a, None)]
    return table("table1", "configurations", [dict(zip(keys, row, strict=True)) for row in rows])


@pytest.fixture
def parameters():
    keys = report_inputs.ROW_KEYS["parameters"]
    rows = [("A", 132863336, 133, -0.136664, 654321), ("B-5x5", 134503528, None, None, 54321)]
    return table("table2", "parameters", [dict(zip(keys, row, strict=True)) for row in rows])


@pytest.fixture
def claims():
    sides = ("B", "A", "equivalent", 1.5)
    values = ("top1_val", 23.53, 24.07, 0.54, -2.03, 3.11, 0.71, 417, 0.1)
    comparison = dict(
        zip(report_inputs.COMPARISON_KEYS, (*sides, *values, "inconclusive"), strict=True)
    )
    keys = report_inputs.CLAIM_KEYS
    return {
        "experiment": "m",
        "claims": [
            dict(zip(keys, row, strict=True))
            for row in (
                (1, "4.1", "B is like A", "", [comparison], "inconclusive"),
                (9, "3.3", "Four GPUs are fast", "No GPU", [], "unmeasured"),
            )
        ],
    }


@pytest.fixture(params=["miniature", "ilsvrc2012"])
def config(request):
    return {
        "experiment": "m",
        "seed": 3,
        "data": {"source": request.param, "images": {"train": 4000, "val": 417}, "classes": 10},
        "choices": {"resize_filter": "bicubic", "lrn": {"size": 5, "alpha": 1e-4}},
    }


@pytest.fixture
def run(tmp_path, evaluations, configurations, parameters, claims, config):
    """The inputs of a report as files: a function from a name to its path."""
    for content in (evaluations, configurations, parameters):
        (tmp_path / f"{content['name']}.json").write_text(json.dumps(content))
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    for model in ("A_S256", "A-LRN_S256"):
        (tmp_path / f"{model}.csv").write_text(
            "iteration,epoch,learning_rate,train_loss,val_top1_error,val_top5_error\n"
            "10,0.1,0.01,2.3,90.0,50.0\n20,0.2,0.01,2.0,,\n30,0.3,0.001,1.0,23.75,9.0\n"
        )
    return lambda name: str(tmp_path / name)


def page_of(run, name):
    arguments = ["--table", run(f"{name}.json"), "--config", run("config.yaml")]
    render_table.main([*arguments, "--output", run(f"{name}.html")])
    return read(run(f"{name}.html"))


def index_of(run):
    tables = [run(f"table{number}.json") for number in (1, 2, 7)]
    arguments = ["--tables", *tables, "--claims", run("claims.json")]
    arguments += ["--history", run("A_S256.csv"), run("A-LRN_S256.csv")]
    arguments += ["--config", run("config.yaml")]
    render_index.main([*arguments, "--output", run("index.html")])
    return read(run("index.html"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def pages(run):
    return [page_of(run, name) for name in ("table1", "table2", "table7")] + [index_of(run)]


def numbers(content, without=()):
    """All numbers inside JSON-like `content`."""
    if isinstance(content, dict):
        content = [value for key, value in content.items() if key not in without]
    if isinstance(content, list):
        return {number for item in content for number in numbers(item, without)}
    is_number = isinstance(content, (int, float)) and not isinstance(content, bool)
    return {float(content)} if is_number else set()


def test_a_table_page_shows_every_number_of_its_file(run, evaluations, configurations, parameters):
    for content in (evaluations, configurations, parameters):
        missing = numbers(content) - Page(page_of(run, content["name"])).numbers()
        assert not missing, content["name"]


def test_a_row_reads_measured_interval_paper_difference(run, evaluations):
    rows = [row for row in Page(page_of(run, "table7")).rows if row and row[0] in (23.4567, 11.125)]
    first, second = (row["metrics"]["top1_val"] for row in evaluations["rows"][:2])
    keys = ("measured", "low", "high", "paper", "difference")
    assert rows[0] == [*(first[key] for key in keys), 7.3]
    assert rows[1][:5] == [second[key] for key in keys]


def test_the_index_shows_every_claim_and_the_tables_main_numbers(
    run, claims, evaluations, parameters
):
    page = Page(index_of(run))
    shown = page.numbers()
    assert numbers(claims) <= shown
    assert numbers(parameters) <= shown
    secondary = ("low", "high", "errors", "images", "difference", "evaluations")
    assert numbers(evaluations["rows"], without=secondary) <= shown
    assert {23.75, 30.0} <= page.values  # where the learning curve ends
    assert "resize filter" in page.text
    assert "not seed variance" in page.text


def test_provenance_is_in_a_details_element_of_each_measured_row(run):
    page = Page(page_of(run, "table7"))
    assert page.tags["details"] == 2
    for text in ("dense_Q288.parquet", "0123456789ab", "deadbeef1234", "submission/a.txt"):
        assert text in page.text


def test_only_a_paper_number_outside_the_interval_is_marked(run):
    assert Page(page_of(run, "table7")).text.count("paper outside the interval") == 1


def test_every_page_is_called_a_miniature_if_and_only_if_it_is_one(pages, config):
    for html in pages:
        notice = " ".join(Page(html).notices.split())
        if config["data"]["source"] == "miniature":
            assert "not evidence about ILSVRC or about the paper" in notice
        else:
            assert "iniature" not in html.replace(".miniature", "")


def test_pages_load_nothing_and_their_tags_and_identifiers_are_sound(pages):
    for html in pages:
        page = Page(html)
        assert not page.tags.keys() & {"script", "link", "img", "iframe", "object", "image"}
        for tag, name, value in page.attributes:
            if tag != "a" and name in {"src", "href", "xlink:href", "srcset", "data", "poster"}:
                assert value.startswith("#")
        assert not re.search(r"@import|url\((?!#)", html)
        identifiers = Counter(value for _, name, value in page.attributes if name == "id")
        assert identifiers.most_common(1)[0][1] == 1
        named = {value for _, name, value in page.attributes if name == "aria-labelledby"}
        assert named <= identifiers.keys()


def test_hostile_labels_are_shown_as_text(evaluations, claims, config):
    evaluations["rows"][0]["labels"] = [HOSTILE]
    evaluations["rows"][0]["evaluations"][0]["model"] = HOSTILE
    evaluations |= {"title": HOSTILE, "notes": [HOSTILE]}
    claims["claims"][0] |= {"claim": HOSTILE, "note": HOSTILE}
    config["choices"]["resize_filter"] = HOSTILE
    history = {"model": HOSTILE, "iterations": [1, 2], "errors": [3.0, 2.0], "drops": [2]}
    for html in (
        report.render_table(evaluations, config),
        report.render_index([evaluations], claims, [history], config),
    ):
        page = Page(html)
        assert not page.tags["script"]
        assert not page.tags["b"]
        assert page.text.count(HOSTILE) >= 3


def test_neighbours_are_linked_only_when_given(evaluations, config):
    def links(*neighbours):
        page = Page(report.render_table(evaluations, config, *neighbours))
        return [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]

    assert [link for link in links() if not link.startswith("https")] == ["index.html"]
    assert links("table6", "mine")[:3] == ["table6.html", "index.html", "mine.html"]


def test_added_layers_are_those_that_the_net_to_the_left_lacks(configurations):
    first, *_, classifier = report.blocks(configurations["rows"])
    assert first[1] == [("conv3-64", False), ("conv3-64", True)]
    assert not any(added for _, added in first[0])
    assert classifier == [[("FC-4096", False), ("soft-max", False)]]


def test_the_same_inputs_give_the_same_bytes(run):
    assert index_of(run) == index_of(run)


def test_a_missing_file_is_named(run):
    with pytest.raises(InputError, match=r"table5\.json: no such file"):
        page_of(run, "table5")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table["rows"][1]["metrics"]["top1_val"].pop("paper"), "row 2.*paper"),
        (lambda table: table.pop("title"), "title"),
        (lambda table: table.update(kind="pie"), "pie"),
    ],
)
def test_a_damaged_table_is_named_with_what_it_lacks(tmp_path, evaluations, damage, message):
    damaged = copy.deepcopy(evaluations)
    damage(damaged)
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match=rf"odd\.json.*{message}"):
        report_inputs.load_table(path)


def test_the_commands_start_without_heavy_libraries():
    code = (
        "import sys, workflow_scripts.render_table, workflow_scripts.render_index;"
        "sys.exit(' '.join({'torch', 'matplotlib', 'pandas'} & set(sys.modules)) or None)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
