"""The jobs of localisation (appendix A): true boxes, boxes of nets, and guesses made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..data.images import pixels_at
from ..settings.experiments import Evaluation
from ..settings.localised_rows import BoxEvaluation, boxes_of, guessed, is_of_true_class
from . import box_costs
from .arithmetic import boxes_flop, rescaled_sizes, score_map_places
from .estimates import Estimates, pass_name
from .jobs import Job, Key


def true_boxes(given: Estimates, split: str) -> Job:
    """Reading a split's true boxes."""
    images = given.images(split)
    hours = None if images is None else box_costs.reading_hours(split, images)
    return Job(
        rule="read_boxes",
        name=split,
        split=split,
        images=images,
        hours=hours,
        wall_hours=hours,
        disk=images and box_costs.true_bytes(split, images),
    )


def boxes(given: Estimates, split: str, own: BoxEvaluation, labels: Sequence[Evaluation]) -> Job:
    """The boxes of a split's images: of the true class, or if dense of those that `labels` name.

    Each place of a dense map is rated by the classifier that the net began as, in its own pass.
    """
    parent = given.models[own.model]["parent"]
    net, classifier = given.convnet_of(own.model), given.convnet_of(parent)
    side = pixels_at(own.Q, net.architecture.crop)
    flop = boxes_flop(net, classifier, own.method, side, *given.sizes_of(split))
    number, classes, after = float(predicted(given, split, own).mean()), 1, []
    if own.method == "dense":
        classes = likeliest(given)
        after = [*given.weights(parent), *naming(split, labels)]
    job = given.passing(
        "evaluate_boxes",
        split,
        own,
        float(flop.mean()) * views(given, own),
        classes * number * box_costs.BOX + box_costs.BESIDE,
    )
    return replace(job, after=[*job.after, *after], boxes=number)


def guesses(given: Estimates, split: str, row: Mapping, labels: Sequence[Evaluation]) -> Job:
    """The guesses of a row: boxes of nets united and merged, or one box for all images.

    labels: as for `boxes`. One box for all takes seconds, which are counted as nothing.
    """
    images, united = given.images(split), boxes_of(row)
    classes = 1 if is_of_true_class(row) else likeliest(given)
    job = Job(
        rule="localise" if united else "guess_one_box",
        name=f"{split}_{row['name']}",
        split=split,
        row=row["name"],
        models=list(guessed(row).models),
        images=images,
        disk=images and images * classes * box_costs.GUESS,
    )
    if not united:
        after = [("pack_shard", split)]
        after += [("read_boxes", "train")] if row["fixed_box"]["box"] == "training-mean" else []
        after += [] if is_of_true_class(row) else naming(split, labels)
        return replace(job, after=after, hours=0.0, wall_hours=0.0)
    number = np.sum([predicted(given, split, own) for own in united], axis=0)
    seconds = classes * float(box_costs.merging_seconds(number).mean())
    hours = None if images is None else images * seconds / 3600
    is_full_size = given.config["convnet"]["width_divisor"] == 1
    return replace(
        job,
        after=[("evaluate_boxes", pass_name(split, own)) for own in united],
        boxes=float(number.mean()),
        hours=hours,
        wall_hours=hours and hours / (box_costs.MERGERS if is_full_size else 1),
    )


def predicted(given: Estimates, split: str, own: BoxEvaluation) -> np.ndarray:
    """How many boxes of a class a net predicts for each image, or one for all, float64 [images]."""
    heights, widths = given.sizes_of(split)
    if own.method == "center":
        return np.ones(len(heights))
    net = given.convnet_of(own.model)
    rescaled = rescaled_sizes(pixels_at(own.Q, net.architecture.crop), heights, widths)
    return score_map_places(net, *rescaled) * views(given, own)


def views(given: Estimates, own: BoxEvaluation) -> int:
    """The passes over an image: two if its mirror image is boxed too."""
    mirrored = given.config["choices"]["box_flip"] == "mirrored"
    return 2 if own.method == "dense" and mirrored else 1


def likeliest(given: Estimates) -> int:
    """The classes of an image that are guessed."""
    return min(box_costs.CLASSES, given.classes)


def naming(split: str, labels: Sequence[Evaluation]) -> list[Key]:
    """The jobs whose posteriors name these classes."""
    return [("evaluate_convnet", pass_name(split, evaluation)) for evaluation in labels]
