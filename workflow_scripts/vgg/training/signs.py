"""Signs of a training: a small file beside its checkpoints that says how far it is, and where.

The training writes it every ten seconds; `workflow_scripts.status` reads it, at any time and from
any node. Which files there are checkpoints is here as well, since nothing here loads torch.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from ..core.files import InputError
from ..core.text_artefacts import read_json, write_json

FILE = "progress.json"
INTERVAL = 10.0  # seconds between signs
LARGEST = 1e300  # of a number that is one
STARTING, TRAINING, VALIDATING = PRESENT = ("starting", "training", "validating")
FINISHED, STOPPED, FAILED = OUTCOMES = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class Sign:
    """How far a training is. What is not known yet is None.

    state: of PRESENT or OUTCOMES. time, started: of this sign and of the attempt, in seconds since
        1970 by the clock of the node.
    message: why it failed, in words.
    iterations: the most that it has.
    loss: mean over the last iterations that are known, in nats.
    validation: the last line of the history, by its columns but for those without a number.
    images_per_second: of training alone. seconds_left: at most, validations included.
    """

    state: str
    time: float
    started: float
    node: str
    pid: int
    slurm_job_id: str | None = None
    message: str | None = None
    device: str | None = None
    processes: int = 1
    attempts: int = 1
    batch_size: int | None = None
    iteration: int | None = None
    iterations: int | None = None
    learning_rate: float | None = None
    loss: float | None = None
    validation: dict | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None


KINDS = get_type_hints(Sign)


class Signs:
    """Leaves signs of a training in the folder of its checkpoints, one every INTERVAL at most.

    The first has the numbers of an earlier attempt. A sign that cannot be written is passed over,
    with a warning the first time: no training fails for it.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        now = time.time()
        own = {"node": os.uname().nodename, "pid": os.getpid(), "started": now, "time": now}
        own |= {"slurm_job_id": os.environ.get("SLURM_JOB_ID"), "state": STARTING, "message": None}
        earlier = read_sign(self.folder)
        self.sign = Sign(**((asdict(earlier) if earlier else {}) | own))
        self.facts: Callable[[], dict] = dict
        self.first = 0  # the iteration that this attempt began after
        self.spent = dict.fromkeys((*PRESENT, *OUTCOMES), 0.0)  # seconds of this attempt, by state
        self.last, self.due, self.warned = time.monotonic(), 0.0, False

    def begin(self, iteration: int, facts: Callable[[], dict]) -> None:
        """Note that the training is ready to go on from an iteration.

        facts: gives the fields of `Sign` that tell how far it is, whenever a sign is due.
        """
        self.first, self.facts = iteration, facts

    def give(self, state: str, message: str | None = None) -> None:
        """Take note that the training is in a state, and leave a sign of it if one is due."""
        now = time.monotonic()
        self.spent[self.sign.state] += now - self.last
        self.last = now
        self.sign = replace(self.sign, state=state, message=message)
        if now < self.due and state in PRESENT:
            return
        self.due = now + INTERVAL
        self.sign = replace(self.sign, time=time.time(), **self.facts())
        self.sign = replace(self.sign, **self._speed())
        try:
            write_json(self.folder / FILE, asdict(self.sign))
        except (OSError, ValueError, InputError) as error:
            if not self.warned:
                logging.warning("no sign of this training for `status`: %s", error)
            self.warned = True

    def _speed(self) -> dict[str, Any]:
        """The speed of this attempt, and the time left at that; nothing before its first steps."""
        iteration, iterations = self.sign.iteration, self.sign.iterations
        training = self.spent[TRAINING]
        if iteration is None or iterations is None or iteration <= self.first or not training:
            return {}
        done = iteration - self.first
        seconds = (training + self.spent[VALIDATING]) / done
        return {
            "images_per_second": done * (self.sign.batch_size or 0) / training,
            "seconds_left": (iterations - iteration) * seconds,
        }


def read_sign(folder: str | Path) -> Sign | None:
    """The last sign in a training's folder of checkpoints; None if there is none, or no whole one.

    Fields that this version does not know are left out. One of another type than its own is damage.
    """
    try:
        content = read_json(Path(folder) / FILE)
        known = {name: content[name] for name in content.keys() & KINDS}
        sign = Sign(**known)
    except (OSError, TypeError, InputError):
        return None
    whole = all(fits(value, KINDS[name]) for name, value in known.items())
    return sign if whole and sign.state in (*PRESENT, *OUTCOMES) else None


def fits(value: object, kind: Any) -> bool:
    """True if a value from a JSON file is of a field's type, such as `float | None`.

    A whole number is a float as well. Of no type are NaN, numbers that no float can hold, and text
    that is no Unicode; a mapping's values are to be numbers.
    """
    kinds = get_args(kind) or (kind,)
    if type(value) not in kinds and not (type(value) is int and float in kinds):
        return False
    match value:
        case int() | float():
            return abs(value) < LARGEST
        case str():
            return value.encode(errors="ignore").decode() == value
        case dict():
            return all(fits(entry, float) for entry in value.values())
    return True


def checkpoints_in(folder: str | Path) -> list[Path]:
    """The checkpoints in a training's folder, the newest last: files whose name is an iteration.

    Others, such as a user's backup.pt, are none.
    """
    numbered = [path for path in Path(folder).glob("*.pt") if path.stem.isdecimal()]
    return sorted(numbered, key=lambda path: int(path.stem))


def age_of_sign(folder: str | Path, sign: Sign, now: float) -> float:
    """The seconds since a sign was given, as far as clocks can tell.

    Its own time is by the clock of the training's node, the file's by that of the file system. A
    node whose clock is late, or files copied without their times, must not let a training look
    silent: the younger age counts. A time that is yet to come is not counted.
    """
    times = [sign.time]
    with contextlib.suppress(OSError):
        times.append((Path(folder) / FILE).stat().st_mtime)
    return min((now - moment for moment in times if moment <= now), default=0.0)
