"""Render the report's index: summary, tables, claims, learning curves, images and settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg import report, report_inputs
from workflow_scripts.vgg.command import parser, run
from workflow_scripts.vgg.files import whole_file


def main(arguments: Sequence[str] | None) -> None:
    options = parser(__doc__)
    options.add_argument("--tables", nargs="+", required=True, help="tables' JSON files, in order")
    options.add_argument("--claims", required=True, help="the ledger of claims, JSON")
    options.add_argument("--history", nargs="*", default=[], help="training histories, CSV")
    options.add_argument("--config", required=True, help="the run's resolved configuration")
    options.add_argument("--schema", help="the configuration's schema, which describes choices")
    options.add_argument("--packing", help="packing.json: what was packed, and what was not")
    options.add_argument("--choices", help="page that compares the test-time choices, to link to")
    options.add_argument("--output", required=True, help="the HTML page to write")
    given = options.parse_args(arguments)

    page = report.render_index(
        [report_inputs.load_table(path) for path in given.tables],
        report_inputs.load_claims(given.claims),
        [report_inputs.load_history(path) for path in given.history],
        report_inputs.load_config(given.config),
        report_inputs.load_choices(given.schema) if given.schema else None,
        report_inputs.load_packing(given.packing) if given.packing else None,
        Path(given.choices).name if given.choices else None,
    )
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
