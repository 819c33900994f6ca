"""docs/own_nets.md's files, in a finished tiny run: nets of one's own and of libraries."""

import json
import re
import shutil

import pandas as pd
import pytest
import torch
import torchvision
import yaml

from tests.helpers.clones import outputs, snakemake
from tests.helpers.own_nets import FILES, write_own_nets

LATER = ("--configfile", "both.yaml")
TARGETS = ("reports/batch_normalisation.html", "reports/later_nets.html", "claims")


@pytest.fixture(scope="module")
def extended(run, tmp_path_factory):
    """A finished run, and what the page's files add to it."""
    folder = tmp_path_factory.mktemp("own_nets") / "run"
    shutil.copytree(run, folder, symlinks=True)
    write_own_nets(folder)
    own, library = (yaml.safe_load(FILES[name]) for name in ("own.yaml", "library.yaml"))
    # One small net stands for those of the page, and its crops would take minutes.
    models = yaml.safe_load(FILES["library_models.yaml"])
    models["models"] = {"ResNet-50": {"net": "torchvision/resnet18"}}
    (folder / "library_models.yaml").write_text(yaml.safe_dump(models))
    tables = yaml.safe_load(FILES["library_tables.yaml"])
    rows = tables["later_nets"]["rows"]
    tables["later_nets"]["rows"] = [row for row in rows if row["name"] == "ResNet-50"]
    (folder / "library_tables.yaml").write_text(yaml.safe_dump(tables))
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), folder / "r.pth")
    both = {
        "models": [*own["models"], library["models"][-1]],
        "tables": [*own["tables"], library["tables"][-1]],
        "claims": own["claims"],
        "weights": {"import": {"ResNet-50": {"file": "r.pth", "format": "torchvision"}}},
    }
    (folder / "both.yaml").write_text(yaml.safe_dump(both))
    configured = yaml.safe_load((folder / "config/config.yaml").read_text())
    assert configured["experiment"] == "tiny"
    made = outputs(folder, *TARGETS, *LATER)
    snakemake(folder, *TARGETS, "--cores", "2", *LATER)
    return folder, made


def test_the_page_is_made_and_the_papers_nets_are_not_trained_again(extended):
    folder, made = extended
    assert {path for path in made if path.endswith(".safetensors")} == {
        "results/tiny/weights/D-BN_S256.safetensors",
        "results/tiny/weights/ResNet-50.safetensors",
    }
    table = pd.read_csv(folder / "results/tiny/tables/batch_normalisation.csv")
    assert table["ConvNet"].tolist() == ["D", "D with batch normalisation"]
    assert table["top1_val"].notna().all()


def test_the_claim_is_judged_apart_from_the_papers(extended, run):
    folder, _ = extended
    ledger, before = (
        json.loads((tree / "results/tiny/claims.json").read_text()) for tree in (folder, run)
    )
    assert (ledger["family_of_own"], before["family_of_own"]) == (1, 0)
    *papers, own = ledger["claims"]
    assert papers == before["claims"], "the paper's claims are judged as if there were no other"
    assert own["number"] == 101
    (comparison,) = own["comparisons"]
    assert comparison["p_holm"] == comparison["p"]
    page = (folder / "reports/claims.html").read_text()
    assert "Batch normalisation lowers D&#39;s error" in page
    assert "claim-101" in page


def test_a_librarys_net_is_said_to_be_no_net_of_the_papers(extended):
    folder, _ = extended
    table = json.loads((folder / "results/tiny/tables/later_nets.json").read_text())
    assert table["rows"][0]["metrics"]["top1_val"]["measured"] is not None
    notes = " ".join(table["notes"])
    assert "ResNet-50 is torchvision/resnet18, no net of the paper’s, with the input" in notes
    page = (folder / "reports/later_nets.html").read_text()
    assert "no net of the paper’s" in page
    assert re.search(r"r\.pth</code>, torchvision/resnet18, not the paper", page)
