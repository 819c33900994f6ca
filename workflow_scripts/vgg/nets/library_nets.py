"""Nets of torchvision and timm, by name, to be tested by the paper's protocol beside its nets.

They are not the paper's. Each is given pixels as its library gives them: with its own mean,
standard deviation and crop. The libraries are loaded for such nets alone
(envs/requirements-extra.txt).
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..core.files import InputError
from .convnets import ConvNet
from .devices import is_out_of_memory
from .released.source_formats import Colour, Input, normalised_input

# torchvision's files of these nets are of pixels that the nets themselves normalise once more.
BUILT_WITH = {
    "torchvision/googlenet": {"transform_input": True},
    "torchvision/inception_v3": {"transform_input": True},
}
LARGER = (64, 32)  # pixels more than the crop, of the image that a net's head is tried on


@dataclass(frozen=True)
class LibraryArchitecture:
    """A library's net and its input.

    net: the library and the name there, "torchvision/resnet50" or "timm/resnet50.a1_in1k".
    outputs: number of scores that the library's net gives.
    crop: side of the input in pixels.
    std_rgb: of 0–255 pixels; each channel is divided by it.
    map, last_layer: names of the modules that give the last feature map and the scores, if the
        scores are a linear function of the map's mean, by a linear layer or a 1×1 convolution;
        `last_layer` is "" if they are that mean. None if not, so that there is no score map, and
        no dense evaluation (§3.2).
    kept: those of the scores that are this net's classes, in this order; None for all.
    """

    net: str
    outputs: int
    crop: int
    std_rgb: Colour
    map: str | None = None
    last_layer: str | None = None
    kept: Sequence[int] | None = None

    is_of_boxes = False

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.outputs if self.kept is None else len(self.kept)


class LibraryNet(nn.Module):
    """A net of a library, float32 on the CPU and with random weights until some are loaded.

    Input: float [N, 3, crop, crop], RGB, 0–255 minus the mean; other sides where the net allows
    them. Output: class scores [N, classes] before the soft-max.
    """

    std: torch.Tensor  # float [3, 1, 1]

    def __init__(self, architecture: LibraryArchitecture, net: nn.Module):
        super().__init__()
        self.architecture, self.net = architecture, net
        std = torch.tensor(architecture.std_rgb)[:, None, None]
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.wanted(self.net(images / self.std))

    def score_map(self, images: torch.Tensor) -> torch.Tensor:
        """Score map [N, classes, rows, columns] of whole images, a place for each of the last map.

        Raises InputError if the net's head has no score map.
        """
        architecture = self.architecture
        if architecture.map is None:
            raise InputError(
                f"{architecture.net} has no score map: it takes images of one size only, or none "
                "of its maps was found whose mean gives its scores by one linear layer; test it by "
                "center or multicrop"
            )
        with observed(self.net, architecture.map) as seen:
            self.net(images / self.std)
        places = seen[architecture.map]
        if architecture.last_layer:
            layer = self.net.get_submodule(architecture.last_layer)
            if isinstance(layer, nn.Linear):
                places = places.movedim(1, -1)
                places = F.linear(places, layer.weight, layer.bias).movedim(-1, 1)
            else:
                places = layer(places)
        return self.wanted(places)

    def wanted(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores of this net's classes, [N, classes, …], of the library's [N, outputs, …]."""
        kept = self.architecture.kept
        return scores if kept is None else scores[:, list(kept)]

    def parameter_count(self) -> int:
        """Number of weights and biases."""
        return sum(parameter.numel() for parameter in self.parameters())


Classifier = ConvNet | LibraryNet


@contextmanager
def observed(net: nn.Module, *names: str) -> Iterator[dict[str, torch.Tensor]]:
    """Inside the block, what modules of a net gave last, by name."""
    seen: dict[str, torch.Tensor] = {}
    with ExitStack() as hooks:
        for name in names:

            def keep(module: nn.Module, given: Any, result: Any, name: str = name) -> None:
                if isinstance(result, torch.Tensor):
                    seen.pop(name, None)  # so that the order is that of the last calls
                    seen[name] = result

            hooks.callback(net.get_submodule(name).register_forward_hook(keep).remove)
        yield seen


@torch.inference_mode()
def score_map_modules(net: nn.Module, crop: int) -> tuple[str, str] | None:
    """The names of the modules behind a net's score map, as in LibraryArchitecture.

    net: in evaluation mode, with its weights. It is given a noisy image larger than its crop, to
    see whether its scores are those of the mean of a map. None if it takes no such image, or they
    are not.
    """
    noise = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *(crop + more for more in LARGER), generator=noise)
    linear = {name: m for name, m in net.named_modules() if _is_linear(m)}
    given: dict[str, torch.Tensor] = {}
    try:
        with ExitStack() as hooks, observed(net, *(n for n, _ in net.named_modules())) as seen:
            for name, module in linear.items():

                def keep(module: nn.Module, inputs: Any, result: Any, name: str = name) -> None:
                    given[name] = inputs[0]

                hooks.callback(module.register_forward_hook(keep).remove)
            scores = net(image)
    except (AssertionError, RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return None
    is_close = partial(torch.allclose, rtol=1e-3, atol=1e-5)
    last = [name for name in linear if name in seen and _is_flat(seen[name], scores)]
    means = {name: given[name].flatten(1) for name in last} or {"": scores}
    for last_layer, mean in means.items():
        for name in reversed(seen):
            found = seen[name]
            is_map = found.dim() == 4 and found[0, 0].numel() > 1
            if is_map and found.shape[1] == mean.shape[-1] and is_close(found.mean((2, 3)), mean):
                return name, last_layer
    return None


def _is_flat(result: torch.Tensor, scores: torch.Tensor) -> bool:
    """Whether a module's result is the net's scores, with other sides of 1 or without."""
    return result.dim() > 1 and torch.equal(result.flatten(1), scores)


def _is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear function of each place's channels alone."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == module.stride == (1, 1)
    return isinstance(module, nn.Linear)


def load_state(net: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a net all its tensors, which have the names and the form of the present library's.

    A mapping alone does not tell its form, which some nets (torchvision's MNASNet) ask for.
    Raises RuntimeError as `load_state_dict` does.
    """
    state: Any = OrderedDict(tensors)
    state._metadata = getattr(net.state_dict(), "_metadata", None)
    net.load_state_dict(state)


def input_of(net: str) -> tuple[Input, int]:
    """The input of a library's net, and its crop in pixels. Raises InputError as `built` does."""
    library, _, name = net.partition("/")
    if library == "timm":
        timm = _loaded(net)
        _check_known_to_timm(net, timm)
        config = timm.get_pretrained_cfg(name)
        if config is None:
            raise InputError(f"{net}: timm knows no such weights; see timm.list_pretrained()")
        _, height, width = config.input_size
        if height != width:
            raise InputError(f"{net}: takes images of {height} × {width}; crops are square here")
        return normalised_input(tuple(config.mean), tuple(config.std)), width
    models = _loaded(net).models
    _check_known(net, name in models.list_models(module=models))
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    given = normalised_input(tuple(transforms.mean), tuple(transforms.std))
    return given, transforms.crop_size[0]


def built(net: str, outputs: int) -> nn.Module:
    """A library's net of so many outputs, with random weights, in evaluation mode.

    Raises InputError for an unknown name, or if the library is not installed.
    """
    library, _, name = net.partition("/")
    loaded = _loaded(net)
    if library == "timm":
        _check_known_to_timm(net, loaded)
        return loaded.create_model(name, pretrained=False, num_classes=outputs).eval()
    _check_known(net, name in loaded.models.list_models(module=loaded.models))
    more: Mapping[str, Any] = BUILT_WITH.get(net, {})
    if more:
        more = {**more, "init_weights": False}
    return loaded.models.get_model(name, weights=None, num_classes=outputs, **more).eval()


def _loaded(net: str) -> ModuleType:
    library = net.partition("/")[0]
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"{net}: {library} is not installed ({error}); run "
            "pip install -r envs/requirements-extra.txt"
        ) from error


def _check_known(net: str, known: bool) -> None:
    library, _, name = net.partition("/")
    if not known:
        lists = {"timm": "timm.list_models()", "torchvision": "torchvision.models.list_models()"}
        raise InputError(f"{net}: {library} has no net {name}; {lists[library]} names all")


def _check_known_to_timm(net: str, timm: ModuleType) -> None:
    """Raise InputError for a net that timm lacks, or for weights of it that timm does not name."""
    name = net.partition("/")[2]
    plain, _, tag = name.partition(".")
    _check_known(net, timm.is_model(plain))
    known = timm.models.get_arch_pretrained_cfgs(plain)
    if tag and name not in known:
        tags = [full.partition(".")[2] for full in known]
        such = f"it knows {', '.join(tags)}" if any(tags) else f"leave the tag out: timm/{plain}"
        raise InputError(f"{net}: timm knows no weights of {plain} by the tag {tag}; {such}")
