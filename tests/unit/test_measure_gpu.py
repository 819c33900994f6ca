"""The measuring session on a CPU: its budget, its failures, its lines and its table."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch
import yaml

from tests.helpers.clones import ROOT, clone, planned, snakemake
from workflow_scripts import measure_gpu
from workflow_scripts.bench import session_correctness, session_speed
from workflow_scripts.bench.session import Part, Session
from workflow_scripts.bench.session_expected import EXPECTED, Expected
from workflow_scripts.bench.session_setting import Setting
from workflow_scripts.vgg.core.files import InputError


class OnACpu:
    on_gpu = False


def fine(setting):
    yield {"what": "first", "ms": 1.5, "ok": True}
    yield {"what": "second", "images/s": 12345.6, "GB": None}


def broken(setting):
    yield {"what": "before", "ok": True}
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def wrong(setting):
    yield {"what": "bits", "ok": False, "worst": float("inf")}


def hanging(setting):
    yield {"what": "begun"}
    time.sleep(60)


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_each_fact_is_a_line_at_once_and_a_failing_part_ends_nothing(tmp_path, capsys):
    made = Session(tmp_path, 100, "a card")
    for name, work in (("a", broken), ("b", fine)):
        made.run(Part(name, 1, work), OnACpu)
        assert lines(tmp_path) == made.facts
    before, failed, first, second = lines(tmp_path)
    assert (before["part"], before["ok"]) == ("a", True)
    assert failed["failed"].startswith("RuntimeError: CUDA error: an illegal memory access")
    assert "in broken" in failed["where"]
    assert (first["ms"], second["images/s"]) == (1.5, 12345.6)
    assert "GB" not in second, "a number that there is not is left out"
    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in printed] == made.facts


def test_the_session_is_wrong_by_what_it_judges_only(tmp_path):
    def found(work, judges):
        made = Session(tmp_path, 100, "a card")
        made.run(Part("a", 1, work, judges), OnACpu)
        return bool(made.wrong)

    assert [found(work, True) for work in (fine, broken, wrong)] == [False, True, True]
    assert not found(broken, False), "no compiler, say: a speed that was not measured"
    assert found(wrong, False), "whoever finds it"


def test_a_part_that_no_longer_fits_is_left_out(tmp_path):
    made = Session(tmp_path, 100, "a card")
    made.started = time.monotonic() - 95
    made.run(Part("long", 6, broken, judges=True), OnACpu)
    made.run(Part("short", 4, fine), OnACpu)
    skipped, *others = made.facts
    assert skipped["skipped"] == "no time left for it"
    assert [fact["part"] for fact in others] == ["short", "short"]
    assert not made.wrong


def test_a_part_that_hangs_is_ended_and_the_next_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(Part, "most_seconds", 0.2)
    made = Session(tmp_path, 100, "a card")
    for name, work in (("a", hanging), ("b", fine)):
        made.run(Part(name, 1, work), OnACpu)
    assert [fact["what"] for fact in made.facts] == ["begun", "the part", "first", "second"]
    assert made.facts[1]["failed"] == "TimeoutError: ended after 0 s"


def test_the_table_has_what_was_expected_and_what_was_wrong(tmp_path, capsys):
    made = Session(tmp_path, 100, "NVIDIA H100 80GB HBM3")
    for name, work in (("a", fine), ("b", wrong), ("c", broken)):
        made.run(Part(name, 1, work), OnACpu)
    of_second = Expected("a", "sec", "images/s", 15_000)
    made.finish("a title", [of_second, Expected("b", "sec", "ms", 1)])
    title, _, *rows = (tmp_path / "summary.md").read_text().splitlines()
    assert title == "### a title"
    assert rows[0] == "| part | what | measured | expected | verdict |"
    assert rows[2] == "| a | first | 1.5 ms |  | right |"
    assert rows[3] == f"| a | second | 12,346 images/s | {of_second} | less |"
    assert str(of_second) == "images/s at least 15,000 on an H100"
    assert rows[4] == "| b | bits | worst inf |  | WRONG |"
    assert rows[6].endswith("| FAILED |")
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "hardware", "verdict"),
    [
        (5_500.0, "NVIDIA H100 80GB HBM3", "as expected"),
        (6_600.0, "NVIDIA H100 80GB HBM3", "more"),
        (400, "NVIDIA H100 80GB HBM3", "less"),
        ("inf", "NVIDIA H100 80GB HBM3", "not finite"),
        (400.0, "Tesla T4", ""),
    ],
)
def test_speeds_are_expected_of_one_card_only(number, hardware, verdict):
    expected = Expected("step", "A, ours", "images/s", 5_000, 6_500)
    fact = {"part": "step", "what": "A, ours", "images/s": number}
    assert expected.is_of(fact)
    assert expected.verdict(fact, hardware) == verdict
    assert not expected.is_of(fact | {"what": "A, cudnn.benchmark"})
    assert not expected.is_of({"part": "step", "what": "A, ours", "failed": "RuntimeError"})


def test_rounding_is_expected_everywhere():
    (loss,) = (one for one in EXPECTED if one.what == "D, bfloat16" and one.part == "parity")
    fact = {"part": "parity", "what": "D, bfloat16", "loss": 2e-3}
    assert loss.verdict(fact, "Tesla T4") == "as expected"
    assert loss.verdict(fact | {"loss": 2e-2}, "Tesla T4") == "more"


def test_what_is_expected_names_parts_that_there_are():
    names = [part.name for part in measure_gpu.PARTS]
    assert len(set(names)) == len(names)
    assert {one.part for one in EXPECTED} <= set(names)
    assert sum(part.seconds for part in measure_gpu.PARTS) < 480, "the default budget"
    judging = {part.name for part in measure_gpu.PARTS if part.judges}
    assert judging == {"parity", "repeat", "dropout", "dense", "resume", "memory"}
    for part in measure_gpu.PARTS:
        module = session_correctness if part.judges else session_speed
        assert part.work is getattr(module, part.name)


def test_parity_finds_a_rounding_that_is_too_coarse(monkeypatch, tmp_path):
    """As of TF32 where float32 was asked for: operands of ten bits behind the point."""
    monkeypatch.setattr(session_correctness, "NETS", ("A",))
    setting = Setting(torch.device("cpu"), True, 1, tmp_path, tmp_path, tmp_path)
    assert all(fact.get("ok") is not False for fact in session_correctness.parity(setting))
    forward = torch.nn.Conv2d._conv_forward

    def coarse(self, images, weight, bias):
        if weight.dtype == torch.float32:
            images, weight = (part.half().float() for part in (images, weight))
        return forward(self, images, weight, bias)

    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", coarse)
    found = {fact["what"]: fact["ok"] for fact in session_correctness.parity(setting)}
    assert found["A, float32"] is False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "cpu"], "no GPU is here: give --small"),
        (["--small", "--budget", "0"], "give some seconds"),
        (["--small", "--shard", "none.arrow"], "none.arrow: no such file"),
    ],
)
def test_bad_input_is_told_before_anything_is_measured(words, told, tmp_path):
    with pytest.raises(InputError, match=told):
        measure_gpu.main([str(tmp_path / "out"), *words])
    assert not (tmp_path / "out/results.jsonl").exists()
    torch.set_num_threads(1)


@pytest.mark.slow
def test_the_session_runs_through_on_a_cpu(tmp_path):
    """Every part, and every one that can be wrong is right; without the packages of rivals."""
    hidden = tmp_path / "hidden"
    for name in ("snakemake", "webdataset", "datasets"):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "__init__.py").write_text("raise ImportError('not here')\n")
    words = [sys.executable, "-m", "workflow_scripts.measure_gpu", str(tmp_path / "out")]
    done = subprocess.run(
        [*words, "--small", "--device", "cpu", "--budget", "900"],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(hidden)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    facts = lines(tmp_path / "out")
    assert {fact["part"] for fact in facts} == {part.name for part in measure_gpu.PARTS}
    assert not [fact for fact in facts if "failed" in fact]
    right = {fact["part"] for fact in facts if fact.get("ok")}
    assert right == {"parity", "repeat", "dropout", "dense", "resume"}
    assert (tmp_path / "out/profile.txt").stat().st_size
    summary = (tmp_path / "out/summary.md").read_text()
    assert f"torch {torch.__version__}" in summary.splitlines()[0]
    assert "| parity | D, float32 |" in summary
    assert "What the session found" in done.stdout


ONE_GPU = "config/one_gpu.yaml"


@pytest.mark.slow
def test_the_run_for_one_gpu_is_the_whole_pipeline(tmp_path):
    """Its configuration states a part of the keys, and is held against the schema by Snakemake."""
    folder = clone(tmp_path / "clone")
    own = yaml.safe_load((folder / ONE_GPU).read_text())
    assert own["experiment"] == "one_gpu"
    configured = "--configfile", "config/config.yaml", ONE_GPU
    jobs = planned(folder, "all", *configured)
    assert (jobs["train_convnet"], jobs["evaluate_convnet"]) == (18, 76)
    assert jobs["evaluate_choice"] == 10, "evaluated in less than float32, and checked"
    printed = snakemake(folder, "plan", "--cores", "1", *configured)
    assert "Plan of experiment one_gpu" in printed
