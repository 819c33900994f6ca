"""The examples of sites' own keys in profiles/slurm/sites, and what jobs ask for with them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.helpers.clones import ROOT, snakemake

PROFILE = ROOT / "profiles/slurm"


def adapt(folder: Path, site: str) -> None:
    """Append an example of a site's own keys to a clone's profile, as docs/cluster.md says."""
    text = (PROFILE / "config.yaml").read_text() + (PROFILE / f"sites/{site}.yaml").read_text()
    (folder / "profiles/slurm/config.yaml").write_text(text)


def asked_for(folder: Path, *words: str) -> dict[str, list[dict[str, str]]]:
    """What a dry-run with a clone's profile asks of Slurm: rule → resources of each of its jobs."""
    output = snakemake(folder, "-n", "--profile", "slurm", *words)
    asked: dict[str, list[dict[str, str]]] = {}
    for rule, job in re.findall(r"^rule (\w+):\n(?: .*\n)*? +resources: (.*)$", output, flags=re.M):
        resources = dict(pair.split("=", 1) for pair in job.split(", "))
        if "gpu" in resources:  # a target asks for nothing
            asked.setdefault(rule, []).append(resources)
    return asked
