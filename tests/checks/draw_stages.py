"""Draw the stages of the pipeline from the DAG of the rules, into docs/stages.md.

python -m tests.checks.draw_stages             # after a change of the rules
python -m tests.checks.draw_stages --check     # status 1 if the picture is out of date
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests import checks
from tests.helpers.clones import ROOT

PICTURE = ROOT / "docs/stages.md"
STAGES = {  # files of rules, in the order of the work
    "data": "Data: from archives or folders to shards",
    "train": "Training",
    "evaluate": "Evaluation",
    "localisation": "Localisation (appendix A)",
    "transfer": "Features for other data sets (appendix B)",
    "report": "Tables, claims and pages",
    "pictures": "Figures and pictures",
}
RULE = re.compile(r"^(?:rule (\w+)|use rule \w+ as (\w+) with):", re.MULTILINE)
HEAD = """\
# The stages

Each box is a rule, each group a file of `rules/`. An arrow says that a rule reads what another has
made; arrows that others imply are left out. [results.md](results.md) lists what is made;
[localisation.md](localisation.md) and [features.md](features.md#steps-and-files) tell more of the
appendices' rules.

The picture is of the miniature's `snakemake all`. Runs with real images lack `make_miniature` and
`make_other_sets`. They have `verify_archive` and `verify_source`, which check MD5 sums,
`unpack_parquet` for Hugging Face's files, and `import_weights` in place of a training where weights
are given. `python -m tests.checks.draw_stages` draws the picture anew after a change of the rules.
"""


def rules_of(stage: str, root: Path) -> list[str]:
    """The names of the rules in a stage's file, in its order."""
    text = (root / f"rules/{stage}.smk").read_text()
    return [first or second for first, second in RULE.findall(text)]


def rule_graph(root: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """The rules of `snakemake all`, and pairs of them: the second reads what the first makes."""
    command = [sys.executable, "-m", "snakemake", "all", "--rulegraph", "mermaid-js"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]$", done.stdout, re.MULTILINE))
    edges = re.findall(r"^\s*(id\d+) --> (id\d+)$", done.stdout, re.MULTILINE)
    return set(names.values()), {(names[one], names[other]) for one, other in edges}


def without_implied(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges of a graph without cycles, less those between boxes that a longer way joins."""

    def behind(box: str) -> set[str]:
        return {b for a, b in edges if a == box}

    def reached(box: str) -> set[str]:
        return behind(box).union(*map(reached, behind(box)))

    return {(a, b) for a, b in edges if not any(b in reached(c) for c in behind(a))}


def drawn(root: Path) -> str:
    """The page with the picture, in Mermaid's words, which code hosts draw."""
    rules, edges = rule_graph(root)
    lines = ["flowchart LR"]
    for stage, title in STAGES.items():
        own = [name for name in rules_of(stage, root) if name in rules]
        lines += [
            f'    subgraph {stage}["{title}"]',
            *(f"        {name}" for name in own),
            "    end",
        ]
    known = {name for stage in STAGES for name in rules_of(stage, root)}
    kept = without_implied({(a, b) for a, b in edges if a != b and {a, b} <= known})
    lines += [f"    {one} --> {other}" for one, other in sorted(kept)]
    return HEAD + "\n```mermaid\n" + "\n".join(lines) + "\n```\n"


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    given = parser.parse_args()
    text = drawn(ROOT)
    if not given.check:
        PICTURE.write_text(text)
    elif PICTURE.read_text() != text:
        sys.exit(f"{PICTURE}: is not the DAG of the rules; run python -m tests.checks.draw_stages")


if __name__ == "__main__":
    main()
