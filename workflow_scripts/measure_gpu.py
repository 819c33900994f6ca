"""Measure a GPU within minutes: whether it computes the right thing, how fast, and what would help.

Each finding is printed as a line of JSON and appended to OUT/results.jsonl at once. A part that
fails says so and the next begins; parts that no longer fit into the budget are left out. At the end
comes a table, also in OUT/summary.md. docs/gpu.md explains the parts. Status 1 if one was wrong.

Example:

    python -m workflow_scripts.measure_gpu mine --small
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from workflow_scripts.bench import loading_speed, session_correctness, session_speed
from workflow_scripts.bench.session import Part, Session
from workflow_scripts.bench.session_expected import EXPECTED
from workflow_scripts.bench.session_setting import Setting
from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, code_fingerprint
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.nets.devices import describe_hardware, driver_version, pick_device

PARTS = [  # what matters most comes first; seconds as an H100 took them
    Part("machine", 5, session_speed.machine),
    Part("limits", 35, session_speed.limits),
    Part("parity", 20, session_correctness.parity, judges=True),
    Part("repeat", 8, session_correctness.repeat, judges=True),
    Part("dropout", 3, session_correctness.dropout, judges=True),
    Part("dense", 4, session_correctness.dense, judges=True),
    Part("resume", 70, session_correctness.resume, judges=True),
    Part("memory", 3, session_correctness.memory, judges=True),
    Part("step", 25, session_speed.step),
    Part("loader", 95, session_speed.loader),
    Part("evaluate", 90, session_speed.evaluate),
    Part("alone", 10, session_speed.alone),
    Part("rival", 60, session_speed.rival),
    Part("compiled", 20, session_speed.compiled),
    Part("profile", 5, session_speed.profile),
]
IMAGES = 256  # of a shard


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("out", type=Path, help="folder for what is found")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument(
        "--budget", type=float, default=480, help="seconds; a part that may exceed it is left out"
    )
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], default=[])
    parser.add_argument(
        "--small", action="store_true", help="narrow nets and few images, to try it on a CPU"
    )
    parser.add_argument(
        "--shard", type=Path, help="of photographs, such as results/…/shards/val/00000.arrow"
    )
    given = parser.parse_args(arguments)
    if given.budget <= 0:
        raise InputError(f"a budget of {given.budget:g} s: give some seconds")
    cores = command.available_cpus()
    device = pick_device(given.device, 1 if given.small else cores)
    if device.type == "cpu" and not given.small:
        raise InputError(
            "no GPU is here: give --small to try the session on the CPU; how fast a CPU is, "
            "workflow_scripts.benchmark measures"
        )
    given.out.mkdir(parents=True, exist_ok=True)
    session = Session(given.out, given.budget, describe_hardware(device))
    with tempfile.TemporaryDirectory(prefix="session-") as name:
        folder = Path(name)
        original = given.shard or photographs_in(folder, 32 if given.small else IMAGES)
        shards = Shards([original])
        encoded = [bytes(shards.jpeg(place)) for place in range(min(len(shards), IMAGES))]
        rescaled = loading_speed.shard_of(folder / "256.arrow", encoded, 256)
        setting = Setting(device, given.small, cores, folder, original, rescaled)
        for part in PARTS:
            if not given.only or part.name in given.only:
                session.run(part, setting)
        if (kernels := folder / "profile.txt").exists():
            (given.out / kernels.name).write_text(kernels.read_text())
    session.finish(_title(session.hardware), EXPECTED)
    if session.wrong:
        sys.exit(1)


def _title(hardware: str) -> str:
    """The card, the versions and the day of the session."""
    versions = {
        "driver": driver_version(),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),
        "code": code_fingerprint(),
    }
    told = [f"{name} {version}" for name, version in versions.items() if version]
    return f"{', '.join([hardware, *told])}; {datetime.now(UTC):%d %B %Y}"


def photographs_in(folder: Path, number: int) -> Path:
    """A shard of photographs. Raises InputError without scikit-image, whose they are."""
    try:
        from workflow_scripts.bench.photographs import photographs

        encoded = list(photographs(number))
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed, whose photographs are measured with: pip install "
            "scikit-image, or give a shard of your own with --shard"
        ) from error
    return loading_speed.shard_of(folder / "original.arrow", encoded, None)


if __name__ == "__main__":
    command.run(main)
