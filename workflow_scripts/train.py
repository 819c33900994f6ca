"""Train one ConvNet: at random from scratch, from net A's layers, or on from a whole parent.

Several processes share a training under torchrun, one GPU each, with the result of a single one
(paper §3.3): torchrun --standalone --nproc-per-node=4 -m workflow_scripts.train …
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.nets import initialisation, precision
from workflow_scripts.vgg.data import sampling
from workflow_scripts.vgg.training import loop
from workflow_scripts.vgg.nets.convnets import LRN_CONSTANTS, Architecture, ConvNet
from workflow_scripts.vgg.nets.devices import describe_hardware, pick_device
from workflow_scripts.vgg.evaluation.methods import BATCH_SIZE, KeptBatches, evaluate, shared_bytes
from workflow_scripts.vgg.core.files import InputError, code_fingerprint, exclusive, fingerprint, sha256
from workflow_scripts.vgg.data.images import RESIZE_FILTERS, pixels_at
from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.evaluation.posteriors import rank_of_class
from workflow_scripts.vgg.training.distributed import Processes, processes_on_node
from workflow_scripts.vgg.core.randomness import model_seed
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.staging import naming_sources, stage
from workflow_scripts.vgg.core.text_artefacts import read_json, write_csv
from workflow_scripts.vgg.nets.weights import load_weights, read_metadata, save_weights, tensors_sha256
from workflow_scripts.vgg.data.workers import check_shared_memory, start_server

CHOICES = (  # of the configuration, those that decide a training
    "initialisation",
    "transferred_convs",
    "biases",
    "lrn",
    "colour_shift",
    "scale_sampling",
    "resize_filter",
    "last_batch",
    "validation_set",
)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    command.add_model_options(parser)
    parser.add_argument(
        "--lrn", choices=LRN_CONSTANTS, default="krizhevsky", help="constants of LRN layers"
    )
    group = parser.add_argument_group("beginning")
    group.add_argument("--parent", help="weights to start from; random if not given")
    group.add_argument(
        "--inherit",
        choices=("layers-of-A", "all"),
        default="all",
        help="A's first four conv layers and its FC layers, or the whole parent",
    )
    group.add_argument(
        "--initialisation", choices=initialisation.INITIALISATIONS, default="normal-std-0.01"
    )
    group.add_argument(
        "--transferred-convs", choices=initialisation.TRANSFERRED_CONVS, default="by-shape"
    )
    group.add_argument("--seed", type=int, default=0)
    group = parser.add_argument_group("data")
    group.add_argument("--train-shards", nargs="+", required=True)
    group.add_argument(
        "--val-shards", nargs="*", default=[], help="not needed if --validation-set is held-out"
    )
    group.add_argument("--statistics", required=True, help="statistics.json")
    group.add_argument(
        "--train-scale", type=int, nargs="+", required=True, help="S, or its two ends if jittered"
    )
    group.add_argument("--resize-filter", choices=RESIZE_FILTERS, default="bicubic")
    group.add_argument(
        "--colour-shift", choices=sampling.COLOUR_SHIFTS, default="pca-root-eigenvalues"
    )
    group.add_argument(
        "--scale-sampling",
        choices=sampling.SCALE_SAMPLING,
        default="uniform-integer",
        help="how each image's S is drawn if jittered",
    )
    group.add_argument(
        "--last-batch",
        choices=sampling.LAST_BATCH,
        default="wrap",
        help="at an epoch's end, wrap into the next one or drop the images left over",
    )
    group.add_argument(
        "--validation-set",
        choices=sampling.VALIDATION_SETS,
        default="reported",
        help="where plateaus are seen: on the validation shards, or on a part of the training set",
    )
    group = parser.add_argument_group("optimisation")
    choices = {
        "trainable": loop.TRAINABLE,
        "biases": loop.BIAS_RULES,
        "precision": precision.OF_TRAINING,
    }
    for field in fields(loop.Optimisation):
        if field.type == "bool":
            group.add_argument(f"--{field.name.replace('_', '-')}", action="store_true")
            continue
        several = isinstance(field.default, tuple)
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=float if several else type(field.default),
            nargs="+" if several else None,
            default=field.default,
            choices=choices.get(field.name),
        )
    group = parser.add_argument_group("running")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    group.add_argument(
        "--threads", type=int, default=1, help="CPU threads on this node, loaders included"
    )
    group.add_argument(
        "--local-scratch",
        help="folder on the node's disk to copy the shards to; read in place if not given",
    )
    group.add_argument(
        "--micro-batch", type=int, help="most samples that a process has in memory at once"
    )
    group.add_argument("--checkpoints", required=True, help="folder for checkpoints")
    group.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=600,
        help="between checkpoints; one is also written at the end of each epoch",
    )
    group.add_argument(
        "--flat-line-iterations",
        type=int,
        help="stop a net that is still at chance after so many iterations; never if not given",
    )
    group.add_argument("--output", required=True, help="weights to write (safetensors)")
    group.add_argument("--history", required=True, help="history to write (CSV)")
    return parser.parse_args(arguments)


def initial_net(given: argparse.Namespace, dropout: float, input_scale: float) -> ConvNet:
    """The net as its training begins."""
    architecture = Architecture(
        given.layers, given.classes, given.crop, given.fc, given.width_divisor
    )
    if "LRN" in given.layers:  # without such a layer, nets of other constants are the same net
        architecture = replace(architecture, lrn=given.lrn)
    seed = model_seed(given.seed, given.model)
    if given.parent and given.inherit == "all":
        net, _ = load_weights(given.parent, input_scale, dropout=dropout)
        if net.architecture != architecture:
            raise InputError(f"{given.parent}: holds another net than {given.net}, {architecture}")
        return net
    net = ConvNet(architecture, dropout)
    initialisation.initialise(net, given.initialisation, seed)
    if given.parent:
        parent, _ = load_weights(given.parent, input_scale)
        copied = initialisation.transfer_layers(net, parent, given.transferred_convs)
        logging.info("from %s: %s", given.parent, ", ".join(copied))
    return net


def validation_images(
    given: argparse.Namespace, train_shards: list[str], val_shards: list[str]
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray | None]:
    """Where plateaus are seen: shards, places in them, their labels, and the places to train on.

    The last is None if all training images are trained on. Places are int64.
    Raises InputError if the validation images are not given or have no labels.
    """
    if given.validation_set == "held-out":
        labels = Shards(train_shards).labels
        rest, places = sampling.held_out(given.seed, len(labels))
        return train_shards, places, labels[places], rest
    if not val_shards:
        raise InputError("give --val-shards, or --validation-set held-out")
    labels = Shards(val_shards).labels
    if labels.min() < 0:
        raise InputError(f"{val_shards[0]}: validation images without labels")
    return val_shards, np.arange(len(labels)), labels, None


def check_classes(labels: np.ndarray, given: argparse.Namespace) -> None:
    """Raise InputError unless each class has a training image; packing may have left out all."""
    if not 0 <= labels.min() <= labels.max() < given.classes:
        raise InputError(
            f"{given.train_shards[0]} and those beside it: labels from {labels.min()} to "
            f"{labels.max()}, but {given.classes} classes; pack the images anew"
        )
    if missing := sorted(set(range(given.classes)) - set(labels.tolist())):
        raise InputError(
            f"{given.train_shards[0]} and those beside it: {len(missing)} of {given.classes} "
            f"classes have no training image, first label {missing[0]}; the packing reports say "
            "what data.on_bad_image: skip left out"
        )


# Arguments that do not decide the result
RUNNING = (
    *("device", "threads", "micro_batch", "checkpoint_seconds", "flat_line_iterations"),
    *("local_scratch", "checkpoints", "output", "history"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    given = options(arguments)
    place, on_node = processes_on_node()
    threads = max(1, given.threads // on_node)
    if threads > 1:
        start_server()
    device = pick_device(given.device, threads, place)
    processes = Processes.of_torchrun()
    if processes.rank:
        logging.getLogger().setLevel(logging.WARNING)
        lock = contextlib.nullcontext()
    else:
        lock = exclusive(given.checkpoints, "training this model")
    with lock:
        copies = [
            stage(paths, given.local_scratch) for paths in (given.train_shards, given.val_shards)
        ]
        with (
            naming_sources(given.train_shards, copies[0]),
            naming_sources(given.val_shards, copies[1]),
            processes.joined(device),
        ):
            train(given, *copies, device, threads - 1, processes, on_node)


def train(
    given: argparse.Namespace,
    train_shards: list[str],
    val_shards: list[str],
    device: torch.device,
    workers: int,
    processes: Processes,
    on_node: int,
) -> None:
    """Train and write weights and history, in every process of a training.

    train_shards, val_shards: those given, or copies of them on this node. on_node: processes here,
    each with so many workers.
    """
    settings = loop.Optimisation(
        **{field.name: getattr(given, field.name) for field in fields(loop.Optimisation)}
    )
    scales = (given.train_scale[0], given.train_scale[-1])
    statistics = read_json(given.statistics, ("mean_rgb", "eigenvectors", "eigenvalues"))
    net = initial_net(given, settings.dropout, settings.input_scale).to(device)
    shards, places, labels, trained = validation_images(given, train_shards, val_shards)
    images = TrainingImages(
        train_shards,
        model_seed(given.seed, given.model),
        settings.batch_size,
        given.crop,
        scales,
        sampling.colour_axes(statistics, given.colour_shift),
        given.resize_filter,
        rows=processes.rows(settings.batch_size),
        scale_sampling=given.scale_sampling,
        last_batch=given.last_batch,
        places=trained,
    )

    check_classes(images.shards.labels, given)
    shared = images.shared_bytes(workers) + shared_bytes(workers, BATCH_SIZE, given.crop)
    check_shared_memory(on_node * shared, on_node * workers)
    kept = KeptBatches()

    def validate(net: ConvNet, stop: Callable[[], bool]) -> tuple[int, int]:
        with precision.computing(device, settings.precision):
            posteriors = evaluate(
                net,
                shards,
                places=processes.share(places),
                method="center",
                smallest_side=pixels_at(sum(scales) / 2, given.crop),
                mean=statistics["mean_rgb"],
                input_scale=settings.input_scale,
                resize_filter=given.resize_filter,
                workers=workers,
                progress=False,
                kept=kept,
                stop=stop,
            )
        rank = rank_of_class(posteriors, processes.share(labels))
        return int(np.sum(rank >= 1)), int(np.sum(rank >= 5))

    decides = {
        **vars(given),
        **{name: None for name in RUNNING},
        # Not by the file, which another attempt at the parent may have written again.
        "parent": tensors_sha256(given.parent) if given.parent else None,
        "statistics": statistics,
        # What shards hold; the same shards may lie elsewhere.
        "train_shards": images.shards.checksum(),
        "val_shards": Shards(val_shards).checksum() if val_shards else None,
    }
    if not given.compile:  # checkpoints of before there was the option stay good
        del decides["compile"]
    logging.info(
        "%s on %d × %s, %d parameters",
        *(given.model, processes.count, device.type, net.parameter_count()),
    )
    try:
        done = loop.train(
            net,
            images,
            validate,
            len(places),
            settings,
            loop.Running(
                Path(given.checkpoints),
                given.checkpoint_seconds,
                workers,
                given.micro_batch,
                given.flat_line_iterations,
                processes,
            ),
            mean=statistics["mean_rgb"],
            seed=model_seed(given.seed, given.model),
            fingerprint=fingerprint(decides),
        )
    except loop.Interrupted as interruption:
        logging.warning("%s; run the same command again to go on", interruption)
        sys.exit(loop.STOPPED)
    if processes.rank:
        return
    costs.note(
        images=done.iteration * settings.batch_size,
        earlier_seconds=done.earlier_seconds,
        attempts=done.attempts,
    )

    write_csv(given.history, done.history, list(done.history[0]))
    save_weights(
        given.output,
        net,
        settings.input_scale,
        {
            "model": given.model,
            "net": given.net,
            "S": list(scales),
            "mean_rgb": statistics["mean_rgb"],
            "seed": given.seed,
            "iterations": done.iteration,
            "parent": read_metadata(given.parent)["model"] if given.parent else None,
            "parent_sha256": sha256(given.parent) if given.parent else None,
            "inherit": given.inherit if given.parent else None,
            "choices": {name: getattr(given, name) for name in CHOICES},
            "optimisation": asdict(settings),
            "precision": done.precision,
            "config_fingerprint": fingerprint(decides),
            "code_fingerprint": code_fingerprint(),
            "torch": torch.__version__,
            "hardware": describe_hardware(device),
            "processes": processes.count,
            "node": os.uname().nodename,
        },
    )


if __name__ == "__main__":
    command.run(main)
