"""The pipeline on a real Slurm: `--profile slurm` on a private cluster of three nodes.

What the cluster itself says about the jobs is printed as the tests go.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.helpers.clones import ROOT, TINY, clone, merged, snakemake
from tests.helpers.sites import adapt
from tests.helpers.slurm_cluster import NODES, read_proc, running_cluster
from tests.helpers.trainings import history, same_weights

pytestmark = pytest.mark.slurm
DEADLINE = 600  # seconds for anything; a busy machine with two cores is slow
MODEL = "A_S256"
WEIGHTS = f"results/small/weights/{MODEL}.safetensors"
LOG = f"logs/small/train_convnet/{MODEL}.log"

# Every rule of the miniature, three trainings and a handful of evaluations.
SMALL = merged(
    TINY,
    {
        "experiment": "small",
        "device": "cpu",  # the cluster's GPUs are none
        "models": "small/models.yaml",
        "tables": ["small/tables.yaml"],
        "claims": "small/claims.yaml",
        "pictures": "small/pictures.yaml",
        "server_answers": None,
        "data": {"directory": "resources/small", "shards": {"train": 1}},
        "transfer": {"data_sets": dict.fromkeys(("voc2007", "voc2012_action"))},
    },
)
TABLES = {
    "table1": {"title": "Nets", "nets": ["A", "B"]},
    "errors": {
        "title": "Errors",
        "columns": ["ConvNet"],
        "metrics": ["top1_val", "top5_test"],
        "rows": [
            {
                "name": "one",
                "labels": ["A"],
                "evaluations": [{"model": "A_S256", "method": "dense", "Q": [256]}],
            },
            {
                "name": "two",
                "labels": ["A and B"],
                "submission": "A_B",
                "evaluations": [
                    {"model": "A_S256", "method": "dense", "Q": [256]},
                    {"model": "B_S384", "method": "multicrop", "Q": [384]},
                ],
            },
        ],
    },
    "features": {
        "title": "Features",
        "columns": ["ConvNet"],
        "metrics": ["recall_caltech101"],
        "rows": [{"name": "one", "labels": ["A"], "descriptors": {"models": ["A_S256"]}}],
    },
}
CLAIMS = [
    {
        "number": 1,
        "section": "4.1",
        "claim": "Two nets are better than one",
        "comparisons": [
            {"candidate": "errors/two", "baseline": "errors/one", "expect": "lower_error"}
        ],
    }
]
PICTURES = {
    "score_maps": {"model": "A_S256", "Q": [256], "images": 1},
    "crops": {"model": "B_S384", "Q": 384, "images": 1},
    "images": {
        "nets": {"A": "errors/one"},
        "fusion": "errors/two",
        "hardest": 1,
        "best_fused": 1,
    },
    "classes": {"row": "errors/two", "worst": 5, "best": 5, "confusions": 5},
}


# A workflow on the cluster


@pytest.fixture(scope="session")
def say(request):
    """Print past pytest's capture, so that the cluster's states are in the log of CI."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(title, text):
        with capture.global_and_fixture_disabled():
            print(f"\n-- {time.strftime('%H:%M:%S')} {title}\n{text.rstrip()}", flush=True)

    return write


@pytest.fixture(scope="session")
def slurm(say):
    """The cluster. In CI, and for root, tests fail where it cannot start."""
    if os.geteuid() and "CI" not in os.environ:
        pytest.skip("a Slurm of its own is installed and started by root only")
    with running_cluster() as cluster:
        say("a private cluster", cluster.run("sinfo", "--Node", "--long"))
        yield cluster
        say("all jobs", cluster.run(*QUEUE))


CONFIGURED = ("--configfile", "small/config.yaml")
QUEUE = ("squeue", "--states=all", "--sort=i", "--format=%.6i %.9P %.10T %.5M %.9N %.6C %.10r %k")
ENDED = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "PREEMPTED", "NODE_FAIL"}


def write_small(folder, **changes):
    """Write the small configuration, `CONFIGURED`, into a clone."""
    nets = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    models = {
        "convnets": {net: nets["convnets"][net] for net in "AB"},
        "models": {"A_S256": nets["models"]["A_S256"], "B_S256": nets["models"]["B_S256"]},
    }
    models["models"]["B_S384"] = nets["models"]["D_S384"] | {"net": "B", "parent": "B_S256"}
    files = {"models": models, "tables": TABLES, "claims": CLAIMS, "pictures": PICTURES}
    files["config"] = merged(SMALL, changes)
    for name, content in files.items():
        path = folder / f"small/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))


class Run:
    """`snakemake --profile slurm` in the background; its end is waited for, or it is killed."""

    def __init__(self, cluster, folder, *words, first_look=1):
        self.cluster, self.folder = cluster, folder
        self.output = folder / "output.txt"
        self.killed = False
        environment = cluster.environment() | {"PYTHONSAFEPATH": "1"}  # as some sites have it
        # The plugin looks at its jobs after so many seconds, then ten seconds later each time.
        looks = ("--slurm-init-seconds-before-status-checks", str(first_look))
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *words, "--profile", "slurm", *looks],
                cwd=folder, stdout=output, stderr=subprocess.STDOUT,
                env={k: v for k, v in environment.items() if not k.startswith("SNAKEMAKE")},
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()
        jobs = [job for job, state, _ in self.jobs() if state not in ENDED]
        if jobs:
            self.cluster.run("scancel", *jobs)
            self.wait_for(lambda: {s for _, s, _ in self.jobs()} <= ENDED, "the jobs' end")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.killed = True

    def jobs(self, comment=""):
        """Jobs of the cluster in order, as (number, state, comment)."""
        lines = self.cluster.run(
            "squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%k"
        ).splitlines()
        jobs = [tuple(line.strip().split("|")) for line in lines]
        return [job for job in jobs if comment in job[2]]

    def wait_for(self, condition, what):
        """The condition's value, once it is true."""
        deadline = time.monotonic() + DEADLINE
        while True:
            ended = self.process.poll() is not None and not self.killed
            if value := condition():
                return value
            if ended or time.monotonic() > deadline:
                output, queue = self.output.read_text(), self.cluster.run(*QUEUE)
                pytest.fail(f"no {what}\n{output[-9000:]}\n{queue}{self.cluster.logs()}")
            time.sleep(0.1)

    def finish(self):
        """Wait until it has ended well; gives its output."""
        self.wait_for(lambda: self.process.poll() is not None, "end of the workflow")
        output = self.output.read_text()
        assert self.process.returncode == 0, f"{output}{self.cluster.logs()}"
        return output


def test_a_job_that_asks_for_a_gpu_where_there_is_none_is_refused(slurm):
    """As by real sites; otherwise the cluster would not see a rule on the wrong partition."""
    for words in (["--gpus=1"], ["--gres=gpu:1"]):
        done = subprocess.run(
            ["sbatch", "--partition=cpu", *words, "--wrap=true", "--output=/dev/null"],
            env=slurm.environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode != 0, done.stdout
        assert "Requested node configuration is not available" in done.stderr


@pytest.fixture(scope="session")
def run(slurm, tmp_path_factory):
    """A clone in which `snakemake --profile slurm all` has run."""
    folder = clone(tmp_path_factory.mktemp("slurm"))
    adapt(folder, "gpus")
    write_small(folder)
    with Run(slurm, folder, "all", *CONFIGURED, first_look=12) as workflow:
        workflow.finish()
    return folder


def test_the_miniature_runs_through_the_profile(run, slurm, say):
    say("the miniature", slurm.run(*QUEUE))
    columns = "--Format=Partition:20,tres-per-job:20,Comment:200"
    lines = slurm.run("squeue", "--noheader", "--states=COMPLETED", columns)
    jobs = re.findall(r"^(\w+) +(\S+) +rule_([a-z_]+?)(?:_wildcards\S*)? *$", lines, flags=re.M)
    for partition, gpus, rule in jobs:
        with_gpu = rule in (
            "train_convnet", "evaluate_convnet", "look_through_net", "describe_images",
        )  # fmt: skip
        assert (partition, gpus) == (("gpu", "gres:gpu:1") if with_gpu else ("cpu", "N/A")), rule
    assert {rule for _, _, rule in jobs} >= {
        "make_miniature", "list_classes", "index_images", "pack_shard", "report_packing",
        "measure_statistics", "train_convnet", "evaluate_convnet", "describe_convnets",
        "tabulate", "judge_claims", "write_submission", "list_evaluations", "draw_figures",
        "look_through_net", "examine_errors", "draw_filters", "make_other_sets",
        "index_examples", "draw_splits", "describe_images", "train_classifiers",
    }  # fmt: skip
    for name in (*TABLES, "pictures", "index"):
        assert (run / f"reports/{name}.html").stat().st_size
    for name, rows in (("errors", 2), ("features", 1)):
        assert len(pd.read_csv(run / f"results/small/tables/{name}.csv")) == rows
    assert np.loadtxt(run / "results/small/submission/A_B.txt", dtype=int).shape == (12, 5)
    # --configfile stands in place of the profile's, which is the full run's.
    assert not (run / "results/ilsvrc2012").exists()
    assert "Nothing to be done" in snakemake(run, "-n", "all", "--profile", "slurm", *CONFIGURED)


@pytest.fixture
def stand_in():
    """Skip where CUDA works: there the number that Slurm gives is that of a GPU."""
    if torch.cuda.is_available():
        pytest.skip("the cluster's stand-in GPUs are real ones here")


GIVEN_BUT_UNUSABLE = re.compile(
    r"error: this job was given a GPU \(CUDA_VISIBLE_DEVICES=\d\), but CUDA cannot be used on .*: "
    r"(no NVIDIA driver is loaded|the NVIDIA driver is .*), and torch .* is built for CUDA .*"
    r"To compute on the CPU all the same, set device: cpu in the configuration \(--device cpu\)"
)


def test_a_job_whose_gpu_cannot_be_used_fails_and_says_why(run, slurm, stand_in, tmp_path):
    """Instead of computing for weeks on the CPU: an evaluation with `device: auto`, in its log."""
    folder = shutil.copytree(run, tmp_path / "tree", symlinks=True)
    write_small(folder, device="auto")
    posteriors = folder / "results/small/posteriors/val/A_S256/dense_Q256.parquet"
    posteriors.unlink()
    target = str(posteriors.relative_to(folder))
    with Run(slurm, folder, target, *CONFIGURED, "--retries", "0") as workflow:
        workflow.wait_for(
            lambda: GIVEN_BUT_UNUSABLE.search(workflow.output.read_text()), "refusal in the output"
        )
    log = (folder / "logs/small/evaluate_convnet/val_A_S256_dense_Q256.log").read_text()
    assert GIVEN_BUT_UNUSABLE.search(log), log
    assert not posteriors.exists()


@pytest.mark.parametrize("partition", ["cpu", "gpu"])
def test_a_job_that_was_given_no_gpu_computes_on_the_cpu_and_says_nothing(
    slurm, stand_in, partition, tmp_path
):
    """With `device: auto`, also on a node that has GPUs."""
    script = tmp_path / "device.py"
    script.write_text(
        "from workflow_scripts.vgg.core import command\n"
        "from workflow_scripts.vgg.nets import devices\n"
        "command.run(lambda _: print(devices.pick_device('auto', 1)))\n"
    )
    done = subprocess.run(
        ["srun", f"--partition={partition}", "--mem=1000", sys.executable, script], cwd=tmp_path,
        env=slurm.environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "cpu\n", "")


# Trainings that are ended before their time

LONG = {
    "train": {
        "stages": {"scratch": {"iterations": 1500}},
        "validation_interval": 250,
        "flat_line_iterations": None,
    }
}


@pytest.fixture(scope="session")
def undisturbed(run, tmp_path_factory):
    """A clone with the shards of the run and a longer training of A that nothing disturbed."""
    folder = shutil.copytree(run, tmp_path_factory.mktemp("undisturbed") / "tree", symlinks=True)
    write_small(folder, **LONG)
    snakemake(folder, WEIGHTS, *CONFIGURED, "--cores", "1")
    return folder


@pytest.fixture
def untrained(undisturbed, tmp_path):
    """The same as before that training."""
    return forget_training(shutil.copytree(undisturbed, tmp_path / "tree", symlinks=True))


def forget_training(folder):
    """Delete what the training of `MODEL` has made in a clone."""
    for path in (WEIGHTS, LOG, f"results/small/history/{MODEL}.csv"):
        (folder / path).unlink()
    shutil.rmtree(folder / f"results/small/checkpoints/{MODEL}", ignore_errors=True)
    return folder


def states(workflow):
    """The cluster's jobs as (number, state)."""
    return [(job, state) for job, state, _ in workflow.jobs()]


class Training:
    """The training of `MODEL` in a run, as its checkpoints and its log tell."""

    def __init__(self, workflow):
        self.workflow = workflow
        self.resumed = 0

    @property
    def job(self):
        # The first wildcard, the folder of a seed, is empty.
        return self.workflow.jobs(f"rule_train_convnet_wildcards__{MODEL}")[-1][0]

    def reaches(self, iteration):
        """Wait until a checkpoint at or after this iteration is there."""
        folder = self.workflow.folder / f"results/small/checkpoints/{MODEL}"

        def reached():
            return max((int(path.stem) for path in folder.glob("*.pt")), default=0) >= iteration

        self.workflow.wait_for(reached, f"checkpoint of iteration {iteration}")

    def processes(self):
        """Its Python processes, without torchrun."""
        command = re.compile(r"[^\0]*python[^\0]*\0(-u\0)?-m\0workflow_scripts.train\0")
        pids = self.workflow.cluster.job_processes(self.job)
        return [pid for pid in pids if command.match(read_proc(pid, "cmdline"))]

    def goes_on(self):
        """Wait until another attempt has gone on from a checkpoint; gives its iteration."""
        log = self.workflow.folder / LOG

        def iteration():
            text = log.read_text() if log.exists() else ""
            found = re.search(r"going on from iteration (\d+)", text)
            return int(found[1]) if found and int(found[1]) > self.resumed else 0

        self.resumed = self.workflow.wait_for(iteration, "training that goes on")
        return self.resumed


def cancel(training):
    training.workflow.cluster.run("scancel", "--signal=TERM", training.job)


def warn(training):
    training.workflow.cluster.run("scancel", "--signal=USR1", training.job)


def requeue(training):
    training.workflow.cluster.run("scontrol", "requeue", training.job)


def preempt(training):
    """All that the nodes have is asked for by a job of a partition that goes first."""
    words = ("--partition=urgent", f"--nodes={len(NODES)}", "--exclusive", "--output=/dev/null")
    training.workflow.cluster.run("sbatch", *words, "--wrap=true")


def reach_time_limit(training):
    """Slurm looks at time limits twice a minute; the training must not end before, so it waits."""
    job = training.job
    for pid in training.processes():
        os.kill(pid, signal.SIGSTOP)
    training.workflow.cluster.run("scontrol", "update", f"jobid={job}", "endtime=now+1")
    training.workflow.wait_for(
        lambda: (job, "RUNNING") not in states(training.workflow), "time limit"
    )


def kill(training):
    for pid in training.processes():
        os.kill(pid, signal.SIGKILL)


def test_a_training_ended_in_every_way_that_slurm_has_gives_the_same_weights(
    untrained, undisturbed, slurm, say
):
    ends = {
        "scancel --signal=TERM": (cancel, "SIGTERM"),
        "kill -9": (kill, None),
        "scancel --signal=USR1": (warn, "SIGUSR1"),
        "the time limit": (reach_time_limit, "SIGTERM"),
        "scontrol requeue": (requeue, "SIGTERM"),
        "preemption": (preempt, "SIGTERM"),
    }
    adapt(untrained, "preemptible")
    with Run(slurm, untrained, WEIGHTS, *CONFIGURED) as workflow:
        training = Training(workflow)
        for number, (name, (end, received)) in enumerate(ends.items(), start=1):
            training.reaches(150 * number)
            job = training.job
            with open(untrained / LOG) as log:  # which is deleted before the next attempt
                end(training)
                resumed = training.goes_on()
                last = log.read()
            say(
                f"{name}: job {job} ended, job {training.job} goes on from iteration {resumed}",
                slurm.run(*QUEUE, f"--jobs={job},{training.job}"),
            )
            if received:
                assert f"stopped at iteration {resumed} on {received}" in last
            else:
                assert resumed >= 150 * number
        workflow.finish()
    assert_same_training(untrained, undisturbed)


def test_a_training_that_ends_while_snakemake_is_dead_is_not_done_again(
    untrained, undisturbed, slurm, say
):
    adapt(untrained, "gres")
    with Run(slurm, untrained, WEIGHTS, *CONFIGURED) as workflow:
        training = Training(workflow)
        training.reaches(150)
        job = training.job
        workflow.kill()
        say("Snakemake is dead", slurm.run(*QUEUE, f"--jobs={job}"))
        workflow.wait_for(lambda: (job, "COMPLETED") in states(workflow), "end of the job")
    assert_same_training(untrained, undisturbed)
    written = (untrained / WEIGHTS).stat().st_mtime_ns
    snakemake(untrained, "--unlock")
    with Run(slurm, untrained, WEIGHTS, *CONFIGURED) as workflow:
        workflow.finish()
        assert training.job == job
    assert (untrained / WEIGHTS).stat().st_mtime_ns == written


def test_a_second_workflow_beside_jobs_of_a_dead_one_loses_nothing(
    untrained, undisturbed, slurm, say
):
    with Run(slurm, untrained, WEIGHTS, *CONFIGURED) as dead:
        training = Training(dead)
        training.reaches(150)
        first = training.job
        dead.kill()
        snakemake(untrained, "--unlock")
        for pid in training.processes():
            os.kill(pid, signal.SIGSTOP)  # until the second one has come
        with Run(slurm, untrained, WEIGHTS, *CONFIGURED) as workflow:
            workflow.wait_for(
                lambda: "is training this model" in workflow.output.read_text(), "refusal"
            )
            say("two at once", slurm.run(*QUEUE, f"--jobs={first},{training.job}"))
            for pid in slurm.job_processes(first):
                os.kill(pid, signal.SIGCONT)
            workflow.finish()
        say("in the end", slurm.run(*QUEUE, f"--jobs={first},{training.job}"))
    assert_same_training(untrained, undisturbed)
    # The last attempt, for which Snakemake deleted the first one's weights, had nothing to train.
    last = history(untrained / f"results/small/history/{MODEL}.csv")[-1]["iteration"]
    attempt = (untrained / LOG).read_text()
    assert training.job != first
    assert f"going on from iteration {last}\n" in attempt


# Several nodes

TWO_NODES = {
    "train": {
        "stages": {"scratch": {"iterations": 200}},
        "validation_interval": 50,
        "flat_line_iterations": None,
        "precision": "float64",  # in which a single-process run is met to the tolerance
    }
}


@pytest.fixture(scope="session")
def on_two_nodes(run, slurm, say, tmp_path_factory):
    """Clones in which one process, and one on each of two nodes, trained without disturbance."""
    folders = []
    for nodes in (1, 2):
        folder = tmp_path_factory.mktemp("nodes") / "tree"
        folder = forget_training(shutil.copytree(run, folder, symlinks=True))
        write_small(folder, train=TWO_NODES["train"] | {"processes": nodes, "nodes": nodes})
        adapt(folder, "gpus")
        folders.append(folder)
    snakemake(folders[0], WEIGHTS, *CONFIGURED, "--cores", "1")
    with Run(slurm, folders[1], WEIGHTS, *CONFIGURED) as workflow:
        training = Training(workflow)
        training.reaches(1)
        job = training.job
        say("one process on each of two nodes", slurm.run("scontrol", "show", "job", "-d", job))
        assert len(training.processes()) == 2
        workflow.finish()
    return folders


def test_two_nodes_give_the_weights_of_one_process(on_two_nodes):
    one, two = (load_file(folder / WEIGHTS) for folder in on_two_nodes)
    for name in one:
        difference = (one[name] - two[name]).abs().max() / one[name].abs().max()
        assert difference <= 1e-5, name


def test_a_training_on_two_nodes_goes_on_bit_for_bit(on_two_nodes, tmp_path, slurm, say):
    folder = shutil.copytree(on_two_nodes[1], tmp_path / "tree", symlinks=True)
    forget_training(folder)
    with Run(slurm, folder, WEIGHTS, *CONFIGURED) as workflow:
        training = Training(workflow)
        training.reaches(50)
        job = training.job
        with open(folder / LOG) as log:
            cancel(training)
            resumed = training.goes_on()
            last = log.read()
        say(
            f"two nodes: job {job} ended, job {training.job} goes on from iteration {resumed}",
            slurm.run(*QUEUE, f"--jobs={job},{training.job}"),
        )
        assert f"stopped at iteration {resumed} on SIGTERM" in last
        workflow.finish()
    assert_same_training(folder, on_two_nodes[1])


def assert_same_training(one, two):
    assert same_weights(one / WEIGHTS, two / WEIGHTS)
    ours, theirs = (history(f / f"results/small/history/{MODEL}.csv") for f in (one, two))
    assert ours == theirs
