"""The jobs of features for other data sets (appendix B): examples, descriptors, classifiers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..data.images import pixels_at
from ..settings.transferred_rows import Description, descriptions, scale_pooling, transferred
from ..transfer.splits import VALIDATED
from . import feature_costs
from .arithmetic import descriptor_flop
from .estimates import FLOAT, Estimates
from .jobs import Job
from .records import total

Rows = Sequence[tuple[str, Mapping]]  # of classifiers, each with a data set that it is of


def reading(given: Estimates, data_set: str) -> Job:
    """Reading what is said of a data set's images."""
    images, number = given.images(data_set), examples(given, data_set)
    hours = None if images is None else images / feature_costs.READING / 3600
    size = feature_costs.EXAMPLE + feature_costs.LABEL * (classes(given, data_set) or 0)
    return Job(
        rule="index_examples",
        name=data_set,
        split=data_set,
        images=images,
        hours=hours,
        wall_hours=hours,
        disk=number and number * size,
    )


def packing(given: Estimates, data_set: str) -> Job:
    """Packing all shards of a data set, whose images are kept as they are."""
    entry, images = given.data_sets[data_set], given.images(data_set)
    seconds, size = _packed_image(given, data_set)
    hours = None if images is None else images * seconds / 3600
    return Job(
        rule="pack_shard",
        name=data_set,
        jobs=entry["shards"],
        after=[("index_examples", data_set)],
        split=data_set,
        images=images,
        hours=hours,
        wall_hours=hours and hours / entry["shards"],
        disk=images and images * size,
    )


def drawing(given: Estimates, model: str) -> Job:
    """Random weights of a model's net: a minute at most, counted as nothing."""
    net = given.convnet_of(model)
    return Job(
        rule="draw_weights",
        name=model,
        after=given.weights(model),
        model=model,
        net=given.models[model]["net"],
        hours=0.0,
        wall_hours=0.0,
        disk=FLOAT * net.parameter_count(),
    )


def describing(given: Estimates, data_set: str, own: Description) -> Job:
    """The descriptors of a data set's images, or of persons in them, at one Q.

    A person's box is rescaled as an image is, to the same smallest side.
    """
    net = given.convnet_of(own.model)
    of_boxes = own.region == "box"
    heights, widths = given.box_sizes_of(data_set) if of_boxes else given.sizes_of(data_set)
    flop = descriptor_flop(net, pixels_at(own.Q, net.architecture.crop), heights, widths)
    is_random = own.weights == "random"
    job = Job(
        rule="describe_images",
        name=description_name(data_set, own),
        after=[
            ("pack_shard", data_set),
            *([("index_examples", data_set)] if of_boxes else []),
            *([("draw_weights", own.model)] if is_random else given.weights(own.model)),
        ],
        split=data_set,
        method=own.region,
        Q=own.Q,
        weights=own.weights,
        images=examples(given, data_set) if of_boxes else given.images(data_set),
    )
    return given.pass_of(job, own.model, float(flop.mean()), FLOAT * net.architecture.fc)


def classifying(given: Estimates, data_set: str, row: Mapping) -> Job:
    """The classifiers of a row on a data set: inner products, then machines at each C.

    Once C is chosen, they are trained at it with the examples to choose by, too.
    """
    entry, choices = given.data_sets[data_set], given.config["choices"]
    behind = descriptions(row, entry)
    scales = len({own.Q for own in behind})
    parts = len(behind) // (1 if scale_pooling(row, entry) == "stack" else scales)
    dimensions = parts * given.config["convnet"]["fc"]
    job = Job(
        rule="train_classifiers",
        name=f"{data_set}_{row['name']}",
        after=[
            ("index_examples", data_set),
            *(("describe_images", description_name(data_set, own)) for own in behind),
        ],
        split=data_set,
        row=row["name"],
        models=list(transferred(row).models),
        images=examples(given, data_set),
        dimensions=dimensions,
        classes=classes(given, data_set),
    )
    if job.images is None or job.classes is None:
        return job
    learnt, trained = training_examples(given, data_set, job.images, job.classes)
    machines = len(given.config["transfer"]["C"]) * feature_costs.svm_flop(learnt, job.classes)
    if choices["svm_refit"] == "all":
        machines += feature_costs.svm_flop(trained, job.classes)
    splits = entry.get("splits", 1)  # of organised data sets one, whose examples to choose by have
    tested = job.images - (trained if "splits" in entry else learnt)  # scores of their own as well
    if entry.get("test_per_class"):
        tested = min(tested, entry["test_per_class"] * job.classes)
    flop = feature_costs.gram_flop(job.images, dimensions) + splits * machines
    hours = feature_costs.core_hours(flop)
    is_full_size = given.config["convnet"]["width_divisor"] == 1
    return replace(
        job,
        flop=flop,
        hours=hours,
        wall_hours=hours / (feature_costs.CORES if is_full_size else 1),
        disk=splits * tested * (feature_costs.EXAMPLE + feature_costs.SCORE * job.classes),
    )


def described(given: Estimates, rows: Rows) -> list[tuple[str, Description]]:
    """The passes behind rows, each once, with its data set."""
    return list(
        dict.fromkeys(
            (data_set, own)
            for data_set, row in rows
            for own in descriptions(row, given.data_sets[data_set])
        )
    )


def description_name(data_set: str, own: Description) -> str:
    """The name of the job that describes a data set."""
    net = Path(own.path("", data_set)).parent.name
    return f"{data_set}_{net}_{own.region}_Q{own.Q}"


# What is known of examples


def examples(given: Estimates, data_set: str) -> int | None:
    """The number of examples: images, or persons in them."""
    if data_set in given.indexed:
        return sum(given.indexed[data_set]["examples"].values())
    images, kind = given.images(data_set), given.data_sets[data_set]["kind"]
    return images and round(images * (feature_costs.PERSONS if kind == "actions" else 1))


def classes(given: Estimates, data_set: str) -> int | None:
    """The number of classes."""
    if data_set in given.indexed:
        return len(given.indexed[data_set]["classes"])
    images, kind = given.images(data_set), given.data_sets[data_set]["kind"]
    if kind in feature_costs.CLASSES:
        return feature_costs.CLASSES[kind]
    return images and max(1, round(images / feature_costs.CLASS_SIZE))


def training_examples(
    given: Estimates, data_set: str, number: int, classes: int
) -> tuple[float, float]:
    """Examples to learn from, and these with those to choose C by; of one split.

    number, classes: of all examples, and of the classes that they are of.
    """
    entry = given.data_sets[data_set]
    if entry["kind"] == "folders":
        trained = entry["train_per_class"] * classes
        return (1 - VALIDATED) * trained, trained
    if data_set in given.indexed:
        parts = given.indexed[data_set]["examples"]
        return parts["train"], parts["train"] + parts["val"]
    share = 2 if entry["test"] == "absent" else 1
    return share * feature_costs.LEARNT * number, share * feature_costs.TRAINED * number


def source_bytes(given: Estimates, data_sets: Collection[str]) -> float | None:
    """Bytes of data sets as they came: of their archives, if these are there, or by number.

    An archive that several data sets are read from counts once.
    """
    there: dict[Path, float] = {}
    by_number: list[float | None] = []
    for name in data_sets:
        entry, images = given.data_sets[name], given.images(name)
        paths = [Path(entry["directory"], source) for source in entry["sources"]]
        if all(path.is_file() for path in paths):
            there |= {path: path.stat().st_size for path in paths}
        else:
            by_number.append(images and images * _packed_image(given, name)[1])
    return total([*there.values(), *by_number])


def _packed_image(given: Estimates, data_set: str) -> tuple[float, float]:
    kind = given.data_sets[data_set]["kind"]
    return feature_costs.packed_image(kind, *given.typical_size_of(data_set))
