"""Write a net's weights for use elsewhere: a torchvision state dict, and what its input must be."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, sha256, whole_file
from workflow_scripts.vgg.core.parquet import read_metadata as posterior_metadata
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.images import pixels_at
from workflow_scripts.vgg.evaluation.posteriors import outcomes
from workflow_scripts.vgg.nets.released.source_formats import IMAGENET_STD, for_normalised_input
from workflow_scripts.vgg.nets.weights import load_weights, write_safetensors


def measured_errors(paths: Sequence[str], weights_sha256: str) -> list[dict]:
    """Top-1 and top-5 error in percent of each posterior file.

    Raises InputError if a file's posteriors are another net's, or without labels.
    """
    errors = []
    for path in paths:
        metadata = posterior_metadata(path)
        if metadata["weights_sha256"] != weights_sha256:
            raise InputError(f"{path}: posteriors of other weights; evaluate these weights first")
        found = outcomes([path])
        errors.append(
            {
                "method": metadata["method"],
                "Q": metadata["Q"],
                "images": len(found.top1),
                "top1_error": 100 * float(found.top1.mean()),
                "top5_error": 100 * float(found.top5.mean()),
            }
        )
    return errors


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--weights", required=True, help="weights of the net (safetensors)")
    parser.add_argument(
        "--posteriors", nargs="+", default=[], help="of these weights, to state their errors"
    )
    parser.add_argument(
        "--output",
        required=True,
        help="file to write: .safetensors, or .pth with a .json of the same name beside it",
    )
    given = parser.parse_args(arguments)
    output = Path(given.output)
    if output.suffix not in (".safetensors", ".pth"):
        raise InputError(f"{output}: the name of the file must end in .safetensors or .pth")

    net, weights = load_weights(given.weights)
    architecture = net.architecture
    checksum = sha256(given.weights)
    state = net.state_dict()
    state["features.0.weight"] = for_normalised_input(state["features.0.weight"])
    description = {
        "preprocessing": {
            "input": "RGB in [0, 1] (torchvision's ToTensor), then Normalize(mean, std)",
            "resize": pixels_at(sum(weights["S"]) / 2, architecture.crop),
            "resized": "smallest side, isotropically, antialiased",
            "interpolation": (weights.get("choices") or {}).get("resize_filter", "bicubic"),
            "crop": architecture.crop,
            "mean": [value / 255 for value in weights["mean_rgb"]],
            "std": list(IMAGENET_STD),
        },
        "classes": f"{architecture.classes}, in the order of sorted WNIDs, as torchvision's",
        "model": weights["model"],
        "net": weights["net"],
        "layers": architecture.layers,
        "lrn": architecture.lrn if "LRN" in architecture.layers else None,
        "S": weights["S"],
        "iterations": weights["iterations"],
        "imported": weights.get("imported"),
        "errors": measured_errors(given.posteriors, checksum) or None,
        "weights_sha256": checksum,
    }
    if output.suffix == ".pth":
        write_json(output.with_suffix(".json"), description)
        with whole_file(output) as temporary, open(temporary, "wb") as file:
            torch.save(state, file)
    else:
        # Readers of safetensors look for "format", the framework that wrote it.
        texts = {key: json.dumps(value) for key, value in description.items()}
        write_safetensors(output, state, {"format": "pt", **texts})
    logging.info("%s as %s", weights["model"], output)


if __name__ == "__main__":
    command.run(main)
