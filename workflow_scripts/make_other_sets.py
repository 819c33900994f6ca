"""Draw small stand-ins of VOC-2007, VOC-2012, Caltech-101 and Caltech-256 as their archives.

Example:

    python -m workflow_scripts.make_other_sets --directory mine --processes 2
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.data.sources.miniature.other_sets import write_other_sets


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where the archives go")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal bytes")
    parser.add_argument("--processes", type=int, default=1, help="processes that draw")
    given = parser.parse_args(arguments)
    write_other_sets(given.directory, given.seed, given.processes)


if __name__ == "__main__":
    command.run(main)
