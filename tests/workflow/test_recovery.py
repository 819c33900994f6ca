"""Snakemake is killed, its jobs are not: what they finish is kept, and its settings remembered."""

import os
import re
import shutil
import signal
import time

import pytest

from tests.checks.kill_workflow import Run, wait_until
from tests.helpers.clones import TINY, configured_clone, planned, snakemake
from tests.helpers.slurm_cluster import read_proc
from workflow_scripts.vgg.core.files import sha256

DEADLINE = 300  # seconds
COMMANDS = {"train_convnet": "train", "evaluate_convnet": "evaluate"}  # others are their rules'
WEIGHTS = "results/tiny/weights/A_S256.safetensors"
POSTERIORS = "results/tiny/posteriors/val/A_S256/dense_Q256.parquet"
OTHERS = "results/tiny/posteriors/val/A_S256/center_Q256.parquet"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clone with the tiny configuration, in which shards were packed."""
    folder = configured_clone(tmp_path_factory.mktemp("tree"), TINY)
    snakemake(folder, "shards", "results/tiny/statistics.json", "--cores", "2")
    return folder


@pytest.fixture
def left_alone(tree):
    """`left_alone(rule, target)` kills Snakemake alone as it runs a job of the rule; the Run."""
    runs = []

    def start(rule, target):
        runs.append(Run(tree, [target, "--cores", "1"]))
        run = runs[-1]
        wait_until(lambda: working(run, rule) or run.ended(), DEADLINE)
        assert working(run, rule), run.output
        run.kill_snakemake_only()
        assert run.others()
        return run

    yield start
    for run in runs:
        run.kill()


def working(run, rule):
    """Process of the run's job of a rule, once it has Python running."""
    command = f"workflow_scripts.{COMMANDS.get(rule, rule)}"
    for pid in run.others():
        words = read_proc(pid, "cmdline").split("\0")
        if command in words and words[0].endswith("python"):
            return pid
    return None


def test_a_training_that_lives_on_is_not_run_twice(tree, left_alone):
    run = left_alone("train_convnet", WEIGHTS)
    log = tree / "logs/tiny/train_convnet/A_S256.log"
    wait_until(lambda: (tree / "results/tiny/checkpoints/.A_S256.lock").exists(), DEADLINE)
    training = working(run, "train_convnet")
    os.kill(training, signal.SIGSTOP)
    snakemake(tree, "--unlock")
    output = snakemake(tree, WEIGHTS, "--cores", "1", check=False)
    told = rf"A_S256: process {training} on \S+ is training this model; wait until .* or stop it"
    assert re.search(told, output), output
    os.kill(training, signal.SIGCONT)
    wait_until(lambda: not run.others(), DEADLINE)
    assert (tree / WEIGHTS).exists(), log.read_text()
    kept = sha256(tree / WEIGHTS)
    assert "Nothing to be done" in snakemake(tree, WEIGHTS, "--cores", "1")
    assert sha256(tree / WEIGHTS) == kept


def test_what_jobs_finish_alone_is_kept_and_its_settings_are_remembered(tree, left_alone, tmp_path):
    run = left_alone("evaluate_convnet", POSTERIORS)
    wait_until(lambda: not run.others(), DEADLINE)
    snakemake(tree, "--unlock")
    # As in a Slurm job, whose own Snakemake takes the mark of incompleteness away.
    remote = ("--mode", "remote", "--executor", "local", "--no-hooks", "--nolock")
    snakemake(tree, OTHERS, "--cores", "1", *remote)
    made = [(tree / name).stat().st_mtime_ns for name in (POSTERIORS, OTHERS)]
    assert "2 jobs have missing provenance" in snakemake(tree, "-n", POSTERIORS, OTHERS)

    output = snakemake(tree, POSTERIORS, OTHERS, "results/tiny/config.yaml", "--cores", "1")
    for name in (POSTERIORS, OTHERS):
        assert f"made by present settings while no Snakemake ran: {name}" in output
    assert made == [(tree / name).stat().st_mtime_ns for name in (POSTERIORS, OTHERS)]
    assert "missing provenance" not in snakemake(tree, "-n", POSTERIORS, OTHERS)
    other = tmp_path / "other.yaml"
    other.write_text("choices: {resize_filter: bilinear}\n")
    jobs = planned(
        tree, POSTERIORS, OTHERS, "--allowed-rules", "evaluate_convnet", "--configfile", str(other)
    )
    assert jobs == {"evaluate_convnet": 2}


def test_status_tells_of_a_run_beside_it_and_leaves_its_locks(tree):
    target = "results/tiny/weights/A-LRN_S256.safetensors"
    sign = tree / "results/tiny/checkpoints/A-LRN_S256/progress.json"
    run = Run(tree, [target, "--cores", "1"])
    try:
        wait_until(lambda: sign.exists() or run.ended(), DEADLINE)
        training = working(run, "train_convnet")
        assert training, run.output
        os.kill(training, signal.SIGSTOP)
        locks = sorted((tree / ".snakemake/locks").iterdir())
        assert locks
        slurm = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1")
        for words in ((), (*slurm, "--configfile", "config/config.yaml")):
            output = snakemake(tree, "status", *words)
            assert "localrule status" in output
            assert re.search(r"^A-LRN_S256 +(starting|training|validating)\b", output, flags=re.M)
            assert re.search(r"^C_S384 +waiting for C_S256$", output, flags=re.M)
            assert sorted((tree / ".snakemake/locks").iterdir()) == locks
        assert "LockException" in snakemake(tree, target, "--cores", "1", check=False)
        os.kill(training, signal.SIGCONT)
        wait_until(run.ended, DEADLINE)
    finally:
        run.kill()
    assert (tree / target).exists(), run.output
    assert re.search(r"^A-LRN_S256 +finished +6/6 ", snakemake(tree, "status"), flags=re.M)


KILLED = {  # rule → what its job makes
    "describe_images": ["descriptors/voc2007/D_S256-512/image_Q512.parquet"],
    "train_classifiers": [f"classifiers/caltech101/D_E.{suffix}" for suffix in ("parquet", "json")],
}


@pytest.mark.parametrize("rule", KILLED)
def test_features_whose_job_is_killed_are_whole_or_absent_and_made_again_alike(run, rule, tmp_path):
    folder = shutil.copytree(run, tmp_path / "tree", symlinks=True)
    paths = [folder / "results/tiny" / name for name in KILLED[rule]]
    kept = [path.read_bytes() for path in paths]
    paths[0].unlink()
    target = str(paths[0].relative_to(folder))
    workflow = Run(folder, [target, "--cores", "1"])
    try:
        wait_until(lambda: working(workflow, rule) or workflow.ended(), DEADLINE)
        assert working(workflow, rule), workflow.output
        time.sleep(1.8)  # so that images are being described, on most machines
    finally:
        workflow.kill()
    for path, content in zip(paths, kept, strict=True):
        assert not path.exists() or path.read_bytes() == content
    snakemake(folder, "--unlock")
    snakemake(folder, target, "--cores", "1")
    assert [path.read_bytes() for path in paths] == kept
    assert not [
        path for path in paths[0].parent.iterdir() if path.suffix not in (".parquet", ".json")
    ]
