"""Every name in docs/paper_to_code.md exists, and every test of a sentence is in it."""

import ast
import re
from pathlib import Path

import yaml

from tests.helpers.clones import ROOT

FILES = list(Path(__file__).parent.glob("test_paper_*.py"))


def names_in(path):
    """What a Python file defines, or the keys of a YAML file and of its first level."""
    if path.suffix == ".yaml":
        content = yaml.safe_load(path.read_text())
        return {*content, *(k for v in content.values() if isinstance(v, dict) for k in v)}
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}


def test_every_name_in_the_list_of_sentences_exists():
    text = (ROOT / "docs/paper_to_code.md").read_text()
    sentences = re.split(r"^- ", text, flags=re.M)[1:]
    for sentence in sentences:
        words, code, tests = re.split(r"\n  - (?:code|tests):", sentence.split("\n## ")[0])
        for part in code.split(";"):
            names, path = re.fullmatch(r"(.+)\sin\s+`(\S+)`", part.strip(), flags=re.S).groups()
            path = ROOT / ("" if path.startswith("config/") else "workflow_scripts") / path
            assert set(re.findall(r"`(\S+)`", names)) <= names_in(path), words
        for file, name in re.findall(r"`(\S+)::(\S+)`", tests):
            (path,) = (ROOT / "tests").rglob(file)
            assert name in names_in(path), words
        assert "::" in tests, words
    named = set(re.findall(r"`(test_paper_\w+\.py)::(\w+)`", text))
    own = {(path.name, name) for path in FILES for name in names_in(path) if name[:6] == "test_s"}
    assert named == own, "every test of a sentence is in the list"
