"""The measuring session on a CPU: its budget, its failures, its lines and its table."""

import json
import subprocess
import sys
import time

import pytest
import torch
import yaml

from tests.clones import ROOT, planned, snakemake
from workflow_scripts import measure_gpu
from workflow_scripts.bench import session_fast, session_right
from workflow_scripts.bench.session import Part, Session
from workflow_scripts.vgg.files import InputError


class Setting:
    on_gpu = False


def fine(setting):
    yield {"what": "first", "ms": 1.5, "ok": True}
    yield {"what": "second", "images_s": 12345.6}


def broken(setting):
    yield {"what": "before", "ok": True}
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def wrong(setting):
    yield {"what": "bits", "ok": False, "worst": float("inf")}


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_each_fact_is_a_line_at_once_and_a_failing_part_ends_nothing(tmp_path, capsys):
    session = Session(tmp_path, 100)
    for name, work in (("a", broken), ("b", fine)):
        session.run(Part(name, 1, work), Setting)
        assert lines(tmp_path) == session.facts
    before, failed, first, second = lines(tmp_path)
    assert (before["part"], before["ok"]) == ("a", True)
    assert failed["failed"].startswith("RuntimeError: CUDA error: an illegal memory access")
    assert "in broken" in failed["where"]
    assert (first["ms"], second["images_s"]) == (1.5, 12345.6)
    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in printed] == session.facts
    assert not session.right


def test_a_part_that_no_longer_fits_is_left_out(tmp_path):
    session = Session(tmp_path, 100)
    session.started = time.monotonic() - 95
    session.run(Part("long", 6, broken), Setting)
    session.run(Part("short", 4, fine), Setting)
    skipped, *others = session.facts
    assert skipped["skipped"] == "no time left for it"
    assert [fact["part"] for fact in others] == ["short", "short"]
    assert session.right, "what was left out is not wrong"


def test_the_table_has_what_was_expected_and_what_was_wrong(tmp_path, capsys):
    session = Session(tmp_path, 100)
    for name, work in (("a", fine), ("b", wrong), ("c", broken)):
        session.run(Part(name, 1, work), Setting)
    session.finish([("a", "sec", "10,000 images/s"), ("b", "sec", "nothing")])
    rows = (tmp_path / "summary.md").read_text().splitlines()
    assert rows[0] == "| part | what | measured | expected on an H100 | verdict |"
    assert rows[2] == "| a | first | ms 1.5 |  | right |"
    assert rows[3] == "| a | second | images_s 12346 | 10,000 images/s |  |"
    assert rows[4] == "| b | bits | worst inf |  | WRONG |"
    assert rows[6].endswith("| FAILED |")
    assert "WRONG" in capsys.readouterr().out
    assert not session.right


def test_what_is_expected_names_parts_that_there_are():
    names = [part.name for part in measure_gpu.PARTS]
    assert len(set(names)) == len(names)
    assert {part for part, _, _ in measure_gpu.EXPECTED} <= set(names)
    assert sum(part.seconds for part in measure_gpu.PARTS) < 520, "of the quarter of an hour"
    for part in measure_gpu.PARTS:
        assert part.work in (getattr(m, part.name, None) for m in (session_fast, session_right))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "cpu"], "no GPU is here: give --small"),
        (["--small", "--budget", "0"], "give some seconds"),
        (["--small", "--shard", "none.arrow"], "none.arrow: not a shard"),
    ],
)
def test_bad_input_is_told_before_anything_is_measured(words, told, tmp_path):
    with pytest.raises(InputError, match=told):
        measure_gpu.main([str(tmp_path / "out"), *words])
    assert not (tmp_path / "out/results.jsonl").exists()
    torch.set_num_threads(1)


def test_the_session_runs_through_on_a_cpu(tmp_path):
    """Every part, and every one that can be wrong is right; without the packages of rivals."""
    hidden = tmp_path / "hidden"
    for name in ("snakemake", "webdataset", "datasets"):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "__init__.py").write_text("raise ImportError('not here')\n")
    words = [sys.executable, "-m", "workflow_scripts.measure_gpu", str(tmp_path / "out")]
    done = subprocess.run(
        [*words, "--small", "--device", "cpu", "--budget", "900"],
        cwd=ROOT, capture_output=True, text=True, env=_with_path(hidden),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    facts = lines(tmp_path / "out")
    assert {fact["part"] for fact in facts} == {part.name for part in measure_gpu.PARTS}
    assert not [fact for fact in facts if "failed" in fact]
    right = {fact["part"] for fact in facts if fact.get("ok")}
    assert right == {"parity", "repeat", "dropout", "dense", "resume"}
    assert (tmp_path / "out/profile.txt").stat().st_size
    assert "| parity | D, float32 |" in (tmp_path / "out/summary.md").read_text()
    assert "What the session found" in done.stdout


def _with_path(folder):
    import os

    return os.environ | {"PYTHONPATH": str(folder)}


SMALL_GPU = "config/one_gpu.yaml"


def test_the_run_for_one_gpu_is_the_whole_pipeline(tmp_path):
    """Its configuration states a part of the keys, and is held against the schema by Snakemake."""
    from tests.clones import clone

    folder = clone(tmp_path / "clone")
    own = yaml.safe_load((folder / SMALL_GPU).read_text())
    assert own["experiment"] == "one_gpu"
    jobs = planned(folder, "all", "--configfile", "config/config.yaml", SMALL_GPU)
    assert (jobs["train_convnet"], jobs["evaluate_convnet"]) == (14, 76)
    assert jobs["evaluate_choice"] == 10, "evaluated in less than float32, and checked"
    printed = snakemake(
        folder, "plan", "--cores", "1", "--configfile", "config/config.yaml", SMALL_GPU
    )
    assert "Plan of experiment one_gpu" in printed
