"""The choices that tell at test time: what measures each, and where.

Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection

from ..core.files import InputError
from .experiments import Evaluation, evaluations, find_row, has_models

# Choices of an evaluation (paper §3.2), each with a row of tables.yaml that it changes.
MEASURED_BY = {
    "score_average": "table5/D_dense",
    "pool_rounding": "table5/D_dense",
    "crop_grid": "table5/D_multicrop",
    "resize_filter": "table5/D_dense",
}


def measurable(tables: dict, models: Collection[str] | None = None) -> dict[str, list[Evaluation]]:
    """The evaluations that measure each choice.

    models: those that the run has, None for all. Choices are left out whose row the tables lack or
    that need other models.
    """
    found = {}
    for choice, reference in MEASURED_BY.items():
        try:
            own = evaluations(find_row(reference, tables)["evaluations"])
        except InputError:
            continue
        if has_models(own, models):
            found[choice] = own
    return found


def values(schema: dict, choice: str, configured: str) -> list[str]:
    """The configured value of a choice, then its alternatives in the order of the schema.

    schema: of the whole configuration.
    """
    known = schema["properties"]["choices"]["properties"][choice]["enum"]
    return [configured, *(value for value in known if value != configured)]


def results_of(results: str, choice: str, value: str, configured: str) -> str:
    """The folder whose `posteriors` were made under a value; the run's own if it is configured."""
    return results if value == configured else f"{results}/choices/{choice}={value}"
