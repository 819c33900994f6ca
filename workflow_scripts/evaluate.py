"""Write a ConvNet's class posteriors for every image of a split at one test scale (paper §3.2).

Example:

    python -m workflow_scripts.evaluate --method dense --scale 256 \\
        --weights results/miniature/weights/D_S256.safetensors \\
        --shards results/miniature/shards/val/*.arrow --output mine.parquet
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.images import Resizing, pixels_at
from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.staging import naming_sources, stage
from workflow_scripts.vgg.data.workers import start_server
from workflow_scripts.vgg.evaluation.methods import Method, NotFinite, evaluate
from workflow_scripts.vgg.evaluation.passes import add_pass_options, provenance
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import PoolingChoices
from workflow_scripts.vgg.nets.devices import pick_device
from workflow_scripts.vgg.nets.weights import load_classifier

DECIDING = (Method, PoolingChoices, Resizing)  # which declare what decides posteriors


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--weights", required=True, help="weights of the net (safetensors)")
    add_pass_options(parser)
    for declaration in DECIDING:
        add_options(parser, declaration)
    parser.add_argument("--output", required=True, help="posteriors to write (parquet)")
    given = parser.parse_args(arguments)
    method = from_options(Method, given)

    # The net, and the images at its test scale.
    if given.threads > 1:
        start_server()
    device = pick_device(given.device, given.threads)
    net, weights = load_classifier(given.weights, given.pool_rounding)
    if net.architecture.is_of_boxes:
        raise InputError(
            f"{given.weights}: predicts boxes, not classes; evaluate_boxes is for such nets"
        )
    shards = Shards(given.shards)  # not the copies, so that an error names the shard itself
    copies = stage(given.shards, given.local_scratch)
    crop = net.architecture.crop
    images = RescaledImages(
        copies,
        pixels_at(given.scale, crop),
        crop,
        central=method.method == "center",
        resize_filter=given.resize_filter,
        batch_size=method.batch_size,
    )

    # Their posteriors.
    net = net.to(device).to(memory_format=torch.channels_last)
    try:
        with (
            costs.working_on(len(shards)),
            precision.computing(device, given.precision),
            naming_sources(given.shards, copies),
        ):
            posteriors = evaluate(
                net, images, method, weights["mean_rgb"], workers=given.threads - 1
            )
    except NotFinite as error:
        raise InputError(f"{given.weights}: {error}") from error
    write_posteriors(
        given.output,
        list(shards.ids()),
        shards.labels,
        posteriors,
        provenance(given, weights, device, *DECIDING, method=given.method, scale=given.scale),
    )
    logging.info("%d images", len(shards))


if __name__ == "__main__":
    command.run(main)
