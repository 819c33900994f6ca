"""Small results of features on other data sets, and the tables and claims made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.data.examples import Examples, write_examples
from workflow_scripts.vgg.results.claims import judged_ledger
from workflow_scripts.vgg.results.feature_measures import Measures
from workflow_scripts.vgg.results.feature_tables import feature_table
from workflow_scripts.vgg.results.tables import Run
from workflow_scripts.vgg.settings.transferred_rows import data_sets_of, descriptions
from workflow_scripts.vgg.transfer.scores import Tested, write_scores

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())
PAPER = yaml.safe_load((ROOT / "config/paper_tables.yaml").read_text())
CLAIMS = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
NAMES = ("table11", "table12", "feature_scales", "random_features")
GRID = [0.25, 1, 4]


def _set(title: str, pooling: str, definition: str | None = None, test: str | None = None) -> dict:
    found = {"title": title, "average_precision": definition, "Q": [256, 384]}
    return found | {"scale_pooling": pooling} | ({"test": test} if test else {})


DATA_SETS = {
    "voc2007": _set("VOC-2007", "mean", "eleven-point", "labelled"),
    "voc2012": _set("VOC-2012", "mean", "area", "withheld"),
    "voc2012_action": _set("VOC-2012 actions", "mean", "area", "withheld"),
    "caltech101": _set("Caltech-101", "stack") | {"background": "BACKGROUND_Google"},
    "caltech256": _set("Caltech-256", "stack") | {"background": "257.clutter"},
}
STRENGTHS = {"D": 1.0, "E": 1.2, "D_E": 1.5, "D_E_image": 0.8, "D_at_256_random": 0.3}
RANDOM = "D_at_256_random"


def organised(classes: list[str], images: int, withheld: bool, boxed: bool) -> Examples:
    """Examples of parts that organisers drew, of several classes each, the first not scored if
    they are persons."""
    generator = np.random.default_rng(len(classes) + images)
    names = [f"i{place:03d}" for place in range(images)]
    parts = [("train", "val", "test", "test")[place % 4] for place in range(images)]
    labels = np.where(generator.random((images, len(classes))) < 0.4, 1, -1).astype(np.int8)
    known = np.array([not (withheld and part == "test") for part in parts])
    labels[~known] = 0
    return Examples(
        ids=[f"{name}:1" for name in names] if boxed else names,
        image_ids=names,
        images=np.arange(images),
        parts=parts,
        labels=labels,
        known=known,
        boxes=np.tile([1.0, 2.0, 30.0, 40.0], (images, 1)) if boxed else None,
        classes=classes,
        scored=np.array([not (boxed and place == 0) for place in range(len(classes))]),
    )


def folders(classes: list[str], each: int) -> Examples:
    """Examples of one class each, whose parts are drawn."""
    images = each * len(classes)
    labels = np.full((images, len(classes)), -1, np.int8)
    labels[np.arange(images), np.repeat(np.arange(len(classes)), each)] = 1
    names = [f"{classes[place // each]}/{place % each:03d}" for place in range(images)]
    return Examples(
        ids=names,
        image_ids=names,
        images=np.arange(images),
        parts=[""] * images,
        labels=labels,
        known=np.ones(images, bool),
        boxes=None,
        classes=classes,
        scored=np.ones(len(classes), bool),
    )


EXAMPLES = {
    "voc2007": organised(["bird", "cat", "dog"], 80, withheld=False, boxed=False),
    "voc2012": organised(["bird", "cat", "dog"], 60, withheld=True, boxed=False),
    "voc2012_action": organised(["other", "reading", "running"], 60, withheld=True, boxed=True),
    "caltech101": folders(["BACKGROUND_Google", "anchor", "ant"], 12),
    "caltech256": folders(["001.ak47", "002.flag", "257.clutter"], 12),
}


def tested(examples: Examples, strength: float, seed: int) -> list[Tested]:
    """Scores, the better the stronger, of each part or random split that is tested."""
    generator = np.random.default_rng(seed)
    scores = strength * examples.labels + generator.normal(size=examples.labels.shape)
    if examples.parts[0]:
        chosen = [
            (part, 0, [place for place, own in enumerate(examples.parts) if own == part])
            for part in ("val", "test")
        ]
    else:
        count = len(examples.ids)
        drawn = np.random.default_rng(7)  # the same for all rows
        chosen = [("test", n, sorted(drawn.permutation(count)[: count // 2])) for n in range(3)]
    return [
        Tested(part, split, [examples.ids[place] for place in places], scores[places])
        for part, split, places in chosen
    ]


def said(model: str, method: str, Q: int, seed: int, random: bool = False) -> dict:
    """What a file of descriptors says of itself."""
    digits = (f"{ord(model[0]):x}{seed}" * 32)[:64]
    return {
        "model": model,
        "method": method,
        "Q": Q,
        "weights_sha256": digits if not random else digits[::-1],
        "iterations": 0 if random else 751,
        "imported": None,
        "training_code": "beefcafe4321",
        "code_fingerprint": "deadbeef1234",
        "choices": {"feature_layer": "after-relu"},
        "hardware": "Xeon of descriptions",
        "node": "node-e7",
        "precision": "float32",
        "training": {
            "net": model[0],
            "S": [256, 512],
            "seed": seed,
            "parent": None,
            "parent_sha256": None,
            "inherit": None,
            "config_fingerprint": "c0ffee0ddba1",
            "hardware": "GPU of training",
            "processes": 4,
            "node": "node-t8",
            "torch": "2.12.1",
        },
    }


def write_results(results: str, seeds: tuple[int, ...], names=NAMES, imported=()) -> None:
    """Examples of all data sets, and scores of all rows of these tables, below `results`."""
    for data_set, examples in EXAMPLES.items():
        path = Path(results, f"examples/{data_set}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_examples(path, examples, {})
    for name in names:
        for data_set in data_sets_of(TABLES[name]):
            for place, row in enumerate(TABLES[name]["rows"]):
                for seed in seeds:
                    _write_row(results, row, data_set, seed, seeds, 100 * seed + place, imported)


def _write_row(results, row, data_set, seed, seeds, of_scores, imported) -> None:
    folder = results if seed == seeds[0] else f"{results}/seed{seed}"
    examples = EXAMPLES[data_set]
    parts = tested(examples, STRENGTHS.get(row["name"], 1.3), of_scores)
    path = Path(f"{folder}/classifiers/{data_set}/{row['name']}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptors = []
    for own in descriptions(row, DATA_SETS[data_set]):
        where = results if own.model in imported else folder
        facts = said(own.model, own.region, own.Q, seed, own.weights == "random")
        if own.model in imported:
            source = {"file": "w/E.caffemodel", "format": "caffe", "sha256": "f" * 64}
            facts |= {"imported": source, "training": None, "iterations": None}
        descriptors.append([own.path(where, data_set), facts])
    options = {"scale_pooling": "mean", "svm_loss": "squared-hinge", "seed": seeds[0]}
    options["average_precision"] = DATA_SETS[data_set]["average_precision"]
    chosen = [
        {
            "part": own.part,
            "split": own.split,
            "C": GRID[own.split],
            "grid": GRID,
            "figures": [51.5 + place + own.split / 8 for place in range(len(GRID))],
            "at_end": own.split != 1,
            "learnt": 24 + own.split,
            "validated": 6,
            "tested": len(own.ids),
            "undescribed": [],
        }
        for own in parts
    ]
    told = {"classes": examples.classes, "descriptors": descriptors}
    write_scores(path, parts, told | {"options": options, "chosen": chosen})


def made_table(name: str, results: str, seeds=(3,), answers=None, data_sets=None, **more) -> dict:
    """A table of the results, as `tabulate` makes it. data_sets: others; more: of Run."""
    submissions = [
        f"{row['submission']}_{data_set}"
        for row in TABLES[name]["rows"]
        for data_set in ("voc2012", "voc2012_action")
        if "submission" in row and data_set in data_sets_of(TABLES[name])
    ]
    run = Run(results, [], **{"seeds": list(seeds), "submissions": submissions} | more)
    printed = PAPER[TABLES[name]["paper"]] if "paper" in TABLES[name] else None
    measures = Measures(results, data_sets or DATA_SETS, 1)
    return feature_table(name, TABLES[name], run, printed, answers or {}, measures)


def made_ledger(results: str, seeds=(3,), numbers=range(14, 20)) -> dict:
    """The ledger of the claims about features."""
    return judged_ledger(
        [claim for claim in CLAIMS if claim["number"] in numbers],
        TABLES,
        PAPER,
        results=results,
        seeds=list(seeds),
        imported=[],
        models=None,
        speeds=[],
        bootstrap_seed=1,
        data_sets=DATA_SETS,
    )
