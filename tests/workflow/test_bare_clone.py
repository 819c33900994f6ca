"""What Snakemake plans on a bare clone, and what stops it there."""

import fnmatch
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.clones import ROOT, clone, outputs, planned, snakemake

COMMANDS = sorted(path.stem for path in (ROOT / "workflow_scripts").glob("[!_]*.py"))


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """A clone in which nothing was run."""
    return clone(tmp_path_factory.mktemp("bare"))


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


# Those whose examples read what no run of `all` makes
AFTER = {
    "compare_choices": "choices",
    "render_choices": "choices",
    "render_benchmarks": "benchmarks",
    "tune_threshold": "threshold",
}


def test_an_example_of_help_runs_after_all_or_names_the_target_that_it_runs_after(bare):
    made = {target: outputs(bare, target) for target in {"all", *AFTER.values()}}
    folders = {str(parent) for path in made["all"] for parent in Path(path).parents}
    filled = ("logs/miniature", "resources/miniature/", "resources/other_sets/")  # not file by file

    def is_there(path, after):
        at_hand = made["all"] | made[after]
        return path in folders or path.startswith(filled) or fnmatch.filter(at_hand, path)

    for name in COMMANDS:
        words, _, example = help_of(name).partition("Example:\n")
        example = re.sub(r"--output \S+", "", example)
        read = re.findall(r"(?<=\s)(?:results|resources|benchmarks|logs)/\S+", example)
        missing = {path for path in read if not is_there(path, "all")}
        if name in AFTER:
            target = AFTER[name]
            assert f"`snakemake {target}`" in words
            assert words.rstrip().endswith("the example runs after it.")
            assert all(is_there(path, target) for path in read), name
        elif name == "unpack_parquet":
            assert missing == {"resources/imagenet-1k"}
            assert "runs once those of ILSVRC-2012 lie in resources/imagenet-1k." in words
        else:
            assert missing == set(), name


def help_of(name):
    """A command's docstring, in as many lines as it has."""
    return importlib.import_module(f"workflow_scripts.{name}").__doc__


OF_SEED = ("weights", "history", "posteriors", "random", "descriptors", "classifiers")


@pytest.mark.parametrize("target", ["table5", "random_features"])
def test_every_seed_has_trainings_evaluations_and_classifiers_of_its_own(bare, tmp_path, target):
    more = tmp_path / "seeds.yaml"
    more.write_text("seeds: [0, 2]")
    one = outputs(bare, f"reports/{target}.html")
    two = outputs(bare, f"reports/{target}.html", "--configfile", str(more))
    results = "results/miniature/"
    of_seed = {p for p in one if re.search(rf"/({'|'.join(OF_SEED)})/", p)}
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
    assert jobs["train_convnet"] == 36


def test_tables_1_and_2_need_no_data(bare):
    for table in ("table1", "table2"):
        jobs = planned(bare, f"reports/{table}.html")
        assert jobs == {"describe_convnets": 1, "record_config": 1, "render_table": 1}


def test_the_full_dag_has_18_trainings_and_no_archives_among_its_inputs(bare):
    output = snakemake(bare, "-n", "--profile", "slurm", "all")
    assert re.search(r"^train_convnet +18$", output, flags=re.M)
    assert "make_miniature" not in output
    inputs = ", ".join(re.findall(r"^ +input: (.*)$", output, flags=re.M)).split(", ")
    made = "results/ilsvrc2012/submission/"  # the test server's files are archives too
    assert not [p for p in inputs if ".tar" in p and not p.startswith(made)]
    assert not [p for p in inputs if p.endswith(".zip")]


def test_the_full_run_without_data_fails_at_once_and_says_what_is_missing(tmp_path):
    folder = clone(tmp_path / "full")
    output = snakemake(
        folder, "all", "--configfile", "config/ilsvrc2012.yaml", "--cores", "1", check=False
    )
    logs = "".join(p.read_text() for p in (folder / "logs").rglob("verify_*/*.log"))
    for text in (output, logs):
        # Of all that is missing, what the scheduler happens to begin with.
        missing = r"resources/(ilsvrc2012|voc|caltech)/[\w.-]+\.(tar(\.gz)?|tgz|zip): no such file"
        (folder_of, *_) = re.search(missing, text).groups()
        origin = {
            "ilsvrc2012": "image-net.org",
            "voc": "robots.ox.ac.uk",
            "caltech": "data.caltech",
        }
        assert origin[folder_of] in text
    assert not list((folder / "results").rglob("*.safetensors"))


RELEASED = ("--configfile", "config/released_weights.yaml")


SETS = {"voc2007", "voc2012", "voc2012_action", "caltech101", "caltech256"}


def test_the_released_weights_need_test_and_other_sets_and_no_training(bare):
    jobs = planned(bare, "all", *RELEASED)
    assert jobs["import_weights"] == 2
    assert jobs["evaluate_convnet"] == 14  # dense and multi-crop at three Q and a crop, of D and E
    assert not jobs.keys() & {
        "make_miniature", "train_convnet", "measure_statistics", "write_submission",
    }  # fmt: skip
    made = outputs(bare, "all", *RELEASED)
    stores = {p.split("/")[3] for p in made if "/shards/" in p}
    assert stores == {"val", *SETS}
    assert {Path(p).stem for p in made if "/index/" in p} == {"val", *SETS}
    assert {Path(p).stem for p in made if "/weights/" in p} == {"D_S256-512", "E_S256-512"}
    pages = {Path(p).stem for p in made if p.startswith("reports/")}
    assert pages >= {"index", "released_weights", "voc2007", *(f"table{n}" for n in range(1, 13))}


FULL = ("--configfile", "config/ilsvrc2012.yaml")
OF_NETS = {"list_classes", "index_images", "measure_statistics", "train_convnet"}
OF_SETS = {"index_examples", "pack_shard", "describe_images", "train_classifiers"}
# Target and configuration → nets that are trained, data sets, files of descriptors, classifiers
OF_FEATURES = {
    ("table11", ()): (7, SETS - {"voc2012_action"}, 2 * (3 + 3 + 3 + 3), 3 * 4),
    ("table12", ()): (7, {"voc2012_action"}, 2 * 2 * 2, 2),
    ("table11", FULL): (7, SETS - {"voc2012_action"}, 2 * (5 + 5 + 3 + 3), 3 * 4),
    ("table12", FULL): (7, {"voc2012_action"}, 2 * 2 * 5, 2),
    ("table11", RELEASED): (0, SETS - {"voc2012_action"}, 2 * (5 + 5 + 3 + 3), 3 * 4),
    ("table12", RELEASED): (0, {"voc2012_action"}, 2 * 2 * 5, 2),
    ("voc2007", RELEASED): (0, {"voc2007"}, 2 * 5, 3),
}


@pytest.mark.parametrize(
    ("target", "words"),
    OF_FEATURES,
    ids=[f"{t} {Path(w[1]).stem if w else 'miniature'}" for t, w in OF_FEATURES],
)
def test_tables_of_features_need_the_nets_and_the_sets_that_they_show_only(bare, target, words):
    trained, sets, described, classified = OF_FEATURES[target, words]
    output = snakemake(bare, "-n", f"reports/{target}.html", *words)
    logs = re.findall(r"^ +log: logs/\w+/(\w+)(?:/(.*))?\.log$", output, flags=re.M)
    jobs = {rule for rule, _ in logs}
    drawn = {"make_miniature", "make_other_sets"} if not words else {"verify_source"}
    drawn |= {"verify_archive"} if words == FULL else set()
    drawn |= {"draw_splits"} if target == "table11" else set()
    drawn |= {"import_weights"} if words == RELEASED else OF_NETS
    assert jobs == OF_SETS | drawn | {"record_config", "tabulate", "render_table"}
    count = {rule: sum(own == rule for own, _ in logs) for rule in jobs}
    assert count.get("train_convnet", 0) == trained
    assert (count["describe_images"], count["train_classifiers"]) == (described, classified)
    assert {name for rule, name in logs if rule == "index_examples"} == sets
    stores = {name[: -len("_00000")] for rule, name in logs if rule == "pack_shard"}
    of_nets = {"val", "train_S256", "train_S384", "train_S256-512"} if trained else set()
    assert stores == sets | of_nets


def test_weights_are_exported_with_errors_or_without_any_data(bare):
    output = "results/released_weights/exported/D_S256-512/README.md"
    measured = planned(bare, output, *RELEASED)
    assert measured["evaluate_convnet"] == 7  # dense and multi-crop at three Q and a crop
    words = ("--config", "exports={measured: false}")
    assert planned(bare, output, *RELEASED, *words) == {"import_weights": 1, "export_weights": 1}
    made = outputs(bare, "exports", *RELEASED, "--config", "exports={measured: false, onnx: true}")
    names = ("model.safetensors", "model.onnx", "config.json", "README.md")
    assert {p for p in made if "/exported/" in p} == {
        f"results/released_weights/exported/{net}_S256-512/{name}" for net in "DE" for name in names
    }


def test_the_authors_figures_alone_need_eight_evaluations(bare):
    jobs = planned(bare, "reports/released_weights.html", *RELEASED)
    assert jobs["evaluate_convnet"] == 8
    assert jobs["tabulate"] == 1


def test_a_slip_in_the_configuration_stops_the_workflow_by_name(bare, tmp_path):
    (tmp_path / "more.yaml").write_text("train: {wieght_decay: 0.1}\n")
    words = ("-n", "all", "--configfile", str(tmp_path / "more.yaml"))
    assert "wieght_decay" in snakemake(bare, *words, check=False)


def test_the_picture_of_the_stages_is_the_dag(bare):
    command = [sys.executable, "-m", "tests.checks.draw_stages", "--check"]
    done = subprocess.run(command, cwd=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
