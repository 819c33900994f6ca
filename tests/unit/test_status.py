"""The state of a run's trainings, from the files that these leave, whatever has become of them."""

import contextlib
import itertools
import json
import math
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

    def checkpoint(self, training, iteration, age=4.0):
        folder, _, model = training.rpartition("/")
        path = f"{folder}/checkpoints/{model}/{iteration:09d}.pt"
        self.touch(path)
        os.utime(f"{self.run.results}/{path}", (NOW - age, NOW - age))

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
    made.checkpoint("B_S256", 801)
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
    assert (found["B_S256"].state, found["B_S256"].iteration) == ("training", 801)
    assert "801/2,200" in status.as_text("miniature", list(found.values()))


def json_of(path, changes):
    """Change keys of a JSON file as another program would, which knows no checksum."""
    with open(path) as file:
        content = json.load(file)
    del content["checksum"]
    with open(path, "w") as file:
        json.dump(content | changes, file)


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "x"},
        {"time": math.nan},
        {"iteration": "five"},
        {"validation": {"val_top1_error": "x"}},
        {"images_per_second": "x"},
    ],
    ids=str,
)
def test_signs_of_other_types_are_no_signs(files, changes):
    made = files()
    made.sign("B_S256")
    json_of(f"{made.run.results}/checkpoints/B_S256/{FILE}", changes)
    assert "B_S256" in shown(made)
    assert states(made.run)["B_S256"].state == "waiting"
    made.checkpoint("B_S256", 801, age=301)
    assert states(made.run)["B_S256"].state == "silent"


@pytest.mark.parametrize(
    "changes",
    [
        *({"finished": value} for value in ("yesterday", 5, None, "0001-01-01T00:00:00+14:00")),
        *({"wall_seconds": value} for value in ("x", math.nan, math.inf, True, [1])),
        *(
            {name: value}
            for name in ("node", "hardware", "slurm_job_id")
            for value in (5, "\ud800")
        ),
        *({name: value} for name in ("attempts", "processes") for value in ("x", 1.5)),
    ],
    ids=str,
)
def test_a_record_of_cost_of_other_types_is_none(files, changes):
    made = files()
    made.finished("A_S256")
    json_of(f"{made.run.logs}/train_convnet/A_S256.log.json", changes)
    state = states(made.run)["A_S256"]
    assert (state.state, state.iteration, state.finished) == ("finished", 1450, None)
    assert (state.took, state.node, state.attempts) == (None, None, None)
    assert "finished  1,450/1,600" in shown(made).encode().decode()


def test_a_history_of_numbers_that_are_none_is_told_without_them(files):
    made = files()
    made.finished("A_S256")
    line = Validation(5, 1.0, math.inf, math.nan, math.inf, 8.0, math.nan)
    write_history(f"{made.run.results}/history/A_S256.csv", [line])
    state = states(made.run)["A_S256"]
    assert (state.iteration, state.learning_rate, state.top1, state.top5) == (5, None, None, 8.0)
    json.dumps(asdict(state), allow_nan=False)


def test_only_files_named_by_an_iteration_are_checkpoints(files):
    made = files()
    for name in ("backup", "copy of 000000900", "000000900-2", "-5"):
        made.touch(f"checkpoints/A_S256/{name}.pt")
        made.touch(f"checkpoints/B_S256/{name}.pt")
    made.checkpoint("B_S256", 801)
    made.checkpoint("B_S256", 799)
    os.symlink("nowhere", f"{made.run.results}/checkpoints/B_S256/000000803.pt")
    found = states(made.run)
    assert found["A_S256"].state == "waiting"
    assert found["B_S256"].iteration == 801


@pytest.mark.parametrize(
    ("age", "cell", "ago"),
    [(2, "training", "2 s"), (299, "training", "4 min 59 s"), (301, "silent?", "5 min 01 s")],
)
def test_of_checkpoints_without_signs_the_newest_says_how_far_it_is(files, age, cell, ago):
    made = files()
    made.checkpoint("B_S256", 400, age)
    found = states(made.run)["B_S256"]
    assert (found.state, found.iteration) == (cell.removesuffix("?"), 400)
    assert found.age == pytest.approx(age)
    lines = shown(made).splitlines()
    (place,) = [n for n, line in enumerate(lines) if line.startswith("B_S256")]
    assert lines[place].split() == ["B_S256", cell, "400/2,200"]
    assert lines[place + 1] == f"    no signs of it; its newest checkpoint is of {ago} ago"


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
    assert detail.startswith("its process is gone, without a word for 1 min 10 s, on ")
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


@pytest.mark.parametrize("content", ["just text", "- a", "5", "false", "[]"])
def test_a_file_that_is_no_configuration_is_named(content, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "ok.txt").write_text(content)
    with pytest.raises(InputError, match=r"^/.*/ok\.txt: expected keys and their values$"):
        status.configured([str(tmp_path / "ok.txt")], [])


def test_an_empty_configuration_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "ok.yaml").write_text("# nothing yet\n")
    assert status.configured([str(tmp_path / "ok.yaml")], []).config["experiment"] == "miniature"


@pytest.mark.parametrize("seconds", ["-1", "-0.5", "nan", "inf", "-inf", "1e9"])
def test_an_interval_that_is_none_is_refused(seconds, capsys, monkeypatch):
    monkeypatch.setattr(status, "configured", lambda *_: pytest.fail("begun"))
    with pytest.raises(SystemExit) as ended:
        status.main([f"--watch={seconds}"])
    assert ended.value.code == 2
    assert f"--watch {float(seconds):g}: expected seconds, from 0 " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "times"), [([], 1), (["--watch", "0"], 1), (["--watch", "2"], 3)]
)
def test_it_prints_once_or_again_and_again(files, words, times, capsys, monkeypatch):
    made, slept = files(), []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status, "configured", lambda *_: made.run)
    monkeypatch.setattr(status.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt) if times > 1 else contextlib.nullcontext():
        status.main(words)
    assert capsys.readouterr().out.count("miniature: 18 trainings") == times
    assert slept == [2.0] * (times if times > 1 else 0)


def test_a_reader_that_goes_away_ends_it_without_a_word(tmp_path):
    """As `status --watch 1 | head` does; what it prints is more than a pipe and Python hold."""
    code = """
from workflow_scripts import status
status.configured = lambda *_: status.Run
status.training_states = lambda *_: []
status.as_text = lambda *_: "x" * 300_000
status.Run.config = {"experiment": "x"}
status.command.run(lambda _: status.main(["--watch", "0.01"]))
"""
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_command_loads_nothing_heavy():
    code = "import sys, workflow_scripts.status; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas", "pyarrow", "PIL"} & set(done.stdout.split())
