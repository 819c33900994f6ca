"""Options of commands as rules write them, how trainings are started, and the Python of jobs."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings.job_environment import check_python, job_environment
from workflow_scripts.vgg.settings.launching import launcher, processes_per_node, training_gpus
from workflow_scripts.vgg.settings.rule_options import in_text, one_of, options

# Options


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch_size": 8}, ["--batch-size", "8"]),
        ({"rate": 0.0}, ["--rate", "0.0"]),
        ({"fold": "a b/{c}"}, ["--fold", "a b/{c}"]),
        ({"compile": True}, ["--compile"]),
        ({"compile": False, "parent": None, "models": []}, []),
        ({"seed": 0, "train_scale": [256, 512]}, ["--seed", "0", "--train-scale", "256", "512"]),
        ({"name": ""}, ["--name", ""]),
    ],
)
def test_values_become_words(values, words):
    assert options(**values) == words


@pytest.mark.parametrize(
    "folder", ["/scratch", "a b", "${TMPDIR}/x", "it's", "{wildcards}", "$HOME"]
)
def test_options_in_a_rules_text_reach_the_command_as_they_are(folder):
    text = in_text(local_scratch=folder)
    assert shlex.split(text.format()) == ["--local-scratch", folder]


def test_options_in_a_rules_text_are_quoted():
    assert in_text(device="auto", local_scratch=None) == "--device auto"
    assert in_text(local_scratch="${TMPDIR}/a b") == "--local-scratch '${{TMPDIR}}/a b'"
    assert in_text(micro_batch=None) == ""


def test_a_pattern_is_one_of_the_names_or_nothing():
    assert one_of(["A_S256", "D.fc"]) == r"A_S256|D\.fc"
    assert not re.fullmatch(one_of(["D.fc"]), "Dxfc")
    assert re.fullmatch(one_of([]), "") is None
    assert re.fullmatch(one_of({"E": 1}), "E")


# Launching

TORCHRUN = "torchrun --nnodes={} --nproc-per-node={} --signals-to-handle=SIGTERM,SIGINT,SIGUSR1"


def test_a_training_is_started_by_python_torchrun_or_srun():
    assert launcher(1, 1) == "exec python -m workflow_scripts.train"
    assert launcher(4, 1) == (
        f"exec {TORCHRUN.format(1, 4)} --standalone -m workflow_scripts.train"
    )
    assert launcher(8, 2) == (
        "exec srun --nodes=2 --ntasks=2 --ntasks-per-node=1 bash -c 'exec "
        f"{TORCHRUN.format(2, 4)}"
        " --node-rank=$SLURM_NODEID --rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID"
        " --rdzv-endpoint=$SLURM_LAUNCH_NODE_IPADDR:$((20000 + SLURM_JOB_ID % 10000))"
        ' -m workflow_scripts.train "$@"\' torchrun'
    )


def test_every_process_has_a_gpu():
    assert training_gpus(1, 1) == {"gpu": 1}
    assert training_gpus(4, 1) == {"gpu": 4}
    several = {"nodes": 2, "tasks": 2, "tasks_per_gpu": 0, "mpi": "srun"}
    assert training_gpus(8, 2) == {"gpu": 0, "gres": "gpu:4", **several}


def test_processes_are_shared_evenly_by_nodes():
    assert processes_per_node(8, 2) == 4
    told = r"^train: 5 processes cannot be shared evenly by 2 nodes$"
    with pytest.raises(InputError, match=told):
        processes_per_node(5, 2)


# The Python of jobs

SITE = {
    "HOME": "/home/me",
    "PATH": "/site/bin:/usr/bin",
    "PYTHONPATH": "/site/packages",
    "PYTHONSAFEPATH": "1",
    "PYTHONUTF8": "0",
}


@pytest.fixture
def packages(tmp_path):
    """A Python's own folder of packages, which has both that jobs need."""
    for name in ("snakemake", "torch"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_what_a_site_says_to_python_reaches_no_job(packages):
    assert job_environment(SITE, "/venv/bin/python", packages, "/tree") == {
        "HOME": "/home/me",
        "PATH": "/venv/bin:/site/bin:/usr/bin",
        "PYTHONPATH": "/tree",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
    }


def test_a_site_may_lead_to_packages_that_python_itself_lacks(packages):
    (packages / "torch").rmdir()
    assert job_environment(SITE, "/venv/bin/python", packages, "/tree") == {
        "HOME": "/home/me",
        "PATH": "/venv/bin:/site/bin:/usr/bin",
        "PYTHONPATH": "/tree:/site/packages",
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
    }


def test_an_environment_without_paths_gets_our_own(packages):
    found = job_environment({}, "/venv/bin/python", packages, "/tree")
    assert (found["PATH"], found["PYTHONPATH"]) == ("/venv/bin", "/tree")


def executable(folder: Path, name: str) -> Path:
    folder.mkdir()
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_python_is_that_of_snakemake_to_jobs(tmp_path):
    usual = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    check_python(usual, sys.executable)
    other = executable(tmp_path / "other", "python")
    told = re.escape(f"python is {other} to jobs, but Snakemake runs on {sys.executable}; install")
    with pytest.raises(InputError, match=f"^{told}"):
        check_python({"PATH": f"{other.parent}:{usual['PATH']}"}, sys.executable)
    (tmp_path / "bash").write_text("python() { false; }")
    with pytest.raises(InputError, match=r"^python is no file to jobs, but Snakemake runs on "):
        check_python({**usual, "BASH_ENV": f"{tmp_path}/bash"}, sys.executable)
