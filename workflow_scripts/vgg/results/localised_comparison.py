"""Localisation errors under each alternative of its test-time choices, and the configured ones'."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from ..core.declarations import choices_of
from ..core.text_artefacts import write_plain_csv
from ..localisation.outcomes import LocalisedOutcomes, localised_outcomes
from ..localisation.scoring import Scoring
from ..settings import localised_choices
from ..settings.localised_choices import SPLIT
from ..settings.localised_rows import TEST_2, boxes_of, guessed
from .choice_comparison import aligned, probability, with_interval
from .uncertainty import paired_difference, wilson

PAIRED = ("difference", "difference_low", "difference_high", "p")


def compared_localisation(
    results: str,
    tables: Mapping[str, dict],
    models: Collection[str] | None,
    schema: Mapping,
    config: Mapping,
    seed: int,
) -> dict | None:
    """The `choices`, each with the fields of `compare` for each of its values; the `row` of all.

    None if the run can measure no row. models: that the run has, None for all. schema: of the whole
    configuration, which is `config`. seed: of the bootstrap.
    """
    measured = localised_choices.measured_row(tables, models)
    if measured is None:
        return None
    name, row = measured
    scoring = Scoring(**{choice: config["choices"][choice] for choice in choices_of(Scoring)})
    truth = f"{results}/truth/{SPLIT}.parquet"
    choices = []
    for choice, stage in localised_choices.stages(schema).items():
        of_run, rows = None, []
        for value in localised_choices.values(schema, choice, config):
            folder = localised_choices.results_under(results, schema, choice, value, config)
            changed = {choice: value} if stage == "scoring" else {}
            found = localised_outcomes(
                guessed(row).path(folder, SPLIT), truth, dataclasses.replace(scoring, **changed)
            )
            configured, of_run = of_run is None, of_run or found
            rows.append(
                {
                    "value": value,
                    "configured": configured,
                    "merge_threshold": localised_choices.threshold_under(config, choice, value),
                    **compare(found, of_run, seed),
                }
            )
        choices.append({"choice": choice, "values": rows})
    boxes = [f"{own.model}/{own.method}_Q{own.Q}" for own in boxes_of(row)]
    return {"row": name, "boxes": boxes, "metric": TEST_2, "choices": choices}


def compare(found: LocalisedOutcomes, configured: LocalisedOutcomes, seed: int) -> dict:
    """The error with Wilson's 95% interval in percent, and what differs from the configured one's.

    Paired difference in points with its bootstrap interval, p of the exact McNemar test, and
    changed_outcome, the images that turned from right to wrong or back: None where other images are
    scored, so that nothing is paired.
    """
    wrong = found.wrong
    low, high = wilson(int(wrong.sum()), len(wrong))
    values: dict[str, float | None] = {
        "images": len(wrong),
        f"{TEST_2}_error": 100 * float(wrong.mean()),
        f"{TEST_2}_low": low,
        f"{TEST_2}_high": high,
        **dict.fromkeys(f"{TEST_2}_{key}" for key in PAIRED),
        "changed_outcome": None,
    }
    if found.images != configured.images:
        return values
    difference = paired_difference(wrong, configured.wrong, seed)
    paired = (difference.difference, difference.low, difference.high, difference.p)
    return values | {
        **{f"{TEST_2}_{key}": value for key, value in zip(PAIRED, paired, strict=True)},
        "changed_outcome": int((wrong != configured.wrong).sum()),
    }


def write_localised(path: str, compared: Mapping) -> None:
    """Write what `compared_localisation` found as CSV, a line for each value of each choice."""
    lines = [
        {
            "choice": choice["choice"],
            "row": compared["row"],
            "boxes": " ".join(compared["boxes"]),
            **value,
        }
        for choice in compared["choices"]
        for value in choice["values"]
    ]
    write_plain_csv(path, lines, list(lines[0]))


def localised_as_text(compared: Mapping) -> str:
    """The result of `compared_localisation` as an aligned text table."""
    lines = [["choice", "value", "images", "localisation error", "change", "p", "outcome"]]
    for choice in compared["choices"]:
        for value in choice["values"]:
            first = value["configured"]
            change = ["", "", ""]
            if value["changed_outcome"] is None:
                change = ["other images", "", ""]
            elif not first:
                change = [
                    with_interval(value, f"{TEST_2}_difference", signed=True),
                    probability(value[f"{TEST_2}_p"]),
                    str(value["changed_outcome"]),
                ]
            lines.append(
                [
                    choice["choice"] if first else "",
                    value["value"] + (" *" if first else ""),
                    str(value["images"]),
                    with_interval(value, TEST_2),
                    *change,
                ]
            )
    return aligned(lines, left=2)
