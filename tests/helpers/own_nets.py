"""The files of docs/own_nets.md, as they stand there."""

import re
from pathlib import Path

from tests.helpers.clones import ROOT

FILES = dict(
    re.findall(r"```yaml\n# (\S+)\n(.*?)```", (ROOT / "docs/own_nets.md").read_text(), re.S)
)


def write_own_nets(folder: Path) -> None:
    """Write them all into a folder."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
