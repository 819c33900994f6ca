"""Render the comparison of the test-time choices as a self-contained HTML page.

`snakemake choices` compares and renders: the example runs after it.

Example:

    python -m workflow_scripts.render_choices --choices results/miniature/choices.json \\
        --config results/miniature/config.yaml --output mine.html
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report import inputs, pages


def main(arguments: Sequence[str] | None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--choices", required=True, help="choices.json of compare_choices")
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--schema", help="the configuration's schema, which describes choices")
    parser.add_argument("--index", action="store_true", help="link to the index beside this page")
    parser.add_argument("--output", required=True, help="the HTML page to write")
    given = parser.parse_args(arguments)

    page = pages.render_choices(
        inputs.load_compared_choices(given.choices),
        inputs.load_config(given.config),
        inputs.load_choices(given.schema) if given.schema else None,
        given.index,
    )
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
