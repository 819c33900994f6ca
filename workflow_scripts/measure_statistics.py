"""Measure the mean and covariance of RGB over the training set's pixels (paper §2.1, §3.1).

Example:

    python -m workflow_scripts.measure_statistics \\
        --shards results/miniature/shards/train_S256/*.arrow --output mine.json
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.pixel_statistics import pixel_statistics
from workflow_scripts.vgg.data.shards import Shards


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--shards", nargs="+", required=True, help="shards of the training set")
    parser.add_argument("--threads", type=int, default=1, help="images decoded side by side")
    parser.add_argument("--output", required=True, help="statistics.json to write")
    given = parser.parse_args(arguments)
    shards = Shards(given.shards)
    with costs.working_on(len(shards)):
        statistics = pixel_statistics(shards, given.threads)
    write_json(given.output, statistics)


if __name__ == "__main__":
    command.run(main)
