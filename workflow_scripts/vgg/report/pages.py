"""The report's pages: tables, claims, figures and settings as self-contained HTML.

Everything that a page says comes from the files it is given; nothing is computed here beyond
counting rows, pairs of rows, wrong images and verdicts. Values are written as `<data value="…">`,
so that a page can be read back by a program at full precision.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from ..core import progress
from ..core.files import InputError
from ..core.text_artefacts import read_svg
from ..data.oddities import KINDS
from ..planning.jobs import Key
from ..planning.records import joined
from ..results.formats.layout import (
    blocks,
    groups,
    has_reference,
    is_withheld,
    label,
    measure_name,
)
from ..results.paper_tables import MEASURES, METRICS, NAMES
from ..settings.class_subsets import is_subset, number_of_classes
from ..settings.localised_rows import is_localised
from ..settings.report_rules import CLASSES, has_papers_data
from ..settings.transferred_rows import is_transferred, measure_of
from ..training.history import History
from . import against_paper, directions, plan_tables, verdicts
from .inputs import VERDICTS, Download
from .provenance import (
    classifiers,
    described_by,
    guesses,
    job,
    opened_sets,
    sources,
    workflow_command,
)

TEMPLATES = Path(__file__).resolve().parents[3] / "reports" / "templates"


def render(template: str, **context) -> str:
    """A page from one of the templates, all of which extend base.html.

    context: `config`, the run's resolved configuration; `previous` and `following`, names of the
    pages before and after this one, and `index`, whether there is one, for the links between them;
    and what else the template shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        function.__name__: function
        for function in (
            blocks,
            compared_metrics,
            data_uri,
            duration,
            groups,
            hours,
            label,
            metric,
            moment,
            number,
            of_part,
            opened_sets,
            plain,
            probability,
            referenced,
            section,
            shell,
            size,
            unmeasured,
            unmeasured_sets,
            verdicts.unit_of,
            withheld,
            wrong,
        )
    }
    environment.tests |= {
        "outside": outside,
        "localised": is_localised,
        "of_features": is_transferred,
        "measure": is_measure,
        "comparable": lambda table: _is_comparable(table, context["config"]),
    }
    config = context["config"]
    weights = config.get("weights", {})
    script = (TEMPLATES / "script.js").read_text(encoding="utf-8")
    environment.globals |= {
        "all_verdicts": VERDICTS,
        "imported": weights.get("import", {}),
        "trains": weights.get("train", True),
        "miniature": _is_miniature(config),
        "has_papers_data": has_papers_data(config),
        "classes_of_run": number_of_classes(config["data"].get("classes", CLASSES)),
        "without": config["data"].get("without", []),
        "verdict_words": directions.WORDS if _is_miniature(config) else {v: v for v in VERDICTS},
        "seeds": config.get("seeds", []),
        "script": Markup(script),
        "classifiers_behind": classifiers,
        "described_by": described_by,
        "guesses_behind": guesses,
        "job": job,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "sources": sources,
        "workflow_command": workflow_command,
    }
    links = {"previous": None, "following": None, "index": False}
    return environment.get_template(template).render(links | context)


def render_table(
    table: dict,
    config: dict,
    previous: str | None = None,
    following: str | None = None,
    index: bool = False,
    downloads: Sequence[Download] = (),
    records: Mapping[Key, dict] | None = None,
    pages: Collection[str] = (),
) -> str:
    """One table's page.

    previous, following: tables whose pages lie beside this one. index: whether the index does.
    downloads: the table in other forms. records: what the run's jobs left, for the provenance.
    pages: names of other pages beside this one, to which its notes link.
    """
    return render(
        "features.html" if is_transferred(table) else f"{table['kind']}.html",
        table=table,
        config=config,
        previous=previous,
        following=following,
        index=index,
        downloads=downloads,
        records=records or {},
        pages=pages,
    )


def render_claims(
    ledger: dict,
    tables: Sequence[dict],
    config: dict,
    *,
    pages: Collection[str] = (),
    index: bool = False,
    downloads: Sequence[Download] = (),
    throughput: Sequence[Download] = (),
) -> str:
    """The ledger of claims: every comparison, its tests and its verdict, and how they are made.

    tables: whose rows it links to. pages: names of the pages beside this one, the only ones that it
    links to. index: whether the index is. downloads: the ledger in other forms; throughput: its
    speeds.
    """
    claims = ledger["claims"]
    drawn = ["low", "high", "difference"]
    if not _is_miniature(config):
        drawn.append("paper_difference")
    known = config.get("transfer", {}).get("data_sets", {})
    return render(
        "claims.html",
        ledger=ledger,
        claims=claims,
        axes=_axes(claims, drawn),
        metric_of_side=_metrics_of_sides(tables),
        with_features=any(is_measure(c["metric"]) for own in claims for c in own["comparisons"]),
        data_sets={name: entry["title"] for name, entry in known.items() if entry},
        row_links=_row_links(tables, pages),
        downloads=downloads,
        throughput=throughput,
        config=config,
        index=index,
    )


def render_index(
    tables: Sequence[dict],
    ledger: dict,
    histories: Sequence[History],
    config: dict,
    *,
    drawn: Collection[str] = (),
    schema: dict | None = None,
    packing: dict | None = None,
    truth: Mapping[str, dict] | None = None,
    figures: Sequence[str | Path] = (),
    plan: dict | None = None,
    records: Mapping[Key, dict] | None = None,
    pages: Collection[str] = (),
    downloads: Mapping[str, Sequence[Download]] | None = None,
) -> str:
    """The index: errors against the paper's, verdicts on its claims, every table in brief, figures,
    images, boxes, costs, settings.

    ledger: of claims. drawn: names of the tables whose errors the figures measured_against_paper
    draw. schema: of the choices, by name. packing: what was packed, by store. truth: what was read
    of true boxes, by split. figures: SVG files, in a folder of their kind, such as learning_curves,
    or named for it in the folder `figures`. plan: planned and actual cost. records: what the run's
    jobs left. pages: names of the pages beside this one, the only ones that it links to. downloads:
    files to offer for saving, by table, and of "evaluations". Sections without their input are left
    out.
    """
    claims = ledger["claims"]
    drawings: dict[str, list[tuple[str, Markup]]] = {}
    for path in map(Path, figures):
        kind = path.stem if path.parent.name == "figures" else path.parent.name
        drawings.setdefault(kind, []).append((path.stem, inline_svg(path)))
    cells = against_paper.paper_cells(table for table in tables if table["name"] in drawn)
    return render(
        "index.html",
        tables=tables,
        cells=cells,
        order=against_paper.order(cells),
        test_errors=against_paper.errors_on_test_images(cells),
        pictures_of_cells=[svg for _, svg in drawings.pop("measured_against_paper", [])],
        drawn=drawn,
        claims=claims,
        parts=verdicts.parts(claims),
        verdicts=Counter(claim["verdict"] for claim in claims),
        directions=directions.directions(claims),
        with_features=any(map(is_transferred, tables)),
        compared=_compared(tables),
        drawings=drawings,
        histories=histories,
        histories_of_boxes=[h for h in histories if h.measured("val_gtloc_error")],
        choices=described_choices(config.get("choices", {}), schema or {}),
        packing=packing,
        oddities=None if packing is None else oddities(packing),
        truth=truth,
        odd_boxes=odd_boxes(truth) if truth else [],
        cost=plan_tables.tables(plan)[0] if plan else None,
        run=_summary(tables, records) if records else None,
        pages=pages,
        downloads=downloads or {},
        config=config,
        resolved=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    )


def render_choices(
    compared: dict, config: dict, schema: dict | None = None, index: bool = False
) -> str:
    """The page that compares the test-time choices. schema: of the choices, by name."""
    return render(
        "choices.html", compared=compared, described=schema or {}, config=config, index=index
    )


def render_plan(plan: dict, config: dict, index: bool = False) -> str:
    """The page of a plan as plan.json has it: planned cost, and actual where jobs left records."""
    return render(
        "plan.html",
        plan=plan,
        sentences=plan_tables.summary(plan),
        tables=plan_tables.tables(plan),
        headline=plan_tables.headline(plan),
        config=config,
        index=index,
    )


def render_benchmarks(
    measured: dict, tables: Sequence[plan_tables.Table], config: dict, index: bool = False
) -> str:
    """The page of what `benchmark` measured: ours beside rivals and limits, and how cost grows.

    tables: of the lines, growth and projections in `measured`.
    """
    return render(
        "benchmarks.html",
        measured=measured,
        tables=tables,
        aims=Counter(line["met"] for line in measured["lines"] if line["met"] is not None),
        config=config,
        index=index,
    )


def inline_svg(path: str | Path) -> Markup:
    """A stand-alone SVG file as a part of a page: an image named by its `<title>`.

    Its `<desc>`, if there is one, describes it to screen readers. Its identifiers are made unique
    by the names of the file and its folder. Raises InputError if the file is missing, or no SVG
    with a title.
    """
    path, text = Path(path), read_svg(path)
    root = re.search(r"<svg\b[^>]*>", text)
    title = re.search(r"<title\b[^>]*>(.*?)</title>", text, re.DOTALL)
    if root is None or title is None:
        raise InputError(f"{path}: expected an SVG drawing with a <title>")
    unique = re.sub(r"[^\w-]", "-", f"{path.parent.name}-{path.stem}")
    attributes = re.sub(r'\s(role|aria-[a-z]+)="[^"]*"', "", root[0][len("<svg") :])
    body = re.sub(r"<title\b.*?</title>", "", text[root.end() :], count=1, flags=re.DOTALL)
    body = body.replace(' xlink:href="', ' href="')  # HTML has no namespaces
    body, described = re.subn(r"<desc>", '<desc id="desc">', body, count=1)
    opening = Markup('<svg role="img" aria-label="{}"{}').format(
        " ".join(Markup(title[1]).unescape().split()),
        Markup(' aria-describedby="{}-desc"').format(unique) if described else "",
    )
    named = rf"\g<1>{unique}-"
    return opening + Markup(re.sub(r'((?<=\s)id="|url\(#|href="#)', named, attributes + body))


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


def odd_boxes(
    truth: Mapping[str, dict],
) -> list[tuple[str, str, list[tuple[str, list[str]]]]]:
    """Odd annotations as (kind, what it is, [(split, ids)]), kinds in the order of their list."""
    from ..data.sources.bounding_boxes import KINDS as OF_BOXES  # which loads pandas

    found = {kind for report in truth.values() for kind in report["oddities"]}
    return [
        (
            kind,
            OF_BOXES.get(kind, kind),
            [(split, ids) for split, r in truth.items() if (ids := r["oddities"].get(kind))],
        )
        for kind in [*(kind for kind in OF_BOXES if kind in found), *sorted(found - {*OF_BOXES})]
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
    return _cell(plan_tables.size(value))


def probability(value: float | None) -> Markup:
    """A p value to two or three digits."""
    if value is not None and value < 0.001:
        return Markup('<data value="{}">&lt;0.001</data>').format(value)
    return number(value, 2 if value is None or value >= 0.1 else 3)


def hours(value: float | None) -> Markup:
    """Hours in the unit that suits them; exact for programs."""
    return _cell(plan_tables.hours(value))


def duration(seconds: float) -> Markup:
    """Seconds as a person says them; exact for programs."""
    return Markup('<data value="{}">{}</data>').format(seconds, progress.duration(seconds))


def moment(text: str) -> Markup:
    """An ISO date and time to the minute, in UTC."""
    utc = datetime.fromisoformat(text).astimezone(UTC)
    return Markup('<time datetime="{}">{:%Y-%m-%d %H:%M} UTC</time>').format(text, utc)


def wrong(error: float, images: int) -> int:
    """How many of so many images an error in percent stands for."""
    return round(error * images / 100)


def shell(words: Sequence[str]) -> Markup:
    """A command as one types it, whose lines never break inside an option."""
    typed = (
        Markup("<span>{}</span>" if word.startswith("--") else "{}").format(shlex.quote(word))
        for word in words
    )
    return Markup(" ").join(typed)


def data_uri(download: Download) -> str:
    """A file's bytes as the address of a link."""
    content = base64.b64encode(download.content).decode()
    return f"data:{download.media_type};charset=utf-8;base64,{content}"


def metric(name: str, data_sets: Mapping[str, str] | None = None) -> str:
    """'top-1 error, val' for top1_val, 'mean class recall, Caltech-101' for recall_caltech101.

    data_sets: titles of data sets by name.
    """
    kind, _, split = name.partition("_")
    if kind in MEASURES:
        return measure_name(name, data_sets or {})
    return f"{NAMES[kind]} error, {split}" if name in METRICS else name.replace("_", " ")


def is_measure(name: str) -> bool:
    """Whether a metric is a measure of features, of which higher is better."""
    return measure_of(name)[0] in MEASURES


def of_part(name: str) -> str:
    """What a metric was measured on: 'val' for top1_val, 'voc2007' for map_voc2007."""
    return measure_of(name)[1]


def section(name: str) -> str:
    """A section of the paper as a reader says it; empty for a claim that is not the paper's."""
    if not name:
        return "this run’s own"
    return f"appendix {name}" if name.isalpha() else f"§{name}"


def referenced(table: dict) -> bool:
    """Whether a table has numbers of the paper's, or of another reference."""
    return any(has_reference(table, metric) for metric in table["metrics"])


def compared_metrics(table: dict) -> list[str]:
    """The metrics of a table that stand beside the paper's numbers, or another reference's.

    Of errors all or none, that columns may be alike; of measures those that the reference has.
    """
    if is_transferred(table):
        return [metric for metric in table["metrics"] if has_reference(table, metric)]
    return table["metrics"] if referenced(table) else []


def withheld(row: dict, metric: str) -> bool:
    """Whether a row has no number because its labels are withheld, and a file for their server."""
    if is_measure(metric):
        return is_withheld(row, metric)
    unknown = row["metrics"][metric]["measured"] is None
    return bool(unknown and row["submission"] and of_part(metric) == "test")


def unmeasured(table: dict) -> list[str]:
    """The labels of a table's own rows of which nothing was measured."""
    return [
        " / ".join(row["labels"])
        for row in table["rows"]
        if not row["literature"]
        and all(cell["measured"] is None for cell in row["metrics"].values())
    ]


def unmeasured_sets(table: dict) -> list[str]:
    """The data sets of a table's metrics that the run has not."""
    wanted = dict.fromkeys(of_part(metric) for metric in table["metrics"])
    return [name for name in wanted if name not in table["data_sets"]]


def plain(value) -> str:
    """A configuration value as a reader says it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _is_miniature(config: dict) -> bool:
    return config["data"]["source"] == "miniature"


def _is_comparable(table: dict, config: dict) -> bool:
    """Whether a table's numbers compare in size with those beside them.

    Errors on other classes do not with the paper's, nor those on a subset with anyone's.
    """
    if _is_miniature(config):
        return False
    if has_papers_data(config) or is_transferred(table):
        return True
    return table["reference"] != "paper" and not is_subset(config["data"]["classes"])


def _compared(tables: Sequence[dict]) -> dict[str, list[dict]]:
    """The measured cells that stand beside a reference, by whose it is, the paper's first.

    What a server answered without an interval is not among them.
    """
    found: dict[str, list[dict]] = {"paper": []}
    for table in tables:
        for row in table["rows"] if table["kind"] == "evaluation" else []:
            cells = row["metrics"].values()
            both = [c for c in cells if None not in (c["measured"], c["low"], c["paper"])]
            found.setdefault(table["reference"], []).extend(both)
    return {reference: cells for reference, cells in found.items() if cells}


def _row_links(tables: Sequence[dict], pages: Collection[str]) -> dict[tuple[str, str], str]:
    """Where the provenance of a row is, by the name that the ledger of claims gives it, and by
    what it was measured on: "val", or a data set."""
    found = {}
    for table in tables:
        if table["kind"] != "evaluation" or table["name"] not in pages:
            continue
        for place, row in enumerate(table["rows"], start=1):
            side = f"{label(table['name'])}: {' / '.join(row['labels'])}"
            if is_transferred(table):
                parts = opened_sets(row)
            else:
                known = (*row["evaluations"], *row.get("guesses", ()))
                parts = ["val"] if any(one["split"] == "val" for one in known) else []
            for part in parts:
                found[side, part] = f"{table['name']}.html#{table['name']}-{place}-{part}"
    return found


def _metrics_of_sides(tables: Sequence[dict]) -> dict[str, str]:
    """The localisation error on val that a row has, by the name that the ledger gives it."""
    return {
        f"{label(table['name'])}: {' / '.join(row['labels'])}": metric
        for table in tables
        if table["kind"] == "evaluation" and is_localised(table)
        for row in table["rows"]
        for metric, cell in row["metrics"].items()
        if metric.endswith("_val") and cell["measured"] is not None
    }


def _summary(tables: Sequence[dict], records: Mapping[Key, dict]) -> dict:
    """A run in numbers: its jobs, times and machines, from records and from weights' metadata."""
    rules = Counter(rule for rule, _ in records)
    trainings = [
        evaluation["training"]
        for table in tables
        for row in table["rows"]
        for evaluation in row.get("evaluations", [])
        if evaluation["training"]
    ]
    return joined(list(records.values())) | {
        "trainings": rules["train_convnet"],
        "imports": rules["import_weights"],
        "evaluations": rules["evaluate_convnet"],
        "boxed": rules["evaluate_boxes"],
        "described": rules["describe_images"],
        "classifiers": rules["train_classifiers"],
        "started": min(record["started"] for record in records.values()),
        "finished": max(record["finished"] for record in records.values()),
        "torch": sorted({training["torch"] for training in trainings}),
    }


def _cell(cell: plan_tables.Cell) -> Markup:
    if cell.value is None:
        return Markup("{}").format(cell.text)
    return Markup('<data value="{}">{}</data>').format(cell.value, cell.text)


def _axes(claims: Sequence[dict], keys: Sequence[str]) -> dict[str, float]:
    """What the differences of claims are points of, and the largest number of such."""
    found: dict[str, float] = {}
    for comparison in (each for claim in claims for each in claim["comparisons"]):
        unit = verdicts.unit_of(comparison["metric"])
        numbers = [abs(comparison[key]) for key in keys if comparison[key] is not None]
        found[unit] = max([found.get(unit, 0), *numbers])
    return {unit: most or 1 for unit, most in found.items()}
