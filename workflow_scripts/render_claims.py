"""Render the ledger of claims: every comparison of the paper's claims, and how it was judged.

Example:

    python -m workflow_scripts.render_claims --claims results/miniature/claims.json \\
        --config results/miniature/config.yaml --output mine.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report import inputs, pages


def main(arguments: Sequence[str] | None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--claims",
        required=True,
        help="the ledger, JSON; what lies beside it in other forms is offered too",
    )
    parser.add_argument(
        "--tables", nargs="*", default=[], help="JSON files of the tables whose rows it links to"
    )
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument(
        "--pages", nargs="*", default=[], help="names of the pages beside this one, to refer to"
    )
    parser.add_argument("--index", action="store_true", help="link to the index beside this page")
    parser.add_argument("--output", required=True, help="the HTML page to write")
    given = parser.parse_args(arguments)

    throughput = Path(given.claims).with_name(f"{Path(given.claims).stem}_throughput.csv")
    page = pages.render_claims(
        inputs.load_claims(given.claims),
        [inputs.load_table(path) for path in given.tables],
        inputs.load_config(given.config),
        pages=given.pages,
        index=given.index,
        downloads=inputs.load_downloads(given.claims),
        throughput=inputs.load_downloads(throughput),
    )
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
