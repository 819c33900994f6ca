"""Draw a small ten-class data set and write it as ILSVRC-2012 archives.

Example:

    python -m workflow_scripts.make_miniature --directory mine --train 400 --val 100
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.data.sources.miniature.drawing import PROPERTIES, world_without
from workflow_scripts.vgg.data.sources.miniature.writing import plan, write_archives


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where the archives go")
    parser.add_argument("--train", type=int, default=4000, help="training images, all classes")
    parser.add_argument("--val", type=int, default=400, help="validation images, all classes")
    parser.add_argument("--test", type=int, default=200, help="test images, all classes")
    parser.add_argument("--classes", type=int, default=10, help="number of classes, 2 to 10")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal bytes")
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        metavar="PROPERTY",
        help=f"properties that the images are to lack, of {', '.join(PROPERTIES)}",
    )
    parser.add_argument("--processes", type=int, default=1, help="processes that draw")
    given = parser.parse_args(arguments)
    planned = plan(
        seed=given.seed,
        classes=given.classes,
        train=given.train,
        val=given.val,
        test=given.test,
        world=world_without(given.without),
    )
    write_archives(given.directory, planned, given.processes)


if __name__ == "__main__":
    command.run(main)
