"""Describe images by a net without its last layer, densely, at one or several scales (appendix B).

For a folder of your own: one vector an image, of all scales together, L2-normalised, as Parquet or
NumPy archive. For the pipeline: --shards, one Q, and --feature-l2 none.

Example:

    python -m workflow_scripts.describe_images --images docs/pictures --Q 256 384 \\
        --weights results/miniature/weights/D_S256-512.safetensors --output mine.npz
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.core.files import (
    InputError,
    check_no_folder,
    code_fingerprint,
    whole_file,
)
from workflow_scripts.vgg.data.examples import read_examples
from workflow_scripts.vgg.data.images import Resizing, pixels_at
from workflow_scripts.vgg.data.own_images import packed_meanwhile
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.rescaled_images import RescaledImages, check_scale
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.sources.folders import image_files
from workflow_scripts.vgg.data.sources.members import ON_BAD_IMAGE, Member
from workflow_scripts.vgg.data.staging import naming_sources, stage
from workflow_scripts.vgg.data.workers import start_server
from workflow_scripts.vgg.evaluation.methods import NotFinite
from workflow_scripts.vgg.evaluation.passes import add_place_options, provenance
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet, PoolingChoices
from workflow_scripts.vgg.nets.devices import pick_device
from workflow_scripts.vgg.nets.released.reading import read_released
from workflow_scripts.vgg.nets.released.source_formats import FORMATS
from workflow_scripts.vgg.nets.weights import load_weights
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.transfer.combining import (
    NORMALISATIONS,
    SCALE_POOLINGS,
    Combining,
    parts_of,
    stacked,
)
from workflow_scripts.vgg.transfer.descriptor_files import write_descriptors
from workflow_scripts.vgg.transfer.descriptors import Describing, describe
from workflow_scripts.vgg.transfer.regions import REGIONS, BoxReading, regions_of

DECIDING = (Describing, BoxReading, PoolingChoices, Resizing)  # which declare what decides numbers
SUFFIXES = (".parquet", ".npz")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    net = parser.add_argument_group("net")
    net.add_argument("--weights", required=True, help="weights of the net")
    net.add_argument("--format", choices=FORMATS, default="own", help="whose weights they are")
    net.add_argument("--net", help="configuration of Table 1, e.g. D; needed but for own weights")
    net.add_argument("--models", default="config/models.yaml", help="where nets are defined")
    images = parser.add_argument_group("images")
    source = images.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--images",
        help="folder of images, or of folders of images, described as they are stored: an EXIF "
        "orientation is not applied",
    )
    source.add_argument("--shards", nargs="+", help="packed images")
    images.add_argument("--examples", help="persons' boxes, for --region box")
    images.add_argument("--region", choices=REGIONS, default="image", help="what is described")
    images.add_argument(
        "--on-bad-image", choices=ON_BAD_IMAGE, default="error", help="stop, or leave it out"
    )
    parser.add_argument(
        "--Q", type=int, nargs="+", required=True, help="smallest sides, in the paper's units"
    )
    parser.add_argument(
        "--pooling", choices=SCALE_POOLINGS, default="mean", help="how several Q are put together"
    )
    parser.add_argument(
        "--feature-l2",
        choices=(*NORMALISATIONS, "none"),
        default=NORMALISATIONS[0],
        help="what is L2-normalised",
    )
    for declaration in DECIDING:
        add_options(parser, declaration)
    add_place_options(parser)
    parser.add_argument("--output", required=True, help="what to write: .parquet or .npz")
    given = parser.parse_args(arguments)
    if (given.format == "own") != (given.net is None):
        parser.error("--net goes with another --format than own, and only with it")
    if (given.region == "box") != bool(given.examples):
        parser.error("--examples goes with --region box, and only with it")
    if given.region == "box" and not given.shards:
        parser.error("--region box needs --shards")
    if given.local_scratch and not given.shards:
        parser.error("--local-scratch is for --shards")
    if Path(given.output).suffix not in SUFFIXES:
        parser.error(f"--output {given.output}: expected a name that ends in .parquet or .npz")
    if len(set(given.Q)) < len(given.Q):
        parser.error("--Q: one is given twice")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    check_no_folder(given.output)
    if given.threads > 1:
        start_server()
    device = pick_device(given.device, given.threads)
    net, weights = read_net(given)
    crop = net.architecture.crop
    for Q in given.Q:
        check_scale(pixels_at(Q, crop), crop)  # before the others' work is done
    net = net.to(device).to(memory_format=torch.channels_last)
    with packed(given, crop) as paths:
        shards = Shards(paths)  # not the copies, so that an error names the shard itself
        copies = stage(paths, given.local_scratch)
        ids, places, regions = described(given, shards)
        parts = []
        for Q in given.Q:
            logging.info("%d images at Q = %d", len(ids), Q)
            images = RescaledImages(
                copies,
                pixels_at(Q, crop),
                crop,
                resize_filter=given.resize_filter,
                batch_size=given.batch_size,
                places=places,
                regions=regions,
            )
            with (
                costs.working_on(len(ids)),
                precision.computing(device, given.precision),
                naming_sources(paths, copies),
                naming_weights(given.weights),
            ):
                parts.append(
                    describe(
                        net,
                        images,
                        from_options(Describing, given),
                        weights["mean_rgb"],
                        workers=given.threads - 1,
                    )
                )
    found = combined(parts, given.pooling, given.feature_l2)
    scale = given.Q[0] if len(given.Q) == 1 else given.Q
    write(
        given.output,
        ids,
        found,
        {
            **provenance(given, weights, device, *DECIDING, method=given.region, scale=scale),
            "pooling": given.pooling if len(given.Q) > 1 else None,
            "feature_l2": given.feature_l2,
        },
    )
    logging.info("%d images, %d numbers each: %s", *found.shape, given.output)


def read_net(given: argparse.Namespace) -> tuple[ConvNet, dict]:
    """The net of the weights, and what is known of them.

    Raises InputError if they cannot be read, are of another net, or of one that predicts boxes.
    """
    if given.format == "own":
        net, weights = load_weights(given.weights, pool_rounding=given.pool_rounding)
        if net.architecture.is_of_boxes:
            raise InputError(f"{given.weights}: predicts boxes; give weights of a classifier")
        if net.architecture.averages:
            raise InputError(
                f"{given.weights}: has no hidden fully-connected layers (GAP), whose activations "
                "describe images; give weights of another net"
            )
        return net, weights
    nets = read_valid("models", given.models)["convnets"]
    if given.net not in nets:
        raise InputError(
            f"--net {given.net}: is not in {given.models}, which has {', '.join(nets)}; name the "
            f"net whose weights {given.weights} has"
        )
    architecture = Architecture(nets[given.net], pool_rounding=given.pool_rounding)
    if architecture.averages:
        raise InputError(f"--net {given.net}: has no hidden fully-connected layers (GAP)")
    net, source = read_released(given.weights, given.format, architecture)
    told = {"model": given.net, "mean_rgb": list(source.mean_rgb), "iterations": None}
    imported = {"file": Path(given.weights).name, "format": given.format, "input": source.words}
    return net, {**told, "imported": imported, "code_fingerprint": code_fingerprint()}


@contextmanager
def packed(given: argparse.Namespace, crop: int) -> Iterator[list[str]]:
    """The shards given, or one that holds the folder's images meanwhile, beside the output.

    Raises InputError if the folder is missing, or none of its images can be read, or not all are to
    be left out that cannot, or two have one name.
    """
    if given.shards:
        yield given.shards
        return
    if not Path(given.images).is_dir():
        raise InputError(f"{given.images}: no such folder; name one that holds images")
    members = sorted(map(named_by_class, image_files(given.images)), key=attrgetter("id"))
    for one, other in pairwise(members):
        if one.id == other.id:
            raise InputError(f"{one.file} and {other.file}: both are called {one.id}; rename one")
    index = pd.DataFrame(members)
    packing = Packing(
        smallest_side=None,
        only_shrink=False,
        resize_filter=given.resize_filter,
        jpeg_quality=95,
        crop=crop,
        on_bad_image=given.on_bad_image,
        cure="repair or remove it, or leave such images out with --on-bad-image skip",
    )
    folder = Path(given.output).parent
    with packed_meanwhile(index, packing, folder, ".describe_images-") as path:
        for kind, ids in packing.oddities.items():
            logging.info("%s: %d images, such as %s", kind, len(ids), ids[0])
        yield [path]


def named_by_class(member: Member) -> Member:
    """An image of a class's folder, called `<class>/<name>` whatever others there are."""
    if member.wnid is None or member.id.startswith(f"{member.wnid}/"):
        return member
    return replace(member, id=f"{member.wnid}/{member.id}")


def described(
    given: argparse.Namespace, shards: Shards
) -> tuple[list[str], np.ndarray | None, np.ndarray | None]:
    """The names of what is described, and its images' places and regions, as RescaledImages has.

    Raises InputError if persons are not in these images, or a box is outside its image.
    """
    if given.region == "image":
        return list(shards.ids()), None, None
    examples = read_examples(given.examples)
    if examples.boxes is None:
        raise InputError(f"{given.examples}: has no boxes; describe its images")
    place_of = {name: place for place, name in enumerate(shards.ids())}
    if strange := place_of.keys() - set(examples.image_ids):
        raise InputError(
            f"{given.shards[0]}: holds {min(strange)}, which {given.examples} does not know; "
            "index and pack the data set anew"
        )
    # Packing may have left some images out.
    packed = np.array([place_of.get(name, -1) for name in examples.image_ids])[examples.images]
    kept = np.flatnonzero(packed >= 0)
    places = packed[kept]
    sizes = np.stack([shards.widths, shards.heights], 1)[places]
    regions = regions_of(examples.boxes[kept], sizes, from_options(BoxReading, given))
    ids = [examples.ids[row] for row in kept]
    for name, region, (width, height) in zip(ids, regions, sizes, strict=True):
        if not (region[:2] < region[2:]).all():
            raise InputError(
                f"{given.examples}: the box of {name} lies outside its image of {width}×{height} "
                "pixels; correct the data set's annotations, then index and pack it anew"
            )
    return ids, places, regions


def combined(scales: list[np.ndarray], pooling: str, feature_l2: str) -> np.ndarray:
    """The descriptors of several scales as one, float32 [images, length]."""
    combining = Combining(scale_pooling=pooling, feature_l2=feature_l2)
    parts = parts_of([[partial(np.asarray, own) for own in scales]], combining)
    if feature_l2 == "none":
        return np.concatenate(list(parts), axis=1)
    return stacked(parts, feature_l2, np.float32)


@contextmanager
def naming_weights(path: str) -> Iterator[None]:
    """In an error about numbers that are not finite, name the weights."""
    try:
        yield
    except NotFinite as error:
        raise InputError(f"{path}: {error}") from error


def write(path: str, ids: list[str], found: np.ndarray, metadata: dict) -> None:
    """Write descriptors, float32 [images, length], in the form that the name's suffix says."""
    if path.endswith(".parquet"):
        write_descriptors(path, ids, found, metadata)
        return
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, ids=np.array(ids), descriptors=found, metadata=json.dumps(metadata))


if __name__ == "__main__":
    command.run(main)
