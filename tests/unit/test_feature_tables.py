"""Tables of features on made scores: measures by loops, and what stands beside them."""

import copy
import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.classified import area, eleven
from tests.helpers.clones import ROOT
from tests.helpers.feature_results import (
    DATA_SETS,
    EXAMPLES,
    PAPER,
    TABLES,
    made_table,
    write_results,
)
from workflow_scripts import tabulate
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.examples import write_examples
from workflow_scripts.vgg.results.feature_measures import Measure, Measures
from workflow_scripts.vgg.results.feature_tables import feature_table
from workflow_scripts.vgg.results.tables import Run
from workflow_scripts.vgg.transfer import scores as files
from workflow_scripts.vgg.transfer.scores import read_scores

PRECISIONS = {"eleven-point": eleven, "area": area}
SEEDS = (3, 7)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """An experiment's results of two seeds."""
    folder = str(tmp_path_factory.mktemp("run") / "results/x")
    write_results(folder, SEEDS)
    return folder


def scores_of(results, data_set, row, seed=3):
    """Scores by part and split, as another program reads them: frames indexed by example."""
    folder = results if seed == 3 else f"{results}/seed{seed}"
    frame = pd.read_parquet(f"{folder}/classifiers/{data_set}/{row}.parquet")
    return {
        key: pd.DataFrame(np.stack(own["scores"]), own["id"])
        for key, own in frame.groupby(["part", "split"])
    }


def by_hand(results, metric, row, seed=3):
    """A measure in percent, of each class, and the number of examples, by loops.

    For recall the first is a list, one a split.
    """
    kind, data_set = metric.split("_", 1)
    examples, known = EXAMPLES[data_set], scores_of(results, data_set, row, seed)
    if kind == "recall":
        own = dict(zip(examples.ids, examples.labels.argmax(1), strict=True))
        splits = []
        for _, frame in sorted(known.items()):
            right, total = np.zeros(3), np.zeros(3)
            for name, values in frame.iterrows():
                right[own[name]] += values.argmax() == own[name]
                total[own[name]] += 1
            splits.append(100 * right / total)
        tested = {name for frame in known.values() for name in frame.index}
        return [own.mean() for own in splits], np.mean(splits, axis=0), len(tested)
    part = "val" if kind == "mapval" else "test"
    places = [place for place, own in enumerate(examples.parts) if own == part]
    values = known[part, 0].loc[[examples.ids[place] for place in places]].to_numpy()
    precision = PRECISIONS[DATA_SETS[data_set]["average_precision"]]
    labels = examples.labels[places]
    of_class = [
        precision(values[:, place], labels[:, place]) if examples.scored[place] else None
        for place in range(len(examples.classes))
    ]
    return np.mean([own for own in of_class if own is not None]), of_class, len(places)


def row_of(table, name):
    (found,) = (row for row in table["rows"] if row["name"] == name)
    return found


# What is measured


@pytest.mark.parametrize("name", ["table11", "table12", "random_features"])
def test_measures_are_those_of_a_loop(name, results):
    table = made_table(name, results)
    assert table["metrics"] == TABLES[name]["metrics"]
    assert (table["kind"], table["higher_is_better"]) == ("evaluation", True)
    for row in (own for own in table["rows"] if own["name"]):
        for metric, cell in row["metrics"].items():
            if metric.startswith("map_voc2012"):
                continue
            value, of_class, count = by_hand(results, metric, row["name"])
            assert cell["measured"] == pytest.approx(np.mean(value))
            assert cell["low"] <= cell["measured"] <= cell["high"]
            assert cell["low"] < cell["high"] or cell["measured"] == 100
            assert (cell["images"], cell["seeds"], cell["errors"]) == (count, 1, None)
            assert cell["per_seed"] == [cell["measured"]]
            assert (cell["seed_sd"], cell["entered"]) == (None, False)
            spread = statistics.stdev(value) if isinstance(value, list) else None
            assert cell["split_sd"] == pytest.approx(spread)
            classes = EXAMPLES[metric.split("_", 1)[1]].classes
            assert list(row["per_class"][metric]) == classes
            for found, expected in zip(row["per_class"][metric].values(), of_class, strict=True):
                assert found == (None if expected is None else pytest.approx(expected))


def test_several_seeds_are_averaged_and_their_spread_stands_apart(results):
    table = made_table("table11", results, seeds=SEEDS)
    assert table["seeds"] == [*SEEDS]
    for name in ("D", "E", "D_E"):
        for metric in ("map_voc2007", "mapval_voc2012", "recall_caltech101"):
            cell = row_of(table, name)["metrics"][metric]
            of_seeds = [by_hand(results, metric, name, seed)[0] for seed in SEEDS]
            each = [float(np.mean(own)) for own in of_seeds]
            assert cell["per_seed"] == pytest.approx(each)
            assert cell["measured"] == pytest.approx(np.mean(each))
            assert cell["seed_sd"] == pytest.approx(statistics.stdev(each))
            assert cell["seeds"] == 2
            if metric.startswith("recall"):
                assert cell["split_sd"] == pytest.approx(statistics.stdev(of_seeds[0]))


def test_imported_models_have_one_seed(tmp_path):
    folder = str(tmp_path / "x")
    write_results(folder, SEEDS, names=("table11",), imported=("E_S256-512",))
    table = made_table("table11", folder, seeds=SEEDS, imported=("E_S256-512",))
    seeds = {name: row_of(table, name)["metrics"]["map_voc2007"]["seeds"] for name in "DE"}
    assert seeds == {"D": 2, "E": 1}
    both = row_of(table, "D_E")
    assert both["metrics"]["map_voc2007"]["seeds"] == 2
    of_nets = {(own["model"], own["seed"]) for own in both["evaluations"]}
    assert of_nets == {("D_S256-512", 3), ("D_S256-512", 7), ("E_S256-512", None)}


def test_a_table_says_where_its_numbers_come_from(results):
    table = made_table("table11", results, seeds=SEEDS)
    row = row_of(table, "D_E")
    sets = ["voc2007", "voc2012", "caltech101", "caltech256"]
    assert [(own["data_set"], own["seed"]) for own in row["classifiers"]] == [
        (data_set, seed) for data_set in sets for seed in SEEDS
    ]
    first = row["classifiers"][1]
    assert first["scores"] == f"{results}/seed7/classifiers/voc2007/D_E.parquet"
    assert first["options"]["svm_loss"] == "squared-hinge"
    assert [own["part"] for own in first["chosen"]] == ["val", "test"]
    origins = [own for own in row["evaluations"] if own["split"] == "voc2007" and own["seed"] == 7]
    assert [own["posteriors"] for own in origins] == [
        f"{results}/seed7/descriptors/voc2007/{model}/image_Q{Q}.parquet"
        for model in ("D_S256-512", "E_S256-512")
        for Q in (256, 384)
    ]
    assert {own["method"] for own in origins} == {"image"}
    assert {own["code"] for own in origins} == {"deadbeef1234"}
    of_boxes = row_of(made_table("table12", results), "D_E_image_box")["evaluations"]
    assert {own["method"] for own in of_boxes} == {"image", "box"}
    random = row_of(made_table("random_features", results), "D_at_256_random")["evaluations"]
    assert {own["iterations"] for own in random} == {0}
    assert {Path(own["posteriors"]).parent.name for own in random} == {"D_S256-512.random"}


# What stands beside it


def test_the_papers_numbers_stand_beside(results):
    table = made_table("table11", results)
    printed = {
        "D": (89.3, 89.0, 91.8, 85.0, 1.0), "E": (89.3, 89.0, 92.3, 85.1, 0.5),
        "D_E": (89.7, 89.3, 92.7, 86.2, 0.5),
    }  # fmt: skip
    metrics = ("map_voc2007", "map_voc2012", "recall_caltech101", "recall_caltech256")
    for name, (*numbers, spread) in printed.items():
        cells = row_of(table, name)["metrics"]
        assert [cells[metric]["paper"] for metric in metrics] == numbers
        assert cells["recall_caltech101"]["paper_sd"] == spread
        assert cells["mapval_voc2012"]["paper"] is None
        assert cells["mapval_voc2012"]["difference"] is None
        for metric in metrics:
            if (measured := cells[metric]["measured"]) is not None:
                difference = cells[metric]["difference"]
                assert difference == pytest.approx(measured - cells[metric]["paper"])


def test_the_literatures_rows_follow(results):
    table = made_table("table11", results)
    own, others = table["rows"][:3], table["rows"][3:]
    assert [row["literature"] for row in own] == [False] * 3
    assert [row["labels"] for row in others] == [
        ["Zeiler & Fergus (2013)"], ["Chatfield et al. (2014)"], ["He et al. (2014)"],
        ["Wei et al. (2014)"],
    ]  # fmt: skip
    for row in others:
        assert (row["name"], row["literature"], row["evaluations"]) == (None, True, [])
        assert {cell["measured"] for cell in row["metrics"].values()} == {None}
    last = others[-1]["metrics"]["map_voc2012"]
    assert (last["paper"], last["paper_starred"], last["difference"]) == (81.7, 90.3, None)
    assert others[0]["metrics"]["recall_caltech101"]["paper_sd"] == 0.5
    assert others[0]["metrics"]["map_voc2007"]["paper"] is None
    of_actions = made_table("table12", results)["rows"][2]["metrics"]["map_voc2012_action"]
    assert (of_actions["paper"], of_actions["paper_starred"]) == (None, 70.2)


def test_what_the_paper_prints_bold_is_bold(results):
    printed = copy.deepcopy(PAPER["table11"]) | {"bold": {2: ["map_voc2007"], 5: ["map_voc2007"]}}
    run = Run(results, [], seeds=[3], submissions=[])
    measures = Measures(results, DATA_SETS, 1)
    table = feature_table("table11", TABLES["table11"], run, printed, {}, measures)
    bold = [
        (place, metric)
        for place, row in enumerate(table["rows"])
        for metric, cell in row["metrics"].items()
        if cell["bold"]
    ]
    assert bold == [(2, "map_voc2007"), (5, "map_voc2007")]


def test_rows_may_have_references_of_their_own(results):
    entry = copy.deepcopy(TABLES["table11"]) | {"reference": "others"}
    del entry["paper"]
    entry["rows"][1]["reference"] = {"map_voc2007": 50.5}
    run = Run(results, [], seeds=[3], submissions=[])
    table = feature_table("own", entry, run, None, {}, Measures(results, DATA_SETS, 1))
    assert (table["reference"], len(table["rows"])) == ("others", 3)
    cell = table["rows"][1]["metrics"]["map_voc2007"]
    assert cell["difference"] == pytest.approx(cell["measured"] - 50.5)
    assert table["rows"][0]["metrics"]["map_voc2007"]["paper"] is None


# What is not measured


def test_withheld_labels_leave_a_cell_to_the_organisers_server(results):
    table = made_table("table11", results)
    for name in ("D", "E", "D_E"):
        cell = row_of(table, name)["metrics"]["map_voc2012"]
        assert (cell["measured"], cell["difference"], cell["entered"]) == (None, None, False)
        assert cell["paper"] is not None
        assert row_of(table, name)["submission"] == (
            f"{results}/submission/features_{name}_voc2012.tar.gz"
        )
    answers = {
        "features_E": {"map_voc2012": 88.5, "date": "2026-11-28", "note": "by a friend"},
        "features_D": {"map_voc2012": 0, "date": "2026-11-27"},
    }
    table = made_table("table11", results, answers=answers)
    cells = {name: row_of(table, name)["metrics"]["map_voc2012"] for name in ("D", "E", "D_E")}
    assert (cells["E"]["measured"], cells["E"]["entered"]) == (88.5, True)
    assert cells["E"]["difference"] == pytest.approx(-0.5)
    assert (cells["E"]["low"], cells["E"]["images"]) == (None, None)
    assert (cells["D"]["measured"], cells["D"]["entered"]) == (0, True)
    assert (cells["D_E"]["measured"], cells["D_E"]["entered"]) == (None, False)
    assert table["notes"][:2] == [
        "† entered by hand from the test server's answer of 2026-11-27 to features_D",
        "† entered by hand from the test server's answer of 2026-11-28 to features_E: by a friend",
    ]


def test_a_measured_cell_takes_no_answer(results):
    answers = {"features_E": {"map_voc2007": 12.5, "date": "2026-11-28"}}
    table = made_table("table11", results, answers=answers)
    cell = row_of(table, "E")["metrics"]["map_voc2007"]
    assert (cell["entered"], cell["measured"] == 12.5) == (False, False)
    assert not [note for note in table["notes"] if note.startswith("†")]


def of_sets(results, data_sets, name="table11", **more):
    run = Run(results, [], **{"seeds": [3], "submissions": []} | more)
    printed = PAPER[TABLES[name]["paper"]]
    return feature_table(name, TABLES[name], run, printed, {}, Measures(results, data_sets, 1))


def test_a_data_set_that_the_run_lacks_leaves_its_cells_to_the_paper(results):
    table = of_sets(results, {"voc2007": DATA_SETS["voc2007"]})
    cells = row_of(table, "D")["metrics"]
    assert [metric for metric, cell in cells.items() if cell["measured"]] == ["map_voc2007"]
    assert (cells["recall_caltech101"]["paper"], cells["recall_caltech101"]["paper_sd"]) == (
        91.8,
        1,
    )
    assert list(row_of(table, "D")["per_class"]) == ["map_voc2007"]
    assert table["data_sets"] == {"voc2007": "VOC-2007"}
    assert [note for note in table["notes"] if "Caltech" in note or "VOC-2012" in note] == []
    nothing = of_sets(results, {})
    assert {c["measured"] for row in nothing["rows"] for c in row["metrics"].values()} == {None}
    assert nothing["notes"] == ["* of nets that have seen more classes than ILSVRC’s 1000."]


def test_without_a_test_set_the_validation_set_is_measured_all_the_same(results):
    absent = {"voc2012": DATA_SETS["voc2012"] | {"test": "absent"}}
    cells = row_of(of_sets(results, absent), "D")["metrics"]
    assert cells["map_voc2012"]["measured"] is None
    assert cells["mapval_voc2012"]["measured"] == pytest.approx(
        by_hand(results, "mapval_voc2012", "D")[0]
    )


def test_rows_of_models_that_the_run_lacks_are_the_papers_alone(results):
    answers = {"features_E": {"map_voc2012": 88.5, "date": "2026-11-28"}}
    table = made_table("table11", results, models=["D_S256-512"], answers=answers)
    for name in ("E", "D_E"):
        row = row_of(table, name)
        assert {cell["measured"] for cell in row["metrics"].values()} == {None}
        assert (row["evaluations"], row["classifiers"], row["submission"]) == ([], [], None)
        assert row["metrics"]["map_voc2007"]["paper"] is not None
    assert row_of(table, "D")["metrics"]["map_voc2007"]["measured"] is not None


def test_a_file_for_the_server_is_of_the_tables_own_data_set(results):
    """One name serves the rows of two tables, whose files differ by their data sets."""
    entry = copy.deepcopy(TABLES["table12"])
    entry["rows"][0]["submission"] = "features_D"
    written = ["features_D_voc2012", "features_D_voc2012_action"]
    measures = Measures(results, DATA_SETS, 1)
    for submissions, expected in ((written, written[1]), (None, written[1]), (written[:1], None)):
        run = Run(results, [], seeds=[3], submissions=submissions)
        found = feature_table("own", entry, run, PAPER["table12"], {}, measures)["rows"][0]
        path = None if expected is None else f"{results}/submission/{expected}.tar.gz"
        assert found["submission"] == path


# Notes


def test_notes_say_what_the_numbers_are(results):
    notes = made_table("table11", results)["notes"]
    assert notes == [
        "VOC-2007: the mean over classes of average precision of eleven recalls, as VOC-2007 has "
        "it.",
        "VOC-2012: the mean over classes of average precision as area under the curve, as VOC has "
        "it from 2010 on.",
        "Caltech-101, Caltech-256: the mean over classes and over random splits; ± is the "
        "standard deviation over splits. Classes: 3 of Caltech-101, 3 of Caltech-256.",
        "Caltech-101, Caltech-256: the background is one of the classes.",
        "VOC-2012: only the organisers’ server has the labels of the test set; what is measured "
        "here is of the validation set, not to be compared with numbers of the test set, such as "
        "the paper’s. Its classifiers learned from training images alone.",
        "* of nets that have seen more classes than ILSVRC’s 1000.",
        "C was chosen at an end of its grid: Caltech-101 0.25, Caltech-101 4, Caltech-256 0.25, "
        "Caltech-256 4, VOC-2007 0.25, VOC-2012 0.25.",
    ]


def test_notes_name_neither_a_background_nor_a_server_that_there_is_not(results):
    sets = copy.deepcopy(DATA_SETS)
    sets["caltech101"]["background"] = None
    sets["voc2012"]["test"] = "absent"
    notes = made_table("table11", results, data_sets=sets)["notes"]
    assert "Caltech-256: the background is one of the classes." in notes
    assert not any("organisers" in note for note in notes)
    (absent,) = (note for note in notes if "no test set" in note)
    assert absent.startswith("VOC-2012: this run has no test set; what is measured is of the valid")


def test_what_could_not_be_read_is_noted_with_its_number(results, tmp_path):
    folder = tmp_path / "results/x"
    shutil.copytree(results, folder)
    for row, unread in (("D", ["i3", "i1"]), ("E", ["i1"])):
        path = folder / f"classifiers/voc2007/{row}.parquet"
        told = files.read_told(path)
        for own in told["chosen"]:
            own["undescribed"] = unread if own["part"] == "test" else ["i9"]
        files.write_scores(path, read_scores(path), told)
    notes = [note for note in made_table("table11", str(folder))["notes"] if "read" in note]
    assert notes == [
        "VOC-2007: 2 of those tested could not be read, such as i1; they count as wrong. Nothing "
        "was learned from such images."
    ]


def test_classes_that_nothing_tested_is_of_are_noted(results, tmp_path):
    folder = tmp_path / "results/x"
    shutil.copytree(results, folder)
    own = EXAMPLES["voc2007"]
    tested = np.array(own.parts) == "test"
    labels = own.labels.copy()
    labels[tested, 1] = -1
    changed = replace(own, labels=labels)
    write_examples(folder / "examples/voc2007.parquet", changed, {})
    notes = made_table("table11", str(folder))["notes"]
    name, left = own.classes[1], len(own.classes) - 1
    told = f"VOC-2007: no test image is of {name}; the mean is over the other {left} classes."
    assert told in notes


def test_c_inside_its_grid_is_not_noted(results, tmp_path):
    folder = tmp_path / "x"
    write_results(str(folder), (3,), names=("random_features",))
    for path in folder.glob("classifiers/*/*.parquet"):
        told = files.read_told(path)
        for own in told["chosen"]:
            own["at_end"] = False
        files.write_scores(path, read_scores(path), told)
    notes = made_table("random_features", str(folder))["notes"]
    assert not [note for note in notes if "grid" in note]


# What is refused


@pytest.fixture
def own(tmp_path):
    """Results of one seed that may be changed."""
    folder = str(tmp_path / "results/x")
    write_results(folder, (3,), names=("table11",))
    return folder


def rewritten(results, data_set="voc2007", row="E", change=lambda own: own, **told):
    """A file of scores, of which parts are changed, or what it says."""
    path = f"{results}/classifiers/{data_set}/{row}.parquet"
    parts = [changed for own in read_scores(path) if (changed := change(own))]
    files.write_scores(path, parts, files.read_told(path) | told)
    return path


def told(results):
    with pytest.raises(InputError) as raised:
        made_table("table11", results)
    return str(raised.value)


def without_the_last(part):
    def change(own):
        if own.part != part:
            return own
        return replace(own, ids=own.ids[:-1], scores=own.scores[:-1])

    return change


def test_scores_of_other_examples_are_refused(own):
    path = rewritten(own, change=lambda part: replace(part, ids=[f"x{n}" for n in part.ids]))
    complaint = f"{path}: has a score of xi001, which is none of the data set's examples. Make it"
    assert complaint in told(own)


def test_scores_of_other_classes_are_refused(own):
    path = rewritten(own, classes=["bird", "cat", "horse"])
    assert f"{path}: is of other classes than the data set. Make it again: rm {path}" in told(own)


@pytest.mark.parametrize("part", ["val", "test"])
def test_scores_of_which_one_is_missing_are_refused(own, part):
    examples = EXAMPLES["voc2007"]
    last = [n for n, own in zip(examples.ids, examples.parts, strict=True) if own == part][-1]
    path = rewritten(own, change=without_the_last(part))
    assert f"{path}: has no score of {last}. Make it again: rm {path}" in told(own)


@pytest.mark.parametrize("part", ["val", "test"])
def test_scores_without_a_part_are_refused(own, part):
    path = rewritten(own, change=lambda given: None if given.part == part else given)
    assert f"{path}: has no score of i00" in told(own)


def test_withheld_test_examples_may_lack_scores(own):
    rewritten(own, "voc2012", change=lambda given: None if given.part == "test" else given)
    assert made_table("table11", own)["rows"]


def test_a_file_that_does_not_say_where_it_comes_from_is_refused(own):
    path = rewritten(own, descriptors=[["d.parquet", {"model": "E"}]])
    assert f"{path}: is damaged: it does not say its descriptors' weights_sha256, iter" in told(own)
    Path(path).unlink()
    assert f"{path}: no such file; has its rule run?" in told(own)


# The command


def test_the_command_writes_the_same_numbers(results, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = ["--table", "table11", "--results", results, "--seeds", "3", "--seed", "1"]
    words += ["--data-sets", json.dumps(DATA_SETS), "--submissions", "features_D_voc2012"]
    tabulate.main([*words, "--output", str(tmp_path / "t")])
    written = json.loads((tmp_path / "t.json").read_text())
    expected = made_table("table11", results, submissions=["features_D_voc2012"])
    assert written["rows"] == json.loads(json.dumps(expected["rows"]))
    assert written["notes"] == expected["notes"]
    frame = pd.read_csv(tmp_path / "t.csv", comment="#")
    assert frame["method"].tolist()[:3] == [row["labels"][0] for row in expected["rows"][:3]]
    for metric in TABLES["table11"]["metrics"]:
        values = [row["metrics"][metric]["measured"] for row in expected["rows"]]
        expected_values = [np.nan if value is None else value for value in values]
        np.testing.assert_allclose(frame[metric].astype(float), expected_values)
    assert (tmp_path / "t.md").read_text()
    assert (tmp_path / "t.tex").read_text()


# Measures


def test_examples_whose_labels_are_withheld_are_not_measured():
    examples = EXAMPLES["voc2012"]
    tested = [place for place, part in enumerate(examples.parts) if part == "val"]
    assert Measure(examples, "area", "val", 0).tested().tolist() == tested
    assert Measure(examples, "area", "test", 0).tested().tolist() == []


def test_a_class_that_no_split_tests_has_no_recall(tmp_path):
    examples = EXAMPLES["caltech101"]
    ids = [name for name in examples.ids if not name.startswith("ant/")][::2]
    scores = np.zeros((len(ids), 3), np.float32)
    scores[:, 1] = 1
    measure = Measure(examples, None, "test", 0)
    own = [files.Tested("test", 0, ids, scores)]
    assert measure.per_class(own) == [0, 100, None]
    assert measure.over_splits(own).mean == 50
    assert measure.count([*own, *own]) == len(ids)


def test_a_metric_is_measured_where_labels_are_at_hand(tmp_path):
    for name, examples in EXAMPLES.items():
        path = tmp_path / f"examples/{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_examples(path, examples, {})
    measures = Measures(tmp_path, DATA_SETS, 1)
    metrics = ("map_voc2007", "mapval_voc2007", "mapval_voc2012", "recall_caltech101")
    assert all(measures.has(metric) for metric in metrics)
    for metric in ("map_voc2012", "map_voc2012_action", "map_coco", "recall_imagenet"):
        assert not measures.has(metric)
    assert measures.of("mapval_voc2012").part == "val"
    assert (measures.of("map_voc2007").definition, measures.of("map_voc2007").part) == (
        "eleven-point", "test",
    )  # fmt: skip
    assert measures.of("recall_caltech101").definition is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no JSON"),
        ("[]", "expected data sets by name"),
        ('{"voc2007": {}}', "voc2007: lacks Q, average_precision, scale_pooling, title"),
        (
            '{"x": {"title": "X", "average_precision": "area", "Q": [], "scale_pooling": "max"}}',
            "x: lacks test",
        ),
    ],
)
def test_an_option_that_is_no_data_sets_is_refused(text, complaint, capsys):
    with pytest.raises(SystemExit, match="2"):
        tabulate.main(["--data-sets", text])
    assert complaint in capsys.readouterr().err
