"""Draw errors against the paper's, against depth and against test scale, and learning curves.

Example:

    python -m workflow_scripts.draw_figures --history results/miniature/history/*.csv \\
        --evaluations results/miniature/evaluations.csv --output mine
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.text_artefacts import write_svg
from workflow_scripts.vgg.report import figures, inputs
from workflow_scripts.vgg.report.against_paper import KINDS, paper_cells
from workflow_scripts.vgg.results.single_evaluations import MeasuredEvaluation, read_evaluations
from workflow_scripts.vgg.settings.experiments import at_several_scales
from workflow_scripts.vgg.training.history import History, read_history


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--history",
        nargs="*",
        default=[],
        help="CSV files of trainings, named after their models; those of seed k in seed<k>/history",
    )
    parser.add_argument("--evaluations", help="the run's evaluations.csv; else no errors are drawn")
    parser.add_argument(
        "--tables",
        nargs="*",
        default=[],
        help="JSON files of tables whose errors are drawn against the paper's; none if not given",
    )
    parser.add_argument(
        "--output",
        required=True,
        help="folder for learning_curves/<model>.svg, error_against_depth.svg, "
        "measured_against_paper/<top1 or top5>.svg and, for each model that was tested at several "
        "scales, error_against_scale/<model>.svg; each SVG",
    )
    parser.add_argument(
        "--other-data",
        action="store_true",
        help="the errors are not of the paper's data set, and do not compare with its in size: "
        "draw the paper's on an axis of their own, and nowhere else",
    )
    given = parser.parse_args(arguments)
    drawings: dict[str, str] = {}
    trainings: dict[str, list[History]] = {}
    for history in map(read_history, given.history):
        trainings.setdefault(history.model, []).append(history)
    limits = figures.curve_limits([history for own in trainings.values() for history in own])
    for model, own in trainings.items():
        drawings[f"learning_curves/{model}"] = figures.learning_curves(own, limits)
    if given.evaluations:
        measured = read_evaluations(given.evaluations)
        if given.other_data:
            measured = [without_paper(evaluation) for evaluation in measured]
        drawings["error_against_depth"] = figures.error_against_depth(measured)
        models = at_several_scales(measured)
        ends = figures.error_limits([t for t in measured if t.model in models])
        for model in models:
            tested = [t for t in measured if t.model == model]
            drawings[f"error_against_scale/{model}"] = figures.error_against_scale(tested, ends)
    cells = paper_cells(map(inputs.load_table, given.tables))
    for kind in KINDS:
        if own_cells := [cell for cell in cells if cell.kind == kind]:
            drawings[f"measured_against_paper/{kind}"] = figures.measured_against_paper(
                own_cells, same_data=not given.other_data
            )
    for name, drawing in drawings.items():
        write_svg(Path(given.output, f"{name}.svg"), drawing)


def without_paper(measured: MeasuredEvaluation) -> MeasuredEvaluation:
    """The evaluation as if the paper had no errors for it."""
    return replace(
        measured, top1=replace(measured.top1, paper=None), top5=replace(measured.top5, paper=None)
    )


if __name__ == "__main__":
    command.run(main)
