"""Measures of features under each alternative of their choices, and the configured ones'."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from ..core.text_artefacts import write_plain_csv
from ..settings import feature_choices
from ..transfer.intervals import Interval
from ..transfer.scores import Tested, read_told
from .choice_comparison import aligned, probability, with_interval
from .feature_measures import Measure, Measures

PAIRED = ("difference_low", "difference_high", "p")


@dataclass(frozen=True)
class Measured:
    """What is measured under a value of a choice.

    chosen: what the file of scores says of each choice of C for the part that is measured.
    """

    measure: Measure
    tested: list[Tested]
    interval: Interval
    chosen: list[dict]


def compared_features(
    results: str,
    tables: Mapping[str, dict],
    models: Collection[str] | None,
    schema: Mapping,
    config: Mapping,
    seed: int,
) -> dict | None:
    """The `choices`, each with the fields of `compare` for each of its values, and with the `row`
    and `metric` that it is measured by; `data_sets`, their titles by name.

    None if the run can measure none. models: that the run has, None for all. schema: of the whole
    configuration, which is `config`. seed: of the bootstrap.
    """
    configured, data_sets = config["choices"], feature_choices.known_sets(config)
    references = feature_choices.measurable(schema, tables, models, data_sets)
    if not references:
        return None
    own = {name: {"average_precision": None, **entry} for name, entry in data_sets.items()}
    measures = Measures(results, own, seed)

    @cache
    def measured(path: str, metric: str, definition: str | None) -> Measured:
        measure = dataclasses.replace(measures.of(metric), definition=definition)
        tested = measures.read(path, measure.examples)
        chosen = [one for one in read_told(path)["chosen"] if one["part"] == measure.part]
        return Measured(measure, tested, measure.interval([tested]), chosen)

    def under(choice: str, value: str) -> Measured:
        reference = references[choice]
        folder = feature_choices.results_under(results, schema, choice, value, configured)
        chosen = value if choice == "average_precision" else configured["average_precision"]
        definition = feature_choices.definition(data_sets[reference.data_set], chosen)
        return measured(reference.path(folder), reference.metric, definition)

    choices = []
    for choice, reference in references.items():
        values = feature_choices.values(schema, choice, configured)
        rows = [
            {
                "value": value,
                "configured": value == configured[choice],
                **compare(under(choice, value), under(choice, configured[choice])),
            }
            for value in values
        ]
        facts = {"choice": choice, "row": reference.row, "metric": reference.metric}
        choices.append({**facts, "values": rows})
    used = {reference.data_set for reference in references.values()}
    titles = {name: entry["title"] for name, entry in data_sets.items() if name in used}
    return {"data_sets": titles, "choices": choices}


def compare(found: Measured, configured: Measured) -> dict:
    """The measure with its 95% interval in percent, and its difference from the configured one's.

    Difference in points with its paired bootstrap interval and p, both None where average precision
    is another: of the same scores, there is no noise to hold a change of definition against.
    C: those that were chosen, one a random split. at_end: whether one is an end of its grid.
    """
    interval, chosen = found.interval, found.chosen
    values: dict = {
        "examples": found.measure.count(found.tested),
        "measure": interval.value,
        "low": interval.low,
        "high": interval.high,
        "difference": interval.value - configured.interval.value,
        **dict.fromkeys(PAIRED),
        "C": [one["C"] for one in chosen],
        "at_end": any(one["at_end"] for one in chosen),
    }
    if found.measure.definition != configured.measure.definition:
        return values
    if found is configured:
        return values | dict(zip(PAIRED, (0.0, 0.0, 1.0), strict=True))
    paired = found.measure.difference([found.tested], [configured.tested])
    return values | {
        "difference": paired.difference,
        **dict(zip(PAIRED, (paired.low, paired.high, paired.p), strict=True)),
    }


def write_features(path: str, compared: Mapping) -> None:
    """Write what `compared_features` found as CSV, a line for each value of each choice."""
    lines = [
        {
            "choice": choice["choice"],
            "row": choice["row"],
            "metric": choice["metric"],
            **value,
            "C": " ".join(map(str, value["C"])),
        }
        for choice in compared["choices"]
        for value in choice["values"]
    ]
    write_plain_csv(path, lines, list(lines[0]))


def features_as_text(compared: Mapping) -> str:
    """The result of `compared_features` as an aligned text table."""
    lines = [["choice", "value", "row", "metric", "measure", "change", "p", "C"]]
    for choice in compared["choices"]:
        for value in choice["values"]:
            first = value["configured"]
            lines.append(
                [
                    choice["choice"] if first else "",
                    value["value"] + (" *" if first else ""),
                    choice["row"] if first else "",
                    choice["metric"] if first else "",
                    f"{value['measure']:.2f} [{value['low']:.2f}, {value['high']:.2f}]",
                    *_change(value),
                    ", ".join(f"{C:g}" for C in value["C"]),
                ]
            )
    return aligned(lines, left=4)


def _change(value: Mapping) -> list[str]:
    if value["configured"]:
        return ["", ""]
    if value["p"] is None:
        return [f"{value['difference']:+.2f}", ""]
    return [with_interval(value, "difference", signed=True), probability(value["p"])]
