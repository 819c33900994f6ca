"""Do two versions of the code give the same numbers? For sweeps that are to change none.

    python -m tests.checks.compare_runs results/miniature ../other/results/miniature

Compared are weights tensor by tensor, posteriors column by column, histories but for their speed,
and all other files of numbers (CSV, shards, submissions, figures) byte for byte; of JSON files and
metadata all but what says which code made them, where and when. Status 1 if anything differs.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq

from tests import checks
from tests.helpers.trainings import history, same_weights

# Of metadata and JSON: what names the code, or a machine, or is a sum over bytes with such names.
CHANGING = re.compile(
    "checksum|csv_checksum|code|code_fingerprint|config_fingerprint|training_code|weights_sha256"
    "|parent_sha256|node"
)
OTHERS = r"plan\.|(seed\d+/)?(checkpoints|tensorboard)/|\.|.*/\.|claims_throughput"
KINDS = ("weights", "history", "posteriors", "other tables, shards and drawings", "JSON")


def stripped(content):
    """JSON-like content without what changes with the code, the machine or the hour."""
    if isinstance(content, dict):
        return {k: stripped(v) for k, v in content.items() if not CHANGING.fullmatch(k)}
    return [stripped(item) for item in content] if isinstance(content, list) else content


def same_posteriors(one: Path, two: Path) -> bool:
    """Whether two Parquet files hold the same rows, and say the same of themselves."""
    ours, theirs = pq.read_table(one), pq.read_table(two)

    def said(table) -> dict:
        metadata = table.schema.metadata or {}
        return stripped({k.decode(): json.loads(v) for k, v in metadata.items() if k != b"pandas"})

    return ours.equals(theirs) and said(ours) == said(theirs)


def compared(one: Path, two: Path) -> tuple[str, bool]:
    """What kind of file it is, and whether the two are the same."""
    match one.suffix:
        case ".safetensors":
            return KINDS[0], same_weights(one, two)
        case ".csv" if one.parent.name == "history":
            return KINDS[1], history(one) == history(two)
        case ".parquet":
            return KINDS[2], same_posteriors(one, two)
        case ".json":
            ours, theirs = (stripped(json.loads(path.read_text())) for path in (one, two))
            return KINDS[4], ours == theirs
    return KINDS[3], one.read_bytes() == two.read_bytes()


def numbers(results: Path) -> set[str]:
    """The files that must be the same: not the plan and event files, which tell times, and no
    checkpoints."""
    names = {p.relative_to(results).as_posix() for p in results.rglob("*") if p.is_file()}
    return {n for n in names if not re.match(OTHERS, n)}


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("one", type=Path, help="results of a run, such as results/miniature")
    parser.add_argument("two", type=Path, help="results of the same configuration by other code")
    given = parser.parse_args()
    ours, theirs = numbers(given.one), numbers(given.two)
    if not ours:
        sys.exit(f"{given.one}: holds no results of a run")
    lines = [f"{name}: only in one of the two" for name in sorted(ours ^ theirs)]
    counts = dict.fromkeys(KINDS, 0)
    for name in sorted(ours & theirs):
        kind, same = compared(given.one / name, given.two / name)
        counts[kind] += 1
        if not same:
            lines.append(f"{name}: differs")
    print("\n".join(lines) or "equal: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
