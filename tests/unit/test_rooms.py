"""The library's rooms: which may import which, and what the lower ones must not load."""

import ast
import re
import subprocess
import sys

import pytest

from tests.helpers.clones import ROOT

SCRIPTS = ROOT / "workflow_scripts"
# From the lowest room to the highest; those of one floor do not import each other.
FLOORS = [
    {"core"},
    {"settings"},
    {"nets", "data"},
    {"evaluation", "training"},
    {"localisation", "transfer"},
    {"planning"},
    {"results"},
    {"report"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
OWN = "workflow_scripts"


def module_name(path, scripts):
    """A file's dotted name, such as workflow_scripts.vgg.core.files."""
    return ".".join([OWN, *path.relative_to(scripts).with_suffix("").parts])


def imported(path, scripts):
    """(line, dotted name) of each import of a file, wherever it stands, of ours only."""
    package = module_name(path, scripts).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.startswith(OWN))
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            if base.startswith(OWN):
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def upward(scripts):
    """The imports that break the order of the rooms, as lines to read."""
    found = []
    for path in sorted(scripts.rglob("*.py")):
        name = module_name(path, scripts)
        part, room = (*name.split(".")[1:], "", "")[:2]
        for line, target in imported(path, scripts):
            their_part, their_room = (*target.split(".")[1:], "", "")[:2]
            if part == "vgg" and their_part == "vgg":
                bad = room != their_room and FLOOR[their_room] >= FLOOR[room]
            else:  # commands import the library and the measuring of speed, which imports it too
                order = {"vgg": 0, "bench": 1}
                bad = order.get(their_part, 2) > order.get(part, 2) or (
                    part not in order and their_part not in order
                )
            if bad:
                found.append(f"{path.relative_to(scripts)}:{line} imports {target}")
    return found


def test_no_import_runs_upward():
    assert upward(SCRIPTS) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("vgg/core/files.py", "from ..nets.devices import sent"),
        ("vgg/results/formats/latex.py", "from workflow_scripts.vgg.report import pages"),
        ("vgg/training/state.py", "def late():\n    from ..evaluation.methods import evaluate"),
        ("vgg/nets/weights.py", "from .. import data"),
        ("vgg/report/pages.py", "import workflow_scripts.bench.speed_tables"),
        ("bench/machine.py", "from workflow_scripts.train import main"),
        ("evaluate.py", "from workflow_scripts import train"),
    ],
)
def test_a_planted_upward_import_is_found(file, line, tmp_path):
    copy = tmp_path / OWN
    for path in SCRIPTS.rglob("*.py"):
        target = copy / path.relative_to(SCRIPTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    with open(copy / file, "a") as planted:
        planted.write(f"\n{line}\n")
    (found,) = upward(copy)
    assert found.startswith(f"{file}:")


def test_every_room_has_a_floor_and_every_module_a_name_of_its_own():
    library = SCRIPTS / "vgg"
    packages = [path.parent for path in library.rglob("__init__.py") if path.parent != library]
    assert {path.name for path in packages if path.parent == library} == set(FLOOR)
    modules = [path for path in SCRIPTS.rglob("*.py") if path.name != "__init__.py"]
    names = [path.stem for path in [*modules, *packages]]
    assert sorted({n for n in names if names.count(n) > 1}) == []


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (sorted((SCRIPTS / "vgg/settings").glob("*.py")), "torch|numpy|pandas|pyarrow"),
        ([SCRIPTS / "vgg/planning/jobs.py", SCRIPTS / "vgg/planning/records.py"], "torch|numpy"),
        (sorted((SCRIPTS / "vgg/report").glob("pages.py")), "torch"),
    ],
    ids=["settings", "planning's jobs", "pages"],
)
def test_what_starts_often_loads_nothing_heavy(modules, heavy):
    """Snakemake reads the settings at each start, and each page is a process of its own."""
    names = [module_name(path, SCRIPTS).removesuffix(".__init__") for path in modules]
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in loaded if re.fullmatch(heavy, name)] == []
