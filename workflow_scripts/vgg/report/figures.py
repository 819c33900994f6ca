"""The report's drawings as SVG: errors against the paper's, against depth and against test scale,
learning curves, precision against recall.

Each stands alone as a file, and a page may hold it as it is: text stays text, and lines and words
take the colour of the text around them (`currentColor`). Series differ in marker and line, never in
colour alone. `<title>` and `<desc>` say in words and numbers what is drawn. The same data give the
same bytes.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar
from xml.sax.saxutils import escape

from ..results.formats.layout import label
from ..results.paper_tables import NAMES
from ..results.single_evaluations import METRICS, MeasuredEvaluation
from ..training.history import History
from .against_paper import PaperCell

T = TypeVar("T")
OF_BOXES = ("gtloc",)  # the errors of a net of boxes while it is trained; others have METRICS
Limits = dict[tuple[str, ...], tuple[float, float]]
METHOD_NAMES = {"dense": "dense", "multicrop": "multi-crop", "center": "centre crop"}
INK = "#010203"  # stands for the colour of the surrounding text until the SVG is written
# Blue, vermilion and bluish green of Okabe and Ito, chosen for colour-blind readers, and a purple.
# Each has a contrast of 3:1 or more with the report's light page and with its dark one.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#b8609a")
DASHES: tuple[str | tuple, ...] = ("-", (0, (4, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
HOLLOW = {"markersize": 7, "markerfacecolor": "none", "markeredgewidth": 0.9, "linewidth": 0.7}
DROP = {"color": INK, "linestyle": (0, (3, 3)), "linewidth": 0.8, "alpha": 0.7}
DIAGONAL = {"color": INK, "linewidth": 0.8, "alpha": 0.6, "zorder": 0}
FAINT = {"color": INK, "linewidth": 0.8, "alpha": 0.25}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STYLE = {
    "svg.fonttype": "none",
    "path.simplify": False,
    "text.parse_math": False,  # models may have any name
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; others are seldom wider
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.6,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 2.4,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.borderpad": 0,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "grid.color", "text.color"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}


class Series(NamedTuple):
    """How a series looks, as matplotlib names it."""

    color: str
    marker: str
    linestyle: str | tuple


SERIES = tuple(
    Series(color, marker, dash) for color, marker, dash in zip(PALETTE, "os^D", DASHES, strict=True)
)
CURVES = dict(zip((*METRICS, *OF_BOXES), SERIES, strict=False))
OF_ROLES = dict(zip(("best", "median", "worst"), SERIES, strict=False))
APART = 7  # percent of an axis between the names at curves' ends


def learning_curves(histories: Sequence[History], limits: Limits) -> str:
    """One model's validation errors and training loss against iteration, for all of its seeds.

    Dashed are drops of the learning rate: through the loss those of every seed, through the errors
    the first seed's with the new rate.

    limits: where the axes of error (percent) and loss end; see `curve_limits`.
    """
    model = histories[0].model
    last = max((p.iteration for history in histories for p in history.lines), default=1)
    metrics = _errors_of(histories)
    error_end, loss_end = limits[metrics]
    with _figure(f"learning-{model}", 300, 240) as figure:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        for history in histories:
            seed = f"seed{history.seed or 0}"
            for metric in metrics:
                points = history.measured(f"val_{metric}_error")
                _draw_curve(upper, points, CURVES[metric], f"{metric}-{seed}")
            _draw_curve(
                lower, history.measured("train_loss"), Series(INK, ".", "-"), f"loss-{seed}"
            )
            for iteration, _ in history.drops:
                lower.axvline(iteration, **DROP).set_gid(f"drop-{seed}-{iteration}")
        # There is room above, for errors fall before rates do; boxes' may stay high.
        last_errors = [error for _, error in histories[0].measured(f"val_{metrics[0]}_error")[-1:]]
        below = metrics == OF_BOXES and max(last_errors, default=0) > error_end / 2
        for iteration, rate in histories[0].drops:
            upper.axvline(iteration, **DROP)
            upper.annotate(
                f"rate {_power(rate)}",
                xy=(iteration, 0 if below else 1),
                xycoords=upper.get_xaxis_transform(),
                xytext=(2, 2 if below else 0),
                textcoords="offset points",
                **{"rotation": 90, "va": "bottom" if below else "top", "ha": "left", "size": 8},
            )
        upper.set(title="validation error (%)", xlim=(0, 1.03 * last), ylim=(0, error_end))
        lower.set(title="training loss", xlabel="iteration", ylim=(0, loss_end))
        for axes in (upper, lower):
            axes.locator_params(nbins=4)
        lower.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}")
        handles = [_handle(CURVES[metric], NAMES[metric]) for metric in metrics]
        upper.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        figure.suptitle(model, x=0.01, ha="left", size=10, weight="bold")
        return _svg(
            figure,
            f"Learning curves of {model}",
            " ".join(_told(history, metrics) for history in histories),
        )


def measured_against_paper(cells: Sequence[PaperCell], same_data: bool) -> str:
    """Errors of one kind, measured with their intervals, against those that the paper prints.

    Cells of which the paper's number is the same stand side by side, so that each is seen. A cell's
    words and numbers are its `<title>`, which browsers show under the pointer.

    same_data: whether they were measured on the paper's data set. If so, both axes are the same and
    have a diagonal, on which the errors are equal; if not, only their order compares.
    """
    kind = NAMES[cells[0].kind]
    drawn = [(cell, cell.measured) for cell in cells if cell.measured is not None]
    tables = dict.fromkeys(cell.table for cell in cells)
    looks = dict(zip(tables, itertools.cycle(SERIES), strict=False))
    papers = [cell.paper for cell, _ in drawn] or [cell.paper for cell in cells]
    errors = [end for _, measured in drawn for end in (measured.low, measured.high)]
    across, up = (papers + errors,) * 2 if same_data else (papers, errors)
    titles: dict[str, str] = {}
    with _figure(f"paper-{kind}", 360, 380) as figure:
        axes = figure.subplots()
        axes.set(title="measured (%), with 95% intervals", xlabel="in the paper (%)")
        axes.set(xlim=_ends(across), ylim=_ends(up))
        axes.grid(axis="x")
        if same_data:
            axes.plot(axes.get_xlim(), axes.get_xlim(), **DIAGONAL, gid="diagonal")
            axes.set_aspect("equal")
        apart = 0.011 * (max(papers) - min(papers))
        for number, (cell, measured) in enumerate(drawn):
            look = looks[cell.table]
            beside = [other for other, _ in drawn if other.paper == cell.paper]
            x = cell.paper + _aside(cell, beside, beside, apart)
            bar = axes.vlines(x, measured.low, measured.high)
            bar.set(color=look.color, linewidth=1.2, gid=f"cell-{number}-interval")
            (mark,) = axes.plot(x, measured.error, look.marker, color=look.color, clip_on=False)
            mark.set_gid(f"cell-{number}")
            titles |= dict.fromkeys((bar.get_gid(), mark.get_gid()), str(cell))
        if not drawn:
            _say_unmeasured(axes)
        handles = [_handle(looks[name]._replace(linestyle=""), label(name)) for name in looks]
        _head(figure, f"{_begin(kind)} error", handles)
        told = [f"{cell}." for cell, _ in drawn] or ["Nothing was measured."]
        return _svg(figure, f"Measured {kind} errors against the paper’s", " ".join(told), titles)


def error_against_depth(evaluations: Sequence[MeasuredEvaluation]) -> str:
    """Errors of dense evaluation at a single scale against depth, a line for each S (Table 3).

    A line joins the nets of Table 1; variants of them, such as A-LRN, stand apart. Nets of as many
    weight layers stand side by side. Of several models of one net and S, the first is drawn.
    """
    single = [measured for measured in evaluations if measured.at_single_scale]
    by_net: dict[str, dict[tuple[int, ...], MeasuredEvaluation]] = {}
    for measured in single:
        by_net.setdefault(measured.net, {}).setdefault(measured.S, measured)
    drawn = [measured for own in by_net.values() for measured in own.values()]
    told = [f"{measured.model} is not drawn." for measured in single if measured not in drawn]
    scales = sorted({measured.S for measured in drawn}, key=lambda S: (S[0] != S[1], S))
    layers = {net: next(iter(own.values())).weight_layers for net, own in by_net.items()}
    places = _side_by_side(layers)
    names = {}
    with _figure("error-against-depth", 340, 420) as figure:
        panels = figure.subplots(2, sharex=True)
        for S, look in zip(scales, itertools.cycle(SERIES), strict=False):
            names[f"S = {_scale(S)}"] = look
            points = {
                net: (place + _aside(S, scales, by_net[net], 0.18), by_net[net][S])
                for net, place in places.items()
                if S in by_net[net]
            }
            table1 = [net for net in points if "-" not in net]
            for nets in ([table1] if table1 else []) + [[net] for net in points if "-" in net]:
                name = f"S{S[0]}-{S[1]}-{nets[0]}"
                _draw_errors(panels, [points[net] for net in nets], look, name)
            own = {net: measured for net, (_, measured) in points.items()}
            told += [_listed(f"S = {_scale(S)}", metric, own) for metric in METRICS]
        title = "Single test scale, by training scale S"
        _finish(figure, panels, title, names=names, drawn=drawn, limits=error_limits(drawn))
        panels[1].set_xticks(list(places.values()), [f"{net}\n{layers[net]}" for net in places])
        panels[1].set_xlabel("ConvNet and its weight layers")
        if places:
            panels[1].set_xlim(min(places.values()) - 0.8, max(places.values()) + 0.8)
        return _svg(figure, "Error against depth", _whole(told, drawn))


def error_against_scale(
    evaluations: Sequence[MeasuredEvaluation], limits: dict[str, tuple[float, float]]
) -> str:
    """One model's errors against the test scale Q, a line for each method (§4.2, §4.3).

    limits: ends of the error axis by metric, the same for all models of a run; see `error_limits`.
    """
    model = evaluations[0].model
    scales = sorted({measured.Q for measured in evaluations})
    span, told = scales[-1] - scales[0], []
    present = {measured.method for measured in evaluations}
    names = {}
    with _figure(f"scale-{model}", 320, 290) as figure:
        panels = figure.subplots(2, sharex=True)
        for method, look in zip(METHOD_NAMES, SERIES, strict=False):
            if method not in present:
                continue
            own = sorted((t for t in evaluations if t.method == method), key=lambda t: t.Q)
            aside = _aside(method, METHOD_NAMES, present, 0.02 * span)
            _draw_errors(panels, [(t.Q + aside, t) for t in own], look, method)
            names[METHOD_NAMES[method]] = look
            at_scales = {f"Q = {measured.Q}": measured for measured in own}
            told += [_listed(METHOD_NAMES[method], metric, at_scales) for metric in METRICS]
        _finish(figure, panels, model, names=names, drawn=evaluations, limits=limits)
        panels[1].set_xticks(scales, list(map(str, scales)))
        panels[1].set_xlabel("test scale Q")
        panels[1].set_xlim(scales[0] - 0.08 * span, scales[-1] + 0.08 * span)
        title = f"Error of {model} against the test scale"
        return _svg(figure, title, _whole(told, evaluations))


def precision_against_recall(ranked: Mapping) -> str:
    """Precision against recall of a data set's classes, of which three stand out and have names.

    Hollow, if average precision is of eleven points, is each of them.

    ranked: as `examine_features` has it: `title`, `images`, `mean` and `classes`.
    """
    drawn = sorted(ranked["classes"], key=lambda each: each["role"] is not None)
    named = [each for each in ranked["classes"] if each["role"]]
    with _figure("precision-recall", 360, 310) as figure:
        axes = figure.subplots()
        for each in drawn:
            line = {**OF_ROLES[each["role"]]._asdict(), "marker": ""} if each["role"] else FAINT
            (curve,) = axes.plot(each["recall"], each["precision"], **line)
            curve.set_gid(f"curve-{ranked['classes'].index(each)}")
        for each in named:
            look, points = OF_ROLES[each["role"]], each["interpolated"]
            if points:
                recalls = [100 * k / (len(points) - 1) for k in range(len(points))]
                (marks,) = axes.plot(recalls, points, look.marker, color=look.color, **HOLLOW)
                marks.set(markersize=5.5, clip_on=False, gid=f"eleven-{each['role']}")
        axes.set(xlim=(0, 100), ylim=(0, 105), xlabel="recall (%)", title="precision (%)")
        for each, height in zip(
            named, _spread([each["precision"][-1] for each in named], APART, 105), strict=True
        ):
            axes.annotate(
                f"{each['class']} {each['average_precision']:.1f}",
                xy=(100, each["precision"][-1]),
                xytext=(106, height),
                va="center",
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": OF_ROLES[each["role"]].color,
                    "linewidth": 0.8,
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "relpos": (0, 0.5),
                },
            )
        marks = [each for each in named if each["interpolated"]]
        handles = [
            _handle(look if marks else look._replace(marker=""), role, markerfacecolor="none")
            for role, look in OF_ROLES.items()
            if role in {each["role"] for each in named}
        ]
        if len(named) < len(drawn):
            handles.append(_handle(Series(INK, "", "-"), "others", alpha=FAINT["alpha"]))
        _head(figure, f"{ranked['title']}, by average precision", handles)
        told = [
            f"Curves of {len(drawn)} classes, of {ranked['images']} test images; the mean average "
            f"precision is {ranked['mean']:.1f}%.",
            *map(_told_of_class, named),
        ]
        return _svg(figure, f"Precision against recall on {ranked['title']}", " ".join(told))


def curve_limits(histories: Sequence[History]) -> Limits:
    """Ends of axes of error and loss, from 0 on, that hold every history.

    Those of classifiers, and apart from them those of nets of boxes, whose loss is another; by the
    errors that they have.
    """
    of_boxes = {each.model for each in histories if _errors_of([each]) == OF_BOXES}

    def end(own: Sequence[History], *columns: str) -> float:
        values = [v for history in own for name in columns for _, v in history.measured(name)]
        return 1.05 * max(values, default=0) or 1.0

    limits: Limits = {}
    for metrics in (METRICS, OF_BOXES):
        own = [h for h in histories if (h.model in of_boxes) == (metrics == OF_BOXES)]
        errors = [f"val_{metric}_error" for metric in metrics]
        limits[metrics] = end(own, *errors), end(own, "train_loss")
    return limits


def error_limits(evaluations: Iterable[MeasuredEvaluation]) -> dict[str, tuple[float, float]]:
    """Ends of an error axis by metric that hold every interval and the paper's numbers."""
    limits = {}
    for metric in METRICS:
        errors = [getattr(measured, metric) for measured in evaluations]
        limits[metric] = _ends(
            [v for e in errors for v in (e.low, e.high, e.paper) if v is not None]
        )
    return limits


def _ends(values: Collection[float]) -> tuple[float, float]:
    """Ends of an axis that holds errors, from 0 unless that would leave half of it empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.08 * (high - low) or 1.0
    return (low - margin if low > high / 2 else 0.0, high + margin)


@contextlib.contextmanager
def _figure(name: str, width: int, height: int) -> Iterator:
    """An empty figure of a size in pixels, and the style in which it is drawn and saved."""
    from matplotlib import style
    from matplotlib.figure import Figure

    # The default style first: no settings of a user's may change the drawing.
    with style.context(["default", STYLE, {"svg.hashsalt": name}]):
        # At 72 dots an inch, matplotlib's points are the drawing's pixels.
        yield Figure(figsize=(width / 72, height / 72), layout="constrained")


def _svg(figure, title: str, description: str, titles: Mapping[str, str] | None = None) -> str:
    """The drawing with its text alternative, as a page may hold it.

    titles: what parts of it are, by the identifiers of their groups.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    head, body = file.getvalue().replace(INK, "currentColor").split("<svg", 1)[1].split(">", 1)
    head = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', head)
    # A style sheet would hold for all of a page; the one that matplotlib writes says this much.
    body = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    for name, words in (titles or {}).items():
        group = f'<g id="{name}">'
        body = body.replace(group, f"{group}<title>{escape(words)}</title>")
    words = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>"
    return f'<svg{head} stroke-linejoin="round">\n {words}{body}'


def _draw_curve(axes, points: Sequence[tuple[int, float]], series: Series, name: str) -> None:
    every = max(1, len(points) // 10)  # markers at every point would hide the dashes
    x, y = zip(*points, strict=True) if points else ((), ())
    (line,) = axes.plot(x, y, **series._asdict(), markersize=3.5, markevery=every)
    line.set_gid(name)


def _draw_errors(
    panels: Sequence, points: Sequence[tuple[float, MeasuredEvaluation]], series: Series, name: str
) -> None:
    """A series of (x, evaluation): errors with intervals, and hollow and thin the paper's."""
    for axes, metric in zip(panels, METRICS, strict=True):
        errors = [(x, getattr(measured, metric)) for x, measured in points]
        x = [x for x, _ in errors]
        bars = axes.vlines(x, [e.low for _, e in errors], [e.high for _, e in errors])
        bars.set(color=series.color, linewidth=1.2, gid=f"{metric}-{name}-interval")
        (line,) = axes.plot(x, [e.error for _, e in errors], **series._asdict())
        line.set_gid(f"{metric}-{name}")
        paper = [(x, e.paper) for x, e in errors if e.paper is not None]
        if paper:
            (line,) = axes.plot(*zip(*paper, strict=True), **series._asdict(), **HOLLOW)
            line.set_gid(f"{metric}-{name}-paper")


def _finish(
    figure,
    panels: Sequence,
    title: str,
    names: dict[str, Series],
    drawn: Sequence[MeasuredEvaluation],
    limits: dict[str, tuple[float, float]],
) -> None:
    """Titles, error axes and the legend of panels, one for each metric, of what was `drawn`."""
    for axes, metric in zip(panels, METRICS, strict=True):
        axes.set(title=f"{NAMES[metric]} validation error (%), 95% intervals", ylim=limits[metric])
        axes.locator_params(axis="y", nbins=5)
        if not drawn:
            _say_unmeasured(axes)
    handles = [_handle(series, name) for name, series in names.items()]
    if any(getattr(measured, metric).paper is not None for measured in drawn for metric in METRICS):
        handles.append(_handle(Series(INK, "o", "-"), "paper", **HOLLOW))
    _head(figure, title, handles)


def _head(figure, title: str, handles: Sequence) -> None:
    """A title above a figure's panels, with the legend below it."""
    figure.legend(
        handles=handles,
        title=title,
        title_fontproperties={"weight": "bold", "size": 10},
        alignment="left",
        loc="outside upper left",
        ncols=4,
    )


def _say_unmeasured(axes) -> None:
    words = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, "not measured in this run", **words)


def _handle(series: Series, label: str, **more):
    """An entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **series._asdict(), label=label, **more)


def _aside(series: T, order: Iterable[T], present: Collection[T], step: float) -> float:
    """How far a series stands beside its place, so that the `present` ones' intervals are seen."""
    beside = [other for other in order if other in present]
    return step * (beside.index(series) - (len(beside) - 1) / 2)


def _spread(heights: Sequence[float], apart: float, end: float) -> list[float]:
    """Heights as near to those given as can be, `apart` and between 0 and `end`, in their order."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    found = list(heights)
    lowest = apart / 2
    for place in order:
        found[place] = lowest = max(found[place], lowest)
        lowest += apart
    highest = end - apart / 2
    for place in reversed(order):
        found[place] = highest = min(found[place], highest)
        highest -= apart
    return found


def _side_by_side(layers: dict[str, int]) -> dict[str, float]:
    """Where nets stand on an axis of weight layers, those of the same number around it."""
    places: dict[str, float] = {}
    for depth in sorted(set(layers.values())):
        nets = sorted(net for net in layers if layers[net] == depth)
        places |= {net: depth + 0.9 * (i - (len(nets) - 1) / 2) for i, net in enumerate(nets)}
    return places


def _scale(S: Sequence[int]) -> str:
    """S as the paper writes it."""
    low, high = S
    return str(low) if low == high else f"[{low};{high}]"


def _power(rate: float) -> str:
    """A learning rate such as 5·10⁻⁴."""
    mantissa, exponent = f"{rate:.2e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"


def _listed(series: str, metric: str, measured: dict[str, MeasuredEvaluation]) -> str:
    """A sentence with the errors of a series, by what names its points."""
    errors = {name: getattr(each, metric) for name, each in measured.items()}
    numbers = (
        f"{name} {e.error:.1f}%" + ("" if e.paper is None else f" (paper {e.paper:.1f}%)")
        for name, e in errors.items()
    )
    return f"{_begin(series)}, {NAMES[metric]} error: {', '.join(numbers)}."


def _whole(told: Sequence[str], drawn: Iterable[MeasuredEvaluation]) -> str:
    """The text alternative of errors, from its sentences."""
    seeds = max((measured.seeds for measured in drawn), default=0)
    if not seeds:
        return "Nothing was measured."
    mean = f", means of {seeds} trainings" if seeds > 1 else ""
    return " ".join([f"Errors on the validation set{mean}; bars are 95% intervals.", *told])


def _errors_of(histories: Iterable[History]) -> tuple[str, ...]:
    """The validation errors that the trainings of a model have."""
    boxed = any(history.measured(f"val_{m}_error") for history in histories for m in OF_BOXES)
    return OF_BOXES if boxed else METRICS


def _told(history: History, metrics: Sequence[str]) -> str:
    """A training in words and numbers. metrics: its validation errors."""
    sentences = []
    quantities = [(f"val_{m}_error", f"{NAMES[m]} validation error", "%") for m in metrics]
    for quantity, name, unit in [*quantities, ("train_loss", "training loss", "")]:
        points = history.measured(quantity)
        if points:
            (first, start), (last, end) = points[0], points[-1]
            digits = 1 if unit else 2
            sentences.append(
                f"{name} goes from {start:.{digits}f}{unit} at iteration {first} to "
                f"{end:.{digits}f}{unit} at iteration {last}"
            )
        else:
            sentences.append(f"{name} was not measured")
    if history.lines:
        rates = [f"learning rate {history.lines[0].learning_rate:g}"]
        rates += [f"{rate:g} from iteration {iteration}" for iteration, rate in history.drops]
        sentences.append(", ".join(rates))
    seed = "" if history.seed is None else f"Seed {history.seed}: "
    return _begin(f"{seed}{'; '.join(sentences)}.")


def _told_of_class(each: Mapping) -> str:
    """A class's curve in words and numbers."""
    words = f"{each['role']}, {each['class']}: average precision {each['average_precision']:.1f}%"
    if each["interpolated"]:
        points = ", ".join(f"{point:.1f}" for point in each["interpolated"])
        words += (
            f", the mean of {points}, the greatest precisions at recalls of 0, 10 and so on to 100%"
        )
    return _begin(
        f"{words}; precision at the end, a recall of 100%, is {each['precision'][-1]:.1f}%."
    )


def _begin(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
