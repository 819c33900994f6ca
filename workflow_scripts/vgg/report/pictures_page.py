"""The page of pictures: what the nets see, and what they get wrong, as self-contained HTML."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from ..core.files import InputError
from ..core.text_artefacts import read_json
from .pages import inline_svg, render

# What each of the page's files holds at least; the keys are the files' names without suffix.
KEYS = {
    "score_maps": ("experiment", "model", "Q", "score_average", "missing", "images"),
    "crops": ("experiment", "model", "Q", "crop_grid", "missing", "images"),
    "images": ("experiment", "rows", "missing", "hardest", "best_fused"),
    "classes": ("experiment", "row", "missing", "classes", "worst", "best", "confusions", "pairs"),
    "boxes": ("experiment", "row", "nets", "has_true_boxes", "missing", "right", "wrong"),
    "features": ("experiment", "row", "missing", "ranked", "recalled"),
    "filters": ("experiment", "nets"),
}
OPTIONAL = ("boxes", "features")  # files whose section is left out if they are not given
COLOURS = "viridis"  # ordered by lightness, for colour-blind readers and on grey pictures too
DOUBLE = ("best-box", "true-box")  # kinds of boxes that are drawn twice
FAINTEST = 0.35  # opacity of a merged box's line
STOPS = 11  # colours of the legend


def load(kind: str, path: str | Path) -> dict:
    """One of the page's files. Raises InputError if it is missing or does not hold KEYS[kind]."""
    content = read_json(path)
    missing = [k for k in KEYS[kind] if k not in content]
    if missing:
        raise InputError(f"{path}: not the {kind} of the pictures; it lacks {', '.join(missing)}")
    return content


def render_pictures(
    pictures: Mapping[str, dict | None],
    config: dict,
    pages: Collection[str] = (),
    curves: str | Path | None = None,
) -> str:
    """The page.

    pictures: the content of each of the files of KEYS; None for one of OPTIONAL. pages: names of
    the pages beside this one, such as "index" and "table5", the only ones that it links to.
    curves: the drawing of precision against recall, if there is one.
    """
    classes = pictures["classes"]
    assert classes is not None
    worst, best = extremes(classes["classes"], classes["worst"], classes["best"])
    return render(
        "pictures.html",
        **pictures,
        worst=worst,
        best=best,
        span=max((c["top1_high"] for c in worst + best), default=100),
        colour=colour,
        heat=heat,
        outline=outline,
        ends=ends,
        parts=parts,
        faint=faint,
        legend=[colour(stop / (STOPS - 1)) for stop in range(STOPS)],
        curves=inline_svg(curves) if curves else None,
        config=config,
        pages=pages,
        index="index" in pages,
    )


def extremes(classes: list[dict], worst: int, best: int) -> tuple[list[dict], list[dict]]:
    """The classes with the highest top-1 error, worst first, and with the lowest, best last.

    Equal ones stand in the order of labels. All classes are among the worst if they are no more
    than `worst` and `best` together. Classes without images are left out.
    """
    measured = [c for c in classes if c["top1_error"] is not None]
    return ends(sorted(measured, key=lambda c: (-c["top1_error"], c["label"])), worst, best)


def ends(order: list[dict], first: int, last: int) -> tuple[list[dict], list[dict]]:
    """The first and the last of a list; all of it, and none, if it has no more than both."""
    if len(order) <= first + last:
        return order, []
    return order[:first], order[len(order) - last :]


def colour(value: float) -> str:
    """The colour of a value between 0 and 1, as #rrggbb."""
    import matplotlib
    from matplotlib.colors import to_hex

    return to_hex(matplotlib.colormaps[COLOURS](float(value)))


def parts(kind: str) -> list[str]:
    """CSS classes of the lines by which a kind of boxes is drawn: one, or two on one another."""
    return [f"{kind} under", f"{kind} upper"] if kind in DOUBLE else [kind]


def faint(rating: float, best: float) -> float:
    """The opacity of a merged box's line, by its rating and that of the best."""
    return max(FAINTEST, rating / best) if best else 1.0


def outline(box: Sequence[float], image: Mapping) -> Markup:
    """SVG's attributes of a box in an image, both in pixels; it ends where the image does."""
    xmin, xmax = (min(max(x, 0), image["width"]) for x in box[::2])
    ymin, ymax = (min(max(y, 0), image["height"]) for y in box[1::2])
    return Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"').format(
        xmin, ymin, xmax - xmin, ymax - ymin
    )


def heat(value: float) -> str:
    """CSS for the colour of a value between 0 and 1 and for the ink, black or white, on it."""
    background = colour(value)
    return f"background:{background};color:{'#000' if _luminance(background) > 0.179 else '#fff'}"


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 to 1 (WCAG 2); black reads better than white above 0.179."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
