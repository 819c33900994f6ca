"""ConvNets as ONNX files, each tried with ONNX Runtime before it is kept.

The libraries (envs/requirements-extra.txt) are loaded only when one is written.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from ...core.files import InputError, whole_file
from ..convnets import ConvNet
from ..devices import to_input
from .source_formats import IMAGENET_STD

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
INPUT = "images"
SCORES = ("logits", "posteriors")  # outputs of a net with classes
BOXES = ("boxes",)  # of a net of boxes
TOLERANCE = 1e-5  # of posteriors, and of boxes as a part of the largest number
TRIED = 3  # images


class _Outputs(nn.Module):
    """A net with the outputs of SCORES, or of BOXES."""

    def __init__(self, plain: nn.Module, of_boxes: bool):
        super().__init__()
        self.plain, self.of_boxes = plain, of_boxes

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        scores = self.plain(images)
        return scores if self.of_boxes else (scores, scores.softmax(1))


def check_libraries() -> None:
    """Raise InputError if a library that ONNX files need is not installed."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"ONNX: {name} is not installed ({error}); run "
                "pip install -r envs/requirements-extra.txt"
            ) from error


def write_onnx(
    path: str | Path,
    net: ConvNet,
    plain: nn.Module,
    mean_rgb: Sequence[float],
    metadata: Mapping[str, str],
) -> None:
    """Write `plain`, the form of `net` for normalised input, with any number of images at a time.

    Input `images`: float [batch, 3, crop, crop]. Outputs `logits` and `posteriors`, [batch,
    classes], or `boxes`. mean_rgb: of `net`. metadata: the file's properties.
    Raises InputError if a library is not installed, or ONNX Runtime's answers are not `net`'s.
    """
    check_libraries()
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    architecture = net.architecture
    crop, names = architecture.crop, BOXES if architecture.is_of_boxes else SCORES
    program = torch.onnx.export(
        _Outputs(plain, architecture.is_of_boxes).eval(),
        (torch.zeros(2, 3, crop, crop),),
        input_names=[INPUT],
        output_names=list(names),
        dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    ClearMetadataAndDocStringPass()(program.model)  # traces, which name this machine's folders
    model = program.model_proto
    onnx.helper.set_model_props(model, dict(metadata))
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        _check(temporary, Path(path).name, net, mean_rgb)


@torch.inference_mode()
def _check(written: Path, name: str, net: ConvNet, mean_rgb: Sequence[float]) -> None:
    """Raise InputError unless ONNX Runtime gives what `net` gives, for images of random squares."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    crop, of_boxes = net.architecture.crop, net.architecture.is_of_boxes
    squares = torch.randint(0, 256, (TRIED, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    pixels = nn.functional.interpolate(squares.float(), size=crop).to(torch.uint8)
    mean = torch.tensor(mean_rgb)
    expected = net.eval()(to_input(pixels, mean, 1.0))
    expected = expected if of_boxes else expected.softmax(1)
    std = torch.tensor(IMAGENET_STD)[:, None, None]
    images = (pixels / 255 - mean[:, None, None] / 255) / std
    (found,) = session.run([BOXES[0] if of_boxes else SCORES[1]], {INPUT: images.numpy()})
    unit = max(1.0, float(expected.abs().max())) if of_boxes else 1.0
    apart = float((torch.from_numpy(found) - expected).abs().max()) / unit
    if not apart <= TOLERANCE:
        raise InputError(
            f"{name}: ONNX Runtime's answers are {apart:.2g} from this pipeline's, more than "
            f"{TOLERANCE:g}, so it is not kept; try the versions of envs/requirements-extra.txt"
        )
