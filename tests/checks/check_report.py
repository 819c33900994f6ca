"""From numbers to the report: hold its pages and CSV files against recomputed.py.

    python -m tests.checks.check_report    # after `make demo`; exits with 1 if anything differs

Compared are, on the tables' own pages and on the index: all errors and measures of features with
intervals, the paper's numbers, differences and marks, what the provenance says of them, Tables 1
and 2, the errors that are drawn against the paper's and how many of them agree, the list of claims
with its counts, where the learning curves end, and what was read of true boxes; on the page of
claims the ledger with its verdicts; besides, the tables' CSV files, claims.csv and evaluations.csv.
Of a number on a page, that is its exact value, the digits that a reader sees, and that nothing else
is shown; of what the bootstrap of features draws, that it lies where its draws may put it. The
ledger's throughput is held against its CSV file only; the pages of plan, choices and pictures are
not read.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tests import checks
from tests.checks.recomputed import (
    VERDICTS,
    Cell,
    MeasureCell,
    Run,
    behind,
    evaluations,
    joint,
)

EMPTY = ("meta", "br", "link", "img", "input", "hr", "col")
FIELDS = ("", "low", "high", "errors", "images", "paper", "difference", "seeds", "seed_sd")
DRAWN = ("table3", "table4", "table5", "table6")  # against the paper's
FEATURE_FIELDS = (*FIELDS, "split_sd", "paper_sd", "paper_starred")
MINIATURE_WORDS = {
    "as in the paper": "reproduced",
    "unlike the paper": "not reproduced",
    "undecided": "inconclusive",
    "unmeasured": "unmeasured",
}
LEDGER = (
    *("candidate_error", "baseline_error", "difference", "low", "high", "p", "p_holm", "images"),
    *("seeds", "seed_sd", "seed_low", "seed_high", "paper_difference"),
)


# Pages


class Element:
    """A tag and what lies in it."""

    def __init__(self, tag: str, attributes: dict, parent: Element | None):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | str] = []

    def all(self, *tags: str, **attributes: str) -> Iterator[Element]:
        """What lies in it of these tags, in order, with these words in its attributes."""
        for child in self.children:
            if isinstance(child, Element):
                words = {k: (child.attributes.get(k) or "").split() for k in attributes}
                if child.tag in tags and all(v in words[k] for k, v in attributes.items()):
                    yield child
                yield from child.all(*tags, **attributes)

    def one(self, *tags: str, **attributes: str) -> Element:
        (found,) = self.all(*tags, **attributes)
        return found

    def rows(self) -> list[Element]:
        """A table's rows below its head, but for the headings of its parts."""
        bodies = [b for b in self.all("tbody") if b.attributes.get("class") != "heading"]
        return [row for body in bodies for row in body.all("tr")]

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def numbers(self) -> list[tuple[float, str]]:
        """The exact value and the visible text of each number."""
        return [(float(data.attributes["value"]), data.text) for data in self.all("data")]

    @property
    def verdict(self) -> str:
        (text,) = (e.text for e in self.all("span", **{"class": "verdict"}))
        return text[1:].strip()


class Page(HTMLParser):
    """A page as a tree below `root`."""

    def __init__(self, path: Path):
        super().__init__()
        self.root = self.here = Element("", {}, None)
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), self.here)
        self.here.children.append(element)
        self.here = self.here if tag in EMPTY else element

    def handle_startendtag(self, tag, attrs):
        self.here.children.append(Element(tag, dict(attrs), self.here))

    def handle_endtag(self, tag):
        self.here = self.here.parent

    def handle_data(self, data):
        self.here.children.append(data)


# Numbers that should be shown


class Number(NamedTuple):
    """An exact value, or the ends of what it may be, and how it is written."""

    value: float | tuple[float, float]
    digits: int = 1
    signed: bool = False

    def is_shown(self, value: float, text: str) -> bool:
        return is_near(value, self.value) and text == self.written(value)

    def written(self, value: float) -> str:
        text = f"{abs(value):,.{self.digits}f}"
        sign = "−" if value < 0 else "+" if self.signed else ""
        return sign + text if float(text.replace(",", "")) else text


class Probability(Number):
    def written(self, value: float) -> str:
        return "<0.001" if value < 0.001 else f"{value:.{2 if value >= 0.1 else 3}f}"


def is_near(value: float, expected: float | tuple[float, float]) -> bool:
    """Equal but for rounding, or between two ends."""
    low, high = expected if isinstance(expected, tuple) else (expected, expected)
    slack = 1e-9 * max(1, abs(low), abs(high))
    return low - slack <= value <= high + slack


def cell_numbers(cell: Cell | MeasureCell, brief: bool, differs: bool) -> list[Number]:
    """The numbers of a table's cell and its neighbours, from left to right.

    differs: with the difference from the paper, which the miniature's pages leave out.
    """
    fields = cell.fields
    numbers = [Number(fields[""])] if "" in fields else []
    numbers += [Number(fields["split_sd"])] if "split_sd" in fields else []
    numbers += [Number(fields["seed_sd"], 2)] if "seed_sd" in fields else []
    if "low" in fields and not brief:
        numbers += [Number(fields["low"]), Number(fields["high"])]
    numbers += [Number(fields[n]) for n in ("paper", "paper_sd", "paper_starred") if n in fields]
    if "difference" in fields and differs:
        numbers.append(Number(fields["difference"], signed=True))
    return numbers


def counted_numbers(cell: Cell) -> list[Number]:
    """The numbers of a cell's line in its provenance."""
    fields = cell.fields
    if "" not in fields:
        return []
    images = Number(fields["images"], 0)
    if "errors" in fields:
        return [Number(int(fields["errors"]), 0), images]
    errors = cell.wrong.sum(1)
    each = [(Number(int(n), 0), Number(100 * n / fields["images"], 2)) for n in errors]
    return [images, *itertools.chain(*each), Number(fields[""], 2), Number(fields["seed_sd"], 2)]


def told_numbers(cell: MeasureCell) -> list[Number]:
    """The numbers of a measure's line in its provenance."""
    fields = cell.fields
    if "" not in fields:
        return []
    value, own = Number(fields[""], 2), cell.measured
    if own is None:
        return [value]
    numbers = [value, Number(own.images, 0)]
    if "seed_sd" in fields:
        each = [Number(one, 2) for one in own.per_seed]
        numbers = [numbers[1], *each, value, Number(fields["seed_sd"], 2)]
    return numbers + ([Number(own.split_sd, 2)] if own.split_sd is not None else [])


class Check:
    """Compares a run's report with what its posteriors and guesses say."""

    def __init__(self, run: Run):
        self.run = run
        self.miniature = run.config["data"]["source"] == "miniature"
        self.same_data = not self.miniature and run.config["data"]["classes"] == 1000
        self.differences: list[str] = []
        self.compared: Counter[str] = Counter()
        index = self.page("index")
        for name, table in self.run.tables.items():
            brief = index.root.one("article", **{"aria-labelledby": name})
            if "rows" in table:
                self.errors(name, brief.one("table"))
            elif name == "table2":
                self.parameters(self.page(name).root.one("table"), "table2.html")
                self.parameters(brief.one("table"), "index.html, table2")
            else:
                self.configurations(name, brief)
        self.inside(index)
        self.drawn(index)
        if self.run.claims:
            ledger = self.page("claims")
            self.families(ledger)
            self.shortlist(index, *self.claims(ledger))
        self.curves(index)
        self.boxes(index)
        self.evaluations()

    def page(self, name: str) -> Page:
        return Page(self.run.root / f"reports/{name}.html")

    def numbers(self, where: str, expected: Sequence[Number], found: Sequence) -> None:
        self.compared[where.split(",")[0]] += len(found)
        if len(expected) != len(found):
            self.differ(f"{where}: {len(found)} numbers, but {len(expected)}: {found}")
            return
        for number, (value, text) in zip(expected, found, strict=True):
            if not number.is_shown(value, text):
                self.differ(f"{where}: {value!r}, shown as {text}, but {number.value!r}")

    def field(self, where: str, expected: float | tuple | None, found: float) -> None:
        """A field of a CSV file; an empty one is NaN."""
        self.compared[where.split(",")[0]] += 1
        if pd.isna(found) if expected is None else is_near(found, expected):
            return
        self.differ(f"{where}: {found!r}, but {expected!r}")

    def same(self, where: str, expected, found) -> None:
        if expected != found:
            self.differ(f"{where}: {found!r}, but {expected!r}")

    def differ(self, text: str) -> None:
        self.differences.append(text)

    # Tables

    def lines(self, name: str) -> list[dict]:
        """The lines of a table's CSV file."""
        return pd.read_csv(self.run.results / f"tables/{name}.csv").to_dict("records")

    def errors(self, name: str, brief: Element) -> None:
        """A table of errors, or of features: on its page, on the index, in its CSV file."""
        page, cells = self.page(name).root, self.run.cells(name)
        panels = {div.attributes.get("id"): div for div in page.all("div")}
        lines = self.lines(name)
        rows = page.one("table", **{"class": "evaluation"}).rows()
        for found in (rows, brief.rows(), lines):
            if len(found) != len(cells):
                self.differ(f"{name}: {len(found)} rows, but {len(cells)}")
                return
        for place, (own, row, short, line) in enumerate(
            zip(cells, rows, brief.rows(), lines, strict=True), 1
        ):
            for where, element, is_brief in (
                (f"{name}.html, row {place}", row, False),
                (f"index.html, {name}, row {place}", short, True),
            ):
                differs = not (is_brief or self.miniature)
                expected = [
                    n for cell in own.values() for n in cell_numbers(cell, is_brief, differs)
                ]
                self.numbers(where, expected, element.numbers)
            outside = sum(is_outside(cell, metric, line) for metric, cell in own.items())
            marks = 0 if self.miniature else outside
            self.same(f"{name}.html, row {place}, marks", marks, row.text.count("outside the"))
            for metric, cell in own.items():
                for field in FEATURE_FIELDS if isinstance(cell, MeasureCell) else FIELDS:
                    column = f"{metric}_{field}".rstrip("_")
                    where = f"{name}.csv, row {place}, {column}"
                    self.field(where, cell.fields.get(field), line[column])
            if self.run.of_features(name):
                self.classifiers(name, place, own, panels)
            else:
                self.provenance(name, place, own, panels)

    def classifiers(self, name: str, place: int, own: dict, panels: dict) -> None:
        """The provenance of a row of features: its measures, those of classes, and the files."""
        rows = self.run.tables[name]["rows"]
        for data_set in dict.fromkeys(metric.partition("_")[2] for metric in own):
            where = f"{name}.html, provenance of row {place} on {data_set}"
            cells = [cell for metric, cell in own.items() if metric.partition("_")[2] == data_set]
            panel = panels.get(f"{name}-{place}-{data_set}")
            expected = [number for cell in cells for number in told_numbers(cell)]
            found = panel.one("ul", **{"class": "counts"}).numbers if panel else []
            self.numbers(where, expected, found)
            measured = [cell.measured for cell in cells if cell.measured is not None]
            if not measured:
                continue
            details = list(panel.all("details")) if panel else []
            by_class = [d for d in details if d.one("summary").text.startswith("By class")]
            expected = [Number(value) for each in measured for value in each.per_class]
            found = [number for each in by_class for number in each.numbers]
            self.numbers(f"{where}, by class", expected, found)
            files = self.run.named(behind(rows[place - 1]), data_set)
            summaries = [d.one("summary").text for d in details]
            named = {text for each in summaries for text in re.findall(r"\S+\.parquet", each)}
            self.same(f"{where}, files", files, named)

    def provenance(self, name: str, place: int, own: dict[str, Cell], panels: dict) -> None:
        rows = self.run.tables[name]["rows"]
        for split in dict.fromkeys(metric.split("_")[1] for metric in own):
            where = f"{name}.html, provenance of row {place} on {split}"
            cells = [cell for metric, cell in own.items() if metric.endswith(split)]
            expected = [number for cell in cells for number in counted_numbers(cell)]
            panel = panels.get(f"{name}-{place}-{split}")
            found = panel.one("ul", **{"class": "counts"}).numbers if panel else []
            self.numbers(where, expected, found)
            if any(cell.wrong is not None for cell in cells):
                files = self.run.named(behind(rows[place - 1]), split)
                summaries = panel.all("summary") if panel else []
                named = {text for s in summaries for text in re.findall(r"\S+\.parquet", s.text)}
                self.same(f"{where}, files", files, named)

    def configurations(self, name: str, brief: Element) -> None:
        """Table 1: the numbers of weight layers, ours and the paper's."""
        nets = self.run.tables[name]["nets"]
        layers = [len(re.findall("conv", self.run.models["convnets"][n])) + 3 for n in nets]
        expected = [Number(count, 0) for count in layers]
        printed = self.run.paper["table1"]["weight_layers"]
        papers = [Number(printed[net], 0) for net in nets if net in printed]
        found = self.page(name).root.one("table").numbers
        self.numbers(f"{name}.html", expected + papers, found)
        self.numbers(f"index.html, {name}", expected, brief.numbers)

    def parameters(self, table: Element, where: str) -> None:
        printed = self.run.paper["table2"]["paper"]
        for net, row in zip(self.run.tables["table2"]["nets"], table.rows(), strict=True):
            full, own = self.run.parameters(net)
            expected = [Number(full, 0)]
            if net in printed:
                difference = Number(full / 1e6 - printed[net], 2, signed=True)
                expected += [Number(printed[net], 0), difference]
            self.numbers(f"{where}, {net}", [*expected, Number(own, 0)], row.numbers)

    # Claims

    def verdict(self, element: Element) -> str | None:
        """A verdict as the files call it; None for a word that is no verdict's."""
        if self.miniature:
            return MINIATURE_WORDS.get(element.verdict)
        return element.verdict

    def claims(self, ledger: Page) -> tuple[list[str], dict, list]:
        """The ledger and claims.csv.

        Returned are the claims' verdicts; of each pair, under what is expected of it, what was
        compared, the ends of its intervals and the verdict; and of each claim its comparisons, with
        verdict, line of claims.csv, what was compared and the paper's difference.
        """
        lines = iter(pd.read_csv(self.run.results / "claims.csv").to_dict("records"))
        rows = iter(ledger.root.one("table", **{"class": "ledger"}).rows())
        verdicts, pairs, judged = [], {}, []
        for claim, all_compared in zip(self.run.claims, self.run.compared(), strict=True):
            heading, own, told = next(rows), [], []
            for comparison, compared in zip(claim["comparisons"], all_compared, strict=True):
                row, line = next(rows), next(lines)
                where = f"claim {claim['number']}, {line['candidate']} against {line['baseline']}"
                paper = self.run.paper_difference(comparison)
                fields = (compared.fields if compared else {}) | {"paper_difference": paper}
                for field in LEDGER:
                    self.field(f"claims.csv, {where}, {field}", fields.get(field), line[field])
                expected = ledger_numbers(comparison, compared, paper, len(self.run.seeds) > 1)
                self.numbers(f"claims.html, {where}", expected, row.numbers)
                margin, ends = comparison.get("margin"), (line["low"], line["high"])
                verdict = (
                    compared.verdict(comparison["expect"], margin, *ends)
                    if compared
                    else "unmeasured"
                )
                self.same(f"claims.html, {where}", verdict, self.verdict(row))
                self.same(f"claims.csv, {where}", verdict, line["verdict"])
                own.append(verdict)
                told.append((comparison, verdict, line, compared, paper))
                if compared:
                    sides = frozenset(map(frozenset, self.run.sides(comparison)))
                    found = compared.fields["difference"], compared.ends(*ends), verdict
                    pairs[comparison["expect"], sides, comparison.get("metric")] = found
            if "throughput" in claim:
                next(rows)
                own.append(self.throughput(ledger, **claim["throughput"]))
            verdicts.append(joint(own))
            judged.append(told)
            self.same(f"claims.html, claim {claim['number']}", verdicts[-1], self.verdict(heading))
        self.same("claims.html, rows of the ledger that no claim has", [], list(rows))
        self.same("claims.csv, lines that no claim has", [], list(lines))
        return verdicts, pairs, judged

    def throughput(self, ledger: Page, processes: int, speedup: float, margin: float) -> str:
        """The verdict on claim 9 by claims_throughput.csv, with which its table is compared."""
        lines = pd.read_csv(self.run.results / "claims_throughput.csv")
        if lines.empty:
            return "unmeasured"
        table = ledger.root.one("table", id="throughput-table")
        columns = {"processes": 0, "tflops": 3, "speedup": 2, "low": 2, "high": 2, "efficiency": 2}
        for row, (_, line) in zip(table.rows(), lines.iterrows(), strict=True):
            there = {c: n for c, n in columns.items() if not pd.isna(line[c])}
            expected = [Number(line[column], digits) for column, digits in there.items()]
            self.numbers("claims.html, throughput", expected, row.numbers)
        own = lines[(lines["processes"] == processes) & lines["speedup"].notna()]
        if (own["high"] < speedup - margin).any():
            return "not reproduced"
        enough = len(own) and (own["low"] >= speedup - margin).all()
        return "reproduced" if enough else "inconclusive"

    # The rest

    def families(self, ledger: Page) -> None:
        """Of how many comparisons of each kind Holm's correction is said to be."""
        counts = self.run.families()
        shown = [p for p in ledger.root.all("p") if "as Holm raises it" in p.text]
        kinds = {self.run.kind(comparison) for comparison in self.run.comparisons()}
        expected = [Number(counts[kind], 0) for kind in counts if kind in kinds]
        found = [number for p in shown for number in p.numbers]
        self.numbers("claims.html, families of tests", expected if shown else [], found)

    def shortlist(self, index: Page, verdicts: list[str], pairs: dict, judged: list) -> None:
        """The list of claims, the number of each verdict, and the miniature's directions."""
        section = index.root.one("section", **{"aria-labelledby": "claims"})
        counts = section.one("dl").numbers
        expected = [Number(verdicts.count(verdict), 0) for verdict in VERDICTS]
        self.numbers("index.html, verdicts", expected, counts)
        told = [number for p in section.all("p") for number in p.numbers]
        counted = self.directions(pairs) if self.miniature else []
        self.numbers("index.html, directions", [Number(count, 0) for count in counted], told)
        lists = section.all("ul", **{"class": "claims"})
        lines = [line for each in lists for line in each.all("li")]
        order = sorted(  # main text, then appendices
            zip(self.run.claims, verdicts, judged, strict=True),
            key=lambda each: "AB".find(each[0]["section"][0]),
        )
        self.same("index.html, length of the list of claims", len(order), len(lines))
        for (claim, verdict, own), line in zip(order, lines, strict=False):
            where = f"index.html, line of claim {claim['number']}"
            self.same(where, verdict, self.verdict(line))
            if "throughput" not in claim:
                self.numbers(where, self.least(own), line.numbers)

    def least(self, judged: list) -> list[Number]:
        """The numbers of the comparison that speaks least for a claim."""
        weak = ["not reproduced", "inconclusive", "reproduced"]
        measured = [each for each in judged if each[3] is not None]
        if not measured:
            return []

        def support(comparison: dict, verdict: str, line: dict) -> tuple[int, float]:
            nearest = {
                "lower_error": -line["high"],
                "higher": line["low"],
                "equivalent": comparison.get("margin", 0) - max(-line["low"], line["high"]),
            }
            return weak.index(verdict), nearest[comparison["expect"]]

        *_, compared, paper = min(measured, key=lambda each: support(*each[:3]))
        fields = compared.fields
        numbers = [Number(fields[name], signed=True) for name in ("difference", "low", "high")]
        of_paper = [] if paper is None or self.miniature else [Number(paper, signed=True)]
        return numbers + of_paper

    def drawn(self, index: Page) -> None:
        """What the marks against the paper's errors say, and how many of them agree."""
        names = [n for n in self.run.tables if self.run.tables[n].get("paper") in DRAWN]
        cells, measured = [], []
        for name in names:
            own = self.run.cells(name)
            for row, columns in zip(self.run.tables[name]["rows"], own, strict=False):
                for metric, cell in columns.items():
                    if cell.paper is not None and metric.startswith(("top1", "top5")):
                        cells.append(cell)
                        if "" in cell.fields:
                            measured.append((name, row["labels"], metric, cell.fields))
        opening = [s for s in index.root.all("section", **{"class": "pictured"})]
        self.same("index.html, sections of drawn errors", bool(cells), bool(opening))
        if not (cells and opening):
            return
        marks = {
            mark.attributes["id"]: next(mark.all("title")).text
            for mark in opening[0].all("g")
            if mark.attributes.get("id", "").rpartition("-")[2].isdigit() and any(mark.all("title"))
        }
        splits = {"val": "validation", "test": "test"}
        expected = [
            f"{re.sub('^table', 'Table ', name)}: {' / '.join(labels)}, "
            f"top-{metric[3]} {splits[metric[5:]]} error {own['']:.1f}% "
            f"[{own['low']:.1f}, {own['high']:.1f}], paper {own['paper']:.1f}%"
            for kind in ("top1", "top5")
            for name, labels, metric, own in measured
            if metric.startswith(kind)
        ]
        self.compared["index.html"] += len(marks)
        self.same("index.html, errors that are drawn", expected, list(marks.values()))
        counts = self.agreeing(measured) if self.same_data else self.in_order(measured)
        shares = [len(measured), len(cells)] if len(measured) < len(cells) else [len(cells)]
        found = [number for p in opening[0].all("p") for number in p.numbers]
        numbers = [Number(count, 0) for count in [*counts, *shares]]
        self.numbers("index.html, drawn errors", numbers, found)

    @staticmethod
    def agreeing(measured: list) -> list[int]:
        """In how many intervals of errors the paper's lies, and how many there are."""
        inside = [own["low"] <= own["paper"] <= own["high"] for *_, own in measured]
        return [sum(inside), len(inside)] if inside else []

    @staticmethod
    def in_order(measured: list) -> list[int]:
        """Of pairs whose intervals do not overlap those in the paper's order, and all; the rest."""
        same = apart = close = 0
        for (name, _, metric, one), (other_name, _, other, two) in itertools.permutations(
            measured, 2
        ):
            if (name, metric) == (other_name, other) and one["paper"] < two["paper"]:
                same += one["high"] < two["low"]
                apart += one["high"] < two["low"] or two["high"] < one["low"]
                close += not (one["high"] < two["low"] or two["high"] < one["low"])
        return [same, apart, close] if apart else []

    def inside(self, index: Page) -> None:
        """Of each reference, how many of its numbers lie in the measured intervals, and of all."""
        words, counts = [], []
        for own in self.referenced().values() if self.same_data else ():
            counts += [sum(not outside for _, outside in own), len(own)]
            measures = any(isinstance(cell, MeasureCell) for cell, _ in own)
            words.append("numbers" if measures else "errors")
        section = index.root.one("section", **{"aria-labelledby": "tables"})
        shown = [p for p in section.all("p") if "in their 95% interval." in p.text]
        self.same("index.html, what is compared", words, [p.text.split()[3] for p in shown])
        found = [number for p in shown for number in p.numbers]
        self.numbers("index.html, compared", [Number(count, 0) for count in counts], found)

    def referenced(self) -> dict[str, list[tuple[Cell | MeasureCell, bool]]]:
        """The cells with an interval beside each reference, and whether it is outside."""
        cells: dict[str, list] = {"paper": []}
        for name in self.run.measured():
            whose = cells.setdefault(self.run.tables[name].get("reference", "paper"), [])
            for row, line in zip(self.run.cells(name), self.lines(name), strict=True):
                for metric, cell in row.items():
                    if {"difference", "low"} <= cell.fields.keys():
                        whose.append((cell, is_outside(cell, metric, line)))
        return {whose: own for whose, own in cells.items() if own}

    def directions(self, pairs: dict) -> list[int]:
        """How many differences go the paper's way, and the other; what equal pairs came to."""
        signs = {"lower_error": -1, "higher": 1}  # of a difference that goes the paper's way
        better = [
            (signs[expect] * difference, signs[expect], ends)
            for (expect, *_), (difference, ends, _) in pairs.items()
            if expect in signs
        ]
        expected = []
        for way in (1, -1):
            own = [(way * sign, ends) for gain, sign, ends in better if way * gain > 0]
            clear = [all(sign * end > 0 for pair in ends for end in pair) for sign, ends in own]
            counts = [len(own), *([len(better)] if way == 1 else []), sum(clear)]
            expected += counts if better else []
        equal = [verdict for (expect, *_), (*_, verdict) in pairs.items() if expect == "equivalent"]
        order = ("reproduced", "inconclusive", "not reproduced")
        return expected + ([len(equal), *map(equal.count, order)] if equal else [])

    def curves(self, index: Page) -> None:
        """Where the learning curves end: error and iteration, for each seed."""
        for figure in index.root.all("figure"):
            label = figure.one("svg", role="img").attributes["aria-label"]
            captions = [caption for caption in figure.all("figcaption") if caption.numbers]
            if not (label.startswith("Learning curves of ") and captions):
                continue
            model, expected = label.removeprefix("Learning curves of "), []
            for seed in self.run.seeds:
                folder = "." if seed == self.run.seeds[0] else f"seed{seed}"
                history = pd.read_csv(self.run.results / folder / f"history/{model}.csv")
                of_boxes = "val_gtloc_error" in history
                error = "val_gtloc_error" if of_boxes else "val_top1_error"
                last = history.dropna(subset=[error]).iloc[-1]
                expected += [Number(last[error]), Number(int(last["iteration"]), 0)]
            self.numbers(f"index.html, curve of {model}", expected, captions[0].numbers)

    def boxes(self, index: Page) -> None:
        """What was read of the true boxes of each split, and how many annotations are odd."""
        tables = {table.one("caption").text: table for table in index.root.all("table")}
        shown = tables.get("True boxes")
        splits = [row.one("th").text for row in shown.rows()] if shown else []
        for split, row in zip(splits, shown.rows() if shown else [], strict=True):
            truth = pd.read_parquet(self.run.results / f"truth/{split}.parquet")
            counts = truth["boxes"].str.len()
            expected = [len(truth), (counts > 0).sum(), counts.sum(), truth["blacklisted"].sum()]
            where = f"index.html, boxes of {split}"
            self.numbers(where, [Number(int(count), 0) for count in expected], row.numbers)
        read = {s: self.run.results / f"truth/{s}.json" for s in splits}
        odd = [json.loads(path.read_text())["oddities"] for path in read.values()]
        expected = sorted(len(ids) for kinds in odd for ids in kinds.values())
        rows = tables["Odd annotations"].rows() if "Odd annotations" in tables else []
        found = sorted(number for row in rows for number, _ in row.numbers)
        self.same("index.html, odd annotations", expected, found)

    def evaluations(self) -> None:
        """evaluations.csv: each evaluation alone, beside the paper's row of it alone."""
        papers = {}
        for name in (n for n in self.run.measured() if "paper" in self.run.tables[n]):
            pairs = zip(self.run.tables[name]["rows"], self.run.papers(name), strict=False)
            for row, errors in pairs:
                if "evaluations" not in row:
                    continue
                papers.setdefault(evaluations(row["evaluations"]), errors)
        for line in pd.read_csv(self.run.results / "evaluations.csv").to_dict("records"):
            own = ((line["model"], line["method"], line["Q"]),)
            for k in (1, 5):
                wrong = self.run.wrong(own, "val", f"top{k}")
                cell = Cell(wrong, papers.get(own, {}).get(f"top{k}_val"))
                for field in ("", "low", "high", "seed_sd", "paper"):
                    column = f"top{k}_{field}".rstrip("_")
                    where = f"evaluations.csv, {own[0]}, {column}"
                    self.field(where, cell.fields.get(field), line[column])


def is_outside(cell: Cell | MeasureCell, metric: str, line: dict) -> bool:
    """Whether the reference's number is outside a measured interval, as it was drawn."""
    fields = cell.fields
    if not {"difference", "low"} <= fields.keys():
        return False
    return not line[f"{metric}_low"] <= cell.paper <= line[f"{metric}_high"]


def ledger_numbers(comparison, compared, paper: float | None, several: bool) -> list[Number]:
    """The numbers of a comparison in the ledger, from left to right."""
    numbers = [Number(comparison["margin"])] if "margin" in comparison else []
    of_paper = [] if paper is None else [Number(paper, signed=True)]
    if compared is None:
        return numbers + of_paper
    fields = compared.fields
    numbers += [Number(fields["candidate_error"]), Number(fields["baseline_error"])]
    numbers += [Number(fields["difference"], signed=True), *of_paper]
    numbers += [Number(fields["low"], signed=True), Number(fields["high"], signed=True)]
    numbers += [Probability(fields["p"]), Probability(fields["p_holm"])]
    numbers += [Number(fields["images"], 0), Number(fields["seeds"], 0)]
    if several and "seed_sd" in fields:
        numbers.append(Number(fields["seed_sd"], 2))
        numbers += [Number(fields[end], signed=True) for end in ("seed_low", "seed_high")]
        numbers += [Number(each, signed=True) for each in compared.per_seed]
    return numbers


def main(arguments: list[str] | None = None) -> None:
    parser = checks.parser(__doc__)
    parser.add_argument(
        "--tree", type=Path, default=".", help="with a finished run; default: this one"
    )
    check = Check(Run(parser.parse_args(arguments).tree.resolve()))
    for name, count in sorted(check.compared.items()):
        print(f"{name:20}{count:>7} numbers")
    sys.exit("\n".join(check.differences) if check.differences else 0)


if __name__ == "__main__":
    main()
