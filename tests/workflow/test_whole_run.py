"""What a run of the whole DAG leaves on a still smaller miniature, and what runs again when."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load_file

from tests.checks import recompute_boxes, recompute_cells
from tests.helpers.clones import clone, outputs, planned, snakemake
from tests.helpers.pages import Page


def test_the_run_makes_every_table_and_page(run):
    for number in range(1, 13):
        for suffix in (".csv", ".json", ".tex", ".md"):
            assert (run / f"results/tiny/tables/table{number}{suffix}").stat().st_size
        assert "Miniature numbers" in (run / f"reports/table{number}.html").read_text()
    assert (run / "reports/index.html").stat().st_size < 3_000_000
    assert len(list((run / "results/tiny/weights").glob("*.safetensors"))) == 18
    assert len(list((run / "results/tiny/history").glob("*.csv"))) == 18
    for name in ("ilsvrc_submission", "D_E_dense", "D_E_both", "E_both"):
        lines = np.loadtxt(run / f"results/tiny/submission/{name}.txt", dtype=int)
        assert lines.shape == (12, 5)
        assert set(lines.ravel()) <= set(range(1, 11))
    for name in ("localisation_S384", "localisation_fusion"):
        lines = np.loadtxt(run / f"results/tiny/submission/{name}.txt", dtype=int)
        assert lines.shape == (12, 25)
        assert set(lines[:, ::5].ravel()) <= set(range(1, 11))


def test_the_run_ends_with_errors_times_and_the_reports_path(run):
    output = (run / "output.txt").read_text()
    for number in (3, 4, 5, 6, 8, 9, 10, 11, 12):
        assert f"table{number}: " in output
    assert re.search(r"^train_convnet +18 +[\d.]+ +[\d.]+$", output, flags=re.M)
    assert str(run / "reports/index.html") in output


def test_the_run_ends_with_the_cost_of_every_planned_job(run):
    jobs = json.loads((run / "results/tiny/plan.json").read_text())["jobs"]
    # Trainings, evaluations, stores of shards; boxes of nets, rows of guesses, splits' true boxes;
    # of other data sets examples, random weights, descriptors, and rows' classifiers
    assert len(jobs) == 18 + 76 + (5 + 3) + 9 + (11 + 4) + 3 + 3 + 1 + (7 + 7 + 4) + (8 + 8 + 2)
    assert [job["name"] for job in jobs if not job["actual"]] == []
    assert 'href="plan.html"' in (run / "reports/index.html").read_text()
    assert "actual wall" in (run / "reports/plan.html").read_text()


def test_the_report_is_left_as_it_is_by_what_another_experiment_plans_and_makes(run):
    (run / "other.yaml").write_text("experiment: other\n")
    before = {path.name: path.read_bytes() for path in (run / "reports").glob("*.html")}
    assert before.keys() > {"index.html", "plan.html"}
    for target in ("plan", "results/other/index/val.parquet"):
        printed = snakemake(run, target, "--cores", "1", "--configfile", "other.yaml")
        assert "Report:" not in printed
        if target == "plan":
            assert str(run / "results/other/plan.html") in printed
    assert {path.name: path.read_bytes() for path in (run / "reports").glob("*.html")} == before
    # That of the run itself is made anew.
    (run / "reports/plan.html").write_text("older")
    assert str(run / "reports/plan.html") in snakemake(run, "plan")
    assert 'href="index.html"' in (run / "reports/plan.html").read_text()
    (run / "reports/plan.html").write_bytes(before["plan.html"])


def test_no_sentence_of_the_report_has_two_marks_in_a_row(run):
    for path in (run / "reports").glob("*.html"):
        html = re.sub(r"<pre>.*?</pre>", "", path.read_text(), flags=re.DOTALL)
        text = " ".join(Page(html).text.split())
        assert re.findall(r".{30}(?:[,;:(] ?[.,;)]|\.\.)(?!\.).{,9}", text) == [], path.name


def test_a_table_cell_is_the_error_of_its_posteriors(run):
    table = json.loads((run / "results/tiny/tables/table6.json").read_text())
    row = table["rows"][0]
    for split, metric in (("val", "top1_val"), ("test", "top5_test")):
        files = [e["posteriors"] for e in row["evaluations"] if e["split"] == split]
        assert len(files) == 21
        frames = [pd.read_parquet(run / path) for path in files]
        mean = np.mean([np.stack(f["posterior"]).astype(float) for f in frames], axis=0)
        k = int(metric[3])
        highest = np.argsort(-mean, axis=1)[:, :k]
        wrong = ~(highest == frames[0]["label"].to_numpy()[:, None]).any(1)
        assert row["metrics"][metric]["measured"] == pytest.approx(100 * wrong.mean())


def test_cells_of_tables_3_to_6_equal_a_recomputation_from_the_archives(run):
    comparisons = recompute_cells.recompute(run / "results/tiny")
    assert {cell.table for cell in recompute_cells.CELLS.values()} == {3, 4, 5, 6}
    for name, comparison in comparisons.items():
        assert comparison.table is not None
        assert comparison.agrees, (name, comparison)


def test_cells_of_tables_8_to_10_equal_a_recomputation_from_the_archives(run):
    comparisons = recompute_boxes.recompute(run / "results/tiny")
    assert {cell.table for cell in recompute_boxes.CELLS.values()} == {8, 9, 10}
    for name, comparison in comparisons.items():
        assert comparison.agrees, (name, comparison)


def test_posteriors_name_the_weights_that_made_them(run):
    path = run / "results/tiny/posteriors/val/D_S384/dense_Q384.parquet"
    metadata = {k.decode(): v.decode() for k, v in pq.read_schema(path).metadata.items()}
    from workflow_scripts.vgg.core.files import sha256
    from workflow_scripts.vgg.nets.weights import read_metadata

    weights = run / "results/tiny/weights/D_S384.safetensors"
    assert json.loads(metadata["weights_sha256"]) == sha256(weights)
    classes = pd.read_parquet(run / "results/tiny/classes.parquet").sort_values("label")
    assert read_metadata(weights)["wnids"] == classes["wnid"].tolist()
    assert json.loads(metadata["method"]) == "dense"
    assert json.loads(metadata["Q"]) == 384
    config = yaml.safe_load((run / "config/config.yaml").read_text())["choices"]
    recorded = json.loads(metadata["training_choices"]) | json.loads(metadata["choices"])
    others = ("box_", "merge_", "overlap_", "blacklisted")  # of boxes
    others += ("feature_", "svm_", "action_box", "average_precision")
    others += ("subset_posteriors",)  # of imports
    assert recorded == {k: v for k, v in config.items() if not k.startswith(others)}


def test_guesses_name_the_boxes_that_made_them_and_all_choices_of_boxes(run):
    path = run / "results/tiny/localisation/val/fusion.parquet"
    metadata = {k.decode(): json.loads(v) for k, v in pq.read_schema(path).metadata.items()}
    config = yaml.safe_load((run / "config/config.yaml").read_text())
    recorded = dict(metadata["choices"])
    for file, said in metadata["boxes"]:
        assert (run / file).is_file()
        recorded |= said["choices"] | said["training_choices"]
    others = ("overlap_", "blacklisted", "score_average", "crop_grid")  # of scoring
    others += ("feature_", "svm_", "action_box", "average_precision")
    others += ("subset_posteriors",)  # of imports
    assert recorded == {k: v for k, v in config["choices"].items() if not k.startswith(others)}
    distance = config["choices"]["merge_distance"]
    assert metadata["merge_threshold"] == config["localise"]["thresholds"][distance]


def test_a_second_run_does_nothing(run):
    assert "Nothing to be done" in snakemake(run, "all", "--cores", "2")


def test_touching_sources_runs_nothing_again(run):
    for folder in ("workflow_scripts", "rules", "config", "reports/templates"):
        for path in (run / folder).rglob("*"):
            path.touch()
    assert planned(run, "all") == {}


def test_a_tree_copied_without_times_is_planned_anew_until_touched(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    files = [path for path in (copy / "results").rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (1.6e9 if "shards" in path.parts else 1.5e9,) * 2)
    target = "results/tiny/posteriors/val/A_S256/dense_Q256.parquet"
    assert {"train_convnet", "evaluate_convnet"} <= planned(copy, target).keys()
    before = {path: path.read_bytes() for path in files}
    snakemake(copy, "--touch", target, "--cores", "1")
    assert planned(copy, target) == {}
    assert all(path.read_bytes() == content for path, content in before.items())


def test_another_learning_rate_runs_the_model_its_descendants_and_their_tables(run):
    path = run / "config/models.yaml"
    text = path.read_text()
    changed = re.sub(r"(C_S384: .*learning_rate: )[\d.e-]+", r"\g<1>2.0e-3", text)
    assert changed != text
    path.write_text(changed)
    try:
        made = outputs(run, "all")
    finally:
        path.write_text(text)
    weights = {Path(p).stem for p in made if p.endswith(".safetensors")}
    assert weights == {"C_S384", "C_S256-512"}
    models = {p.split("/")[-2] for p in made if "/posteriors/" in p}
    assert models == weights
    # Table 5 has no C, and Tables 1 and 2 no training at all.
    tables = {Path(p).stem for p in made if p.startswith("reports/")}
    pages = {"index", "claims", "pictures", "plan"}  # filters of all nets, what jobs have cost
    assert tables == {"table3", "table4", "table6", "table7"} | pages


@pytest.mark.parametrize(
    ("answer", "table"),
    [
        ("E_both: {top5_test: 7, date: 2026-11-24}", "table7"),
        ("actions_image: {map_voc2012_action: 71.5, date: 2026-11-24}", "table12"),
    ],
    ids=["classification", "actions"],
)
def test_an_answer_of_the_test_server_makes_the_table_that_shows_it_anew(run, answer, table):
    path = run / "config/server_answers.yaml"
    text = path.read_text()
    path.write_text(f"{answer}\n")
    try:
        made = outputs(run, "all")
    finally:
        path.write_text(text)
    pages = {f"{table}.html", "index.html", "plan.html"}
    pages |= {"claims.html"} if table == "table12" else set()  # whose rows claims compare
    files = {f"{table}.{suffix}" for suffix in ("csv", "json", "tex", "md")}
    assert {Path(p).name for p in made} == pages | files | {"plan.csv", "plan.json"}


def test_another_run_from_scratch_gives_the_same_weights_and_table(run, tmp_path):
    folder = clone(tmp_path / "again")
    shutil.copy(run / "config/config.yaml", folder / "config/config.yaml")
    snakemake(folder, "results/tiny/posteriors/val/B_S256/dense_Q256.parquet", "--cores", "1")
    for model in ("A_S256", "B_S256"):
        one, two = (
            load_file(f / f"results/tiny/weights/{model}.safetensors") for f in (run, folder)
        )
        assert all((one[key] == two[key]).all() for key in one)
    name = "results/tiny/posteriors/val/B_S256/dense_Q256.parquet"
    one, two = (pd.read_parquet(f / name) for f in (run, folder))
    assert all((a == b).all() for a, b in zip(one["posterior"], two["posterior"], strict=True))
