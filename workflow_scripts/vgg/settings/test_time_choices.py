"""The choices that matter in testing: how the effect of each is measured, and its table.

Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

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


def printed(choices: Sequence[dict]) -> str:
    """The comparison as an aligned text table; `choices` is the entry of that name of its JSON."""
    heads = ["choice", "value", "method", "top-1 error", "change", "p", "top-5", "change"]
    lines = [[*heads, "class", "outcome"]]
    for choice in choices:
        for value in choice["values"]:
            first = value["configured"]
            low, high = value["top1_low"], value["top1_high"]
            lines.append(
                [
                    choice["choice"] if first else "",
                    value["value"] + (" *" if first else ""),
                    choice["method"] if first else "",
                    f"{value['top1_error']:.2f} [{low:.2f}, {high:.2f}]",
                    *_change(value),
                ]
            )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = 3  # columns of words
    return "\n".join(
        "  ".join(
            text.ljust(width) if place < left else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _change(value: dict) -> list[str]:
    top5 = f"{value['top5_error']:.2f}"
    if value["configured"]:
        return ["", "", top5, "", "", ""]
    low, high = value["top1_difference_low"], value["top1_difference_high"]
    return [
        f"{value['top1_difference']:+.2f} [{low:+.2f}, {high:+.2f}]",
        "<0.001" if value["top1_p"] < 0.001 else f"{value['top1_p']:.3f}",
        top5,
        f"{value['top5_difference']:+.2f}",
        str(value["changed_class"]),
        str(value["changed_outcome"]),
    ]
