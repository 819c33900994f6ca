"""Write a ConvNet's class posteriors for every image of a split at one test scale (paper §3.2)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import torch

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, choices_of, from_options
from workflow_scripts.vgg.core.files import InputError, code_fingerprint, sha256
from workflow_scripts.vgg.data.images import Resizing, pixels_at
from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.staging import naming_sources, stage
from workflow_scripts.vgg.data.workers import start_server
from workflow_scripts.vgg.evaluation.methods import Method, NotFinite, evaluate
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import PoolingChoices
from workflow_scripts.vgg.nets.devices import describe_hardware, pick_device
from workflow_scripts.vgg.nets.weights import load_weights

# The metadata of weights that posteriors repeat of the training behind them
TRAINING = ["net", "S", "seed", "parent", "parent_sha256", "inherit", "config_fingerprint"]
TRAINING += ["hardware", "processes", "node", "torch", "precision"]


def training_of(weights: dict) -> dict | None:
    """The training of some weights, by their metadata; None if they were imported."""
    return None if weights.get("imported") else {key: weights.get(key) for key in TRAINING}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--weights", required=True, help="weights of the net (safetensors)")
    parser.add_argument("--shards", nargs="+", required=True, help="the split's shards")
    parser.add_argument("--scale", type=int, required=True, help="Q, in the paper's units")
    for declaration in (Method, PoolingChoices, Resizing):
        add_options(parser, declaration)
    parser.add_argument("--precision", choices=precision.OF_EVALUATION, default="float32")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads, loader included")
    parser.add_argument(
        "--local-scratch",
        help="folder on the node's disk to copy the shards to; read in place if not given",
    )
    parser.add_argument("--output", required=True, help="posteriors to write (parquet)")
    given = parser.parse_args(arguments)
    method = from_options(Method, given)

    # The net, and the images at its test scale.
    if given.threads > 1:
        start_server()
    device = pick_device(given.device, given.threads)
    net, weights = load_weights(given.weights, pool_rounding=given.pool_rounding)
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
        {
            "model": weights["model"],
            "weights_sha256": sha256(given.weights),
            "method": given.method,
            "Q": given.scale,
            "choices": {
                name: getattr(given, name) for name in choices_of(Method, PoolingChoices, Resizing)
            },
            "training_choices": weights.get("choices"),
            "iterations": weights["iterations"],
            "imported": weights.get("imported"),
            "training": training_of(weights),
            "training_code": weights["code_fingerprint"],
            "code_fingerprint": code_fingerprint(),
            "precision": precision.resolved(given.precision, device),
            "hardware": describe_hardware(device),
            "node": os.uname().nodename,
        },
    )
    logging.info("%d images", len(shards))


if __name__ == "__main__":
    command.run(main)
