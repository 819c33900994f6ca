"""The inputs of a report as fixtures that a test may change before a page is made."""

import json

import pytest
import yaml

from tests.helpers.report_inputs import (
    RECORDS,
    cell,
    claims_of,
    evaluation_row,
    index_of,
    page_of,
    table,
)
from workflow_scripts.vgg.core.text_artefacts import write_svg
from workflow_scripts.vgg.report import inputs
from workflow_scripts.vgg.results.ledger import COMPARISON_KEYS


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
        "family_of_localisation": 0,
        "family_of_features": 0,
        "family_of_own": 0,
        "claims": [
            dict(zip(keys, row, strict=True))
            for row in (
                (
                    1,
                    "4.1",
                    "B is like A, we say",
                    "B is like A",
                    "",
                    [comparison],
                    None,
                    "inconclusive",
                ),
                (
                    9,
                    "3.3",
                    "Four GPUs are fast",
                    "GPUs are fast",
                    "No GPU",
                    [],
                    speed,
                    "unmeasured",
                ),
            )
        ],
    }


@pytest.fixture(params=["miniature", "ilsvrc2012"])
def config(request):
    return {
        "experiment": "m",
        "seeds": [3],
        "data": {
            "source": request.param,
            "images": {"train": 4000, "val": 417},
            "classes": 10 if request.param == "miniature" else 1000,
        },
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


@pytest.fixture
def pages(run):
    tables = [page_of(run, name) for name in ("table1", "table2", "table7")]
    return [*tables, claims_of(run), index_of(run)]


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
