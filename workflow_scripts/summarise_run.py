"""Print what a run measured, where its time went, and where the report is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.planning.records import read_records
from workflow_scripts.vgg.results.tables import read_lines
from workflow_scripts.vgg.settings import test_time_choices
from workflow_scripts.vgg.settings.experiments import read_tables


def errors(results: Path, tables: dict) -> str:
    """The measured errors of all tables that exist, beside the paper's."""
    parts = []
    for name, table in tables.items():
        path = results / "tables" / f"{name}.csv"
        if "rows" not in table or not path.exists():
            continue
        lines = read_lines(path.with_suffix(""))
        lines = lines[~lines["literature"]]
        columns = [
            *table["columns"],
            *(c for m in table["metrics"] for c in (m, f"{m}_paper")),
        ]
        reference = f" ({table.get('reference', 'paper')})"
        text = lines[columns].rename(columns=lambda c, r=reference: c.replace("_paper", r))
        for column in table["columns"]:
            text[column] = text[column].astype(str).str.slice(0, 38)
        shown = text.to_string(index=False, float_format="%.1f", na_rep="-")
        parts.append(f"{name}: {table['title']}\n{shown}")
    return "\n\n".join(parts)


def times(records: dict[tuple[str, str], dict]) -> str:
    """Jobs, wall and CPU seconds by rule, from the records of what jobs cost."""
    spent: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for (rule, _), record in records.items():
        for name in (rule, "all"):
            spent[name][0] += 1
            spent[name][1] += record["wall_seconds"]
            spent[name][2] += record["cpu_seconds"]
    rows = sorted(spent.items(), key=lambda item: (item[0] == "all", -item[1][1]))
    return "\n".join(
        [f"{'rule':24}{'jobs':>6}{'wall s':>10}{'CPU s':>10}"]
        + [f"{rule:24}{jobs:6.0f}{wall:10.1f}{cpu:10.1f}" for rule, (jobs, wall, cpu) in rows]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--records", required=True, help="the experiment's folder of logs")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    given = parser.parse_args(arguments)
    results = Path(given.results)
    if shown := errors(results, read_tables(given.tables)):
        print(shown)
    if records := read_records(given.records):
        print(f"\nWhere the time went (summed over jobs)\n{times(records)}")
    compared = results / "choices.json"
    if compared.exists():
        print(
            "\nWhat the test-time choices change (* as configured; errors in %, 95% intervals; "
            "images whose top-1 class or outcome changed)"
        )
        print(test_time_choices.printed(read_json(compared)["choices"]))
    index = Path("reports/index.html")
    if index.exists():
        print(f"\nReport: {index.resolve()}")


if __name__ == "__main__":
    command.run(main)
