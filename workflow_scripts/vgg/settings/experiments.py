"""The contents of models.yaml, tables.yaml and claims.yaml, for the rules and the commands.

Light on imports: Snakemake reads this at every start, and in every job on a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from ..core.files import InputError
from .entry_errors import EntryError
from .localised_rows import Guessed, box_submissions, check_classified, guessed, is_localised
from .transferred_rows import (
    Transferred,
    answered_metrics,
    descriptions,
    is_transferred,
    measure_of,
    scale_pooling,
    scales_of,
    transferred,
)

SIDES = ("candidate", "baseline")  # of a claim's comparison
# Entries of `train.stages`, by what a model inherits from its parent
STAGES = {
    None: "scratch",
    "layers-of-A": "transferred",
    "all": "fine_tuned",
    "all-but-last": "box",
}


@dataclass(frozen=True)
class Evaluation:
    """One pass of a model over a split by "dense", "multicrop" or "center", at test scale Q."""

    model: str
    method: str
    Q: int

    @property
    def models(self) -> tuple[str, ...]:
        """The nets behind it: one."""
        return (self.model,)

    def path(self, results: str | Path, split: str) -> str:
        """Where its posteriors are, below the experiment's results."""
        return f"{results}/posteriors/{split}/{self.model}/{self.method}_Q{self.Q}.parquet"


# What a number comes from: posteriors, guesses of localisation, or classifiers of features.
Measured = Evaluation | Guessed | Transferred


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file. Raises InputError if it cannot be read or is malformed."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; save it as such, or as ASCII") from error
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-11-31
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        reason = getattr(error, "problem", None) or error
        raise InputError(f"{where}: not valid YAML: {reason}") from error


def files_of(given: str | Sequence[str]) -> list[str]:
    """The files that a configuration names, by one path or by a list of them."""
    return [given] if isinstance(given, str) else list(given)


def read_tables(paths: Sequence[str | Path]) -> dict:
    """The tables of several files, in order. Raises InputError if two have the same name."""
    return _joined([(path, read_yaml(path) or {}) for path in paths], "table")


def read_models(paths: Sequence[str | Path]) -> dict[str, dict]:
    """The `convnets` and `models` of several files, in order; a further file may lack one of them.

    Raises InputError if two of either have the same name.
    """
    contents = [(path, read_yaml(path)) for path in paths]
    found = {
        key: _joined([(path, content.get(key) or {}) for path, content in contents], what)
        for key, what in (("convnets", "net"), ("models", "model"))
    }
    # Layers of several lines are one.
    found["convnets"] = {net: " ".join(own.split()) for net, own in found["convnets"].items()}
    return found


def read_claims(paths: Sequence[str | Path]) -> list[dict]:
    """The claims of several files, in order; those of all but the first are marked `own`.

    Raises InputError if two have the same number.
    """
    claims: list[dict] = []
    for path in paths:
        for claim in read_yaml(path):
            if claim["number"] in [known["number"] for known in claims]:
                raise InputError(f"{path}: there is a claim {claim['number']} already; renumber it")
            claims.append(claim | {"own": True} if path != paths[0] else claim)
    return claims


def _joined(parts: Sequence[tuple[str | Path, Mapping]], what: str) -> dict:
    """The entries of (file, mapping) in order. Raises InputError if two have the same name."""
    found: dict[str, Any] = {}
    origin: dict[str, str | Path] = {}
    for path, entries in parts:
        for name, entry in entries.items():
            if name in found:
                raise InputError(f"{path}: {origin[name]} has a {what} {name} already; rename one")
            found[name], origin[name] = entry, path
    return found


def read_answers(path: str | Path) -> dict[str, dict]:
    """The test server's answers, entered by hand: submission name → errors in percent, date.

    A file of comments alone is empty. Dates are given as text: YAML reads 2026-11-24 as a date.
    Raises InputError if the file is missing or malformed.
    """
    answers = read_yaml(path) or {}
    if not isinstance(answers, dict) or not all(isinstance(a, dict) for a in answers.values()):
        raise InputError(f"{path}: expected <submission>: {{top5_test: …, date: …}}")
    return {
        name: {k: v.isoformat() if isinstance(v, date) else v for k, v in answer.items()}
        for name, answer in answers.items()
    }


def check_answers(answers: Mapping, tables: dict) -> None:
    """Raise InputError for an answer to a submission that no row of the tables names."""
    needed = {
        **{name: ["top5_test"] for name in submissions(tables)},
        **{name: ["top5loc_test"] for name in box_submissions(tables)},
        **answered_metrics(tables),
    }
    for name, answer in answers.items():
        if name not in needed:
            raise InputError(
                f"server answers: no row has a submission {name}; there are {', '.join(needed)}"
            )
        if not set(needed[name]) & set(answer):
            metrics = " or ".join(needed[name])
            raise InputError(f"server answers: {name}: {metrics} is what the server tells of it")


def scale_range(S: int | list[int]) -> list[int]:
    """Smallest and largest S of a training; equal if S is fixed."""
    return S if isinstance(S, list) else [S, S]


def scale_name(S: int | list[int]) -> str:
    """S in file names: "256", or "256-512" if jittered."""
    return "-".join(map(str, S)) if isinstance(S, list) else str(S)


def evaluations(entries: list[dict]) -> list[Evaluation]:
    """The evaluations of a row: one for each Q of each entry."""
    return [Evaluation(entry["model"], entry["method"], Q) for entry in entries for Q in entry["Q"]]


def seed_folder(results: str | Path, seed: int, seeds: Sequence[int]) -> str:
    """Where a seed's weights, histories and posteriors are: the first's in the results' own."""
    return str(results) if seed == seeds[0] else f"{results}/seed{seed}"


def seeded_paths(
    own: Sequence[Measured],
    results: str | Path,
    split: str,
    seeds: Sequence[int] = (0,),
    imported: Collection[str] = (),
) -> list[list[str]]:
    """The files of a set of evaluations, or of guesses, one list for each seed of the trainings.

    split: or data set, of classifiers. imported: models whose weights are files and have no seed.
    Of these alone there is one list; a mean of theirs and trained models' takes theirs again for
    each seed.
    """
    without_seed = [set(evaluation.models) <= set(imported) for evaluation in own]
    if all(without_seed):
        seeds = seeds[:1]
    return [
        [
            evaluation.path(seed_folder(results, seeds[0] if is_without else seed, seeds), split)
            for evaluation, is_without in zip(own, without_seed, strict=True)
        ]
        for seed in seeds
    ]


def has_models(own: Sequence[Measured], models: Collection[str] | None) -> bool:
    """True if `models`, those that a run has, suffice for evaluations; None stands for all."""
    return models is None or all(set(evaluation.models) <= set(models) for evaluation in own)


def is_measured(table: dict) -> bool:
    """True if a table's rows come from posteriors, not from guesses, features or the nets."""
    return "rows" in table and not is_localised(table) and not is_transferred(table)


def row_evaluations(row: dict) -> list[Measured]:
    """What a row of any table of numbers is measured by: evaluations, guesses, or classifiers."""
    if "evaluations" in row:
        return [*evaluations(row["evaluations"])]
    return [transferred(row)] if "descriptors" in row else [guessed(row)]


def splits_of(table: dict) -> list[str]:
    """The splits that a table's metrics need, e.g. ["val", "test"]."""
    return list(dict.fromkeys(metric.split("_")[1] for metric in table["metrics"]))


def table_evaluations(table: dict, models: Collection[str] | None = None) -> list[Evaluation]:
    """All evaluations that a table averages, each once.

    models: those that the run has; rows that need others are left out. None stands for all.
    """
    rows = (evaluations(row["evaluations"]) for row in table["rows"])
    return list(dict.fromkeys(e for own in rows if has_models(own, models) for e in own))


def check_row(table: dict, models: Collection[str] | None = None) -> dict | None:
    """The row of a table that is evaluated in float32 as well, where a run evaluates in less.

    That of its `check`, or the first that the run has; None if the table says that there is none.
    models: as for `table_evaluations`.
    """
    if "check" in table and table["check"] is None:
        return None
    rows = sorted(table["rows"], key=lambda row: row["name"] != table.get("check"))
    return next((r for r in rows if has_models(evaluations(r["evaluations"]), models)), None)


def checked_evaluations(table: dict, models: Collection[str] | None = None) -> list[Evaluation]:
    """The evaluations of the row that is checked; none if there is no such row."""
    row = check_row(table, models)
    return evaluations(row["evaluations"]) if row else []


def all_checked(tables: dict, models: Collection[str] | None = None) -> list[Evaluation]:
    """The evaluations that are done in float32 as well, of all tables, each once."""
    measured = [table for table in tables.values() if is_measured(table)]
    return list(dict.fromkeys(e for table in measured for e in checked_evaluations(table, models)))


def submissions(tables: dict, models: Collection[str] | None = None) -> dict[str, list[Evaluation]]:
    """The rows whose test-set answers are written for the test server, by file name.

    models: as for `table_evaluations`. Raises InputError if two rows that differ share a name.
    """
    found: dict[str, list[Evaluation]] = {}
    for table in tables.values():
        for row in table["rows"] if is_measured(table) else []:
            if "submission" not in row:
                continue
            own = evaluations(row["evaluations"])
            if set(found.setdefault(row["submission"], own)) != set(own):
                raise EntryError(
                    "tables",
                    row["submission"],
                    "two rows with different evaluations are both called submission "
                    f"{row['submission']}",
                )
    return {name: own for name, own in found.items() if has_models(own, models)}


def find_row(reference: str, tables: dict) -> dict:
    """The row `<table>/<name>` of tables.yaml, with its place as `index`. Raises InputError."""
    table, _, name = reference.partition("/")
    for index, row in enumerate(tables.get(table, {}).get("rows", [])):
        if row["name"] == name:
            return {**row, "index": index}
    text, cure = f"{reference} is no row of", "; expected <table>/<name>"
    raise EntryError("claims", reference, text, lacks="tables", cure=cure)


def side_evaluations(side: str | list[dict], tables: dict) -> list[Measured]:
    """The evaluations, guesses or classifiers of one side of a claim's comparison."""
    return row_evaluations(
        find_row(side, tables) if isinstance(side, str) else {"evaluations": side}
    )


def claim_evaluations(
    claims: list[dict], tables: dict, models: Collection[str] | None = None
) -> list[Measured]:
    """All evaluations, guesses and classifiers that the claims compare, each once.

    models: those that the run has; comparisons that need others are left out.
    """
    comparisons = (
        [e for side in SIDES for e in side_evaluations(comparison[side], tables)]
        for claim in claims
        for comparison in claim["comparisons"]
    )
    return list(dict.fromkeys(e for own in comparisons if has_models(own, models) for e in own))


def all_evaluations(
    tables: dict,
    claims: list[dict],
    models: Collection[str] | None,
    splits: Collection[str],
    submitted: Collection[str],
) -> list[tuple[str, Evaluation]]:
    """The split and evaluation of everything that tables, claims and submissions need, each once.

    models: as for `table_evaluations`. splits: that have labels. submitted: names of submissions.
    """
    measured = [table for table in tables.values() if is_measured(table)]
    needed = [
        *((split, e) for table in measured for split in splits_of(table) if split in splits
          for e in table_evaluations(table, models)),
        *(("val", e) for e in claim_evaluations(claims, tables, models)
          if isinstance(e, Evaluation)),
        *(("test", e) for name, own in submissions(tables, models).items() if name in submitted
          for e in own),
    ]  # fmt: skip
    return list(dict.fromkeys(needed))


def at_several_scales(own: Iterable) -> list[str]:
    """The models, in order, that one method tested at more than one scale.

    own: anything with `model`, `method` and `Q`.
    """
    scales: dict[tuple[str, str], set[int]] = {}
    for evaluation in own:
        scales.setdefault((evaluation.model, evaluation.method), set()).add(evaluation.Q)
    return list(dict.fromkeys(model for (model, _), own in scales.items() if len(own) > 1))


def check_references(
    nets: dict, models: dict, tables: dict, claims: list[dict], imported: Collection[str] = ()
) -> None:
    """Raise InputError for a model, net or row that is named but not defined, or a circle.

    imported: the models that `weights.import` names.
    """
    for name in imported:
        if name not in models:
            raise EntryError("weights.import", name, f"{name} is not in", lacks="models")
    for name in models:
        _check_ancestors(name, models)
    for name, table in tables.items():
        for evaluation in table_evaluations(table) if is_measured(table) else []:
            check_classified("tables", name, evaluation.model, models)
        for net in table.get("nets", []):
            if net not in nets:
                text = f"{name} names net {net}, which is not in"
                raise EntryError("tables", name, text, lacks="models")
    for claim in claims:
        for comparison in claim["comparisons"]:
            _check_comparison(claim["number"], comparison, models, tables)


def _check_comparison(number: int, comparison: dict, models: dict, tables: dict) -> None:
    """Raise InputError for a comparison of a claim that has no answer."""
    candidate, baseline = (side_evaluations(comparison[side], tables) for side in SIDES)
    for own in [*candidate, *baseline]:
        if isinstance(own, Evaluation):
            check_classified("claims", number, own.model, models)
    kinds = {type(own) for own in [*candidate, *baseline]}
    compared = f"{comparison['candidate']} and {comparison['baseline']}"
    if len(kinds) > 1:
        both = " with ".join(sorted(map(_named, kinds)))
        text = f"{number} compares {both}: {compared}; give two rows of one"
        raise EntryError("claims", number, text)
    if set(candidate) == set(baseline):
        text = f"{number} compares the same with itself: {compared}; give two rows that differ"
        raise EntryError("claims", number, text)
    _check_metric(number, comparison, tables, of_features=kinds == {Transferred})


def _named(kind: type) -> str:
    """What claims about one of the `Measured` are about."""
    names = {Evaluation: "classification", Guessed: "localisation"}
    return names.get(kind, "features of other data sets")


def _check_metric(number: int, comparison: dict, tables: dict, of_features: bool) -> None:
    """Raise InputError unless a comparison of features, and no other, names a metric of both."""
    where = f"{number}: {comparison['candidate']} and {comparison['baseline']}"
    metric, expect = comparison.get("metric"), comparison["expect"]
    if not of_features:
        if metric or expect == "higher":
            raise EntryError(
                "claims",
                number,
                f"{where}: metric and expect: higher are of features of other data sets; errors "
                "are compared by lower_error",
            )
        return
    shown = [tables[comparison[side].partition("/")[0]]["metrics"] for side in SIDES]
    if metric is None or not all(metric in metrics for metrics in shown):
        both = [name for name in shown[0] if name in shown[1]]
        text = f"{where}: `metric` is to be one that both tables have: {', '.join(both)}"
        raise EntryError("claims", number, text)
    if expect == "lower_error":
        text = f"{where}: {metric} is better the higher it is; write expect: higher"
        raise EntryError("claims", number, text)


def has_same_descriptors(comparison: dict, tables: dict, data_sets: Mapping[str, Any]) -> bool:
    """True if both sides of a comparison of features are the same on the data set: nothing to test.

    data_sets: the configuration's.
    """
    entry = data_sets[measure_of(comparison["metric"])[1]]
    rows = [find_row(comparison[side], tables) for side in SIDES]
    described = [descriptions(row, entry) for row in rows]
    several = len(scales_of(rows[0], entry)) > 1
    ways = {scale_pooling(row, entry) for row in rows} if several else {""}
    return described[0] == described[1] and len(ways) == 1


def check_rows(tables: dict, paper: dict) -> None:
    """Raise InputError for rows that their table, or the paper's, has no place for.

    paper: the content of paper_tables.yaml.
    """
    for table, entry in tables.items():
        rows, columns = entry.get("rows", []), entry.get("columns", [])
        names = [row["name"] for row in rows]
        for row in rows:
            where = f"{table}: row {row['name']}"
            if len(row["labels"]) != len(columns):
                text = f"has {len(row['labels'])} labels, but the table {len(columns)} columns"
                raise EntryError("tables", table, f"{where} {text}")
            if names.count(row["name"]) > 1:
                text = f"{where} stands there twice; give each a name of its own"
                raise EntryError("tables", table, text)
        if entry.get("check") and entry["check"] not in names:
            text = f"{table}: check: {entry['check']} is no row of it"
            raise EntryError("tables", table, text)
        if (printed := entry.get("paper")) is None:
            continue
        if "rows" not in paper.get(printed, {}):
            text = f"{table}: paper_tables.yaml has no rows of {printed}"
            raise EntryError("tables", table, text)
        if len(rows) > len(paper[printed]["rows"]):
            text = f"{table} has more rows than the paper's {printed}"
            raise EntryError("tables", table, text)


def _check_ancestors(name: str, models: dict) -> None:
    seen = [name]
    while parent := models[seen[-1]].get("parent"):
        if parent not in models:
            text = f"{seen[-1]} starts from {parent}, which is not in"
            raise EntryError("models", seen[-1], text, lacks="models")
        if parent in seen:
            text = f"{' ← '.join([*seen, parent])} starts from itself"
            raise EntryError("models", seen[-1], text)
        seen.append(parent)
