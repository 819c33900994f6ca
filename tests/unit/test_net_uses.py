"""Nets of a user's own, and of libraries: what they may be used for, and files of one's own."""

import contextlib
import shutil

import pytest
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.own_nets import FILES, write_own_nets
from tests.helpers.runs import FULL, MINIATURE, changed
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.convnets import Architecture, parameter_count
from workflow_scripts.vgg.settings import training_rules
from workflow_scripts.vgg.settings.run import read_run

D_BN = yaml.safe_load(FILES["own_models.yaml"])["convnets"]["D-BN"]
LIBRARY = yaml.safe_load(FILES["library.yaml"])
TABLE = {
    "title": "t",
    "columns": ["net"],
    "metrics": ["top1_val"],
    "rows": [{"name": "r", "labels": ["r"]}],
}


@pytest.fixture
def tree(tmp_path):
    """A folder with the configuration's files and those of docs/own_nets.md."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    write_own_nets(tmp_path)
    return tmp_path


def run_in(tree, base=MINIATURE, **changes):
    config = yaml.safe_load((ROOT / base).read_text())
    with contextlib.chdir(tree):
        return read_run(changed(config, changes), [base])


def written(tree, name, **content):
    (tree / name).write_text(yaml.safe_dump(content))
    return name


def told(tree, base=MINIATURE, **changes):
    with pytest.raises(InputError) as raised:
        run_in(tree, base, **changes)
    return str(raised.value)


def test_the_entry_of_the_page_is_trained_and_compared(tree):
    run = run_in(tree, **yaml.safe_load(FILES["own.yaml"]))
    assert run.trained[-1] == "D-BN_S256"
    assert len(run.trained) == 19
    assert "batch_normalisation" in run.measured
    assert run.claims[-1] == yaml.safe_load(FILES["own_claims.yaml"])[0] | {"own": True}
    assert not any(claim.get("own") for claim in run.claims[:-1])
    options = training_rules.training_options(run, "D-BN_S256", "")
    assert options[options.index("--layers") + 1] == D_BN
    # VGG-16 with batch normalisation has 138,365,992 parameters, says torchvision.
    assert parameter_count(Architecture(D_BN)) == 138_365_992


def test_library_nets_are_imported_and_never_trained(tree):
    run = run_in(tree, FULL, **LIBRARY)
    assert {"ResNet-50", "RegNetY"} <= set(run.available)
    assert not {"ResNet-50", "RegNetY"} & set(run.trained)
    options = training_rules.import_options(run, "ResNet-50")
    assert "--layers" not in options
    assert "--scale" not in options
    assert options[options.index("--net") + 1] == "torchvision/resnet50"
    without = run_in(tree, FULL, **LIBRARY | {"weights": {"import": {}}})
    assert "ResNet-50" not in without.available


def test_other_configurations_have_all_their_models(tree):
    """A file alone is as good as a list of it."""
    one = run_in(tree)
    assert run_in(tree, models=["config/models.yaml"]).models == one.models
    assert run_in(tree, claims=["config/claims.yaml"]).claims == one.claims


def models(**entry):
    return {"convnets": {"G": "conv3-64 | conv3-64 | GAP"}, "models": {"X": entry}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (models(net="Z", S=256, learning_rate=0.1), "X is of net Z, which `convnets` lacks"),
        (models(net="timm/x", S=256), "models: X is a net of a library, which is imported and not "
         "trained; remove its S"),
        (models(net="D"), "own.yaml:4: models.X.S: is missing"),
        (models(net="G", S=256, learning_rate=0.1, head="box-pcr", parent="D_S256",
                inherit="all-but-last"), "models: X predicts boxes, which a net with GAP"),
        ({"models": {"D_S256": {"net": "timm/x"}}}, "has a model D_S256 already; rename one"),
        ({"convnets": {"D": "conv3-64"}}, "has a net D already; rename one"),
        ({"convnets": {"N": "BN conv3-64"}}, "convnets.N: is \"BN conv3-64\", expected text of"),
        ({"convnets": {"N": "conv3-64 LRN BN"}}, "convnets.N: is"),
        ({"convnets": {"N": "conv3-64 | GAP | conv3-64"}}, "convnets.N: is"),
        ({}, "expected 1 or more of convnets, models"),
    ],
)  # fmt: skip
def test_a_net_that_cannot_be_is_refused(content, message, tree):
    name = written(tree, "own.yaml", **content)
    assert message in told(tree, models=["config/models.yaml", name])


def test_a_library_net_is_nobodys_parent(tree):
    child = {"net": "D", "S": 256, "learning_rate": 0.1, "parent": "L", "inherit": "all"}
    name = written(tree, "own.yaml", models={"L": {"net": "timm/x"}, "X": child})
    assert "models: X starts from L, a net of a library" in told(
        tree, models=["config/models.yaml", name]
    )


def test_a_librarys_weights_are_in_its_own_format(tree):
    wrong = {"ResNet-50": {"file": "w.pth", "format": "caffe"}}
    message = told(tree, FULL, **LIBRARY | {"weights": {"import": wrong}})
    assert (
        "ResNet-50 is of torchvision/resnet50, so its file must have the format torchvi" in message
    )


@pytest.mark.parametrize("net", ["G", "timm/x"])
def test_nets_without_hidden_layers_describe_no_images(net, tree):
    entry = {"net": net} | ({"S": 256, "learning_rate": 0.1} if net == "G" else {})
    own = written(tree, "own.yaml", **models(**entry))
    rows = [{"name": "r", "labels": ["r"], "descriptors": {"models": ["X"]}}]
    tables = written(tree, "t.yaml", t=TABLE | {"metrics": ["map_voc2007"], "rows": rows})
    message = told(tree, models=["config/models.yaml", own], tables=["config/tables.yaml", tables])
    assert "tables: row r: X has no hidden fully-connected layers" in message


def test_pictures_are_of_nets_of_the_papers_kind(tree):
    own = written(tree, "own.yaml", models={"X": {"net": "timm/x"}})
    pictures = yaml.safe_load((tree / "config/pictures.yaml").read_text())
    pictures["crops"]["model"] = "X"
    name = written(tree, "p.yaml", **pictures)
    message = told(tree, models=["config/models.yaml", own], pictures=name)
    assert "pictures: crops: X is a net of a library" in message


def test_two_claims_of_one_number_are_refused(tree):
    (tree / "own.yaml").write_text(FILES["own_claims.yaml"].replace("101", "7"))
    changes = yaml.safe_load(FILES["own.yaml"]) | {"claims": ["config/claims.yaml", "own.yaml"]}
    assert "own.yaml: there is a claim 7 already; renumber it" in told(tree, **changes)
