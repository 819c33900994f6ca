"""What the rule that exports weights is given."""

import json

import pytest

from tests.helpers.runs import FULL, run_of
from workflow_scripts.vgg.results import loading_code, model_card
from workflow_scripts.vgg.settings import export_rules


def words_after(options, name):
    return options[options.index(name) + 1]


def test_every_model_of_models_yaml_is_exported_to_a_folder_of_its_own():
    run = run_of()
    assert len(export_rules.exported(run)) == 18
    assert export_rules.exported_files(run) == [
        f"results/miniature/exported/{{model}}/{name}"
        for name in (loading_code.WEIGHTS, model_card.CONFIG, model_card.CARD)
    ]
    onnx = run_of(exports={"onnx": True})
    assert export_rules.exported_files(onnx)[-1].endswith(f"/{{model}}/{loading_code.ONNX}")


def test_a_card_states_the_errors_of_all_splits_that_the_run_makes_anyway():
    paths = export_rules.card_posteriors(run_of(), "D_S256-512")
    assert sorted(paths) == sorted(
        f"results/miniature/posteriors/{split}/D_S256-512/{method}_Q{Q}.parquet"
        for split in ("val", "test")
        for method in ("dense", "multicrop")
        for Q in (256, 384, 512)
    )
    assert all("/val/" in path for path in export_rules.card_posteriors(run_of(FULL), "E_S256"))
    assert export_rules.card_posteriors(run_of(), "D_S256_pcr") == []
    several = run_of(seeds=[0, 3])
    assert export_rules.card_posteriors(several, "D_S256-512") == paths


def test_without_errors_an_export_needs_nothing_but_weights():
    run = run_of(exports={"measured": False})
    assert export_rules.card_posteriors(run, "D_S256-512") == []
    assert export_rules.class_list(run, "D_S256-512") == []
    assert export_rules.class_list(run_of(), "D_S256-512") == "results/miniature/classes.parquet"
    assert export_rules.class_list(run_of(), "D_S256_pcr") == []


def test_options_say_the_forms_the_data_and_the_licence():
    options = export_rules.export_options(run_of())
    assert not {"--onnx", "--no-timm", "--license", "--subset"} & set(options)
    assert words_after(options, "--source") == "miniature"
    counts = [words_after(options, f"--{split}-images") for split in ("train", "val", "test")]
    assert counts == ["4000", "1000", "100"]
    wanted = {"measured": True, "timm": False, "onnx": True, "license": "cc-by-4.0"}
    options = export_rules.export_options(run_of(exports=wanted))
    assert {"--onnx", "--no-timm"} <= set(options)
    assert words_after(options, "--license") == "cc-by-4.0"


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ({"number": 7, "seed": 3}, "drawn with seed 3"),
        ([f"n{n:08d}" for n in range(7)], "chosen by name"),
    ],
)
def test_a_subset_is_told(classes, told):
    data = {"classes": classes, "images": {"train": None, "val": None, "test": None}}
    data["source"] = "archives"
    options = export_rules.export_options(run_of(data=data))
    assert words_after(options, "--subset") == told
    assert "--train-images" not in options


def test_only_rows_of_the_model_alone_make_its_card_anew():
    rows = export_rules.quoted_rows(run_of(), "E_S256-512")
    assert {row["name"] for row in rows} == {
        "E_S256-512", "E_dense", "E_multicrop", "E_both", "one_net",
    }  # fmt: skip


def test_nets_of_libraries_are_not_exported(tmp_path):
    """They are the libraries' already."""
    models = run_of()
    more = {**models.models, "resnet": {"net": "torchvision/resnet50"}}
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"convnets": models.convnets, "models": more}))
    source = {"resnet": {"file": "resnet50.pth", "format": "torchvision"}}
    run = run_of(models=str(path), weights={"import": source})
    assert "resnet" in run.available
    assert export_rules.exported(run) == export_rules.exported(models)
