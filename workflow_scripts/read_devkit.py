"""List the classes of ILSVRC-2012's development kit."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg import command
from workflow_scripts.vgg.devkit import read_classes
from workflow_scripts.vgg.files import InputError, whole_file


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--devkit", required=True, help="ILSVRC2012_devkit_t12.tar.gz")
    parser.add_argument("--classes", type=int, required=True, help="number of classes expected")
    parser.add_argument("--output", required=True, help="classes.parquet to write")
    options = parser.parse_args(arguments)
    classes = read_classes(options.devkit)
    if len(classes) != options.classes:
        raise InputError(
            f"{options.devkit}: {len(classes)} classes, but the configuration's data.classes is "
            f"{options.classes}"
        )
    with whole_file(options.output) as temporary:
        classes.to_parquet(temporary, index=False)


if __name__ == "__main__":
    command.run(main)
