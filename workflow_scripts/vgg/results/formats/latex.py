"""Tables as LaTeX: booktabs rules, within the text width of LaTeX's article class."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from .layout import label
from .sheets import Column, Row, Sheet, Text

WIDTH = 345  # points: the text width of an article at 10 points
SIZES = {r"\small": 9, r"\footnotesize": 8}  # points
GAP = 7  # points between two columns
MATHS = {
    "×": "times", "±": "pm", "·": "cdot", "†": "dagger", "‡": "ddagger", "⟨": "langle",
    "⟩": "rangle", "≤": "le", "≥": "ge", "≠": "ne", "≈": "approx", "→": "rightarrow",
    "∞": "infty", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon",
    "λ": "lambda", "μ": "mu", "σ": "sigma",
}  # fmt: skip
COMMANDS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "§": r"\S{}",
    "…": r"\ldots{}",
    "[": "{[}",  # after \\ and \midrule a bracket or a star would be an option
    "*": "{*}",
    "–": "--",
    "—": "---",
    "’": "'",
    "‘": "`",
    "”": "''",
    "“": "``",
    '"': "''",
    "−": "$-$",
    "\N{ZERO WIDTH SPACE}": "{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{character: f"${character}$" for character in "<>|"},
    **{character: f"$\\{command}$" for character, command in MATHS.items()},
}


class Layout(NamedTuple):
    """How a table gets into its width. stacked: intervals stand below their numbers.

    headed: the first label stands above its group, and has no column. broken: shared headings that
    are set in several lines, with their width in points. fits: it does get into its width.
    """

    size: str
    formats: list[str]
    stacked: bool = False
    headed: bool = False
    broken: Mapping[str, float] = MappingProxyType({})
    fits: bool = True


def latex(sheet: Sheet) -> str:
    """A `table` environment that needs the packages booktabs and array.

    A table that is too wide is set in pieces, one below the other, each with all rows.
    """
    pieces = [(piece, _layout(piece)) for piece in _pieces(sheet)]
    lines = [
        rf"% {escaped(label(sheet.name))}: needs \usepackage{{booktabs}} and \usepackage{{array}}.",
        r"\begin{table}[tbp]",
        r"\centering",
        rf"\caption{{{escaped(sheet.caption)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9.-]', '-', sheet.name)}}}",
        r"\smallskip",
        max((layout.size for _, layout in pieces), key=list(SIZES).index),
        rf"\setlength{{\tabcolsep}}{{{GAP / 2}pt}}",
    ]
    for place, (piece, layout) in enumerate(pieces):
        lines += [r"\par\medskip"] if place else []
        lines += _tabular(piece, layout)
    lines += [rf"\par\smallskip\raggedright {escaped(note)}" for note in sheet.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _tabular(sheet: Sheet, layout: Layout) -> Iterator[str]:
    """The lines of a `tabular` environment."""
    columns = sheet.columns[layout.headed :]
    yield rf"\begin{{tabular}}{{@{{}}{''.join(layout.formats)}@{{}}}}"
    yield r"\toprule"
    yield from _headings(columns, sheet.columns[0].heading if layout.headed else "", layout.broken)
    for part in sheet.parts:
        yield r"\midrule"
        for place, group in enumerate(part):
            if place and max(map(len, part)) > 1:
                yield r"\addlinespace"
            if layout.headed:
                heading = rf"\emph{{{_line(group[0][0][0])}}}"
                yield rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{{heading}}} \\"
            rows = [row[1:] for row in group] if layout.headed else group
            yield from _rows(rows, columns, layout.stacked)
    yield r"\bottomrule"
    yield r"\end{tabular}"


def escaped(text: str) -> str:
    """Text that pdflatex prints as it stands, on one line, with its default fonts.

    Letters that are not Latin stay as they are: XeLaTeX and LuaLaTeX print them.
    """
    apart = re.sub("-(?=-)", "-\N{ZERO WIDTH SPACE}", " ".join(text.split()))
    return "".join(COMMANDS.get(character, character) for character in apart)


def _headings(columns: Sequence[Column], first: str, broken: Mapping[str, float]) -> Iterator[str]:
    """The line of shared headings, if there are any, and that of each column's own.

    first: what the label above each group is, if it stands there. broken: as in Layout.
    """
    if any(column.over for column in columns):
        cells, rules, place = [], [], 1
        for over, same in itertools.groupby(columns, lambda column: column.over):
            count = len(list(same))
            form, text = ("c", escaped(over)) if over else ("@{}l", rf"\emph{{{escaped(first)}}}")
            if over in broken:
                form = rf">{{\centering\arraybackslash}}p{{{broken[over]:.1f}pt}}"
            cells.append(rf"\multicolumn{{{count}}}{{{form}}}{{{text}}}")
            rules += [rf"\cmidrule(lr){{{place}-{place + count - 1}}}"] if over else []
            place += count
        yield rf"{' & '.join(cells)} \\ {''.join(rules)}"
    yield rf"{' & '.join(escaped(column.heading) for column in columns)} \\"


def _rows(rows: Sequence[Row], columns: Sequence[Column], stacked: bool) -> Iterator[str]:
    """The lines of a group of rows; labels that the row above has too are left out."""
    above: Row = []
    for row in rows:
        if len(row) == 1 < len(columns):
            yield from (rf"\multicolumn{{{len(columns)}}}{{c}}{{{_line(t)}}} \\" for t in row[0])
            continue
        pairs = zip(above, row, columns, strict=False)
        same = len(
            list(itertools.takewhile(lambda p: p[0] == p[1] and p[2].kind == "label", pairs))
        )
        above = row
        for line in range(max(map(len, row))):
            texts = [_line(cell[line]) if line < len(cell) else "" for cell in row]
            texts[:same] = [""] * same
            if stacked:
                texts = [
                    text.replace(" (", r"\newline (") if column.kind == "measured" else text
                    for text, column in zip(texts, columns, strict=True)
                ]
            yield rf"{' & '.join(texts)} \\"


def _line(line: Text) -> str:
    text = escaped(line.text)
    return rf"\textbf{{{text}}}" if line.bold else text


def _pieces(sheet: Sheet) -> list[Sheet]:
    """A table as it is, if it gets into its width, or its shared headings in as few as will do."""
    overs = list(dict.fromkeys(column.over for column in sheet.columns if column.over))
    pieces: list[list[str]] = []
    own: list[str] = []
    for over in overs:
        if own and not _layout(_piece(sheet, [*own, over])).fits:
            pieces.append(own)
            own = []
        own.append(over)
    return [_piece(sheet, each) for each in [*pieces, own]] if pieces else [sheet]


def _piece(sheet: Sheet, overs: Collection[str]) -> Sheet:
    """A table's labels, and of its other columns those that share these headings."""
    kept = [
        place
        for place, column in enumerate(sheet.columns)
        if column.kind == "label" or column.over in overs
    ]
    return sheet._replace(
        columns=[sheet.columns[place] for place in kept],
        parts=[
            [[[row[place] for place in kept] for row in group] for group in part]
            for part in sheet.parts
        ],
    )


def _layout(sheet: Sheet) -> Layout:
    """The first of these that fits: small, smaller, with broken shared headings, stacked, and with
    a group's label above it.

    In the last one, long labels are broken.
    """
    places = range(len(sheet.columns))
    kinds = [column.kind for column in sheet.columns]
    formats = [{"label": "l", "layers": "c"}.get(kind, "r") for kind in kinds]
    for broken_too in (False, True):
        for size, points in SIZES.items():
            own = {place: points * _width(sheet, place) for place in places}
            broken = _too_wide(sheet, own, points)
            more = 0 if broken_too else sum(points * _ems(over) - w for over, w in broken.items())
            if sum(own.values()) + GAP * (len(places) - 1) + more <= WIDTH:
                return Layout(size, formats, broken=broken if broken_too else {})
    labels = [place for place in places if kinds[place] == "label"]
    room: float = WIDTH - GAP * (len(places) - 1)
    for place in set(places) - set(labels):
        width = points * _width(sheet, place, r" (?=\()" if kinds[place] == "measured" else "$^")
        own[place] = width
        room -= width
        if kinds[place] == "measured":
            formats[place] = rf">{{\raggedleft\arraybackslash}}p{{{width:.1f}pt}}"
    broken = _too_wide(sheet, own, points)
    wanted = {place: points * _width(sheet, place) for place in labels}
    if sum(wanted.values()) <= room:
        return Layout(size, formats, stacked=True, broken=broken)
    if headed := len(labels) > 1:
        del wanted[labels[0]]
        room += GAP
    needed = {place: points * _width(sheet, place, "[ -]") for place in wanted}
    more = sum(wanted.values()) - sum(needed.values())
    left = room - sum(needed.values())
    share = min(1, max(0, left) / more) if more else 0
    for place, need in needed.items():
        width = need + share * (wanted[place] - need)
        formats[place] = rf">{{\raggedright\arraybackslash}}p{{{width:.1f}pt}}"
    return Layout(size, formats[headed:], True, headed=headed, broken=broken, fits=left >= 0)


def _too_wide(sheet: Sheet, widths: Mapping[int, float], points: float) -> dict[str, float]:
    """The shared headings that are wider than their columns together, with the columns' width.

    widths: of columns by their places, in points, as what is given back.
    """
    room: dict[str, float] = {}
    for place, column in enumerate(sheet.columns):
        if column.over:
            room[column.over] = room.get(column.over, -GAP) + GAP + widths[place]
    return {over: width for over, width in room.items() if points * _ems(over) > width}


def _width(sheet: Sheet, place: int, breaks: str = "$^") -> float:
    """About how many ems the widest text of a column has, which may be broken at `breaks`."""
    texts = [sheet.columns[place].heading]
    for row in itertools.chain.from_iterable(itertools.chain.from_iterable(sheet.parts)):
        texts += [line.text for line in row[place]] if len(row) > 1 else []
    return max(_ems(piece) for text in texts for piece in re.split(breaks, text))


def _ems(text: str) -> float:
    """About the width of a text in Computer Modern at 8 or 9 points."""
    wide, thin = set("ABCDEFGHIJKLMNOPQRSTUVWXYZmw&%±×"), set(" .,;:'|()[]fijlrt")
    return sum(0.8 if c in wide else 0.35 if c in thin else 0.54 for c in text)
