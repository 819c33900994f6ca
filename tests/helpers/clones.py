"""Fresh clones of the working tree, and Snakemake run in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

# A miniature of the miniature, for whole workflows within a minute or two.
TINY = {
    "experiment": "tiny",
    "server_answers": "config/server_answers.yaml",
    "data": {
        "directory": "resources/tiny",
        "images": {"train": 60, "val": 24, "test": 12},
        "shards": {"train": 2, "val": 1, "test": 1},
    },
    "convnet": {"fc": 16, "width_divisor": 32},
    "train": {
        "batch_size": 8,
        "stages": {
            "scratch": {"iterations": 6},
            "transferred": {"iterations": 4},
            "fine_tuned": {"iterations": 2},
            "box": {"iterations": 2},
        },
        "validation_interval": 2,
    },
    "transfer": {
        "data_sets": {
            "voc2007": {"Q": [256]},
            "voc2012": None,
            "voc2012_action": {"Q": [256]},
            "caltech101": {"Q": [256]},
            "caltech256": None,
        },
    },
}


def merged(base: dict, changes: dict) -> dict:
    """`base` with the changes, which may reach into nested mappings."""
    both = dict(base)
    for key, value in changes.items():
        both[key] = merged(base[key], value) if isinstance(value, dict) else value
    return both


def clone(folder: Path) -> Path:
    """The tree as a fresh clone has it."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    for name in filter(None, files):
        source, target = ROOT / name, folder / name
        if source.exists() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def configured_clone(folder: Path, *changes: dict) -> Path:
    """The tree as a fresh clone has it, with the changes in its default configuration."""
    clone(folder)
    path = folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    for change in changes:
        config = merged(config, change)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


def snakemake(folder: Path, *words: str, check: bool = True, **variables: str) -> str:
    """Run Snakemake in a clone, with changed environment variables; gives its output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    environment |= variables
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", *words],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def planned(folder: Path, *words: str) -> dict[str, int]:
    """The jobs of a dry-run as {rule: number}, without `total`."""
    output = snakemake(folder, "-n", *words)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", output, flags=re.M))
    jobs.pop("total", None)
    return {rule: int(count) for rule, count in jobs.items()}


def outputs(folder: Path, *words: str) -> set[str]:
    """All files that a dry-run would make."""
    lines = re.findall(r"^ +output: (.*)$", snakemake(folder, "-n", *words), flags=re.M)
    return {path for line in lines for path in line.split(", ")}
