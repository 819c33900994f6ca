"""Print, and write as a page, what a run will cost by arithmetic and what its jobs have cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.planning.arithmetic import forward_flop, training_flop
from workflow_scripts.vgg.planning.planner import Job, Planner, critical_path, most_checkpoints
from workflow_scripts.vgg.planning.records import by_rule, compare, read_records, total
from workflow_scripts.vgg.report import inputs, pages, plan_tables
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.settings.experiments import (
    all_checked,
    all_evaluations,
    read_tables,
    read_yaml,
)

DEVICE_RULES = ("train_convnet", "evaluate_convnet", "evaluate_choice")


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
    """What the plan takes for granted."""
    config = planner.config
    height, width = planner.typical_size
    return {
        **config["plan"],
        "train_precision": config["train"]["precision"],
        "evaluate_precision": config["evaluate"]["precision"],
        "processes": config["train"]["processes"],
        "typical_height": height,
        "typical_width": width,
        "splits": [
            {"split": split, "images": planner.images(split), "packed": split in planner.sizes}
            for split in splits
        ],
    }


def disk(planner: Planner, jobs: Sequence[Job], splits: Sequence[str]) -> list[dict]:
    """Bytes by part; None where a number of images is unknown."""

    def left_by(*rules: str) -> float | None:
        return total(job.disk for job in jobs if job.rule in rules)

    parts = {
        "images as they came": total(planner.source_bytes(split) for split in splits),
        "shards": left_by("pack_shard"),
        "weights": left_by("train_convnet", "import_weights"),
        "posteriors": left_by("evaluate_convnet", "evaluate_choice"),
        "checkpoints, at most at a time": most_checkpoints(jobs),
    }
    return [{"part": part, "bytes": size} for part, size in parts.items() if size != 0]


def measured_rates(path: str, stated: dict, precision: str) -> dict:
    """The configuration's rates, replaced by those that a benchmark has measured.

    precision: of the configuration's evaluations, for which a rate in another says nothing.
    `measured_on` names the benchmark's hardware.
    """
    measured = inputs.load_benchmarks(path)
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
    splits = list(dict.fromkeys(job.split for job in jobs if job.rule == "pack_shard"))
    chain, parts = critical_path(jobs), disk(planner, jobs, splits)
    return {
        "experiment": planner.config["experiment"],
        "assumptions": assumptions(planner, splits),
        "totals": {
            "trainings": sum(job.rule == "train_convnet" for job in jobs),
            "evaluations": sum(job.rule == "evaluate_convnet" for job in jobs),
            "flop": total(job.flop for job in jobs),
            "device_hours": total(job.hours for job in jobs if job.rule in DEVICE_RULES),
            "core_hours": total(job.hours for job in jobs if job.rule == "pack_shard"),
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


def csv_lines(plan: dict) -> pd.DataFrame:
    """One line a job, or store: what is planned, then `actual_…`."""
    lines = pd.json_normalize(plan["jobs"], sep="_")
    return lines.drop(columns=["after", "actual"], errors="ignore")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--records", required=True, help="folder of logs, with records of cost")
    parser.add_argument("--stores", nargs="*", default=[], help="to pack, such as train_S256")
    parser.add_argument("--models", nargs="*", default=[], help="that are trained or imported")
    parser.add_argument("--splits", nargs="*", default=[], help="that have labels")
    parser.add_argument("--submissions", nargs="*", default=[], help="for the test server")
    parser.add_argument("--rates", help="summary.json of `benchmark`: rates measured, not stated")
    parser.add_argument("--index", action="store_true", help="link the page to the index beside it")
    parser.add_argument("--page", required=True, help="the HTML page to write")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    config = read_valid("config", given.config)
    if given.rates:
        precision = config["evaluate"]["precision"]
        config |= {"plan": measured_rates(given.rates, config["plan"], precision)}
    definitions, claims = read_yaml(config["models"]), read_yaml(config["claims"])
    tables = read_tables(config["tables"])
    planner = Planner(config, definitions["convnets"], definitions["models"], Path(given.results))
    evaluations = all_evaluations(tables, claims, given.models, given.splits, given.submissions)
    checked = []
    if config["evaluate"]["precision"] != "float32":
        checked = all_checked(tables, given.models)
    jobs = planner.jobs(given.stores, given.models, evaluations, given.splits, checked)
    plan = make_plan(planner, jobs, read_records(given.records))

    print(plan_tables.as_text(plan))
    write_json(f"{given.output}.json", plan)
    with whole_file(f"{given.output}.csv") as temporary:
        csv_lines(plan).to_csv(temporary, index=False)
    with whole_file(given.page) as temporary:
        temporary.write_text(pages.render_plan(plan, config, given.index), encoding="utf-8")
    print(f"\nThe same as a page: {os.path.abspath(given.page)}")


if __name__ == "__main__":
    command.run(main)
