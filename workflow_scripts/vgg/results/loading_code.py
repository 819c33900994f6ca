"""Python that loads an exported net by each library that can, as its model card shows it.

Tests run every piece.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..nets.batch_normalisation import is_normalised
from ..nets.convnets import ConvNet
from ..nets.released.export_forms import code_of, conv_plan, library_name, plain_net

WEIGHTS, TIMM_WEIGHTS, ONNX = "model.safetensors", "timm.safetensors", "model.onnx"
FILL = f'net.load_state_dict(load_file("{WEIGHTS}"))'


def code_for_input(preprocessing: Mapping) -> str:
    """Code that makes `images`, float [1, 3, crop, crop], of photo.jpg.

    preprocessing: as in `Exported`.
    """
    crop, resize = preprocessing["crop"], preprocessing["resize"]
    return f"""\
import numpy as np
import torch
from PIL import Image

image = Image.open("photo.jpg").convert("RGB")
short = min(image.size)
sides = [max({resize}, round(side * {resize} / short)) for side in image.size]
image = image.resize(sides, Image.Resampling.{preprocessing["interpolation"].upper()})
left, top = ((side - {crop}) // 2 for side in image.size)
pixels = np.array(image.crop((left, top, left + {crop}, top + {crop})))
mean = torch.tensor({preprocessing["mean"]})
std = torch.tensor({preprocessing["std"]})
images = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(2, 0, 1)[None]"""


def code_for_timm(net: ConvNet) -> str:
    """Code for the whole folder, with its input and classes."""
    return f"""\
import timm

net = timm.create_model("local-dir:.", pretrained=True).eval()
{_use(net)}"""


def code_for_timm_checkpoint(net: ConvNet) -> str:
    """Code for TIMM_WEIGHTS alone."""
    name, outputs = library_name(net), net.architecture.outputs
    return f"""\
import timm

net = timm.create_model(
    "{name}", num_classes={outputs}, checkpoint_path="{TIMM_WEIGHTS}"
).eval()
{_use(net)}"""


def code_for_torchvision(net: ConvNet) -> str | None:
    """Code by torchvision's name of the net, or of its layers; None if it has not those."""
    name, plan = library_name(net), conv_plan(net)
    if plan is None:
        return None
    if name:
        return f"""\
import torchvision
from safetensors.torch import load_file

net = torchvision.models.{name}(num_classes={net.architecture.outputs}, init_weights=False).eval()
{FILL}
{_use(net)}"""
    classifier = code_of(plain_net(net, net.state_dict()).get_submodule("classifier"))
    plan_text = f"{plan}".replace("'", '"')
    return f"""\
from safetensors.torch import load_file
from torch import nn
from torchvision.models.vgg import VGG, make_layers

plan = {plan_text}
net = VGG(make_layers(plan{", batch_norm=True" if is_normalised(net) else ""}), init_weights=False)
net.avgpool = {"nn.AdaptiveAvgPool2d(1)" if net.architecture.averages else "nn.Identity()"}
net.classifier = {classifier}
net.eval()
{FILL}
{_use(net)}"""


def code_for_pytorch(net: ConvNet) -> str:
    """Code that needs PyTorch and safetensors only."""
    return f"""\
from collections import OrderedDict

from safetensors.torch import load_file
from torch import nn

net = {code_of(plain_net(net, net.state_dict()))}.eval()
{FILL}
{_use(net)}"""


def code_for_onnx(net: ConvNet) -> str:
    """Code for ONNX Runtime."""
    output = "boxes" if net.architecture.is_of_boxes else "posteriors"
    return f"""\
import onnxruntime

session = onnxruntime.InferenceSession("{ONNX}")
({output},) = session.run(["{output}"], {{"images": images.numpy()}})"""


def _use(net: ConvNet) -> str:
    if net.architecture.is_of_boxes:
        return "with torch.inference_mode():\n    boxes = net(images)"
    return "with torch.inference_mode():\n    posteriors = net(images).softmax(1)"
