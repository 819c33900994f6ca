"""Measure a GPU within minutes: whether it computes the right thing, how fast, and what would help.

Each finding is printed as a line of JSON and appended to OUT/results.jsonl at once. A part that
fails says so and the next begins; parts that no longer fit into the budget are left out. At the end
comes a table, also in OUT/summary.md. docs/gpu.md explains the parts. Status 1 if one was wrong.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.bench import loading, session_fast, session_right
from workflow_scripts.bench.session import Part, Session, Setting
from workflow_scripts.vgg import command
from workflow_scripts.vgg.devices import pick_device
from workflow_scripts.vgg.files import InputError
from workflow_scripts.vgg.shards import Shards

PARTS = [  # what matters most comes first; seconds as they are expected of an H100
    Part("machine", 5, session_fast.machine),
    Part("limits", 10, session_fast.limits),
    Part("parity", 30, session_right.parity),
    Part("repeat", 20, session_right.repeat),
    Part("dropout", 3, session_right.dropout),
    Part("dense", 10, session_right.dense),
    Part("resume", 45, session_right.resume),
    Part("memory", 6, session_right.memory),
    Part("step", 60, session_fast.step),
    Part("loader", 60, session_fast.loader),
    Part("evaluate", 60, session_fast.evaluate),
    Part("alone", 25, session_fast.alone),
    Part("rival", 60, session_fast.rival),
    Part("compiled", 55, session_fast.compiled),
    Part("profile", 12, session_fast.profile),
]
# Part, beginning of what was found, and what arithmetic or others' figures let expect of an H100.
EXPECTED = [
    ("limits", "kernels in bfloat16", "about 790 TFLOP/s"),
    ("limits", "kernels in tf32", "about 400 TFLOP/s"),
    ("limits", "kernels in float32", "about 50 TFLOP/s"),
    ("limits", "copy of 256 images, pinned", "1–2 ms"),
    ("limits", "copy of 256 images, pageable", "5–12 ms"),
    *(("parity", f"{net}, {way}", f"to {size}") for net in ("A", "A-LRN", "C", "D", "E")
      for way, size in (("CPU float32", "1e-5"), ("float32", "1e-5"), ("tf32", "1e-3"),
                        ("bfloat16", "1e-2"), ("float16", "1e-3"))),
    ("step", "A, ours", "5,000–6,500 images/s"),
    ("step", "D, ours", "2,800–3,400 images/s"),
    ("step", "E, ours", "2,300–2,700 images/s"),
    ("rival", "A, torchvision, compiled", "1.15–1.3 times eager"),
    ("rival", "D, torchvision, compiled", "1.15–1.3 times eager"),
    ("compiled", "D, features compiled", "1.15–1.3 times ours"),
    ("loader", "loader, S = 256", "over 15,000 images/s by 15 workers"),
    ("loader", "loader, S in", "over 8,000 images/s by 15 workers"),
    ("loader", "A from the loader, copies on its own", "waiting under 0.03"),
    *((part, f"{what} {precision}", f"{size} TFLOP/s") for part, what in (
        ("evaluate", "dense, Q = 256,"), ("evaluate", "dense, Q = 384,"),
        ("evaluate", "dense, Q = 512,"), ("evaluate", "multicrop, Q = 384,"),
        ("alone", "D alone, Q = 256, 73 images,"), ("alone", "D alone, Q = 512, 18 images,"))
      for precision, size in (("float32", "30–45"), ("tf32", "150–220"), ("bfloat16", "250–350"),
                              ("float16", "250–350"))),
]  # fmt: skip


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
    session = Session(given.out, given.budget)
    with tempfile.TemporaryDirectory(prefix="session-") as name:
        folder = Path(name)
        original = given.shard or photographs_in(folder, 32 if given.small else 256)
        few = Shards([original])
        encoded = [bytes(few.jpeg(place)) for place in range(min(len(few), 256))]
        rescaled = loading.shard_of(folder / "256.arrow", encoded, 256)
        setting = Setting(device, given.small, cores, folder, original, rescaled)
        for part in PARTS:
            if not given.only or part.name in given.only:
                session.run(part, setting)
        if (kernels := folder / "profile.txt").exists():
            (given.out / kernels.name).write_text(kernels.read_text())
    session.finish(EXPECTED)
    if not session.right:
        sys.exit(1)


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
    return loading.shard_of(folder / "original.arrow", encoded, None)


if __name__ == "__main__":
    command.run(main)
