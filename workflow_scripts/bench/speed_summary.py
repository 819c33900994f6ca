"""All that was measured, and what it means for the paper's trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.planning.planner import Planner
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.settings.experiments import files_of, read_models, scale_name
from workflow_scripts.vgg.settings.net_uses import is_library_net

from .measuring import Growth, Line

FULL_SIZE = {"crop": 224, "fc": 4096, "width_divisor": 1}  # a configuration's convnet

RATES = {"train_tflops": "training", "evaluate_tflops": "evaluation"}  # from a part's lines


def sustained(rows: Sequence[dict], part: str) -> float | None:
    """TFLOP/s over a part's lines in which a net computes, each with the same weight in images."""
    own = [row for row in rows if row["part"] == part and row["flop"]]
    if not own:
        return None
    return sum(row["flop"] for row in own) / sum(row["flop"] / _flops(row) for row in own) / 1e12


def _flops(row: dict) -> float:
    return row["ours"] * row["flop"]


def summary(lines: Sequence[Line], growths: Sequence[Growth], machine: dict, config: str) -> dict:
    """All that was measured: lines, growth, the machine, sustained rates and projected hours."""
    rows = [line.row() for line in lines]
    rates = {key: sustained(rows, part) for key, part in RATES.items()}
    return {
        "machine": machine,
        "rates": rates,
        "lines": rows,
        "growth": [growth.row() for growth in growths],
        "projected": projected(rows, rates, machine["threads"], config)
        if all(rates.values())
        else [],
    }


def projected(rows: Sequence[dict], rates: dict, threads: int, path: str) -> list[dict]:
    """Hours of each training of a configuration, and images a second that it needs and gets.

    Raises InputError if the configuration's nets are not of full size, as those measured are.
    """
    config = read_valid("config", path)
    if config["convnet"] != FULL_SIZE:
        raise InputError(
            f"{path}: its nets are smaller than those that are measured, whose rate says nothing "
            "of their hours; give a configuration of full size, such as config/ilsvrc2012.yaml"
        )
    definitions = read_models(files_of(config["models"]))
    config |= {"plan": config["plan"] | rates}
    planner = Planner(config, definitions["convnets"], definitions["models"], Path("results"))
    trained = {n: m for n, m in definitions["models"].items() if not is_library_net(m["net"])}
    stores = [f"train_S{scale_name(model['S'])}" for model in trained.values()]
    loaded = {row["name"]: row["ours"] for row in rows if row["part"] == "loading"}
    made = []
    for name, model in trained.items():
        job = planner.training(name, stores)
        scale = scale_name(model["S"])
        kind = f"S in [{scale.replace('-', ';')}]" if "-" in scale else f"S = {scale}"
        delivered = loaded.get(f"shards, {kind}")
        made.append(
            {
                "model": name,
                "hours": job.hours,
                "needed": rates["train_tflops"] * 1e12 / job.flop_per_image,
                "delivered": delivered and delivered * max(1, threads - 1),
            }
        )
    return made
