"""What the rules of tables, claims, figures, pages and the plan are given."""

import pytest
import yaml

from tests.helpers.runs import FULL, RELEASED, run_of
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.settings import report_rules

TABLES = [*(f"table{number}" for number in range(1, 13)), "fixed_boxes"]
TABLES += ["feature_scales", "random_features"]
MINE = {
    "mine": {
        "title": "Mine",
        "columns": ["ConvNet"],
        "metrics": ["top1_val", "top5_test"],
        "rows": [
            {
                "name": model,
                "labels": [model],
                "submission": f"{model}_one",
                "evaluations": [{"model": model, "method": "dense", "Q": scales}],
            }
            for model, scales in (("A_S256", [256, 288]), ("E_S256", [256]))
        ],
    }
}
CLAIMS = [
    {
        "number": 1,
        "section": "4.1",
        "claim": "E has a lower error than A",
        "comparisons": [
            {"candidate": "mine/E_S256", "baseline": "mine/A_S256", "expect": "lower_error"}
        ],
    }
]
ONE_IMPORTED = {"weights": {"train": False, "import": {"A_S256": {"file": "a", "format": "own"}}}}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder without results or pages."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mine(elsewhere):
    """`mine(**changes)`: the full-size run of one table with two rows, and a claim about them."""
    files = {"tables": MINE, "claims": CLAIMS}
    for name, content in files.items():
        (elsewhere / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    own = {"tables": [str(elsewhere / "tables.yaml")], "claims": str(elsewhere / "claims.yaml")}
    return lambda **changes: run_of(FULL, **{**own, "pictures": None, **changes})


# Tables


def test_a_table_reads_the_posteriors_of_its_rows_and_of_the_cell_that_is_checked(mine):
    results = "results/ilsvrc2012"
    val = [
        f"{results}/posteriors/val/A_S256/dense_Q256.parquet",
        f"{results}/posteriors/val/A_S256/dense_Q288.parquet",
        f"{results}/posteriors/val/E_S256/dense_Q256.parquet",
    ]
    checked = [path.replace(results, f"{results}/choices/precision=float32") for path in val[:2]]
    assert report_rules.table_posteriors(mine(), "mine") == [*val, *checked]
    in_float32 = mine(evaluate={"precision": "float32"})
    assert report_rules.table_posteriors(in_float32, "mine") == val
    labelled = mine(evaluate={"precision": "float32"}, data={"test": "labelled"})
    assert report_rules.table_posteriors(labelled, "mine") == [
        *val, *(path.replace("/val/", "/test/") for path in val),
    ]  # fmt: skip


def test_a_table_is_told_its_seeds_splits_and_submissions(mine):
    run = mine(server_answers=None)
    assert report_rules.table_options(run, "mine") == [
        "--seeds", "0", "--splits", "val", "--submissions", "A_S256_one", "E_S256_one",
        "--test-images", "100000", "--precision", "tf32",
    ]  # fmt: skip


def test_a_table_of_imported_models_is_told_which_there_are(mine):
    run = mine(**ONE_IMPORTED, data={"test": "absent"}, evaluate={"precision": "float32"})
    assert report_rules.available_models(run) == ["--models", "A_S256"]
    assert report_rules.trained_seeds(run) == ["--seeds", "0", "--imported", "A_S256"]
    assert report_rules.table_options(run, "mine") == [
        "--models", "A_S256", "--seeds", "0", "--imported", "A_S256", "--splits", "val",
        "--submissions", "--answers", "config/server_answers.yaml", "--test-images", "100000",
    ]  # fmt: skip
    assert report_rules.available_models(mine()) == []


def test_only_the_miniatures_tables_have_its_notes():
    noted = "miniature_notes"
    assert any(noted in table for table in run_of().tables.values())
    for table in ("table5", "table7"):
        small, full = run_of(), run_of(FULL)
        assert report_rules.table_entry(small, table) == small.tables[table]
        entry = {key: value for key, value in full.tables[table].items() if key != noted}
        assert report_rules.table_entry(full, table) == entry
        assert report_rules.table_options(small, table)[-1] == "--miniature"
        assert "--miniature" not in report_rules.table_options(full, table)


def test_a_table_has_the_answers_to_its_own_submissions(mine, elsewhere):
    answer = {"top5_test": 7.0, "date": "2026-11-24"}
    (elsewhere / "answers.yaml").write_text(yaml.safe_dump({"E_S256_one": answer}))
    run = mine(server_answers=str(elsewhere / "answers.yaml"))
    assert report_rules.table_answers(run, "mine") == {"E_S256_one": answer}
    assert report_rules.table_answers(mine(), "mine") == {}
    assert report_rules.table_labels(run, "mine") == {"table": "mine", "title": "Mine"}


# Claims and test-time choices


def test_claims_compare_posteriors_and_the_speeds_of_their_trainings(mine, elsewhere):
    assert [path.split("/val/")[1] for path in report_rules.claim_posteriors(mine())] == [
        "E_S256/dense_Q256.parquet",
        "A_S256/dense_Q256.parquet",
        "A_S256/dense_Q288.parquet",
    ]
    assert report_rules.claim_trainings(mine()) == []
    timed = {**CLAIMS[0], "number": 2, "comparisons": []}
    timed["throughput"] = {"processes": 4, "speedup": 3.75, "margin": 0.25}
    (elsewhere / "claims.yaml").write_text(yaml.safe_dump([*CLAIMS, timed]))
    assert report_rules.claim_trainings(mine()) == ["A_S256", "E_S256"]


def test_every_value_of_a_test_time_choice_is_evaluated():
    run = run_of(choices={"pool_rounding": "ceil"})
    paths = report_rules.choice_posteriors(run)
    dense = [f"posteriors/val/D_S256-512/dense_Q{Q}.parquet" for Q in (256, 384, 512)]
    crops = [path.replace("dense", "multicrop") for path in dense]
    folders = {
        "": [*dense, *crops],
        "choices/score_average=after-softmax/": dense,
        "choices/pool_rounding=floor/": dense,
        "choices/crop_grid=central-square/": crops,
        "choices/resize_filter=bilinear/": dense,
    }
    expected = {
        f"results/miniature/{folder}{path}" for folder, own in folders.items() for path in own
    }
    assert set(paths) == expected
    assert len(paths) == len(expected)


def test_a_run_that_can_measure_no_choice_says_which_rows_would(mine):
    told = (
        "choices: no model of this run is measured by the rows table5/D_dense, table5/D_multicrop"
    )
    with pytest.raises(InputError, match=f"^{told}$"):
        report_rules.choice_posteriors(mine())


def test_the_index_waits_for_the_choices_that_were_compared(elsewhere):
    run = run_of()
    assert report_rules.compared_choices(run) == []
    (elsewhere / run.results).mkdir(parents=True)
    (elsewhere / run.results / "choices.json").touch()
    assert report_rules.compared_choices(run) == "reports/choices.html"


# Figures and pages


def test_the_errors_of_the_papers_tables_3_to_6_are_drawn_against_it(mine, elsewhere):
    folder = "results/miniature/figures/measured_against_paper"
    assert report_rules.drawn_tables(run_of()) == ["table3", "table4", "table5", "table6"]
    assert [path for path in report_rules.figures(run_of()) if folder in path] == [
        f"{folder}/top1.svg",
        f"{folder}/top5.svg",
    ]
    assert report_rules.drawn_tables(mine()) == []
    assert not [path for path in report_rules.figures(mine()) if "paper" in path]
    # A table of one's own that holds the rows of the paper's, and one error of the two.
    table = {**MINE["mine"], "paper": "table5", "metrics": ["top5_val"]}
    (elsewhere / "tables.yaml").write_text(yaml.safe_dump({"mine": table}, sort_keys=False))
    assert report_rules.drawn_tables(mine()) == ["mine"]
    paths = [path for path in report_rules.figures(mine()) if "against_paper" in path]
    assert paths == ["results/ilsvrc2012/figures/measured_against_paper/top5.svg"]


@pytest.mark.parametrize(
    ("base", "changes", "same"),
    [
        (FULL, {}, True),
        (RELEASED, {}, True),
        (FULL, {"classes": 100}, False),
        ("config/config.yaml", {}, False),
        ("config/config.yaml", {"classes": 1000}, False),
    ],
)
def test_errors_compare_with_the_papers_in_size_on_its_classes(base, changes, same):
    config = run_of(base).config
    assert report_rules.has_papers_data({**config, "data": {**config["data"], **changes}}) == same


def test_the_page_of_claims_reads_the_tables_that_they_name(mine):
    assert report_rules.claimed_tables(mine()) == ["mine"]
    of_paper = ["table3", "table4", "table5", "table6", "table8", "table9", "table11", "table12"]
    assert report_rules.claimed_tables(run_of()) == [*of_paper, "feature_scales"]


def test_a_run_without_claims_has_no_page_of_them(mine, elsewhere):
    (elsewhere / "claims.yaml").write_text("[]\n")
    assert report_rules.pages(mine()) == ["index", "mine", "plan"]
    assert report_rules.pages_of_run(mine(), ["claims", "reports/claims.html"]) == set()


def test_figures_of_scales_are_of_models_that_were_tested_at_several(mine):
    run, folder = mine(), "results/ilsvrc2012/figures"
    assert report_rules.figures(run) == {
        f"{folder}/error_against_depth.svg": {"figure": "error against depth", "model": "all"},
        f"{folder}/error_against_scale/A_S256.svg": {
            "figure": "error against test scale", "model": "A_S256",
        },
        **{
            f"{folder}/learning_curves/{model}.svg": {"figure": "learning curve", "model": model}
            for model in run.models
        },
    }  # fmt: skip
    assert report_rules.reported(run) == [
        "results/ilsvrc2012/tables/mine.json",
        "results/ilsvrc2012/claims.json",
        *report_rules.figures(run),
    ]


def test_pages_are_the_tables_and_what_is_about_all_of_them():
    assert report_rules.pages(run_of()) == ["index", "claims", *TABLES, "pictures", "plan"]
    assert report_rules.pages(run_of(pictures=None)) == ["index", "claims", *TABLES, "plan"]
    assert report_rules.pages(run_of(RELEASED)) == [
        "index", "claims", *TABLES, "released_weights", "voc2007", "pictures", "plan",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "pages"),
    [
        ([], {"index", "claims", *TABLES, "pictures", "plan"}),
        (["all"], {"index", "claims", *TABLES, "pictures", "plan"}),
        (["choices", "reports/index.html"], {"index", "claims", *TABLES, "pictures", "plan"}),
        (["tables"], set(TABLES)),
        (["reports/table5.html", "claims"], {"table5", "claims"}),
        (["pictures", "choices", "benchmarks"], {"pictures", "choices", "benchmarks"}),
        (["reports/choices.html", "tables"], {"choices", *TABLES}),
        (["results/miniature/tables/table5.json", "plan"], set()),
    ],
)
def test_the_pages_of_a_run_are_those_that_its_targets_make(targets, pages):
    assert report_rules.pages_of_run(run_of(), targets) == pages


def test_pages_link_to_those_that_are_made_or_there(elsewhere):
    run = run_of()
    names = ("index", "table3", "choices")
    assert report_rules.pages_beside(run, ["all"], *names) == ["index", "table3"]
    assert report_rules.pages_beside(run, ["claims"], *names) == []
    assert report_rules.index_link(run, ["claims"]) == []
    (elsewhere / "reports").mkdir()
    for name in ("choices", "index"):
        (elsewhere / f"reports/{name}.html").touch()
    assert report_rules.pages_beside(run, ["claims"], *names) == ["index", "choices"]
    assert report_rules.index_link(run, ["claims"]) == ["--index"]


@pytest.mark.parametrize(
    ("targets", "table", "links"),
    [
        (["all"], "table1", "--next table2 --index"),
        (["all"], "table4", "--previous table3 --next table5 --index"),
        (["all"], "fixed_boxes", "--previous table12 --next feature_scales --index"),
        (["tables"], "table4", "--previous table3 --next table5"),
        (["reports/table3.html", "reports/table4.html"], "table4", "--previous table3"),
        (["reports/table4.html"], "table4", ""),
    ],
)
def test_a_tables_page_links_to_the_tables_beside_it(targets, table, links, elsewhere):
    assert report_rules.neighbours(run_of(), targets, table) == links.split()


def test_pages_of_localisation_refer_to_each_other_and_to_the_table_of_their_labels(mine):
    of_boxes = ["table8", "table9", "table10", "fixed_boxes"]
    for table in of_boxes:
        others = [name for name in of_boxes if name != table]
        assert report_rules.related(run_of(), table) == ["table6", *others]
    assert report_rules.related(run_of(), "table6") == []
    other = run_of(localise={"labels": "table5/E_both"})
    assert report_rules.related(other, "table10") == ["table5", "table8", "table9", "fixed_boxes"]
    assert report_rules.related(mine(), "mine") == []


def test_the_index_has_the_reports_of_the_true_boxes_that_a_run_reads(mine):
    def splits(run):
        paths = report_rules.box_reports(run)
        assert all(path.startswith(f"{run.results}/truth/") for path in paths)
        return [path.rpartition("/")[2] for path in paths]

    assert splits(run_of()) == ["train.json", "val.json", "test.json"]
    assert splits(run_of(FULL)) == ["train.json", "val.json"]
    assert splits(run_of(RELEASED)) == []
    none = {"train_boxes": None, "val_boxes": None}
    assert splits(run_of(data={"archives": none})) == []
    # No net of boxes is trained, but the mean of the training boxes is guessed, if a table asks.
    boxes = {"data": {"archives": {"train_boxes": "t.tgz", "val_boxes": "v.tgz"}}}
    assert splits(run_of(RELEASED, **boxes)) == ["train.json", "val.json"]
    assert splits(mine(**ONE_IMPORTED, **boxes)) == ["val.json"]


# The plan, and what is recorded


def test_the_plan_is_told_what_all_makes_at_a_cost(mine, elsewhere):
    run = mine(**ONE_IMPORTED, data={"test": "withheld"})
    planned = [
        "--results", "results/ilsvrc2012", "--records", "logs/ilsvrc2012",
        "--stores", "val", "test", "--models", "A_S256", "--splits", "val",
        "--submissions", "A_S256_one",
        "--page", "reports/plan.html", "--output", "results/ilsvrc2012/plan",
    ]  # fmt: skip
    assert report_rules.planned_jobs(run) == planned
    (elsewhere / "benchmarks").mkdir()
    (elsewhere / "benchmarks/summary.json").touch()
    assert report_rules.planned_jobs(run) == [*planned, "--rates", "benchmarks/summary.json"]
    assert "--rates" not in report_rules.planned_jobs(run_of()), "the miniature's nets are slower"


def test_a_configuration_is_recorded_once_its_text_lies_in_the_results(elsewhere):
    run = run_of()
    assert not report_rules.is_recorded(run)
    (elsewhere / run.results).mkdir(parents=True)
    recorded = elsewhere / run.results / "config.yaml"
    recorded.write_text(run.resolved, encoding="utf-8")
    assert report_rules.is_recorded(run)
    assert not report_rules.is_recorded(run_of(seeds=[5]))
