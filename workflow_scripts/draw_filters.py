"""Draw the first-layer filters of trained nets as small pictures.

Example:

    python -m workflow_scripts.draw_filters --experiment miniature \\
        --weights results/miniature/weights/D_S256.safetensors --output mine.json
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.report.first_layer import filters_entry


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--weights", nargs="+", required=True, help="<model>.safetensors files")
    parser.add_argument("--output", required=True, help="filters.json to write")
    given = parser.parse_args(arguments)
    nets = [filters_entry(path) for path in given.weights]
    write_json(given.output, {"experiment": given.experiment, "nets": nets})


if __name__ == "__main__":
    command.run(main)
