"""Check that every net of the finished miniature has learned: run after `make demo`.

Coarse on purpose. Another processor rounds differently and a seed moves an error by ten points, so
the order of the nets proves nothing here.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

RESULTS = Path("results/miniature")
LIMITS = {"A_S256": 40.0}
LIMIT = 60.0  # chance is 90
MEAN_GAP = 10.0  # points between the central crop and dense evaluation


def main() -> None:
    table = json.loads((RESULTS / "tables/table3.json").read_text())
    dense = {row["name"]: row["metrics"]["top1_val"]["measured"] for row in table["rows"]}
    failures, gaps = [], []
    print(f"{'model':16}{'central crop':>14}{'dense':>8}{'drops':>7}")
    for path in sorted((RESULTS / "history").glob("*.csv")):
        model = path.stem
        with open(path) as file:
            rows = list(csv.DictReader(file))
        centre = float(rows[-1]["val_top1_error"])
        rates = {row["learning_rate"] for row in rows}
        whole = dense.get(model)
        gaps += [] if whole is None else [abs(whole - centre)]
        shown = "" if whole is None else f"{whole:.1f}"
        print(f"{model:16}{centre:14.1f}{shown:>8}{len(rates) - 1:>7}")
        for name, error in (("central crop", centre), ("dense", whole)):
            if error is not None and not 0 < error < LIMITS.get(model, LIMIT):
                failures.append(f"{model}: {name} error of {error:.1f}%")
        drops = 3 if "_S256." in path.name else 2  # fine-tuning starts a drop lower
        if len(rates) - 1 != drops:
            failures.append(f"{model}: {len(rates) - 1} drops of the learning rate, not {drops}")
    if len(gaps) != 12:
        failures.append(f"{len(gaps)} models of Table 3 instead of 12")
    elif sum(gaps) / len(gaps) > MEAN_GAP:
        failures.append(f"dense is {sum(gaps) / len(gaps):.1f} points from the central crop")
    sys.exit("\n".join(failures) if failures else 0)


if __name__ == "__main__":
    main()
