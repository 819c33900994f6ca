"""The records of what jobs have cost, beside their logs; joined, and held against the plan."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..core.costs import SUFFIX
from ..core.files import InputError
from ..core.text_artefacts import read_json
from .jobs import Job, Key

KEYS = (  # of a record, those that are used here
    "wall_seconds",
    "cpu_seconds",
    "attempts",
    "processes",
    "images",
    "images_per_second",
    "peak_memory_mb",
    "gpu_peak_memory_mb",
    "device",
    "hardware",
    "node",
    "slurm_job_id",
)


def read_records(folder: str | Path) -> dict[Key, dict]:
    """The records below an experiment's folder of logs, by rule and name of the job.

    The log of job `D_S384` of `train_convnet` is `train_convnet/D_S384.log`; a rule of one job has
    `<rule>.log` and the name "". What is no readable record is passed over with a warning.
    """
    records = {}
    for path in sorted(Path(folder).rglob(f"*{SUFFIX}")):
        rule, _, name = path.relative_to(folder).as_posix().removesuffix(SUFFIX).partition("/")
        try:
            record = read_json(path)
            if missing := [key for key in KEYS if key not in record]:
                raise ValueError(f"no {', '.join(missing)}")
        except (OSError, ValueError, TypeError, InputError) as error:
            logging.warning("%s: passed over, not a record of cost: %s", path, error)
        else:
            records[rule, name] = record
    return records


def compare(jobs: Sequence[Job], records: Mapping[Key, dict]) -> None:
    """Set `actual` of the jobs that have left records; of a store, from those of all its shards.

    Beside what `joined` gives: tflops, sustained by each device, which is the arithmetic of an
    image (a training's share of its validations included) times the images a second.
    """
    left: dict[Key, list[dict]] = {}
    for (rule, name), record in records.items():
        store = re.sub(r"_\d{5}$", "", name) if rule == "pack_shard" else name
        left.setdefault((rule, store), []).append(record)
    for job in jobs:
        job.actual = joined(left[job.key]) if job.key in left else None
        if job.actual and job.flop and job.images and job.actual["images_per_second"]:
            rate = job.actual["images_per_second"] / job.actual["processes"]
            job.actual["tflops"] = job.flop / job.images * rate / 1e12


def by_rule(jobs: Sequence[Job], records: Mapping[Key, dict]) -> list[dict]:
    """Planned and actual cost of each rule: those planned first, then others with records."""
    rules = dict.fromkeys([*(job.rule for job in jobs), *sorted(rule for rule, _ in records)])
    rows = []
    for rule in rules:
        own = [job for job in jobs if job.rule == rule]
        left = [record for (of, _), record in records.items() if of == rule]
        rows.append(
            {
                "rule": rule,
                "jobs": sum(job.jobs for job in own) if own else None,
                "flop": total(job.flop for job in own),
                "hours": total(job.hours for job in own),
                "actual": joined(left) if left else None,
            }
        )
    return rows


def joined(records: Sequence[dict]) -> dict:
    """One record of several jobs: times and images added, the most memory, every place.

    device_hours: wall hours times processes. images_per_second: of one job at a time.
    """
    counted = [record for record in records if record["images"]]
    working = sum(record["images"] / record["images_per_second"] for record in counted)

    def all_of(key: str) -> list[str]:
        return sorted({str(record[key]) for record in records if record[key] is not None})

    return {
        "jobs": len(records),
        "wall_hours": sum(record["wall_seconds"] for record in records) / 3600,
        "device_hours": sum(r["wall_seconds"] * r["processes"] for r in records) / 3600,
        "cpu_hours": sum(record["cpu_seconds"] for record in records) / 3600,
        "attempts": max(record["attempts"] for record in records),
        "processes": max(record["processes"] for record in records),
        "images": total(record["images"] for record in counted),
        "images_per_second": sum(r["images"] for r in counted) / working if counted else None,
        "tflops": None,
        "peak_memory_mb": max(record["peak_memory_mb"] for record in records),
        "gpu_peak_memory_mb": max(r["gpu_peak_memory_mb"] or 0 for r in records) or None,
        "device": all_of("device"),
        "hardware": all_of("hardware"),
        "node": all_of("node"),
        "slurm_job_id": all_of("slurm_job_id"),
    }


def total(values: Iterable[float | None]) -> float | None:
    """The sum of the known values; None if none is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
