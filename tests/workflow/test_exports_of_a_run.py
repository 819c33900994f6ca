"""`snakemake exports` on a finished run: its errors are the tables', and nothing is done twice."""

import json
import re
import shutil

import pytest

from tests.helpers.clones import planned, snakemake

MODEL = "D_S256-512"


@pytest.fixture(scope="module")
def exported(finished, finished_results, tmp_path_factory):
    """A copy of the finished run in which one model is exported; the folder, and the target."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(finished, folder, symlinks=True)
    target = f"{finished_results.relative_to(finished)}/exported/{MODEL}/README.md"
    snakemake(folder, target, "--cores", "1")
    return folder, target


def test_the_card_has_the_errors_of_the_tables(exported):
    folder, target = exported
    card = (folder / target).read_text()
    results = (folder / target).parents[2]
    for table, name, method, Q in (
        ("table3", MODEL, "dense", "384"),
        ("table4", MODEL, "dense", "256, 384, 512"),
        ("table5", "D_both", "multi-crop & dense", "256, 384, 512"),
    ):
        rows = json.loads((results / f"tables/{table}.json").read_text())["rows"]
        cells = next(row["metrics"] for row in rows if row["name"] == name)
        (line,) = re.findall(rf"^\| {re.escape(method)} \| {Q} \|.* validation .*$", card, re.M)
        for metric in ("top1_val", "top5_val"):
            cell = cells[metric]
            shown = f"{cell['measured']:.1f} [{cell['low']:.1f}, {cell['high']:.1f}]"
            assert f"| {shown} | {cell['paper']:.1f} |" in line


def test_a_second_export_does_nothing_and_another_licence_one_job(exported):
    folder, target = exported
    assert "Nothing to be done" in snakemake(folder, "-n", target)
    words = ("--config", "exports={license: cc-by-4.0}")
    assert planned(folder, target, *words) == {"export_weights": 1}
