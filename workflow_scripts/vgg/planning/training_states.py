"""How far each training of a run is, from the files that it leaves: no training is asked.

Read are the signs beside its checkpoints, its weights, history and log, and the record of its cost.
Each may be missing, damaged or late, as on a network file system.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_type_hints

from ..core.costs import SUFFIX
from ..core.files import InputError
from ..core.text_artefacts import read_json
from ..settings import experiments, training_rules
from ..settings.run import Run
from ..training.history import read_history
from ..training.signs import (
    FILE,
    INTERVAL,
    PRESENT,
    TRAINING,
    Sign,
    age_of_sign,
    checkpoints_in,
    fits,
    read_sign,
)

SILENT = 300.0  # seconds without a sign after which a training may have died
SLOW = 3  # iterations for which a training may be silent, if these take longer
GONE = 3 * INTERVAL  # seconds after which the number of its process is looked up
ERRORS = ("top1", "top5", "gtloc")  # of a validation
TAIL = 4096  # bytes of a log that hold its last line
ERROR = "error: "  # begins that line if the job has failed; see core/command.py


@dataclass(frozen=True)
class TrainingState:
    """How far a training is. What is not known, or does not apply, is None.

    training: its model, behind the folder of its seed if that is not the first.
    state: imported, finished, starting, training or validating; stopped (at a checkpoint), failed,
        killed (its process is gone) or silent (no sign for long); waiting.
    waits_for: the training or files that it needs first.
    iterations: the most that it has. validated: iteration of the last validation.
    top1, top5, gtloc: errors there, in percent.
    seconds_left: at most. age: seconds since the last sign.
    finished: time, in ISO format and UTC. took: seconds, of all attempts.
    message: why it failed.
    node: None, too, of a training that leaves checkpoints but no signs.
    """

    training: str
    model: str
    seed: int | None
    state: str
    waits_for: str | None = None
    iteration: int | None = None
    iterations: int | None = None
    learning_rate: float | None = None
    loss: float | None = None
    validated: int | None = None
    top1: float | None = None
    top5: float | None = None
    gtloc: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    age: float | None = None
    finished: str | None = None
    took: float | None = None
    attempts: int | None = None
    node: str | None = None
    device: str | None = None
    processes: int | None = None
    slurm_job_id: str | None = None
    message: str | None = None
    log: str | None = None


KINDS = get_type_hints(TrainingState)


def training_states(run: Run, now: float) -> list[TrainingState]:
    """The state of each training of a run, parents before children, one seed after the other.

    now: seconds since 1970.
    """
    models = [model for model in in_order(run) if model in run.available]
    imported = [_imported(run, model) for model in models if model in run.imported]
    trained = [model for model in models if model in run.trained]
    return [
        *imported,
        *(_state(run, model, seed, now) for seed in run.seeds for model in trained),
    ]


def in_order(run: Run) -> list[str]:
    """All models, each behind its parent."""
    order: dict[str, None] = {}

    def add(model: str) -> None:
        if parent := run.models[model].get("parent"):
            add(parent)
        order[model] = None

    for model in run.models:
        add(model)
    return list(order)


def _imported(run: Run, model: str) -> TrainingState:
    there = os.path.exists(f"{run.results}/weights/{model}.safetensors")
    return TrainingState(
        model, model, None, "imported" if there else "waiting",
        waits_for=None if there else run.imported[model]["file"],
    )  # fmt: skip


def _state(run: Run, model: str, seed: int, now: float) -> TrainingState:
    replicate = run.replicates.get(seed, "")
    folder = Path(run.results, replicate, "checkpoints", model)
    log = Path(run.logs, "train_convnet", f"{replicate}{model}.log")
    stage = experiments.STAGES[run.models[model].get("inherit")]
    known = {
        "training": f"{replicate}{model}",
        "model": model,
        "seed": seed,
        "iterations": run.config["train"]["stages"][stage]["iterations"],
        "log": str(log) if os.path.exists(log) else None,
    }
    if os.path.exists(f"{run.results}/{replicate}weights/{model}.safetensors"):
        history = Path(run.results, replicate, "history", f"{model}.csv")
        return TrainingState(**known | {"state": "finished"} | _ended(history) | _cost_of(log))
    sign = read_sign(folder)
    if sign:
        known |= _told(sign)
    if told := _error(log, folder):
        return TrainingState(**known | {"state": "failed", "message": told})
    if sign:
        age = age_of_sign(folder, sign, now)
        return TrainingState(**known | {"state": _alive(sign, age), "age": age})
    waits = {"state": "waiting", "waits_for": _needs(run, model, replicate)}
    return TrainingState(**known | (_without_signs(folder, now) or waits))


def _without_signs(folder: Path, now: float) -> dict:
    """How far a training is by its newest checkpoint alone; nothing if it has none."""
    for path in reversed(checkpoints_in(folder)):
        try:
            age = max(0.0, now - path.stat().st_mtime)
        except OSError:  # a newer one has taken its place
            continue
        state = "silent" if age > SILENT else TRAINING
        return {"state": state, "iteration": int(path.stem), "age": age}
    return {}


def _told(sign: Sign) -> dict:
    """What a sign says."""
    names = (
        *("iteration", "learning_rate", "loss", "images_per_second", "seconds_left", "attempts"),
        *("node", "device", "processes", "slurm_job_id", "message"),
    )
    told = {name: getattr(sign, name) for name in names}
    if sign.iterations is not None:
        told["iterations"] = sign.iterations
    return told | _validated(sign.validation or {})


def _validated(line: dict) -> dict:
    """The last validation, of a history's line by its columns."""
    errors = {name: line.get(f"val_{name}_error") for name in ERRORS}
    return {"validated": line.get("iteration"), **errors}


def _alive(sign: Sign, age: float) -> str:
    """The state of a training whose last sign is so old."""
    if sign.state not in PRESENT:
        return sign.state
    if age > GONE and sign.node == os.uname().nodename and _is_gone(sign.pid):
        return "killed"
    slow = 0.0
    if sign.images_per_second and sign.batch_size:
        slow = SLOW * sign.batch_size / sign.images_per_second
    return "silent" if age > max(SILENT, slow) else sign.state


def _is_gone(pid: int) -> bool:
    """True if this node has no such process, as far as can be told."""
    return os.path.exists("/proc/self") and not os.path.exists(f"/proc/{pid}")


def _error(log: Path, folder: Path) -> str | None:
    """The error that a job's log ends with, if that is newer than the training's last sign."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
        signs = [path.stat().st_mtime for path in folder.glob(FILE)]
        newer = log.stat().st_mtime >= max(signs, default=0)
    except OSError:
        return None
    last = lines[-1] if lines else ""
    return last.removeprefix(ERROR) if newer and last.startswith(ERROR) else None


def _ended(history: Path) -> dict:
    """The end of a finished training, as its history has it."""
    try:
        last = read_history(history).lines[-1]
    except (OSError, InputError, IndexError):
        return {}
    known = {name: value for name, value in vars(last).items() if fits(value, float)}
    return {
        "iteration": known.get("iteration"),
        "learning_rate": known.get("learning_rate"),
        "loss": known.get("train_loss"),
        "images_per_second": known.get("images_per_second"),
        **_validated(known),
    }


def _cost_of(log: Path) -> dict:
    """When a training has finished, how long it took, and where it ran, by its record of cost."""
    try:
        record = read_json(log.with_suffix(SUFFIX), ("finished", "wall_seconds", "node"))
        datetime.fromisoformat(record["finished"]).astimezone()
    except (OSError, InputError, TypeError, ValueError, OverflowError):
        return {}
    told = {
        "finished": record["finished"],
        "took": record["wall_seconds"],
        "device": record.get("hardware"),
        **{name: record.get(name) for name in ("attempts", "node", "processes", "slurm_job_id")},
    }
    return told if all(fits(value, KINDS[name]) for name, value in told.items()) else {}


def _needs(run: Run, model: str, replicate: str) -> str | None:
    """What a training that has not begun waits for; None if all is there."""
    parent = training_rules.parent_weights(run, model, replicate)
    if parent and not os.path.exists(str(parent)):
        name = run.models[model]["parent"]
        return name if name in run.imported else f"{replicate}{name}"
    shards = [*training_rules.training_shards(run, model), *training_rules.validation_shards(run)]
    there = all(map(os.path.exists, [*shards, f"{run.results}/statistics.json"]))
    return None if there else "its images"
