"""Both configurations state the same keys, and a slip in either is named."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from tests.conftest import ROOT
from workflow_scripts.vgg import experiments
from workflow_scripts.vgg.files import InputError

CONFIGS = ["config/config.yaml", "config/ilsvrc2012.yaml"]


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def check(config):
    validate(config, str(ROOT / "config/schemas/config.schema.yaml"), set_default=False)


def key_paths(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix}
    return {path for key in value for path in key_paths(value[key], f"{prefix}/{key}")}


def test_both_configurations_state_the_same_keys():
    first, second = (key_paths(read(path)) for path in CONFIGS)
    assert first == second


@pytest.mark.parametrize("path", CONFIGS)
def test_the_schema_accepts_the_configuration(path):
    check(read(path))


@pytest.mark.parametrize("path", CONFIGS)
@pytest.mark.parametrize("where", [(), ("train",), ("train", "stages", "scratch"), ("choices",)])
def test_a_misspelt_key_is_rejected_by_name(path, where):
    config = copy.deepcopy(read(path))
    section = config
    for key in where:
        section = section[key]
    section["lerning_rate"] = 0.1
    with pytest.raises(WorkflowError, match="lerning_rate"):
        check(config)


@pytest.mark.parametrize("path", CONFIGS)
def test_a_missing_key_is_rejected_by_name(path):
    config = read(path)
    del config["train"]["momentum"]
    with pytest.raises(WorkflowError, match="momentum"):
        check(config)


def test_full_configuration_has_the_papers_values():
    config = read("config/ilsvrc2012.yaml")
    assert config["convnet"] == {"crop": 224, "fc": 4096, "width_divisor": 1}
    train = config["train"]
    assert (train["batch_size"], train["momentum"], train["weight_decay"]) == (256, 0.9, 5e-4)
    assert train["dropout"] == 0.5
    for stage in ("scratch", "transferred"):
        assert train["stages"][stage]["iterations"] == 370_000
        assert len(train["stages"][stage]["latest_drops"]) == 3
    assert {stage["rate_factor"] for stage in train["stages"].values()} == {1}
    assert config["data"]["images"] == {"train": 1_281_167, "val": 50_000, "test": 100_000}


def documented(schema, prefix=""):
    """Every key of a schema with its description, through references."""
    for name, entry in schema.get("properties", {}).items():
        yield f"{prefix}{name}", entry
        yield from documented(entry, f"{prefix}{name}.")


def test_every_key_has_a_description_and_stands_in_the_readme():
    schema = read("config/schemas/config.schema.yaml")
    readme = (ROOT / "config/README.md").read_text()
    for path, entry in documented(schema):
        assert entry.get("description"), path
        assert f"`{path}`" in readme or f"`{path.rsplit('.', 1)[-1]}`" in readme, path


def test_models_of_the_paper():
    models = read("config/models.yaml")["models"]
    assert len(models) == 14
    assert {m["learning_rate"] for m in models.values() if m.get("inherit") != "all"} == {1e-2}
    assert {m["learning_rate"] for m in models.values() if m.get("inherit") == "all"} == {1e-3}
    for net in "CDE":
        assert models[f"{net}_S256"]["parent"] == "A_S256"
        assert models[f"{net}_S384"]["parent"] == f"{net}_S256"
        assert models[f"{net}_S256-512"]["parent"] == f"{net}_S384"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda m, t, c: m["models"]["D_S256"].update(parent="F_S256"),
            "D_S256 starts from F_S256",
        ),
        (lambda m, t, c: m["models"]["A_S256"].update(parent="D_S256"), "starts from itself"),
        (lambda m, t, c: m["models"]["A_S256"].update(net="Z"), "net Z"),
        (
            lambda m, t, c: t["table3"]["rows"][0]["evaluations"][0].update(model="X"),
            "tables: table3: X is not in models",
        ),
        (lambda m, t, c: t["table1"]["nets"].append("Q"), "table1 names net Q"),
        (
            lambda m, t, c: c[0]["comparisons"][0].update(candidate="table3/no"),
            "table3/no is no row",
        ),
    ],
)
def test_a_name_that_is_not_defined_is_reported(change, complaint):
    parts = [read(f"config/{name}.yaml") for name in ("models", "tables", "claims")]
    models, *others = parts
    experiments.check_references(models["convnets"], models["models"], *others)
    change(*parts)
    with pytest.raises(InputError, match=complaint):
        experiments.check_references(models["convnets"], models["models"], *others)


def pins(lines):
    return {line.strip("- ").strip() for line in lines if "==" in line and "#" not in line}


def test_conda_users_get_the_same_pins():
    conda = pins((ROOT / "envs/environment.yml").read_text().splitlines())
    pip = pins(
        line
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / "envs" / name).read_text().splitlines()
    )
    assert conda == pip


COMMANDS = sorted(p.stem for p in (ROOT / "workflow_scripts").glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = subprocess.run(
        [sys.executable, "-m", f"workflow_scripts.{command}", "--help"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0
    assert "usage:" in result.stdout
    assert result.stdout.count("\n") > 5


def test_a_bad_input_is_one_clear_line_and_a_failure(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.read_devkit", "--devkit", "nowhere.tar.gz",
         "--classes", "10", "--output", str(tmp_path / "c.parquet")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("error: nowhere.tar.gz: no such file")
    assert "Traceback" not in result.stderr
    assert not list(Path(tmp_path).iterdir())
