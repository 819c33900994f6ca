"""How much faster several processes train than one, from the histories of trainings (paper §3.3).

Trainings of different nets compare by the arithmetic that they sustain: images a second times the
FLOP of an image in training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..nets.safetensors_checks import check_header
from ..settings.experiments import seed_folder
from ..training.history import read_history
from .uncertainty import RESAMPLES

SPEED_KEYS = (
    "processes",
    "trainings",
    "baseline",
    "hardware",
    "tflops",
    "speedup",
    "low",
    "high",
    "efficiency",
)
DESCRIBING = {"net", "S", "architecture", "optimisation", "hardware", "processes"}  # a training


@dataclass(frozen=True)
class Trial:
    """One training's speed: images a second of all its processes, one number a validation interval.

    metadata: of its weights file.
    """

    name: str
    metadata: dict
    images_per_second: list[float]

    @property
    def kind(self) -> tuple:
        """The same for two trainings if they do the same arithmetic on each image."""
        return (
            self.metadata["net"],
            *self.metadata["S"],
            self.metadata["optimisation"]["trainable"],
        )

    def tflops(self) -> list[float]:
        """TFLOP/s sustained by all processes, in each interval but the first.

        The first holds the start of the workers and of the device's libraries; it is kept if there
        are fewer than three.
        """
        # These import torch, which a run that has nothing to compare does not wait for.
        from ..nets.convnets import Architecture
        from ..planning.arithmetic import built, training_flop

        net = built(Architecture(**self.metadata["architecture"]))
        flop = training_flop(net, self.metadata["optimisation"]["trainable"])
        steady = self.images_per_second[1 if len(self.images_per_second) >= 3 else 0 :]
        return [rate * flop / 1e12 for rate in steady]


def read_trial(folder: str, model: str, name: str) -> Trial:
    """A training by the weights and history that it left in a seed's folder of the results.

    Raises InputError if a file is missing, or is not what a training writes.
    """
    weights = Path(folder, f"weights/{model}.safetensors")
    history = Path(folder, f"history/{model}.csv")
    cure = "throughput needs what a training wrote; train the model, or leave it out"
    try:
        metadata = {key: json.loads(value) for key, value in check_header(weights).items()}
        if missing := sorted(DESCRIBING - set(metadata)):
            raise ValueError(f"no {', '.join(missing)}")
    except ValueError as error:
        raise InputError(f"{weights}: not the weights of a training ({error}); {cure}") from error
    rates = [rate for _, rate in read_history(history).measured("images_per_second")]
    if not rates:
        raise InputError(f"{history}: has no speed in images_per_second; {cure}")
    return Trial(name, metadata, rates)


def read_trials(results: str, models: Sequence[str], seeds: Sequence[int]) -> list[Trial]:
    """The trainings of all seeds; those of others than the first are named "seed1/<model>"."""
    return [
        read_trial(
            seed_folder(results, seed, seeds),
            model,
            model if seed == seeds[0] else f"seed{seed}/{model}",
        )
        for seed in seeds
        for model in models
    ]


def speedups(trials: Sequence[Trial], seed: int = 0) -> list[dict]:
    """The arithmetic that each number of processes sustains, and how much faster than one it is.

    Gives dicts of SPEED_KEYS. tflops: the median over the intervals of `trainings`, of all
    processes together. speedup: over the median of `baseline`, trainings by one process on the same
    hardware, with its 95% bootstrap interval over the intervals of both; efficiency: speedup /
    processes. These are None where no training had one process. If both sides have trained the same
    net at the same S, only these are compared. `seed` is the bootstrap's.

    Empty if all trainings had the same number of processes. Successive intervals of a training are
    alike, and nodes that are slow for other reasons are not told apart, so the interval is no more
    than the noise between the intervals.
    """
    groups: dict[tuple[str, int], list[Trial]] = {}
    for trial in trials:
        place = trial.metadata["hardware"], trial.metadata["processes"]
        groups.setdefault(place, []).append(trial)
    if len({processes for _, processes in groups}) < 2:
        return []
    return [
        _speedup(hardware, processes, own, single=groups.get((hardware, 1), []), seed=seed)
        for (hardware, processes), own in sorted(groups.items(), key=lambda group: group[0])
    ]


def _speedup(
    hardware: str, processes: int, own: list[Trial], single: list[Trial], seed: int
) -> dict:
    common = {trial.kind for trial in own} & {trial.kind for trial in single}
    if common:
        own, single = ([t for t in side if t.kind in common] for side in (own, single))
    sustained = [value for trial in own for value in trial.tflops()]
    median = float(np.median(sustained))
    found: dict = dict.fromkeys(SPEED_KEYS) | {
        "processes": processes,
        "trainings": [trial.name for trial in own],
        "baseline": [trial.name for trial in single],
        "hardware": hardware,
        "tflops": median,
    }
    if processes == 1:
        return found | {"speedup": 1.0, "low": 1.0, "high": 1.0, "efficiency": 1.0}
    if single:
        base = [value for trial in single for value in trial.tflops()]
        speedup = median / float(np.median(base))
        low, high = ratio_interval(sustained, base, seed)
        found |= {"speedup": speedup, "low": low, "high": high, "efficiency": speedup / processes}
    return found


def ratio_interval(values: list[float], base: list[float], seed: int) -> tuple[float, float]:
    """95% percentile bootstrap interval of median(values) / median(base), each resampled alone."""
    generator = np.random.default_rng(seed)
    ratios = [
        np.median(generator.choice(values, len(values)))
        / np.median(generator.choice(base, len(base)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def speed_verdict(measured: Sequence[dict], processes: int, speedup: float, margin: float) -> str:
    """Whether `processes` are `speedup` times as fast as one, at most `margin` less.

    On every hardware that was measured with this many processes and with one: reproduced by
    intervals that begin at the least speed-up that suffices or above it, refuted by any that ends
    below. Other numbers of processes do not decide it.
    """
    if not measured:
        return "unmeasured"
    least = speedup - margin
    rows = [r for r in measured if r["processes"] == processes and r["speedup"] is not None]
    if any(row["high"] < least for row in rows):
        return "not reproduced"
    return "reproduced" if rows and all(r["low"] >= least for r in rows) else "inconclusive"
