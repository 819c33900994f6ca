"""Write the boxes that a net predicts for every image of a split at one test scale (appendix A).

center: the box of the image's true class, from its central crop (the paper's first test). dense:
the boxes of some classes at every place of the whole image, rated by a classifier at the same
places (its second); the classes are the five likeliest by some posteriors, or the true one.

Example:

    python -m workflow_scripts.evaluate_boxes --method center --scale 384 \\
        --weights results/miniature/weights/D_S384_pcr.safetensors \\
        --shards results/miniature/shards/val/*.arrow \\
        --boxed-in results/miniature/truth/val.parquet --output mine.parquet
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

import numpy as np
import torch

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.core.files import InputError, sha256
from workflow_scripts.vgg.core.randomness import Stream, generator
from workflow_scripts.vgg.data.images import Resizing, pixels_at
from workflow_scripts.vgg.data.rescaled_images import BATCH_SIZE, RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.staging import naming_sources, stage
from workflow_scripts.vgg.data.workers import start_server
from workflow_scripts.vgg.evaluation.methods import NotFinite
from workflow_scripts.vgg.evaluation.passes import add_pass_options, provenance
from workflow_scripts.vgg.localisation.box_files import BoxedImage, write_boxes
from workflow_scripts.vgg.localisation.guesses import guessed_classes
from workflow_scripts.vgg.localisation.true_boxes import of_shards
from workflow_scripts.vgg.localisation.windows import (
    Flipping,
    Predicted,
    central_boxes,
    dense_boxes,
)
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import ConvNet, PoolingChoices
from workflow_scripts.vgg.nets.devices import pick_device
from workflow_scripts.vgg.nets.weights import load_weights

DECIDING = (Flipping, PoolingChoices, Resizing)  # which declare what decides boxes


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--weights", required=True, help="weights of the net of boxes (safetensors)"
    )
    parser.add_argument("--classifier", help="weights of the net that rates; needed if dense")
    parser.add_argument(
        "--posteriors", nargs="+", help="whose mean names five classes; the true one if not given"
    )
    add_pass_options(parser)
    parser.add_argument("--method", choices=("center", "dense"), required=True)
    parser.add_argument("--boxed-in", help="true boxes: take only images that have some")
    parser.add_argument("--sample", type=int, help="take so many of these, at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    for declaration in DECIDING:
        add_options(parser, declaration)
    parser.add_argument(
        "--batch-size", type=int, default=BATCH_SIZE, help="crops, or as many pixels"
    )
    parser.add_argument("--output", required=True, help="boxes to write (parquet)")
    given = parser.parse_args(arguments)
    if (given.method == "dense") != bool(given.classifier):
        parser.error("--classifier goes with --method dense, and only with it")
    if given.method == "center" and given.posteriors:
        parser.error("--method center boxes the true class: leave out --posteriors")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)

    # The nets, and the images at their test scale.
    if given.threads > 1:
        start_server()
    device = pick_device(given.device, given.threads)
    net, weights = load_weights(given.weights, pool_rounding=given.pool_rounding)
    if not net.architecture.is_of_boxes:
        raise InputError(f"{given.weights}: predicts classes, not boxes; its model has no `head`")
    classifier = None
    if given.classifier:
        classifier = read_classifier(given, net, weights)
    shards = Shards(given.shards)  # not the copies, so that an error names the shard itself
    copies = stage(given.shards, given.local_scratch)
    crop = net.architecture.crop
    images = RescaledImages(
        copies,
        pixels_at(given.scale, crop),
        crop,
        central=given.method == "center",
        resize_filter=given.resize_filter,
        batch_size=given.batch_size,
        places=places_of(given, shards),
    )
    ids = [shards.id(place) for place in images.wanted]
    labels = shards.labels[images.wanted]
    classes = guessed_classes(given.posteriors, ids, labels, given.shards[0])
    if classes.max() >= (known := net.architecture.classes):
        raise InputError(
            f"{(given.posteriors or given.shards)[0]}: has class {classes.max()}, counted from 0, "
            f"but {given.weights} knows {known} classes; give those of one data set"
        )

    # Their boxes.
    net = net.to(device).to(memory_format=torch.channels_last)
    units = weights["choices"].get("box_units", "crop-fractions")
    mean, workers = weights["mean_rgb"], given.threads - 1
    try:
        with (
            costs.working_on(len(ids)),
            precision.computing(device, given.precision),
            naming_sources(given.shards, copies),
        ):
            if classifier is None:
                found = central_boxes(net, images, labels, mean, units, workers=workers)
                predicted = [
                    Predicted(own, box.astype(np.float32)[None, None, None], np.ones((1, 1, 1)))
                    for own, box in zip(classes, found, strict=True)
                ]
            else:
                classifier = classifier.to(device).to(memory_format=torch.channels_last)
                flipping = from_options(Flipping, given)
                predicted = dense_boxes(
                    net, classifier, images, classes, mean, units, flipping, workers=workers
                )
    except NotFinite as error:
        raise InputError(f"{given.weights}: {error}") from error
    write_boxes(
        given.output,
        [
            BoxedImage(name, label, width, height, own)
            for name, label, width, height, own in zip(
                ids,
                labels.tolist(),
                shards.widths[images.wanted].tolist(),
                shards.heights[images.wanted].tolist(),
                predicted,
                strict=True,
            )
        ],
        {
            **provenance(given, weights, device, *DECIDING, method=given.method, scale=given.scale),
            "classifier_sha256": given.classifier and sha256(given.classifier),
        },
    )
    logging.info("%d images", len(ids))


def read_classifier(given: argparse.Namespace, net: ConvNet, weights: dict) -> ConvNet:
    """The net that rates boxes. Raises InputError if it does not see what the net of boxes does."""
    classifier, described = load_weights(given.classifier, pool_rounding=given.pool_rounding)
    if classifier.architecture.is_of_boxes:
        raise InputError(f"{given.classifier}: predicts boxes; give the weights of a classifier")
    shapes = (classifier.architecture, net.architecture)
    seen = [(shape.crop, shape.map_side, shape.classes) for shape in shapes]
    if seen[0] != seen[1] or described["mean_rgb"] != weights["mean_rgb"]:
        raise InputError(
            f"{given.classifier} and {given.weights} take other inputs or know other classes; give "
            "the classifier that the net of boxes started from"
        )
    return classifier


def places_of(given: argparse.Namespace, shards: Shards) -> np.ndarray | None:
    """The images to box, by their places; None for all."""
    places = None
    if given.boxed_in:
        places = np.flatnonzero(of_shards(given.boxed_in, shards).boxed)
    if given.sample:
        places = np.arange(len(shards)) if places is None else places
        order = generator(given.seed, Stream.SAMPLE, 0).permutation(len(places))
        places = places[np.sort(order[: given.sample])]
    if places is not None and not len(places):
        raise InputError(f"{given.boxed_in}: no image of {given.shards[0]} has a box")
    return places


if __name__ == "__main__":
    command.run(main)
