"""What jobs record of their cost."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.planning.records import read_records

JOB = """
import sys, time
sys.path.insert(0, {root!r})
from workflow_scripts.vgg.core import command, costs

def main(arguments):
    given = command.parser("A job.").parse_args(arguments)
    assert not hasattr(given, "cost")
    {body}

command.run(main)
"""


def run_job(path, body, cost, **environment):
    path.write_text(JOB.format(root=str(ROOT), body=body))
    inherited = {k: v for k, v in os.environ.items() if k not in ("RANK", "SLURM_JOB_ID")}
    return subprocess.run(
        [sys.executable, str(path), "--cost", str(cost)],
        env=inherited | environment, capture_output=True, text=True,
    )  # fmt: skip


def test_a_job_that_succeeds_records_what_it_cost(tmp_path):
    cost = tmp_path / "logs/small/count/a.log.json"
    ballast = bytearray(400_000_000)  # a parent's memory is not its child's
    ballast[:: 2**12] = b"x" * len(ballast[:: 2**12])
    body = "held = b'x' * 150_000_000; costs.note(images=30, earlier_seconds=100, attempts=3)"
    job = run_job(tmp_path / "work.py", f"time.sleep(0.3); {body}", cost, SLURM_JOB_ID="4711")
    assert job.returncode == 0, job.stderr
    found = read_json(cost)
    assert 100.3 < found["wall_seconds"] < 110
    assert 0 < found["cpu_seconds"] < 10
    assert found["images_per_second"] == pytest.approx(30 / found["wall_seconds"], rel=1e-3)
    assert 150 < found["peak_memory_mb"] < 300
    assert len(ballast) == 400_000_000
    started, finished = map(pd.Timestamp, (found["started"], found["finished"]))
    assert pd.Timedelta(0) <= finished - started < pd.Timedelta(seconds=10)
    assert abs(pd.Timestamp.now("UTC") - finished) < pd.Timedelta(seconds=10)
    assert found["hardware"]
    expected = {
        "command": "work", "arguments": [], "attempts": 3, "images": 30,
        "device": "cpu", "processes": 1, "gpu_peak_memory_mb": None,
        "node": os.uname().nodename, "slurm_job_id": "4711",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert read_records(tmp_path / "logs/small") == {("count", "a"): found}


def test_the_rate_is_that_of_the_work_if_the_job_says_how_long_it_was(tmp_path):
    body = "\n    with costs.working_on(10): time.sleep(0.1)\n    time.sleep(0.4)"
    assert run_job(tmp_path / "work.py", body, tmp_path / "a.log.json").returncode == 0
    record = json.loads((tmp_path / "a.log.json").read_text())
    assert 50 < record["images_per_second"] <= 100
    assert record["wall_seconds"] > 0.5


def test_of_several_processes_the_first_writes_the_record(tmp_path):
    for rank in "01":
        cost = tmp_path / f"{rank}.log.json"
        job = run_job(tmp_path / "work.py", "pass", cost, RANK=rank, WORLD_SIZE="2")
        assert job.returncode == 0
    assert json.loads((tmp_path / "0.log.json").read_text())["processes"] == 2
    assert not (tmp_path / "1.log.json").exists()


def test_a_job_that_fails_records_nothing(tmp_path):
    for body in ("raise command.InputError('no')", "sys.exit(75)", "1 / 0"):
        job = run_job(tmp_path / "work.py", body, tmp_path / "a.log.json")
        assert job.returncode != 0
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("body", ["pass", "costs.note(images='many')", "costs.record = None"])
def test_a_record_that_cannot_be_made_or_written_is_a_warning(tmp_path, body):
    (tmp_path / "file").write_text("")
    job = run_job(tmp_path / "work.py", body, tmp_path / "file/a.log.json")
    assert job.returncode == 0
    assert "no record of this job's cost" in job.stderr


def test_a_damaged_record_is_passed_over(tmp_path, caplog):
    good = tmp_path / "logs/judge_claims.log.json"
    assert run_job(tmp_path / "work.py", "pass", good).returncode == 0
    (tmp_path / "logs/tabulate").mkdir()
    for name, content in (("table3", "{"), ("table4", '{"wall_seconds": 1}'), ("table5", "5")):
        (tmp_path / f"logs/tabulate/{name}.log.json").write_text(content)
    records = read_records(tmp_path / "logs")
    assert records == {("judge_claims", ""): read_json(good)}
    for name in ("table3", "table4", "table5"):
        assert f"{name}.log.json: passed over" in caplog.text
