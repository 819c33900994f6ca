"""The cost of a run, by arithmetic from its configuration and the nets themselves.

No data are read, but where a split is packed already, its own number and sizes of images are taken.
Hours are of one device (a GPU where there is one) for trainings and evaluations, of one core for
packing; wall hours are for as many devices and cores as there are jobs. Unknown numbers are None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.parquet import rows_of
from ..data.images import pixels_at
from ..data.sampling import HELD_OUT_SHARE
from ..data.shards import Shards
from ..nets.convnets import Architecture, ConvNet
from ..settings.experiments import STAGES, Evaluation, scale_name
from ..training.checkpoints import KEPT
from .arithmetic import built, evaluation_flop, forward_flop, training_flop
from .jobs import Job, Key
from .packing_costs import packed_image, typical_size

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Planner:
    """Plans the jobs of one configuration.

    config: resolved. convnets, models: of models.yaml. results: the experiment's folder.
    """

    config: dict
    convnets: Mapping[str, str]
    models: Mapping[str, dict]
    results: Path

    def jobs(
        self,
        stores: Sequence[str],
        models: Sequence[str],
        evaluations: Sequence[tuple[str, Evaluation]],
        labelled: Sequence[str] = ("val",),
        checked: Sequence[Evaluation] = (),
    ) -> list[Job]:
        """All jobs, each behind those that it waits for.

        stores: of shards, such as train_S256-512 or val. models: that the run has, trained or
        imported. evaluations: each with its split. labelled: the splits that nets of every seed are
        tested on; others, whose answers go to the test server, are for the first seed's alone.
        checked: evaluations of the first seed's nets that are done in float32 as well.
        """
        trained = [name for name in models if name not in self.imported]
        used = {self.models[name].get("parent") for name in trained}
        used |= {evaluation.model for _, evaluation in evaluations}
        names = list(self.models)

        def place(needed: tuple[str, Evaluation]) -> tuple:
            split, evaluation = needed
            return split == "test", names.index(evaluation.model), evaluation.method, evaluation.Q

        return [
            *map(self.packing, stores),
            *(self.importing(name) for name in models if name in self.imported & used),
            *self.of_all_seeds(
                [self.training(name, stores) for name in sorted(trained, key=self.generation)]
            ),
            *self.of_all_seeds(
                [self.evaluation(*needed) for needed in sorted(evaluations, key=place)], labelled
            ),
            *self.of_all_seeds([self.check(e) for e in checked]),
        ]

    def of_all_seeds(self, jobs: Sequence[Job], labelled: Sequence[str] = ()) -> list[Job]:
        """Jobs of the first seed, then those that are done for each other seed as well."""
        first, *others = self.config["seeds"]
        own = [job if job.model in self.imported else replace(job, seed=first) for job in jobs]
        again = [j for j in own if j.seed is not None and (j.split is None or j.split in labelled)]
        return own + [self.of_seed(job, seed) for seed in others for job in again]

    def of_seed(self, job: Job, seed: int) -> Job:
        """The first seed's job as another seed does it, after the trainings of that seed."""
        after = [(rule, f"seed{seed}/{name}" if rule == "train_convnet" else name)
                 for rule, name in job.after]  # fmt: skip
        return replace(job, name=f"seed{seed}/{job.name}", seed=seed, after=after)

    def packing(self, store: str) -> Job:
        """Packing all shards of a store such as train_S256, train_S256-512, val."""
        split, _, scale = store.partition("_S")
        images, shards = self.images(split), self.config["data"]["shards"][split]
        crop, ends = self.config["convnet"]["crop"], scale.split("-")
        side = pixels_at(int(ends[-1]), crop) if scale else None
        seconds, size = packed_image(split, *self.typical_size, side, only_shrink=len(ends) == 2)
        hours = None if images is None else images * seconds / 3600
        return Job(
            rule="pack_shard",
            name=store,
            jobs=shards,
            S=scale or None,
            split=split,
            images=images,
            hours=hours,
            wall_hours=hours and hours / shards,
            disk=None if images is None else images * size,
        )

    def importing(self, name: str) -> Job:
        """Weights read from a file: a minute at most, counted as nothing."""
        net = self.net(self.models[name]["net"])
        return Job(
            rule="import_weights",
            name=name,
            model=name,
            net=self.models[name]["net"],
            hours=0.0,
            wall_hours=0.0,
            disk=FLOAT * net.parameter_count(),
        )

    def training(self, name: str, stores: Sequence[str]) -> Job:
        """A training with all its iterations, which plateaus may cut short, and validations."""
        model, train = self.models[name], self.config["train"]
        net, trainable = self.net(model["net"]), model.get("trainable", "all")
        iterations = train["stages"][STAGES[model.get("inherit")]]["iterations"]
        images = iterations * train["batch_size"]
        per_image = training_flop(net, trainable)
        validations = math.ceil(iterations / train["validation_interval"])
        side = net.architecture.crop
        validated = validations * (self.validation_images() or 0)
        validation = validated * float(forward_flop(net, side, side))
        validation_hours = self.hours("train", validation)
        hours = self.hours("train", images * per_image) + validation_hours
        learnt = net if trainable == "all" else net.classifier
        momenta = sum(parameter.numel() for parameter in learnt.parameters())
        return Job(
            rule="train_convnet",
            name=name,
            after=[*self.read_in_training(model, stores), *self.weights(model.get("parent"))],
            model=name,
            net=model["net"],
            S=scale_name(model["S"]),
            parent=model.get("parent"),
            trainable=trainable,
            iterations=iterations,
            batch_size=train["batch_size"],
            images=images,
            flop_per_image=per_image,
            flop=images * per_image + validation,
            hours=hours,
            validation_hours=validation_hours,
            wall_hours=hours / train["processes"],
            disk=FLOAT * net.parameter_count(),
            # One more than are kept: the next is written before the oldest goes.
            checkpoints=(KEPT + 1) * FLOAT * (net.parameter_count() + momenta),
        )

    def check(self, evaluation: Evaluation) -> Job:
        """An evaluation of the validation set in float32, beside one in the run's precision."""
        job = self.evaluation("val", evaluation)
        hours = None if job.flop is None else self.hours("check", job.flop)
        return replace(
            job,
            rule="evaluate_choice",
            name=f"precision=float32_{job.name}",
            hours=hours,
            wall_hours=hours,
        )

    def evaluation(self, split: str, evaluation: Evaluation) -> Job:
        """An evaluation of a split's images."""
        model = self.models[evaluation.model]
        net = self.net(model["net"], pool_rounding=self.config["choices"]["pool_rounding"])
        side = pixels_at(evaluation.Q, net.architecture.crop)
        sizes = self.sizes.get(split, self.typical_size)
        per_image = float(evaluation_flop(net, evaluation.method, side, *sizes).mean())
        images = self.images(split)
        flop = None if images is None else images * per_image
        hours = None if flop is None else self.hours("evaluate", flop)
        return Job(
            rule="evaluate_convnet",
            name=f"{split}_{evaluation.model}_{evaluation.method}_Q{evaluation.Q}",
            after=[("pack_shard", split), *self.weights(evaluation.model)],
            model=evaluation.model,
            net=model["net"],
            S=scale_name(model["S"]),
            split=split,
            method=evaluation.method,
            Q=evaluation.Q,
            images=images,
            flop_per_image=per_image,
            flop=flop,
            hours=hours,
            wall_hours=hours,
            disk=images and images * FLOAT * net.architecture.classes,
        )

    def read_in_training(self, model: dict, stores: Sequence[str]) -> Iterator[Key]:
        """Its own store, that of the smallest S, which the statistics are of, and maybe val."""
        read = [f"train_S{scale_name(model['S'])}"]
        read.append(min((s for s in stores if s.startswith("train")), key=_smallest_scale))
        if self.config["choices"]["validation_set"] == "reported":
            read.append("val")
        return (("pack_shard", store) for store in dict.fromkeys(read))

    def weights(self, model: str | None) -> list[Key]:
        """The job that gives a model's weights."""
        rule = "import_weights" if model in self.imported else "train_convnet"
        return [] if model is None else [(rule, model)]

    def hours(self, stage: str, flop: float) -> float:
        """Hours of one device at the sustained rate that the configuration states for a stage."""
        return flop / self.config["plan"][f"{stage}_tflops"] / 1e12 / 3600

    def generation(self, name: str) -> int:
        """How many ancestors a model has."""
        parent = self.models[name].get("parent")
        return 0 if parent is None else 1 + self.generation(parent)

    def net(self, name: str, **more) -> ConvNet:
        """A ConvNet in this configuration's widths, on the meta device."""
        classes, convnet = self.config["data"]["classes"], self.config["convnet"]
        return built(Architecture(self.convnets[name], classes, **convnet, **more))

    @property
    def imported(self) -> set[str]:
        """The models whose weights are read from files."""
        return set(self.config["weights"]["import"])

    @property
    def typical_size(self) -> tuple[int, int]:
        """Height and width that are assumed of images that are not packed yet."""
        return typical_size(self.config)

    @cached_property
    def sizes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Heights and widths, int32 [images], of the splits to evaluate that are packed."""
        found = {}
        for split in ("val", "test"):
            number = self.config["data"]["shards"][split]
            paths = [self.results / f"shards/{split}/{n:05d}.arrow" for n in range(number)]
            if all(path.exists() for path in paths):
                shards = Shards(paths)
                found[split] = shards.heights, shards.widths
        return found

    def images(self, split: str) -> int | None:
        """A split's number of images: as packed, as configured, or as indexed."""
        if split in self.sizes:
            return len(self.sizes[split][0])
        index = self.results / f"index/{split}.parquet"
        if self.config["data"]["images"][split] is None and index.exists():
            return rows_of(index)
        return self.config["data"]["images"][split]

    def validation_images(self) -> int | None:
        """The number of images that a training is validated on."""
        if self.config["choices"]["validation_set"] == "reported":
            return self.images("val")
        return (images := self.images("train")) and max(1, round(HELD_OUT_SHARE * images))

    def source_bytes(self, split: str) -> float | None:
        """Bytes of a split's images as they came: of its archive if it is there, or by number."""
        data, images = self.config["data"], self.images(split)
        archive = Path(data["directory"], data["archives"][split] or "")
        if data["source"] in ("miniature", "archives") and archive.is_file():
            return archive.stat().st_size
        return images and images * packed_image(split, *self.typical_size)[1]


def critical_path(jobs: Sequence[Job]) -> list[Job]:
    """The chain of jobs, each waiting for the one before, that takes longest."""
    known = {job.key: job for job in jobs}
    finish: dict[Key, float] = {}
    latest: dict[Key, Key | None] = {}
    for job in jobs:
        before = max(job.after, key=finish.__getitem__, default=None)
        latest[job.key] = before
        finish[job.key] = (finish[before] if before else 0.0) + (job.wall_hours or 0.0)
    chain, key = [], max(finish, key=finish.__getitem__, default=None)
    while key is not None:
        chain.append(known[key])
        key = latest[key]
    return chain[::-1]


def most_checkpoints(jobs: Sequence[Job]) -> float:
    """Bytes of checkpoints at a time if every training starts as soon as it can.

    A finished training keeps one until the workflow ends.
    """
    start: dict[Key, float] = {}
    finish: dict[Key, float] = {}
    for job in jobs:
        start[job.key] = max((finish[key] for key in job.after), default=0.0)
        finish[job.key] = start[job.key] + (job.wall_hours or 0.0)
    trainings = [job for job in jobs if job.checkpoints]

    def held(job: Job, moment: float) -> float:
        if job.checkpoints is None or moment < start[job.key]:
            return 0.0
        return job.checkpoints if moment < finish[job.key] else job.checkpoints / (KEPT + 1)

    moments = [start[job.key] for job in trainings]
    return max((sum(held(job, moment) for job in trainings) for moment in moments), default=0.0)


def _smallest_scale(store: str) -> int:
    return int(store.partition("_S")[2].split("-")[0])
