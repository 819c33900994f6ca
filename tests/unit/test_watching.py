"""Those who watch a training: an observer of one's own, and what it is told, whatever happens."""

import json
import logging
import os
import re
import signal
import sys
from dataclasses import asdict
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from tests.helpers.clones import ROOT
from tests.helpers.event_files import written
from tests.helpers.trainings import same_weights
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.signals import STOPPED
from workflow_scripts.vgg.core.text_artefacts import read_csv
from workflow_scripts.vgg.training import signs, state
from workflow_scripts.vgg.training.signs import read_sign
from workflow_scripts.vgg.training.watching import Watch

SHORT = {"iterations": 20, "validation_interval": 8}  # 60 images in batches of 8
OBSERVER = """
import json

class Told:
    def __init__(self, training):
        if {fails!r} == "begin":
            {failure}
        self.lines = [["begin", training.iteration, training.iterations, training.model,
                       training.seed, str(training.results), training.settings["batch_size"],
                       [done.iteration for done in training.done],
                       [line.iteration for line in training.history]]]

    def iteration(self, done):
        if {fails!r} == "iteration" and done.iteration == 12:
            {failure}
        self.lines.append(["iteration", done.iteration])

    def validation(self, line):
        self.lines.append(["validation", line.iteration])

    def end(self, outcome):
        with open({path!r}, "a") as file:
            print(json.dumps([*self.lines, ["end", outcome]]), file=file)
        if {fails!r} == "end":
            {failure}
"""
FAILURE = 'raise RuntimeError("the service is gone")'


@pytest.fixture
def observer(tmp_path):
    """`observer(fails, failure)` writes one that fails there and so, and gives its name."""

    def write(fails="", failure=FAILURE):
        path = tmp_path / "told.jsonl"
        text = OBSERVER.format(path=str(path), fails=fails, failure=failure)
        (tmp_path / "own.py").write_text(text)
        return f"{tmp_path}/own.py:Told"

    return write


def told(tmp_path):
    """What each attempt's observer was told."""
    return list(map(eval, (tmp_path / "told.jsonl").read_text().splitlines()))


@pytest.fixture
def stopped(monkeypatch):
    """`stopped(words, at)` trains until a signal in an iteration."""

    def until(words, at):
        step = state.Training.step

        def watched(self, *arguments):
            if self.iteration + 1 == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(state.Training, "step", watched)
            with pytest.raises(SystemExit) as ended:
                train.main(words)
        assert ended.value.code == STOPPED

    return until


def test_an_observer_is_told_all_once_and_in_order_across_a_stop(
    command, tmp_path, observer, stopped
):
    words = command(tmp_path / "results/weights", **SHORT, observer=observer(), seed=3)
    stopped(words, 11)
    train.main(words)
    facts = [20, "A_S256", 3, str(tmp_path / "results"), 8]

    def iterations(first, last):
        return [["iteration", i] for i in range(first, last + 1)]

    one, two = told(tmp_path)
    assert one == [
        ["begin", 0, *facts, [], []],
        *(*iterations(1, 8), ["validation", 8], *iterations(9, 11)),
        ["end", "stopped"],
    ]
    assert two == [
        ["begin", 11, *facts, list(range(1, 12)), [8]],
        *(*iterations(12, 16), ["validation", 16], *iterations(17, 20), ["validation", 20]),
        ["end", "finished"],
    ]


def test_the_example_of_the_documentation_writes_each_loss_once(
    command, tmp_path, stopped, monkeypatch
):
    text = (ROOT / "docs/watching.md").read_text()
    (example,) = re.findall(r"```python\n(# my_observer.py, .*:Losses\n.*?)```", text, flags=re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_observer.py").write_text(example)
    for name, at in (("whole", None), ("cut", 11)):
        words = command(tmp_path / name, **SHORT, observer="my_observer.py:Losses")
        if at:
            stopped(words, at)
        train.main(words)
        rows = read_csv(tmp_path / "logs/losses/A_S256_seed0.csv")
        if name == "whole":
            whole = rows
    assert rows == whole
    assert [int(row["iteration"]) for row in rows] == list(range(1, 21))
    # The loss of a history's line is the mean of those of its iterations.
    losses = [float(row["loss"]) for row in rows]
    lines = read_csv(tmp_path / "whole/h.csv")
    means = [sum(losses[first:last]) / (last - first) for first, last in pairwise((0, 8, 16, 20))]
    assert [float(line["train_loss"]) for line in lines] == pytest.approx(means, rel=1e-12)
    rates = {float(row["learning_rate"]) for row in rows[:8]}
    assert rates == {float(lines[0]["learning_rate"])}


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (FAILURE, "RuntimeError: the service is gone"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_observer_that_fails_is_left_out_and_the_training_goes_on(
    command, tmp_path, observer, caplog, failure, said
):
    train.main(command(tmp_path / "alone", **SHORT))
    train.main(command(tmp_path / "watched", **SHORT, observer=observer("iteration", failure)))
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    (warning,) = [line for line in warnings if "observer" in line]
    assert re.search(
        rf"own.py:Told has failed; the training goes on without it: {said} \(.*own.py:\d+\)",
        warning,
    )
    assert not (tmp_path / "told.jsonl").exists(), "it is not called again"
    weights = [tmp_path / name / "w.safetensors" for name in ("alone", "watched")]
    assert same_weights(*weights)
    assert read_sign(tmp_path / "watched/checkpoints").state == "finished"


@pytest.mark.parametrize(
    ("failure", "said"),
    [(FAILURE, "RuntimeError: the service is gone"), ("raise SystemExit(0)", "SystemExit: 0")],
)
def test_one_that_cannot_begin_stops_a_new_training_but_none_that_goes_on(
    command, tmp_path, observer, stopped, caplog, failure, said
):
    words = command(tmp_path, **SHORT, observer=observer("begin", failure))
    with pytest.raises(InputError, match=f"own.py:Told cannot begin: {said}"):
        train.main(words)
    assert not list(tmp_path.glob("checkpoints/*.pt"))
    observer()
    stopped(words, 11)
    observer("begin", failure)
    train.main(words)
    assert "own.py:Told has failed; the training goes on without it" in caplog.text
    assert (tmp_path / "w.safetensors").exists()


def test_one_that_exits_at_its_end_changes_no_outcome(command, tmp_path, observer, stopped, caplog):
    words = command(tmp_path, **SHORT, observer=observer("end", "raise SystemExit(3)"))
    stopped(words, 11)
    assert read_sign(tmp_path / "checkpoints").state == "stopped"
    train.main(words)
    assert read_sign(tmp_path / "checkpoints").state == "finished"
    assert caplog.text.count("own.py:Told has failed") == 2


@pytest.mark.parametrize("told", ["begin", "iteration", "end"])
def test_only_an_observer_that_is_interrupted_ends_the_training(tmp_path, told):
    """By Ctrl-C, as anything else of the process would."""

    class Interrupted:
        def __init__(self, _=None):
            self.validation = self.iteration = self.end = lambda _: None
            setattr(self, told, self.interrupt)
            if told == "begin":
                self.interrupt()

        def interrupt(self, _=None):
            raise KeyboardInterrupt

    def watched():
        with Watch(tmp_path, {"one": Interrupted}) as watch:
            watch.begin(SimpleNamespace(iteration=0, done=[]), dict)
            watch.iterations([None])

    with pytest.raises(KeyboardInterrupt):
        watched()


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (None, "own.py:Told", "no such file"),
        ("", "own.py", "expected path/to/file.py:function"),
        ("", "own.py:", "expected path/to/file.py:function"),
        ("", "own.py:Told", "the file has no function Told"),
        ("Told = 1", "own.py:Told", "the file has no function Told"),
        ("\ndef Told(:", "own.py:Told", r"cannot be loaded: SyntaxError: .* \(/.*/own.py:2\)$"),
        ("\n\n  x", "own.py:Told", r"cannot be loaded: IndentationError: .* \(/.*/own.py:3\)$"),
        ("import broken", "own.py:Told", r"cannot be loaded: SyntaxError: .* \(/.*/broken.py:1\)$"),
        (
            "\nimport not_installed",
            "own.py:Told",
            r"cannot be loaded: ModuleNotFoundError: No module .* \(/.*/own.py:2\)$",
        ),
        (
            "import argparse\nargparse.ArgumentParser().parse_args(['--x'])",
            "own.py:Told",
            "cannot be loaded: SystemExit: 2",
        ),
        ("import sys\nsys.exit()", "own.py:Told", r"cannot be loaded: SystemExit \(/.*/own.py:2"),
        ("def Told(training): pass", "own.py:Told", "it made None, which has no iteration"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_any_training(
    command, tmp_path, monkeypatch, content, name, said
):
    if content is not None:
        (tmp_path / "own.py").write_text(content)
    (tmp_path / "broken.py").write_text("1 +")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(state.Training, "step", lambda *_: pytest.fail("trained"))
    with pytest.raises(InputError, match=f"^train.observer {tmp_path}/{name}.*{said}"):
        train.main(command(tmp_path, **SHORT, observer=f"{tmp_path}/{name}"))


def test_tensorboard_that_is_not_installed_is_told_with_its_cure(command, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if "tensorboard" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "workflow_scripts.vgg.training.event_files", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match=r"pip install -r envs/requirements-extra.txt"):
        train.main(command(tmp_path, tensorboard=tmp_path / "events"))
    assert not (tmp_path / "checkpoints").exists()


def test_a_process_that_is_not_the_first_tells_nobody(tmp_path):
    with Watch(None, {"observer": lambda _: pytest.fail("was made")}) as watch:
        watch.begin(None, dict)
        watch.sign("training")
        watch.iterations([])
    assert not list(tmp_path.iterdir())


def test_watching_decides_nothing(command, tmp_path, observer, stopped, caplog):
    """A training goes on from its checkpoint if it is watched in another way, or no longer."""
    caplog.set_level(logging.INFO)
    stopped(command(tmp_path, **SHORT), 5)
    stopped(command(tmp_path, **SHORT, observer=observer()), 11)
    train.main(command(tmp_path, **SHORT, tensorboard=tmp_path / "events"))
    assert "going on from iteration 5\n" in caplog.text
    assert "going on from iteration 11\n" in caplog.text
    assert "starting anew" not in caplog.text


# Signs


def test_a_training_leaves_signs_of_how_it_goes_and_ends(command, tmp_path, stopped, monkeypatch):
    monkeypatch.setattr(signs, "INTERVAL", 0.0)
    given = []
    give = signs.write_json
    monkeypatch.setattr(signs, "write_json", lambda *a: (given.append(a[1]), give(*a)))
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    words = command(tmp_path, **SHORT)
    stopped(words, 11)
    sign = read_sign(tmp_path / "checkpoints")
    assert (sign.state, sign.iteration, sign.iterations, sign.attempts) == ("stopped", 11, 20, 1)
    assert (sign.pid, sign.node) == (os.getpid(), os.uname().nodename)
    assert sign.slurm_job_id == "4711"
    assert {one["state"] for one in given} == {"starting", "training", "validating", "stopped"}
    assert [one["iteration"] for one in given if one["state"] == "training"] == list(range(11))

    given.clear()
    train.main(words)
    assert (given[0]["state"], given[0]["iteration"]) == ("starting", 11), "of the one before"
    sign = read_sign(tmp_path / "checkpoints")
    assert (sign.state, sign.iteration, sign.attempts) == ("finished", 20, 2)
    last = read_csv(tmp_path / "h.csv")[-1]
    assert sign.validation == {name: float(value) for name, value in last.items() if value}


def test_the_speed_is_of_training_alone_and_the_time_left_of_validations_too(tmp_path, monkeypatch):
    """This attempt goes on from iteration 100 of 1,000, and validates for 4 s after each 10."""
    now = 1000.0
    monkeypatch.setattr(signs.time, "monotonic", lambda: now)
    given = signs.Signs(tmp_path)
    given.give("starting")
    now += 500
    iteration = 100
    given.begin(100, lambda: {"iteration": iteration, "iterations": 1000, "batch_size": 8})
    for _ in range(5):
        for _ in range(10):
            given.give("training")
            now += 0.5
            iteration += 1
        given.give("validating")
        now += 4
    given.give("stopped")
    sign = read_sign(tmp_path)
    assert (sign.iteration, sign.images_per_second) == (150, 16.0)
    assert sign.seconds_left == 850 * 0.9


def test_a_training_that_fails_leaves_its_reason(command, tmp_path):
    words = command(tmp_path, iterations=10, flat_line_iterations=5, learning_rate=0)
    with pytest.raises(InputError, match="the net is at chance after 5 iterations"):
        train.main(words)
    sign = read_sign(tmp_path / "checkpoints")
    assert (sign.state, sign.iteration) == ("failed", 5)
    assert sign.message.startswith("the net is at chance after 5 iterations, learning rate 0")


def test_a_sign_that_cannot_be_written_fails_no_training(command, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signs, "INTERVAL", 0.0)
    monkeypatch.setattr(signs, "write_json", full)
    train.main(command(tmp_path, **SHORT))
    assert caplog.text.count("no sign of this training for `status`") == 1
    assert (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": "flying"}', '{"pid": 1}'])
def test_a_damaged_sign_is_none(tmp_path, content):
    (tmp_path / signs.FILE).write_text(content)
    assert read_sign(tmp_path) is None
    given = signs.Signs(tmp_path)
    given.give("training")
    assert read_sign(tmp_path).state == "training"
    (tmp_path / signs.FILE).write_bytes((tmp_path / signs.FILE).read_bytes()[:-9] + b'x"\n}\n')
    assert read_sign(tmp_path) is None


WHOLE = signs.Sign(
    state="training", time=5, started=4.0, node="n", pid=1, loss=1, images_per_second=8.5,
    message="line\nline", validation={"iteration": 8, "epoch": 1.0},
)  # fmt: skip


def of_other_types():
    """(field, value) of every field, with values of all types that JSON has, but for its own."""
    text = {"state", "node", "slurm_job_id", "message", "device"}
    whole = {"pid", "processes", "attempts", "batch_size", "iteration", "iterations"}
    for name in asdict(WHOLE):
        yield from ((name, value) for value in (True, [], [1], {"a": "x"}, {"a": None}))
        yield from ((name, value) for value in (float("nan"), float("inf"), 10**400))
        yield from [] if name in text else [(name, "x"), (name, "5")]
        yield from [(name, 5)] if name in text or name == "validation" else []
        yield from [(name, 5.5)] if name in text | whole or name == "validation" else []
        yield from [] if name == "validation" else [(name, {"a": 1})]
        yield name, "\ud800"
    yield from ((name, None) for name in ("state", "time", "started", "node", "pid", "processes"))


def test_a_sign_whose_fields_are_of_other_types_is_none(tmp_path):
    path = tmp_path / signs.FILE
    path.write_text(json.dumps(asdict(WHOLE)))
    assert read_sign(tmp_path) == WHOLE
    for name, value in of_other_types():
        path.write_text(json.dumps(asdict(WHOLE) | {name: value}))
        assert read_sign(tmp_path) is None, (name, value)


def test_a_sign_has_the_fields_that_its_version_knows(tmp_path):
    signs.Signs(tmp_path).give("training")
    content = signs.read_json(tmp_path / signs.FILE)
    signs.write_json(tmp_path / signs.FILE, content | {"of_a_later_version": 1})
    assert read_sign(tmp_path).state == "training"


@pytest.mark.parametrize(
    ("told", "modified", "age"),
    [
        (1000, 1000, 500),
        (1400, 1000, 100),  # the node's clock, or the file system's, is late
        (1000, 1400, 100),
        (4000, 1000, 500),  # the node's is an hour early
        (1000, 4000, 500),
        (4000, 4000, 0),
    ],
)
def test_the_age_of_a_sign_is_the_younger_that_clocks_can_tell(tmp_path, told, modified, age):
    sign = signs.Sign("training", told, 0.0, "node", 1)
    (tmp_path / signs.FILE).touch()
    os.utime(tmp_path / signs.FILE, (modified, modified))
    assert signs.age_of_sign(tmp_path, sign, 1500.0) == age


def test_a_checkpoint_of_an_older_version_has_no_losses(command, tmp_path, stopped, caplog):
    words = command(tmp_path, **SHORT, tensorboard=tmp_path / "events")
    stopped(words, 11)
    path = tmp_path / "checkpoints/000000011.pt"
    content = torch.load(path, weights_only=True)
    del content["iterations"]
    torch.save(content, path)
    train.main(words)
    assert "is of an older version and has no losses of 11 iterations" in caplog.text
    found = written(tmp_path / "events")
    assert [step for step, _ in found["loss/train"]] == list(range(12, 21))
    assert [step for step, _ in found["error/top-1"]] == [8, 16, 20]
