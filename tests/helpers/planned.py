"""Planners of the paper's run, and rows of which tests plan the jobs."""

import yaml

from tests.helpers.clones import (
    ROOT,
    merged,
)
from tests.helpers.flop_by_hand import FC, TABLE_1
from workflow_scripts.vgg.planning.planner import Planner
from workflow_scripts.vgg.settings.experiments import Evaluation

DEFINITIONS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
COST = (ROOT / "docs/cost.md").read_text()
FULL_PATH = "config/ilsvrc2012.yaml"
FULL = yaml.safe_load((ROOT / FULL_PATH).read_text())


def planner(tmp_path, **changes):
    return Planner(merged(FULL, changes), DEFINITIONS["convnets"], DEFINITIONS["models"], tmp_path)


FC_1 = 2 * 7 * 7 * 512 * 4096
LAST = 2 * 4096  # FLOP of the last layer for each of its outputs
LABELS = [Evaluation("E_S256-512", "dense", 384)]
FUSED = {
    "name": "fused",
    "boxes": [
        {"model": "D_S256_pcr", "method": "dense", "Q": [256]},
        {"model": "D_S384_pcr", "method": "dense", "Q": [352, 384]},
    ],
}
CENTRAL = {"name": "central", "boxes": [{"model": "D_S384_pcr", "method": "center", "Q": [384]}]}
FIXED = {"name": "fixed", "fixed_box": {"box": "central", "labels": "true-class"}}
MEAN = {"name": "mean", "fixed_box": {"box": "training-mean", "labels": "likeliest"}}


def dense_by_hand(height, width, outputs=1000):
    """FLOP of one pass of D over a whole image whose sides are multiples of 32."""
    convs = ((side, *conv) for side, own in TABLE_1["D"].items() for conv in own)
    features = sum(
        2 * k * k * into * out * height * width * side**2 / 224**2 for side, k, into, out in convs
    )
    places = (height // 32 - 6) * (width // 32 - 6)
    return features + places * (FC - LAST * 1000 + LAST * outputs)


COUNTED = {"voc2012_action": 9_200}
BOTH = ["D_S256-512", "E_S256-512"]
STACKED = {"name": "stacked", "descriptors": {"models": BOTH, "scale_pooling": "stack"}}
POOLED = {"name": "pooled", "descriptors": {"models": BOTH, "Q": [256, 384]}}
ACTING = {"name": "acting", "descriptors": {"models": BOTH, "regions": ["image", "box"]}}
RANDOM = {"name": "unlearnt", "descriptors": {"models": BOTH[:1], "Q": [256], "weights": "random"}}


def counted():
    """The configuration's data sets with a number of images that it leaves open."""
    return {"data_sets": {name: {"images": number} for name, number in COUNTED.items()}}


def record(**facts):
    return {
        "wall_seconds": 7200.0, "cpu_seconds": 3600.0, "attempts": 1, "images": 100,
        "images_per_second": 2.0, "peak_memory_mb": 50.0, "gpu_peak_memory_mb": None,
        "device": "cpu", "hardware": "H", "processes": 1, "node": "n1", "slurm_job_id": None,
    } | facts  # fmt: skip
