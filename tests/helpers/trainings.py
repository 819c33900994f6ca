"""Compare what two trainings have made, in every bit that does not depend on the clock."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from workflow_scripts.vgg.core.text_artefacts import read_csv


def same_weights(one: Path, two: Path) -> bool:
    """Whether two weights files hold the same tensors."""
    ours, theirs = load_file(one), load_file(two)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def history(path: Path) -> list[dict[str, str]]:
    """A training's history without its speed."""
    return [
        {name: value for name, value in row.items() if name != "images_per_second"}
        for row in read_csv(path)
    ]
