"""The cost of a run, by arithmetic from its configuration and the nets themselves.

No data are read, but where images are packed already, their own number and sizes are taken.
Hours are of one device (a GPU where there is one) for trainings and evaluations, of one core for
the rest; wall hours are for as many devices and cores as there are jobs. Unknown numbers are None.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ..data.images import pixels_at
from ..settings.experiments import STAGES, Evaluation, scale_name
from ..settings.localised_rows import BoxEvaluation, boxes_of, is_of_boxes, is_of_true_class
from ..settings.transferred_rows import transferred
from ..training.checkpoints import KEPT
from . import box_jobs, feature_jobs
from .arithmetic import evaluation_flop, forward_flop, training_flop
from .estimates import FLOAT, Estimates
from .jobs import Job, Key
from .packing_costs import packed_image


class Planner(Estimates):
    """Plans the jobs of one configuration."""

    def jobs(
        self,
        stores: Sequence[str],
        models: Sequence[str],
        evaluations: Sequence[tuple[str, Evaluation]],
        labelled: Sequence[str] = ("val",),
        checked: Sequence[Evaluation] = (),
        guesses: Sequence[tuple[str, Mapping]] = (),
        boxed: Sequence[str] = ("val",),
        labels: Sequence[Evaluation] = (),
        classified: feature_jobs.Rows = (),
    ) -> list[Job]:
        """All jobs, each behind those that it waits for.

        stores: of shards, such as train_S256-512, val, voc2007. models: that the run has, trained
        or imported. evaluations: each with its split. labelled: the splits that nets of every seed
        are tested on; others, whose answers go to the test server, are for the first seed's alone.
        checked: evaluations of the first seed's nets that are done in float32 as well.
        guesses: rows of localisation, each with its split. boxed: as `labelled`, for them. labels:
        the evaluations that name the five classes of such a row. classified: rows of classifiers,
        each with a data set that it is measured on.
        """
        trained = [name for name in models if name not in self.imported]
        named = [split for split, row in guesses if not is_of_true_class(row)]
        needed = dict.fromkeys([*evaluations, *((s, e) for s in named for e in labels)])
        predicted = dict.fromkeys((split, own) for split, row in guesses for own in boxes_of(row))
        used = {self.models[name].get("parent") for name in trained}
        used |= {evaluation.model for _, evaluation in needed}
        used |= {own.model for _, own in predicted}
        used |= {self.models[own.model]["parent"] for _, own in predicted if own.method == "dense"}
        used |= {model for _, row in classified for model in transferred(row).models}
        names = list(self.models)

        def place(own: tuple[str, Evaluation | BoxEvaluation]) -> tuple:
            split, evaluation = own
            return split == "test", names.index(evaluation.model), evaluation.method, evaluation.Q

        trainings = [self.training(name, stores) for name in sorted(trained, key=self.generation)]
        guessing = [box_jobs.guesses(self, split, row, labels) for split, row in guesses]
        read = {key for job in (*trainings, *guessing) for key in job.after}
        scored = {split for split, _ in guesses if split in boxed}
        described = feature_jobs.described(self, classified)
        data_sets = list(dict.fromkeys(data_set for data_set, _ in classified))
        unlearnt = dict.fromkeys(own.model for _, own in described if own.weights == "random")
        made = [
            *(feature_jobs.reading(self, data_set) for data_set in data_sets),
            *map(self.packing, stores),
            *(
                box_jobs.true_boxes(self, split)
                for split in ("train", "val", "test")
                if split in scored or ("read_boxes", split) in read
            ),
            *(self.importing(name) for name in models if name in self.imported & used),
        ]
        for group, splits in (
            (trainings, ()),
            ([self.evaluation(*own) for own in sorted(needed, key=place)], labelled),
            ([self.check(evaluation) for evaluation in checked], ()),
            ([box_jobs.boxes(self, *own, labels) for own in sorted(predicted, key=place)], boxed),
            (guessing, boxed),
            ([feature_jobs.drawing(self, model) for model in unlearnt], ()),
            ([feature_jobs.describing(self, *own) for own in described], data_sets),
            ([feature_jobs.classifying(self, *own) for own in classified], data_sets),
        ):
            made += self.of_all_seeds(group, splits, made)
        return made

    def of_all_seeds(
        self, jobs: Sequence[Job], splits: Sequence[str], before: Sequence[Job]
    ) -> list[Job]:
        """Jobs of the first seed, then those that are done for each other seed as well.

        splits: that other seeds' nets are tested on. before: jobs that these may wait for.
        """
        first, *others = self.config["seeds"]
        own = [replace(job, seed=first) if self.is_seeded(job) else job for job in jobs]
        again = [j for j in own if j.seed is not None and (j.split is None or j.split in splits)]
        seeded = {job.key for job in (*before, *own) if job.seed is not None}
        return own + [self.of_seed(job, seed, seeded) for seed in others for job in again]

    def is_seeded(self, job: Job) -> bool:
        """True of trainings, and of what nets give of which one at least was trained."""
        return not {job.model, *job.models} <= {None, *self.imported}

    def of_seed(self, job: Job, seed: int, seeded: Collection[Key]) -> Job:
        """The first seed's job as another seed does it, after those jobs that it does itself."""
        after = [(rule, f"seed{seed}/{name}") if (rule, name) in seeded else (rule, name)
                 for rule, name in job.after]  # fmt: skip
        return replace(job, name=f"seed{seed}/{job.name}", seed=seed, after=after)

    def packing(self, store: str) -> Job:
        """Packing all shards of a store such as train_S256, train_S256-512, val, voc2007."""
        if store in self.data_sets:
            return feature_jobs.packing(self, store)
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
        net = self.net_of(name)
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
        net, trainable = self.convnet_of(name), model.get("trainable", "all")
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
        net = self.net_of(evaluation.model)
        side = pixels_at(evaluation.Q, net.architecture.crop)
        flop = evaluation_flop(net, evaluation.method, side, *self.sizes_of(split))
        posterior = FLOAT * net.architecture.classes
        return self.passing("evaluate_convnet", split, evaluation, float(flop.mean()), posterior)

    def read_in_training(self, model: dict, stores: Sequence[str]) -> Iterator[Key]:
        """Its own store, that of the smallest S, which the statistics are of, and maybe val.

        For a net of boxes, the true boxes too.
        """
        read = [f"train_S{scale_name(model['S'])}"]
        read.append(min((s for s in stores if s.startswith("train")), key=_smallest_scale))
        if self.config["choices"]["validation_set"] == "reported":
            read.append("val")
        yield from (("pack_shard", store) for store in dict.fromkeys(read))
        if is_of_boxes(model):
            yield from (("read_boxes", split) for split in ("train", "val")[: 1 + ("val" in read)])

    def generation(self, name: str) -> int:
        """How many ancestors a model has."""
        parent = self.models[name].get("parent")
        return 0 if parent is None else 1 + self.generation(parent)


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
