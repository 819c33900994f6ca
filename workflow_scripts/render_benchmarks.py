"""Render what `benchmark` measured as a self-contained HTML page.

`snakemake benchmarks` measures and renders: the example runs after it.

Example:

    python -m workflow_scripts.render_benchmarks --summary benchmarks/summary.json \\
        --config results/miniature/config.yaml --output mine.html
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.bench import speed_tables
from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report import inputs, pages


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--summary", required=True, help="summary.json of benchmark")
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--index", action="store_true", help="link to the index beside this page")
    parser.add_argument("--output", required=True, help="the HTML page to write")
    given = parser.parse_args(arguments)

    measured = inputs.load_benchmarks(given.summary)
    tables = [
        *speed_tables.tables(measured["lines"], measured["growth"]),
        *speed_tables.projected_tables(measured),
    ]
    page = pages.render_benchmarks(measured, tables, inputs.load_config(given.config), given.index)
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
