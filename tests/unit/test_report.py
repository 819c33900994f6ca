"""The report shows every number that it is given, says what the numbers are, and stands alone."""

import base64
import copy
import hashlib
import json
import math
import re
import shlex
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from tests.conftest import ROOT
from tests.helpers.pages import Page, numbers
from workflow_scripts import render_index, render_table
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_svg
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.report import pages as rendered
from workflow_scripts.vgg.results.cells import CELL_KEYS
from workflow_scripts.vgg.results.formats import layout
from workflow_scripts.vgg.results.ledger import COMPARISON_KEYS
from workflow_scripts.vgg.results.throughput import SPEED_KEYS
from workflow_scripts.vgg.training.history import Validation, read_history, write_history

HOSTILE = "<script>alert('S')</script>\"&<b>"


def cell(measured, low, high, errors, paper, entered=False, bold=False):
    difference = None if None in (measured, paper) else measured - paper
    images = None if measured is None else 417
    values = (measured, low, high, errors, images, paper, difference, entered, bold)
    seeds = None if measured is None or entered else 1
    values += (seeds, None, None if seeds is None else [measured])
    return dict(zip(CELL_KEYS, values, strict=True))


def evaluation(model, split, seed=3, Q=288, method="dense", weights="0123456789abcdef" * 4):
    return {
        "posteriors": f"results/m/posteriors/{split}/{model}/{method}_Q{Q}.parquet",
        "split": split,
        "seed": seed,
        "model": model,
        "method": method,
        "Q": Q,
        "weights_sha256": weights,
        "iterations": 751,
        "imported": None,
        "code": "deadbeef1234",
        "training_code": "beefcafe4321",
        "choices": {"crop_grid": "central-square"},
        "hardware": "Xeon of evaluation",
        "node": "node-e7",
        "precision": "bfloat16",
        "training": {
            "net": "A",
            "S": [256, 512],
            "seed": seed,
            "parent": "Q_S384",
            "parent_sha256": "fedcba9876543210" * 4,
            "inherit": "layers-of-A",
            "config_fingerprint": "c0ffee0ddba1",
            "hardware": "GPU of training",
            "processes": 4,
            "node": "node-t8",
            "torch": "2.12.1",
        },
    }


def evaluation_row(labels, **cells):
    row = {"labels": labels, "literature": False, "metrics": cells, "submission": None}
    splits = dict.fromkeys(
        name.split("_")[1] for name, c in cells.items() if c["measured"] is not None
    )
    return row | {"evaluations": [evaluation("A_S256", split) for split in splits]}


def record(command, arguments=(), processes=1, wall=83.0, **more):
    """What a job leaves beside its log."""
    return {
        "command": command,
        "arguments": list(arguments),
        "started": "2026-11-24T20:38:14+00:00",
        "finished": "2026-11-24T20:39:37+00:00",
        "wall_seconds": wall,
        "cpu_seconds": 71.5,
        "attempts": 1,
        "images": 640,
        "images_per_second": 400.5,
        "peak_memory_mb": 882.9,
        "device": "cpu",
        "hardware": "Xeon",
        "gpu_peak_memory_mb": None,
        "processes": processes,
        "node": "node-r9",
        "slurm_job_id": None,
    } | more


EVALUATE = ("--weights", "w/A_S256.safetensors", "--method", "dense", "--scale", "288")
TRAIN = ("--model", "A_S256", "--layers", "conv3-64 | conv3-128", "--seed", "3")
RECORDS = {
    "evaluate_convnet/val_A_S256_dense_Q288": record("evaluate", EVALUATE),
    "train_convnet/A_S256": record("train", TRAIN, processes=4, wall=7384.0, attempts=3),
    "tabulate/table7": record("tabulate", ["--table", "table7"]),
}


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
                top1_val=cell(11.125, 9.5, 13.75, 46, 12.5, bold=True),
                top5_test=cell(3.375, 2.25, 4.5, 14, 3.625),
            ),
            literature | {"literature": True, "evaluations": []},
        ],
        columns=["method"],
        metrics=["top1_val", "top5_test"],
        reference="paper",
        seeds=[3],
    )


@pytest.fixture
def configurations():
    a = ["conv3-64", "maxpool", "conv3-128", "maxpool", "FC-4096", "soft-max"]
    b = ["conv3-64", "conv3-64", "maxpool", "conv3-128", "maxpool", "FC-4096", "soft-max"]
    keys = inputs.ROW_KEYS["configurations"]
    rows = [("A", 3, 3, a, True), ("B", 4, 4, b, True), ("B-5x5", 3, None, a, None)]
    return table("table1", "configurations", [dict(zip(keys, row, strict=True)) for row in rows])


@pytest.fixture
def parameters():
    keys = inputs.ROW_KEYS["parameters"]
    rows = [("A", 132863336, 133, -0.136664, 654321), ("B-5x5", 134503528, None, None, 54321)]
    return table("table2", "parameters", [dict(zip(keys, row, strict=True)) for row in rows])


@pytest.fixture
def claims():
    values = (
        *("B", "A", "equivalent", 1.5, "top1_val", 23.53, 24.07),
        *(-0.54, -2.03, 0.93, 0.71, 0.853, 417, 1, [-0.54], None, None, None, 0.1, "inconclusive"),
    )
    comparison = dict(zip(COMPARISON_KEYS, values, strict=True))
    speed = {"expected_processes": 4, "expected_speedup": 3.75, "margin": 0.25, "measured": []}
    keys = inputs.CLAIM_KEYS
    return {
        "experiment": "m",
        "seeds": [3],
        "alpha": 0.05,
        "family": 29,
        "claims": [
            dict(zip(keys, row, strict=True))
            for row in (
                (1, "4.1", "B is like A", "", [comparison], None, "inconclusive"),
                (9, "3.3", "Four GPUs are fast", "No GPU", [], speed, "unmeasured"),
            )
        ],
    }


@pytest.fixture(params=["miniature", "ilsvrc2012"])
def config(request):
    return {
        "experiment": "m",
        "seeds": [3],
        "data": {"source": request.param, "images": {"train": 4000, "val": 417}, "classes": 10},
        "choices": {"resize_filter": "bicubic", "lrn": {"size": 5, "alpha": 1e-4}},
    }


@pytest.fixture
def run(tmp_path, evaluations, configurations, parameters, claims, config):
    """The inputs of a report as files: a function from a name to its path."""
    for content in (evaluations, configurations, parameters):
        (tmp_path / f"{content['name']}.json").write_text(json.dumps(content))
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    for name, content in RECORDS.items():
        (tmp_path / f"logs/{name}.log.json").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"logs/{name}.log.json").write_text(json.dumps(content))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    for model in ("A_S256", "A-LRN_S256"):
        (tmp_path / f"{model}.csv").write_text(
            "iteration,epoch,learning_rate,train_loss,val_top1_error,val_top5_error,"
            "images_per_second\n10,0.1,0.01,2.3,90.0,50.0,9\n20,0.2,0.01,2.0,,,9\n"
            "30,0.3,0.001,1.0,23.75,9.0,9\n"
        )
    return lambda name: str(tmp_path / name)


def page_of(run, name, *words):
    arguments = ["--table", run(f"{name}.json"), "--config", run("config.yaml")]
    render_table.main([*arguments, *words, "--output", run(f"{name}.html")])
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
    secondary = ("low", "high", "errors", "images", "difference", "evaluations", "seeds")
    assert numbers(evaluations["rows"], without=secondary) <= shown
    assert "resize filter" in page.text
    assert "not seed variance" in page.text


def test_a_measured_number_opens_the_provenance_of_its_row_on_its_split(run):
    page = Page(page_of(run, "table7"))
    buttons = [button["attributes"] for button in page.elements["button"]]
    opening = [b["popovertarget"] for b in buttons if b.get("popovertargetaction") != "hide"]
    # The row of A was measured on val; its file for the server has not been answered.
    assert opening == ["table7-1-val", "table7-1-test", "table7-2-val", "table7-2-test"]
    for name in opening:
        (panel,) = (
            d["attributes"] for d in page.elements["div"] if d["attributes"].get("id") == name
        )
        assert {"popover", "tabindex", "autofocus"} <= panel.keys()
        assert panel["role"] == "dialog"
        assert page.named(panel["aria-labelledby"])
        closing = [b for b in buttons if b["popovertarget"] == name]
        assert [b.get("popovertargetaction") for b in closing].count("hide") == 1
    assert "94 of 417 images wrong" in page.named("table7-1-val")
    assert "46 of 417 images wrong" in page.named("table7-2-val")
    assert "14 of 417 images wrong" in page.named("table7-2-test")
    assert "withheld" not in page.named("table7-2-test")
    assert "results/m/submission/a.txt" in page.named("table7-1-test")


def test_both_metrics_of_a_split_share_a_provenance(evaluations, config):
    evaluations["metrics"] = ["top1_val", "top5_val"]
    for row in evaluations["rows"]:
        row["metrics"]["top5_val"] = row["metrics"].pop("top5_test")
        row["submission"] = None
    html = rendered.render_table(evaluations, config)
    buttons = [button["attributes"] for button in Page(html).elements["button"]]
    opening = [b["popovertarget"] for b in buttons if "popovertargetaction" not in b]
    assert opening == ["table7-1-val", "table7-2-val", "table7-2-val"]
    assert "46 of 417" in Page(html).named("table7-2-val")
    assert "14 of 417" in Page(html).named("table7-2-val")


def test_provenance_names_files_weights_and_jobs(run):
    text = Page(page_of(run, "table7", "--records", run("logs"))).named("table7-1-val")
    of_evaluation = (
        *("results/m/posteriors/val/A_S256/dense_Q288.parquet", "A_S256, seed 3", "dense, Q = 288"),
        *("deadbeef1234", "crop grid: central-square", "precision bfloat16"),
        *("on Xeon of evaluation, node node-e7", "finished 2026-11-24 20:39 UTC, 1 min 23 s"),
    )
    of_training = (
        *("0123456789abcdef" * 4, "iterations 751", "started from Q_S384", "fedcba9876543210" * 4),
        *("net, S A, 256, 512", "inherits layers of A", "c0ffee0ddba1", "beefcafe4321"),
        *("torch 2.12.1", "on GPU of training, 4 processes, node node-t8"),
        "finished 2026-11-24 20:39 UTC, 2 h 03 min in 3 attempts",
    )
    for words in of_evaluation + of_training:
        assert words in text
    assert "posteriors/test" not in text


def test_provenance_without_records_says_so(run):
    page = Page(page_of(run, "table7"))
    text = page.named("table7-1-val")
    assert "finished no record" in text
    assert "workflow_scripts" not in text
    assert "dense_Q288.parquet" in text


def test_the_commands_of_a_number_can_be_copied(run):
    page = Page(page_of(run, "table7", "--records", run("logs")))
    commands = [shlex.split(pre["text"]) for pre in page.elements["pre"]]
    module = ["python", "-m"]
    launcher = ["torchrun", "--standalone", "--nproc-per-node=4", "-m"]
    assert [*launcher, "workflow_scripts.train", *TRAIN] in commands
    assert [*module, "workflow_scripts.evaluate", *EVALUATE] in commands
    assert [*module, "workflow_scripts.tabulate", "--table", "table7"] in commands
    whole = (
        "snakemake --configfile results/m/config.yaml --cores all -- results/m/tables/table7.csv"
    )
    assert whole in page.named("table7-1-val")


def test_records_of_versions_that_kept_no_arguments_have_no_command(evaluations, config):
    old = {key: value for key, value in record("evaluate").items() if key != "arguments"}
    records = {("evaluate_convnet", "val_A_S256_dense_Q288"): old}
    page = Page(rendered.render_table(evaluations, config, records=records))
    assert "pre" not in page.elements
    assert "1 min 23 s" in page.named("table7-1-val")


def with_seeds(evaluations, config):
    """Row B, trained with the seeds 3, 5 and 8: 40, 46 and 49 of 417 images wrong."""
    config["seeds"] = evaluations["seeds"] = [3, 5, 8]
    per_seed = [100 * errors / 417 for errors in (40, 46, 49)]
    own = evaluations["rows"][1]
    own["metrics"]["top1_val"] |= {
        "measured": 10.7914,
        "errors": None,
        "difference": 10.7914 - 12.5,
        "seeds": 3,
        "seed_sd": 1.0989,
        "per_seed": per_seed,
    }
    own["metrics"]["top5_test"] = cell(None, None, None, None, 3.625)
    own["evaluations"] = [
        evaluation(model, "val", seed, Q, weights=f"{seed}" * 64)
        for seed in (3, 5, 8)
        for model in ("D", "E")
        for Q in (256, 384)
    ]
    for one in own["evaluations"]:
        if one["seed"] != 3:
            one["posteriors"] = one["posteriors"].replace("/m/", f"/m/seed{one['seed']}/")
    return per_seed


def test_several_seeds_show_mean_spread_and_each_seed(evaluations, config):
    per_seed = with_seeds(evaluations, config)
    html = rendered.render_table(evaluations, config)
    page, text = Page(html), " ".join(Page(html).text.split())
    (row,) = (row for row in page.rows if row and row[0] == 10.7914)
    assert row[:6] == [10.7914, 1.0989, 9.5, 13.75, 12.5, 10.7914 - 12.5]
    assert "10.8 ± 1.10" in text
    assert "every net was trained 3 times, with the seeds 3, 5, 8 (n = 3)" in text
    assert "the mean over n = 3 seeds ± the standard deviation between them" in text
    assert "seeds 3, 5, 8" in text.partition("Table 7. Title of table7 ConvNet")[0]
    assert set(per_seed) <= page.values
    panel = page.named("table7-2-val")
    for words in ("40 with seed 3 (9.59%)", "46 with seed 5 (11.03%)", "49 with seed 8 (11.75%)"):
        assert words in panel
    # Two models of each of three seeds, with two files each; weights stand once.
    assert panel.count("SHA-256 " + "5" * 64) == 2
    for seed, folder in ((3, ""), (5, "seed5/"), (8, "seed8/")):
        for model in ("D", "E"):
            assert f"{model}, seed {seed} weights SHA-256 {str(seed) * 64}" in panel
            assert panel.count(f"results/m/{folder}posteriors/val/{model}/dense_Q") == 2


def test_jobs_of_other_seeds_are_those_in_the_folder_of_the_seed(evaluations, config):
    with_seeds(evaluations, config)
    records = {
        ("evaluate_convnet", "seed5/val_E_dense_Q384"): record("evaluate", ["--scale", "five"]),
        ("evaluate_convnet", "val_E_dense_Q384"): record("evaluate", ["--scale", "three"]),
        ("train_convnet", "seed8/D"): record("train", ["--seed", "eight"]),
    }
    panel = Page(rendered.render_table(evaluations, config, records=records)).named("table7-2-val")
    parts = {part[:9]: part for part in re.split(r"(?=[DE], seed \d )", panel)}
    assert "--scale three" in parts["E, seed 3"]
    assert "--scale five" in parts["E, seed 5"]
    assert "--seed eight" in parts["D, seed 8"]
    assert panel.count("python -m") == 3


def test_one_seed_is_called_one(evaluations, config):
    text = spaced(rendered.render_table(evaluations, config))
    assert "every net was trained once, with seed 3 (n = 1)" in text
    assert "±" not in text


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


def downloads(html):
    """Files that a page offers: name → media type, bytes."""
    found = {}
    for link in Page(html).elements.get("a", []):
        if "download" in (own := link["attributes"]):
            head, data = own["href"].split(";base64,")
            found[own["download"]] = head, base64.b64decode(data, validate=True)
    return found


def test_downloads_are_the_files_beside_the_table(run, tmp_path, figures):
    files = {
        "table7.csv": b"a,b\r\n1,\xc3\xa9\n",
        "table7.tex": b"\\toprule \x00 %",
        "table7.md": b"| a |\n",
        "claims.csv": b"number\n9\n",
        "evaluations.csv": b"model\nA\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "table7.html").write_text("no form of the table")
    own = [name for name in files if name.startswith("table7")] + ["table7.json"]
    page = downloads(page_of(run, "table7"))
    assert page.keys() == set(own)
    index = downloads(index_of(run, "--figures", *figures, "--evaluations", run("evaluations.csv")))
    others = {"claims.json", "table1.json", "table2.json"}
    assert index.keys() == files.keys() | set(own) | others
    for offered in (page, index):
        for name, (_, content) in offered.items():
            assert content == (tmp_path / name).read_bytes()
    assert {name: head for name, (head, _) in page.items()} == {
        "table7.csv": "data:text/csv;charset=utf-8",
        "table7.json": "data:application/json;charset=utf-8",
        "table7.tex": "data:application/x-tex;charset=utf-8",
        "table7.md": "data:text/markdown;charset=utf-8",
    }
    assert downloads(page_of(run, "table1")).keys() == {"table1.json"}


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
        assert not page.tags.keys() & {"link", "img", "iframe", "object", "image"}
        for tag, name, value in page.attributes:
            if tag != "a" and name in {"src", "href", "xlink:href", "srcset", "data", "poster"}:
                assert value.startswith("#")
            assert not name.startswith("on")
        assert not re.search(r"@import|url\((?!#)", html)
        identifiers = Counter(value for _, name, value in page.attributes if name == "id")
        assert identifiers.most_common(1)[0][1] == 1
        referring = {"aria-labelledby", "aria-describedby", "popovertarget"}
        named = {value for _, name, value in page.attributes if name in referring}
        assert named <= identifiers.keys()
        assert {link[1:] for link in page.links() if link[0] == "#"} <= identifiers.keys()
        assert all(head["text"].strip() for head in page.elements["th"])
        regions = page.elements.get("section", []) + page.elements["div"]
        names = [region["attributes"].get("aria-labelledby") for region in regions]
        labels = Counter(page.named(name) for name in names if name)
        assert labels.most_common(1)[0][1] == 1, "two regions of the same name"


def test_the_one_script_of_a_page_is_the_only_one_that_it_allows(pages):
    for html in pages:
        page = Page(html)
        (script,) = page.elements["script"]
        assert not script["attributes"]
        digest = base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
        (policy,) = (
            meta["attributes"]["content"]
            for meta in page.elements["meta"]
            if meta["attributes"].get("http-equiv") == "Content-Security-Policy"
        )
        assert "default-src 'none'" in policy
        assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]


def test_hostile_labels_are_shown_as_text(evaluations, claims, config):
    evaluations["rows"][0]["labels"] = [HOSTILE]
    evaluations["rows"][0]["evaluations"][0] |= {"model": HOSTILE, "node": HOSTILE}
    evaluations |= {"title": HOSTILE, "notes": [HOSTILE]}
    claims["claims"][0] |= {"claim": HOSTILE, "note": HOSTILE}
    config["choices"]["resize_filter"] = HOSTILE
    offered = [inputs.Download(HOSTILE, HOSTILE, "text/csv", b"")]
    kept = {("evaluate_convnet", HOSTILE): record(HOSTILE, [HOSTILE])}
    for html in (
        rendered.render_table(evaluations, config, downloads=offered, records=kept),
        rendered.render_index(
            [evaluations], claims, [], config, records=kept, downloads={"claims": offered}
        ),
    ):
        page = Page(html)
        assert page.tags["script"] == 1
        assert not page.tags["b"]
        assert page.text.count(HOSTILE) >= 3


def test_pages_link_only_to_pages_that_are_there(run):
    def links(html):
        return [link for link in Page(html).links() if not link.startswith(("https:", "#"))]

    assert links(page_of(run, "table7")) == []
    assert links(page_of(run, "table7", "--index")) == ["index.html"]
    neighbours = ("--previous", "table6", "--next", "mine", "--index")
    assert links(page_of(run, "table7", *neighbours)) == ["table6.html", "index.html", "mine.html"]
    assert links(index_of(run)) == []
    given = ("table7", "pictures", "plan", "choices")
    found = links(index_of(run, "--pages", *given))
    assert {link.partition("#")[0] for link in found} == {f"{name}.html" for name in given}
    # Numbers of a table in brief lead to their provenance.
    ids = {value for _, name, value in Page(page_of(run, "table7")).attributes if name == "id"}
    inside = {link.partition("#")[2] for link in found if "#" in link}
    assert inside == {"table7-1-val", "table7-1-test", "table7-2-val", "table7-2-test"}
    assert inside <= ids


def test_sides_of_a_comparison_link_to_the_provenance_of_their_rows(evaluations, claims, config):
    claims["claims"][0]["comparisons"][0]["candidate"] = "Table 7: B"
    for pages, count in ((["table7"], 1), ([], 0)):
        html = rendered.render_index([evaluations], claims, [], config, pages=pages)
        links = html.count('<a href="table7.html#table7-2-val">Table 7: B</a>')
        assert links == count


def test_added_layers_are_those_that_the_net_to_the_left_lacks(configurations):
    first, *_, classifier = layout.blocks(configurations["rows"])
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
        rendered.render_table(evaluations, config),
        rendered.render_index([evaluations], {"claims": []}, [], config),
    )
    for html in (page, index):
        assert html.count('<data value="7.25">7.2</data><span class="entered">†') == 1
        assert "answer of 2026-11-24" in spaced(html)
    assert numbers(answered) <= Page(page).numbers()
    assert "30 of 417 images wrong, by the test server’s answer" in spaced(page)
    evaluations["notes"] = []
    evaluations["rows"][0]["metrics"]["top5_test"] = cell(7.25, 5.125, 10.375, 30, 7.3)
    assert "†" not in rendered.render_table(evaluations, config)


def test_a_reference_other_than_the_paper_heads_its_column(evaluations, config):
    evaluations |= {"reference": "authors", "section": None, "name": "released_weights"}
    page = Page(rendered.render_table(evaluations, config))
    html = rendered.render_table(evaluations, config)
    assert html.count('<th scope="col" class="n">authors</th>') == 2
    assert '<th scope="col" class="n">paper</th>' not in html
    assert "measured minus authors" in page.text
    assert "authors outside the interval" in page.text
    assert "None" not in page.text
    assert "Experiment m" in page.text


def headline(html):
    """The index's headline: what stands below each number, and the number."""
    block = html.partition('<dl class="headline">')[2].partition("</dl>")[0]
    parts = [Page(f"{part}</div>").text.split() for part in block.split("</div>")[:-1]]
    found = [re.fullmatch(r"(.*?) (\d+(?: of \d+)?)", " ".join(words)) for words in parts]
    return [match.groups() for match in found]


def test_the_headline_compares_with_each_reference_apart(evaluations, claims, config):
    # By hand: 23.46 [19.61, 27.92] against 29.6 is outside, 11.125 against 12.5 and 3.375
    # against 3.625 are inside; one row is unmeasured and one is the literature's.
    other = copy.deepcopy(evaluations) | {"name": "released_weights", "reference": "authors"}
    other["rows"] = other["rows"][:1]
    html = rendered.render_index([evaluations, other], claims, [], config)
    assert headline(html) == [
        ("errors with the paper’s in their 95% interval", "2 of 3"),
        ("errors with that of the authors in their 95% interval", "0 of 1"),
        ("claims ● reproduced", "0"),
        ("claims ✕ not reproduced", "0"),
        ("claim ◐ inconclusive", "1"),
        ("claim ○ unmeasured", "1"),
        ("training seed (n = 1)", "1"),
    ]
    means_nothing = "these counts show the layout only and mean nothing for the paper"
    assert (means_nothing in spaced(html)) == (config["data"]["source"] == "miniature")


def imported_run(config, evaluations, train):
    source = {"file": "resources/weights/VGG_16.caffemodel", "format": "caffe"}
    config["weights"] = {"train": train, "import": {"A_S256": source}}
    config["train"] = {"momentum": 0.987}
    for row in evaluations["rows"][:2]:
        row["evaluations"][0] |= {"iterations": None, "imported": source | {"sha256": "f" * 64}}


def test_a_run_of_imported_weights_says_so_and_claims_no_training(evaluations, claims, config):
    imported_run(config, evaluations, train=False)
    page = spaced(rendered.render_table(evaluations, config))
    index = spaced(rendered.render_index([evaluations], claims, [], config))
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
    index = spaced(rendered.render_index([evaluations], claims, [], config))
    assert "Every net was trained once, with seed 3 (n = 1), except A_S256, whose weights" in index
    assert "Training lowers the learning rate" in index
    assert "or imported from a file (A_S256)" in spaced(rendered.render_table(evaluations, config))


SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" role="none" viewBox="0 0 9 9">
 <title>Errors &amp; "depths"
 of {}</title>
 <desc>A 11.5%</desc>
 <defs><path id="m1" d="M0 0"/><clipPath id="p&amp;1"><rect width="1" height="1"/></clipPath></defs>
 <g clip-path="url(#p&amp;1)" data-id="x"><use xlink:href="#m1"/></g></svg>
"""


@pytest.fixture
def figures(tmp_path):
    """Paths of two figures that use the same identifiers, and of one of another kind."""
    names = (
        "learning_curves/A_S256.svg",
        "learning_curves/A-LRN_S256.svg",
        "error_against_depth.svg",
    )
    for name in names:
        write_svg(tmp_path / "figures" / name, SVG.format(name))
    return [str(tmp_path / "figures" / name) for name in names]


def test_figures_are_images_with_words_and_identifiers_of_their_own(run, figures):
    page = Page(index_of(run, "--figures", *figures))
    drawings = [d["attributes"] for d in page.elements["svg"] if d["attributes"].get("role")]
    labels = [d["aria-label"] for d in drawings if d["role"] == "img"]
    assert [label.split(" of ") for label in labels] == [
        ['Errors & "depths"', path.partition("figures/")[2]] for path in figures
    ]
    ids = Counter(value for _, name, value in page.attributes if name == "id")
    assert set(ids.values()) == {1}
    assert [page.named(d["aria-describedby"]) for d in drawings] == ["A 11.5%"] * 3
    used = {value[1:] for tag, name, value in page.attributes if (tag, name) == ("use", "href")}
    clipped = {value[5:-1] for tag, name, value in page.attributes if name == "clip-path"}
    assert len(used) == len(clipped) == 3
    assert used | clipped <= ids.keys()
    assert page.tags["figcaption"] == 2
    assert "23.8% after 30 iterations" in " ".join(page.text.split())
    assert {23.75, 30.0} <= page.values  # where the learning curve ends
    for heading in ("Learning curves", "Error against depth"):
        assert heading in page.text


def test_a_figure_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.svg: no such file"):
        rendered.inline_svg(tmp_path / "gone.svg")
    for content in ("<html></html>", "<svg><g/></svg>"):
        write_svg(tmp_path / "odd.svg", content)
        with pytest.raises(InputError, match=r"odd\.svg: expected an SVG drawing with a <title>"):
            rendered.inline_svg(tmp_path / "odd.svg")


def test_histories_of_other_seeds_are_told_apart(tmp_path):
    lines = [
        Validation(iteration, 1.0, 0.1, 2.0, error, 9.0, 9.0)
        for iteration, error in ((10, 50.5), (20, math.nan))
    ]
    for folder, seed in (("r/history", None), ("r/seed12/history", 12)):
        write_history(tmp_path / folder / "A_S256.csv", lines)
        history = read_history(tmp_path / folder / "A_S256.csv")
        assert (history.model, history.seed) == ("A_S256", seed)
        assert history.measured("val_top1_error") == [(10, 50.5)]


def test_a_claim_that_was_not_measured_shows_the_papers_difference_only(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    measured = [
        *("candidate_error", "baseline_error", "difference", "low", "high", "p", "p_holm"),
        *("images", "seeds", "per_seed", "seed_sd", "seed_low", "seed_high"),
    ]
    comparison |= dict.fromkeys(measured) | {"verdict": "unmeasured", "paper_difference": -1.25}
    claims["claims"] = claims["claims"][:1]
    claims["claims"][0]["verdict"] = "unmeasured"
    page = Page(rendered.render_index([], claims, [], config))
    rows = [row for row in page.rows if row]
    assert rows == [[comparison["margin"], -1.25]]
    assert page.text.count("unmeasured") >= 3


def test_the_ledger_keeps_test_set_noise_and_seed_variance_apart(claims, config):
    (comparison,) = claims["claims"][0]["comparisons"]
    keys = ("margin", "candidate_error", "baseline_error", "difference", "paper_difference")
    keys += ("low", "high", "p", "p_holm", "images", "seeds")
    page = Page(rendered.render_index([], claims, [], config))
    assert next(row for row in page.rows if row) == [comparison[key] for key in keys]
    heads = [" ".join(head["text"].split()) for head in page.elements["th"]]
    for head in ("test-set noise", "seeds", "p", "Holm’s p", "n"):
        assert head in heads
    assert not {"seed variance", "sd"} & set(heads)
    text = " ".join(page.text.split())
    assert "exact McNemar test; and p as Holm raises it for 29 comparisons, where a pair" in text
    assert "Seed variance: unknown, since n = 1" in text
    assert "Holm’s p is below 0.05" in text
    assert "expected equal within 1.5 points" in text

    claims["seeds"] = config["seeds"] = [3, 5]
    spread = {"seeds": 2, "per_seed": [-0.3125, -0.7675], "seed_sd": 0.3217}
    comparison |= spread | {"seed_low": -3.43, "seed_high": 2.35}
    page = Page(rendered.render_index([], claims, [], config))
    keys += ("seed_sd", "seed_low", "seed_high")
    measured = [comparison[key] for key in keys] + comparison["per_seed"]
    assert next(row for row in page.rows if row) == measured
    text = " ".join(page.text.split())
    assert "exact sign-flip test on the images, which for one seed is McNemar’s" in text
    assert "if both 95% intervals lie below zero" in text
    heads = [" ".join(head["text"].split()) for head in page.elements["th"]]
    assert heads.count("95% interval") == 2
    assert {"test-set noise", "seed variance", "sd"} <= set(heads)


def test_throughput_is_a_table_where_it_was_measured(run, tmp_path, claims):
    page = Page(index_of(run))
    text = " ".join(page.text.split())
    assert (
        "4 processes, expected 3.75 times as fast as one, at most 0.25 less: not measured" in text
    )
    assert "throughput" not in {value for _, name, value in page.attributes if name == "id"}

    values = [
        (1, ["A", "B"], [], "H200", 41.25, 1.0, 1.0, 1.0, 1.0),
        (4, ["C_S256"], ["A"], "H200", 152.5, 3.6969, 3.625, 3.75, 0.92424),
        (2, ["D"], [], "old <b>", 7.125, None, None, None, None),
    ]
    speeds = [dict(zip(SPEED_KEYS, row, strict=True)) for row in values]
    claims["claims"][1]["throughput"]["measured"] = speeds
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    (tmp_path / "claims_throughput.csv").write_bytes(b"number,processes\n9,1\n")
    html = index_of(run)
    page = Page(html)
    for row in values:
        numbers_of_row = [value for value in row if isinstance(value, (int, float))]
        assert numbers_of_row in page.rows
    assert not page.tags["b"]
    assert "not measured" not in page.text
    assert downloads(html)["claims_throughput.csv"][1] == b"number,processes\n9,1\n"


def test_the_index_tells_what_the_run_did_and_cost(run, tmp_path):
    text, page = spaced(index_of(run)), Page(index_of(run))
    assert "The run" not in text
    assert "What the run costs" not in text

    def kind(rule, planned, hours, **actual):
        found = dict.fromkeys(("jobs", "device_hours", "cpu_hours", "peak_memory_mb")) | actual
        return {"rule": rule, "jobs": planned, "flop": 1e15, "hours": hours, "actual": found}

    plan = {key: [] for key in inputs.PLAN_KEYS}
    plan["by_rule"] = [kind("train_convnet", 14, 237.25, jobs=13, device_hours=31.125)]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    words = ("--records", run("logs"), "--plan", run("plan.json"), "--pages", "plan")
    page = Page(index_of(run, *words))
    text = " ".join(page.text.split())
    assert {14.0, 237.25, 13.0, 31.125} <= page.values
    # Three records: 83 s, 83 s and 7384 s of wall time, 71.5 s each of CPU time.
    assert {(2 * 83 + 7384) / 3600, 3 * 71.5 / 3600} <= page.values
    for words in (
        *("trainings 1", "evaluations 1", "jobs with a record 3", "devices Xeon (cpu)"),
        *("nodes node-r9", "torch 2.12.1", "2026-11-24 20:38 UTC, 2026-11-24 20:39 UTC"),
    ):
        assert words in text
    assert "plan.html" in page.links()


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
    assert page.tags["script"] == 1


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
        inputs.load_packing(path)


def test_the_same_inputs_give_the_same_bytes(run, figures):
    words = ("--figures", *figures, "--records", run("logs"))
    assert index_of(run, *words) == index_of(run, *words)
    assert page_of(run, "table7", *words[-2:]) == page_of(run, "table7", *words[-2:])


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


def test_the_commands_start_without_heavy_libraries():
    code = (
        "import sys, workflow_scripts.render_table, workflow_scripts.render_index;"
        "sys.exit(' '.join({'torch', 'matplotlib', 'pandas'} & set(sys.modules)) or None)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
