"""All configurations state the same keys, and a slip in any is named."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from tests.clones import merged
from tests.conftest import ROOT
from workflow_scripts.vgg import experiments
from workflow_scripts.vgg.files import InputError

CONFIGS = ["config/config.yaml", "config/ilsvrc2012.yaml", "config/released_weights.yaml"]


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def check(config):
    validate(config, str(ROOT / "config/schemas/config.schema.yaml"), set_default=False)


def key_paths(value, prefix=""):
    # Which models are imported is no key of the configuration.
    if not isinstance(value, dict) or prefix == "/weights/import":
        return {prefix}
    return {path for key in value for path in key_paths(value[key], f"{prefix}/{key}")}


def test_all_configurations_state_the_same_keys():
    first, *others = (key_paths(read(path)) for path in CONFIGS)
    for other in others:
        assert other == first


@pytest.mark.parametrize("path", CONFIGS)
def test_the_schema_accepts_the_configuration(path):
    check(read(path))


@pytest.mark.parametrize("path", ["config/one_gpu.yaml", "config/small_archives.yaml"])
def test_the_examples_change_the_default_to_what_the_schema_accepts(path):
    default, changes = read("config/config.yaml"), read(path)
    changed = merged(default, changes)
    assert key_paths(changed) == key_paths(default)
    check(changed)
    assert changed["experiment"] == Path(path).stem


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


def test_the_released_weights_are_tested_by_the_papers_settings():
    full, released = read("config/ilsvrc2012.yaml"), read("config/released_weights.yaml")
    for key in ("models", "claims", "convnet", "choices", "train", "evaluate"):
        assert released[key] == full[key], key
    assert released["tables"] == [*full["tables"], "config/released_tables.yaml"]
    assert released["weights"]["train"] is False
    files = {m: entry["file"] for m, entry in released["weights"]["import"].items()}
    assert files == {
        "D_S256-512": "resources/weights/VGG_ILSVRC_16_layers.caffemodel",
        "E_S256-512": "resources/weights/VGG_ILSVRC_19_layers.caffemodel",
    }


def answers_complaint(text):
    """What is said of a file of answers; None if it is accepted."""
    try:
        validate(
            yaml.safe_load(text),
            str(ROOT / "config/schemas/server_answers.schema.yaml"),
            set_default=False,
        )
    except WorkflowError as error:
        return str(error)


def test_answers_of_the_test_server_are_held_to_their_schema():
    good = "D_E_both: {top5_test: 6.8, top1_test: 23.7, date: '2026-11-24', note: n}"
    assert answers_complaint(good) is None
    for slip, complaint in (
        (good.replace("top5_test", "top5_tst"), "top5_tst"),
        (good.replace("top5_test: 6.8, ", ""), "top5_test"),
        (good.replace("6.8", "680"), "680"),
        (good.replace("2026-11-24", "24 November"), "24 November"),
    ):
        assert complaint in answers_complaint(slip)


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
    ],
)
def test_a_name_that_is_not_defined_is_reported(change, complaint):
    parts = [read(f"config/{name}.yaml") for name in ("models", "tables", "claims")]
    models, *others = parts
    experiments.check_references(models["convnets"], models["models"], *others)
    change(*parts)
    with pytest.raises(InputError, match=complaint):
        experiments.check_references(models["convnets"], models["models"], *others)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda t: t["table5"]["rows"][1]["labels"].pop(),
            "D_multicrop has 1 labels",
        ),
        (lambda t: t["table5"]["rows"][1].update(name="D_dense"), "row D_dense stands there twice"),
        (lambda t: t["table5"].update(paper="table55"), "table5: .* no rows of table55"),
        (lambda t: t["table5"].update(paper="table6"), "table5 has more rows than the paper's"),
    ],
)
def test_a_row_that_has_no_place_is_reported(change, complaint):
    tables, paper = read("config/tables.yaml"), read("config/paper_tables.yaml")
    experiments.check_rows(tables, paper)
    change(tables)
    with pytest.raises(InputError, match=complaint):
        experiments.check_rows(tables, paper)


def test_an_imported_model_that_is_not_defined_is_reported():
    models, *others = (read(f"config/{name}.yaml") for name in ("models", "tables", "claims"))
    parts = [models["convnets"], models["models"], *others]
    experiments.check_references(*parts, ["D_S256-512"])
    with pytest.raises(InputError, match=r"weights.import: D_S256-51 is not in models"):
        experiments.check_references(*parts, ["D_S256-512", "D_S256-51"])


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
        [sys.executable, "-m", "workflow_scripts.list_classes", "--devkit", "nowhere.tar.gz",
         "--classes", "10", "--output", str(tmp_path / "c.parquet")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("error: nowhere.tar.gz: no such file")
    assert "Traceback" not in result.stderr
    assert not list(Path(tmp_path).iterdir())
