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


def write_comparison(output: str, results: str, compared: Sequence[dict]) -> None:
    """Write `<output>.json`, and `<output>.csv` with a line for each value of each choice."""
    write_json(
        f"{output}.json",
        {"experiment": Path(results).name, "split": SPLIT, "choices": list(compared)},
    )
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
    write_plain_csv(f"{output}.csv", lines, list(lines[0]))


def as_text(compared: Sequence[dict]) -> str:
    """The result of `compared_choices` as an aligned text table."""
    heads = ["choice", "value", "method", "top-1 error", "change", "p", "top-5", "change"]
    lines = [[*heads, "class", "outcome"]]
    for choice in compared:
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
