"""Inputs and options of the rules in data.smk."""

from __future__ import annotations

import os

from .class_subsets import DRAWN_CLASSES
from .rule_options import in_text, is_archive, options
from .run import Run


def verified_boxes(run: Run, split: str) -> list[str]:
    """The records of what a split's true boxes are read from: for val, the later kit too."""
    names = [f"{split}_boxes", *(["blacklist"] if split == "val" else [])]
    wanted = [
        name
        for name in names
        if run.data["md5"].get(name) and is_archive(str(run.data["archives"][name]))
    ]
    return [f"{run.results}/verified/{name}.json" for name in wanted]


def box_options(run: Run, split: str) -> list[str]:
    """Where a split's true boxes are, and for val the blacklist."""
    return options(
        boxes=archive(run, f"{split}_boxes"),
        blacklist=archive(run, "blacklist") if split == "val" else None,
    )


def made_archives(run: Run) -> str | list:
    """The miniature makes its archives; other data sets are the user's and no part of the DAG."""
    return f"{run.data['directory']}/manifest.json" if run.is_miniature else []


def drawing_options(run: Run) -> list[str]:
    """What decides the miniature: of a subset of its classes, all are drawn."""
    return options(
        classes=DRAWN_CLASSES if run.is_subset else run.classes,
        seed=run.seeds[0],
        without=run.data["without"],
        **run.data["images"],
    )


def in_data(run: Run, name: str | None) -> str | None:
    """Path of something in the data set's folder; None if the configuration has none."""
    return name and os.path.join(run.data["directory"], name)


def archive(run: Run, name: str) -> str | None:
    """Path of one of ILSVRC-2012's archives; None if the configuration has none."""
    return in_data(run, run.data["archives"][name])


def verified(run: Run, name: str) -> str | list:
    """The record of an archive's MD5 check, if one is asked for."""
    archived = run.data["source"] in ("miniature", "archives")
    return f"{run.results}/verified/{name}.json" if archived and run.data["md5"][name] else []


def verified_kit(run: Run) -> str | list:
    """The record of the development kit's, if the classes are read from one."""
    return verified(run, "devkit") if archive(run, "devkit") else []


def verified_for(run: Run, split: str) -> list[str]:
    """The records of what a split's index is read from: its archive, and for val the kit."""
    records = [verified(run, split), verified(run, "devkit") if split == "val" else []]
    return [record for record in records if isinstance(record, str)]


def class_list_options(run: Run) -> list[str]:
    """Where the classes are listed, the development kit if there is one, and which are wanted."""
    if archive(run, "devkit"):
        source = {"devkit": archive(run, "devkit")}
    else:
        source = {
            "kaggle": {"synsets": in_data(run, "LOC_synset_mapping.txt")},
            "huggingface": {"huggingface": run.data["directory"]},
            "folder": {"folders": in_data(run, "train" if run.trained else "val")},
        }[run.data["source"]]
    match run.data["classes"]:
        case list(names):
            return options(**source, only=names)
        case {"number": number, "seed": seed}:
            return options(**source, draw=number, seed=seed)
        case number:
            return options(**source, classes=number)


def index_options(run: Run, split: str) -> list[str]:
    """Where a split's images are, and their labels if names of archives and folders lack them."""
    source: dict[str, str | list[str] | None]
    truth = None
    match run.data["source"]:
        case "kaggle":
            source = {"tree": in_data(run, f"ILSVRC/Data/CLS-LOC/{split}")}
            truth = in_data(run, "LOC_val_solution.csv") if split == "val" else None
        case "folder":
            source = {"tree": in_data(run, split)}
        case "huggingface":
            source = {"unpacked": unpacked(run, split, "parquet")}
        case _:
            source = {"archive": archive(run, split)}
            labels = {"val": "devkit", "test": "test_ground_truth"}
            truth = archive(run, labels[split]) if split in labels else None
    drawn = run.is_subset and run.is_miniature  # then data.images are those of all classes
    return options(
        **source,
        images=None if drawn else run.data["images"][split],
        ground_truth=truth,
        unlabelled=split == "test" and run.data["test"] == "withheld",
        every_class=split == "train",
    )


def unpacked(run: Run, split: str, suffix: str) -> list[str]:
    """The files that Hugging Face's parquet files are unpacked to; they cannot be read in place.

    Of another data set, what its compressed archives are unpacked to.
    """
    if split in run.data_sets:
        return [f"{run.results}/unpacked/{split}.{suffix}"]
    if run.data["source"] != "huggingface":
        return []
    numbers = range(run.data["shards"][split])
    return [f"{run.results}/unpacked/{split}/{number:05d}.{suffix}" for number in numbers]


def classes_to_unpack(run: Run) -> list[str]:
    """The list of classes that unpacking needs, since it leaves other rows out; none for all."""
    return [f"{run.results}/classes.parquet"] if run.is_subset else []


def packing_options(run: Run, store: str) -> list[str]:
    """Fixed S: exactly S. Jittered S: no larger than its upper end, never enlarged. Else as is."""
    scales = store.partition("_S")[2].split("-")
    rescaling = {}
    if scales != [""]:
        pixels = round(int(scales[-1]) * run.config["convnet"]["crop"] / 224)
        rescaling = {
            "smallest_side": pixels,
            "only_shrink": len(scales) == 2,
            **run.choices_deciding("packing"),
            "jpeg_quality": run.data["jpeg_quality"],
        }
    return options(
        shards=len(run.shards(store)),
        crop=run.config["convnet"]["crop"],
        on_bad_image=run.data["on_bad_image"],
        **rescaling,
    )


def statistics_shards(run: Run) -> list[str]:
    """The training images that the mean and colours are measured on; the smallest S is cheapest."""

    def smallest_scale(store: str) -> int:
        return int(store.removeprefix("train_S").split("-")[0])

    return run.shards(min(run.stores("train"), key=smallest_scale)) if run.trained else []


def bad_images(run: Run) -> str:
    """The treatment of bad images, as a part of commands' text: it decides errors only."""
    return in_text(on_bad_image=run.data["on_bad_image"])
