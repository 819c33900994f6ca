"""Check that every net of the finished miniature has learned: run after `make demo`.

Coarse on purpose: another processor rounds differently, and a seed moves an error by some points.
What holds in the mean over seeds is in docs/miniature.md; `miniature_findings.py` measures it.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from tests import checks

RESULTS = Path("results/miniature")
# In percent. Chance is 90, and 300 images put its standard deviation at 1.7.
LIMITS = {"A_S256": 40.0}  # of the central crop's error
LIMIT = 60.0  # of the other models'
DENSE_LIMIT = 80.0


def main() -> None:
    checks.parser(__doc__).parse_args()
    table = json.loads((RESULTS / "tables/table3.json").read_text())
    dense = {row["name"]: row["metrics"]["top1_val"]["measured"] for row in table["rows"]}
    failures = []
    print(f"{'model':16}{'central crop':>14}{'dense':>8}{'drops':>7}")
    for path in sorted((RESULTS / "history").glob("*.csv")):
        model = path.stem
        with open(path) as file:
            rows = list(csv.DictReader(file))
        centre = float(rows[-1]["val_top1_error"])
        rates = {row["learning_rate"] for row in rows}
        whole = dense.get(model)
        shown = "" if whole is None else f"{whole:.1f}"
        print(f"{model:16}{centre:14.1f}{shown:>8}{len(rates) - 1:>7}")
        for name, error, limit in (
            ("central crop", centre, LIMITS.get(model, LIMIT)),
            ("dense", whole, DENSE_LIMIT),
        ):
            if error is not None and not 0 < error < limit:
                failures.append(f"{model}: {name} error of {error:.1f}%")
        drops = 3 if "_S256." in path.name else 2  # fine-tuning starts a drop lower
        if len(rates) - 1 != drops:
            failures.append(f"{model}: {len(rates) - 1} drops of the learning rate, not {drops}")
    if len(dense) != 12:
        failures.append(f"{len(dense)} models of Table 3 instead of 12")
    sys.exit("\n".join(failures) if failures else 0)


if __name__ == "__main__":
    main()
