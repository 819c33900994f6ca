"""Runs as their rules see them, of the configurations in config/ with changes."""

from __future__ import annotations

import contextlib
import functools

import yaml

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.settings.run import Run, read_run

MINIATURE, FULL = "config/config.yaml", "config/ilsvrc2012.yaml"
RELEASED = "config/released_weights.yaml"


def changed(base, changes):
    """A mapping with changes, which may reach into nested ones and have keys that it lacks."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return base | {key: changed(base.get(key), entry) for key, entry in changes.items()}


def run_of(base: str = MINIATURE, **changes) -> Run:
    """The run of a configuration with changes; the files that it names are those of the tree."""
    return _read(base, changes) if changes else _unchanged(base)


@functools.cache
def _unchanged(base: str) -> Run:
    return _read(base, {})


def _read(base: str, changes: dict) -> Run:
    config = yaml.safe_load((ROOT / base).read_text())
    with contextlib.chdir(ROOT):
        return read_run(changed(config, changes), [base])
