"""The first steps: make's help, .venv or why there is none, the commands' list and examples."""

import argparse
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote

import pytest

from tests.conftest import ROOT
from workflow_scripts.vgg.core import command

COMMANDS = sorted(path.stem for path in (ROOT / "workflow_scripts").glob("[!_]*.py"))
# What envs/install.sh calls besides Python.
TOOLS = [
    *("awk", "cat", "cksum", "cut", "df", "dirname", "du"),
    *("grep", "head", "rm", "sed", "seq", "sh", "uname"),
]
NOBODY_LISTENS = "http://127.0.0.1:9"


# make


def test_make_alone_tells_all_its_targets_and_variables():
    database = subprocess.run(["make", "-pRrq"], cwd=ROOT, capture_output=True, text=True).stdout
    targets = re.search(r"^\.PHONY: (.*)", database, re.MULTILINE)[1].split()
    alone = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    assert alone.returncode == 0
    told = re.findall(r"^  make (\S+) +\S.*$", alone.stdout, re.MULTILINE)
    assert sorted(told) == sorted(targets)
    assert {"demo", "environment", "check"} <= set(told)
    told = re.findall(r"^  ([A-Z_]+)= +\S.*$", alone.stdout, re.MULTILINE)
    assert told == ["TORCH", "TORCH_INDEX", "PYTHON"]
    assert max(map(len, alone.stdout.splitlines())) <= 88


# make environment


@pytest.fixture
def tree(tmp_path) -> Path:
    return project(tmp_path / "project")


def project(folder: Path) -> Path:
    """What `make environment` needs of the project, with pins of which there are drawn packages."""
    shutil.copytree(ROOT / "envs", folder / "envs")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "envs/lock.txt").write_text(
        "cuda-bindings==13.5 ; sys_platform == 'linux'\nnumpy==2.4\nnvidia-cublas==13.1\n"
        "torch==2.14.1\ntorchvision==0.29.1\ntriton==3.8 ; python_full_version < '3.15'\n"
    )
    return folder


def make(tree: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    """`make environment` without this machine's settings of pip, and with a PATH of its own."""
    return subprocess.run(
        [shutil.which("make"), "environment", *filter(None, words)],
        cwd=tree,
        capture_output=True,
        text=True,
        env={
            "PATH": f"{tools(tree.parent)}",
            "HOME": f"{tree.parent}",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            **variables,
        },
    )


def tools(folder: Path) -> Path:
    """A folder for PATH with what the installation calls, but for Python."""
    made = folder / "tools"
    made.mkdir(exist_ok=True)
    for name in TOOLS:
        if not (made / name).exists():
            (made / name).symlink_to(shutil.which(name))
    return made


def add_tool(tree: Path, name: str, text: str) -> Path:
    path = tools(tree.parent) / name
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def add_python(tree: Path, name: str, prelude: str) -> Path:
    """A Python on PATH in which some lines have been executed before any `-c`."""
    return add_tool(tree, name, f"#!{sys.executable}\nimport sys\n{prelude}\nexec(sys.argv[2])\n")


def error_of(ended: subprocess.CompletedProcess) -> str:
    """The sentence that a failed `make environment` ends in, but for make's own line."""
    assert ended.returncode == 2
    *_, sentence, of_make = ended.stderr.splitlines()
    assert of_make.startswith("make: ***")
    assert "Traceback" not in ended.stderr
    return sentence


def test_without_any_python_the_versions_that_would_do_are_named(tree):
    assert error_of(make(tree)) == (
        "error: there is no python3 that runs: install Python 3.11 to 3.13, or name it: "
        "make environment PYTHON=/path/to/python3"
    )
    assert not (tree / ".venv").exists()


OF_ANOTHER_VERSION = "sys.version_info = (3, {}, 2, 'final', 0)"


@pytest.mark.parametrize("minor", [9, 10, 14])
def test_a_python_for_which_not_all_pins_are_built_is_named_with_its_version(tree, minor):
    add_python(tree, "python3", OF_ANOTHER_VERSION.format(minor))
    expected = (
        f"is Python 3.{minor}.2, for which not all pinned requirements are built: install "
        "Python 3.11 to 3.13, or name it: make environment PYTHON=/path/to/python3"
    )
    assert error_of(make(tree)) == f"error: python3 {expected}"
    # One that is named is never silently another.
    add_python(tree, "python3.12", OF_ANOTHER_VERSION.format(12))
    assert error_of(make(tree, "PYTHON=python3")) == f"error: python3 {expected}"
    assert "no /nowhere/python3 that runs" in error_of(make(tree, PYTHON="/nowhere/python3"))
    assert not (tree / ".venv").exists()


def test_the_versions_that_are_asked_for_are_those_that_ci_checks():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert re.search(r"python: (\[.*\])", workflow)[1] == '["3.11", "3.12", "3.13"]'
    requires = re.search(r'requires-python = "(.*?)"', (ROOT / "pyproject.toml").read_text())[1]
    assert requires == ">=3.11,<3.14"


def test_a_python_without_venv_is_told_with_debians_package(tree):
    without = f"{OF_ANOTHER_VERSION.format(12)}\nsys.modules['ensurepip'] = None"
    add_python(tree, "python3", without)
    assert error_of(make(tree)) == (
        "error: python3 lacks the module venv: install it (on Debian and Ubuntu: "
        "apt install python3.12-venv)"
    )
    assert not (tree / ".venv").exists()


@pytest.mark.parametrize("ends", [0, 3])
def test_a_python_that_makes_no_environment_is_named(tree, ends):
    """Such as /bin/true, which says of itself that it is of a version that would do, or a Python
    whose module venv fails."""
    fill_disk(tree, 10**4)
    python = add_tool(tree, "python3", f'#!/bin/sh\n[ "$1" = -c ] || exit {ends}\n')
    expected = "could not make .venv: name another: make environment PYTHON=/path/to/python3"
    assert error_of(make(tree)) == f"error: python3 {expected}"
    made = make(tree, PYTHON=str(python))
    assert error_of(made) == f"error: {python} {expected}"
    assert "Directory nonexistent" not in made.stderr


def test_an_unknown_build_of_torch_is_named(tree):
    assert error_of(make(tree, "TORCH=gpu")) == "error: TORCH=gpu: expected cpu or cuda"


def check_space(folder: Path, megabytes: int) -> subprocess.CompletedProcess:
    words = ["sh", ROOT / "envs/check_space.sh", folder, str(megabytes), "free some"]
    return subprocess.run(words, capture_output=True, text=True)


def test_too_little_space_is_told_with_what_is_there_and_what_is_needed(tmp_path):
    free = shutil.disk_usage(tmp_path).free // 2**20
    assert (check_space(tmp_path, free // 2).returncode) == 0
    needed = free * 2 + 10**6
    refused = check_space(tmp_path, needed)
    assert refused.returncode == 1
    found = re.fullmatch(
        rf"error: the disk of {re.escape(str(tmp_path.resolve()))} has (\d+) MB left, and "
        rf"{needed} are needed: free some\n",
        refused.stderr,
    )
    assert int(found[1]) == pytest.approx(free, rel=0.2, abs=1000)


def fill_disk(tree: Path, megabytes: int) -> None:
    """Let df tell of so much space."""
    add_tool(
        tree,
        "df",
        f"#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        f"echo /dev/vda 263174212 1 {megabytes * 1024} 36% /\n",
    )


@pytest.mark.parametrize(("build", "needed"), [("", 7500), ("TORCH=cpu", 2500)])
def test_space_is_looked_at_before_anything_is_made(tree, build, needed):
    fill_disk(tree, needed - 1)
    error = error_of(make(tree, build))
    assert f"has {needed - 1} MB left, and {needed} are needed" in error
    assert error.endswith("TORCH=cpu") == (not build)
    assert not (tree / ".venv").exists()
    # With enough of it, the next thing is missed.
    fill_disk(tree, needed)
    assert "no python3" in error_of(make(tree, build))


# An installation, by the real pip from indices on this machine.


def add_wheel(index: Path, name: str, version: str, requires: str = "") -> None:
    """A package without content, in a folder as an index of packages has it."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    distribution = f"{name.replace('-', '_')}-{version}"
    info = f"{distribution}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{distribution}-py3-none-any.whl", "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    files = [path.name for path in folder.glob("*.whl")]
    (folder / "index.html").write_text(
        "".join(f'<a href="{quote(file)}">{file}</a>\n' for file in files)
    )


class Index(SimpleHTTPRequestHandler):
    """Serves an index of packages, and keeps in mind what it was asked for."""

    def __init__(self, *given, asked: set[str], **options):
        self.asked = asked
        super().__init__(*given, **options)

    def do_GET(self):
        self.asked.add(unquote(self.path).split("/")[1])
        super().do_GET()

    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path):
    """An index's address, and the names of the packages that it was asked for."""
    asked: set[str] = set()
    handler = partial(Index, directory=str(folder), asked=asked)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked)
        finally:
            server.shutdown()


@pytest.fixture
def indices(tmp_path):
    """Stand-ins of PyPI's index, and of PyTorch's for CPUs, which has other packages too."""
    pypi, pytorch = tmp_path / "pypi", tmp_path / "pytorch"
    add_wheel(pypi, "torch", "2.14.1", "nvidia-cublas")
    for name, version in [
        ("torchvision", "0.29.1"),
        ("numpy", "2.4"),
        ("numpy", "2.5"),
        ("nvidia-cublas", "13.1"),
        ("cuda-bindings", "13.5"),
        ("triton", "3.8"),
    ]:
        add_wheel(pypi, name, version)
    for name, version in [
        ("torch", "2.14.1+cpu"),
        ("torch", "2.13.0+cpu"),
        ("torchvision", f"0.29.1{of_cpu()}"),
        ("numpy", "2.4"),
        ("nvidia-cublas", "13.1"),
    ]:
        add_wheel(pytorch, name, version)
    with served(pypi) as one, served(pytorch) as other:
        yield SimpleNamespace(pypi=one, pytorch=other)


def of_cpu() -> str:
    """How PyTorch marks torchvision's build for CPUs, on this machine."""
    return "+cpu" if os.uname().machine == "x86_64" else ""


def install(tree: Path, indices, *words: str) -> subprocess.CompletedProcess:
    indices.pypi.asked.clear()
    indices.pytorch.asked.clear()
    return make(
        tree,
        *words,
        PYTHON=sys.executable,
        PIP_INDEX_URL=indices.pypi.url,
        TORCH_INDEX=indices.pytorch.url,
    )


def installed(tree: Path) -> set[str]:
    """The distributions in .venv, such as numpy-2.4, but for what venv itself puts there."""
    found = {path.stem for path in (tree / ".venv").rglob("*.dist-info")}
    return {name for name in found if not name.startswith(("pip-", "setuptools-"))}


FOR_CPUS = {"torch-2.14.1+cpu", f"torchvision-0.29.1{of_cpu()}"}
WHOLE = {
    "torch-2.14.1", "torchvision-0.29.1", "nvidia_cublas-13.1", "cuda_bindings-13.5", "triton-3.8"
}  # fmt: skip
EVERYTHING = {"torch", "torchvision", "numpy", "nvidia-cublas", "cuda-bindings", "triton"}

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch has one build")


@on_linux
@pytest.mark.slow
def test_torch_for_cpus_comes_from_pytorch_and_all_else_from_pypi(tree, indices):
    made = install(tree, indices, "TORCH=cpu")
    assert made.returncode == 0, made.stderr
    assert installed(tree) == {*FOR_CPUS, "numpy-2.4"}
    assert indices.pytorch.asked == {"torch", "torchvision"}
    assert indices.pypi.asked == {"numpy"}

    # Without a word the build stays what it is: here there is nothing to do, and nobody is asked.
    assert install(tree, indices).stderr == ""
    assert not indices.pypi.asked | indices.pytorch.asked

    # After a change of a pin too.
    lock = tree / "envs/lock.txt"
    lock.write_text(lock.read_text().replace("numpy==2.4", "numpy==2.5"))
    assert install(tree, indices).returncode == 0
    assert installed(tree) == {*FOR_CPUS, "numpy-2.5"}

    # With one, it is exchanged for the other, and back.
    assert install(tree, indices, "TORCH=cuda").returncode == 0
    assert installed(tree) == {*WHOLE, "numpy-2.5"}
    assert indices.pypi.asked == EVERYTHING - {"numpy"}
    assert not indices.pytorch.asked
    assert install(tree, indices, "TORCH=cpu").returncode == 0
    assert installed(tree) == {*FOR_CPUS, "numpy-2.5"}


@pytest.mark.slow
def test_without_a_network_pip_ends_in_our_sentence_and_the_next_attempt_is_whole(tree, indices):
    (tree / "envs/lock.txt").write_text("numpy==2.4\n")
    away = SimpleNamespace(url=NOBODY_LISTENS, asked=set())
    offline = SimpleNamespace(pypi=away, pytorch=away)
    expected = (
        "error: the package index cannot be reached: connect to the network, or tell pip of a "
        "proxy, mirror or certificate (https_proxy, PIP_INDEX_URL, PIP_CERT); then run the same "
        "command again"
    )
    assert error_of(install(tree, offline)) == expected
    assert error_of(install(tree, offline)) == expected, "what it left is not taken for whole"
    # The same if only a package's file is out of reach.
    link = f'<a href="{NOBODY_LISTENS}/numpy-2.4-py3-none-any.whl">numpy-2.4-py3-none-any.whl</a>'
    page = tree.parent / "pypi/numpy/index.html"
    whole = page.read_text()
    page.write_text(link)
    assert error_of(install(tree, indices)) == expected
    page.write_text(whole)

    made = install(tree, indices)
    assert made.returncode == 0, made.stderr
    assert installed(tree) == {"numpy-2.4"}


@pytest.fixture(scope="module")
def whole_tree(tmp_path_factory) -> Path:
    """A project whose .venv is whole."""
    tree = project(tmp_path_factory.mktemp("whole") / "project")
    (tree / "envs/lock.txt").write_text("numpy==2.4\n")
    add_wheel(tree.parent / "pypi", "numpy", "2.4")
    with served(tree.parent / "pypi") as index:
        made = install(tree, SimpleNamespace(pypi=index, pytorch=index))
    assert made.returncode == 0, made.stderr
    return tree


@pytest.mark.slow
def test_an_environment_that_is_there_needs_no_space_no_python_and_no_network(whole_tree):
    fill_disk(whole_tree, 0)
    again = make(whole_tree, PIP_INDEX_URL=NOBODY_LISTENS)
    (tools(whole_tree.parent) / "df").unlink()
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
def test_a_pin_that_the_index_lacks_is_told_from_a_network_that_is_not_there(whole_tree, indices):
    lock = whole_tree / "envs/lock.txt"
    before = lock.read_text()
    for pin in ("numpy==99", "nosuchpackage==1"):
        lock.write_text(f"{pin}\n")
        error = error_of(install(whole_tree, indices))
        assert error.startswith(f"error: the package index has no {pin} for Python 3.")
    lock.write_text(before)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["interpreter gone", "without pip", "moved"])
def test_a_broken_environment_is_not_taken_for_whole(whole_tree, indices, damage):
    venv = whole_tree / ".venv"
    if damage == "interpreter gone":  # as after an upgrade of the system
        for python in (venv / "bin").glob("python*"):
            python.unlink()
            python.symlink_to("/nowhere/python3")
    elif damage == "without pip":  # as if stopped while it was made
        shutil.rmtree(next(venv.rglob("site-packages/pip")))
    else:
        whole_tree = whole_tree.rename(whole_tree.with_name("elsewhere"))
    mended = install(whole_tree, indices)
    assert mended.returncode == 0, mended.stderr
    assert ".venv does not run and is made anew" in mended.stderr
    assert installed(whole_tree) == {"numpy-2.4"}
    if damage == "moved":
        whole_tree.rename(whole_tree.with_name("project"))


# python -m workflow_scripts


def list_commands(*words: str) -> subprocess.CompletedProcess:
    call = [sys.executable, "-m", "workflow_scripts", *words]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True)


def test_every_command_is_listed_once_with_the_first_sentence_of_its_help():
    listed = list_commands()
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout == list_commands("--help").stdout
    lines = re.split(r"\n  (?=\S)", listed.stdout)  # a command's, joined if it takes several
    told = dict(" ".join(line.partition("\n\n")[0].split()).split(" ", 1) for line in lines[1:])
    assert sorted(set(told) & set(COMMANDS)) == COMMANDS, "name it in workflow_scripts/__main__.py"
    for name in COMMANDS:
        assert len(re.findall(rf"^  {name} ", listed.stdout, re.MULTILINE)) == 1
        words = " ".join(importlib.import_module(f"workflow_scripts.{name}").__doc__.split())
        assert words.startswith(told[name])
        assert told[name][-1] in ".?"
        assert not re.search(r"[.?] [A-Z]", told[name]), "one sentence"


def test_the_list_takes_no_time_to_load_what_commands_need():
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "workflow_scripts"],
        cwd=ROOT, capture_output=True, text=True,
    ).stderr  # fmt: skip
    assert "argparse" in loaded
    assert not re.search(r"\| +(torch|numpy|pandas)$", loaded, re.MULTILINE)


def test_a_command_that_does_not_exist_is_told_with_the_nearest():
    nonsense = list_commands("trian")
    assert nonsense.returncode == 2
    assert nonsense.stderr.endswith("error: there is no command trian; did you mean train?\n")
    assert "without a word all are listed" in list_commands("xyz").stderr
    assert list_commands("verify_archive").stdout.startswith("usage: verify_archive.py")


# The examples of --help


class Parsed(Exception):
    """The arguments have been understood; there is no need to do it."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_understands_the_example_in_its_help(name, monkeypatch, capsys):
    module = importlib.import_module(f"workflow_scripts.{name}")
    with pytest.raises(SystemExit):
        module.main(["--help"])
    _, _, example = capsys.readouterr().out.partition("\nExample:\n")
    words = shlex.split(example.replace("\\\n", " "))
    assert words[:3] == ["python", "-m", f"workflow_scripts.{name}"]
    assert "..." not in example
    assert "…" not in example
    assert max(map(len, example.splitlines())) <= 100

    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, arguments):
        raise Parsed(parse(self, arguments))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    with pytest.raises(Parsed):
        module.main(words[3:])


def test_help_wraps_what_a_command_does_and_keeps_the_lines_of_its_example(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    parser = command.parser(
        "Do one thing,\nand\nthen another.\n\nExample:\n\n    python -m it --with "
        + "a-long-argument " * 4 + "\\\n        --and another\n"
    )  # fmt: skip
    parser.add_argument("--with", default="care", help="how")
    text = parser.format_help()
    assert "\nDo one thing, and then another.\n" in text
    assert "how (default: care)" in text
    call = "    python -m it --with " + "a-long-argument " * 4 + "\\\n        --and another\n"
    assert text.endswith("\nExample:\n" + call)
    assert "Example" not in command.parser("Do one thing.").format_help()
