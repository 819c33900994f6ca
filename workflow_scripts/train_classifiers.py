"""Train linear SVMs on descriptors of another data set, and score its test examples (appendix B).

C is chosen on validation examples. Where the organisers have drawn parts, these are theirs, and the
validation examples themselves get scores too, by SVMs that have not seen them: of a fifth of the
training images, drawn at random, C is chosen then.

Example:

    python -m workflow_scripts.train_classifiers --average-precision eleven-point \\
        --examples results/miniature/examples/voc2007.parquet \\
        --descriptors results/miniature/descriptors/voc2007/D_S256-512/image_Q*.parquet \\
        --report mine.json --output mine.parquet
"""

from __future__ import annotations

import argparse
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.core.randomness import Stream, generator
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.examples import Examples, read_examples
from workflow_scripts.vgg.transfer.agreement import check_agreement
from workflow_scripts.vgg.transfer.average_precision import KINDS, mean_average_precision
from workflow_scripts.vgg.transfer.combining import (
    NORMALISATIONS,
    SCALE_POOLINGS,
    Combining,
    gram,
    parts_of,
)
from workflow_scripts.vgg.transfer.descriptor_files import described_ids, read_descriptors
from workflow_scripts.vgg.transfer.recall import mean_class_recall
from workflow_scripts.vgg.transfer.scores import Tested, write_scores
from workflow_scripts.vgg.transfer.selection import GRID, Chosen, Measure, Refit, choose
from workflow_scripts.vgg.transfer.splits import VALIDATED, Split, read_splits
from workflow_scripts.vgg.transfer.svm import LacksExamples, NotReached, Svm

DRAWS = 100  # of the images to choose C by, until each class has an example to learn from


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--examples", required=True, help="the data set's (parquet)")
    parser.add_argument(
        "--drawn-splits", help="random splits (parquet), if its organisers have drawn none"
    )
    parser.add_argument(
        "--descriptors", nargs="+", required=True, help="of each net, region and scale (parquet)"
    )
    parser.add_argument(
        "--scale-pooling", choices=SCALE_POOLINGS, default="mean", help="of several scales"
    )
    parser.add_argument("--feature-l2", choices=NORMALISATIONS, default=NORMALISATIONS[0])
    parser.add_argument("--C", type=float, nargs="+", default=list(GRID), help="to choose from")
    parser.add_argument(
        "--average-precision", choices=KINDS, help="by which C is chosen; recall if not given"
    )
    for declaration in (Svm, Refit):
        add_options(parser, declaration)
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn to choose C by")
    parser.add_argument("--report", required=True, help="what was chosen, to write (JSON)")
    parser.add_argument("--output", required=True, help="scores to write (parquet)")
    given = parser.parse_args(arguments)
    if (given.average_precision is None) != bool(given.drawn_splits):
        parser.error("give --drawn-splits, or --average-precision and parts of the organisers")
    if not all(0 < cost < math.inf for cost in given.C):
        parser.error("--C: weights of the loss are above 0")
    given.C = sorted(set(given.C))
    if twice := [path for path, count in Counter(given.descriptors).items() if count > 1]:
        raise InputError(f"{twice[0]}: is given twice; give it once")
    examples = read_examples(given.examples)
    splits = list(tests(given, examples))
    told = {path: read_metadata(path) for path in given.descriptors}
    combining = Combining(scale_pooling=given.scale_pooling, feature_l2=given.feature_l2)
    with costs.working_on(len(examples.ids)):
        products = gram(parts_of(sources(told, examples), combining), given.feature_l2)
        logging.info("inner products of %d examples", len(products))
        described = are_described(given.descriptors[0], examples, told)
        tested, chosen = [], []
        for part, number, split in splits:
            split = among(described, split, given.descriptors[0])
            found = chosen_machines(given, examples, products, split)
            missing = ~described[split.test]
            rank_last(found.scores, examples.labels[split.test], missing)
            ids = [examples.ids[place] for place in split.test]
            tested.append(Tested(part, number, ids, found.scores))
            undescribed = [ids[row] for row in np.flatnonzero(missing)]
            chosen.append({**told_of(part, number, found, split), "undescribed": undescribed})
    write_scores(
        given.output,
        tested,
        {
            "classes": examples.classes,
            "descriptors": list(told.items()),
            "options": options_of(given),
            "chosen": chosen,
        },
    )
    write_json(given.report, {"options": options_of(given), "chosen": chosen})


def sources(told: dict[str, dict], examples: Examples) -> list[list[partial]]:
    """What loads the descriptors of each net and region, a function each scale, in order.

    Those of whole images are repeated for each person in them.
    Raises InputError for a file that is not of descriptors, or two of the same ones, or if they
    were not made by the same choices of the same images.
    """
    found: dict[tuple, list[partial]] = {}
    first: dict[tuple, str] = {}
    for path, said in told.items():
        if not {"weights_sha256", "method", "Q"} <= said.keys():
            raise InputError(f"{path}: does not say what it describes; is it of descriptors?")
        passed = (said["weights_sha256"], said["method"], str(said["Q"]))
        if (other := first.setdefault(passed, path)) != path:
            raise InputError(f"{path}: describes the same as {other}; give one of them")
        load = partial(of_examples, path, examples, said["method"])
        found.setdefault((said["weights_sha256"], said["method"]), []).append(load)
    check_agreement(told)
    return list(found.values())


def of_examples(path: str, examples: Examples, region: str) -> np.ndarray:
    """Descriptors of all examples, float32 [examples, length]."""
    if region == "box" or examples.boxes is None:
        return read_descriptors(path, examples.ids)
    return read_descriptors(path, examples.image_ids)[examples.images]


def are_described(path: str, examples: Examples, told: dict[str, dict]) -> np.ndarray:
    """Which examples a file of descriptors has, bool [examples]; packing leaves bad images out.

    Any file tells: `check_agreement` has seen that all are of the same images.
    """
    found = described_ids(path)
    if told[path]["method"] == "box" or examples.boxes is None:
        return np.array([name in found for name in examples.ids])
    return np.array([name in found for name in examples.image_ids])[examples.images]


def among(described: np.ndarray, split: Split, path: str) -> Split:
    """A split that learns from and chooses by described examples alone, bool [examples].

    Raises InputError, naming a file of descriptors, if none is left.
    """
    learn, validate = (part[described[part]] for part in (split.learn, split.validate))
    if not len(learn) or not len(validate):
        raise InputError(
            f"{path}: describes none of the examples to learn from, or none of those to choose C "
            "by; repair the images that packing has left out"
        )
    return Split(learn, validate, split.test)


def rank_last(scores: np.ndarray, labels: np.ndarray, missing: np.ndarray) -> None:
    """Give tested examples without a descriptor, bool [tests], scores by which they count as wrong.

    scores: float64 [tests, classes], changed in place: below those of all others, and lowest for
    the classes that they have. labels: int8 [tests, classes].
    """
    lowest = scores[~missing].min(axis=0, initial=0)
    scores[missing] = lowest.min() - 1 - (labels[missing] == 1)


def tests(given: argparse.Namespace, examples: Examples) -> Iterator[tuple[str, int, Split]]:
    """Each part that is tested: its name, the number of its random split, or 0, and the split.

    Raises InputError if parts or splits are not this data set's.
    """
    if given.drawn_splits:
        ids, splits = read_splits(given.drawn_splits)
        if ids != examples.ids:
            raise InputError(
                f"{given.drawn_splits}: is of other images than {given.examples}; give the data "
                "set's own, or draw splits anew with draw_splits"
            )
        yield from (("test", number, split) for number, split in enumerate(splits))
        return
    parts = np.array(examples.parts)
    train, val, test = (np.flatnonzero(parts == part) for part in ("train", "val", "test"))
    if not len(train) or not len(val):
        raise InputError(f"{given.examples}: has no parts train and val; give --drawn-splits")
    if len(test):
        yield "test", 0, Split(train, val, test)
    yield "val", 0, Split(*held_out(train, examples, given.seed), val)


def held_out(train: np.ndarray, examples: Examples, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training examples to learn from and to choose C by: those of a fifth of the images.

    The fifth is drawn at random, again if a class that counts would be left without an example to
    learn from, DRAWS times at most.
    Raises InputError if there is one image alone.
    """
    images = np.unique(examples.images[train])
    if len(images) < 2:
        raise InputError(
            f"{examples.image_ids[images[0]]}: is the only training image, but others are needed "
            "to choose C by; add images"
        )
    for draw in range(DRAWS):
        order = generator(seed, Stream.SPLITS, draw).permutation(images)
        chosen = order[: max(1, round(VALIDATED * len(images)))]
        validated = np.isin(examples.images[train], chosen)
        learnt = examples.labels[train[~validated]]
        if (learnt[:, examples.scored] == 1).any(0).all():
            break
    return train[~validated], train[validated]


def chosen_machines(
    given: argparse.Namespace, examples: Examples, products: np.ndarray, split: Split
) -> Chosen:
    """The SVMs of a split, of the classes that count; others score 0.

    Raises InputError, naming the class, if one has no positive or no negative example, or has not
    come near its optimum.
    """
    columns = np.flatnonzero(examples.scored)
    try:
        found = choose(
            products,
            examples.labels[:, columns],
            split,
            measured_by(given.average_precision),
            from_options(Svm, given),
            from_options(Refit, given),
            given.C,
        )
    except (LacksExamples, NotReached) as error:
        name = examples.classes[columns[error.place]]
        raise InputError(f"{given.examples}: {name} {error.words}") from error
    scores = np.zeros((len(found.scores), len(examples.classes)))
    scores[:, columns] = found.scores
    return Chosen(found.C, found.grid, found.figures, scores)


def measured_by(definition: str | None) -> Measure:
    """What C is chosen by, in percent: mean average precision, or without one mean class recall."""
    if definition is None:
        return lambda scores, labels: mean_class_recall(scores, labels.argmax(1))[0]

    def of(scores: np.ndarray, labels: np.ndarray) -> float:
        return mean_average_precision(scores, labels, definition, np.ones(len(labels[0]), bool))[0]

    return of


def told_of(part: str, number: int, found: Chosen, split: Split) -> dict:
    """What the files say of a choice of C."""
    if found.note:
        logging.warning("%s, split %d: %s", part, number, found.note)
    return {
        "part": part,
        "split": number,
        "C": found.C,
        "grid": list(found.grid),
        "figures": list(found.figures),
        "at_end": found.note is not None,
        "learnt": len(split.learn),
        "validated": len(split.validate),
        "tested": len(split.test),
    }


def options_of(given: argparse.Namespace) -> dict:
    """All that decided the classifiers, given the descriptors."""
    names = ("scale_pooling", "feature_l2", "svm_loss", "svm_refit", "svm_difficult")
    return {name: getattr(given, name) for name in (*names, "average_precision", "seed")}


if __name__ == "__main__":
    command.run(main)
