"""The index that lies in a folder of pages, which may be another experiment's."""

from __future__ import annotations

import re
from pathlib import Path


def experiment_of(index: Path) -> str | None:
    """The name of the experiment that an index is of, as it says itself below its title; None if
    there is no index."""
    if not index.exists():
        return None
    text = index.read_text(encoding="utf-8", errors="replace")
    named = re.search(r'<p class="subtitle">Experiment <code>([\w.-]+)</code>', text)
    return named and named[1]
