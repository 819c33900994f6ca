"""Where a run evaluates in less than float32, one cell of each table is evaluated in it as well."""

import numpy as np
import pytest
import yaml

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.results import float32_checks
from workflow_scripts.vgg.settings import experiments

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())


def row(name, *models):
    return {
        "name": name,
        "labels": [name, "384"],
        "evaluations": [{"model": m, "method": "dense", "Q": [384]} for m in models],
    }


def test_the_row_that_is_checked_is_named_or_the_first_that_the_run_has():
    table = {"rows": [row("one", "D"), row("two", "E")]}
    assert experiments.check_row(table)["name"] == "one"
    assert experiments.check_row(table, ["E"])["name"] == "two"
    assert experiments.check_row(table | {"check": "two"})["name"] == "two"
    assert experiments.check_row(table | {"check": "two"}, ["D"])["name"] == "one"
    assert experiments.check_row(table | {"check": None}) is None
    assert experiments.check_row(table, []) is None
    assert experiments.checked_evaluations(table | {"check": None}) == []


def test_a_check_that_is_no_row_is_refused():
    table = {"columns": ["a", "b"], "rows": [row("one", "D")], "check": "two"}
    with pytest.raises(InputError, match="tables: mine: check: two is no row of it"):
        experiments.check_rows({"mine": table}, {})


def write(folder, path, posteriors):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"image{n:03d}" for n in range(len(posteriors))]
    write_posteriors(path, ids, np.zeros(len(ids), np.int32), posteriors, {})


@pytest.mark.parametrize(("flipped", "within"), [(0, True), (5, True), (6, False)])
def test_answers_that_differ_are_counted_against_the_interval(tmp_path, flipped, within):
    """Half of 3,000 images are wrong: ±1.79 points, a tenth of which is 5.4 answers."""
    images = 3000
    exact = np.tile(np.float32([0.6, 0.3, 0.1]), (images, 1))
    exact[: images // 2] = [0.3, 0.6, 0.1]
    ours = exact.copy()
    ours[-flipped or images :] = [0.3, 0.1, 0.6]  # from right to wrong
    path = "posteriors/val/D/dense_Q384.parquet"
    write(tmp_path, path, ours)
    write(tmp_path, f"choices/precision=float32/{path}", exact)
    found = float32_checks.check(row("one", "D"), str(tmp_path), "tf32")
    half_width = 1.96 * 100 * np.sqrt(0.25 / images)  # the normal interval, for so many images
    assert found["allowed"] == pytest.approx(half_width / 10 / 100 * images, rel=0.01)
    assert (found["changed"], found["images"], found["within"]) == (flipped, images, within)
    assert found["top1_error_float32"] == 50
    assert found["top1_error"] == pytest.approx(50 + 100 * flipped / images)
    note = float32_checks.check_note(found)
    assert note.startswith("Check: one · 384, once more in float32, errs on 50.00% top-1 (")
    assert f"({50 + 100 * flipped / images:.2f}% in tf32)" in note
    assert f"{flipped} of 3,000 answers differ" in note
    assert ("set evaluate.precision to float32" in note) == (not within)


def test_a_table_whose_rows_stand_elsewhere_says_where_they_are_checked():
    note = float32_checks.elsewhere_note("table7", TABLES)
    assert note.startswith("Every row is one of table6 or table5, where one is evaluated")
    assert float32_checks.elsewhere_note("table3", TABLES) is None
