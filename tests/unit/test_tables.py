"""Means of posteriors, tables of errors and submissions against closed forms and scipy."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from tests.helpers.clones import ROOT
from tests.helpers.posteriors import METADATA
from workflow_scripts import tabulate, write_submission
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_frame
from workflow_scripts.vgg.data.truth import Truth, write_truth
from workflow_scripts.vgg.evaluation.posteriors import (
    ROWS_PER_GROUP,
    mean_posteriors,
    outcomes,
    rank_of_class,
    write_posteriors,
)
from workflow_scripts.vgg.localisation.guesses import Guesses, write_guesses
from workflow_scripts.vgg.results import uncertainty
from workflow_scripts.vgg.results.paper_tables import bold_cells, paper_rows
from workflow_scripts.vgg.results.run_summary import errors_as_text
from workflow_scripts.vgg.settings.experiments import (
    Evaluation,
    evaluations,
    find_row,
    read_answers,
    read_tables,
    seeded_paths,
    submissions,
    table_evaluations,
)

TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())
RELEASED = yaml.safe_load((ROOT / "config/released_tables.yaml").read_text())
PAPER = yaml.safe_load((ROOT / "config/paper_tables.yaml").read_text())


def random_posteriors(seed, images=200, classes=10):
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.full(classes, 0.3), images).astype(np.float32)
    labels = np.random.default_rng(99).integers(classes, size=images)
    return [f"ILSVRC2012_val_{n:08d}" for n in range(images)], labels, values


def write(path, seed, **size):
    ids, labels, values = random_posteriors(seed, **size)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_posteriors(path, ids, labels, values, METADATA)
    return labels, values


def test_posteriors_are_stored_in_id_order_with_metadata(tmp_path):
    ids, labels, values = random_posteriors(0)
    mixed = np.random.default_rng(1).permutation(len(ids))
    path = tmp_path / "p.parquet"
    write_posteriors(path, [ids[i] for i in mixed], labels[mixed], values[mixed], METADATA)
    frame = pd.read_parquet(path)
    assert frame["id"].tolist() == ids
    assert frame["label"].tolist() == labels.tolist()
    assert np.array_equal(np.stack(frame["posterior"]), values)
    assert read_metadata(path) == METADATA


def test_means_and_errors_equal_numpys_over_several_row_groups(tmp_path):
    images = 2 * ROWS_PER_GROUP + 7
    paths = [tmp_path / f"{seed}.parquet" for seed in range(3)]
    parts = [write(path, seed, images=images) for seed, path in enumerate(paths)]
    labels, mean = parts[0][0], np.mean([p.astype(np.float64) for _, p in parts], axis=0)
    chunks = list(mean_posteriors(paths))
    assert len(chunks) == 3
    np.testing.assert_allclose(np.concatenate([c[2] for c in chunks]), mean)
    highest = np.argsort(-mean, axis=1)
    found = outcomes(paths)
    assert np.array_equal(found.top1, highest[:, 0] != labels)
    assert np.array_equal(found.top5, ~(highest[:, :5] == labels[:, None]).any(1))


def test_equal_posteriors_rank_by_class_index():
    assert rank_of_class(np.full((3, 4), 0.25), np.array([0, 2, 3])).tolist() == [0, 2, 3]


def test_files_about_different_images_are_refused(tmp_path):
    ids, labels, values = random_posteriors(0)
    write_posteriors(tmp_path / "a.parquet", ids, labels, values, METADATA)
    write_posteriors(tmp_path / "b.parquet", [f"{i}x" for i in ids], labels, values, METADATA)
    with pytest.raises(InputError, match="not about the same images"):
        outcomes([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_errors_without_labels_are_refused(tmp_path):
    ids, labels, values = random_posteriors(0)
    write_posteriors(tmp_path / "a.parquet", ids, labels * 0 - 1, values, METADATA)
    with pytest.raises(InputError, match="has no label"):
        outcomes([tmp_path / "a.parquet"])


def paper_scale(value):
    return "[256;512]" if isinstance(value, list) and len(value) == 2 else str(value)


@pytest.mark.parametrize("name", ["table3", "table4"])
def test_rows_are_the_papers_nets_and_scales(name):
    rows = TABLES[name]["rows"]
    printed = PAPER[name]["rows"]
    assert len(rows) == len(printed)
    for row, (net, S, Q, *_) in zip(rows, printed, strict=True):
        Q = Q if isinstance(Q, list) else [Q]
        assert row["labels"] == [net, paper_scale(S), ", ".join(map(str, Q))]
        (entry,) = row["evaluations"]
        assert entry == {
            "model": f"{net}_S{paper_scale(S).strip('[]').replace(';', '-')}",
            "method": "dense",
            "Q": Q,
        }


METHODS = {
    "dense": {"dense"},
    "multi-crop": {"multicrop"},
    "multi-crop & dense": {"multicrop", "dense"},
}


def test_rows_of_table_5_are_the_papers_methods():
    for row, (net, method, *_) in zip(
        TABLES["table5"]["rows"], PAPER["table5"]["rows"], strict=True
    ):
        assert row["labels"] == [net, method]
        own = evaluations(row["evaluations"])
        assert {e.model for e in own} == {f"{net}_S256-512"}
        assert {e.method for e in own} == METHODS[method]
        assert sorted(e.Q for e in own) == sorted([256, 384, 512] * len(METHODS[method]))


def test_rows_of_table_6_fuse_the_papers_models():
    for row, (group, models, method, *_) in zip(
        TABLES["table6"]["rows"], PAPER["table6"]["rows"], strict=True
    ):
        assert row["labels"][0] == group
        assert row["labels"][2] == method
        expected = set()
        for model in models:
            name, _, note = model.partition(" ")
            net, S, Q = name.split("/")
            S = S.strip("[]").replace(";", "-")
            for q in Q.split("-"):
                for each in METHODS[method]:
                    expected.add((f"{net}_S{S}{'_fc' if note else ''}", each, int(q)))
        own = evaluations(row["evaluations"])
        assert {(e.model, e.method, e.Q) for e in own} == expected
        assert len(own) == len(expected)


def test_table_7_repeats_the_rows_that_it_names():
    def own(reference):
        return set(evaluations(find_row(reference, TABLES)["evaluations"]))

    assert own("table7/two_nets") == own("table6/D_E_both")
    assert own("table7/one_net") == own("table5/E_both")
    assert own("table7/seven_nets") == own("table6/ilsvrc_submission")
    assert [row["labels"] for row in TABLES["table7"]["rows"]] == [
        row[:1] for row in PAPER["table7"]["rows"][:3]
    ]


def test_the_papers_rows_split_into_labels_and_errors():
    rows = paper_rows(PAPER["table6"])
    assert rows[0][1] == {"top1_val": 24.7, "top5_val": 7.5, "top5_test": 7.3}
    assert len(rows[0][0]) == 3


@pytest.fixture
def results(tmp_path):
    """Random posteriors for every evaluation of Tables 5 and 7."""
    results = tmp_path / "results" / "x"
    wanted = {*table_evaluations(TABLES["table5"]), *table_evaluations(TABLES["table7"])}
    for seed, evaluation in enumerate(sorted(wanted, key=str)):
        for split in ("val", "test"):
            write(results.parent.parent / evaluation.path("results/x", split), seed)
    return results


def run_tabulate(results, table, splits, *more):
    output = results / "tables" / table
    words = ["--table", table, "--results", str(results), "--output", str(output)]
    tabulate.main([*words, "--splits", *splits, *more])
    return json.loads(output.with_suffix(".json").read_text()), pd.read_csv(f"{output}.csv")


def test_rows_about_different_images_make_no_table(results):
    """Each row alone is whole: the test set's images as the validation set's, for example."""
    for path in results.glob("posteriors/val/E_*/*.parquet"):
        write(path, 1, images=199)
    with pytest.raises(InputError, match="are not about the same images; delete the one that is"):
        run_tabulate(results, "table5", ["val"])
    assert not (results / "tables").exists() or not list((results / "tables").iterdir())


def test_posteriors_that_do_not_say_where_they_came_from_are_refused(results):
    path = next(iter(table_evaluations(TABLES["table5"]))).path(results, "val")
    ids, labels, values = random_posteriors(0)
    metadata = {key: value for key, value in METADATA.items() if key != "hardware"}
    write_posteriors(path, ids, labels, values, metadata)
    with pytest.raises(InputError, match=r"is damaged: it does not say its hardware\. Make it"):
        run_tabulate(results, "table5", ["val"])


def test_a_row_is_the_error_of_the_mean_of_its_posteriors(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    table, lines = run_tabulate(results, "table5", ["val"])
    for place, row in enumerate(TABLES["table5"]["rows"]):
        total = 0
        for e in evaluations(row["evaluations"]):
            frame = pd.read_parquet(e.path(results, "val"))
            total = total + np.stack(frame["posterior"]).astype(np.float64)
        wrong = total.argmax(1) != frame["label"]
        assert lines["top1_val"][place] == pytest.approx(100 * wrong.mean())
        cell = table["rows"][place]["metrics"]["top1_val"]
        assert cell["errors"] == wrong.sum()
        assert cell["paper"] == PAPER["table5"]["rows"][place][2]
        assert cell["difference"] == pytest.approx(100 * wrong.mean() - cell["paper"])
        assert cell["low"] < cell["measured"] < cell["high"]
        assert len(table["rows"][place]["evaluations"]) == len(evaluations(row["evaluations"]))


def test_the_papers_bold_cells_are_the_best_of_its_own_rows():
    for name in ("table3", "table4", "table5", "table6", "table7"):
        printed = PAPER[name]
        own = paper_rows(printed)[: len(TABLES[name]["rows"])]
        for metric in TABLES[name]["metrics"]:
            best = min(errors[metric] for _, errors in own if errors[metric] is not None)
            expected = {(i, metric) for i, (_, errors) in enumerate(own) if errors[metric] == best}
            assert {cell for cell in bold_cells(printed) if cell[1] == metric} == expected


def test_bold_cells_are_marked_unless_the_numbers_are_not_the_papers(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    table, lines = run_tabulate(results, "table5", ["val"])
    bold = [[cell["bold"] for cell in row["metrics"].values()] for row in table["rows"]]
    assert bold == [[False, False]] * 2 + [[True, False]] + [[False, False]] * 2 + [[True, True]]
    assert lines["top5_val_bold"].tolist() == [False] * 5 + [True]


def test_several_seeds_give_a_mean_their_spread_and_where_each_came_from(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    seeds = ["--seeds", "7", "4", "9", "--imported", "E_S256-512"]
    for number, evaluation in enumerate(table_evaluations(TABLES["table5"], ["D_S256-512"])):
        for seed in (4, 9):
            path = results / f"seed{seed}" / evaluation.path(".", "val")
            write(path, 1000 * seed + number)
    table, lines = run_tabulate(results, "table5", ["val"], *seeds)
    folders = [results, results / "seed4", results / "seed9"]
    first = evaluations(TABLES["table5"]["rows"][0]["evaluations"])
    wrong = []
    for folder in folders:
        frames = [pd.read_parquet(e.path(folder, "val")) for e in first]
        total = sum(np.stack(frame["posterior"]).astype(np.float64) for frame in frames)
        wrong.append(total.argmax(1) != frames[0]["label"])
    errors = pd.Series([100 * one.mean() for one in wrong])
    cell = table["rows"][0]["metrics"]["top1_val"]
    assert (cell["seeds"], cell["errors"]) == (3, None)
    assert cell["measured"] == pytest.approx(errors.mean())
    assert cell["seed_sd"] == pytest.approx(errors.std())
    assert cell["per_seed"] == pytest.approx(errors.tolist())
    assert cell["low"] < cell["measured"] < cell["high"]
    single = uncertainty.wilson(round(cell["measured"] * 2), 200)
    assert cell["high"] - cell["low"] < single[1] - single[0], "a mean is less noisy than its parts"
    assert lines["top1_val_per_seed"][0] == " ".join(map(str, cell["per_seed"]))
    origin = table["rows"][0]["evaluations"]
    assert [e["seed"] for e in origin] == [7] * 3 + [4] * 3 + [9] * 3
    assert origin[3]["posteriors"] == first[0].path(results / "seed4", "val")
    imported = table["rows"][3]
    assert imported["metrics"]["top1_val"]["seeds"] == 1
    assert [e["seed"] for e in imported["evaluations"]] == [None] * 3
    assert table["seeds"] == [7, 4, 9]


def test_imported_models_are_the_same_beside_every_seed():
    own = [Evaluation("D_S256-512", "dense", 256), Evaluation("E_S256-512", "dense", 256)]
    one, two = seeded_paths(own, "r", "val", [3, 1], ["E_S256-512"])
    assert one == [f"r/posteriors/val/{e.model}/dense_Q256.parquet" for e in own]
    assert two == [f"r/seed1/{one[0][2:]}", one[1]]


def test_table_7_joins_our_rows_with_the_literatures(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, lines = run_tabulate(results, "table7", ["val"])
    assert lines["method"].tolist() == [row[0] for row in PAPER["table7"]["rows"]]
    assert lines["literature"].tolist() == [False] * 3 + [True] * 12
    assert lines["top1_val"].notna().tolist() == [True] * 3 + [False] * 12
    assert lines["top5_test"].isna().all(), "the test set has no labels here"
    assert lines["top5_test_paper"].notna().sum() == 13
    _, lines = run_tabulate(results, "table7", ["val", "test"])
    assert lines["top5_test"].notna().tolist() == [True] * 3 + [False] * 12
    latex = (results / "tables/table7.tex").read_text()
    assert r"\toprule" in latex
    assert r"multi-crop \& dense" in latex


def test_an_unknown_table_is_named(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="has no table99; it has table1"):
        run_tabulate(results, "table99", ["val"])


def test_several_files_of_tables_follow_each_other(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"mine": RELEASED["released_weights"]}))
    paths = [ROOT / "config/tables.yaml", tmp_path / "mine.yaml"]
    assert list(read_tables(paths)) == [*TABLES, "mine"]
    with pytest.raises(InputError, match=r"mine\.yaml: .*mine\.yaml has a table mine already"):
        read_tables([*paths, paths[1]])


def test_rows_of_models_that_the_run_lacks_are_shown_unmeasured(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in results.glob("posteriors/*/E_*/*"):
        path.unlink()
    table, lines = run_tabulate(results, "table5", ["val"], "--models", "D_S256-512")
    assert lines["top1_val"].notna().tolist() == [True] * 3 + [False] * 3
    for place, row in enumerate(table["rows"]):
        printed = PAPER["table5"]["rows"][place]
        assert row["labels"] == printed[:2]
        assert row["metrics"]["top5_val"]["paper"] == printed[3]
        assert bool(row["evaluations"]) == (place < 3)
    # Without any model it is the paper's table.
    table, lines = run_tabulate(results, "table5", ["val"], "--models")
    assert lines["top1_val"].isna().all()
    assert (results / "tables/table5.md").read_text().count("| – |") == 12


def test_numbers_of_other_origin_stand_in_the_papers_place(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    wanted = table_evaluations(RELEASED["released_weights"])
    for seed, evaluation in enumerate(wanted):
        write(results.parent.parent / evaluation.path("results/x", "val"), seed)
    files = ["--tables", "config/tables.yaml", "config/released_tables.yaml"]
    table, lines = run_tabulate(results, "released_weights", ["val"], *files)
    assert table["reference"] == "authors"
    assert table["section"] is None
    # Single central crop, Q = 384, three scales; D, then E (paper.md §5).
    assert lines["top5_val_paper"].fillna(0).tolist() == [9.9, 8.1, 7.5, 9.9, 8.0, 0]
    assert lines["top1_val_paper"].fillna(0).tolist() == [28.5, 0, 0, 28.7, 0, 0]
    np.testing.assert_allclose(
        lines["top5_val_difference"], lines["top5_val"] - lines["top5_val_paper"]
    )
    latex = (results / "tables/released_weights.tex").read_text()
    assert "top-5 val. error, authors" in (results / "tables/released_weights.md").read_text()
    assert "authors" in latex
    assert "paper" not in latex
    table, _ = run_tabulate(results, "table5", ["val"])
    assert table["reference"] == "paper"


def test_the_released_rows_test_the_papers_jittered_nets_as_its_tables_do():
    rows = RELEASED["released_weights"]["rows"]
    own = {row["name"]: set(evaluations(row["evaluations"])) for row in rows}
    for net in "DE":
        same = {f"{net}_dense": "table3", f"{net}_dense_scales": "table4"}
        for name, table in same.items():
            row = find_row(f"{table}/{net}_S256-512", TABLES)
            assert own[name] == set(evaluations(row["evaluations"]))
        ((model, method, Q),) = ((e.model, e.method, e.Q) for e in own[f"{net}_center"])
        assert (model, method, Q) == (f"{net}_S256-512", "center", 256)


ANSWERS = """
E_both: {top5_test: 7.03, date: 2026-11-24, note: second attempt}
D_E_both: {top5_test: 6.8, top1_test: 23.7, date: 2025-01-02}
"""


@pytest.fixture
def answers(tmp_path):
    (tmp_path / "answers.yaml").write_text(ANSWERS)
    return ["--answers", str(tmp_path / "answers.yaml"), "--test-images", "100000"]


def test_an_answer_of_the_test_server_fills_its_rows(results, answers, monkeypatch):
    monkeypatch.chdir(ROOT)
    table, lines = run_tabulate(results, "table7", ["val"], *answers)
    assert lines["top5_test"].fillna(0).tolist()[:4] == [6.8, 7.03, 0, 0]
    assert lines["top5_test_entered"].tolist() == [True, True, *[False] * 13]
    assert not lines["top1_val_entered"].any()
    cell = table["rows"][1]["metrics"]["top5_test"]
    expected = stats.binomtest(7030, 100_000).proportion_ci(0.95, method="wilson")
    assert (cell["errors"], cell["images"]) == (7030, 100_000)
    assert [cell["low"], cell["high"]] == pytest.approx([100 * expected.low, 100 * expected.high])
    assert cell["difference"] == pytest.approx(7.03 - PAPER["table7"]["rows"][1][3])
    dates = {note.split("answer of ")[1].split(" ")[0]: note for note in table["notes"]}
    assert list(dates) == ["2025-01-02", "2026-11-24"]
    assert all(note.startswith("† entered by hand") for note in dates.values())
    assert dates["2026-11-24"].endswith("to E_both: second attempt")
    assert "| 7.0† (6.9–7.2) |" in (results / "tables/table7.md").read_text()


def test_only_the_miniatures_table_has_its_notes(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    with_notes, _ = run_tabulate(results, "table5", ["val"], "--miniature")
    assert with_notes.pop("miniature_notes") == TABLES["table5"]["miniature_notes"]
    without, _ = run_tabulate(results, "table5", ["val"])
    assert without | {"checksum": None} == with_notes | {"checksum": None}
    none, _ = run_tabulate(results, "table7", ["val"], "--miniature")
    assert none["miniature_notes"] == []


def test_a_test_set_with_labels_is_measured_in_spite_of_an_answer(results, answers, monkeypatch):
    monkeypatch.chdir(ROOT)
    table, _ = run_tabulate(results, "table7", ["val", "test"], *answers)
    cells = [row["metrics"]["top5_test"] for row in table["rows"][:2]]
    assert [cell["entered"] for cell in cells] == [False, False]
    assert [cell["images"] for cell in cells] == [200, 200]
    assert table["notes"] == []


def test_an_answer_does_not_fill_the_row_of_a_model_that_the_run_lacks(
    results, answers, monkeypatch
):
    monkeypatch.chdir(ROOT)
    table, lines = run_tabulate(results, "table7", ["val"], *answers, "--models", "E_S256-512")
    assert lines["top5_test"].fillna(0).tolist()[:3] == [0, 7.03, 0]
    assert [row["submission"] is not None for row in table["rows"]] == [False, True, *[False] * 13]


def test_only_submissions_that_the_run_writes_are_named(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words, expected in (
        ([], [True, True, True]),
        (["--submissions", "E_both"], [False, True, False]),
        (["--submissions"], [False] * 3),
    ):
        table, _ = run_tabulate(results, "table7", ["val"], *words)
        assert [row["submission"] is not None for row in table["rows"][:3]] == expected


def test_an_answer_to_an_unknown_submission_is_refused(results, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "answers.yaml").write_text("D_E_bth: {top5_test: 6.8, date: 2025-01-02}\n")
    words = ["--answers", str(tmp_path / "answers.yaml"), "--test-images", "100000"]
    with pytest.raises(InputError, match=r"D_E_bth; there are .*D_E_dense, D_E_both, E_both"):
        run_tabulate(results, "table7", ["val"], *words)


def test_the_answers_file_as_it_comes_is_empty_and_its_example_can_be_uncommented(tmp_path):
    path = ROOT / "config/server_answers.yaml"
    assert read_answers(path) == {}
    lines = path.read_text().splitlines()
    example = [line.removeprefix("# ") for line in lines if "top5_test" in line]
    (tmp_path / "a.yaml").write_text("\n".join(example))
    found = read_answers(tmp_path / "a.yaml")
    assert set(found) <= set(submissions(TABLES))
    assert {answer["date"] for answer in found.values()} == {"2026-11-24"}


def test_imported_weights_are_named_in_a_rows_provenance(results, monkeypatch):
    monkeypatch.chdir(ROOT)
    source = {"file": "resources/w.caffemodel", "format": "caffe", "sha256": "ab"}
    for path in results.glob("posteriors/val/D_*/*"):
        ids, labels, values = random_posteriors(0)
        metadata = METADATA | {"iterations": None, "imported": source}
        write_posteriors(path, ids, labels, values, metadata)
    table, _ = run_tabulate(results, "table5", ["val"])
    found = {e["model"]: e["imported"] for row in table["rows"] for e in row["evaluations"]}
    assert found == {"D_S256-512": source, "E_S256-512": None}


def submission_words(folder, paths, images, skipped=(), ids=range(1, 11)):
    """The options of `write_submission` for a test set of so many images, some left out."""
    names = [f"ILSVRC2012_val_{n:08d}" for n in range(images)]
    write_frame(folder / "index.parquet", pd.DataFrame({"id": names}))
    classes = pd.DataFrame({"label": range(10), "ilsvrc2012_id": pd.array(ids, "Int32")})
    write_frame(folder / "classes.parquet", classes)
    half = len(skipped) // 2
    for number, part in enumerate((skipped[:half], skipped[half:])):
        report = {"skipped": [{"id": names[place], "reason": "?"} for place in part]}
        (folder / f"{number}.json").write_text(json.dumps(report))
    return [
        *("--posteriors", *map(str, paths), "--classes", str(folder / "classes.parquet")),
        *("--index", str(folder / "index.parquet")),
        *("--packing", str(folder / "0.json"), str(folder / "1.json")),
        *("--output", str(folder / "s.txt")),
    ]


def test_a_submission_has_five_ids_a_line_best_first(tmp_path):
    paths = [tmp_path / f"{seed}.parquet" for seed in (1, 2)]
    parts = [write(path, seed) for seed, path in zip((1, 2), paths, strict=True)]
    ids = np.random.default_rng(3).permutation(10) + 1
    write_submission.main(submission_words(tmp_path, paths, 200, ids=ids))
    found = np.loadtxt(tmp_path / "s.txt", dtype=int)
    mean = parts[0][1].astype(float) + parts[1][1]
    for line, posterior in zip(found, mean, strict=True):
        assert line.tolist() == [ids[label] for label in np.argsort(-posterior)[:5]]


def test_a_submission_has_a_line_for_every_image_whatever_was_left_out(tmp_path):
    ids = np.random.default_rng(3).permutation(10) + 1
    names, labels, values = random_posteriors(1)
    skipped = [0, 7, 8, 199]
    kept = [place for place in range(200) if place not in skipped]
    path = tmp_path / "p.parquet"
    write_posteriors(path, [names[k] for k in kept], labels[kept], values[kept], METADATA)
    write_submission.main(submission_words(tmp_path, [path], 200, skipped, ids))
    found = np.loadtxt(tmp_path / "s.txt", dtype=int)
    assert found.shape == (200, 5)
    for place, (line, posterior) in enumerate(zip(found, values, strict=True)):
        best = range(5) if place in skipped else np.argsort(-posterior)[:5]
        assert line.tolist() == [ids[label] for label in best]


@pytest.mark.parametrize(("images", "skipped"), [(201, []), (199, []), (200, [3]), (201, [3])])
def test_a_submission_that_lacks_images_is_refused(images, skipped, tmp_path):
    """Images that packing did not leave out, or others than those of the test set."""
    write(tmp_path / "p.parquet", 1)
    words = submission_words(tmp_path, [tmp_path / "p.parquet"], images, skipped)
    named = 3 if skipped else min(images, 200)
    message = rf"p\.parquet: (lacks|has an answer for) ILSVRC2012_val_{named:08d}, .* each of the"
    with pytest.raises(InputError, match=message):
        write_submission.main(words)
    assert not (tmp_path / "s.txt").exists()


def test_a_submission_without_the_kits_ids_is_refused(tmp_path):
    write(tmp_path / "p.parquet", 1)
    words = submission_words(tmp_path, [tmp_path / "p.parquet"], 200, ids=[None] * 10)
    with pytest.raises(InputError, match=r"classes\.parquet: lacks ILSVRC2012_IDs.*devkit"):
        write_submission.main(words)
    assert not (tmp_path / "s.txt").exists()


def test_two_different_rows_cannot_share_a_submission():
    rows = [
        {"submission": "mine", "evaluations": [{"model": "A", "method": "dense", "Q": [Q]}]}
        for Q in (256, 384)
    ]
    with pytest.raises(InputError, match="both called submission mine"):
        submissions({"t": {"rows": rows}})


def test_rows_with_a_test_error_in_the_paper_have_a_submission():
    assert set(submissions(TABLES)) == {
        "ilsvrc_submission",
        "D_E_dense",
        "D_E_both",
        "E_both",
    }


# Localisation


IDS = [f"ILSVRC2012_val_{n:08d}" for n in range(1, 9)]
MERGED = {
    "merge_threshold": 0.5,
    "choices": {
        "merge_distance": "overlap-only",
        "merge_mean": "plain",
        "box_rating": "max",
        "box_clipping": "clipped",
    },
}


def write_guessed(path, right, model=None, k=1, images=8, **metadata):
    """Guesses for images of 100 by 50 pixels and the classes 0, 1, …, of which some are right.

    right: by image; where it is false, the guess of the true class, which is the last of k, is of
    the lower left quarter, and the true box is the upper half.
    """
    labels = np.arange(images)
    classes = (labels[:, None] + np.arange(k)[::-1]) % 10
    boxes = np.tile([0, 25, 49, 49], (images, k, 1))
    boxes[np.asarray(right), -1] = [0, 0, 99, 24]
    if model:
        of_pass = METADATA | {"model": model, "method": "dense", "Q": 384}
        metadata["boxes"] = [[f"results/x/boxes/val/{model}/dense_Q384.parquet", of_pass]]
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.tile([100, 50], (images, 1))
    found = Guesses(IDS[:images], labels, sizes, classes, boxes, np.ones((images, k)))
    write_guesses(path, found, metadata)


@pytest.fixture
def boxed(tmp_path, monkeypatch):
    """Guesses for every row of Tables 8 and 9 and of fixed boxes, on eight validation images.

    The third image has no true box; the last two are blacklisted, and each row has them right.
    """
    monkeypatch.chdir(ROOT)
    results = tmp_path / "results" / "x"
    (results / "truth").mkdir(parents=True)
    counts = np.array([1, 1, 0, 1, 1, 1, 1, 1])
    truth = Truth(
        IDS,
        np.concatenate([[0], counts.cumsum()]),
        np.tile([0.0, 0.0, 1.0, 0.5], (7, 1)),
        np.full(8, 200),
        np.full(8, 100),
        np.arange(8) >= 6,
    )
    write_truth(results / "truth/val.parquet", truth, {})
    for table in ("table8", "table9", "fixed_boxes"):
        for place, row in enumerate(TABLES[table]["rows"]):
            right = (np.arange(8) < place) | (np.arange(8) >= 6)
            own, models = MERGED, [entry["model"] for entry in row.get("boxes", [])]
            if not models:
                own = {"boxes": [], "box": [0.1, 0.2, 0.7, 0.8]}
            k = 1 if table == "table8" or "true" in row["name"] else 5
            path = results / f"localisation/val/{row['name']}.parquet"
            write_guessed(path, right, (models or [None])[0], k, **own)
    return results


def test_a_row_of_localisation_is_the_error_of_its_guesses(boxed):
    """Of the five images that are scored, a row has as many right as rows are above it.

    But the third image, which the fourth row has right, is not scored.
    """
    for name, wrong in (("table8", [5, 4, 3]), ("table9", [5, 4, 3, 3])):
        table, lines = run_tabulate(boxed, name, ["val"])
        (metric, *_) = TABLES[name]["metrics"]
        assert lines[f"{metric}_errors"].tolist() == wrong
        assert lines[metric].tolist() == [100 * errors / 5 for errors in wrong]
        assert lines[f"{metric}_images"].tolist() == [5] * len(wrong)
        printed = [row[-1] if name == "table8" else row[2] for row in PAPER[name]["rows"]]
        assert lines[f"{metric}_paper"].tolist() == printed
        assert table["localisation"] == {
            "scoring": {
                "overlap_bound": "at-least-half",
                "overlap_pixels": "inclusive",
                "blacklisted": "left-out",
            },
            "images": {"val": {"images": 8, "boxless": 1, "blacklisted": 2, "scored": 5}},
        }
    (row,) = (row for row in table["rows"] if row["name"] == "S384")
    assert row["guesses"] == [
        {
            "guesses": f"{boxed}/localisation/val/S384.parquet",
            "split": "val",
            "seed": 0,
            "box": None,
            "merging": {"merge_threshold": 0.5} | MERGED["choices"],
        }
    ]
    (origin,) = row["evaluations"]
    assert origin["posteriors"] == "results/x/boxes/val/D_S384_pcr/dense_Q384.parquet"
    assert (origin["model"], origin["method"], origin["seed"]) == ("D_S384_pcr", "dense", 0)
    assert lines["top5loc_test"].isna().all()


def test_rows_of_one_box_have_one_of_two_errors(boxed):
    table, lines = run_tabulate(boxed, "fixed_boxes", ["val"])
    assert lines["gtloc_val"].fillna(-1).tolist() == [100, 80, -1, -1]
    assert lines["top5loc_val"].fillna(-1).tolist() == [-1, -1, 60, 60]
    for row in table["rows"]:
        (guesses,) = row["guesses"]
        assert (guesses["box"], guesses["merging"]) == ([0.1, 0.2, 0.7, 0.8], None)
        assert guesses["seed"] is None
        assert row["evaluations"] == []


def test_notes_say_what_counts_and_which_images(boxed):
    def notes(table, *words):
        return run_tabulate(boxed, table, ["val"], *words)[0]["notes"]

    of_guesses, of_images = notes("table9")
    assert of_guesses.startswith("Localisation error: an image has five guesses, each of a class")
    assert "True-class" not in of_guesses
    assert "at least half of all that the two cover, first and last pixel included" in of_guesses
    assert of_guesses.endswith("as ILSVRC’s routine has it.")
    assert of_images == (
        "Of 8 val images 5 count (2 are on ILSVRC’s blacklist, 1 have no true box)."
    )
    of_guesses, _ = notes("table8")
    assert of_guesses.startswith("True-class localisation error: an image has one guess")
    assert "five" not in of_guesses
    of_guesses, _ = notes("fixed_boxes")
    assert "five guesses" in of_guesses
    assert "one guess" in of_guesses
    choices = ("--overlap-bound", "more-than-half", "--overlap-pixels", "continuous")
    of_guesses, of_images = notes("table8", *choices, "--blacklisted", "kept")
    assert "more than half of all that the two cover, from first to last pixel." in of_guesses
    assert "ILSVRC" not in of_guesses
    assert (
        "Of 8 val images 7 count (2 are on ILSVRC’s blacklist and count all the same" in of_images
    )


def test_localisation_without_boxes_is_the_papers_table(boxed):
    table, lines = run_tabulate(boxed, "table9", [])
    assert lines["top5loc_val"].isna().all()
    assert lines["top5loc_val_paper"].tolist() == [29.5, 28.2, 27.5, 26.9]
    assert table["localisation"]["images"] == {}
    assert len(table["notes"]) == 1
    # Of one net only, rows that unite it with another stay unmeasured too.
    table, lines = run_tabulate(boxed, "table9", ["val"], "--models", "D_S384_pcr")
    assert lines["top5loc_val"].notna().tolist() == [False, True, True, False]
    assert [bool(row["guesses"]) for row in table["rows"]] == [False, True, True, False]


def test_guesses_of_several_seeds_are_a_mean(boxed):
    for seed, right in ((4, [True] * 8), (9, [False] * 8)):
        path = boxed / f"seed{seed}/localisation/val/S384.parquet"
        write_guessed(path, right, "D_S384_pcr", 5, **MERGED)
    words = ["--models", "D_S384_pcr", "--seeds", "7", "4", "9"]
    entry = TABLES["table9"] | {"rows": TABLES["table9"]["rows"][1:2]}
    del entry["paper"]
    (boxed / "tables.yaml").write_text(yaml.safe_dump({"table9": entry}))
    table, lines = run_tabulate(
        boxed, "table9", ["val"], *words, "--tables", str(boxed / "tables.yaml")
    )
    (cell,) = (row["metrics"]["top5loc_val"] for row in table["rows"])
    assert cell["per_seed"] == [80, 0, 100]
    assert lines["top5loc_val"].tolist() == [60]
    assert [guesses["seed"] for guesses in table["rows"][0]["guesses"]] == [7, 4, 9]


def test_other_documents_name_the_errors(boxed):
    for name, heading in (
        ("table8", "true-class localisation val. error"),
        ("table9", "localisation val. error"),
        ("fixed_boxes", "true-class localisation val. error"),
    ):
        run_tabulate(boxed, name, ["val"])
        markdown, latex = (
            (boxed / f"tables/{name}.{suffix}").read_text() for suffix in ("md", "tex")
        )
        assert f"| {heading}, measured |" in markdown
        assert heading in latex
        assert ("paper" in markdown) == (name != "fixed_boxes")
        assert "Of 8 val images 5 count" in latex
    # A heading that is wider than its columns is broken where there is no room.
    assert re.search(
        r"\\multicolumn\{1\}\{>\{\\centering\\arraybackslash\}p\{\d\d\.\dpt\}\}", latex
    )


def test_the_summary_of_a_run_has_its_localisation_errors(boxed):
    names = ("table8", "table9", "fixed_boxes")
    for name in names:
        run_tabulate(boxed, name, ["val"])
    text = errors_as_text(boxed, {name: TABLES[name] for name in names})
    eight, nine, fixed = text.split("\n\n")
    assert eight.splitlines()[0] == "table8: Localisation error for different modifications"
    assert "true-class localisation val  true-class localisation val (paper)" in eight
    assert re.search(r"all +PCR +60\.0 +33\.1", eight)
    assert re.search(r"384 +352, 384 +60\.0 +27\.5 +-", nine)
    assert "(paper)" not in fixed
    assert re.search(r"the true class +100\.0 +-", fixed)
