"""Write a folder with a net's weights for other people's tools, and a model card.

torchvision, timm and plain PyTorch load it, and ONNX Runtime if asked. The card tells the data, the
training, the errors of the posteriors that are given, the input, and how to load the net.

Example:

    python -m workflow_scripts.export_weights --output results/miniature/exported/B_S256 \\
      --weights results/miniature/weights/B_S256.safetensors \\
      --posteriors results/miniature/posteriors/val/B_S256/*.parquet
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import sha256, whole_file, whole_folder
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import ClassName, read_class_names
from workflow_scripts.vgg.data.images import pixels_at
from workflow_scripts.vgg.nets.convnets import ConvNet
from workflow_scripts.vgg.nets.released.export_forms import (
    library_name,
    normalised_state,
    plain_net,
    timm_state,
)
from workflow_scripts.vgg.nets.released.onnx_files import check_libraries, write_onnx
from workflow_scripts.vgg.nets.released.source_formats import IMAGENET_STD
from workflow_scripts.vgg.nets.weights import load_weights, write_safetensors
from workflow_scripts.vgg.results.loading_code import ONNX, TIMM_WEIGHTS, WEIGHTS
from workflow_scripts.vgg.results.model_card import (
    CARD,
    CONFIG,
    FILES,
    SOURCES,
    Exported,
    model_card,
    timm_config,
)
from workflow_scripts.vgg.results.own_errors import own_errors
from workflow_scripts.vgg.settings.experiments import read_tables, read_yaml


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--weights", required=True, help="weights of the net (safetensors)")
    parser.add_argument("--output", required=True, help="folder to write")
    forms = parser.add_argument_group("forms")
    forms.add_argument("--onnx", action="store_true", help=f"write {ONNX} too")
    forms.add_argument(
        "--no-timm",
        action="store_true",
        help=f"leave out {TIMM_WEIGHTS}, a second copy of the weights by timm's names, which its "
        "checkpoint_path needs",
    )
    card = parser.add_argument_group("model card")
    card.add_argument(
        "--posteriors", nargs="+", default=[], help="of these weights, to state their errors"
    )
    card.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    card.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    card.add_argument("--classes", help="classes.parquet, to name the classes")
    card.add_argument("--license", help="identifier of the licence of the weights")
    data = parser.add_argument_group("data set")
    data.add_argument("--source", choices=SOURCES, help="the form in which it was there")
    for split in ("train", "val", "test"):
        data.add_argument(f"--{split}-images", type=int, help="number of images")
    data.add_argument("--subset", help="how its classes were chosen, if they are not all")
    return parser.parse_args(arguments)


def class_names(path: str, net: ConvNet) -> list[ClassName] | None:
    """The names of the net's classes; None of a net that has other ones, or predicts boxes."""
    names = read_class_names(path)
    if net.architecture.is_of_boxes:
        return None
    if len(names) != net.architecture.classes:
        logging.info(
            "%s has %d classes, the net %d: they stay without names",
            path,
            len(names),
            net.architecture.classes,
        )
        return None
    return names


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    if given.onnx:
        check_libraries()
    net, weights = load_weights(given.weights)
    architecture, checksum = net.architecture, sha256(given.weights)
    classes = class_names(given.classes, net) if given.classes else None
    errors = own_errors(
        given.posteriors, checksum, read_tables(given.tables), read_yaml(given.paper)
    )
    preprocessing = {
        "input": "RGB in [0, 1] (torchvision's ToTensor), then Normalize(mean, std)",
        "resize": pixels_at(sum(weights["S"]) / 2, architecture.crop),
        "resized": "smallest side, isotropically, antialiased",
        "interpolation": (weights.get("choices") or {}).get("resize_filter", "bicubic"),
        "crop": architecture.crop,
        "mean": [value / 255 for value in weights["mean_rgb"]],
        "std": list(IMAGENET_STD),
    }
    description = {
        "preprocessing": preprocessing,
        "classes": f"{architecture.classes}, in the order of sorted WNIDs, as torchvision's",
        "model": weights["model"],
        "net": weights["net"],
        "architecture": asdict(architecture),
        "kept": weights.get("kept"),
        "S": weights["S"],
        "iterations": weights["iterations"],
        "imported": weights.get("imported"),
        "weights_sha256": checksum,
    }
    # Readers of safetensors look for "format", the framework that wrote it.
    texts = {"format": "pt"} | {key: json.dumps(value) for key, value in description.items()}

    with whole_folder(given.output, FILES) as folder:
        state = normalised_state(net)
        write_safetensors(folder / WEIGHTS, state, texts)
        if library_name(net) and not given.no_timm:
            write_safetensors(folder / TIMM_WEIGHTS, timm_state(net, state), texts)
        if given.onnx:
            plain = plain_net(net, state)
            write_onnx(folder / ONNX, net, plain, weights["mean_rgb"], texts)
        exported = Exported(
            net,
            weights,
            preprocessing,
            classes=classes,
            errors=errors,
            source=given.source,
            images={
                "training": given.train_images,
                "validation": given.val_images,
                "test": given.test_images,
            },
            subset=given.subset,
            license=given.license,
            sums={name: sha256(folder / name) for name in FILES if (folder / name).exists()},
            weights_sha256=checksum,
        )
        write_json(folder / CONFIG, timm_config(exported))
        with whole_file(folder / CARD) as temporary:
            temporary.write_text(model_card(exported), encoding="utf-8")
    logging.info("%s as %s", weights["model"], Path(given.output))


if __name__ == "__main__":
    command.run(main)
