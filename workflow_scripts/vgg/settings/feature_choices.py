"""The choices that matter for features of other data sets: what measures each, and where.

Those that decide descriptors, classifiers of them, or how these are measured (appendix B). What
decides evaluations or boxes as well is measured by classification too.
Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from . import test_time_choices
from .experiments import has_models
from .transferred_rows import (
    MAP,
    ORGANISED,
    is_transferred,
    measure_of,
    scale_pooling,
    scales_of,
    transferred,
)

STAGES = ("descriptors", "classifiers", "measuring")
# A row and a metric of its table; if a run lacks them, the first that a choice has a part in.
MEASURED_BY = ("table11/D_E", "map_voc2007")
OF_BOXES = {"action_box": ("table12/D_E_image_box", "mapval_voc2012_action")}
OF_ORGANISED = ("svm_difficult", "average_precision")  # have no part in sets of one class an image


@dataclass(frozen=True)
class Reference:
    """What a choice is measured by: a row `<table>/<name>`, and a metric of its table.

    entry: the row's, as tables.yaml has it.
    """

    row: str
    metric: str
    entry: Mapping

    @property
    def data_set(self) -> str:
        """The data set that is measured on."""
        return measure_of(self.metric)[1]

    def path(self, results: str) -> str:
        """The scores that are measured, below a folder of results."""
        return transferred(self.entry).path(results, self.data_set)


def stages(schema: Mapping) -> dict[str, str]:
    """The stage that each choice of features decides, in the order of the schema.

    schema: of the whole configuration.
    """
    known = schema["properties"]["choices"]["properties"]
    found = {
        name: next((stage for stage in STAGES if stage in entry["decides"]), None)
        for name, entry in known.items()
    }
    return {name: stage for name, stage in found.items() if stage is not None}


def measurable(
    schema: Mapping,
    tables: Mapping[str, dict],
    models: Collection[str] | None,
    data_sets: Mapping[str, dict],
) -> dict[str, Reference]:
    """What measures each choice of features; those that the run cannot measure are left out.

    schema: of the whole configuration. models: those that the run has, None for all. data_sets:
    the run's, by name.
    """
    known = list(_references(tables, models, data_sets))
    found: dict[str, Reference] = {}
    for choice in stages(schema):
        own = [each for each in known if _has_a_part(choice, each, data_sets[each.data_set])]
        own.sort(key=lambda each: (each.row, each.metric) != OF_BOXES.get(choice, MEASURED_BY))
        if own:
            found[choice] = own[0]
    return found


def _references(
    tables: Mapping[str, dict], models: Collection[str] | None, data_sets: Mapping[str, dict]
) -> Iterator[Reference]:
    """All rows that the run has the nets of, on all data sets whose labels are at hand."""
    for name, table in tables.items():
        if not is_transferred(table):
            continue
        metrics = [metric for metric in table["metrics"] if _is_measured(metric, data_sets)]
        for row in table["rows"]:
            if has_models([transferred(row)], models):
                yield from (Reference(f"{name}/{row['name']}", metric, row) for metric in metrics)


def _is_measured(metric: str, data_sets: Mapping[str, dict]) -> bool:
    kind, data_set = measure_of(metric)
    entry = data_sets.get(data_set)
    return entry is not None and (kind != MAP or entry["test"] == "labelled")


def _has_a_part(choice: str, reference: Reference, data_set: Mapping) -> bool:
    """False if no value of a choice can change what is measured."""
    row = reference.entry
    regions = row["descriptors"].get("regions", ["image"])
    if choice in OF_BOXES:
        return "box" in regions
    if choice in OF_ORGANISED:
        return data_set["kind"] in ORGANISED
    if choice == "feature_l2":
        stacked = scales_of(row, data_set) if scale_pooling(row, data_set) == "stack" else [None]
        return len(row["descriptors"]["models"]) * len(regions) * len(stacked) > 1
    return True


def known_sets(config: Mapping) -> dict[str, dict]:
    """The data sets that a run has, by name. config: the whole configuration."""
    known = config["transfer"]["data_sets"]
    return {name: entry for name, entry in known.items() if entry is not None}


def values(schema: Mapping, choice: str, choices: Mapping[str, str]) -> list[str]:
    """The configured value of a choice, then its alternatives. choices: the configuration's."""
    return test_time_choices.values(dict(schema), choice, choices[choice])


def results_under(
    results: str, schema: Mapping, choice: str, value: str, choices: Mapping[str, str]
) -> str:
    """The folder whose scores were made under a value of a choice.

    It is the run's own for the configured value, and for choices of measuring, by which no scores
    are made. choices: the configuration's.
    """
    if stages(schema)[choice] == "measuring":
        return results
    return test_time_choices.results_of(results, choice, value, choices[choice])


def definition(data_set: Mapping, average_precision: str) -> str | None:
    """The definition of average precision on a data set; None if recall is measured.

    data_set: its entry in the configuration. average_precision: the choice.
    """
    own = data_set.get("average_precision")
    return own if own is None or average_precision == "years-own" else average_precision
