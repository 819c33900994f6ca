"""The report's pages: tables, claims, learning curves and settings as self-contained HTML.

Everything that a page says comes from the files it is given; nothing is computed here beyond
counting rows and verdicts. Values are written as `<data value="…">`, so that a page can be read
back by a program at full precision.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from . import plan_tables
from .oddities import KINDS
from .report_inputs import VERDICTS

TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"


def render_table(
    table: dict, config: dict, previous: str | None = None, following: str | None = None
) -> str:
    """One table's page. `previous` and `following` name tables whose pages lie beside this one."""
    return _render(
        f"{table['kind']}.html", table=table, config=config, previous=previous, following=following
    )


def render_index(
    tables: Sequence[dict],
    claims: dict,
    histories: Sequence[dict],
    config: dict,
    schema: dict | None = None,
    packing: dict | None = None,
    choices_page: str | None = None,
) -> str:
    """The index: summary, every table in brief, the ledger of claims, curves, images, settings.

    schema: of the choices, by name. packing: what was packed, by store; no section if None.
    choices_page: file name of the page that compares the test-time choices, if there is one.
    """
    limit = max((max(history["errors"], default=0) for history in histories), default=0)
    return _render(
        "index.html",
        tables=tables,
        claims=claims["claims"],
        verdicts=Counter(claim["verdict"] for claim in claims["claims"]),
        span=_widest(claims["claims"]),
        rows=[row for table in tables if table["kind"] == "evaluation" for row in table["rows"]],
        compared=_compared(tables),
        curves=[(history, learning_curve(history, limit)) for history in histories],
        choices=described_choices(config.get("choices", {}), schema or {}),
        choices_page=choices_page,
        packing=packing,
        oddities=None if packing is None else oddities(packing),
        config=config,
        resolved=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        previous=None,
        following=None,
    )


def render_choices(compared: dict, config: dict, schema: dict | None = None) -> str:
    """The page that compares the test-time choices. schema: of the choices, by name."""
    return _render(
        "choices.html",
        compared=compared,
        described=schema or {},
        config=config,
        previous=None,
        following=None,
    )


def render_plan(plan: dict, config: dict) -> str:
    """The page of a plan as plan.json has it: planned cost, and actual where jobs left records."""
    return _render(
        "plan.html",
        plan=plan,
        sentences=plan_tables.summary(plan),
        tables=plan_tables.tables(plan),
        headline=plan_tables.headline(plan),
        config=config,
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


def described_choices(choices: dict, schema: dict) -> list[dict]:
    """A run's choices with what the schema says: `name`, `value`, `alternatives`, `decides`."""
    return [
        {
            "name": name,
            "value": value,
            "alternatives": [v for v in schema.get(name, {}).get("enum", []) if v != value],
            "decides": schema.get(name, {}).get("description", ""),
        }
        for name, value in choices.items()
    ]


def oddities(packing: dict) -> list[tuple[str, str, list[tuple[str, list[str]]]]]:
    """Odd images as (kind, what it is, [(store, ids)]), kinds in alphabetical order."""
    kinds = sorted({kind for store in packing.values() for kind in store["oddities"]})
    return [
        (
            kind,
            KINDS.get(kind, kind),
            [(name, ids) for name, s in packing.items() if (ids := s["oddities"].get(kind))],
        )
        for kind in kinds
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


def size(value: int) -> Markup:
    """Bytes in decimal units, such as 6.74 GB; exact for programs."""
    return Markup('<data value="{}">{}</data>').format(value, plan_tables.size(value).text)


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
        for function in (blocks, groups, label, metric, number, plain, probability, size)
    }
    environment.tests["outside"] = outside
    weights = context["config"].get("weights", {})
    environment.globals |= {
        "all_verdicts": VERDICTS,
        "imported": weights.get("import", {}),
        "trains": weights.get("train", True),
        "miniature": context["config"]["data"]["source"] == "miniature",
    }
    return environment.get_template(template).render(context)


def _compared(tables: Sequence[dict]) -> dict[str, list[dict]]:
    """The measured cells that stand beside a reference, by whose it is, the paper's first."""
    found = {"paper": []}
    for table in tables:
        for row in table["rows"] if table["kind"] == "evaluation" else []:
            cells = row["metrics"].values()
            both = [c for c in cells if None not in (c["measured"], c["paper"])]
            found.setdefault(table["reference"], []).extend(both)
    return {reference: cells for reference, cells in found.items() if cells}


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
