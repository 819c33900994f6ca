"""What models may be used for, by their nets: libraries' nets are tested only, nets without hidden
fully-connected layers neither describe images nor predict boxes, and all have the run's sizes."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.files import InputError
from .entry_errors import EntryError
from .localised_rows import is_of_boxes
from .net_notation import GAP, size_slip
from .transferred_rows import transferred_rows

LIBRARIES = ("torchvision", "timm")
PAPER_CROP = 224


def is_library_net(net: str) -> bool:
    """True of a net that a library defines, such as timm/resnet50.a1_in1k, not models.yaml."""
    return net.partition("/")[0] in LIBRARIES


def check_nets(convnets: Mapping[str, str], models: Mapping[str, dict]) -> None:
    """Raise InputError for a model of a net that is not defined, or that cannot be trained so."""
    for name, model in models.items():
        net = model["net"]
        if is_library_net(net):
            if more := [key for key in model if key != "net"]:
                raise EntryError(
                    "models",
                    name,
                    f"{name} is a net of a library, which is imported and not trained; remove its "
                    f"{', '.join(more)}",
                )
            continue
        if net not in convnets:
            raise EntryError(
                "models",
                name,
                f"{name} is of net {net}, which `convnets` lacks; nets of libraries are named "
                "torchvision/… or timm/…",
            )
        if is_of_boxes(model) and averages(convnets[net]):
            raise EntryError(
                "models",
                name,
                f"{name} predicts boxes, which a net with GAP in place of hidden fully-connected "
                f"layers, {net}, does not; take another net",
            )
        parent = models.get(model.get("parent", ""), {"net": ""})["net"]
        if is_library_net(parent):
            raise EntryError(
                "models",
                name,
                f"{name} starts from {model['parent']}, a net of a library, which has no layers "
                "of its own kind; name a model of a net in `convnets`",
            )


def check_sizes(
    convnets: Mapping[str, str],
    models: Mapping[str, dict],
    tables: Mapping[str, dict],
    sizes: Mapping[str, int],
) -> None:
    """Raise InputError for a net that a model has, or a table describes, but that cannot be built.

    sizes: the configuration's `convnet`, for models; tables describe nets at the paper's sizes.
    """
    for net in [model["net"] for model in models.values() if not is_library_net(model["net"])]:
        if told := size_slip(convnets[net], sizes["crop"], sizes["width_divisor"]):
            raise EntryError("convnets", net, f"{net}: {told}")
    for net in [net for table in tables.values() for net in table.get("nets", [])]:
        if told := size_slip(convnets[net], PAPER_CROP, 1, is_paper=True):
            raise EntryError("convnets", net, f"{net}: {told}")


def averages(layers: str) -> bool:
    """True of a net in models.yaml's notation that averages its last map."""
    return layers.split()[-1:] == [GAP]


def check_imports(models: Mapping[str, dict], imported: Mapping[str, dict]) -> None:
    """Raise InputError for weights of a library's net in a format that is not the library's."""
    for name, entry in imported.items():
        library = models[name]["net"].partition("/")[0]
        if is_library_net(models[name]["net"]) and entry["format"] != library:
            raise InputError(
                f"weights.import: {name} is of {models[name]['net']}, so its file must have the "
                f"format {library}, not {entry['format']}"
            )


def check_uses(
    convnets: Mapping[str, str],
    models: Mapping[str, dict],
    tables: Mapping[str, dict],
    pictures: Mapping | None,
) -> None:
    """Raise InputError for a row or a picture that a model's net cannot give."""
    for name, row in transferred_rows(tables).items():
        for model in row["descriptors"]["models"]:
            net = models[model]["net"]
            if is_library_net(net) or averages(convnets[net]):
                raise EntryError(
                    "tables",
                    name,
                    f"row {name}: {model} has no hidden fully-connected layers, whose activations "
                    "describe images; name another model",
                )
    for section in ("score_maps", "crops"):
        if pictures is None:
            return
        model = pictures[section]["model"]
        if is_library_net(models[model]["net"]):
            raise InputError(
                f"pictures: {section}: {model} is a net of a library; name one of a net in "
                "`convnets`"
            )
