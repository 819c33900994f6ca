"""The whole DAG, run by Snakemake on a still smaller miniature, and what runs again when."""

import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load_file

from tests.checks import recompute_cells
from tests.helpers.clones import TINY, clone, configured_clone, outputs, planned, snakemake
from tests.helpers.forms import WRITERS, read_archives
from workflow_scripts.vgg.core.parquet import read_frame, write_frame
from workflow_scripts.vgg.nets.weights import read_metadata

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """A clone in which nothing was run."""
    return clone(tmp_path_factory.mktemp("bare"))


# On a bare clone


def test_table_5_needs_d_and_e_and_their_ancestors_only(bare):
    made = outputs(bare, "reports/table5.html")
    models = {Path(p).stem for p in made if p.endswith(".safetensors")}
    assert models == {
        "A_S256", "D_S256", "D_S384", "D_S256-512", "E_S256", "E_S384", "E_S256-512",
    }  # fmt: skip
    posteriors = {p.split("posteriors/")[1] for p in made if "/posteriors/" in p}
    assert posteriors == {
        f"val/{net}_S256-512/{method}_Q{Q}.parquet"
        for net in "DE"
        for method in ("dense", "multicrop")
        for Q in (256, 384, 512)
    }


def test_every_seed_has_trainings_and_evaluations_of_its_own(bare, tmp_path):
    more = tmp_path / "seeds.yaml"
    more.write_text("seeds: [0, 2]")
    one = outputs(bare, "reports/table5.html")
    two = outputs(bare, "reports/table5.html", "--configfile", str(more))
    results = "results/miniature/"
    of_seed = {p for p in one if re.search(r"/(weights|history|posteriors)/", p)}
    assert two == one | {p.replace(results, f"{results}seed2/") for p in of_seed}


TABLE_1 = "results/miniature/tables/table1.json"


def test_what_a_site_says_to_python_reaches_no_job(tmp_path):
    folder = clone(tmp_path / "tree")
    # Another torch, and a python that is not ours. Snakemake itself needs numpy and pandas.
    (tmp_path / "site/torch").mkdir(parents=True)
    (tmp_path / "site/torch/__init__.py").write_text("raise SystemExit('the site')")
    (tmp_path / "site/python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "site/python").chmod(0o755)
    site = {"PATH": f"{tmp_path}/site:{os.environ['PATH']}", "PYTHONPATH": f"{tmp_path}/site"}
    leaks = {"PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "ascii", "PYTHONOPTIMIZE": "2"}
    latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    snakemake(folder, TABLE_1, "--cores", "1", **site, **leaks, **latin)
    assert (folder / TABLE_1).exists()


def test_a_function_that_hides_our_python_is_named(bare, tmp_path):
    (tmp_path / "bash").write_text("python() { false; }")
    output = snakemake(bare, "-n", TABLE_1, check=False, BASH_ENV=f"{tmp_path}/bash")
    told = f"python is no file to jobs, but Snakemake runs on {sys.executable}; install it in"
    assert told in output


def test_a_misspelt_key_is_one_line_in_the_log(tmp_path):
    folder = clone(tmp_path / "tree")
    config = folder / "config/config.yaml"
    config.write_text(config.read_text().replace("  momentum:", "  momentun:"))
    line = config.read_text().split("  momentun:")[0].count("\n") + 1
    output = snakemake(folder, "-n", TABLE_1, check=False)
    assert f"\nconfig/config.yaml:{line}: train.momentun: there is no such key; did you" in output
    assert output.count("\n") < 8


def test_the_command_line_gives_lists(bare):
    jobs = planned(bare, "models", "--config", "seeds=[0,1]", "pictures=null")
    assert jobs["train_convnet"] == 28


def test_tables_1_and_2_need_no_data(bare):
    for table in ("table1", "table2"):
        jobs = planned(bare, f"reports/{table}.html")
        assert jobs == {"describe_convnets": 1, "record_config": 1, "render_table": 1}


def test_the_full_dag_has_14_trainings_and_no_archives_among_its_inputs(bare):
    output = snakemake(bare, "-n", "--profile", "slurm", "all")
    assert re.search(r"^train_convnet +14$", output, flags=re.M)
    assert "make_miniature" not in output
    inputs = ",".join(re.findall(r"^ +input: (.*)$", output, flags=re.M))
    assert ".tar" not in inputs


def test_the_full_run_without_data_fails_at_once_and_says_what_is_missing(tmp_path):
    folder = clone(tmp_path / "full")
    output = snakemake(
        folder, "all", "--configfile", "config/ilsvrc2012.yaml", "--cores", "1", check=False
    )
    logs = "".join(p.read_text() for p in (folder / "logs").rglob("verify_archive/*.log"))
    for text in (output, logs):
        assert re.search(r"resources/ilsvrc2012/ILSVRC2012_\w+\.tar(\.gz)?: no such file", text)
        assert "image-net.org" in text
    assert not list((folder / "results").rglob("*.safetensors"))


RELEASED = ("--configfile", "config/released_weights.yaml")


def test_the_released_weights_need_the_validation_set_and_no_training(bare):
    jobs = planned(bare, "all", *RELEASED)
    assert jobs["import_weights"] == 2
    assert jobs["evaluate_convnet"] == 14  # dense and multi-crop at three Q and a crop, of D and E
    assert not jobs.keys() & {
        "make_miniature", "train_convnet", "measure_statistics", "write_submission",
    }  # fmt: skip
    made = outputs(bare, "all", *RELEASED)
    stores = {p.split("/")[3] for p in made if "/shards/" in p}
    assert stores == {"val"}
    assert {p for p in made if "/index/" in p} == {"results/released_weights/index/val.parquet"}
    assert {Path(p).stem for p in made if "/weights/" in p} == {"D_S256-512", "E_S256-512"}
    pages = {Path(p).stem for p in made if p.startswith("reports/")}
    assert pages >= {"index", "released_weights", *(f"table{n}" for n in range(1, 8))}


def test_the_authors_figures_alone_need_eight_evaluations(bare):
    jobs = planned(bare, "reports/released_weights.html", *RELEASED)
    assert jobs["evaluate_convnet"] == 8
    assert jobs["tabulate"] == 1


# After a run


def test_the_run_makes_every_table_and_page(run):
    for number in range(1, 8):
        for suffix in (".csv", ".json", ".tex", ".md"):
            assert (run / f"results/tiny/tables/table{number}{suffix}").stat().st_size
        assert "miniature" in (run / f"reports/table{number}.html").read_text()
    assert (run / "reports/index.html").stat().st_size < 3_000_000
    assert len(list((run / "results/tiny/weights").glob("*.safetensors"))) == 14
    assert len(list((run / "results/tiny/history").glob("*.csv"))) == 14
    for name in ("ilsvrc_submission", "D_E_dense", "D_E_both", "E_both"):
        lines = np.loadtxt(run / f"results/tiny/submission/{name}.txt", dtype=int)
        assert lines.shape == (12, 5)
        assert set(lines.ravel()) <= set(range(1, 11))


def test_the_run_ends_with_errors_times_and_the_reports_path(run):
    output = (run / "output.txt").read_text()
    for number in (3, 4, 5, 6):
        assert f"table{number}: " in output
    assert re.search(r"^train_convnet +14 +[\d.]+ +[\d.]+$", output, flags=re.M)
    assert str(run / "reports/index.html") in output


def test_the_run_ends_with_the_cost_of_every_planned_job(run):
    jobs = json.loads((run / "results/tiny/plan.json").read_text())["jobs"]
    assert len(jobs) == 14 + 76 + 5  # trainings, evaluations, stores of shards
    assert [job["name"] for job in jobs if not job["actual"]] == []
    assert 'href="plan.html"' in (run / "reports/index.html").read_text()
    assert "actual wall" in (run / "reports/plan.html").read_text()


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


def test_posteriors_name_the_weights_that_made_them(run):
    path = run / "results/tiny/posteriors/val/D_S384/dense_Q384.parquet"
    metadata = {k.decode(): v.decode() for k, v in pq.read_schema(path).metadata.items()}
    from workflow_scripts.vgg.core.files import sha256

    weights = run / "results/tiny/weights/D_S384.safetensors"
    assert json.loads(metadata["weights_sha256"]) == sha256(weights)
    assert json.loads(metadata["method"]) == "dense"
    assert json.loads(metadata["Q"]) == 384
    config = yaml.safe_load((run / "config/config.yaml").read_text())["choices"]
    recorded = json.loads(metadata["training_choices"]) | json.loads(metadata["choices"])
    assert recorded == config


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
    pages = {"index", "pictures", "plan"}  # filters of all nets, what jobs have cost
    assert tables == {"table3", "table4", "table6", "table7"} | pages


def test_an_answer_of_the_test_server_makes_the_tables_that_show_it_anew(run):
    path = run / "config/server_answers.yaml"
    text = path.read_text()
    path.write_text("E_both: {top5_test: 7, date: 2026-11-24}\n")
    try:
        made = outputs(run, "all")
    finally:
        path.write_text(text)
    pages = {"table7.html", "index.html", "plan.html"}
    files = {f"table7.{suffix}" for suffix in ("csv", "json", "tex", "md")}
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


def with_members(path, change):
    """Write a tar anew, its members' contents changed by `change(name, content)`; None drops."""
    mode = "gz" if path.suffix == ".gz" else ""
    with tarfile.open(path) as archive:
        members = [(m.name, archive.extractfile(m).read()) for m in archive if m.isfile()]
    with tarfile.open(path, f"w:{mode}") as archive:
        for name, content in members:
            if (content := change(name, content)) is not None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def cut(folder):
    archive = folder / "ILSVRC2012_img_val.tar"
    archive.write_bytes(archive.read_bytes()[:50_000])


def empty_an_image(folder):
    name = "ILSVRC2012_test_00000007.JPEG"
    with_members(
        folder / "ILSVRC2012_img_test_v10102019.tar",
        lambda member, content: b"" if member.endswith(name) else content,
    )


def shorten_the_ground_truth(folder):
    with_members(
        folder / "ILSVRC2012_devkit_t12.tar.gz",
        lambda member, content: (
            content[: -len(content.split(b"\n")[-2]) - 1]
            if member.endswith("ground_truth.txt")
            else content
        ),
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, ("ILSVRC2012_img_val.tar", "truncated")),
        (empty_an_image, ("img_test_v10102019.tar: ILSVRC2012_test_00000007 has no bytes",)),
        (shorten_the_ground_truth, ("devkit_t12.tar.gz: 23 lines for 24 images",)),
    ],
)
def test_a_spoilt_data_set_stops_the_run_by_name_before_anything_is_packed(
    spoil, words, run, tmp_path
):
    folder = clone(tmp_path / "broken")
    shutil.copy(run / "config/config.yaml", folder / "config/config.yaml")
    shutil.copytree(run / "resources", folder / "resources")
    spoil(folder / "resources/tiny")
    output = snakemake(folder, "shards", "--cores", "2", "--keep-going", check=False)
    for word in words:
        assert word in output
    assert "Traceback" not in output
    results = folder / "results/tiny"
    assert (results / "index/train.parquet").exists()
    assert not list(results.rglob("*.arrow"))
    assert not list(results.rglob("*.tmp"))


def test_another_index_of_one_split_packs_nothing_of_another(run, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text(f"data: {{md5: {{test: '{0:032}'}}}}")  # the test set's alone is verified
    assert planned(run, "shards", "--configfile", str(more)) == {
        "verify_archive": 1, "index_images": 1, "pack_shard": 1, "report_packing": 1, "shards": 1,
    }  # fmt: skip
    more.write_text("data: {test: absent}")  # a split less
    jobs = planned(run, "shards", "--configfile", str(more))
    assert not jobs.keys() & {"index_images", "pack_shard"}


def test_an_index_of_an_interrupted_run_is_packed(run):
    """Once, the job behind all indexes hid that one was newer than its shards."""
    path = run / "results/tiny/index/val.parquet"
    content, times = path.read_bytes(), path.stat()
    index = read_frame(path)
    try:
        write_frame(path, index.assign(label=index["label"][::-1].to_numpy()))
        jobs = planned(run, "shards")
        assert jobs == {"pack_shard": 1, "report_packing": 1, "shards": 1}
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("source", sorted(WRITERS))
def test_every_source_gives_the_same_shards_through_the_workflow(run, tmp_path, source):
    folder = clone(tmp_path / source)
    shutil.copy(run / "config/config.yaml", folder / "config/config.yaml")
    splits, words = read_archives(run / "resources/tiny")
    WRITERS[source](folder / "data", splits, words)
    data = {"source": source, "directory": "data", "archives": {"devkit": None}, "test": "absent"}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"experiment": "mine", "data": data}))
    snakemake(folder, "shards", "--cores", "2", "--configfile", "mine.yaml")
    made = sorted((folder / "results/mine/shards").rglob("*.arrow"))
    assert len(made) == 3 * 2 + 1
    for path in made:
        same = run / "results/tiny/shards" / path.relative_to(folder / "results/mine/shards")
        assert path.read_bytes() == same.read_bytes(), path
    assert not list((folder / "results/mine").rglob("*.images")), "unpacked images stay"
    packing = json.loads((folder / "results/mine/packing.json").read_text())["stores"]
    assert packing["val"]["images"] == TINY["data"]["images"]["val"]


# What the test-time choices change


@pytest.fixture(scope="session")
def compared(run):
    """Output of `snakemake choices` after `snakemake all`."""
    assert 'href="choices.html"' not in (run / "reports/index.html").read_text()
    return snakemake(run, "choices", "--cores", "2")


ALTERNATIVES = {
    "score_average": ("after-softmax", "dense", {"score_average": "after-softmax"}),
    "pool_rounding": ("ceil", "dense", {}),
    "crop_grid": ("central-square", "multicrop", {"crop_grid": "central-square"}),
    "resize_filter": ("bilinear", "dense", {"resize_filter": "bilinear"}),
}


@pytest.mark.parametrize("choice", ALTERNATIVES)
def test_an_alternatives_errors_are_those_of_evaluating_with_it(run, compared, choice):
    from tests.helpers.evaluations import posteriors_of
    from workflow_scripts.vgg.data.shards import Shards
    from workflow_scripts.vgg.nets.weights import load_weights

    value, method, changes = ALTERNATIVES[choice]
    lines = pd.read_csv(run / "results/tiny/choices.csv")
    configured, alternative = (lines.iloc[i] for i in lines.index[lines["choice"] == choice])
    assert (alternative["value"], alternative["method"]) == (value, method)
    assert (configured["configured"], alternative["configured"]) == (True, False)
    assert f"{alternative['top1_error']:.2f} [{alternative['top1_low']:.2f}, " in compared

    rounding = value if choice == "pool_rounding" else "floor"
    shards = [str(run / "results/tiny/shards/val/00000.arrow")]
    labels, ranked, means = Shards(shards).labels, {}, {}
    for name, folder, own_rounding, own_changes in (
        ("configured", "", "floor", {}),
        ("alternative", f"choices/{choice}={value}/", rounding, changes),
    ):
        path = run / "results/tiny/weights/D_S256-512.safetensors"
        net, metadata = load_weights(path, pool_rounding=own_rounding)
        mean = np.mean(
            [
                posteriors_of(
                    net, shards, method=method, smallest_side=round(Q * 64 / 224),
                    mean=metadata["mean_rgb"], **own_changes,
                )
                for Q in (256, 384, 512)
            ],
            axis=0,
        )  # fmt: skip
        files = (run / f"results/tiny/{folder}posteriors/val/D_S256-512").glob(f"{method}_*")
        stored = [np.stack(pd.read_parquet(path)["posterior"]) for path in files]
        assert len(stored) == 3
        np.testing.assert_allclose(np.mean(stored, axis=0), mean, rtol=1e-3, atol=1e-6)
        means[name] = mean
        ranked[name] = np.argsort(-mean, axis=1, kind="stable")
    assert np.abs(means["configured"] - means["alternative"]).max() > 1e-5
    for line, name in ((configured, "configured"), (alternative, "alternative")):
        for k in (1, 5):
            wrong = ~(ranked[name][:, :k] == labels[:, None]).any(1)
            assert line[f"top{k}_error"] == pytest.approx(100 * wrong.mean())
    first = {name: order[:, 0] for name, order in ranked.items()}
    changed = first["configured"] != first["alternative"]
    assert alternative["changed_class"] == changed.sum()
    outcomes = [first[name] == labels for name in ("configured", "alternative")]
    assert alternative["changed_outcome"] == (outcomes[0] != outcomes[1]).sum()
    difference = alternative["top1_error"] - configured["top1_error"]
    assert alternative["top1_difference"] == pytest.approx(difference)


def test_the_index_links_to_the_compared_choices_once_there_are_any(run, compared):
    page = (run / "reports/choices.html").read_text()
    for value, _, _ in ALTERNATIVES.values():
        assert value in page
    assert planned(run, "all") == {"render_index": 1, "all": 1}
    snakemake(run, "all", "--cores", "2")
    assert 'href="choices.html"' in (run / "reports/index.html").read_text()
    assert "Nothing to be done" in snakemake(run, "all", "choices", "--cores", "2")


# Several seeds

MINE = """
mine:
  title: A and B
  columns: [ConvNet]
  metrics: [top1_val]
  rows:
    - {name: A, labels: [A], evaluations: [{model: A_S256, method: center, Q: [256]}]}
    - {name: B, labels: [B], evaluations: [{model: B_S256, method: center, Q: [256]}]}
"""
DEEPER = """
- number: 1
  section: "4.1"
  claim: B has a lower error than A
  comparisons:
    - {candidate: mine/B, baseline: mine/A, expect: lower_error}
"""


def test_a_seed_added_later_is_trained_from_its_own_parents_and_enters_tables_and_claims(tmp_path):
    own = {"seeds": [3], "tables": ["mine.yaml"], "claims": "claims.yaml", "pictures": None}
    folder = configured_clone(tmp_path / "seeds", TINY, own, {"server_answers": None})
    (folder / "mine.yaml").write_text(MINE)
    (folder / "claims.yaml").write_text(DEEPER)
    targets = ["reports/mine.html", "claims"]
    snakemake(folder, *targets, "--cores", "2")
    results = folder / "results/tiny"
    first = {p: p.stat().st_mtime_ns for p in results.glob("[wp]*/**/*[ts]") if p.is_file()}
    assert len(first) == 4  # two nets, and their posteriors
    more = tmp_path / "more.yaml"
    more.write_text("seeds: [3, 1]")
    snakemake(folder, *targets, "--cores", "2", "--configfile", str(more))
    assert first == {p: p.stat().st_mtime_ns for p in first}, "the first seed's stay as they are"

    weights = {
        (model, seed): results / f"{folder_of}weights/{model}.safetensors"
        for model in ("A_S256", "B_S256")
        for seed, folder_of in ((3, ""), (1, "seed1/"))
    }
    for seed in (3, 1):
        metadata = read_metadata(weights["B_S256", seed])
        parent = hashlib.sha256(weights["A_S256", seed].read_bytes()).hexdigest()
        assert (metadata["seed"], metadata["parent_sha256"]) == (seed, parent)
    conv = [load_file(weights["A_S256", seed])["features.0.weight"] for seed in (3, 1)]
    assert not np.allclose(*conv)

    errors = []
    for model in ("A_S256", "B_S256"):
        for seed in ("", "seed1/"):
            path = results / f"{seed}posteriors/val/{model}/center_Q256.parquet"
            frame = pd.read_parquet(path)
            wrong = np.stack(frame["posterior"]).argmax(1) != frame["label"]
            errors.append(100 * wrong.mean())
    lines = pd.read_csv(results / "tables/mine.csv")
    assert lines["top1_val"].tolist() == pytest.approx([np.mean(errors[:2]), np.mean(errors[2:])])
    assert lines["top1_val_seed_sd"].tolist() == pytest.approx(
        [np.std(errors[:2], ddof=1), np.std(errors[2:], ddof=1)]
    )
    (claim,) = json.loads((results / "claims.json").read_text())["claims"]
    (comparison,) = claim["comparisons"]
    assert comparison["seeds"] == 2
    assert comparison["per_seed"] == pytest.approx([errors[2] - errors[0], errors[3] - errors[1]])
