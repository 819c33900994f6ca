"""Averaging the posteriors of a fusion: a cell of Table 6 at full size."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from workflow_scripts.vgg.evaluation.posteriors import outcomes, write_posteriors

from .measuring import Line, Measured, alternate, stopwatch

MODELS, SCALES, IMAGES, CLASSES = 7, 3, 50_000, 1_000
FEWER_IMAGES = 5_000  # for the rival, which holds all in memory
MOST_SECONDS, MOST_MEMORY_MB = 60, 2_000


def posteriors(folder: Path, files: int, images: int) -> list[Path]:
    """Posterior files of random nets."""
    draw = np.random.default_rng(0)
    ids = [f"ILSVRC2012_val_{place:08d}" for place in range(1, images + 1)]
    labels = draw.integers(0, CLASSES, images, np.int32)
    paths = []
    for number in range(files):
        values = draw.standard_exponential((images, CLASSES), np.float32)
        values /= values.sum(1, keepdims=True)
        paths.append(folder / f"{images}_{number}.parquet")
        write_posteriors(paths[-1], ids, labels, values, metadata={})
    return paths


def whole_files(paths: list[Path]) -> float:
    """The straightforward way: all files in memory, their mean, a sort of each row."""
    stacked = np.stack([np.vstack(pq.read_table(p)["posterior"].to_numpy()) for p in paths])
    labels = pq.read_table(paths[0])["label"].to_numpy()
    highest = np.argsort(-stacked.mean(0), axis=1)[:, :5]
    return float((highest != labels[:, None]).all(1).mean())


def in_a_process(paths: list[Path]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a process that computes the outcomes of the mean, on one
    core."""
    code = (
        "import json, sys, time; import pyarrow;"
        "from workflow_scripts.vgg.core import costs;"
        "from workflow_scripts.vgg.evaluation import posteriors;"
        "pyarrow.set_cpu_count(1); pyarrow.set_io_thread_count(1);"
        "start = time.perf_counter(); posteriors.outcomes(sys.argv[1:]);"
        "print(json.dumps([time.perf_counter() - start, costs.peak_memory() / 1024]))"
    )
    words = [sys.executable, "-c", code, *map(str, paths)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    seconds, memory = json.loads(printed)
    return seconds, memory


def lines(folder: Path) -> list[Line]:
    """The lines on averages; `folder` is for 4.2 GB of files."""
    cell = f"Table 6's cell: {MODELS} models × {SCALES} Q × {IMAGES:,} × {CLASSES:,}"
    paths = posteriors(folder, MODELS * SCALES, IMAGES)
    runs = [in_a_process(paths) for _ in range(5)]
    seconds, memory = (Measured("ours", list(own), seconds=True) for own in zip(*runs, strict=True))
    for path in paths:
        path.unlink()
    paths = posteriors(folder, MODELS * SCALES, FEWER_IMAGES)
    measured = alternate(
        {
            "ours": lambda: FEWER_IMAGES / stopwatch(partial(outcomes, paths)),
            "all files in memory": lambda: FEWER_IMAGES / stopwatch(partial(whole_files, paths)),
        }
    )
    return [
        Line.at_most("averages", cell, "s", seconds, MOST_SECONDS),
        Line.at_most("averages", f"{cell}, peak memory", "MB", memory, MOST_MEMORY_MB),
        Line(
            "averages",
            f"{MODELS * SCALES} files of {FEWER_IMAGES:,} images",
            "images/s",
            ours=measured["ours"],
            rival=measured["all files in memory"],
        ),
    ]
