"""Errors by the threshold of merging, and the thresholds to set: as files, and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..core.text_artefacts import write_json, write_plain_csv
from ..localisation.tuning import best_of, grid
from .choice_comparison import aligned
from .uncertainty import wilson

COLUMNS = ["distance", "threshold", "images", "error", "low", "high", "best", "configured"]


def tuned(
    thresholds: Mapping[str, Sequence[float]],
    outcomes: Mapping[str, np.ndarray],
    configured: Mapping[str, float],
) -> dict[str, dict]:
    """What was found of each distance.

    `errors`: of each threshold, in percent, with Wilson's 95% interval, and whether it is the best,
    or the configured one. `best`, and `plateau`, the first and last threshold around it that are as
    good: as for `best_of`, among those of the grid. `at_end`: a threshold beyond the grid may be
    better. thresholds, outcomes: as for `wrong_at`. configured: of some distances.
    """
    found = {}
    for distance, own in thresholds.items():
        errors = [int(wrong.sum()) for wrong in outcomes[distance]]
        images = outcomes[distance].shape[1]
        tried = [place for place, threshold in enumerate(own) if threshold in grid(distance)]
        best, first, last = (tried[place] for place in best_of([errors[place] for place in tried]))
        found[distance] = {
            "best": own[best],
            "plateau": [own[first], own[last]],
            "at_end": last == tried[-1],
            "configured": configured.get(distance),
            "errors": [
                {
                    "threshold": threshold,
                    "images": images,
                    "error": 100 * count / images,
                    **dict(zip(("low", "high"), wilson(count, images), strict=True)),
                    "best": place == best,
                    "configured": threshold == configured.get(distance),
                }
                for place, (threshold, count) in enumerate(zip(own, errors, strict=True))
            ],
        }
    return found


def write_tuned(output: str, found: Mapping[str, dict], described: Mapping) -> None:
    """Write `<output>.csv`, a line for each threshold, and `<output>.json` with what it is of."""
    write_json(f"{output}.json", {**described, "distances": dict(found)})
    lines = [
        {"distance": distance, **line} for distance, own in found.items() for line in own["errors"]
    ]
    write_plain_csv(f"{output}.csv", lines, COLUMNS)


def errors_as_text(found: Mapping[str, dict]) -> str:
    """The errors of all thresholds, those of a distance beside those of the others."""
    columns = []
    for distance, own in found.items():
        lines = [f"{e['threshold']:g} {_error(e)}{_mark(e)}" for e in own["errors"]]
        columns.append([distance, *lines])
    most = max(map(len, columns))
    padded = [[*column, *[""] * (most - len(column))] for column in columns]
    return aligned([list(line) for line in zip(*padded, strict=True)], left=len(columns))


def tuned_as_text(content: Mapping) -> str:
    """What a `threshold.json` says in brief, and what to set in the configuration."""
    lines = [["distance", "best", "as good", "error", "configured", "error"]]
    for distance, own in content["distances"].items():
        best = next(line for line in own["errors"] if line["best"])
        configured = next((line for line in own["errors"] if line["configured"]), None)
        first, last = own["plateau"]
        lines.append(
            [
                distance,
                f"{own['best']:g}",
                (f"{first:g} to {last:g}" if first < last else "")
                + (" (nothing is merged)" if not own["best"] else "")
                + (" (end of the grid)" if own["at_end"] else ""),
                _error(best),
                f"{configured['threshold']:g}" if configured else "",
                _error(configured) if configured else "",
            ]
        )
    setting = ", ".join(f"{name}: {own['best']:g}" for name, own in content["distances"].items())
    return (
        f"Localisation errors of the true class on {content['images']} training images, by the "
        "threshold of merging (in %, 95% intervals)\n"
        f"{aligned(lines, left=1)}\n\n"
        "To merge by the best of each distance, set in the configuration:\n\n"
        f"localise:\n  thresholds: {{{setting}}}"
    )


def _error(line: Mapping) -> str:
    return f"{line['error']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"


def _mark(line: Mapping) -> str:
    return (" best" if line["best"] else "") + (" configured" if line["configured"] else "")
