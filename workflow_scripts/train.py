"""Train one ConvNet: at random from scratch, from net A's layers, or on from a whole parent.

A net of boxes (paper, appendix A) starts from a classifier, all but its last layer.

Several processes share a training under torchrun, one GPU each, with the result of a single one
(paper §3.3): torchrun --standalone --nproc-per-node=4 -m workflow_scripts.train …

Example:

    python -m workflow_scripts.train --model mine --net B-5x5 \\
        --layers 'conv5-64 | conv5-128 | conv5-256 | conv5-512 | conv5-512' \\
        --crop 96 --classes 10 --fc 512 --width-divisor 16 --train-scale 256 \\
        --train-shards results/miniature/shards/train_S256/*.arrow \\
        --val-shards results/miniature/shards/val/*.arrow \\
        --statistics results/miniature/statistics.json --input-scale 128 \\
        --initialisation dirac --learning-rate 0.0025 --batch-size 8 --dropout 0.1 \\
        --iterations 400 --validation-interval 100 \\
        --checkpoints mine --history mine.csv --output mine.safetensors
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import (
    add_options,
    choices_of,
    declared,
    from_options,
    names_of,
)
from workflow_scripts.vgg.core.files import (
    InputError,
    code_fingerprint,
    exclusive,
    fingerprint,
    sha256,
)
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.core.randomness import model_seed
from workflow_scripts.vgg.core.signals import STOPPED, Stopped, StopSignals
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.box_targets import BoxReadings
from workflow_scripts.vgg.data.classes import read_class_names
from workflow_scripts.vgg.data.images import Resizing, pixels_at
from workflow_scripts.vgg.data.loader import TrainingImages, on_device
from workflow_scripts.vgg.data.rescaled_images import KeptBatches, RescaledImages
from workflow_scripts.vgg.data.sampling import HELD_OUT_SHARE, Sampling, colour_axes, held_out
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.staging import naming_sources, stage
from workflow_scripts.vgg.data.workers import check_shared_memory, start_server
from workflow_scripts.vgg.evaluation.methods import Method, evaluate
from workflow_scripts.vgg.evaluation.posteriors import rank_of_class
from workflow_scripts.vgg.localisation.lessons import Lessons, read_lessons
from workflow_scripts.vgg.localisation.windows import central_boxes
from workflow_scripts.vgg.nets.convnets import (
    Architecture,
    ConvNet,
    NetChoices,
    add_model_options,
    sizes_of,
)
from workflow_scripts.vgg.nets.devices import describe_hardware, explained_memory, pick_device
from workflow_scripts.vgg.nets.initialisation import (
    Beginning,
    BoxBeginning,
    begin_at,
    copy_all_but_last,
    initialise,
    transfer_layers,
)
from workflow_scripts.vgg.nets.precision import computing
from workflow_scripts.vgg.nets.weights import (
    load_weights,
    read_metadata,
    save_weights,
    tensors_sha256,
)
from workflow_scripts.vgg.training.checkpoints import (
    KEPT,
    CheckpointWriter,
    load_checkpoint,
    newest_checkpoint,
)
from workflow_scripts.vgg.training.distributed import Processes, processes_on_node
from workflow_scripts.vgg.training.guards import (
    CHECK_EVERY,
    FiniteGuard,
    chance_loss,
    check_flat_line,
)
from workflow_scripts.vgg.training.history import write_history
from workflow_scripts.vgg.training.losses import BoxLoss, logistic_loss
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.signs import TRAINING, VALIDATING
from workflow_scripts.vgg.training.state import Training
from workflow_scripts.vgg.training.watching import Observed, Watch, facts_of, makers_of


@dataclass(frozen=True)
class Running:
    """How and where a training runs: what does not decide its result, but by rounding."""

    checkpoints: str = declared(help="folder for checkpoints")
    output: str = declared(help="weights to write (safetensors)")
    history: str = declared(help="history to write (CSV)")
    device: str = declared("auto", "auto, cpu, cuda, cuda:1, …")
    threads: int = declared(1, "CPU threads on this node, loaders included")
    local_scratch: str | None = declared(
        None, "folder on the node's disk to copy the shards to; read in place if not given"
    )
    micro_batch: int | None = declared(
        None, "most samples that a process has in memory at once; the whole part of a batch if not"
    )
    checkpoint_seconds: float = declared(
        600.0, "between checkpoints; one is also written at the end of each epoch"
    )
    flat_line_iterations: int | None = declared(
        None, "stop a net that is still at chance after so many iterations; never if not given"
    )
    tensorboard: str | None = declared(None, "folder for TensorBoard's event files")
    observer: str | None = declared(
        None, "path/to/file.py:function that makes an observer, such as for W&B or MLflow"
    )


CHOICES = (NetChoices, Beginning, Sampling, Resizing, Optimisation)  # which declare choices
OF_BOXES = (BoxReadings, BoxBeginning, BoxLoss)  # which declare choices of nets of boxes
MEAN_BOX_SAMPLES = 4096  # of the batch sequence, over which the mean target is taken


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    add_model_options(parser)
    add_options(parser, NetChoices)
    group = parser.add_argument_group("beginning")
    group.add_argument("--parent", help="weights to start from; random if not given")
    group.add_argument(
        "--inherit",
        choices=("layers-of-A", "all", "all-but-last"),
        default="all",
        help="A's first four conv layers and its FC layers, the whole parent, or, for a net of "
        "boxes, all but its last layer",
    )
    add_options(group, Beginning)
    group.add_argument("--seed", type=int, default=0)
    group = parser.add_argument_group("data")
    group.add_argument("--train-shards", nargs="+", required=True)
    group.add_argument(
        "--val-shards", nargs="*", default=[], help="not needed if --validation-set is held-out"
    )
    group.add_argument("--statistics", required=True, help="statistics.json")
    group.add_argument(
        "--class-list", help="classes.parquet, for the weights to name their classes"
    )
    group.add_argument(
        "--train-scale", type=int, nargs="+", required=True, help="S, or its two ends if jittered"
    )
    add_options(group, Resizing)
    add_options(group, Sampling)
    group = parser.add_argument_group("boxes")
    group.add_argument("--train-boxes", help="true boxes of the training images; for such a net")
    group.add_argument("--val-boxes", help="true boxes of the validation images; as --val-shards")
    for declaration in OF_BOXES:
        add_options(group, declaration)
    add_options(parser.add_argument_group("optimisation"), Optimisation)
    add_options(parser.add_argument_group("running"), Running)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    place, on_node = processes_on_node()
    threads = max(1, given.threads // on_node)
    if threads > 1:
        start_server()
    device = pick_device(given.device, threads, place)
    processes = Processes.of_torchrun()
    lock: contextlib.AbstractContextManager = contextlib.nullcontext()
    watch = Watch(None, {})
    if processes.rank:
        logging.getLogger().setLevel(logging.WARNING)
    else:
        lock = exclusive(given.checkpoints, "training this model")
        watch = Watch(given.checkpoints, makers_of(given.tensorboard, given.observer))
    with lock, watch:
        train_shards, val_shards = (
            stage(paths, given.local_scratch) for paths in (given.train_shards, given.val_shards)
        )
        with (
            naming_sources(given.train_shards, train_shards),
            naming_sources(given.val_shards, val_shards),
            processes.joined(device),
        ):
            train(given, train_shards, val_shards, device, threads - 1, processes, watch)


def train(
    given: argparse.Namespace,
    train_shards: list[str],
    val_shards: list[str],
    device: torch.device,
    workers: int,
    processes: Processes,
    watch: Watch,
) -> None:
    """A whole training, in each of its processes (paper §3.1): resume or begin, iterate, write.

    train_shards, val_shards: those given, or copies of them on this node.
    workers: loader processes of this process.

    Raises InputError on what `training.guards` finds. Exits with STOPPED after SIGTERM, SIGINT or
    SIGUSR1 in any process, when a checkpoint is written.
    """
    settings = from_options(Optimisation, given)
    statistics = read_json(given.statistics, ("mean_rgb", "eigenvectors", "eigenvalues"))
    mean = statistics["mean_rgb"]
    scales = (given.train_scale[0], given.train_scale[-1])
    wnids = listed_wnids(given.class_list, given.classes) if given.class_list else None

    # The images to train on, and those on which plateaus are seen.
    rest, validated_on, labels = validation_split(given, train_shards, val_shards)
    trained_on, boxes = rest, None
    if given.head != "classes":
        boxes = lessons_of(given, train_shards, val_shards)
        trained_on = boxes.trained_on(rest)
        scored = boxes.validated_on(validated_on)
        validated_on, labels = validated_on[scored], labels[scored]
    images = TrainingImages(
        train_shards,
        model_seed(given.seed, given.model),
        settings.batch_size,
        given.crop,
        scales,
        colour_axes(statistics, given.colour_shift),
        given.resize_filter,
        rows=processes.rows(settings.batch_size),
        scale_sampling=given.scale_sampling,
        last_batch=given.last_batch,
        places=trained_on,
        boxes=boxes.targets if boxes else None,
    )
    validation = RescaledImages(
        train_shards if given.validation_set == "held-out" else val_shards,
        pixels_at(sum(scales) / 2, given.crop),
        given.crop,
        central=True,
        resize_filter=given.resize_filter,
        places=processes.share(validated_on),
        kept=KeptBatches(),
    )
    train_labels = images.shards.labels
    check_classes(train_labels, rest, given)
    if boxes and given.head == "box-pcr":
        boxes.check_classes(train_labels[trained_on], given.classes)
    _, on_node = processes_on_node()
    shared = images.shared_bytes(workers) + validation.shared_bytes(workers)
    check_shared_memory(on_node * shared, on_node * workers)

    # Resume, or else initialise.
    net = ConvNet(architecture_of(given), settings.dropout).to(device)
    loss = from_options(BoxLoss, given) if boxes else logistic_loss
    training = Training(net, images, settings, mean, processes, given.micro_batch, loss)
    decides = fingerprint(what_decides(given, statistics, images, val_shards, boxes))
    checkpoints = Path(given.checkpoints)
    found = newest_checkpoint(checkpoints, decides) if processes.rank == 0 else None
    if path := processes.gather(found)[0]:
        training.resume(load_checkpoint(path))
    else:
        begin(net, given, settings.input_scale)
        if boxes and given.box_last_layer == "mean-box":
            begin_at(net, images.mean_target(MEAN_BOX_SAMPLES))
    training.prepare()
    logging.info(
        "%s on %d × %s, %d parameters",
        given.model,
        processes.count,
        device.type,
        net.parameter_count(),
    )
    hardware = describe_hardware(device)
    watch.begin(observed(given, training), partial(facts_of, training, hardware, processes.count))

    # Iterate until the last plateau, or the last iteration.
    guard = FiniteGuard(images, processes)
    chance = None if boxes else chance_loss(images.labels)
    load, cure = memory_words(settings.batch_size, images.own_rows, given, processes)
    done = training.iteration * settings.batch_size
    progress = Progress(settings.iterations * settings.batch_size, "images", done=done)
    last_checkpoint = time.monotonic()
    batches = images.batches(
        training.iteration, settings.iterations, workers, device.type == "cuda"
    )
    ready = on_device(batches, device)
    with (
        StopSignals() as signals,
        contextlib.closing(batches),
        CheckpointWriter(checkpoints) as writer,
    ):

        def look() -> None:
            """Take in the losses of the iterations since the last look; the GPU is waited for."""
            done = guard.look()
            training.iterations += done
            watch.iterations(done)

        def checkpoint() -> None:
            """That of a finished training is kept alone. It writes the weights again if Snakemake
            deletes them, as it does where Slurm calls a job failed that was not."""
            nonlocal last_checkpoint
            look()
            state = training.state(decides)
            if processes.rank == 0:
                writer.write(training.iteration, state, 1 if training.finished else KEPT)
            last_checkpoint = time.monotonic()

        def asked_to_stop() -> bool:
            watch.sign(VALIDATING)
            return signals.received > 0

        def stop_if_asked(number: int) -> None:
            if number:
                checkpoint()
                writer.wait()  # what keeps it from being written is an error, not a stop
                logging.warning(
                    "stopped at iteration %d on %s; run the same command again to go on",
                    training.iteration,
                    signal.Signals(number).name,
                )
                sys.exit(STOPPED)

        while True:
            if training.awaits_validation:
                look()
                seconds = time.monotonic() - training.last_validation
                logging.info("validating after iteration %d", training.iteration)
                wrong = dict.fromkeys(("gtloc",) if boxes else ("top1", "top5"), 0)
                with contextlib.suppress(Stopped):
                    wrong = validate(training, validation, processes.share(labels), boxes, workers,
                                     asked_to_stop)  # fmt: skip
                stop_if_asked(*processes.highest(signals.received))
                total = dict(zip(wrong, processes.total(*wrong.values()), strict=True))
                training.observe(total, len(labels), seconds)
                watch.validation(training.history[-1])
            try:
                check_flat_line(training.history, chance, given.flat_line_iterations)
            except InputError:
                checkpoint()
                raise
            if training.finished:
                checkpoint()
                break
            watch.sign(TRAINING)
            rate = training.rate
            batch = next(ready)
            with explained_memory(load, cure):
                losses, norm = training.step(batch)
            guard.keep(training.iteration, rate, losses, norm)
            progress.update(settings.batch_size, f"iteration {training.iteration}, rate {rate:g}")
            if training.iteration % CHECK_EVERY == 0:
                look()
            due = time.monotonic() - last_checkpoint >= given.checkpoint_seconds
            received, due = processes.highest(signals.received, due or training.ends_epoch)
            stop_if_asked(received)
            if due:
                checkpoint()

    # Write the history and the weights.
    if processes.rank:
        return
    costs.note(
        images=training.iteration * settings.batch_size,
        earlier_seconds=training.earlier_seconds,
        attempts=training.attempts,
    )
    write_history(given.history, training.history)
    save_weights(
        given.output,
        net,
        settings.input_scale,
        {
            "model": given.model,
            "net": given.net,
            "S": list(scales),
            "mean_rgb": mean,
            "wnids": wnids,
            "seed": given.seed,
            "iterations": training.iteration,
            "parent": read_metadata(given.parent)["model"] if given.parent else None,
            "parent_sha256": sha256(given.parent) if given.parent else None,
            "inherit": given.inherit if given.parent else None,
            "choices": {
                name: getattr(given, name)
                for name in choices_of(*CHOICES, *(OF_BOXES if boxes else ()))
            },
            "optimisation": asdict(settings),
            "precision": training.precision,
            "config_fingerprint": decides,
            "code_fingerprint": code_fingerprint(),
            "torch": torch.__version__,
            "hardware": hardware,
            "processes": processes.count,
            "node": os.uname().nodename,
        },
    )


def listed_wnids(path: str, expected: int) -> list[str]:
    """The names of the classes that the net will know. Raises InputError for another number."""
    wnids = [each.wnid for each in read_class_names(path)]
    if len(wnids) != expected:
        raise InputError(f"{path}: {len(wnids)} classes, but --classes is {expected}")
    return wnids


def architecture_of(given: argparse.Namespace) -> Architecture:
    """The net to train."""
    architecture = Architecture(given.layers, **sizes_of(given), head=given.head)
    # Without such a layer, nets of other constants are the same net.
    return replace(architecture, lrn=given.lrn) if "LRN" in given.layers else architecture


def begin(net: ConvNet, given: argparse.Namespace, input_scale: float) -> None:
    """Give a net its first weights: the parent's, or random ones, maybe with layers of net A."""
    parent = load_weights(given.parent, input_scale)[0] if given.parent else None
    if (given.inherit == "all-but-last") != net.architecture.is_of_boxes:
        raise InputError(
            "--inherit all-but-last goes with nets of boxes, and nothing else with them"
        )
    if net.architecture.is_of_boxes and parent is None:
        raise InputError("a net of boxes starts from a classifier: give --parent")
    if parent is not None and given.inherit == "all":
        if parent.architecture != net.architecture:
            raise InputError(
                f"{given.parent}: holds another net than {given.net}, {net.architecture}"
            )
        net.load_state_dict(parent.state_dict())
        return
    initialise(net, given.initialisation, model_seed(given.seed, given.model))
    if parent is not None and given.inherit == "all-but-last":
        copy_all_but_last(net, parent)
    elif parent is not None:
        copied = transfer_layers(net, parent, given.transferred_convs)
        logging.info("from %s: %s", given.parent, ", ".join(copied))


def validation_split(
    given: argparse.Namespace, train_shards: list[str], val_shards: list[str]
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """The places to train on, the places to validate on, and the latter's labels; all int [images].

    Validation images lie in the training shards if a part of them is held out. The places to train
    on are None if they are all.
    Raises InputError if the validation images are not given or have no labels.
    """
    if given.validation_set == "held-out":
        labels = Shards(train_shards).labels
        rest, places = held_out(given.seed, len(labels))
        return rest, places, labels[places]
    if not val_shards:
        raise InputError("give --val-shards, or --validation-set held-out")
    labels = Shards(val_shards).labels
    if labels.min() < 0:
        raise InputError(f"{val_shards[0]}: validation images without labels")
    return None, np.arange(len(labels)), labels


def check_classes(labels: np.ndarray, rest: np.ndarray | None, given: argparse.Namespace) -> None:
    """Raise InputError unless each class has an image to train on, and there are no other labels.

    labels: int [images], of the training shards. rest: the places that validation leaves, None for
    all. Packing may have left out all of a class, and validation may take them.
    """
    if not 0 <= labels.min() <= labels.max() < given.classes:
        raise InputError(
            f"{given.train_shards[0]} and those beside it: labels from {labels.min()} to "
            f"{labels.max()}, but {given.classes} classes; pack the images anew"
        )
    learnt = labels if rest is None else labels[rest]
    if missing := sorted(set(range(given.classes)) - set(learnt.tolist())):
        raise InputError(
            f"{given.train_shards[0]} and those beside it: {len(missing)} of {given.classes} "
            f"classes have no image to train on, first label {missing[0]}; the packing reports "
            "say what data.on_bad_image: skip left out, and a held-out validation set takes one "
            f"image in {1 / HELD_OUT_SHARE:.0f}"
        )


def lessons_of(
    given: argparse.Namespace, train_shards: list[str], val_shards: list[str]
) -> Lessons:
    """What a net of boxes learns from, and is validated on."""
    held_out = given.validation_set == "held-out"
    return read_lessons(
        given.train_boxes,
        train_shards,
        given.train_boxes if held_out else given.val_boxes,
        train_shards if held_out else val_shards,
        given.crop,
        from_options(BoxReadings, given),
    )


def what_decides(
    given: argparse.Namespace,
    statistics: dict,
    images: TrainingImages,
    val_shards: list[str],
    boxes: Lessons | None,
) -> dict:
    """All that a training's result depends on; checkpoints of anything else are not used."""
    decides = {
        **vars(given),
        **dict.fromkeys(names_of(Running)),
        # Not by the file, which another attempt at the parent may have written again.
        "parent": tensors_sha256(given.parent) if given.parent else None,
        "statistics": statistics,
        # What shards hold; the same shards may lie elsewhere.
        "train_shards": images.shards.checksum(),
        "val_shards": Shards(val_shards).checksum() if val_shards else None,
    }
    # Checkpoints of before there were these options stay good; names of classes decide nothing.
    del decides["tensorboard"], decides["observer"], decides["class_list"]
    if not given.compile:
        del decides["compile"]
    if given.head == "classes":
        for name in ("head", "train_boxes", "val_boxes", *names_of(*OF_BOXES)):
            del decides[name]
    if boxes:  # what the files hold
        decides |= {"train_boxes": boxes.checksum(), "val_boxes": None}
    return decides


def observed(given: argparse.Namespace, training: Training) -> Observed:
    """The training as those who watch it see it."""
    running = names_of(Running)
    return Observed(
        model=given.model,
        net=given.net,
        seed=given.seed,
        results=Path(given.output).parent.parent,
        settings={name: value for name, value in vars(given).items() if name not in running},
        iteration=training.iteration,
        iterations=training.settings.iterations,
        done=tuple(training.iterations),
        history=tuple(training.history),
    )


def memory_words(
    batch_size: int, rows: slice, given: argparse.Namespace, processes: Processes
) -> tuple[str, str]:
    """The load on memory, and the cure if there is too little of it, in words."""
    samples = min(given.micro_batch or batch_size, rows.stop - rows.start)
    load = (
        f"{samples} samples at once (train.batch_size {batch_size}, "
        f"train.processes {processes.count})"
    )
    if "BN" in given.layers.split():
        return load, "use more processes, or a smaller train.batch_size with its own learning rate"
    return (
        load,
        f"set train.micro_batch to {max(1, samples // 2)} or less, or use more processes; the "
        "result is the same",
    )


def validate(
    training: Training,
    images: RescaledImages,
    labels: np.ndarray,
    boxes: Lessons | None,
    workers: int,
    stop: Callable[[], bool],
) -> dict[str, int]:
    """How many of this process's validation images are wrong in top-1 and in top-5.

    boxes: of a net of boxes, whose boxes of the true classes are right or wrong.
    Raises Stopped if `stop` says so.
    """
    net, mean = training.net, training.mean.tolist()
    options = {
        "input_scale": training.settings.input_scale,
        "workers": workers,
        "progress": False,
        "stop": stop,
    }
    with computing(training.device, training.settings.precision):
        if boxes:
            units = boxes.targets.readings.box_units
            found = central_boxes(net, images, labels, mean, units, **options)
            return {"gtloc": int(boxes.wrong(images, found).sum())}
        posteriors = evaluate(net, images, Method("center"), mean, **options)
    rank = rank_of_class(posteriors, labels)
    return {"top1": int(np.sum(rank >= 1)), "top5": int(np.sum(rank >= 5))}


if __name__ == "__main__":
    command.run(main)
