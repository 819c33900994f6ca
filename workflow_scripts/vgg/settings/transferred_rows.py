"""Features for other data sets in the configurations (appendix B): rows, and what is behind them.

Light on imports: Snakemake reads this at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..core.files import InputError
from .entry_errors import EntryError

MAP, VALIDATION_MAP, RECALL = "map", "mapval", "recall"  # kinds of measures, higher is better
ORGANISED = ("voc", "actions")  # kinds of data sets whose parts the organisers have drawn
MISSPELT = 0.9  # as alike to another name, by difflib: caltec101 is 0.95


@dataclass(frozen=True)
class Description:
    """One pass of a net over a data set: of "image", whole images, or "box", persons' boxes, at Q.

    weights: "trained", or "random" for a net that has learned nothing.
    """

    model: str
    region: str
    Q: int
    weights: str = "trained"

    def path(self, results: str | Path, data_set: str) -> str:
        """Where its descriptors are, below the experiment's results."""
        net = self.model if self.weights == "trained" else f"{self.model}.random"
        return f"{results}/descriptors/{data_set}/{net}/{self.region}_Q{self.Q}.parquet"


@dataclass(frozen=True)
class Transferred:
    """The classifiers of a row, a file of scores for each data set. models: the nets behind it."""

    row: str
    models: tuple[str, ...]

    def path(self, results: str | Path, data_set: str) -> str:
        """Where their scores are, below the experiment's results."""
        return f"{results}/classifiers/{data_set}/{self.row}.parquet"


def measure_of(metric: str) -> tuple[str, str]:
    """The kind of a metric, and the data set that it is of: map_voc2007 is ("map", "voc2007")."""
    kind, _, data_set = metric.partition("_")
    return kind, data_set


def is_transferred(table: Mapping) -> bool:
    """True if a table's rows come from classifiers of descriptors."""
    kinds = {measure_of(metric)[0] for metric in table.get("metrics", [])}
    return bool(kinds & {MAP, VALIDATION_MAP, RECALL})


def transferred(row: Mapping) -> Transferred:
    """The classifiers of a row."""
    return Transferred(row["name"], tuple(row["descriptors"]["models"]))


def scales_of(row: Mapping, data_set: Mapping) -> list[int]:
    """The test scales of a row on a data set: its own, or the data set's."""
    return row["descriptors"].get("Q", data_set["Q"])


def scale_pooling(row: Mapping, data_set: Mapping) -> str:
    """How a row puts scales together on a data set: "mean", "max" or "stack"."""
    return row["descriptors"].get("scale_pooling", data_set["scale_pooling"])


def descriptions(row: Mapping, data_set: Mapping) -> list[Description]:
    """The passes behind a row on a data set: by net, then by region, then by Q."""
    wanted = row["descriptors"]
    return [
        Description(model, region, Q, wanted.get("weights", "trained"))
        for model in wanted["models"]
        for region in wanted.get("regions", ["image"])
        for Q in scales_of(row, data_set)
    ]


def data_sets_of(table: Mapping) -> list[str]:
    """The data sets that a table's metrics are of, each once."""
    return list(dict.fromkeys(measure_of(metric)[1] for metric in table["metrics"]))


def transferred_rows(tables: Mapping[str, dict]) -> dict[str, dict]:
    """All rows of classifiers by their names.

    Raises InputError if two that differ have one name, which is that of their files.
    """
    found: dict[str, dict] = {}
    for name, table in tables.items():
        for row in table["rows"] if is_transferred(table) else []:
            if found.setdefault(row["name"], row)["descriptors"] != row["descriptors"]:
                raise EntryError(
                    "tables",
                    name,
                    f"{name}: row {row['name']} has other descriptors than the row of that name in "
                    "another table of features; rename one",
                )
    return found


def classified_sets(tables: Mapping[str, dict], row: str) -> list[str]:
    """The data sets that a row of classifiers is measured on, in any table."""
    found: dict[str, None] = {}
    for table in tables.values():
        if is_transferred(table) and any(own["name"] == row for own in table["rows"]):
            found |= dict.fromkeys(data_sets_of(table))
    return list(found)


def check_transferred(
    tables: Mapping[str, dict], models: Mapping[str, dict], data_sets: Mapping[str, dict | None]
) -> None:
    """Raise InputError for rows, metrics and data sets of features that do not fit together.

    data_sets: the configuration's `transfer`; None stands for one that the run leaves out.
    """
    server_files(tables, data_sets)  # no two of one name
    _check_left_out(tables, data_sets)
    rows = [row for table in tables.values() for row in table.get("rows", [])]
    of_features = {row.get("submission") for row in rows if "descriptors" in row} - {None}
    for name in [row.get("submission") for row in rows if "descriptors" not in row]:
        if name in of_features:
            raise EntryError(
                "tables",
                name,
                f"submission {name} is of features and of labels or boxes; rename one of them",
            )
    for name, row in transferred_rows(tables).items():
        for model in row["descriptors"]["models"]:
            if model not in models:
                text = f"row {name}: {model} is not in"
                raise EntryError("tables", name, text, lacks="models")
            if models[model].get("head", "classes") != "classes":
                raise EntryError(
                    "tables",
                    name,
                    f"row {name}: {model} predicts boxes; name a classifier, whose activations "
                    "describe images",
                )
    for name, table in tables.items():
        for metric in table["metrics"] if is_transferred(table) else []:
            kind, data_set = measure_of(metric)
            if data_set not in data_sets:
                raise EntryError(
                    "tables",
                    name,
                    f"{name}: {metric} is of {data_set}, which `transfer` of the configuration "
                    "lacks; add it there, or null to leave it out",
                )
            if (entry := data_sets[data_set]) is None:
                continue
            if (kind == RECALL) == (entry["kind"] in ORGANISED):
                right = "map" if kind == RECALL else "recall"
                raise EntryError(
                    "tables",
                    name,
                    f"{name}: {metric}: {data_set} is of kind {entry['kind']}, which is measured "
                    f"by {right}_{data_set}",
                )
            regions = {r for row in table["rows"] for r in row["descriptors"].get("regions", [])}
            if "box" in regions and entry["kind"] != "actions":
                raise EntryError(
                    "tables",
                    name,
                    f"{name}: a row describes boxes, but {data_set} is of kind {entry['kind']}, "
                    "which has none; leave out regions",
                )


def _check_left_out(tables: Mapping[str, dict], data_sets: Mapping[str, dict | None]) -> None:
    """Raise InputError if the name of a data set that is left out is misspelt.

    Names that are far from all others may be of sets that the tables of this run do not have.
    """
    measured = {
        name for own in tables.values() if is_transferred(own) for name in data_sets_of(own)
    }
    kept = [name for name, entry in data_sets.items() if entry is not None]
    for name, entry in data_sets.items():
        if (
            entry is None
            and name not in measured
            and (guess := get_close_matches(name, kept, 1, MISSPELT))
        ):
            raise InputError(
                f"transfer.data_sets.{name}: there is no such data set to leave out; did you mean "
                f"{guess[0]}?"
            )


def server_files(
    tables: Mapping[str, dict],
    data_sets: Mapping[str, dict | None],
    models: Collection[str] | None = None,
) -> dict[str, tuple[str, Transferred]]:
    """The files for the organisers' server by name: the data set and the row of each.

    models: those that the run has, None for all. Raises InputError if two rows that differ share a
    name.
    """
    found: dict[str, tuple[str, Transferred]] = {}
    for table in tables.values():
        for row in table["rows"] if is_transferred(table) else []:
            for data_set in data_sets_of(table) if "submission" in row else []:
                entry = data_sets.get(data_set)
                if entry is None or entry.get("test") != "withheld":
                    continue
                name, own = f"{row['submission']}_{data_set}", (data_set, transferred(row))
                if found.setdefault(name, own) != own:
                    raise EntryError(
                        "tables",
                        row["submission"],
                        "two rows of other descriptors are both called submission "
                        f"{row['submission']}",
                    )
    return {
        name: own
        for name, own in found.items()
        if models is None or set(own[1].models) <= set(models)
    }


def answered_metrics(tables: Mapping[str, dict]) -> dict[str, list[str]]:
    """What the server can tell of each submission: the metrics of test sets, by submission."""
    found: dict[str, list[str]] = {}
    for table in tables.values():
        for row in table["rows"] if is_transferred(table) else []:
            if "submission" in row:
                known = [m for m in table["metrics"] if measure_of(m)[0] == MAP]
                found.setdefault(row["submission"], []).extend(known)
    return found
