"""The files that the report's pages are made from, read and checked for all that they show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.files import InputError, read_bytes
from ..core.text_artefacts import read_json
from ..planning.jobs import Key
from ..planning.records import read_records
from ..results.cells import CELL_KEYS, ORIGIN_KEYS
from ..results.ledger import COMPARISON_KEYS
from ..results.throughput import SPEED_KEYS
from ..settings.experiments import read_yaml
from ..settings.localised_rows import is_localised
from ..settings.transferred_rows import is_transferred

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
TRAINING_KEYS = [  # of posteriors, which `evaluate` writes
    "net",
    "S",
    "seed",
    "parent",
    "parent_sha256",
    "inherit",
    "config_fingerprint",
    "hardware",
    "processes",
    "node",
    "torch",
]
FEATURE_CELL_KEYS = [*CELL_KEYS, "split_sd", "paper_sd", "paper_starred"]
CLASSIFIERS_KEYS = ["scores", "data_set", "seed", "options", "chosen"]
CHOSEN_KEYS = ["part", "split", "C", "grid", "figures", "at_end", "undescribed"]
CHOSEN_KEYS += ["learnt", "validated", "tested"]
SCORED_KEYS = ["images", "boxless", "blacklisted", "scored"]
GUESS_KEYS = ["guesses", "split", "seed", "box", "merging"]
LEDGER_KEYS = ["experiment", "seeds", "alpha", "family", "family_of_localisation"]
LEDGER_KEYS += ["family_of_features", "family_of_own", "claims"]
CLAIM_KEYS = ["number", "section", "claim", "short", "note", "comparisons", "throughput", "verdict"]
THROUGHPUT_KEYS = ["expected_processes", "expected_speedup", "margin", "measured"]
TRUTH_KEYS = ["images", "boxed_images", "boxes", "blacklisted", "oddities"]
STORE_KEYS = ["images", "source_bytes", "bytes", "oddities", "skipped"]
COMPARED_KEYS = ["choice", "row", "models", "method", "Q", "values"]
COMPARED_ERROR_KEYS = [
    f"{metric}_{key}"
    for metric in ("top1", "top5")
    for key in ("error", "low", "high", "difference", "difference_low", "difference_high", "p")
]
VALUE_KEYS = ["value", "configured", "images"]
VALUE_KEYS += [*COMPARED_ERROR_KEYS, "changed_class", "changed_outcome"]
LOCALISED_KEYS = ["row", "boxes", "metric", "choices"]
LOCALISED_VALUE_KEYS = ["value", "configured", "images", "merge_threshold", "changed_outcome"]
LOCALISED_VALUE_KEYS += [key.replace("top1", "top5loc") for key in COMPARED_ERROR_KEYS[:7]]
FEATURE_CHOICE_KEYS = ["choice", "row", "metric", "values"]
FEATURE_VALUE_KEYS = ["value", "configured", "examples", "measure", "low", "high"]
FEATURE_VALUE_KEYS += ["difference", "difference_low", "difference_high", "p", "C", "at_end"]
PLAN_KEYS = ["experiment", "totals", "by_rule", "jobs", "critical_path", "disk", "nets"]
FORMS = {
    ".csv": ("CSV", "text/csv"),
    ".json": ("JSON", "application/json"),
    ".tex": ("LaTeX", "application/x-tex"),
    ".md": ("Markdown", "text/markdown"),
}


@dataclass(frozen=True)
class Download:
    """A file that a page offers for saving: its name, what its form is called, type and bytes."""

    name: str
    form: str
    media_type: str
    content: bytes


def load_table(path: str | Path) -> dict:
    """A table as `tabulate` writes it, checked for every key that its page shows."""
    table = _mapping(path, read_json(path), TABLE_KEYS)
    _one_of(f"{path}: kind", table["kind"], ROW_KEYS)
    if table["kind"] == "evaluation":
        _mapping(path, table, ("columns", "metrics", "reference", "seeds"))
    localised = is_localised(table)
    if localised:
        where = f"{path}, localisation"
        facts = _mapping(path, table, ("localisation",))["localisation"]
        for split, counts in _mapping(where, facts, ("scoring", "images"))["images"].items():
            _mapping(f"{where}, {split}", counts, SCORED_KEYS)
    transferred = is_transferred(table)
    if transferred:
        _mapping(path, table, ("higher_is_better", "data_sets"))
        _mapping(f"{path}: data_sets", table["data_sets"], ())
    for position, row in enumerate(table["rows"], start=1):
        where = f"{path}, row {position}"
        _mapping(where, row, ROW_KEYS[table["kind"]])
        if table["kind"] == "evaluation":
            _mapping(where, row["metrics"], table["metrics"])
            for name, cell in row["metrics"].items():
                keys = FEATURE_CELL_KEYS if transferred else CELL_KEYS
                _mapping(f"{where}, {name}", cell, keys)
            for evaluation in row["evaluations"]:
                _mapping(f"{where}, evaluations", evaluation, ORIGIN_KEYS)
                if evaluation["training"] is not None:
                    _mapping(f"{where}, training", evaluation["training"], TRAINING_KEYS)
        if localised and not row["literature"]:
            for guesses in _mapping(where, row, ("name", "guesses"))["guesses"]:
                _mapping(f"{where}, guesses", guesses, GUESS_KEYS)
        if transferred and not row["literature"]:
            _check_classifiers(where, row)
    return table


def _check_classifiers(where: str, row: dict) -> None:
    """Raise InputError for what a row of features lacks of its classifiers."""
    _mapping(where, row, ("name", "classifiers", "per_class"))
    for metric, classes in _mapping(f"{where}, per_class", row["per_class"], ()).items():
        _mapping(f"{where}, per_class, {metric}", classes, ())
    for own in row["classifiers"]:
        _mapping(f"{where}, classifiers", own, CLASSIFIERS_KEYS)
        _mapping(f"{where}, classifiers, options", own["options"], ())
        for chosen in own["chosen"]:
            _mapping(f"{where}, classifiers, chosen", chosen, CHOSEN_KEYS)


def load_downloads(path: str | Path) -> list[Download]:
    """A table or ledger in all forms, from the files of its name beside its JSON file."""
    files = [Path(path).with_suffix(suffix) for suffix in FORMS]
    return [
        Download(file.name, *FORMS[file.suffix], read_bytes(file))
        for file in files
        if file.exists()
    ]


def load_claims(path: str | Path) -> dict:
    """The ledger of claims: `claims`, each with its comparisons, and how they were judged."""
    ledger = _mapping(path, read_json(path), LEDGER_KEYS)
    for position, claim in enumerate(ledger["claims"], start=1):
        where = f"{path}, claim {position}"
        _mapping(where, claim, CLAIM_KEYS)
        for comparison in claim["comparisons"]:
            _mapping(where, comparison, COMPARISON_KEYS)
        if claim["throughput"] is not None:
            throughput = _mapping(f"{where}, throughput", claim["throughput"], THROUGHPUT_KEYS)
            for speed in throughput["measured"]:
                _mapping(f"{where}, throughput", speed, SPEED_KEYS)
        for judged in (claim, *claim["comparisons"]):
            _one_of(f"{where}: verdict", judged["verdict"], VERDICTS)
    return ledger


def load_config(path: str | Path) -> dict:
    """A run's resolved configuration; only `experiment` and `data.source` are required."""
    config = _mapping(path, read_yaml(path), ("experiment", "data"))
    _mapping(f"{path}: data", config["data"], ("source",))
    return config


def load_choices(path: str | Path) -> dict[str, dict]:
    """The schema's entry of each choice: its `description`, and `enum`, its values."""
    schema = read_yaml(path)
    for key in ("properties", "choices", "properties"):
        schema = _mapping(path, schema, (key,))[key]
    for name, entry in schema.items():
        _mapping(f"{path}: {name}", entry, ("description", "enum"))
    return schema


def load_compared_choices(path: str | Path) -> dict:
    """The comparison that `compare_choices` wrote: `experiment`, `split`, a list `choices`.

    `localisation`, `features`: those of localisation's choices and of features', None without.
    """
    compared = _mapping(path, read_json(path), ("experiment", "split", "choices"))
    for position, choice in enumerate(compared["choices"], start=1):
        where = f"{path}, choice {position}"
        for value in _mapping(where, choice, COMPARED_KEYS)["values"]:
            _mapping(where, value, VALUE_KEYS)
    if localised := compared.setdefault("localisation", None):
        where = f"{path}, localisation"
        for choice in _mapping(where, localised, LOCALISED_KEYS)["choices"]:
            for value in _mapping(where, choice, ("choice", "values"))["values"]:
                _mapping(where, value, LOCALISED_VALUE_KEYS)
    if features := compared.setdefault("features", None):
        where = f"{path}, features"
        for choice in _mapping(where, features, ("data_sets", "choices"))["choices"]:
            for value in _mapping(where, choice, FEATURE_CHOICE_KEYS)["values"]:
                _mapping(where, value, FEATURE_VALUE_KEYS)
    return compared


def load_benchmarks(path: str | Path) -> dict:
    """The summary of `benchmark`: the machine, lines, growth, rates and projected trainings."""
    return _mapping(path, read_json(path), ("machine", "rates", "lines", "growth", "projected"))


def load_packing(path: str | Path) -> dict[str, dict]:
    """The packing of each store: images, bytes, ids of odd images by kind, and skipped images."""
    stores = _mapping(path, read_json(path), ("experiment", "stores"))["stores"]
    for name, store in _mapping(path, stores, ()).items():
        where = f"{path}, store {name}"
        _mapping(f"{where}, oddities", _mapping(where, store, STORE_KEYS)["oddities"], ())
        for image in store["skipped"]:
            _mapping(f"{where}, skipped", image, ("id", "reason"))
    return stores


def load_truth(path: str | Path) -> dict:
    """The report of a split's true boxes: counts, and the ids of odd annotations by kind."""
    report = _mapping(path, read_json(path), TRUTH_KEYS)
    for kind, ids in _mapping(f"{path}: oddities", report["oddities"], ()).items():
        if not isinstance(ids, list):
            raise InputError(f"{path}: oddities, {kind}: expected a list of ids")
    return report


def load_plan(path: str | Path) -> dict:
    """A plan as `plan` writes it, of which the index shows cost by kind of job."""
    return _mapping(path, read_json(path), PLAN_KEYS)


def load_records(folder: str | Path | None) -> dict[Key, dict]:
    """The records of a run's jobs, by rule and name; none if no folder is given."""
    return read_records(folder) if folder else {}


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
