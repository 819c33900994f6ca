"""Print what a run measured, where its time went, and where the report is, if it is of this run.

Example:

    python -m workflow_scripts.summarise_run --results results/miniature --records logs/miniature
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.planning.records import read_records
from workflow_scripts.vgg.report.present_index import experiment_of
from workflow_scripts.vgg.results.choice_comparison import as_text
from workflow_scripts.vgg.results.feature_comparison import features_as_text
from workflow_scripts.vgg.results.localised_comparison import localised_as_text
from workflow_scripts.vgg.results.run_summary import errors_as_text, times_as_text
from workflow_scripts.vgg.results.tuned_threshold import tuned_as_text
from workflow_scripts.vgg.settings.experiments import read_tables


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--results", required=True, help="the experiment's results folder, of its name"
    )
    parser.add_argument("--records", required=True, help="the experiment's folder of logs")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    given = parser.parse_args(arguments)
    results = Path(given.results)
    if shown := errors_as_text(results, read_tables(given.tables)):
        print(shown)
    if records := read_records(given.records):
        print(f"\nWhere the time went (summed over jobs)\n{times_as_text(records)}")
    compared = results / "choices.json"
    if compared.exists():
        print(
            "\nWhat the test-time choices change (* as configured; errors in %, 95% intervals; "
            "images whose top-1 class or outcome changed)"
        )
        content = read_json(compared)
        if content["choices"]:
            print(as_text(content["choices"]))
        if localised := content.get("localisation"):
            print(f"\n{localised_as_text(localised)}")
        if features := content.get("features"):
            print(f"\n{features_as_text(features)}")
    tuned = results / "threshold.json"
    if tuned.exists():
        print(f"\n{tuned_as_text(read_json(tuned))}")
    index = Path("reports/index.html")
    if experiment_of(index) == results.name:
        print(f"\nReport: {index.resolve()}")


if __name__ == "__main__":
    command.run(main)
