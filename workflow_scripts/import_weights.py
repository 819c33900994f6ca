"""Bring weights that exist already, the authors' for example, to the form of this pipeline's.

Example:

    python -m workflow_scripts.import_weights --model B-5x5_S256 --net B-5x5 \\
        --layers 'conv5-64 | conv5-128 | conv5-256 | conv5-512 | conv5-512' --scale 256 \\
        --crop 96 --classes 10 --fc 512 --width-divisor 16 --format own \\
        --file results/miniature/weights/B-5x5_S256.safetensors --output mine.safetensors
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.declarations import add_options, choices_of, from_options
from workflow_scripts.vgg.core.files import InputError, code_fingerprint, sha256
from workflow_scripts.vgg.data.known_classes import Known, known_among, known_by_name
from workflow_scripts.vgg.nets.convnets import Architecture, add_model_options, sizes_of
from workflow_scripts.vgg.nets.library_nets import Classifier
from workflow_scripts.vgg.nets.released.reading import (
    check_md5,
    read_library_net,
    read_released,
)
from workflow_scripts.vgg.nets.released.source_formats import FORMATS, Input
from workflow_scripts.vgg.nets.restriction import Restriction, restrict
from workflow_scripts.vgg.nets.weights import read_metadata, save_weights
from workflow_scripts.vgg.settings.net_uses import is_library_net


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    add_model_options(parser, or_of_library=True)
    parser.add_argument("--scale", type=int, nargs="+", help="S, or its two ends if jittered")
    group = parser.add_argument_group("source")
    group.add_argument("--file", required=True, help="weights to read")
    group.add_argument(
        "--format", required=True, choices=FORMATS, help="whose names, layout and input it has"
    )
    group.add_argument("--md5", help="the sum that the file must have")
    group.add_argument(
        "--known-classes",
        help="the data set's classes.parquet, if the weights may know more classes than these",
    )
    add_options(group, Restriction)
    parser.add_argument("--output", required=True, help="weights to write (safetensors)")
    given = parser.parse_args(arguments)
    if is_library_net(given.net) == bool(given.layers):
        parser.error(
            "--layers goes with nets of --net that are not a library's, and only with them"
        )
    if given.layers and not given.scale:
        parser.error("--scale goes with --layers")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    if given.md5:
        check_md5(given.file, given.md5, given.format)
    trained: dict = {
        "iterations": None,
        "parent": None,
        "parent_sha256": None,
        "choices": {},
        "code_fingerprint": code_fingerprint(),
        "torch": torch.__version__,
    }
    scales = [given.scale[0], given.scale[-1]] if given.scale else None
    if given.format == "own":
        trained = read_metadata(given.file)
        if trained.get("S", scales) != scales:
            raise InputError(
                f"{given.file}: trained at S = {trained['S']}, but {given.model} is at {scales}; "
                "give the file of the model with that S"
            )
    net, source_input, known = read_net(given, trained.get("wnids"))
    of_file = net.architecture.classes
    more: dict = {"net": given.net} if given.layers is None else {}
    if known and known.places != list(range(of_file)):
        trained["kept"] = kept = from_options(Restriction, given).kept(known.places, of_file)
        if trained.get("wnids"):
            trained["wnids"] = [trained["wnids"][place] for place in kept]
        restrict(net, kept)
        choice = {name: getattr(given, name) for name in choices_of(Restriction)}
        trained["choices"] = {**trained["choices"], **choice}
        more |= {"classes": of_file, **choice}
        logging.info(
            "%d classes in the file, %d in the data set: posteriors are %s",
            of_file,
            given.classes,
            given.subset_posteriors,
        )
    save_weights(
        given.output,
        net,
        1.0,
        {
            **trained,
            "model": given.model,
            "net": given.net,
            "S": scales,
            "mean_rgb": list(source_input.mean_rgb),
            "imported": {
                "file": Path(given.file).name,
                "format": given.format,
                "sha256": sha256(given.file),
                "bytes": Path(given.file).stat().st_size,
                "input": source_input.words,
                **more,
                "earlier": trained.get("imported"),
            },
        },
    )
    logging.info("%s from %s (%s)", given.model, given.file, given.format)


def read_net(
    given: argparse.Namespace, wnids: Sequence[str] | None
) -> tuple[Classifier, Input, Known | None]:
    """The net of the file, the input of its source, and where the data set's classes are among
    those that it knows; None if nothing else is known than that they are as many.

    wnids: the classes that the file names, if it does.
    """
    if given.known_classes and wnids:
        known = known_by_name(given.known_classes, wnids, given.file)
        return *read_with(given, known.classes), known
    others = known_among(given.known_classes) if given.known_classes else []
    for known in others:
        with suppress(InputError):
            net, source_input = read_with(given, known.classes)
            if net.architecture.classes == known.classes != given.classes:
                return net, source_input, known
    return *read_with(given, None), None


def read_with(given: argparse.Namespace, or_classes: int | None) -> tuple[Classifier, Input]:
    """The net of the file, of the data set's classes or of so many, and the input of its source."""
    if given.layers is None:
        return read_library_net(given.file, given.net, given.classes, or_classes)
    architecture = Architecture(given.layers, **sizes_of(given), head=given.head)
    if architecture.is_of_boxes and given.format != "own":
        raise InputError(
            f"{given.file}: {given.model} predicts boxes, in a unit that only weights of this "
            "pipeline tell; give such with format: own"
        )
    return read_released(given.file, given.format, architecture, or_classes)


if __name__ == "__main__":
    command.run(main)
