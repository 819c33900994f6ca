"""Measure this machine's speed: ours, what one would use instead, and the machine's own limit.

On a node with a GPU, training and evaluation are measured on it, and the projected hours of every
training of the paper follow. Nothing else should run meanwhile. `snakemake benchmarks` runs it, and
`snakemake plan` uses what it finds.

Example:

    python -m workflow_scripts.benchmark --parts averages --output mine
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from workflow_scripts.bench import (
    averaging_speed,
    classification_speed,
    classifier_speed,
    description_speed,
    evaluation_speed,
    loading_speed,
    merging_speed,
    orchestration_speed,
    packing_speed,
    process_scaling,
    speed_summary,
    speed_tables,
    training_speed,
)
from workflow_scripts.bench.measuring import Growth, Line
from workflow_scripts.bench.photographs import photographs
from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.devices import describe_hardware, pick_device

# Each part with the packages of its rivals and images
PARTS = {
    "loading": ("datasets", "skimage", "torchvision", "webdataset"),
    "packing": ("skimage",),
    "training": ("skimage", "torchvision"),
    "evaluation": ("skimage", "torchvision"),
    "averages": (),
    "merging": (),
    "features": ("skimage", "sklearn", "torchvision"),
    "classify": ("skimage", "torchvision"),
    "orchestration": (),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument(
        "--precision", choices=precision.OF_TRAINING, default="auto", help="of training"
    )
    parser.add_argument(
        "--evaluate-precision", choices=precision.OF_EVALUATION, default="tf32", help="where it is"
    )
    parser.add_argument(
        "--threads", type=int, default=command.available_cpus(), help="CPU threads, and loaders + 1"
    )
    parser.add_argument(
        "--scratch", help="folder for 5 GB of temporary files; default: the system's"
    )
    parser.add_argument(
        "--config", default=orchestration_speed.FULL, help="whose trainings to project"
    )
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    for name in dict.fromkeys(name for part in given.parts for name in PARTS[part]):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"{name} is not installed; the rivals come with the tests: "
                "pip install -r envs/requirements-dev.txt"
            )
    device = pick_device(given.device, given.threads)
    computes_in = precision.resolved(given.precision, device)
    evaluates_in = precision.resolved(given.evaluate_precision, device)
    workers = max(1, given.threads - 1)
    # An error in the configuration shows before anything is measured.
    speed_summary.projected(
        [], dict.fromkeys(speed_summary.RATES, 1.0), given.threads, given.config
    )
    lines: list[Line] = []
    growths: list[Growth] = []
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory(dir=given.scratch, prefix="benchmark-") as name:
        folder = Path(name)
        if any("skimage" in PARTS[part] for part in given.parts):
            encoded = list(photographs(max(loading_speed.IMAGES, loading_speed.GROWING[-1])))
            few = encoded[: loading_speed.IMAGES]
            original = loading_speed.shard_of(folder / "bench.arrow", few, None)
            rescaled = loading_speed.shard_of(folder / "bench256.arrow", few, 256)
        steps: dict[str, Callable[[], tuple[list[Line], list[Growth]]]] = {
            "loading": lambda: (
                loading_speed.lines(folder, few),
                loading_speed.growth(folder, encoded),
            ),
            "packing": lambda: (
                packing_speed.lines(folder, encoded),
                packing_speed.growth(folder, encoded),
            ),
            "training": lambda: (
                training_speed.lines(rescaled, device, computes_in, given.threads, workers),
                process_scaling.growth(rescaled, given.threads),
            ),
            "evaluation": lambda: (
                evaluation_speed.lines(original, folder, device, given.threads, evaluates_in),
                evaluation_speed.growth(device),
            ),
            "averages": lambda: (averaging_speed.lines(folder), []),
            "merging": lambda: (merging_speed.lines(), merging_speed.growth()),
            "features": lambda: (
                [
                    *description_speed.lines(original, folder, device, given.threads, evaluates_in),
                    *classifier_speed.lines(given.threads),
                ],
                [],
            ),
            "classify": lambda: (
                classification_speed.lines(folder, few, device, given.threads, evaluates_in),
                [],
            ),
            "orchestration": lambda: (
                orchestration_speed.lines(),
                orchestration_speed.growth(folder),
            ),
        }
        for part in given.parts:
            logging.info("measuring %s", part)
            found, grown = steps[part]()
            lines += found
            growths += grown
            print(
                speed_tables.as_text(speed_tables.tables(lines[-len(found) :], grown)), flush=True
            )
    measured = speed_summary.summary(
        lines,
        growths,
        {
            "hardware": describe_hardware(device),
            "device": device.type,
            "threads": given.threads,
            "precision": computes_in,
            "evaluate_precision": evaluates_in,
            "torch": torch.__version__,
            "started": started.isoformat(timespec="seconds"),
            "minutes": (datetime.now(UTC) - started).total_seconds() / 60,
        },
        given.config,
    )
    print(speed_tables.as_text(speed_tables.projected_tables(measured)))
    write_json(f"{given.output}.json", measured)
    with whole_file(f"{given.output}.csv") as temporary:
        pd.DataFrame(measured["lines"]).to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    command.run(main)
