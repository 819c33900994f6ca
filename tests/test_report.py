"""The report shows every number that it is given, says what the numbers are, and stands alone."""

import copy
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from tests.conftest import ROOT
from tests.pages import Page, numbers
from workflow_scripts import render_index, render_table
from workflow_scripts.vgg import report, report_inputs
from workflow_scripts.vgg.files import InputError

HOSTILE = "<script>alert('S')</script>\"&<b>"


def cell(measured, low, high, errors, paper, entered=False):
    difference = None if None in (measured, paper) else measured - paper
    images = None if measured is None else 417
    values = (measured, low, high, errors, images, paper, difference, entered)
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
        reference="paper",
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


def index_of(run, *words):
    tables = [run(f"table{number}.json") for number in (1, 2, 7)]
    arguments = ["--tables", *tables, "--claims", run("claims.json")]
    arguments += ["--history", run("A_S256.csv"), run("A-LRN_S256.csv")]
    arguments += ["--config", run("config.yaml")]
    render_index.main([*arguments, *words, "--output", run("index.html")])
    return read(run("index.html"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def pages(run):
    return [page_of(run, name) for name in ("table1", "table2", "table7")] + [index_of(run)]


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


def spaced(html):
    return " ".join(Page(html).text.split())


def test_an_answer_entered_by_hand_has_a_dagger_and_a_note(run, evaluations, config):
    answered = cell(7.25, 5.125, 10.375, 30, 7.3, entered=True)
    evaluations["rows"][0]["metrics"]["top5_test"] = answered
    evaluations["notes"] = ["† entered by hand from the test server's answer of 2026-11-24 to a"]
    (page, index) = (
        report.render_table(evaluations, config),
        report.render_index([evaluations], {"claims": []}, [], config),
    )
    for html in (page, index):
        assert html.count('<data value="7.25">7.2</data><span class="entered">†') == 1
        assert "answer of 2026-11-24" in spaced(html)
    assert numbers(answered) <= Page(page).numbers()
    assert "30 of 417 images wrong, by the test server’s answer" in spaced(page)
    evaluations["notes"] = []
    evaluations["rows"][0]["metrics"]["top5_test"] = answered | {"entered": False}
    assert "†" not in report.render_table(evaluations, config)


def test_a_reference_other_than_the_paper_heads_its_column(evaluations, config):
    evaluations |= {"reference": "authors", "section": None, "name": "released_weights"}
    page = Page(report.render_table(evaluations, config))
    html = report.render_table(evaluations, config)
    assert html.count('<th scope="col" class="n">authors</th>') == 2
    assert '<th scope="col" class="n">paper</th>' not in html
    assert "measured minus authors" in page.text
    assert "authors outside the interval" in page.text
    assert "None" not in page.text
    assert "Experiment m" in page.text


@pytest.mark.parametrize("config", ["ilsvrc2012"], indirect=True)
def test_the_summary_compares_with_each_reference_apart(evaluations, claims, config):
    # By hand: 23.46 [19.61, 27.92] against 29.6 is outside, 11.125 against 12.5 and 3.375
    # against 3.625 are inside; one row is unmeasured and one is the literature's.
    other = copy.deepcopy(evaluations) | {"name": "released_weights", "reference": "authors"}
    other["rows"] = other["rows"][:1]
    text = spaced(report.render_index([evaluations, other], claims, [], config))
    assert "The paper’s number lies within the 95% interval of 2 of the 3 measured" in text
    assert "The number of the authors lies within the 95% interval of 0 of the 1 measured" in text


def imported_run(config, evaluations, train):
    source = {"file": "resources/weights/VGG_16.caffemodel", "format": "caffe"}
    config["weights"] = {"train": train, "import": {"A_S256": source}}
    config["train"] = {"momentum": 0.987}
    for row in evaluations["rows"][:2]:
        row["evaluations"][0] |= {"iterations": None, "imported": source | {"sha256": "f" * 64}}


def test_a_run_of_imported_weights_says_so_and_claims_no_training(evaluations, claims, config):
    imported_run(config, evaluations, train=False)
    page = spaced(report.render_table(evaluations, config))
    index = spaced(report.render_index([evaluations], claims, [], config))
    assert "imported from VGG_16.caffemodel" in page
    assert "every net is one set of weights, imported from a file" in page
    assert "No net was trained in this run: the weights of A_S256 were imported" in index
    assert "resources/weights/VGG_16.caffemodel (caffe)" in index
    assert "momentum 0.987" not in index.split("The resolved configuration")[0]
    for text in (page, index):
        assert "trained once" not in text
        assert "Training lowers" not in text


def test_a_run_of_trained_and_imported_weights_tells_them_apart(evaluations, claims, config):
    imported_run(config, evaluations, train=True)
    history = {"model": "B_S256", "iterations": [1, 2], "errors": [3.0, 2.0], "drops": [2]}
    index = spaced(report.render_index([evaluations], claims, [history], config))
    assert "every net was trained once, with seed 3, except A_S256, whose weights were" in index
    assert "A_S256 were imported from files and have no curve" in index
    assert "Training lowers the learning rate" in index
    assert "or imported from a file (A_S256)" in spaced(report.render_table(evaluations, config))


def test_a_claim_that_was_not_measured_shows_the_papers_difference_only(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    measured = ("candidate_error", "baseline_error", "difference", "low", "high", "p", "images")
    comparison |= dict.fromkeys(measured) | {"verdict": "unmeasured", "paper_difference": -1.25}
    claims["claims"][0]["verdict"] = "unmeasured"
    page = Page(report.render_index([], claims, [], config))
    assert page.values == {-1.25, comparison["margin"]}
    assert page.text.count("unmeasured") >= 3


def test_choices_stand_beside_their_alternatives_and_what_they_decide(run):
    schema = str(ROOT / "config/schemas/config.schema.yaml")
    text = spaced(index_of(run, "--schema", schema))
    known = yaml.safe_load(read(schema))["properties"]["choices"]["properties"]
    description = known["resize_filter"]["description"]
    assert f"resize filter bicubic bilinear {description}" in text


PACKING = {
    "experiment": "m",
    "stores": {
        "val": {
            "images": 298,
            "source_bytes": 6_744_924_160,
            "bytes": 31_415,
            "oddities": {"cmyk": ["id1", "id2"], "grey": [f"grey{n}" for n in range(1, 9)]},
            "skipped": [{"id": "val_7", "reason": "no bytes"}, {"id": "val_8", "reason": HOSTILE}],
        },
        "train_S256": {
            "images": 4000,
            "source_bytes": 999,
            "bytes": 27_182,
            "oddities": {"cmyk": ["t9"]},
            "skipped": [],
        },
    },
}


def test_the_index_lists_what_was_packed_and_every_skipped_image(run, tmp_path):
    (tmp_path / "packing.json").write_text(json.dumps(PACKING))
    page = Page(index_of(run, "--packing", run("packing.json")))
    text = " ".join(page.text.split())
    assert {298, 4000, 6_744_924_160, 31_415, 27_182, 999} <= page.values
    assert "6.74 GB" in text
    assert "31.4 kB" in text
    # Counts of cmyk in both stores and of grey; no more than the first five ids.
    assert {2, 1, 8} <= page.values
    assert "id1, id2" in text
    assert "grey1, grey2, grey3, grey4, grey5, …" in text
    assert "grey6" not in text
    assert "Skipped: 2." in text
    for words in ("val_7 val no bytes", f"val_8 val {HOSTILE}"):
        assert words in text
    assert not page.tags["script"]


def test_a_packing_without_oddities_says_so(run, tmp_path):
    quiet = copy.deepcopy(PACKING)
    for store in quiet["stores"].values():
        store |= {"oddities": {}, "skipped": []}
    (tmp_path / "packing.json").write_text(json.dumps(quiet))
    text = spaced(index_of(run, "--packing", run("packing.json")))
    assert "No image was odd." in text
    assert "No image was skipped." in text
    assert "Images as packed" not in spaced(index_of(run))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda stores: stores["val"].pop("skipped"), "store val.*skipped"),
        (lambda stores: stores["val"]["skipped"][0].pop("reason"), "store val, skipped.*reason"),
        (lambda stores: stores["val"].update(oddities=[]), "store val, oddities"),
    ],
)
def test_a_damaged_packing_report_is_named_with_what_it_lacks(tmp_path, damage, message):
    damaged = copy.deepcopy(PACKING)
    damage(damaged["stores"])
    path = tmp_path / "packing.json"
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match=rf"packing\.json.*{message}"):
        report_inputs.load_packing(path)


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
