"""Write random weights of a trained net: how good are features that have learned nothing?

They are drawn as a training from scratch would begin, and see the same input.

Example:

    python -m workflow_scripts.draw_weights --initialisation he \\
        --like results/miniature/weights/D_S256.safetensors --output mine.safetensors
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, code_fingerprint
from workflow_scripts.vgg.core.randomness import model_seed
from workflow_scripts.vgg.nets.convnets import ConvNet
from workflow_scripts.vgg.nets.initialisation import INITIALISATIONS, initialise
from workflow_scripts.vgg.nets.weights import load_weights, save_weights

KEPT = ("model", "net", "S", "mean_rgb")  # of the trained weights' metadata


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--like", required=True, help="trained weights of the net (safetensors)")
    parser.add_argument("--initialisation", choices=INITIALISATIONS, default="normal-std-0.01")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--output", required=True, help="weights to write (safetensors)")
    given = parser.parse_args(arguments)
    trained, metadata = load_weights(given.like)
    if trained.architecture.is_of_boxes:
        raise InputError(f"{given.like}: predicts boxes; give weights of a classifier")
    net = ConvNet(trained.architecture)
    initialise(net, given.initialisation, model_seed(given.seed, metadata["model"]))
    save_weights(
        given.output,
        net,
        metadata["input_scale"],
        {
            **{key: metadata[key] for key in KEPT},
            "iterations": 0,
            "random": True,
            "seed": given.seed,
            "choices": {"initialisation": given.initialisation},
            "code_fingerprint": code_fingerprint(),
            "torch": torch.__version__,
        },
    )
    logging.info("random weights of %s: %s", metadata["model"], given.output)


if __name__ == "__main__":
    command.run(main)
