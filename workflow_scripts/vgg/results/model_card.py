"""What lies beside exported weights: a model card for people, a configuration for timm.

The card has Hugging Face's form. Nothing in either depends on when or where they are written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from ..data.classes import ClassName
from ..nets.convnets import ConvNet
from ..nets.released.export_forms import library_name
from .cells import ErrorCell
from .formats.markdown import escaped
from .loading_code import (
    ONNX,
    TIMM_WEIGHTS,
    WEIGHTS,
    code_for_input,
    code_for_onnx,
    code_for_pytorch,
    code_for_timm,
    code_for_timm_checkpoint,
    code_for_torchvision,
)
from .own_errors import OwnError

CONFIG, CARD = "config.json", "README.md"
FILES = (WEIGHTS, TIMM_WEIGHTS, ONNX, CONFIG, CARD)
PAPER = "https://arxiv.org/abs/1409.1556"
SOURCES = {  # of `data.source`
    "archives": "ILSVRC-2012's archives, or archives in their form",
    "kaggle": "ILSVRC-2012 as Kaggle distributes it",
    "huggingface": "ILSVRC-2012 as Hugging Face distributes it (imagenet-1k)",
    "folder": "images in folders, one a class",
    "miniature": "images that the pipeline drew, not photographs",
}
OF_ILSVRC = ("archives", "kaggle", "huggingface")  # if they have
ILSVRC_CLASSES = 1000
INHERITED = {
    "layers-of-A": "its first conv layers and its fully-connected ones",
    "all": "all layers",
    "all-but-last": "all layers but the last",
}
TASK, METRIC = "image-classification", "error_rate"  # as Hugging Face calls them
SPLITS = {"val": "validation", "test": "test"}
CITATION = """\
@inproceedings{simonyan2015very,
  title = {Very Deep Convolutional Networks for Large-Scale Image Recognition},
  author = {Simonyan, Karen and Zisserman, Andrew},
  booktitle = {International Conference on Learning Representations},
  year = {2015},
  url = {https://arxiv.org/abs/1409.1556}
}"""


@dataclass(frozen=True)
class Exported:
    """What a card tells of.

    net, weights: the net of a weights file, and the file's metadata.
    preprocessing: `mean` and `std` of RGB in [0, 1], `resize` (smallest side in pixels), `crop`,
        `interpolation`.
    classes: in the order of the outputs; None if unknown.
    errors: as measured; may be empty.
    source: of SOURCES; None if unknown.
    images: their number by split, as a person calls it; None if unknown.
    subset: how the classes were chosen among the data set's; None for all.
    license: an identifier; None if not stated.
    sums: SHA-256 of each file beside the card.
    weights_sha256: of the weights file.
    """

    net: ConvNet
    weights: Mapping
    preprocessing: Mapping
    classes: Sequence[ClassName] | None
    errors: Sequence[OwnError]
    source: str | None
    images: Mapping[str, int | None]
    subset: str | None
    license: str | None
    sums: Mapping[str, str]
    weights_sha256: str

    @property
    def of_ilsvrc(self) -> bool:
        """True if the run's data set is all of ILSVRC-2012."""
        whole = self.subset is None and self.net.architecture.classes == ILSVRC_CLASSES
        return whole and self.source in OF_ILSVRC


def crop_share(crop: int, resize: int) -> float:
    """timm's `crop_pct`, of which it makes `resize` again: floor(crop / crop_pct)."""
    share = crop / resize
    while math.floor(crop / share) < resize:
        share = math.nextafter(share, 0)
    return share


def timm_config(exported: Exported) -> dict:
    """The content of config.json, which timm reads where it has the net."""
    net, given = exported.net, exported.preprocessing
    architecture, name = net.architecture, library_name(net)
    labels = {}
    if exported.classes:
        labels = {
            "label_names": [each.wnid for each in exported.classes],
            "label_descriptions": {each.wnid: each.words for each in exported.classes},
        }
    return {
        "architecture": name or exported.weights["model"],
        "num_classes": architecture.outputs,
        **labels,
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [3, given["crop"], given["crop"]],
            "interpolation": given["interpolation"],
            "crop_pct": crop_share(given["crop"], given["resize"]),
            "crop_mode": "center",
            "mean": given["mean"],
            "std": given["std"],
            "num_classes": architecture.outputs,
            "pool_size": [architecture.map_side] * 2,
            "first_conv": "features.0",
            "classifier": "head.fc" if name else f"classifier.{len(net.classifier) - 1}",
            **({"license": exported.license} if exported.license else {}),
        },
    }


def model_card(exported: Exported) -> str:
    """The text of README.md."""
    parts = [
        _front_matter(exported),
        f"# {escaped(exported.weights['model'])}",
        _what_it_is(exported),
        _data(exported),
        _origin(exported),
        _measured(exported),
        _input(exported),
        _loading(exported),
        _licence(exported),
        _provenance(exported),
        "## Citation\n\nThe paper, for its method and its numbers; those measured here are the "
        f"run's.\n\n```bibtex\n{CITATION}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(exported: Exported) -> str:
    """Hugging Face's metadata."""
    of_boxes = exported.net.architecture.is_of_boxes
    imported = exported.weights.get("imported")
    libraries = ["timm", "torchvision"] if library_name(exported.net) else ["pytorch"]
    content: dict = {
        "license": exported.license or "unknown",
        "library_name": libraries[0],
        **({} if of_boxes else {"pipeline_tag": TASK}),
        "tags": ["vgg", *libraries, *(["onnx"] if ONNX in exported.sums else [])],
    }
    if exported.of_ilsvrc and not imported:
        content["datasets"] = ["imagenet-1k"]
    if exported.errors:
        content["metrics"] = [METRIC]
        name = exported.weights["model"]
        content["model-index"] = [{"name": name, "results": _results(exported)}]
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)}---"


def _results(exported: Exported) -> list[dict]:
    """The errors as Hugging Face's model-index has them: by split, in percent."""
    data = {"name": "not stated", "type": "other"}
    if exported.source:
        data = {"name": SOURCES[exported.source], "type": exported.source}
    if exported.of_ilsvrc:
        data = {"name": "ILSVRC-2012", "type": "imagenet-1k"}
    results: dict[str, dict] = {}
    for error in exported.errors:
        split = SPLITS.get(error.split, error.split)
        result = {"task": {"type": TASK}, "dataset": {**data, "split": split}, "metrics": []}
        metrics = results.setdefault(split, result)["metrics"]
        for words, cell in (("top-1", error.top1), ("top-5", error.top5)):
            assert cell.measured is not None
            name = f"{words} error in %, {error.method}, Q = {error.Q}"
            metrics.append({"type": METRIC, "value": round(cell.measured, 4), "name": name})
    return list(results.values())


def _what_it_is(exported: Exported) -> str:
    net, weights = exported.net, exported.weights
    architecture = net.architecture
    sizes = [f"{net.weight_layers} layers with weights and {net.parameter_count():,} parameters"]
    if architecture.width_divisor > 1:
        sizes.append(f"conv layers with the channels above divided by {architecture.width_divisor}")
    if not architecture.averages:
        sizes.append(f"hidden fully-connected layers of {architecture.fc} units")
    sizes.append(f"input of {architecture.crop} × {architecture.crop} pixels")
    return (
        f"Net {escaped(weights['net'])}, from a run of a pipeline that reproduces [Very Deep "
        f"Convolutional Networks for Large-Scale Image Recognition]({PAPER}), in that paper's "
        f"notation:\n\n    {architecture.layers}\n\n{_capital('; '.join(sizes))}. "
        f"{_outputs(exported)}"
    )


def _outputs(exported: Exported) -> str:
    """What the net gives."""
    architecture = exported.net.architecture
    if not architecture.is_of_boxes:
        return f"It gives scores of {architecture.classes:,} classes."
    unit = (exported.weights.get("choices") or {}).get("box_units", "crop-fractions")
    units = "pixels of the crop" if unit == "crop-pixels" else "parts of the crop's side"
    whose = "each class" if architecture.head == "box-pcr" else "the object, whatever its class"
    return (
        "It predicts boxes (the paper's appendix A): centre x, centre y, width and height in "
        f"{units}, for {whose}."
    )


def _data(exported: Exported) -> str:
    lines = []
    if exported.weights.get("imported"):
        lines.append("The weights were trained elsewhere; this is the data set of the run.")
    if exported.source is None:
        lines.append("Which data set the run had is not stated.")
    else:
        counts = exported.images.items()
        images = ", ".join(f"{count:,} {split} images" for split, count in counts if count)
        lines.append(f"{_capital(SOURCES[exported.source])}{f': {images}' if images else ''}.")
    if exported.subset:
        lines.append(f"A subset of its classes, {exported.subset}.")
    classes = f"{exported.net.architecture.classes:,} classes"
    if exported.classes:
        classes += f", named in the order of the outputs by `label_names` in `{CONFIG}`"
    else:
        classes += "; their names are not stated"
    return f"## Data\n\n{' '.join(lines)} {classes}."


def _origin(exported: Exported) -> str:
    """Of which file the weights are, and how they were trained."""
    imported, trained = exported.weights.get("imported"), exported.weights["iterations"]
    parts = []
    if imported:
        unknown = "" if trained else " How they were trained, their source tells."
        parts.append(
            "## Where the weights are from\n\n"
            f"Imported from `{imported['file']}`, whose format is {imported['format']} and whose "
            f"SHA-256 is `{imported['sha256']}`.{unknown}"
        )
    if trained:
        parts.append(f"## Training\n\n{_table(['', ''], _training(exported.weights))}")
    return "\n\n".join(parts)


def _training(weights: Mapping) -> list[list[str]]:
    """Rows of what is known of a training."""
    how, low, high = weights.get("optimisation") or {}, weights["S"][0], weights["S"][-1]
    scale = f"{low}" if low == high else f"jittered in [{low}; {high}]"
    rows = [["S, the smallest side of a training image in the paper's units", scale]]
    if parent := weights.get("parent"):
        rows.append(["starts from", f"{escaped(parent)}, {INHERITED[weights['inherit']]}"])
    rows.append(["iterations", f"{weights['iterations']:,}"])
    for key in ("batch_size", "learning_rate", "momentum", "weight_decay", "dropout", "trainable"):
        if key in how:
            rows.append([key.replace("_", " "), str(how[key])])
    for key in ("precision", "seed"):
        if weights.get(key) is not None:
            rows.append([key, str(weights[key])])
    if choices := weights.get("choices"):
        words = ", ".join(f"{name}: {value}" for name, value in choices.items())
        rows.append(["where the paper is silent", escaped(words)])
    return rows


def _measured(exported: Exported) -> str:
    if not exported.errors:
        none = "None were given to the export."
        if exported.net.architecture.is_of_boxes:
            none = "Errors of localisation are those of rows of several nets: see the run's report."
        return f"## Measured errors\n\n{none}"
    rows = []
    for error in exported.errors:
        images = f"{error.top1.images:,} {SPLITS.get(error.split, error.split)}"
        cells = [text for cell in (error.top1, error.top5) for text in _error(cell)]
        rows.append([error.method, error.Q, images, *cells])
    heading = ["evaluation", "Q", "images", "top-1 error", "published", "top-5 error", "published"]
    text = (
        "In percent, with 95% intervals of the noise of the test set (Wilson's). Q is the smallest "
        "side of a test image in the paper's units, where the crop is 224; of several evaluations "
        "the mean of the posteriors is tested. Published are the paper's numbers, of ILSVRC-2012, "
        "or others that the run's tables quote."
    )
    return f"## Measured errors\n\n{text}\n\n{_table(heading, rows)}"


def _error(cell: ErrorCell) -> tuple[str, str]:
    """A cell's error with its interval, and the published one."""
    published = "–" if cell.paper is None else f"{cell.paper:.1f}"
    return f"{cell.measured:.1f} [{cell.low:.1f}, {cell.high:.1f}]", published


def _input(exported: Exported) -> str:
    given = exported.preprocessing
    crop, resize = given["crop"], given["resize"]
    mean, std = (", ".join(f"{value:.6g}" for value in given[key]) for key in ("mean", "std"))
    return (
        f"## Input\n\nRGB in [0, 1], minus the mean {mean}, divided by {std}: torchvision's "
        "`ToTensor`, then `Normalize`. The mean is the one that the net was trained with, the "
        "divisor torchvision's. Images are rescaled to a smallest side of "
        f"{resize} pixels and cut to their central {crop} × {crop}, as the run itself tests a "
        f"single crop, by\n\n{_python(code_for_input(given))}\n\n"
        "The transforms of timm and torchvision round sides and places in another way, by a pixel "
        "at most."
    )


def _loading(exported: Exported) -> str:
    """The files, and code for each library that can load them."""
    net = exported.net
    parts = [
        "## How to load it\n\nThe code is to be run in this folder, after that above.",
        _files(exported),
    ]
    if library_name(net):
        told = (
            f"From the whole folder; `{CONFIG}` tells timm the input and the classes. timm tests "
            "larger images densely, as the paper does, but without the mirror image: it averages "
            "the scores of all places."
        )
        parts += ["### timm", told, _python(code_for_timm(net))]
        if TIMM_WEIGHTS in exported.sums:
            told = (
                "From one file, which must have timm's own names. The net's `pretrained_cfg` is "
                "timm's then, with another mean: make the input as above."
            )
            parts += [told, _python(code_for_timm_checkpoint(net))]
    if code := code_for_torchvision(net):
        parts += ["### torchvision", _python(code)]
    else:
        parts.append(
            "Neither torchvision nor timm builds this net: their conv layers are 3 × 3, without "
            "response normalisation."
        )
    parts += ["### PyTorch alone", _python(code_for_pytorch(net))]
    if ONNX in exported.sums:
        told = "For any number of images at a time"
        told += "." if net.architecture.is_of_boxes else "; the output `logits` is there too."
        parts += ["### ONNX Runtime", told, _python(code_for_onnx(net))]
    return "\n\n".join(parts)


def _files(exported: Exported) -> str:
    """A table of the folder's files."""
    too = ", which timm's `local-dir:` and `hf-hub:` take too" if library_name(exported.net) else ""
    words = {
        WEIGHTS: f"the parameters by torchvision's names{too}",
        TIMM_WEIGHTS: "the same by timm's names, for its `checkpoint_path` and nothing else",
        ONNX: "the whole net, for ONNX Runtime",
        CONFIG: "input and classes, in timm's words",
    }
    there = {*exported.sums, CONFIG}
    return _table(["file", "holds"], [[f"`{n}`", words[n]] for n in words if n in there])


def _python(code: str) -> str:
    return f"```python\n{code}\n```"


def _licence(exported: Exported) -> str:
    if exported.license:
        return f"## Licence\n\n{escaped(exported.license)}, as the run's configuration states."
    text = "Not stated: the licence of weights is for those who trained them to choose."
    if exported.weights.get("imported"):
        text += " That of the file from which these were imported holds for them too."
    if exported.of_ilsvrc:
        text += " ILSVRC's images are given out for non-commercial research and education only."
    return f"## Licence\n\n{text}"


def _provenance(exported: Exported) -> str:
    weights = exported.weights
    rows = [[f"SHA-256 of `{name}`", f"`{value}`"] for name, value in exported.sums.items()]
    rows.append(["SHA-256 of the run's own weights", f"`{exported.weights_sha256}`"])
    known = {
        "fingerprint of the code that made them": "code_fingerprint",
        "fingerprint of the training's options": "config_fingerprint",
        "SHA-256 of the parent's weights": "parent_sha256",
        "hardware": "hardware",
        "processes": "processes",
        "PyTorch": "torch",
    }
    rows += [[words, f"{weights[key]}"] for words, key in known.items() if weights.get(key)]
    return f"## Provenance\n\n{_table(['', ''], rows)}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
