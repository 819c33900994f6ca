"""The workflow's cost besides its numerical work: planning, starting commands, waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import yaml

from workflow_scripts.vgg.core.command import available_cpus
from workflow_scripts.vgg.planning.records import read_records
from workflow_scripts.vgg.settings.experiments import files_of, read_models

from .measuring import Growth, Line, Measured, alternate, fixed

ROOT = Path(__file__).parents[2]
FULL = "config/ilsvrc2012.yaml"
WITHOUT_TORCH = (  # the commands that need no net
    "compare_choices",
    "draw_figures",
    "draw_filters",
    "draw_splits",
    "examine_boxes",
    "examine_errors",
    "examine_features",
    "guess_one_box",
    "index_examples",
    "index_images",
    "judge_claims",
    "list_classes",
    "list_evaluations",
    "localise",
    "make_miniature",
    "make_other_sets",
    "measure_statistics",
    "pack_shards",
    "read_boxes",
    "render_choices",
    "render_claims",
    "render_index",
    "render_pictures",
    "render_table",
    "report_packing",
    "summarise_run",
    "tabulate",
    "train_classifiers",
    "tune_threshold",
    "unpack_parquet",
    "verify_archive",
    "write_server_file",
    "write_submission",
)
MOST_START, MOST_DRY_RUN, MOST_WALL = 1.5, 8.0, 1.4
LONGEST_PAUSE = timedelta(seconds=60)  # between jobs of one uninterrupted run


def timed(*words: str | Path) -> tuple[float, str]:
    """Seconds that a command takes, and what it prints."""
    command = [str(word) for word in words]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = time.perf_counter()
    run = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    return time.perf_counter() - started, run.stdout


def seconds(*words: str | Path) -> float:
    """Seconds that a command takes."""
    return timed(*words)[0]


def dry_run(*configs: str | Path) -> list[str | Path]:
    """The command of a dry-run."""
    return ["snakemake", "-n", "all", "--quiet", "rules", "--configfile", *configs]


def start_of(command: str) -> float:
    """Seconds of a command that only says how it is called: its imports, start and end."""
    return seconds(sys.executable, "-m", f"workflow_scripts.{command}", "--help")


def lines() -> list[Line]:
    """The lines on orchestration."""
    planned = alternate({"ours": partial(seconds, *dry_run(FULL))}, seconds=True)["ours"]
    once = {command: start_of(command) for command in WITHOUT_TORCH}
    slowest = max(once, key=once.__getitem__)
    start = alternate({slowest: partial(start_of, slowest)}, seconds=True)[slowest]
    evaluate = alternate(
        {
            "evaluate": partial(start_of, "evaluate"),
            "import torch": partial(seconds, sys.executable, "-c", "import torch"),
        },
        seconds=True,
    )
    found = [
        Line.at_most(
            "orchestration", "dry-run of the full configuration", "s", planned, MOST_DRY_RUN
        ),
        Line.at_most(
            "orchestration",
            f"start of a command without torch: {slowest}",
            "s",
            start,
            MOST_START,
            note=f"the slowest of {len(once)} when each was started once",
        ),
        Line(
            "orchestration",
            "start of a command with torch: evaluate",
            "s",
            ours=evaluate["evaluate"],
            rival=evaluate["import torch"],
        ),
    ]
    miniature = wall_of_miniature()
    return [*found, miniature] if miniature else found


def wall_of_miniature() -> Line | None:
    """The last whole run of the miniature, from its records; None if there is none."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    records = read_records(ROOT / "logs" / config["experiment"]).values()
    trained = sum(record["command"] == "train" for record in records)
    models = read_models([ROOT / path for path in files_of(config["models"])])["models"]
    if trained != len(models):
        return None
    spans = sorted(
        (datetime.fromisoformat(r["started"]), datetime.fromisoformat(r["finished"]))
        for r in records
    )
    ended = spans[0][0]
    for started, finished in spans:
        if started - ended > LONGEST_PAUSE:
            return None  # several runs made it
        ended = max(ended, finished)
    begun = _start_of_run(spans[0][0])
    cores = available_cpus()
    work = sum(record["wall_seconds"] - record["startup_seconds"] for record in records)
    wall = (ended - begun).total_seconds()
    return Line(
        "orchestration",
        "the miniature, from Snakemake's start to the last job's end",
        "s",
        ours=Measured("ours", [wall], seconds=True),
        limit=fixed(f"numerical work ÷ {cores} cores", work / cores, seconds=True),
        least_over_limit=1 / MOST_WALL,
        note="one run; work is the time of all jobs after their imports",
    )


def _start_of_run(first_job: datetime) -> datetime:
    """When the Snakemake that started the first job began, by the name of its log."""
    begun = []
    for log in (ROOT / ".snakemake/log").glob("*.snakemake.log"):
        moment = datetime.strptime(log.name.split(".")[0], "%Y-%m-%dT%H%M%S").astimezone()
        if moment <= first_job:
            begun.append(moment)
    return max(begun, default=first_job)


def growth(folder: Path) -> list[Growth]:
    """Seconds of a dry-run as seeds, and so jobs, are added."""
    jobs, times = [], []
    for seeds in (1, 2, 4, 8):
        config = folder / f"seeds{seeds}.yaml"
        config.write_text(f"seeds: {list(range(seeds))}\n")
        runs = [timed(*dry_run(FULL, config)) for _ in range(2)]
        times.append(min(spent for spent, _ in runs))
        jobs.append(_jobs(runs[0][1]))
    return [
        Growth(
            "orchestration",
            "dry-run of the full configuration",
            "jobs",
            sizes=jobs,
            seconds=times,
        )
    ]


def _jobs(printed: str) -> int:
    totals = [line.split()[1] for line in printed.splitlines() if line.startswith("total ")]
    return int(totals[0])
