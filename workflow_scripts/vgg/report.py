"""The report's pages: tables, claims, learning curves and settings as self-contained HTML.

Everything that a page says comes from the files it is given; nothing is computed here beyond
counting rows and verdicts. Values are written as `<data value="…">`, so that a page can be read
back by a program at full precision.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from .files import InputError

TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"
CLAIM_KINDS = {
    "equivalent": "a claim of equivalence",
    "lower_error": "a claim of lower error",
    "unmeasured": "not measured here",
}
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
CELL_KEYS = ["measured", "low", "high", "errors", "images", "paper", "difference"]
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
CLAIM_KEYS = ["number", "section", "claim", "kind", "margin", "note", "comparisons", "verdict"]
COMPARISON_KEYS = [
    "label",
    "baseline",
    "candidate",
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


def load_table(path: str | Path) -> dict:
    """A table as `tabulate` writes it, checked for every key that its page shows."""
    table = _mapping(path, _json(path), TABLE_KEYS)
    _one_of(f"{path}: kind", table["kind"], ROW_KEYS)
    if table["kind"] == "evaluation":
        _mapping(path, table, ("columns", "metrics"))
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
        _one_of(f"{where}: kind", claim["kind"], CLAIM_KINDS)
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


def render_table(
    table: dict, config: dict, previous: str | None = None, following: str | None = None
) -> str:
    """One table's page. `previous` and `following` name tables whose pages lie beside this one."""
    return _render(
        f"{table['kind']}.html", table=table, config=config, previous=previous, following=following
    )


def render_index(
    tables: Sequence[dict], claims: dict, histories: Sequence[dict], config: dict
) -> str:
    """The index: summary, every table in brief, the ledger of claims, curves and settings."""
    limit = max((max(history["errors"], default=0) for history in histories), default=0)
    cells = [
        cell
        for table in tables
        if table["kind"] == "evaluation"
        for row in table["rows"]
        for cell in row["metrics"].values()
    ]
    return _render(
        "index.html",
        tables=tables,
        claims=claims["claims"],
        verdicts=Counter(claim["verdict"] for claim in claims["claims"]),
        span=_widest(claims["claims"]),
        rows=[row for table in tables if table["kind"] == "evaluation" for row in table["rows"]],
        compared=[c for c in cells if c["measured"] is not None and c["paper"] is not None],
        curves=[(history, learning_curve(history, limit)) for history in histories],
        config=config,
        resolved=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        previous=None,
        following=None,
    )


def learning_curve(history: dict, limit: float) -> Markup:
    """Validation top-1 error against iteration as inline SVG in the colour of the page's text.

    `limit` is the upper end of the error axis, in percent. The same history gives the same bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    ink = "#010203"
    model = history["model"]
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": model,
        "font.size": 8,
        **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(2.9, 1.7), layout="constrained")
        axes = figure.add_subplot()
        for drop in history["drops"]:
            axes.axvline(drop, color=ink, linewidth=0.5, linestyle=(0, (2, 2)), alpha=0.7)
        axes.plot(history["iterations"], history["errors"], color=ink, linewidth=1.2)
        axes.set(xlim=(0, None), ylim=(0, 1.05 * limit or 100))
        axes.locator_params(axis="x", nbins=4)
        axes.locator_params(axis="y", nbins=4)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}")
        axes.spines[["top", "right"]].set_visible(False)
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(ink, "currentColor")
    # Several drawings share one page: their identifiers must not meet.
    unique = re.sub(r"\W", "-", model)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{unique}-", svg)
    label = Markup('<svg role="img" aria-label="Learning curve of {}"').format(model)
    return Markup(svg.replace("<svg", label, 1))


def groups(rows: Sequence[dict]) -> list[tuple[bool, list[list[dict]]]]:
    """Rows as a page sets them: by `literature` or not, then by equal first label."""
    return [
        (literature, [list(same) for _, same in itertools.groupby(part, _first_label)])
        for literature, part in itertools.groupby(rows, lambda row: bool(row.get("literature")))
    ]


def blocks(rows: Sequence[dict]) -> Iterator[list[list[tuple[str, bool]]]]:
    """Table 1 by stretches between max-pools: for each, the nets' (layer, added) pairs.

    As in the paper, a layer is `added` when the net to the left has fewer of its kind there. A
    stretch that is the same in every net is given once.
    """
    nets = [_split(row["layers"]) for row in rows]
    for stretch in itertools.zip_longest(*nets, fillvalue=[]):
        if all(layers == stretch[0] for layers in stretch):
            stretch = stretch[:1]
        yield [
            [
                (layer, layers[: i + 1].count(layer) > left.count(layer))
                for i, layer in enumerate(layers)
            ]
            for left, layers in itertools.pairwise(stretch[:1] + stretch)
        ]


def outside(cell: dict) -> bool:
    """Whether the paper's number lies outside the measured 95% interval."""
    low, paper, high = cell["low"], cell["paper"], cell["high"]
    return None not in (low, paper, high) and not low <= paper <= high


def number(value: float | None, digits: int = 1, signed: bool = False) -> Markup:
    """A number rounded for the eye, exact for programs; a dash where there is none."""
    if value is None:
        return Markup('<span class="none">–</span>')
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return Markup('<data value="{}">{}</data>').format(value, text.replace("-", "−"))


def probability(value: float | None) -> Markup:
    """A p value to two or three digits."""
    if value is not None and value < 0.001:
        return Markup('<data value="{}">&lt;0.001</data>').format(value)
    return number(value, 2 if value is None or value >= 0.1 else 3)


def label(name: str) -> str:
    """'Table 3' for table3; a user's own table keeps its name."""
    return re.sub(r"^table(\d+)$", r"Table \1", name)


def metric(name: str) -> str:
    """'top-1 error, val' for top1_val."""
    match = re.fullmatch(r"top(\d+)_(\w+)", name)
    return f"top-{match[1]} error, {match[2]}" if match else name.replace("_", " ")


def plain(value) -> str:
    """A configuration value as a reader says it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _render(template: str, **context) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        function.__name__: function
        for function in (blocks, groups, label, metric, number, plain, probability)
    }
    environment.tests["outside"] = outside
    environment.globals |= {
        "all_verdicts": VERDICTS,
        "claim_kinds": CLAIM_KINDS,
        "miniature": context["config"]["data"]["source"] == "miniature",
    }
    return environment.get_template(template).render(context)


def _first_label(row: dict) -> str:
    return row["labels"][0]


def _split(layers: Sequence[str]) -> list[list[str]]:
    stretches = [[]]
    for layer in layers:
        if layer == "maxpool":
            stretches.append([])
        else:
            stretches[-1].append(layer)
    return stretches


def _widest(claims: Sequence[dict]) -> float:
    values = [
        abs(comparison[key])
        for claim in claims
        for comparison in claim["comparisons"]
        for key in ("low", "high", "difference", "paper_difference")
        if comparison[key] is not None
    ]
    return max(values, default=0) or 1


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
