"""Errors under each alternative of the test-time choices, compared with the configured ones'."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..core.text_artefacts import write_json, write_plain_csv
from ..settings import test_time_choices
from .predictions import Predictions, predictions
from .uncertainty import paired_difference, wilson

SPLIT = "val"
METRICS = {"top1": 1, "top5": 5}  # how many classes are looked at for the true one
COLUMNS = ["choice", "row", "models", "method", "Q", "value", "configured", "images"]
COLUMNS += [
    f"{metric}_{key}"
    for metric in METRICS
    for key in ("error", "low", "high", "difference", "difference_low", "difference_high", "p")
]
COLUMNS += ["changed_class", "changed_outcome"]


def compared_choices(
    results: str,
    tables: dict,
    models: Collection[str] | None,
    schema: dict,
    configured: Mapping[str, str],
    seed: int,
) -> list[dict]:
    """Each choice that can be measured, with the fields of `compare` for each of its values.

    models: that the run has, None for all. schema: of the whole configuration. configured: its
    choices. seed: of the bootstrap.
    """
    compared = []
    for choice, own in test_time_choices.measurable(tables, models).items():
        value_of_run, of_run, rows = configured[choice], None, []
        for value in test_time_choices.values(schema, choice, value_of_run):
            folder = test_time_choices.results_of(results, choice, value, value_of_run)
            found = predictions([evaluation.path(folder, SPLIT) for evaluation in own])
            of_run = of_run or found
            rows.append(
                {
                    "value": value,
                    "configured": value == value_of_run,
                    **compare(found, of_run, seed),
                }
            )
        compared.append(
            {
                "choice": choice,
                "row": test_time_choices.MEASURED_BY[choice],
                "models": sorted({evaluation.model for evaluation in own}),
                "method": " & ".join(dict.fromkeys(evaluation.method for evaluation in own)),
                "Q": sorted({evaluation.Q for evaluation in own}),
                "values": rows,
            }
        )
    return compared


def compare(found: Predictions, configured: Predictions, seed: int) -> dict:
    """Errors with Wilson's 95% interval in percent, and what differs from the configured value's.

    For each of top1 and top5: paired difference in points with its bootstrap interval, p of the
    exact McNemar test. changed_class, changed_outcome: images whose top-1 class is another, and
    whose top-1 class turned from right to wrong or back.
    """
    values: dict[str, float] = {"images": len(found.ids)}
    for metric, first in METRICS.items():
        wrong, configured_wrong = found.rank >= first, configured.rank >= first
        low, high = wilson(int(wrong.sum()), len(wrong))
        difference = paired_difference(wrong, configured_wrong, seed)
        values |= {
            f"{metric}_error": 100 * float(wrong.mean()),
            f"{metric}_low": low,
            f"{metric}_high": high,
            f"{metric}_difference": difference.difference,
            f"{metric}_difference_low": difference.low,
            f"{metric}_difference_high": difference.high,
            f"{metric}_p": difference.p,
        }
    return values | {
        "changed_class": int((found.classes[:, 0] != configured.classes[:, 0]).sum()),
        "changed_outcome": int(((found.rank >= 1) != (configured.rank >= 1)).sum()),
    }


def write_comparison(
    output: str,
    results: str,
    compared: Sequence[dict],
    localised: Mapping | None = None,
    features: Mapping | None = None,
) -> None:
    """Write `<output>.json`, and `<output>.csv` with a line for each value of each choice.

    localised, features: what `compared_localisation` and `compared_features` found, for
    `localisation` and `features` in the JSON.
    """
    content = {"experiment": Path(results).name, "split": SPLIT, "choices": list(compared)}
    write_json(f"{output}.json", {**content, "localisation": localised, "features": features})
    lines = [
        {
            "choice": choice["choice"],
            "row": choice["row"],
            "models": " ".join(choice["models"]),
            "method": choice["method"],
            "Q": " ".join(map(str, choice["Q"])),
            **value,
        }
        for choice in compared
        for value in choice["values"]
    ]
    write_plain_csv(f"{output}.csv", lines, COLUMNS)


def as_text(compared: Sequence[dict]) -> str:
    """The result of `compared_choices` as an aligned text table."""
    heads = ["choice", "value", "method", "top-1 error", "change", "p", "top-5", "change"]
    lines = [[*heads, "class", "outcome"]]
    for choice in compared:
        for value in choice["values"]:
            first = value["configured"]
            lines.append(
                [
                    choice["choice"] if first else "",
                    value["value"] + (" *" if first else ""),
                    choice["method"] if first else "",
                    with_interval(value, "top1"),
                    *_change(value),
                ]
            )
    return aligned(lines, left=3)


def aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    """Lines of as many cells each as a text table; the first `left` columns are words."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if place < left else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def with_interval(value: Mapping, name: str, signed: bool = False) -> str:
    """An error, or with a sign a difference, and its interval, by the fields of a value.

    name: of the metric, whose error it is; or of its difference.
    """
    middle = value[name if signed else f"{name}_error"]
    sign = "+" if signed else ""
    low, high = (f"{value[f'{name}_{end}']:{sign}.2f}" for end in ("low", "high"))
    return f"{middle:{sign}.2f} [{low}, {high}]"


def probability(p: float) -> str:
    """A p value to three digits."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _change(value: dict) -> list[str]:
    top5 = f"{value['top5_error']:.2f}"
    if value["configured"]:
        return ["", "", top5, "", "", ""]
    return [
        with_interval(value, "top1_difference", signed=True),
        probability(value["top1_p"]),
        top5,
        f"{value['top5_difference']:+.2f}",
        str(value["changed_class"]),
        str(value["changed_outcome"]),
    ]
