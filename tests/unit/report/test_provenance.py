"""Where a number of a table came from: files, weights, seeds, imports, jobs and commands."""

import re
import shlex

from tests.helpers.pages import Page
from tests.helpers.report_inputs import (
    EVALUATE,
    TRAIN,
    cell,
    evaluation,
    is_miniature,
    page_of,
    record,
    spaced,
)
from workflow_scripts.vgg.report import pages as rendered


def test_a_measured_number_opens_the_provenance_of_its_row_on_its_split(run):
    page = Page(page_of(run, "table7"))
    buttons = [button["attributes"] for button in page.elements["button"]]
    opening = [b["popovertarget"] for b in buttons if b.get("popovertargetaction") != "hide"]
    # The row of A was measured on val; its file for the server has not been answered.
    assert opening == ["table7-1-val", "table7-1-test", "table7-2-val", "table7-2-test"]
    for name in opening:
        (panel,) = (
            d["attributes"] for d in page.elements["div"] if d["attributes"].get("id") == name
        )
        assert {"popover", "tabindex", "autofocus"} <= panel.keys()
        assert panel["role"] == "dialog"
        assert page.named(panel["aria-labelledby"])
        closing = [b for b in buttons if b["popovertarget"] == name]
        assert [b.get("popovertargetaction") for b in closing].count("hide") == 1
    assert "94 of 417 images wrong" in page.named("table7-1-val")
    assert "46 of 417 images wrong" in page.named("table7-2-val")
    assert "14 of 417 images wrong" in page.named("table7-2-test")
    assert "withheld" not in page.named("table7-2-test")
    assert "results/m/submission/a.txt" in page.named("table7-1-test")


def test_both_metrics_of_a_split_share_a_provenance(evaluations, config):
    evaluations["metrics"] = ["top1_val", "top5_val"]
    for row in evaluations["rows"]:
        row["metrics"]["top5_val"] = row["metrics"].pop("top5_test")
        row["submission"] = None
    html = rendered.render_table(evaluations, config)
    buttons = [button["attributes"] for button in Page(html).elements["button"]]
    opening = [b["popovertarget"] for b in buttons if "popovertargetaction" not in b]
    assert opening == ["table7-1-val", "table7-2-val", "table7-2-val"]
    assert "46 of 417" in Page(html).named("table7-2-val")
    assert "14 of 417" in Page(html).named("table7-2-val")


def test_provenance_names_files_weights_and_jobs(run):
    text = Page(page_of(run, "table7", "--records", run("logs"))).named("table7-1-val")
    of_evaluation = (
        *("results/m/posteriors/val/A_S256/dense_Q288.parquet", "A_S256, seed 3", "dense, Q = 288"),
        *("deadbeef1234", "crop grid: central-square", "precision bfloat16"),
        *("on Xeon of evaluation, node node-e7", "finished 2026-11-24 20:39 UTC, 1 min 23 s"),
    )
    of_training = (
        *("0123456789abcdef" * 4, "iterations 751", "started from Q_S384", "fedcba9876543210" * 4),
        *("net, S A, 256, 512", "inherits layers of A", "c0ffee0ddba1", "beefcafe4321"),
        *("torch 2.12.1", "on GPU of training, 4 processes, node node-t8"),
        "finished 2026-11-24 20:39 UTC, 2 h 03 min in 3 attempts",
    )
    for words in of_evaluation + of_training:
        assert words in text
    assert "posteriors/test" not in text


def test_provenance_without_records_says_so(run):
    page = Page(page_of(run, "table7"))
    text = page.named("table7-1-val")
    assert "finished no record" in text
    assert "workflow_scripts" not in text
    assert "dense_Q288.parquet" in text


def test_the_commands_of_a_number_can_be_copied(run):
    page = Page(page_of(run, "table7", "--records", run("logs")))
    commands = [shlex.split(pre["text"]) for pre in page.elements["pre"]]
    module = ["python", "-m"]
    launcher = ["torchrun", "--standalone", "--nproc-per-node=4", "-m"]
    assert [*launcher, "workflow_scripts.train", *TRAIN] in commands
    assert [*module, "workflow_scripts.evaluate", *EVALUATE] in commands
    assert [*module, "workflow_scripts.tabulate", "--table", "table7"] in commands
    whole = (
        "snakemake --configfile results/m/config.yaml --cores all -- results/m/tables/table7.csv"
    )
    assert whole in page.named("table7-1-val")


def test_records_of_versions_that_kept_no_arguments_have_no_command(evaluations, config):
    old = {key: value for key, value in record("evaluate").items() if key != "arguments"}
    records = {("evaluate_convnet", "val_A_S256_dense_Q288"): old}
    page = Page(rendered.render_table(evaluations, config, records=records))
    assert "pre" not in page.elements
    assert "1 min 23 s" in page.named("table7-1-val")


def with_seeds(evaluations, config):
    """Row B, trained with the seeds 3, 5 and 8: 40, 46 and 49 of 417 images wrong."""
    config["seeds"] = evaluations["seeds"] = [3, 5, 8]
    per_seed = [100 * errors / 417 for errors in (40, 46, 49)]
    own = evaluations["rows"][1]
    own["metrics"]["top1_val"] |= {
        "measured": 10.7914,
        "errors": None,
        "difference": 10.7914 - 12.5,
        "seeds": 3,
        "seed_sd": 1.0989,
        "per_seed": per_seed,
    }
    own["metrics"]["top5_test"] = cell(None, None, None, None, 3.625)
    own["evaluations"] = [
        evaluation(model, "val", seed, Q, weights=f"{seed}" * 64)
        for seed in (3, 5, 8)
        for model in ("D", "E")
        for Q in (256, 384)
    ]
    for one in own["evaluations"]:
        if one["seed"] != 3:
            one["posteriors"] = one["posteriors"].replace("/m/", f"/m/seed{one['seed']}/")
    return per_seed


def test_several_seeds_show_mean_spread_and_each_seed(evaluations, config):
    per_seed = with_seeds(evaluations, config)
    html = rendered.render_table(evaluations, config)
    page, text = Page(html), " ".join(Page(html).text.split())
    (row,) = (row for row in page.rows if row and row[0] == 10.7914)
    assert row[:5] == [10.7914, 1.0989, 9.5, 13.75, 12.5]
    assert (10.7914 - 12.5 in row) != is_miniature(config)
    assert "10.8 ± 1.10" in text
    assert "every net was trained 3 times, with the seeds 3, 5, 8 (n = 3)" in text
    assert "the mean over n = 3 seeds ± the standard deviation between them" in text
    assert "seeds 3, 5, 8" in text.partition("Table 7. Title of table7 ConvNet")[0]
    assert set(per_seed) <= page.values
    panel = page.named("table7-2-val")
    for words in ("40 with seed 3 (9.59%)", "46 with seed 5 (11.03%)", "49 with seed 8 (11.75%)"):
        assert words in panel
    # Two models of each of three seeds, with two files each; weights stand once.
    assert panel.count("SHA-256 " + "5" * 64) == 2
    for seed, folder in ((3, ""), (5, "seed5/"), (8, "seed8/")):
        for model in ("D", "E"):
            assert f"{model}, seed {seed} weights SHA-256 {str(seed) * 64}" in panel
            assert panel.count(f"results/m/{folder}posteriors/val/{model}/dense_Q") == 2


def test_jobs_of_other_seeds_are_those_in_the_folder_of_the_seed(evaluations, config):
    with_seeds(evaluations, config)
    records = {
        ("evaluate_convnet", "seed5/val_E_dense_Q384"): record("evaluate", ["--scale", "five"]),
        ("evaluate_convnet", "val_E_dense_Q384"): record("evaluate", ["--scale", "three"]),
        ("train_convnet", "seed8/D"): record("train", ["--seed", "eight"]),
    }
    panel = Page(rendered.render_table(evaluations, config, records=records)).named("table7-2-val")
    parts = {part[:9]: part for part in re.split(r"(?=[DE], seed \d )", panel)}
    assert "--scale three" in parts["E, seed 3"]
    assert "--scale five" in parts["E, seed 5"]
    assert "--seed eight" in parts["D, seed 8"]
    assert panel.count("python -m") == 3


def test_one_seed_is_called_one(evaluations, config):
    text = spaced(rendered.render_table(evaluations, config))
    assert "every net was trained once, with seed 3 (n = 1)" in text
    assert "±" not in text


def test_sides_of_a_comparison_link_to_the_provenance_of_their_rows(evaluations, claims, config):
    claims["claims"][0]["comparisons"][0]["candidate"] = "Table 7: B"
    for pages, count in ((["table7"], 1), ([], 0)):
        html = rendered.render_claims(claims, [evaluations], config, pages=pages)
        links = html.count('<a href="table7.html#table7-2-val">Table 7: B</a>')
        assert links == count


def imported_run(config, evaluations, train):
    source = {"file": "resources/weights/VGG_16.caffemodel", "format": "caffe"}
    config["weights"] = {"train": train, "import": {"A_S256": source}}
    config["train"] = {"momentum": 0.987}
    for row in evaluations["rows"][:2]:
        row["evaluations"][0] |= {"iterations": None, "imported": source | {"sha256": "f" * 64}}


def test_a_run_of_imported_weights_says_so_and_claims_no_training(evaluations, claims, config):
    imported_run(config, evaluations, train=False)
    page = spaced(rendered.render_table(evaluations, config))
    index = spaced(rendered.render_index([evaluations], claims, [], config))
    assert "imported from VGG_16.caffemodel" in page
    assert "every net is one set of weights, imported from a file" in page
    assert "No net was trained in this run: the weights of A_S256 were imported" in index
    assert "resources/weights/VGG_16.caffemodel (caffe)" in index
    assert "momentum 0.987" not in index.split("The resolved configuration")[0]
    for text in (page, index):
        assert "trained once" not in text
        assert "Training lowers" not in text


def test_a_run_of_trained_and_imported_weights_tells_them_apart(evaluations, claims, config):
    imported_run(config, evaluations, train=True)
    index = spaced(rendered.render_index([evaluations], claims, [], config))
    assert "Every net was trained once, with seed 3 (n = 1), except A_S256, whose weights" in index
    assert "Training lowers the learning rate" in index
    assert "or imported from a file (A_S256)" in spaced(rendered.render_table(evaluations, config))
