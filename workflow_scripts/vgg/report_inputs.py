"""What the report's pages are made from, read and checked for all that they show."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from .files import InputError

VERDICTS = ("reproduced", "not reproduced", "inconclusive", "unmeasured")
TABLE_KEYS = ["name", "title", "section", "experiment", "kind", "rows", "notes"]
ROW_KEYS = {
    "evaluation": ["labels", "literature", "metrics", "evaluations", "submission"],
    "configurations": ["net", "weight_layers", "paper_weight_layers", "layers", "equal_to_paper"],
    "parameters": [
        "net",
        "parameters",
        "paper_millions",
        "difference_millions",
        "parameters_this_run",
    ],
}
CELL_KEYS = ["measured", "low", "high", "errors", "images", "paper", "difference", "entered"]
EVALUATION_KEYS = [
    "model",
    "method",
    "Q",
    "split",
    "posteriors",
    "weights_sha256",
    "iterations",
    "code",
]
CLAIM_KEYS = ["number", "section", "claim", "note", "comparisons", "verdict"]
COMPARISON_KEYS = [
    "candidate",
    "baseline",
    "expect",
    "margin",
    "metric",
    "baseline_error",
    "candidate_error",
    "difference",
    "low",
    "high",
    "p",
    "images",
    "paper_difference",
    "verdict",
]
STORE_KEYS = ["images", "source_bytes", "bytes", "oddities", "skipped"]


COMPARED_KEYS = ["choice", "row", "models", "method", "Q", "values"]
VALUE_KEYS = [
    "value",
    "configured",
    "images",
    *(
        f"{metric}_{key}"
        for metric in ("top1", "top5")
        for key in ("error", "low", "high", "difference", "difference_low", "difference_high", "p")
    ),
    "changed_class",
    "changed_outcome",
]


def load_table(path: str | Path) -> dict:
    """A table as `tabulate` writes it, checked for every key that its page shows."""
    table = _mapping(path, _json(path), TABLE_KEYS)
    _one_of(f"{path}: kind", table["kind"], ROW_KEYS)
    if table["kind"] == "evaluation":
        _mapping(path, table, ("columns", "metrics", "reference"))
    for position, row in enumerate(table["rows"], start=1):
        where = f"{path}, row {position}"
        _mapping(where, row, ROW_KEYS[table["kind"]])
        if table["kind"] == "evaluation":
            _mapping(where, row["metrics"], table["metrics"])
            for name, cell in row["metrics"].items():
                _mapping(f"{where}, {name}", cell, CELL_KEYS)
            for evaluation in row["evaluations"]:
                _mapping(f"{where}, evaluations", evaluation, EVALUATION_KEYS)
    return table


def load_claims(path: str | Path) -> dict:
    """The ledger of claims: `experiment` and a list `claims`, each with its comparisons."""
    ledger = _mapping(path, _json(path), ("experiment", "claims"))
    for position, claim in enumerate(ledger["claims"], start=1):
        where = f"{path}, claim {position}"
        _mapping(where, claim, CLAIM_KEYS)
        for comparison in claim["comparisons"]:
            _mapping(where, comparison, COMPARISON_KEYS)
        for judged in (claim, *claim["comparisons"]):
            _one_of(f"{where}: verdict", judged["verdict"], VERDICTS)
    return ledger


def load_config(path: str | Path) -> dict:
    """A run's resolved configuration; only `experiment` and `data.source` are required."""
    try:
        config = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    config = _mapping(path, config, ("experiment", "data"))
    _mapping(f"{path}: data", config["data"], ("source",))
    return config


def load_choices(path: str | Path) -> dict[str, dict]:
    """What the configuration's schema says of each choice: `description` and `enum`, its values."""
    try:
        schema = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    for key in ("properties", "choices", "properties"):
        schema = _mapping(path, schema, (key,))[key]
    for name, entry in schema.items():
        _mapping(f"{path}: {name}", entry, ("description", "enum"))
    return schema


def load_compared_choices(path: str | Path) -> dict:
    """What `compare_choices` measured: `experiment`, `split` and a list `choices`."""
    compared = _mapping(path, _json(path), ("experiment", "split", "choices"))
    for position, choice in enumerate(compared["choices"], start=1):
        where = f"{path}, choice {position}"
        for value in _mapping(where, choice, COMPARED_KEYS)["values"]:
            _mapping(where, value, VALUE_KEYS)
    return compared


def load_packing(path: str | Path) -> dict[str, dict]:
    """What was packed, by store: images, bytes, ids of odd images by kind, and skipped images."""
    stores = _mapping(path, _json(path), ("experiment", "stores"))["stores"]
    for name, store in _mapping(path, stores, ()).items():
        where = f"{path}, store {name}"
        _mapping(f"{where}, oddities", _mapping(where, store, STORE_KEYS)["oddities"], ())
        for image in store["skipped"]:
            _mapping(f"{where}, skipped", image, ("id", "reason"))
    return stores


def load_history(path: str | Path) -> dict:
    """The measured points of one training: `model`, `iterations`, `errors` (percent), `drops`.

    `drops` are the iterations at which the learning rate changed. Lines without a validation
    error are skipped.
    """
    rows = csv.DictReader(io.StringIO(_text(path)))
    missing = {"iteration", "learning_rate", "val_top1_error"} - set(rows.fieldnames or ())
    if missing:
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; is it a history?")
    iterations, errors, drops, last_rate = [], [], [], None
    try:
        for row in rows:
            iteration, rate = int(row["iteration"]), float(row["learning_rate"])
            if last_rate is not None and rate != last_rate:
                drops.append(iteration)
            last_rate = rate
            if row["val_top1_error"] and math.isfinite(error := float(row["val_top1_error"])):
                iterations.append(iteration)
                errors.append(error)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}") from None
    return {
        "model": Path(path).stem,
        "iterations": iterations,
        "errors": errors,
        "drops": drops,
    }


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{os.fspath(path)}: no such file; has its rule run?") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from None


def _json(path: str | Path):
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}") from None


def _mapping(path: str | Path, content, keys: Sequence[str]) -> dict:
    if not isinstance(content, dict) and not keys:
        raise InputError(f"{path}: expected a mapping, found {type(content).__name__}")
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(
            f"{path}: expected a mapping with the keys {', '.join(keys)}; "
            f"missing: {', '.join(missing)}"
        )
    return content


def _one_of(where: str, value, known: Iterable[str]) -> None:
    if value not in known:
        raise InputError(f"{where} is {value!r}, expected one of {', '.join(known)}")
