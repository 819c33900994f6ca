"""One cell of each table in float32 as well, where a run evaluates in less."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..settings.experiments import check_row, evaluations, is_measured
from ..settings.test_time_choices import results_of
from .predictions import predictions
from .uncertainty import wilson

SPLIT = "val"
SHARE = 0.1  # of the interval's half width, which predictions that differ should not exceed


def check(row: dict, results: str, precision: str) -> dict:
    """A row's errors on the validation set in the run's precision and in float32, in percent.

    changed: images whose top-1 class is another. allowed: as many as SHARE of half the 95% interval
    of the top-1 error.
    """
    own = evaluations(row["evaluations"])
    folders = (results, results_of(results, "precision", "float32", precision))
    ours, exact = (predictions([e.path(folder, SPLIT) for e in own]) for folder in folders)
    images = len(exact.ids)
    low, high = wilson(int((exact.rank >= 1).sum()), images)
    changed = int((ours.classes[:, 0] != exact.classes[:, 0]).sum())
    allowed = SHARE * (high - low) / 2 / 100 * images
    return {
        "row": row["name"],
        "labels": row["labels"],
        "precision": precision,
        "images": images,
        **{
            f"top{k}_error{suffix}": 100 * float((found.rank >= k).mean())
            for suffix, found in (("", ours), ("_float32", exact))
            for k in (1, 5)
        },
        "changed": changed,
        "allowed": allowed,
        "within": changed <= allowed,
    }


def check_note(checked: dict) -> str:
    """A table's note on its check."""
    errors = " and ".join(
        f"{checked[f'top{k}_error_float32']:.2f}% top-{k} "
        f"({checked[f'top{k}_error']:.2f}% in {checked['precision']})"
        for k in (1, 5)
    )
    bound = f"a tenth of the 95% interval's half width, {checked['allowed']:.1f} answers"
    return (
        f"Check: {' · '.join(checked['labels'])}, once more in float32, errs on {errors}. "
        f"{checked['changed']} of {checked['images']:,} answers differ, "
        + (
            f"which is within {bound}."
            if checked["within"]
            else f"more than {bound}: set evaluate.precision to float32."
        )
    )


def elsewhere_note(name: str, tables: Mapping[str, dict]) -> str | None:
    """The note of a table without a check, if each of its rows stands in one that has a check."""

    def cells(table: dict) -> Collection[frozenset]:
        return [frozenset(evaluations(row["evaluations"])) for row in table["rows"]]

    found: dict[str, None] = {}
    for own in cells(tables[name]):
        place = next(
            (
                other
                for other, table in tables.items()
                if other != name and is_measured(table) and check_row(table) and own in cells(table)
            ),
            None,
        )
        if place is None:
            return None
        found[place] = None
    return f"Every row is one of {' or '.join(found)}, where one is evaluated in float32 too."
