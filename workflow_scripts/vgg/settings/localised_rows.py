"""Localisation in the configurations (appendix A): rows of guesses, and the boxes behind them.

Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.files import InputError
from .entry_errors import EntryError

TEST_1, TEST_2 = "gtloc", "top5loc"  # the errors: of the true class's box, and of five guesses
FIXED_BOXES = ("central", "training-mean")  # that a row may guess for every image


@dataclass(frozen=True)
class BoxEvaluation:
    """One pass of a net of boxes over a split, by "center" (test 1) or "dense" (test 2), at Q."""

    model: str
    method: str
    Q: int

    def path(self, results: str | Path, split: str) -> str:
        """Where its boxes are, below the experiment's results."""
        return f"{results}/boxes/{split}/{self.model}/{self.method}_Q{self.Q}.parquet"


@dataclass(frozen=True)
class Guessed:
    """The guesses of a row, one file a split. models: the nets of boxes behind them, if any."""

    row: str
    models: tuple[str, ...]

    def path(self, results: str | Path, split: str) -> str:
        """Where they are, below the experiment's results."""
        return f"{results}/localisation/{split}/{self.row}.parquet"


def is_localised(table: Mapping) -> bool:
    """True if a table's rows come from guesses of labels and boxes."""
    return any(metric.split("_")[0] in (TEST_1, TEST_2) for metric in table.get("metrics", []))


def boxes_of(row: Mapping) -> list[BoxEvaluation]:
    """The boxes that a row unites: one set for each Q of each entry; none of a fixed box."""
    entries = row.get("boxes", [])
    return [
        BoxEvaluation(entry["model"], entry["method"], Q) for entry in entries for Q in entry["Q"]
    ]


def guessed(row: Mapping) -> Guessed:
    """The guesses of a row."""
    return Guessed(row["name"], tuple(dict.fromkeys(own.model for own in boxes_of(row))))


def is_of_true_class(row: Mapping) -> bool:
    """True if a row has one guess, the true class's (test 1), not one for each of five classes."""
    if "fixed_box" in row:
        return row["fixed_box"]["labels"] == "true-class"
    return all(own.method == "center" for own in boxes_of(row))


def error_of(row: Mapping) -> str:
    """The kind of error that a row has: TEST_1 or TEST_2."""
    return TEST_1 if is_of_true_class(row) else TEST_2


def localised_rows(tables: Mapping[str, dict]) -> dict[str, dict]:
    """All rows of guesses by their names.

    Raises InputError if two that differ have one name, which is that of their files.
    """
    found: dict[str, dict] = {}
    for name, table in tables.items():
        for row in table["rows"] if is_localised(table) else []:
            if not have_same_boxes(found.setdefault(row["name"], row), row):
                raise EntryError(
                    "tables",
                    name,
                    f"{name}: row {row['name']} is another than the row of that name in another "
                    "table of localisation; rename one",
                )
    return found


def have_same_boxes(one: Mapping, other: Mapping) -> bool:
    """True if two rows guess the same."""
    same = set(boxes_of(one)) == set(boxes_of(other))
    return same and one.get("fixed_box") == other.get("fixed_box")


def is_of_boxes(model: Mapping) -> bool:
    """True if a model of models.yaml predicts boxes."""
    return model.get("head", "classes") != "classes"


def check_localisation(tables: Mapping[str, dict], models: Mapping[str, dict], labels: str) -> None:
    """Raise InputError for rows and models of localisation that do not fit together.

    labels: the row of the tables whose five likeliest classes are boxed (`localise.labels`).
    """
    for name, model in models.items():
        if not is_of_boxes(model):
            if model.get("inherit") == "all-but-last":
                text = f"{name}: all-but-last is inherited by nets with a `head`"
                raise EntryError("models", name, text)
            if is_of_boxes(models.get(model.get("parent", ""), {})):
                raise EntryError(
                    "models",
                    name,
                    f"{name} starts from {model['parent']}, which predicts boxes; name a "
                    "classifier",
                )
            continue
        if model.get("inherit") != "all-but-last":
            raise EntryError(
                "models",
                name,
                f"{name} predicts boxes: it needs a parent, a classifier, and inherit: "
                "all-but-last",
            )
        parent = models.get(model["parent"], {})
        if is_of_boxes(parent) or parent.get("net", model["net"]) != model["net"]:
            raise EntryError(
                "models",
                name,
                f"{name} starts from {model['parent']}, which is no classifier of net "
                f"{model['net']}",
            )
    rows = localised_rows(tables)
    for name, row in rows.items():
        for own in boxes_of(row):
            if own.model not in models:
                text = f"row {name}: {own.model} is not in"
                raise EntryError("tables", name, text, lacks="models")
            if not is_of_boxes(models[own.model]):
                raise EntryError(
                    "tables",
                    name,
                    f"row {name}: {own.model} predicts classes; name a model with a `head`",
                )
        if len({own.method for own in boxes_of(row)}) > 1:
            text = f"row {name}: center and dense are two tests; give one"
            raise EntryError("tables", name, text)
        if is_of_true_class(row) and len(boxes_of(row)) > 1:
            text = f"row {name}: a central crop is of one model and one Q"
            raise EntryError("tables", name, text)
        if is_of_true_class(row) and "submission" in row:
            raise EntryError(
                "tables",
                name,
                f"row {name}: boxes of the true class cannot be submitted, since the test server "
                "keeps it; remove its submission",
            )
    for name in box_submissions(tables):
        for row in (row for table in tables.values() for row in table.get("rows", [])):
            if "evaluations" in row and row.get("submission") == name:
                raise EntryError(
                    "tables",
                    name,
                    f"submission {name} is of labels and of boxes; rename one of them",
                )
    if all(map(is_of_true_class, rows.values())):
        return
    table, _, row_name = labels.partition("/")
    named = [row for row in tables.get(table, {}).get("rows", []) if row["name"] == row_name]
    if not named or "evaluations" not in named[0]:
        raise InputError(
            f"localise.labels: {labels} is no row of posteriors in the tables; expected "
            "<table>/<name>"
        )


def check_classified(
    section: str, entry: str | int, model: str, models: Mapping[str, dict]
) -> None:
    """Raise InputError if an entry wants posteriors of a net that is not there, or has boxes."""
    if model not in models:
        raise EntryError(section, entry, f"{entry}: {model} is not in", lacks="models")
    if is_of_boxes(models[model]):
        raise EntryError(
            section,
            entry,
            f"{entry}: {model} predicts boxes, so it has no posteriors; its rows have `boxes`",
        )


def box_submissions(
    tables: Mapping[str, dict], models: Collection[str] | None = None
) -> dict[str, Guessed]:
    """The rows whose guesses are written for the test server, by file name.

    models: those that the run has, None for all. Raises InputError if two rows that differ share a
    name.
    """
    found: dict[str, dict] = {}
    for table in tables.values():
        for row in table["rows"] if is_localised(table) else []:
            if "submission" not in row:
                continue
            if not have_same_boxes(found.setdefault(row["submission"], row), row):
                raise EntryError(
                    "tables",
                    row["submission"],
                    f"two rows with different boxes are both called submission {row['submission']}",
                )
    own = {name: guessed(row) for name, row in found.items()}
    return {n: o for n, o in own.items() if models is None or set(o.models) <= set(models)}
