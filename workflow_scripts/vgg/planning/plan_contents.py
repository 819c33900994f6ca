"""A plan as plan.json has it: totals, jobs, disk and what it assumes; and as lines of CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from . import feature_jobs
from .arithmetic import forward_flop, training_flop
from .jobs import Job
from .planner import Planner, critical_path, most_checkpoints
from .records import by_rule, compare, total

DEVICE_RULES = (
    "train_convnet",
    "evaluate_convnet",
    "evaluate_choice",
    "evaluate_boxes",
    "describe_images",
)
CORE_RULES = ("pack_shard", "read_boxes", "localise", "index_examples", "train_classifiers")


def convnets(planner: Planner, jobs: Sequence[Job]) -> list[dict]:
    """The nets of the jobs: size, and FLOP of a forward pass and a training step for one crop."""
    rows = []
    for name in planner.convnets:
        if any(job.net == name for job in jobs):
            net = planner.net(name)
            side = net.architecture.crop
            rows.append(
                {
                    "net": name,
                    "weight_layers": net.weight_layers,
                    "parameters": net.parameter_count(),
                    "forward_flop": float(forward_flop(net, side, side)),
                    "training_flop": training_flop(net),
                }
            )
    return rows


def assumptions(planner: Planner, splits: Sequence[str]) -> dict:
    """The numbers and settings that the plan takes for granted."""
    config = planner.config
    height, width = planner.typical_size
    return {
        **config["plan"],
        "train_precision": config["train"]["precision"],
        "evaluate_precision": config["evaluate"]["precision"],
        "processes": config["train"]["processes"],
        "typical_height": height,
        "typical_width": width,
        "splits": [_of_split(planner, split) for split in splits],
    }


def _of_split(planner: Planner, split: str) -> dict:
    height, width = planner.typical_size_of(split)
    return {
        "split": split,
        "images": planner.images(split),
        "packed": split in planner.sizes,
        "typical_height": height,
        "typical_width": width,
    }


def disk(planner: Planner, jobs: Sequence[Job], splits: Sequence[str]) -> list[dict]:
    """Bytes by part; None where a number of images is unknown."""

    def left_by(*rules: str) -> float | None:
        own = [job.disk for job in jobs if job.rule in rules]
        return total(own) if own else 0.0

    data_sets = [split for split in splits if split in planner.data_sets]
    came = [planner.source_bytes(split) for split in splits if split not in data_sets]
    parts = {
        "images as they came": total([*came, feature_jobs.source_bytes(planner, data_sets)]),
        "shards": left_by("pack_shard"),
        "weights": left_by("train_convnet", "import_weights", "draw_weights"),
        "posteriors": left_by("evaluate_convnet", "evaluate_choice"),
        "boxes": left_by("read_boxes", "evaluate_boxes", "localise", "guess_one_box"),
        "descriptors": left_by("describe_images"),
        "examples and classifiers' scores": left_by("index_examples", "train_classifiers"),
        "checkpoints, at most at a time": most_checkpoints(jobs),
    }
    return [{"part": part, "bytes": size} for part, size in parts.items() if size != 0]


def measured_rates(measured: dict, stated: dict, precision: str) -> dict:
    """The configuration's rates, replaced by those that a benchmark has measured.

    measured: what `benchmark` found. stated: the configuration's `plan`. precision: of the
    configuration's evaluations, for which a rate in another says nothing. `measured_on` names the
    benchmark's hardware.
    """
    rates = {key: rate for key, rate in measured["rates"].items() if rate is not None}
    if "evaluate_tflops" in rates:
        machine, rate = measured["machine"], rates.pop("evaluate_tflops")
        of = machine.get("evaluate_precision", "float32")
        here = "float32" if (precision, machine["device"]) == ("tf32", "cpu") else precision
        rates |= {"evaluate_tflops": rate} if of == here else {}
        rates |= {"check_tflops": rate} if of == "float32" else {}
    return stated | rates | ({"measured_on": measured["machine"]["hardware"]} if rates else {})


def make_plan(planner: Planner, jobs: Sequence[Job], records: dict) -> dict:
    """The whole plan as plan.json has it. Sets the jobs' `actual` from the records."""
    compare(jobs, records)
    splits = list(
        dict.fromkeys(job.split for job in jobs if job.rule == "pack_shard" and job.split)
    )
    chain, parts = critical_path(jobs), disk(planner, jobs, splits)
    return {
        "experiment": planner.config["experiment"],
        "assumptions": assumptions(planner, splits),
        "totals": {
            "trainings": sum(job.rule == "train_convnet" for job in jobs),
            "evaluations": sum(job.rule == "evaluate_convnet" for job in jobs),
            "box_evaluations": sum(job.rule == "evaluate_boxes" for job in jobs),
            "descriptions": sum(job.rule == "describe_images" for job in jobs),
            "classifiers": sum(job.rule == "train_classifiers" for job in jobs),
            "flop": total(job.flop for job in jobs),
            "device_hours": total(job.hours for job in jobs if job.rule in DEVICE_RULES),
            "core_hours": total(job.hours for job in jobs if job.rule in CORE_RULES),
            "wall_hours": sum(job.wall_hours or 0.0 for job in chain),
            "disk": total(part["bytes"] for part in parts),
            "unknown": sum(job.hours is None for job in jobs),
        },
        "nets": convnets(planner, jobs),
        "by_rule": by_rule(jobs, records),
        "jobs": [asdict(job) for job in jobs],
        "disk": parts,
        "critical_path": [
            {"rule": job.rule, "name": job.name, "wall_hours": job.wall_hours} for job in chain
        ],
    }


def lines_of_jobs(plan: dict) -> pd.DataFrame:
    """One line a job, or store: what is planned, then `actual_…`."""
    lines = pd.json_normalize(plan["jobs"], sep="_")
    return lines.drop(columns=["after", "models", "actual"], errors="ignore")
