"""Compare the errors under each alternative of the test-time choices with the configured ones'."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.evaluation.posteriors import mean_posteriors, rank_of_class
from workflow_scripts.vgg.results.uncertainty import paired_difference, wilson
from workflow_scripts.vgg.settings import test_time_choices
from workflow_scripts.vgg.settings.configuration import read_valid
from workflow_scripts.vgg.settings.experiments import read_tables, read_yaml

SPLIT = "val"


@dataclass(frozen=True)
class Answers:
    """What the mean of some posteriors says of each image, in id order.

    top_class: int [images], the class of the highest posterior. wrong: bool [images] for "top1" and
    "top5".
    """

    top_class: np.ndarray
    wrong: dict[str, np.ndarray]


def answers(paths: Sequence[str | Path]) -> Answers:
    """Answers of the mean of several files' posteriors, whose images have labels."""
    top_class, rank = [], []
    for _, labels, posteriors in mean_posteriors(paths):
        top_class.append(posteriors.argmax(1))
        rank.append(rank_of_class(posteriors, labels))
    ranks = np.concatenate(rank)
    return Answers(np.concatenate(top_class), {"top1": ranks >= 1, "top5": ranks >= 5})


def compare(found: Answers, configured: Answers, seed: int) -> dict:
    """Errors with Wilson's 95% interval in percent, and what differs from the configured answers.

    For each of top1 and top5: paired difference in points with its bootstrap interval, p of the
    exact McNemar test. changed_class, changed_outcome: images whose top-1 class is another, and
    whose top-1 answer turned from right to wrong or back.
    """
    values = {"images": len(found.top_class)}
    for metric, wrong in found.wrong.items():
        low, high = wilson(int(wrong.sum()), len(wrong))
        difference = paired_difference(wrong, configured.wrong[metric], seed)
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
        "changed_class": int((found.top_class != configured.top_class).sum()),
        "changed_outcome": int((found.wrong["top1"] != configured.wrong["top1"]).sum()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--config", required=True, help="the run's resolved configuration")
    parser.add_argument("--schema", default="config/schemas/config.schema.yaml")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--models", nargs="*", help="that the run has; all if not given")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)
    schema, configuration = read_yaml(given.schema), read_valid("config", given.config)["choices"]

    compared = []
    for choice, own in test_time_choices.measurable(
        read_tables(given.tables), given.models
    ).items():
        configured, rows = None, []
        for value in test_time_choices.values(schema, choice, configuration[choice]):
            folder = test_time_choices.results_of(
                given.results, choice, value, configuration[choice]
            )
            found = answers([evaluation.path(folder, SPLIT) for evaluation in own])
            configured = configured or found
            rows.append(
                {
                    "value": value,
                    "configured": value == configuration[choice],
                    **compare(found, configured, given.seed),
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
    if not compared:
        raise InputError("no row of the tables that measures a choice has its models in this run")
    write_json(
        f"{given.output}.json",
        {"experiment": Path(given.results).name, "split": SPLIT, "choices": compared},
    )
    write_csv(f"{given.output}.csv", compared)
    print(test_time_choices.printed(compared))


def write_csv(path: str, compared: list[dict]) -> None:
    """One line a value: its choice and evaluations, then the fields of `compare`."""
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
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
