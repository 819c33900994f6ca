"""Check that every net of the finished miniature has learned, and that its features are good ones.

Run after `make demo`.

Of one run is checked only what held by a wide margin in each of the five of docs/miniature.md:
another processor rounds differently, and a seed moves an error by some points. What holds in the
mean over seeds, `miniature_findings.py` measures.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from tests import checks

RESULTS = Path("results/miniature")
# Of errors in percent, central crop and dense: about half more than the worst of the five runs.
LIMITS = 40.0, 30.0
LIMITS_OF_A = 65.0, 60.0  # of A and A-LRN, whose seeds differ most
LIMIT_OF_BOXES = 50.0  # of the true class's box from a central crop; the middle half errs on 55.6
MOST_APART = 5.0  # dense and multi-crop errors of a jittered net; 1.6 in the five runs
# Points of mean average precision or mean class recall: in the three runs of docs/miniature.md
# trained features are 22 to 34 above random ones, and image and box 31 to 44 above the image alone.
LEAST_ABOVE_RANDOM = 8.0
LEAST_BY_BOX = 10.0


def errors(table: str) -> dict[str, float]:
    """Top-1 errors on the validation images in percent, by the name of a row."""
    rows = json.loads((RESULTS / f"tables/{table}.json").read_text())["rows"]
    return {row["name"]: row["metrics"]["top1_val"]["measured"] for row in rows}


def measures(table: str) -> dict[str, dict[str, float]]:
    """What was measured of features, in percent, by the name of a row and by metric."""
    rows = json.loads((RESULTS / f"tables/{table}.json").read_text())["rows"]
    return {
        row["name"]: {metric: cell["measured"] for metric, cell in row["metrics"].items()}
        for row in rows
        if row["name"]
    }


def features() -> list[str]:
    """What is wrong with the features: a line each."""
    random, actions, failures = measures("random_features"), measures("table12"), []
    pairs = [
        (metric, random["D_at_256"][metric], least, LEAST_ABOVE_RANDOM, "random weights")
        for metric, least in random["D_at_256_random"].items()
    ]
    metric = "mapval_voc2012_action"
    image, both = (actions[row][metric] for row in ("D_E_image", "D_E_image_box"))
    pairs.append((metric, both, image, LEAST_BY_BOX, "the image alone"))
    print(f"{'features':24}{'measure':>8}{'beside':>8}")
    for metric, measure, other, least, words in pairs:
        print(f"{metric:24}{measure:8.1f}{other:8.1f}  ({words})")
        if not measure > other + least:
            failures.append(f"{metric}: {measure:.1f}, not {least:g} above {other:.1f} of {words}")
    if len(pairs) != 5:
        failures.append(f"{len(pairs)} measures of features instead of 5")
    return failures


def main() -> None:
    checks.parser(__doc__).parse_args()
    if not (RESULTS / "tables/table6.json").exists():
        sys.exit(f"{RESULTS}: holds no finished run; run `make demo` first")
    dense, methods = errors("table3"), errors("table5")
    failures = []
    central = {}
    print(f"{'model':16}{'central crop':>14}{'dense':>8}{'drops':>7}")
    for path in sorted((RESULTS / "history").glob("*.csv")):
        model = path.stem
        with open(path) as file:
            rows = list(csv.DictReader(file))
        rates = {row["learning_rate"] for row in rows}
        if "val_gtloc_error" in rows[-1]:
            error = float(rows[-1]["val_gtloc_error"])
            print(f"{model:16}{error:14.1f}{'':>8}{len(rates) - 1:>7}  (boxes)")
            if not 0 < error < LIMIT_OF_BOXES:
                failures.append(f"{model}: localisation error of {error:.1f}%")
            continue
        centre = central[model] = float(rows[-1]["val_top1_error"])
        whole = dense.get(model)
        shown = "" if whole is None else f"{whole:.1f}"
        print(f"{model:16}{centre:14.1f}{shown:>8}{len(rates) - 1:>7}")
        limits = LIMITS_OF_A if model.startswith("A") else LIMITS
        for name, error, limit in zip(
            ("central crop", "dense"), (centre, whole), limits, strict=True
        ):
            if error is not None and not 0 < error < limit:
                failures.append(f"{model}: {name} error of {error:.1f}%, not below {limit:g}")
        drops = 3 if "_S256." in path.name else 2  # fine-tuning starts a drop lower
        if len(rates) - 1 != drops:
            failures.append(f"{model}: {len(rates) - 1} drops of the learning rate, not {drops}")
    if not dense["D_S256"] < dense["A_S256"]:
        failures.append("D is not better than A by dense evaluation at S = 256")
    if not central["B_S256"] < central["B-5x5_S256"]:
        failures.append("B is not better than with 5×5 convs by the central crop")
    for net in "DE":
        apart = abs(methods[f"{net}_dense"] - methods[f"{net}_multicrop"])
        if apart > MOST_APART:
            failures.append(f"{net} jittered: dense and multi-crop errors are {apart:.1f} apart")
    if len(dense) != 12:
        failures.append(f"{len(dense)} models of Table 3 instead of 12")
    failures += features()
    sys.exit("\n".join(failures) if failures else 0)


if __name__ == "__main__":
    main()
