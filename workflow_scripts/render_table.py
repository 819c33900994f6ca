"""Render one table as a self-contained HTML page.

Example:

    python -m workflow_scripts.render_table --table results/miniature/tables/table4.json \\
        --config results/miniature/config.yaml --output mine.html
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report import inputs, pages


def main(arguments: Sequence[str] | None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--table",
        required=True,
        help="a table's JSON file; what lies beside it in other forms is offered too",
    )
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--records", help="the experiment's folder of logs, with records of cost")
    parser.add_argument("--previous", help="name of the table before this one, such as table2")
    parser.add_argument("--next", help="name of the table after this one, such as table4")
    parser.add_argument(
        "--pages", nargs="*", default=[], help="names of other pages beside this one, to refer to"
    )
    parser.add_argument("--index", action="store_true", help="link to the index beside this page")
    parser.add_argument("--output", required=True, help="the HTML page to write")
    given = parser.parse_args(arguments)

    page = pages.render_table(
        inputs.load_table(given.table),
        inputs.load_config(given.config),
        given.previous,
        given.next,
        index=given.index,
        pages=given.pages,
        downloads=inputs.load_downloads(given.table),
        records=inputs.load_records(given.records),
    )
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
