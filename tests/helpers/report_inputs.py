"""Contents of a small run that a report is made of, and the pages made of it."""

import base64
import re

from tests.helpers.pages import Page
from workflow_scripts import render_claims, render_index, render_table
from workflow_scripts.vgg.results.cells import CELL_KEYS

HOSTILE = "<script>alert('S')</script>\"&<b>"


def is_miniature(config):
    return config["data"]["source"] == "miniature"


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


def claims_of(run, *words):
    arguments = ["--claims", run("claims.json"), "--tables", run("table7.json")]
    arguments += ["--config", run("config.yaml")]
    render_claims.main([*arguments, *words, "--output", run("claims.html")])
    return read(run("claims.html"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def downloads(html):
    """Files that a page offers: name → media type, bytes."""
    found = {}
    for link in Page(html).elements.get("a", []):
        if "download" in (own := link["attributes"]):
            head, data = own["href"].split(";base64,")
            found[own["download"]] = head, base64.b64decode(data, validate=True)
    return found


def opening(html):
    """What the index opens with, as its sections' texts by their headings."""
    sections = re.findall(r'<section class="opening.*?</section>', html, flags=re.DOTALL)
    headings = [re.search(r"<h2.*?>(.*?)</h2>", section)[1] for section in sections]
    return dict(zip(headings, map(spaced, sections), strict=True))


def claim_lines(html):
    """The index's list of claims: the text of each line."""
    found = re.findall(r'<ul class="claims">(.*?)</ul>', html, flags=re.DOTALL)
    lines = [line for part in found for line in re.findall("<li>.*?</li>", part, flags=re.DOTALL)]
    return list(map(spaced, lines))


def spaced(html):
    return " ".join(Page(html).text.split())


# Localisation

MERGING = {
    "merge_threshold": 0.625,
    "merge_distance": "overlap-only",
    "merge_mean": "plain",
    "box_rating": "max",
    "box_clipping": "clipped",
}


def guesses(row, split="val", seed=3, box=None):
    """Where a row's guesses lie, and how they were made."""
    folder = "" if seed in (None, 3) else f"seed{seed}/"
    return {
        "guesses": f"results/m/{folder}localisation/{split}/{row}.parquet",
        "split": split,
        "seed": seed,
        "box": box,
        "merging": None if box else MERGING,
    }


def boxed_evaluation(model, method, Q, seed=3):
    """One of the files of boxes behind guesses."""
    found = evaluation(model, "val", seed, Q, method)
    folder = "" if seed == 3 else f"seed{seed}/"
    path = found["posteriors"].replace("m/posteriors", f"m/{folder}boxes")
    return found | {"posteriors": path}


def localised_row(name, labels, cells, boxes=(), own=()):
    """A row of localisation. boxes: the files behind it; own: its files of guesses."""
    row = {"name": name, "labels": labels, "literature": False, "metrics": cells}
    return row | {"submission": None, "evaluations": list(boxes), "guesses": list(own)}


def localised_table(name, rows, metrics, **more):
    """A table of localisation, of whose 500 validation images 417 are scored."""
    counts = {"images": 500, "boxless": 0, "blacklisted": 83, "scored": 417}
    facts = {"scoring": {"overlap_bound": "at-least-half"}, "images": {"val": counts}}
    columns = {"columns": ["train S", "test Q"], "metrics": metrics, "reference": "paper"}
    return table(name, "evaluation", rows, **columns, localisation=facts, seeds=[3], **more)
