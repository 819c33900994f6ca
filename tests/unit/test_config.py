"""All configurations state the same keys, and a slip in any is named."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.clones import ROOT, merged
from tests.helpers.runs import changed
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import configuration, experiments

CONFIGS = ["config/config.yaml", "config/ilsvrc2012.yaml", "config/released_weights.yaml"]


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def check(config):
    configuration.check("config", config, "config/config.yaml")


def key_paths(value, prefix=""):
    # Which models are imported, and which other data sets there are, are no keys of it.
    if not isinstance(value, dict) or prefix in ("/weights/import", "/transfer/data_sets"):
        return {prefix}
    return {path for key in value for path in key_paths(value[key], f"{prefix}/{key}")}


def test_all_configurations_state_the_same_keys():
    first, *others = (key_paths(read(path)) for path in CONFIGS)
    for other in others:
        assert other == first


@pytest.mark.parametrize("path", CONFIGS)
def test_the_schema_accepts_the_configuration(path):
    check(read(path))


@pytest.mark.parametrize(
    "path", ["config/drawn.yaml", "config/one_gpu.yaml", "config/small_archives.yaml"]
)
def test_the_examples_change_the_default_to_what_the_schema_accepts(path):
    default, changes = read("config/config.yaml"), read(path)
    config = merged(default, changes)
    assert key_paths(config) == key_paths(default)
    check(config)
    assert config["experiment"] == Path(path).stem


@pytest.mark.parametrize("path", ["config/imagenet100.yaml", "config/imagenette.yaml"])
def test_the_subsets_change_the_paper_to_what_the_schema_accepts(path):
    paper, changes = read("config/ilsvrc2012.yaml"), read(path)
    config = changed(paper, changes)
    assert key_paths(config) == key_paths(paper)
    check(config)
    assert config["experiment"] == Path(path).stem


@pytest.mark.parametrize("path", CONFIGS)
@pytest.mark.parametrize("where", [(), ("train",), ("train", "stages", "scratch"), ("choices",)])
def test_a_misspelt_key_is_rejected_by_name(path, where):
    config = copy.deepcopy(read(path))
    section = config
    for key in where:
        section = section[key]
    section["lerning_rate"] = 0.1
    told = rf"{'.'.join(where)}\.?lerning_rate: there is no such key"
    with pytest.raises(InputError, match=told):
        check(config)


@pytest.mark.parametrize("path", CONFIGS)
def test_a_missing_key_is_rejected_by_name(path):
    config = read(path)
    del config["train"]["momentum"]
    told = "train.momentum: is missing .Momentum of SGD; 0.9 in the paper"
    with pytest.raises(InputError, match=told):
        check(config)


SLIPS = """\
experiment: "two\\n"
seeds: 0
train:
  momentun: 0.8
  evaluate: 3
  weight_decay: 5e-4
  precision: bfloat61
  stages: {scratch: {iterations: 0}}
evaluate: {precision: float23}
data:
  archives: {train: 2012}
weights:
  import: {D_S256: {file: a, format: kers}}
"""
TOLD = """\
1: experiment: is "two\\n", expected text of the form [A-Za-z0-9_][A-Za-z0-9_.-]*
2: seeds: is 0, expected a list; write [0]
4: train.momentun: there is no such key; did you mean momentum? (Momentum of SGD; 0.9 in the paper)
5: train.evaluate: there is no such key here; did you mean evaluate?
6: train.weight_decay: is "5e-4", expected a number; write 0.0005, which YAML reads as one
7: train.precision: is "bfloat61", expected one of "auto", "float32", "bfloat16", "float16", \
"float64"; did you mean bfloat16?
8: train.stages.scratch.iterations: is 0, expected 1 or more
9: evaluate.precision: is "float23", expected one of "float32", "tf32", "bfloat16", "float16"; \
did you mean float32?
11: data.archives.train: is 2012, expected text; write '2012', in quotes
13: weights.import.D_S256.format: is "kers", expected one of "torchvision", "timm", "caffe", \
"jcjohnson", "keras", "own"; did you mean keras?
"""


def test_every_slip_is_one_line_with_its_place_and_the_cure(tmp_path):
    (tmp_path / "mine.yaml").write_text(SLIPS)
    config = changed(read("config/config.yaml"), yaml.safe_load(SLIPS))
    with pytest.raises(InputError) as raised:
        configuration.check("config", config, ROOT / "config/config.yaml", tmp_path / "mine.yaml")
    assert str(raised.value) == re.sub("^", f"{tmp_path}/mine.yaml:", TOLD.strip(), flags=re.M)


def test_a_misspelt_key_is_not_named_twice_as_missing():
    config = read("config/config.yaml")
    config["train"]["momentun"] = config["train"].pop("momentum")
    with pytest.raises(InputError, match=r"^[^\n]*train.momentun[^\n]*momentum[^\n]*$"):
        check(config)


def test_a_slip_in_a_list_of_tables_names_its_line(tmp_path):
    text = (ROOT / "config/tables.yaml").read_text()
    path = tmp_path / "tables.yaml"
    path.write_text(text.replace("method: dense", "method: dens", 1))
    line = path.read_text().split("method: dens,")[0].count("\n") + 1
    with pytest.raises(InputError) as raised:
        configuration.read_valid("tables", path)
    (told,) = str(raised.value).splitlines()
    assert told.startswith(f"{path}:{line}: table")
    assert told.endswith('"dense", "multicrop", "center"; did you mean dense?')


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{name: zz, label: [d], descriptors: {models: [D]}}", "rows[0].label: there is no such"),
        ("{name: zz, labels: [d], descriptor: {models: [D]}}", "rows[0].descriptor: there is no"),
        ("{name: a b, labels: [d], descriptors: {models: [D], Q: [x]}}", "name"),
    ],
)
def test_a_misspelt_key_in_a_row_is_named_and_no_other_kind_of_table(row, told, tmp_path):
    path = tmp_path / "tables.yaml"
    path.write_text(
        f"mine:\n  title: T\n  columns: [net]\n  metrics: [map_x]\n  rows:\n    - {row}\n"
    )
    with pytest.raises(InputError) as raised:
        configuration.read_valid("tables", path)
    assert told in str(raised.value)
    assert "nets" not in str(raised.value)
    assert "section" not in str(raised.value)


def test_notes_of_the_miniature_are_a_list_of_texts(tmp_path):
    path = tmp_path / "tables.yaml"
    for value, told in (("No list", "a list"), ([""], "empty|short"), ([3], "text|string")):
        tables = read("config/tables.yaml")
        tables["table3"]["miniature_notes"] = value
        path.write_text(yaml.safe_dump(tables, sort_keys=False))
        with pytest.raises(InputError, match=rf"table3.miniature_notes.*({told})"):
            configuration.read_valid("tables", path)


def test_whole_numbers_are_written_as_such(tmp_path):
    """To a schema 32.0 is an integer, to a command not."""
    config = read("config/config.yaml")
    config["train"]["batch_size"] = 32.0
    with pytest.raises(InputError, match=r"batch_size: is 32.0, expected an integer; write 32"):
        check(config)


@pytest.mark.parametrize("name", ["16", "no", "2026-01-02", "~"])
def test_a_name_that_yaml_takes_for_something_else_is_refused(name, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"{name}: {{title: A, nets: [A]}}\n")
    with pytest.raises(InputError, match="is a name that YAML takes for no text; write it in"):
        configuration.read_valid("tables", tmp_path / "mine.yaml")


@pytest.mark.parametrize("kind", ["tables", "models", "pictures", "server_answers", "config"])
def test_a_list_where_keys_are_expected_is_one_line(kind, tmp_path):
    for content, shown in (("[1, 2]", "[1, 2]"), ("", "null"), ("7", "7"), (".nan", "NaN")):
        (tmp_path / "mine.yaml").write_text(content)
        told = rf"^\S+mine\.yaml:?1?: the whole file: is {re.escape(shown)}, expected"
        with pytest.raises(InputError, match=told):
            configuration.read_valid(kind, tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("  Q: [256]", "  Q: [256, 256]"), "Q: is .*entries that all differ"),
        (("columns: [a]", "columns: [a, a]"), "columns: is .*entries that all differ"),
        (("columns: [a]", "columns: [literature]"), "columns"),
        (("mine:", "plan:"), "1: plan: cannot be a name, expected text of the form"),
    ],
)
def test_a_table_that_would_count_twice_or_lose_a_column_is_refused(change, told, tmp_path):
    text = "mine:\n  title: A\n  columns: [a]\n  metrics: [top1_val]\n  rows:\n"
    text += "  - name: a\n    labels: [a]\n    evaluations:\n    - model: A_S256\n"
    text += "      method: dense\n      Q: [256]\n"
    (tmp_path / "mine.yaml").write_text(text)
    configuration.read_valid("tables", tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text(text.replace(*change))
    with pytest.raises(InputError, match=told):
        configuration.read_valid("tables", tmp_path / "mine.yaml")


def test_an_anchor_in_itself_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("tables: &x [*x]\n")
    with pytest.raises(InputError, match=r"mine\.yaml: an anchor \(&\) in it contains itself"):
        configuration.read_valid("tables", tmp_path / "mine.yaml")


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_a_number_that_is_not_finite_is_refused(number, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"train:\n  momentum: {number}\n")
    config = changed(read("config/config.yaml"), experiments.read_yaml(path))
    with pytest.raises(InputError, match=r"mine\.yaml:2: train\.momentum: is no finite number"):
        configuration.check("config", config, ROOT / "config/config.yaml", path)


def test_a_key_that_is_given_twice_is_refused_by_both_lines(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("experiment: a\ntrain: {momentum: 0.9,\n  momentum: 0.8}\nexperiment: b\n")
    config = changed(read("config/config.yaml"), experiments.read_yaml(path))
    with pytest.raises(InputError) as raised:
        configuration.check("config", config, ROOT / "config/config.yaml", path)
    assert str(raised.value).splitlines() == [
        f"{path}:3: train.momentum: is given in line 2 already; delete one of the two",
        f"{path}:4: experiment: is given in line 1 already; delete one of the two",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: 1\nb: [1\n", ":3: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (
            b"a: 1\n\tb: 2\n",
            ":2: not valid YAML: found character '\\t' that cannot",
        ),
        (b"date: 2026-11-31\n", ": not valid YAML: day is out of range for month"),
        ("a: ü".encode("latin-1"), ": not UTF-8; save it as such, or as ASCII"),
        (None, ": no such file"),
    ],
)
def test_a_file_that_is_no_yaml_is_one_line(content, told, tmp_path):
    if content is not None:
        (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(InputError) as raised:
        experiments.read_yaml(tmp_path / "mine.yaml")
    assert str(raised.value).startswith(f"{tmp_path}/mine.yaml{told}")
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="Is a directory"):
        experiments.read_yaml(tmp_path)


@pytest.mark.parametrize("kind", ["models", "tables", "claims", "pictures"])
def test_the_files_that_a_configuration_names_are_valid(kind):
    assert configuration.read_valid(kind, ROOT / f"config/{kind}.yaml")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"seeds": ["0", "1"]}, [0, 1]),  # what Snakemake makes of seeds=[0,1]
        ({"pictures": "null"}, None),
        ({"train": {"momentum": "0.8"}}, 0.8),
        ({"weights": {"train": "false"}}, False),
        ({"train": {"micro_batch": "null"}}, None),
        ({"data": {"md5": {"val": "0" * 32}}}, "0" * 32),
        ({"data": {"classes": "100"}}, 100),
        ({"data": {"classes": "mine.txt"}}, "mine.txt"),
        ({"data": {"classes": ["0", "1", "2", "3", "4", "5"]}}, ["0", "1", "2", "3", "4", "5"]),
        ({"data": {"classes": {"number": "100", "seed": "0"}}}, {"number": 100, "seed": 0}),
    ],
)
def test_what_the_command_line_gives_is_read_as_yaml(given, found):
    config = changed(read("config/config.yaml"), given)
    configuration.from_command_line(config, given)
    configuration.check("config", config, given=given)
    while isinstance(given, dict) and len(given) == 1:
        ((key, given),) = given.items()
        config = config[key]
    assert config == found


def test_the_command_line_is_named_as_the_place():
    given = {"seeds": "3", "data": {"without": "[size]"}, "train": {"momentum": "much"}}
    config = changed(read("config/config.yaml"), given)
    configuration.from_command_line(config, given)
    with pytest.raises(InputError) as raised:
        configuration.check("config", config, ROOT / "config/config.yaml", given=given)
    assert str(raised.value).splitlines() == [
        '--config: data.without[0]: is "size", expected one of "sizes", "detail", "context"; '
        "did you mean sizes?",
        "--config: seeds: is 3, expected a list; write [3]",
        '--config: train.momentum: is "much", expected a number',
    ]


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (5, "data.classes: is 5, expected 6 or more"),
        (100.0, "data.classes: is 100.0, expected an integer or a list or text .*; write 100"),
        (None, "data.classes: is null, expected an integer or a list or text or keys and .*values"),
        ([], r"data.classes: is \[\], expected 6 entries or more"),
        ([1] * 6, r"data.classes\[0\]: is 1, expected text; write '1', in quotes"),
        ({"number": 100}, "data.classes.seed: is missing .Of the draw"),
        ({"number": 5, "seed": 0}, "data.classes.number: is 5, expected 6 or more"),
        (
            {"number": 9, "seed": 0, "sed": 1},
            "data.classes.sed: there is no such key; did you mean",
        ),
    ],
)
def test_classes_of_no_form_are_named(classes, told):
    config = read("config/config.yaml")
    config["data"]["classes"] = classes
    with pytest.raises(InputError, match=rf"^config/config.yaml:\d+: {told}"):
        check(config)


NAMES = ["two\n", "a b", "a/b", "..", ".", "-x", "ü", "", "a\0", "x" * 101]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_that_cannot_be_a_folder_is_refused(name):
    with pytest.raises(InputError, match="experiment: is "):
        check(read("config/config.yaml") | {"experiment": name})


def test_home_and_variables_stand_for_folders_in_every_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SITE", "/site")
    config = changed(
        read("config/released_weights.yaml"),
        {
            "tables": ["~/tables.yaml", "$SITE/more.yaml"],
            "data": {"directory": "~/ilsvrc", "archives": {"train": "${SITE}/train.tar"}},
            "weights": {"import": {"D_S256": {"file": "$HOME/d.npz", "format": "own"}}},
        },
    )
    config["data"]["local_scratch"] = "$TMPDIR"  # the node's, not ours
    expanded = configuration.expand_paths(config)
    assert expanded["tables"] == ["/home/me/tables.yaml", "/site/more.yaml"]
    assert expanded["data"]["directory"] == "/home/me/ilsvrc"
    assert expanded["data"]["archives"]["train"] == "/site/train.tar"
    assert expanded["weights"]["import"]["D_S256"] == {"file": "/home/me/d.npz", "format": "own"}
    assert expanded["data"]["local_scratch"] == "$TMPDIR"
    assert expanded["choices"] == config["choices"]
    config["data"]["directory"] = "$NOWHERE/ilsvrc"
    with pytest.raises(InputError, match=r"data.directory: \$NOWHERE/ilsvrc has a variable"):
        configuration.expand_paths(config)


def test_a_path_may_have_a_dollar_or_begin_with_a_dash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a$b").mkdir()
    config = read("config/config.yaml")
    for directory, expanded in (("a$b", "a$b"), ("-data", "./-data")):
        config["data"]["directory"] = directory
        assert configuration.expand_paths(config)["data"]["directory"] == expanded
    config["data"]["directory"] = "b$a"
    with pytest.raises(InputError, match=r"data.directory: b\$a has a variable"):
        configuration.expand_paths(config)


@pytest.mark.parametrize("path", CONFIGS)
def test_paths_without_variables_stay_as_they_are(path):
    assert configuration.expand_paths(read(path)) == read(path)


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
        configuration.check("server_answers", yaml.safe_load(text), "answers.yaml")
    except InputError as error:
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
    assert len(models) == 18
    rates = {True: set(), False: set()}
    for model in models.values():
        whole = model.get("inherit", "").startswith("all")
        rates[whole].add(model["learning_rate"])
    assert rates == {True: {1e-3}, False: {1e-2}}
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


def test_conda_users_and_the_lock_have_the_same_pins():
    conda = pins((ROOT / "envs/environment.yml").read_text().splitlines())
    pip = pins(
        line
        for name in ("requirements.txt", "requirements-extra.txt", "requirements-dev.txt")
        for line in (ROOT / "envs" / name).read_text().splitlines()
    )
    assert conda == pip
    locked = (ROOT / "envs/lock.txt").read_text().splitlines()
    assert pip <= {line.partition(" ;")[0] for line in locked}, "run make lock"


COMMANDS = sorted(p.stem for p in (ROOT / "workflow_scripts").glob("*.py") if p.stem != "__init__")


@pytest.mark.slow
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
