"""The state of a run's trainings, from the files that these leave, whatever has become of them."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.runs import run_of
from workflow_scripts import status
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.planning.training_states import training_states
from workflow_scripts.vgg.settings.report_rules import given_options
from workflow_scripts.vgg.training.history import Validation, write_history
from workflow_scripts.vgg.training.signs import FILE, Sign

NOW = time.time()
IMPORTED = {"import": {"A_S256": {"file": "a.npz", "format": "own"}}}
SIGN = Sign(
    state="training", time=NOW - 4, started=NOW - 900, node="node4", pid=1, slurm_job_id="4712",
    device="NVIDIA H200", processes=1, attempts=2, batch_size=8, iteration=1203, iterations=1600,
    learning_rate=2.5e-4, loss=1.1034, images_per_second=240.4, seconds_left=13.6,
    validation={"iteration": 1200, "val_top1_error": 44.04, "val_top5_error": 9.1},
)  # fmt: skip


class Files:
    """The files of a run's trainings, below the present folder."""

    def __init__(self, run):
        self.run = run

    def sign(self, training, age=4.0, **changes):
        folder, _, model = training.rpartition("/")
        path = f"{self.run.results}/{folder}/checkpoints/{model}/{FILE}"
        write_json(path, asdict(replace(SIGN, time=NOW - age, **changes)))
        os.utime(path, (NOW - age, NOW - age))

    def log(self, training, text, age=0.0):
        path = f"{self.run.logs}/train_convnet/{training}.log"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.utime(path, (NOW - age, NOW - age))

    def touch(self, path):
        os.makedirs(os.path.dirname(f"{self.run.results}/{path}"), exist_ok=True)
        with open(f"{self.run.results}/{path}", "w"):
            pass

    def finished(self, training):
        folder, _, model = training.rpartition("/")
        self.touch(f"{folder}/weights/{model}.safetensors")
        lines = [Validation(800, 4.0, 1e-2, 2.0, 80.0, 30.0, 250.0)]
        lines += [Validation(1450, 7.2, 2.5e-6, 0.9123, 41.23, 7.94, 251.3)]
        write_history(f"{self.run.results}/{folder}/history/{model}.csv", lines)
        record = {
            "finished": "2026-11-29T13:06:06+00:00", "wall_seconds": 106.2, "node": "node3",
            "hardware": "NVIDIA H200", "processes": 4, "slurm_job_id": "4711", "attempts": 3,
        }  # fmt: skip
        write_json(f"{self.run.logs}/train_convnet/{training}.log.json", record)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """`files(**changes)`: those of a run of the miniature with changes."""
    monkeypatch.chdir(tmp_path)
    return lambda **changes: Files(run_of(**changes))


def states(run):
    return {state.training: state for state in training_states(run, NOW)}


def test_trainings_stand_behind_those_that_they_start_from_seed_by_seed(files):
    run = files(seeds=[3, 1], weights=IMPORTED).run
    names = list(states(run))
    models = [name for name in names if "/" not in name]
    assert names == [*models, *(f"seed1/{name}" for name in models if name != "A_S256")]
    assert sorted(models) == sorted(run.models)
    for model in models:
        if parent := run.models[model].get("parent"):
            assert models.index(parent) < models.index(model)


def test_each_waits_for_what_it_lacks(files):
    made = files(seeds=[0, 1], weights=IMPORTED)
    found = states(made.run)
    assert (found["A_S256"].state, found["A_S256"].waits_for) == ("waiting", "a.npz")
    assert found["B_S256"].waits_for == found["seed1/B_S256"].waits_for == "A_S256"
    assert found["seed1/C_S384"].waits_for == "seed1/C_S256"
    assert found["A-LRN_S256"].waits_for == "its images"
    made.touch("weights/A_S256.safetensors")
    for name in ("shards/train_S256/00000", "shards/train_S256/00001", "shards/val/00000"):
        made.touch(f"{name}.arrow")
    assert states(made.run)["seed1/B_S256"].waits_for == "its images"
    made.touch("statistics.json")
    found = states(made.run)
    assert (found["A_S256"].state, found["A_S256"].waits_for) == ("imported", None)
    assert (found["seed1/B_S256"].state, found["seed1/B_S256"].waits_for) == ("waiting", None)
    assert found["C_S384"].waits_for == "C_S256"
    assert {found[name].iterations for name in ("A-LRN_S256", "B_S256")} == {1600, 2200}


def test_a_training_that_runs_is_told_by_its_sign(files):
    made = files()
    made.sign("A_S256")
    made.sign("B_S256", state="validating", validation=None, loss=None)
    found = states(made.run)
    state = found["A_S256"]
    assert (state.state, state.iteration, state.iterations) == ("training", 1203, 1600)
    assert (state.validated, state.top1, state.top5, state.gtloc) == (1200, 44.04, 9.1, None)
    assert (state.images_per_second, state.seconds_left, state.loss) == (240.4, 13.6, 1.1034)
    assert (state.node, state.device, state.slurm_job_id) == ("node4", "NVIDIA H200", "4712")
    assert state.age == pytest.approx(4)
    assert (found["B_S256"].state, found["B_S256"].top1) == ("validating", None)


@pytest.mark.parametrize(
    ("age", "changes", "state"),
    [
        (299, {}, "training"),
        (301, {}, "silent"),
        (301, {"state": "validating"}, "silent"),
        (301, {"state": "stopped"}, "stopped"),
        (301, {"state": "failed", "message": "the disk is too full"}, "failed"),
        # An iteration of 128 s on a CPU: three of them may pass.
        (380, {"batch_size": 256, "images_per_second": 2.0}, "training"),
        (390, {"batch_size": 256, "images_per_second": 2.0}, "silent"),
        # Of this node, whose processes can be looked up: there is none of number 0.
        (20, {"node": os.uname().nodename, "pid": 0}, "training"),
        (40, {"node": os.uname().nodename, "pid": 0}, "killed"),
        (40, {"node": os.uname().nodename, "pid": os.getpid()}, "training"),
        (40, {"node": os.uname().nodename, "pid": 0, "state": "stopped"}, "stopped"),
    ],
)
def test_the_age_of_the_last_sign_says_whether_it_lives(files, age, changes, state):
    made = files()
    made.sign("A_S256", age, **changes)
    found = states(made.run)["A_S256"]
    assert (found.state, found.message) == (state, changes.get("message"))
    assert found.iteration == 1203


def test_an_error_at_the_end_of_a_newer_log_is_a_failure(files):
    made = files()
    made.log("A_S256", "12:00:01 a\nerror: no such file: x; pack it\n")
    made.sign("B_S256", age=60, state="stopped")
    made.log("B_S256", "12:00:01 a\nerror: CUDA cannot be used\n", age=30)
    made.sign("C_S256", age=10)  # goes on by hand, with its log elsewhere
    made.log("C_S256", "error: of the attempt before\n", age=3600)
    made.log("D_S256", "error: an old one\n12:00:01 going on\n")
    found = states(made.run)
    told = {name: (found[name].state, found[name].message) for name in ("A_S256", "B_S256")}
    assert told == {
        "A_S256": ("failed", "no such file: x; pack it"),
        "B_S256": ("failed", "CUDA cannot be used"),
    }
    assert found["C_S256"].state == "training"
    assert found["D_S256"].state == "waiting"


def test_a_finished_training_is_told_by_its_history_and_cost(files):
    made = files()
    made.finished("A_S256")
    made.sign("A_S256", state="training")  # whatever is left there
    made.touch("weights/A-LRN_S256.safetensors")  # and nothing else is
    found = states(made.run)
    state = found["A_S256"]
    assert (state.state, state.iteration, state.iterations) == ("finished", 1450, 1600)
    assert (state.top1, state.top5, state.loss) == (41.23, 7.94, 0.9123)
    assert (state.finished, state.took) == ("2026-11-29T13:06:06+00:00", 106.2)
    assert (state.node, state.processes, state.attempts) == ("node3", 4, 3)
    assert (found["A-LRN_S256"].state, found["A-LRN_S256"].iteration) == ("finished", None)


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"state": 1}', b"iteration,epoch\n1,x\n"])
def test_damaged_files_are_no_files(files, content):
    made = files()
    made.finished("A_S256")
    made.sign("B_S256")
    made.touch("checkpoints/B_S256/000000801.pt")
    for path in (
        f"{made.run.results}/history/A_S256.csv",
        f"{made.run.logs}/train_convnet/A_S256.log.json",
        f"{made.run.results}/checkpoints/B_S256/{FILE}",
    ):
        with open(path, "wb") as file:
            file.write(content)
    found = states(made.run)
    assert (found["A_S256"].state, found["A_S256"].loss, found["A_S256"].took) == (
        "finished", None, None,
    )  # fmt: skip
    assert (found["B_S256"].state, found["B_S256"].iteration) == ("silent", 801)
    assert "801/2,200" in status.as_text("miniature", list(found.values()))


# What is printed


def shown(made):
    text = status.as_text("miniature", training_states(made.run, NOW))
    print(text)
    assert max(map(len, text.splitlines())) <= 100
    return text


def test_the_table_says_it_all_in_a_hundred_columns(files):
    made = files(seeds=[0, 12])
    made.finished("A_S256")
    made.sign("A-LRN_S256")
    big = {"iteration": 123456, "iterations": 370000, "images_per_second": 1412.7}
    made.sign("seed12/D_S256-512_fc", age=2, processes=8, seconds_left=290000.0, **big)
    of_boxes = {"iteration": 20, "val_gtloc_error": 34.56}
    made.sign("seed12/D_S384_pcr_fc", validation=of_boxes, state="validating", seconds_left=719.0)
    made.sign("B_S256", age=190, state="stopped", iteration=801)
    made.sign("C_S256", age=1500)
    made.sign("D_S256", age=70, node=os.uname().nodename, pid=0, slurm_job_id=None)
    long = "the net is at chance after 1000 iterations, learning rate 0.0025; " + "words " * 30
    made.sign("E_S256", state="failed", message=long)
    made.log("E_S256", f"error: {long}\n")
    text = shown(made)
    lines = text.splitlines()
    counts = lines[0].removeprefix("miniature: 36 trainings: ") + " " + lines[1]
    assert sorted(filter(None, re.split(", ?| $", counts))) == [
        *("1 failed", "1 finished", "1 killed", "1 silent", "1 stopped", "1 validating"),
        *("2 training", "28 waiting"),
    ]

    def row(training):
        (place,) = [n for n, line in enumerate(lines) if line.split()[:1] == [training]]
        below = itertools.takewhile(lambda line: line.startswith("    "), lines[place + 1 :])
        return lines[place].split(maxsplit=1)[1], " ".join(map(str.strip, below))

    assert lines[-1].startswith("Iterations and time left are at most")

    cells, detail = row("A_S256")
    assert cells.split() == ["finished", "1,450/1,600", "2.5e-06", "0.912", "41.2/7.9", "251"]
    assert re.match(r"2026-11-29 \d\d:\d6:06, took 1 min 46 s, on node3 ", detail)
    assert detail.endswith("on node3 (NVIDIA H200 × 4), Slurm job 4711, attempt 3")
    cells, detail = row("A-LRN_S256")
    assert cells.split()[:-2] == ["training", "1,203/1,600", "0.00025", "1.103", "44.0/9.1", "240"]
    assert cells.endswith(" 14 s")
    place = "on node4 (NVIDIA H200), Slurm job 4712, attempt 2"
    assert detail == f"{place}, errors at iteration 1,200"
    cells, detail = row("seed12/D_S256-512_fc")
    assert cells.split()[1] == "123,456/370,000"
    assert cells.endswith("  1,413     3 d 08 h")
    assert detail.startswith("on node4 (NVIDIA H200 × 8), Slurm job")
    cells, _ = row("seed12/D_S384_pcr_fc")
    assert " 34.6 " in cells
    assert cells.endswith("11 min 59 s")
    cells, detail = row("B_S256")
    assert cells.split()[:2] == ["stopped", "801/1,600"]
    assert detail == f"at a checkpoint, 3 min 10 s ago, {place}; the same command goes on from it"
    cells, detail = row("C_S256")
    assert cells.startswith("silent? ")
    assert detail == f"no sign for 25 min 00 s, last {place}"
    cells, detail = row("D_S256")
    assert cells.startswith("killed? ")
    assert detail.startswith("its process is gone, without a word since 1 min 10 s, on ")
    _, detail = row("E_S256")
    assert detail.startswith("the net is at chance after 1000 iterations")
    assert detail.endswith("words words see logs/miniature/train_convnet/E_S256.log")
    assert row("seed12/C_S384")[0] == "waiting for seed12/C_S256"


def test_of_a_run_that_has_not_begun_it_says_so(files):
    text = shown(files())
    assert text.startswith("miniature: 18 trainings: 18 waiting\n\nA_S256 ")
    assert "iteration" not in text


def test_json_has_all_that_is_known(files, capsys, monkeypatch):
    made = files()
    made.sign("A_S256")
    monkeypatch.setattr(status, "configured", lambda *_: made.run)
    status.main(["--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["experiment"] == "miniature"
    (one,) = [one for one in found["trainings"] if one["state"] == "training"]
    assert (one["training"], one["learning_rate"], one["waits_for"]) == ("A_S256", 2.5e-4, None)


# The command


@pytest.mark.parametrize(
    ("files_", "given"),
    [
        ([], {}),
        (["config/ilsvrc2012.yaml"], {}),
        ([], {"seeds": "[0,1]", "train": {"dropout": "0.4"}, "pictures": "null"}),
        (["config/ilsvrc2012.yaml"], {"experiment": "other", "train": {"tensorboard": True}}),
    ],
)
def test_the_rules_hand_on_the_configuration_that_snakemake_was_given(files_, given, monkeypatch):
    """As Snakemake parses `--config`: text, numbers and mappings."""
    monkeypatch.chdir(ROOT)
    words = given_options(files_, given)
    parser = status.command.parser("")
    for name in ("configfile", "config"):
        parser.add_argument(f"--{name}", nargs="+", default=[])
    parsed = parser.parse_args(words)
    run = status.configured(parsed.configfile, parsed.config)
    changes = {key: yaml.safe_load(yaml.safe_dump(value)) for key, value in given.items()}
    if "seeds" in given:
        changes = {"seeds": [0, 1], "train": {"dropout": 0.4}, "pictures": None}
    base = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    over = yaml.safe_load((ROOT / files_[0]).read_text()) if files_ else {}
    expected = over or base  # it states every key
    for key, value in changes.items():
        expected[key] = {**expected[key], **value} if isinstance(value, dict) else value
    for key in ("train", "seeds", "pictures", "experiment"):
        assert run.config[key] == expected[key]


@pytest.mark.parametrize("entry", ["seeds", "train={a"])
def test_a_setting_that_is_none_is_refused(entry, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=f"^--config {re.escape(entry)}: "):
        status.configured([], [entry])


def test_the_command_loads_nothing_heavy():
    code = "import sys, workflow_scripts.status; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas", "pyarrow", "PIL"} & set(done.stdout.split())
