"""Render the report's index: errors against the paper's, claims, tables, figures, costs, settings.

Example:

    python -m workflow_scripts.render_index --tables results/miniature/tables/table[3-6].json \\
        --claims results/miniature/claims.json --config results/miniature/config.yaml \\
        --output mine.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import whole_file
from workflow_scripts.vgg.report import inputs, pages
from workflow_scripts.vgg.training.history import read_history


def main(arguments: Sequence[str] | None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--tables",
        nargs="+",
        required=True,
        help="tables' JSON files, in order; what lies beside them in other forms is offered too",
    )
    parser.add_argument(
        "--drawn",
        nargs="*",
        default=[],
        help="names of the tables whose errors the figures in measured_against_paper draw",
    )
    parser.add_argument("--claims", required=True, help="the ledger of claims, JSON")
    parser.add_argument("--history", nargs="*", default=[], help="training histories, CSV")
    parser.add_argument(
        "--figures",
        nargs="*",
        default=[],
        help="SVG files; those in a folder learning_curves are named for their models, and those "
        "in measured_against_paper open the page",
    )
    parser.add_argument("--evaluations", help="evaluations.csv, the numbers behind the figures")
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--schema", help="the configuration's schema, which describes choices")
    parser.add_argument("--packing", help="packing.json: what was packed, and what was not")
    parser.add_argument(
        "--truth",
        nargs="*",
        default=[],
        help="reports of true boxes, JSON, named for their splits: what was read, and what is odd",
    )
    parser.add_argument("--plan", help="plan.json: planned and actual cost")
    parser.add_argument("--records", help="the experiment's folder of logs, with records of cost")
    parser.add_argument(
        "--pages",
        nargs="*",
        default=[],
        help="names of the pages beside this one, which it links to: tables, pictures, plan, …",
    )
    parser.add_argument("--output", required=True, help="the HTML page to write")
    given = parser.parse_args(arguments)

    offered = {Path(path).stem: path for path in given.tables}
    if given.evaluations:
        offered["evaluations"] = given.evaluations
    page = pages.render_index(
        [inputs.load_table(path) for path in given.tables],
        inputs.load_claims(given.claims),
        [read_history(path) for path in given.history],
        inputs.load_config(given.config),
        drawn=given.drawn,
        schema=inputs.load_choices(given.schema) if given.schema else None,
        packing=inputs.load_packing(given.packing) if given.packing else None,
        truth={Path(path).stem: inputs.load_truth(path) for path in given.truth},
        figures=given.figures,
        plan=inputs.load_plan(given.plan) if given.plan else None,
        records=inputs.load_records(given.records),
        pages=given.pages,
        downloads={name: inputs.load_downloads(path) for name, path in offered.items()},
    )
    with whole_file(given.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
