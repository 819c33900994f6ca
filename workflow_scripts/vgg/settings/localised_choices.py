"""The choices that matter in testing localisation: by which row they are measured, and where.

What decides boxes, guesses or their errors, and is not measured by classification already; and the
threshold of merging, which is a number, at half and twice its configured value (appendix A).
Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from . import test_time_choices
from .experiments import has_models
from .localised_rows import guessed, is_localised, is_of_true_class

MEASURED_BY = "table9/fusion"  # or the first row of test 2 if a run lacks it
SPLIT = "val"
THRESHOLD = "merge_threshold"
STAGES = ("boxes", "localisation", "scoring")


def stages(schema: Mapping) -> dict[str, str]:
    """The stage that each choice of localisation decides, in the order of the schema.

    schema: of the whole configuration. The threshold follows the distance that it is in.
    """
    found = {}
    for name, entry in schema["properties"]["choices"]["properties"].items():
        if (stage := entry["decides"][0]) in STAGES:
            found[name] = stage
        if name == "merge_distance":
            found[THRESHOLD] = stage
    return found


def measured_row(
    tables: Mapping[str, dict], models: Collection[str] | None = None
) -> tuple[str, dict] | None:
    """The row that measures the choices, by its name `<table>/<name>`, and itself.

    models: those that the run has, None for all. None if it can measure no row of test 2 by nets.
    """
    rows = {
        f"{name}/{row['name']}": row
        for name, table in tables.items()
        for row in (table["rows"] if is_localised(table) else [])
        if row.get("boxes") and not is_of_true_class(row) and has_models([guessed(row)], models)
    }
    name = MEASURED_BY if MEASURED_BY in rows else next(iter(rows), None)
    return None if name is None else (name, rows[name])


def values(schema: Mapping, choice: str, config: Mapping) -> list[str]:
    """The configured value of a choice, then its alternatives.

    config: the whole configuration.
    """
    if choice == THRESHOLD:
        configured = threshold(config, config["choices"]["merge_distance"])
        return list(map(str, dict.fromkeys((configured, configured / 2, configured * 2))))
    return test_time_choices.values(dict(schema), choice, config["choices"][choice])


def threshold(config: Mapping, distance: str) -> float:
    """The configured threshold of a distance."""
    return config["localise"]["thresholds"][distance]


def threshold_under(config: Mapping, choice: str, value: str) -> float:
    """The threshold that boxes are merged by under a value of a choice."""
    if choice == THRESHOLD:
        return float(value)
    distance = value if choice == "merge_distance" else config["choices"]["merge_distance"]
    return threshold(config, distance)


def results_under(results: str, schema: Mapping, choice: str, value: str, config: Mapping) -> str:
    """The folder whose guesses were made under a value of a choice.

    It is the run's own for the configured value, and for choices of scoring, whose guesses are the
    same.
    """
    configured = values(schema, choice, config)[0]
    if stages(schema)[choice] == "scoring":
        return results
    return test_time_choices.results_of(results, choice, value, configured)
