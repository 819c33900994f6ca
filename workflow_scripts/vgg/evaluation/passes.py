"""What all commands that pass a net over a split have: their options, and what is kept of them."""

from __future__ import annotations

import argparse
import os

import torch

from ..core.declarations import choices_of
from ..core.files import code_fingerprint, sha256
from ..nets import precision
from ..nets.devices import describe_hardware

# The metadata of weights that is repeated of the training behind them
TRAINING = ["net", "S", "seed", "parent", "parent_sha256", "inherit", "config_fingerprint"]
TRAINING += ["hardware", "processes", "node", "torch", "precision"]


def add_pass_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options for its images, their scale, and where it computes."""
    parser.add_argument("--shards", nargs="+", required=True, help="the split's shards")
    parser.add_argument("--scale", type=int, required=True, help="Q, in the paper's units")
    add_place_options(parser)


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options for where and how precisely it computes, and where it reads."""
    add_computing_options(parser)
    parser.add_argument(
        "--local-scratch",
        help="folder on the node's disk to copy the shards to; read in place if not given",
    )


def add_computing_options(parser: argparse.ArgumentParser, threads: int = 1) -> None:
    """Give a command the options for where and how precisely it computes."""
    parser.add_argument("--precision", choices=precision.OF_EVALUATION, default="float32")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--threads", type=int, default=threads, help="CPU threads, loader included")


def provenance(
    given: argparse.Namespace,
    weights: dict,
    device: torch.device,
    *declarations: type,
    method: str,
    scale: int | list[int],
) -> dict:
    """What a file of posteriors, boxes or descriptors says of itself.

    given: the command's options, with `weights` and those of `add_place_options`. weights: metadata
    of the weights. declarations: of the choices that decide the numbers. scale: Q.
    """
    return {
        "model": weights["model"],
        "weights_sha256": sha256(given.weights),
        "method": method,
        "Q": scale,
        "choices": {name: getattr(given, name) for name in choices_of(*declarations)},
        "training_choices": weights.get("choices"),
        "iterations": weights["iterations"],
        "imported": weights.get("imported"),
        "training": training_of(weights),
        "training_code": weights["code_fingerprint"],
        "code_fingerprint": code_fingerprint(),
        "precision": precision.resolved(given.precision, device),
        "hardware": describe_hardware(device),
        "node": os.uname().nodename,
    }


def training_of(weights: dict) -> dict | None:
    """The training of some weights, by their metadata; None if they were imported."""
    return None if weights.get("imported") else {key: weights.get(key) for key in TRAINING}
