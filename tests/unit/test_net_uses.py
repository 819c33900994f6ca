"""Nets of a user's own, and of libraries: what they may be used for, and files of one's own."""

import contextlib
import shutil

import pytest
import torch
import yaml

from tests.helpers.clones import ROOT
from tests.helpers.own_nets import FILES, write_own_nets
from tests.helpers.runs import FULL, MINIATURE, changed
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet, parameter_count
from workflow_scripts.vgg.settings import configuration, training_rules
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
        ({}, "expected 1 or more of convnets, models"),
    ],
)  # fmt: skip
def test_a_net_that_cannot_be_is_refused(content, message, tree):
    name = written(tree, "own.yaml", **content)
    assert message in told(tree, models=["config/models.yaml", name])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("LRN conv3-64 | conv3-64", 'word 1, "LRN", is not behind a conv, or its BN; write '),
        ("conv3-64 | LRN conv3-64", 'word 3, "LRN", is not behind a conv'),
        ("conv3-64 LRN LRN", 'word 3, "LRN", is not behind a conv'),
        ("BN conv3-64 | conv3-64", 'word 1, "BN", is not behind a conv; write conv3-64 BN, '),
        ("conv3-64 LRN BN", 'word 3, "BN", is not behind a conv'),
        ("conv3-64 BN BN", 'word 3, "BN", is not behind a conv'),
        ("conv0-64", 'word 1, "conv0-64", has an even side, but sides are odd, so that maps keep '
         "their size; write conv1-64"),
        ("conv3-64 | conv4-64", 'word 3, "conv4-64", has an even side, but sides are odd, so that '
         "maps keep their size; write conv3-64 or conv5-64"),
        ("conv3-0", 'word 1, "conv3-0", has no channels; give 1 or more, such as conv3-64'),
        ("conv3-64 | GAP | conv3-64", 'word 4, "|", stands behind GAP, which is the last block'),
        ("conv3-64 | GAP |", 'word 4, "|", stands behind GAP'),
        ("conv3-64 GAP", 'word 2, "GAP", is no block of its own; write it behind all others'),
        ("GAP", 'word 1, "GAP", is no block of its own'),
        ("conv3-64|conv3-64", 'word 1, "conv3-64|conv3-64", lacks spaces beside its |; write '
         "conv3-64 | conv3-64"),
        ("conv3-64 |conv3-64", 'word 2, "|conv3-64", lacks spaces beside its |; write | conv3-64'),
        ("conv3-64 | conv3-64 |", 'word 4, "|", ends the line, but a pool ends the last block by '
         "itself; delete it"),
        ("| conv3-64", 'word 1, "|", comes before any layer; begin with a conv'),
        ("conv3-64 | | conv3-64", 'word 3, "|", ends a block that has no layers; delete it'),
        ("conv3-64 || conv3-64", 'word 2, "||", is more than one pool; write |'),
        ("conv3-64 bn", 'word 2, "bn", is no layer; write BN'),
        ("Conv3-64", 'word 1, "Conv3-64", is no layer; write conv3-64'),
        ("conv3-64 maxpool conv3-64", 'word 2, "maxpool", is no layer; a pool between two blocks '
         "is written |"),
        ("conv3-64 | FC-4096", 'word 3, "FC-4096", is no layer; delete it: the fully-connected '
         "layers follow"),
        ("conv-64", 'word 1, "conv-64", is no layer; expected conv<side>-<channels>, such as '
         "conv3-64, LRN, BN, GAP or |"),
        (" ", "is empty; write its layers, such as conv3-64 | conv3-128"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_stand_in_a_net_is_named_with_its_line_and_the_cure(
    layers, message, tree
):
    (tree / "own.yaml").write_text(f"convnets:\n  M: conv3-64\n  N: '{layers}'\n")
    with pytest.raises(InputError) as raised:
        configuration.read_valid("models", tree / "own.yaml")
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{tree}/own.yaml:3: convnets.N: {message}")


def test_notation_is_checked_when_a_run_is_read(tree):
    name = written(tree, "own.yaml", convnets={"N": "conv3-64 | LRN"})
    message = told(tree, models=["config/models.yaml", name])
    assert message.startswith('own.yaml:2: convnets.N: word 3, "LRN", is not behind a conv')


SOUND = [
    "conv1-16", "conv3-64 LRN | conv5-64 BN LRN conv7-32 BN | conv3-64", "conv3-64 | GAP",
    "conv3-64  |\n conv3-64",
]  # fmt: skip


@pytest.mark.parametrize("layers", SOUND)
def test_a_net_that_is_accepted_can_be_built_and_run(layers, tree):
    """What the check lets pass is a net: the truth is PyTorch's."""
    entry = {"net": "N", "S": 256, "learning_rate": 0.1}
    name = written(tree, "own.yaml", convnets={"N": layers}, models={"X": entry})
    run = run_in(tree, models=["config/models.yaml", name])
    assert "\n" not in run.convnets["N"]
    sizes = run.config["convnet"] | {"fc": 4}
    net = ConvNet(Architecture(run.convnets["N"], 10, **sizes)).eval()
    assert net(torch.zeros(1, 3, 96, 96)).shape == (1, 10)


SIX = "conv3-64 | conv3-64 | conv3-64 | conv3-64 | conv3-64 | conv3-64"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("conv3-64 | conv3-65", 'word 3, "conv3-65", has 65 channels, but is to have a multiple of '
         "convnet.width_divisor, 16; write conv3-64"),
        ("conv3-7", "write conv3-16"),
        (SIX, "has 6 blocks, each with a pool that halves the map, but convnet.crop, 96, is no "
         "multiple of 2^6 = 64; take fewer blocks, or set it to 128"),
        (SIX + " | GAP", "has 6 blocks"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("imported", [False, True])
def test_a_net_that_the_runs_sizes_do_not_allow_is_refused(imported, layers, message, tree):
    """The miniature has width_divisor 16 and crop 96; imported weights are of nets as well."""
    entry = {"net": "N", "S": 256, "learning_rate": 0.1}
    name = written(tree, "own.yaml", convnets={"N": layers}, models={"X": entry})
    weights = {"X": {"file": "w.pth", "format": "own"}} if imported else {}
    told_of = told(tree, models=["config/models.yaml", name], weights={"import": weights})
    assert told_of.startswith("own.yaml:2: convnets: N: ")
    assert message in told_of


def test_a_net_that_no_model_has_may_be_of_any_size_unless_a_table_describes_it(tree):
    name = written(tree, "own.yaml", convnets={"N": SIX, "M": "conv3-65"})
    files = ["config/models.yaml", name]
    assert run_in(tree, models=files).convnets["N"] == SIX
    described = {"title": "t", "nets": ["M", "N"]}
    tables = written(tree, "t.yaml", mine=described)
    message = told(tree, models=files, tables=["config/tables.yaml", tables])
    assert "own.yaml:3: convnets: N: has 6 blocks" in message
    assert "the paper's crop, 224, is no multiple of 2^6 = 64; take fewer blocks" in message


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("own_claims.yaml", "nets/D-BN", "nets/D-BX", "own_claims.yaml:4: claims: "
         "batch_nets/D-BX is no row of config/tables.yaml or own_tables.yaml; expected <table>/"),
        ("own_claims.yaml", "batch_nets/D\n", "[{model: D-BX_S256, method: dense, Q: [256]}]\n",
         "own_claims.yaml:1: claims: 101: D-BX_S256 is not in config/models.yaml or own_models.y"),
        ("own_claims.yaml", "nets/D-BN", "nets/D", "own_claims.yaml:1: claims: 101 compares the "
         "same with itself: batch_nets/D and batch_nets/D; give two rows that differ"),
        ("own_claims.yaml", "batch_nets/D-BN", "table3/D_S256",
         "own_claims.yaml:1: claims: 101 compares the same with itself: table3/D_S256 and batch_n"),
        ("own_claims.yaml", "number: 101", "number: -5",
         "own_claims.yaml:1: [0].number: is -5, expected 1 or more"),
        ("own_claims.yaml", "number: 101", "number: 0",
         "own_claims.yaml:1: [0].number: is 0, expected 1 or more"),
        ("own_tables.yaml", "D-BN_S256", "D-BX_S256", "own_tables.yaml:1: tables: batch_nets: "
         "D-BX_S256 is not in config/models.yaml or own_models.yaml"),
        ("own_tables.yaml", 'D, "256", "256"', 'D, "256"',
         "own_tables.yaml:1: tables: batch_nets: row D has 2 labels, but the table 3 columns"),
        ("own_models.yaml", "net: D-BN", "net: D-BX",
         "own_models.yaml:4: models: D-BN_S256 is of net D-BX, which `convnets` lacks"),
        ("own_models.yaml", "S: 256,", "S: 256, parent: F_S256, inherit: all,",
         "own_models.yaml:4: models: D-BN_S256 starts from F_S256, which is not in "
         "config/models.yaml or own_models.yaml"),
    ],
)  # fmt: skip
def test_an_entry_that_does_not_fit_is_named_with_its_own_file_and_line(
    file, old, new, message, tree
):
    for name in FILES:
        text = (tree / name).read_text().replace("batch_normalisation", "batch_nets")
        if name == file:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (tree / name).write_text(text)
    assert told(tree, **yaml.safe_load(FILES["own.yaml"])).startswith(message)


def test_an_entry_of_the_shipped_files_and_of_rows_is_named_with_its_file(tree):
    (tree / "t.yaml").write_text(
        "t:\n"
        "  title: t\n"
        "  columns: [net]\n"
        "  metrics: [map_voc2007]\n"
        "  rows:\n"
        "    - {name: whole, labels: [r], descriptors: {models: [D_S256]}}\n"
        "    - {name: mine, labels: [r], descriptors: {models: [X]}}\n"
    )
    path = tree / "config/claims.yaml"
    path.write_text(path.read_text().replace("table3/A-LRN_S256", "table3/A-LRM_S256", 1))
    files = {"tables": ["config/tables.yaml", "t.yaml"]}
    line = path.read_text().split("A-LRM")[0].count("\n") + 1
    assert told(tree, **files).startswith(
        f"config/claims.yaml:{line}: claims: table3/A-LRM_S256 is"
    )
    shutil.copy(ROOT / "config/claims.yaml", path)
    told_of = "t.yaml:7: tables: row mine: X is not in config/models.yaml"
    assert told(tree, **files) == told_of


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
