"""Say what is on pictures of your own: the likeliest classes, by the paper's test protocol (§3.2).

Weights may be a run's, exported ones, or any that can be imported: the authors', torchvision's,
timm's, Keras'. The posteriors of several weights, and of several Q, are averaged (§4.4), and are
those that the pipeline gives the same images. A picture that cannot be read is named, the others
are answered, and the exit status is 1.

Example:
    python -m workflow_scripts.classify --weights results/miniature/weights/D_S384.safetensors \\
        docs/pictures --Q 256 384 --output mine.csv
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.declarations import add_options, from_options, names_of
from workflow_scripts.vgg.core.files import InputError, check_no_folder, code_fingerprint
from workflow_scripts.vgg.core.text_artefacts import read_json, write_json, write_plain_csv
from workflow_scripts.vgg.data.classes import ClassName, read_class_names, short_names
from workflow_scripts.vgg.data.images import Resizing, pixels_at
from workflow_scripts.vgg.data.known_classes import ILSVRC, listed_classes
from workflow_scripts.vgg.data.oddities import KINDS
from workflow_scripts.vgg.data.own_images import packed_meanwhile, pictures_of
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.rescaled_images import RescaledImages, check_scale
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.sources import devkit
from workflow_scripts.vgg.data.workers import start_server
from workflow_scripts.vgg.evaluation.methods import Method, NotFinite, evaluate
from workflow_scripts.vgg.evaluation.passes import add_computing_options
from workflow_scripts.vgg.evaluation.posteriors import mean_posteriors, write_posteriors
from workflow_scripts.vgg.nets import precision
from workflow_scripts.vgg.nets.convnets import PoolingChoices
from workflow_scripts.vgg.nets.devices import pick_device
from workflow_scripts.vgg.nets.released.recognising import AnyNet, read_any
from workflow_scripts.vgg.nets.released.source_formats import FORMATS
from workflow_scripts.vgg.settings.configuration import read_valid

DECIDING = (Method, PoolingChoices, Resizing)  # which declare what decides posteriors
TOLD = {"exif-orientation", "one-colour", "elongated"}  # oddities of which answers may suffer
USUAL_Q = 256  # of weights that do not say S
MODELS = str(Path(__file__).parents[1] / "config/models.yaml")
COLUMNS = ("image", "rank", "label", "wnid", "name", "posterior")
LONGEST_BESIDE = 60  # of names that answers stand beside


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("images", nargs="+", help="pictures, or folders of pictures")
    net = parser.add_argument_group("net")
    net.add_argument(
        "--weights", action="append", required=True, help="of a net; again, of another to fuse with"
    )
    net.add_argument(
        "--format",
        action="append",
        choices=FORMATS,
        help="whose weights they are, where the file does not tell; once, or for each --weights",
    )
    net.add_argument(
        "--net",
        action="append",
        help="which net of --models is in the file, or timm/…, torchvision/… with a name; likewise",
    )
    net.add_argument(
        "--models", default=MODELS, help="where nets are defined, if not in the paper's file"
    )
    net.add_argument(
        "--classes",
        help="names of the classes, in the net's order: a run's classes.parquet, the development "
        "kit, or a text file with one a line",
    )
    group = parser.add_argument_group("test")
    group.add_argument(
        "--Q",
        type=int,
        nargs="+",
        help="smallest sides, in the paper's units; the middle of S if not given, or 256",
    )
    for declaration in DECIDING:
        add_options(group, declaration)
    add_computing_options(parser, threads=command.available_cpus())
    group = parser.add_argument_group("answers")
    group.add_argument("--top", type=int, default=5, help="classes that are told of each picture")
    group.add_argument(
        "--output",
        help="file to write instead of a table: .csv, .json, or .parquet with all posteriors",
    )
    given = parser.parse_args(arguments)
    if given.output and Path(given.output).suffix.lower() not in WRITERS:
        parser.error(f"--output {given.output}: expected {', '.join(WRITERS)}")
    if len(set(given.Q or ())) < len(given.Q or ()):
        parser.error(f"--Q {' '.join(map(str, given.Q))}: expected scales that all differ")
    for option in ("format", "net"):
        told = getattr(given, option) or [None]
        if len(told) == 1:
            told = told * len(given.weights)
        if len(told) != len(given.weights):
            parser.error(f"--{option}: expected once, or as often as --weights")
        setattr(given, option, told)
    if given.top < 1:
        parser.error(f"--top {given.top}: expected 1 or more")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    if given.output:
        check_no_folder(given.output)
    if given.threads > 1:
        start_server()
    device = pick_device(given.device, given.threads)
    convnets = read_valid("models", given.models)["convnets"]
    listed_names = listed(given.classes) if given.classes else None
    nets = [
        read_any(path, convnets, source, net, given.pool_rounding)
        for path, source, net in zip(given.weights, given.format, given.net, strict=True)
    ]
    scales = [given.Q or [usual_scale(net)] for net in nets]
    for path, net, own in zip(given.weights, nets, scales, strict=True):
        logging.info("%s: %s, input %s, Q %s", path, net.name, net.input, " ".join(map(str, own)))
        for Q in own:
            check_scale(pixels_at(Q, net.net.architecture.crop), net.net.architecture.crop)
    names = class_names(given, nets, listed_names)

    # The pictures, as the pipeline packs them, and each net's posteriors at each Q.
    packing = Packing(
        smallest_side=None,
        only_shrink=False,
        resize_filter=given.resize_filter,
        jpeg_quality=95,
        crop=min(net.net.architecture.crop for net in nets),
        on_bad_image="skip",
    )
    with ExitStack() as meanwhile:
        folder = meanwhile.enter_context(tempfile.TemporaryDirectory(prefix="classify-"))
        index = pictures_of(given.images)
        shard = meanwhile.enter_context(packed_meanwhile(index, packing, folder, "packed-"))
        for kind in TOLD & packing.oddities.keys():
            ids = packing.oddities[kind]
            logging.warning("%d pictures such as %s: %s", len(ids), ids[0], KINDS[kind])
        passes: list[str] = []
        for path, net, own in zip(given.weights, nets, scales, strict=True):
            for Q in own:
                passes.append(f"{folder}/{len(passes)}.parquet")
                evaluate_pass(given, path, net, Q, shard, device, passes[-1])
        found = list(mean_posteriors(passes))
    ids = [name for chunk, _, _ in found for name in chunk]
    posteriors = np.concatenate([chunk for _, _, chunk in found])

    writer = WRITERS[Path(given.output).suffix.lower()] if given.output else print_table
    writer(given, ids, posteriors, names, packing.skipped)
    if packing.skipped:
        sys.exit(
            f"error: {len(packing.skipped)} of {len(index)} pictures cannot be read, such as "
            f"{packing.skipped[0]['reason']}; the others are answered"
        )


def usual_scale(net: AnyNet) -> int:
    """Q where none is given: the middle of S (§4.1)."""
    return USUAL_Q if net.scales is None else round(sum(net.scales) / 2)


def evaluate_pass(
    given: argparse.Namespace, path: str, net: AnyNet, Q: int, shard: str, device, output: str
) -> None:
    """Write a net's posteriors of the pictures at one Q, as `evaluate` does."""
    method = from_options(Method, given)
    crop = net.net.architecture.crop
    images = RescaledImages(
        [shard],
        pixels_at(Q, crop),
        crop,
        central=method.method == "center",
        resize_filter=given.resize_filter,
        batch_size=method.batch_size,
    )
    module = net.net.to(device).to(memory_format=torch.channels_last)
    try:
        with precision.computing(device, given.precision):
            posteriors = evaluate(module, images, method, net.mean_rgb, workers=given.threads - 1)
    except NotFinite as error:
        raise InputError(f"{path}: {error}") from error
    shards = Shards([shard])
    metadata = {"model": net.name, "method": method.method, "Q": Q}
    write_posteriors(output, list(shards.ids()), shards.labels, posteriors, metadata)


def class_names(
    given: argparse.Namespace, nets: Sequence[AnyNet], listed_names: list[ClassName] | None
) -> list[ClassName]:
    """The classes that the posteriors are of, in their order.

    listed_names: those of --classes, None if it is not given.
    Raises InputError if the nets, or the list, are of different classes.
    """
    first, count = given.weights[0], nets[0].net.architecture.classes
    for path, net in zip(given.weights[1:], nets[1:], strict=True):
        if (other := net.net.architecture.classes) != count:
            raise InputError(
                f"{path} and {first}: know {other} and {count} classes; posteriors of different "
                "classes have no mean"
            )
    known = [classes_told(path, net) for path, net in zip(given.weights, nets, strict=True)]
    told = list(zip(given.weights, nets, known, strict=True))
    for (path, net, own), (other_path, other_net, others) in itertools.combinations(told, 2):
        if own and others:
            is_same = [each.wnid for each in own] == [each.wnid for each in others]
        else:
            is_same = net.kept == other_net.kept
        if not is_same:
            raise InputError(
                f"{other_path} and {path}: know different classes, or in another order; their "
                "posteriors have no mean"
            )
    if listed_names and len(listed_names) != count:
        raise InputError(
            f"{given.classes}: names {len(listed_names)} classes, but {first} knows {count}; give "
            "the list of its own classes"
        )
    if names := listed_names or next(filter(None, known), None):
        return names
    logging.warning("the names of the %d classes are not known: give --classes", count)
    return [ClassName("", f"class {label}", f"class {label}") for label in range(count)]


def classes_told(path: str, net: AnyNet) -> list[ClassName] | None:
    """The classes of a net whose file tells them: an export's, those of the run that it lies in,
    those that it names itself, or ILSVRC's.
    """
    count = net.net.architecture.classes
    if names := exported_names(Path(path).with_name("config.json")):
        return names if len(names) == count else None
    for above in list(Path(path).absolute().parents)[1:3]:
        if (table := above / "classes.parquet").is_file():
            names = read_class_names(table)
            if len(names) == count and net.wnids in (None, [each.wnid for each in names]):
                return names
    of_ilsvrc = listed_classes(ILSVRC)
    if net.wnids:
        known = {each.wnid: each for each in of_ilsvrc}
        return [known.get(wnid, ClassName(wnid, wnid, wnid)) for wnid in net.wnids]
    if count != len(of_ilsvrc):
        return None
    return [of_ilsvrc[place] for place in net.kept or range(count)]


def exported_names(path: Path) -> list[ClassName] | None:
    """The classes that the file beside an export names; None if there is none or it names none."""
    try:
        stated = read_json(path)
        wnids = list(stated["label_names"])
        words = [str(stated["label_descriptions"][wnid]) for wnid in wnids]
    except (InputError, KeyError, TypeError):
        return None
    names = short_names(wnids, words)
    return [ClassName(*each) for each in zip(wnids, words, names, strict=True)]


def listed(path: str) -> list[ClassName]:
    """The classes of a list: a run's, the development kit's, or a text file's."""
    if path.endswith(".parquet"):
        return read_class_names(path)
    if path.endswith((".tar.gz", ".tgz")):
        table = devkit.read_classes(path)
        names = short_names(table["wnid"], table["words"])
        return [ClassName(*each) for each in zip(table["wnid"], table["words"], names, strict=True)]
    return listed_classes(path)


def answers(
    given: argparse.Namespace,
    ids: Sequence[str],
    posteriors: np.ndarray,
    names: Sequence[ClassName],
) -> list[dict]:
    """The likeliest classes of each picture, one line each, by COLUMNS."""
    best = np.argsort(-posteriors, axis=1, kind="stable")[:, : given.top]
    return [
        {
            "image": image,
            "rank": rank,
            "label": int(label),
            "wnid": names[label].wnid,
            "name": names[label].name,
            "posterior": float(posteriors[row, label]),
        }
        for row, image in enumerate(ids)
        for rank, label in enumerate(best[row], start=1)
    ]


def print_table(given, ids, posteriors, names, skipped) -> None:
    """Print the likeliest classes, a line each, behind the picture's name, or below a long one."""
    width = max((len(image) for image in ids if len(image) <= LONGEST_BESIDE), default=2)
    for line in answers(given, ids, posteriors, names):
        image = line["image"] if line["rank"] == 1 else ""
        if len(image) > width:
            print(image)
            image = ""
        wnid = f" ({line['wnid']})" if line["wnid"] and line["wnid"] not in line["name"] else ""
        print(f"{image:{width}}  {100 * line['posterior']:6.2f}%  {line['name']}{wnid}")


def write_table(given, ids, posteriors, names, skipped) -> None:
    """Write the likeliest classes as CSV, a line each."""
    write_plain_csv(given.output, answers(given, ids, posteriors, names), COLUMNS)


def write_object(given, ids, posteriors, names, skipped) -> None:
    """Write the likeliest classes as JSON, and what was done."""
    lines = answers(given, ids, posteriors, names)
    images: dict[str, list[dict]] = {image: [] for image in ids}
    for line in lines:
        images[line.pop("image")].append(line)
    write_json(
        given.output,
        {
            **told(given),
            "images": [{"image": image, "classes": own} for image, own in images.items()],
            "left_out": list(skipped),
        },
    )


def write_all(given, ids, posteriors, names, skipped) -> None:
    """Write all posteriors as Parquet, with the classes' names in its metadata."""
    classes = {"wnids": [each.wnid for each in names], "names": [each.name for each in names]}
    metadata = {**told(given), **classes}
    write_posteriors(given.output, ids, np.full(len(ids), -1), posteriors, metadata)


def told(given: argparse.Namespace) -> dict:
    """How the answers came about."""
    decided = {name: getattr(given, name) for name in (*names_of(*DECIDING), "precision")}
    return {"weights": given.weights, "Q": given.Q, **decided, "code": code_fingerprint()}


WRITERS = {".csv": write_table, ".json": write_object, ".parquet": write_all}


if __name__ == "__main__":
    command.run(main)
