"""The comparison of the choices of features: what measures each, its numbers and its page."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers import feature_results
from tests.helpers.clones import ROOT
from tests.helpers.feature_results import EXAMPLES
from tests.helpers.pages import Page, numbers
from tests.helpers.runs import FULL, RELEASED, run_of
from workflow_scripts import compare_choices, render_choices
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_json, write_json
from workflow_scripts.vgg.data.examples import write_examples
from workflow_scripts.vgg.results.feature_comparison import features_as_text
from workflow_scripts.vgg.settings import feature_choices, report_rules, transfer_rules
from workflow_scripts.vgg.settings.experiments import read_tables
from workflow_scripts.vgg.transfer.average_precision import KINDS
from workflow_scripts.vgg.transfer.intervals import map_difference, map_interval
from workflow_scripts.vgg.transfer.scores import write_scores

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SCHEMA_FILE = ROOT / "config/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_FILE.read_text())
TABLES = read_tables([ROOT / "config/tables.yaml"])
SETS = CONFIG["transfer"]["data_sets"]
ALTERNATIVES = {  # in the order of the schema
    "resize_filter": ["bilinear"],
    "pool_rounding": ["ceil"],
    "feature_relu": ["before"],
    "action_box": ["with-margin"],
    "feature_l2": ["whole"],
    "svm_loss": ["hinge"],
    "svm_refit": ["learnt"],
    "svm_difficult": ["negatives"],
    "average_precision": ["eleven-point", "area"],
}
VOC = ("table11/D_E", "map_voc2007")
ACTIONS = ("table12/D_E_image_box", "mapval_voc2012_action")
RESULTS = "results/miniature"


def measured_by(data_sets=SETS, models=None, tables=TABLES):
    found = feature_choices.measurable(SCHEMA, tables, models, data_sets)
    return {choice: (own.row, own.metric) for choice, own in found.items()}


def only(*names):
    """The data sets of these names, as a change of a configuration."""
    return {"data_sets": {name: SETS[name] if name in names else None for name in SETS}}


# Which row measures a choice


def test_choices_are_those_that_decide_descriptors_classifiers_or_their_measure():
    stages = feature_choices.stages(SCHEMA)
    assert list(stages) == list(ALTERNATIVES)
    of_stage = {
        stage: [n for n in stages if stages[n] == stage] for stage in feature_choices.STAGES
    }
    assert of_stage == {
        "descriptors": ["resize_filter", "pool_rounding", "feature_relu", "action_box"],
        "classifiers": ["feature_l2", "svm_loss", "svm_refit", "svm_difficult"],
        "measuring": ["average_precision"],
    }
    for choice, alternatives in ALTERNATIVES.items():
        values = feature_choices.values(SCHEMA, choice, CONFIG["choices"])
        assert values == [CONFIG["choices"][choice], *alternatives]
    assert feature_choices.values(SCHEMA, "average_precision", {"average_precision": "area"}) == [
        "area", "years-own", "eleven-point",
    ]  # fmt: skip
    known = SCHEMA["properties"]["choices"]["properties"]["average_precision"]["enum"]
    assert set(known) == {"years-own", *KINDS}


@pytest.mark.parametrize("base", ["config/config.yaml", FULL, RELEASED])
def test_two_nets_on_voc_measure_all_choices_but_those_of_boxes(base):
    run = run_of(base, transfer=only(*SETS))
    expected = dict.fromkeys(ALTERNATIVES, VOC) | {"action_box": ACTIONS}
    found = transfer_rules.measurable_choices(run)
    assert {choice: (own.row, own.metric) for choice, own in found.items()} == expected


def test_another_row_or_data_set_measures_what_a_run_lacks():
    without_2007 = {name: entry for name, entry in SETS.items() if name != "voc2007"}
    first = ("table11/D", "mapval_voc2012")  # the test set's labels are withheld
    expected = dict.fromkeys(ALTERNATIVES, first) | {"action_box": ACTIONS}
    stacked = ("table11/D", "recall_caltech101")  # of whose one net scales are stacked
    assert measured_by(without_2007) == expected | {"feature_l2": stacked}
    labelled = {"voc2012_action": SETS["voc2012_action"] | {"test": "labelled"}}
    tested = ("table12/D_E_image", "map_voc2012_action")
    assert measured_by(labelled) == dict.fromkeys(ALTERNATIVES, tested) | {"action_box": ACTIONS}
    expected = dict.fromkeys(ALTERNATIVES, ("table11/E", "map_voc2007"))
    expected["feature_l2"] = ("table11/E", "recall_caltech101")
    del expected["action_box"]
    assert measured_by(models=["E_S256-512"]) == expected


def test_choices_that_change_nothing_there_are_left_out():
    caltech = measured_by({"caltech101": SETS["caltech101"]}, ["D_S256-512"])
    assert caltech == dict.fromkeys(
        ["resize_filter", "pool_rounding", "feature_relu", "feature_l2", "svm_loss", "svm_refit"],
        ("table11/D", "recall_caltech101"),  # whose scales are stacked, so that there are parts
    )
    pooled = {"caltech101": SETS["caltech101"] | {"scale_pooling": "max"}}
    assert "feature_l2" not in measured_by(pooled, ["D_S256-512"], {"table11": TABLES["table11"]})


def test_a_run_without_features_is_asked_for_nothing():
    assert measured_by({}) == measured_by(tables={}) == measured_by(models=["A_S256"]) == {}
    run = run_of(transfer=only())
    assert transfer_rules.scores_under_choices(run) == []
    assert report_rules.choice_files(run) == [f"{RESULTS}/choices_localisation.csv"]
    both = [f"{RESULTS}/choices_{name}.csv" for name in ("localisation", "features")]
    assert report_rules.choice_files(run_of()) == both


# What is made of a value


def test_only_what_a_choice_decides_is_made_anew():
    run = run_of()
    of_voc = [f"voc2007/{net}_S256-512/image_Q{Q}" for net in "DE" for Q in (256, 384, 512)]
    for choice, value, folder in (
        ("feature_relu", "before", f"{RESULTS}/choices/feature_relu=before"),
        ("resize_filter", "bilinear", f"{RESULTS}/choices/resize_filter=bilinear"),
        ("svm_loss", "hinge", RESULTS),
    ):
        paths = transfer_rules.descriptors_under(run, "D_E", "voc2007", choice, value)
        assert paths == [f"{folder}/descriptors/{name}.parquet" for name in of_voc]
    where = ("D_E_image_box", "voc2012_action")
    paths = transfer_rules.descriptors_under(run, *where, "action_box", "with-margin")
    assert paths == [
        f"{folder}/descriptors/voc2012_action/{net}_S256-512/{region}_Q{Q}.parquet"
        for net in "DE"
        for region, folder in (
            ("image", RESULTS),
            ("box", f"{RESULTS}/choices/action_box=with-margin"),
        )
        for Q in (256, 384)
    ]


def test_the_commands_are_told_the_value_and_all_else_as_configured():
    run = run_of()

    own = transfer_rules.classifier_options(run, "D_E", "voc2007")
    for choice, (value, *_) in ALTERNATIVES.items():
        words = transfer_rules.classifier_options_under(run, "D_E", "voc2007", choice, value)
        decided = choice in transfer_rules.choices_of_stage(run, "classifiers")
        option = f"--{choice.replace('_', '-')}"
        assert (words != own) == decided
        assert not decided or words[words.index(option) + 1] == value
        assert len(words) == len(own)
        assert sum(a != b for a, b in zip(words, own, strict=True)) == decided
    described = transfer_rules.description_options(run, "box")
    for choice in transfer_rules.choices_of_stage(run, "descriptors"):
        (value,) = ALTERNATIVES[choice]
        words = transfer_rules.description_options(run, "box", **{choice: value})
        assert [(a, b) for a, b in zip(described, words, strict=True) if a != b] == [
            (CONFIG["choices"][choice], value)
        ]


def test_scores_of_all_values_are_compared_and_made_once():
    def of(folder, row="D_E", data_set="voc2007"):
        return f"{RESULTS}/{folder}classifiers/{data_set}/{row}.parquet"

    actions = ("D_E_image_box", "voc2012_action")
    paths = transfer_rules.scores_under_choices(run_of())
    assert set(paths) == {
        of(""),
        of("", *actions),
        of("choices/action_box=with-margin/", *actions),
        *(of(f"choices/{choice}={value}/") for choice, (value, *_) in ALTERNATIVES.items()
          if choice not in ("action_box", "average_precision")),
        f"{RESULTS}/examples/voc2007.parquet",
        f"{RESULTS}/examples/voc2012_action.parquet",
    }  # fmt: skip
    assert len(paths) == len(set(paths))
    swapped = transfer_rules.scores_under_choices(run_of(choices={"svm_loss": "hinge"}))
    assert of("choices/svm_loss=squared-hinge/") in swapped
    assert of("choices/svm_loss=hinge/") not in swapped


# The comparison


def write(folder, data_set, row, strength, C):
    """Scores of a row on a data set, the better the stronger."""
    parts = feature_results.tested(EXAMPLES[data_set], strength, seed=len(str(folder)))
    path = Path(folder, f"classifiers/{data_set}/{row}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = [
        {"part": own.part, "split": own.split, "C": C + own.split, "at_end": C == 64}
        for own in parts
    ]
    told = {"classes": EXAMPLES[data_set].classes, "descriptors": [], "options": {}}
    write_scores(path, parts, told | {"chosen": chosen})


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A folder with scores under every value, and the comparison of them; of features alone."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "examples").mkdir()
    for name in ("voc2007", "voc2012_action"):
        write_examples(folder / f"examples/{name}.parquet", EXAMPLES[name], {})
    write(folder, "voc2007", "D_E", 0.8, C=4.0)
    write(folder, "voc2012_action", "D_E_image_box", 0.8, C=0.5)
    for place, (choice, (value, *_)) in enumerate(ALTERNATIVES.items()):
        row = ("voc2012_action", "D_E_image_box") if choice == "action_box" else ("voc2007", "D_E")
        if choice != "average_precision":
            own = folder / f"choices/{choice}={value}"
            write(own, *row, 0.6 + 0.1 * place, C=64.0 if choice == "svm_loss" else 0.125)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    of_features = {name: TABLES[name] for name in ("table11", "table12")}
    (folder / "tables.yaml").write_text(yaml.safe_dump(of_features, sort_keys=False))
    compare_choices.main(words(folder))
    return folder


def words(folder, **changes):
    """The command that compares choices."""
    given = {"config": folder / "config.yaml", "tables": folder / "tables.yaml"}
    given |= {"results": folder, "output": folder / "choices", "seed": 3, "schema": SCHEMA_FILE}
    return [str(word) for key, value in (given | changes).items() for word in (f"--{key}", value)]


def lines_of(folder):
    with open(folder / "choices_features.csv") as file:
        return {(line["choice"], line["value"]): line for line in csv.DictReader(file)}


def naive(scores, labels, definition):
    """Average precision of one class from its definition."""
    kept = [labels[i] > 0 for i in np.argsort(-scores) if labels[i]]
    found = [(sum(kept[:n]) / n, sum(kept[:n]) / sum(kept)) for n in range(1, len(kept) + 1)]
    if definition == "eleven-point":
        levels = [max((p for p, r in found if r >= t / 10 - 1e-12), default=0) for t in range(11)]
        return np.mean(levels)
    steps = [place for place, positive in enumerate(kept) if positive]
    return np.mean([max(p for p, _ in found[place:]) for place in steps])


def scores_of(folder, choice, value):
    """Scores and labels that a value is measured on, by the columns that count; image numbers."""
    row, metric = ACTIONS if choice == "action_box" else VOC
    data_set = metric.split("_", 1)[1]
    own, examples = folder, EXAMPLES[data_set]
    if value in ALTERNATIVES[choice] and choice != "average_precision":
        own = folder / f"choices/{choice}={value}"
    part = "val" if metric.startswith("mapval") else "test"
    places = [place for place, other in enumerate(examples.parts) if other == part]
    ids = [examples.ids[place] for place in places]
    frame = pd.read_parquet(own / f"classifiers/{data_set}/{row.split('/')[1]}.parquet")
    frame = frame[frame["part"] == part].set_index("id").loc[ids]
    columns = np.flatnonzero(examples.scored)
    return np.stack(frame["scores"])[:, columns], examples.labels[places][:, columns], places


def test_every_value_is_measured_on_its_scores(compared):
    lines = lines_of(compared)
    expected = [(c, v) for c in ALTERNATIVES for v in (CONFIG["choices"][c], *ALTERNATIVES[c])]
    assert list(lines) == expected
    for (choice, value), line in lines.items():
        definition = "eleven-point"
        if choice == "action_box" or value == "area":
            definition = "area"
        scores, labels, _ = scores_of(compared, choice, value)
        measure = 100 * np.mean(
            [naive(*pair, definition) for pair in zip(scores.T, labels.T, strict=True)]
        )
        assert float(line["measure"]) == pytest.approx(measure)
        assert float(line["low"]) < measure < float(line["high"])
        assert (line["row"], line["metric"]) == (ACTIONS if choice == "action_box" else VOC)
        assert int(line["examples"]) == len(scores)
        assert line["configured"] == str(value == CONFIG["choices"][choice])


def test_differences_are_paired(compared):
    lines = lines_of(compared)
    for (choice, value), line in lines.items():
        configured = lines[choice, CONFIG["choices"][choice]]
        difference = float(line["measure"]) - float(configured["measure"])
        assert float(line["difference"]) == pytest.approx(difference, abs=1e-12)
        tests = [line[key] for key in ("difference_low", "difference_high", "p")]
        if (choice, value) == ("average_precision", "area"):
            assert difference
            assert tests == ["", "", ""]
        elif line is configured or choice == "average_precision":
            assert (difference, *map(float, tests)) == (0, 0, 0, 1)
        else:
            after, labels, places = scores_of(compared, choice, value)
            before = scores_of(compared, choice, CONFIG["choices"][choice])[0]
            kind = "area" if choice == "action_box" else "eleven-point"
            facts = (labels, np.array(places), kind, np.ones(labels.shape[1], bool), 3)
            found = map_difference([after], [before], *facts)
            assert list(map(float, tests)) == [found.low, found.high, found.p]
            assert found.low <= difference <= found.high
            interval = map_interval([after], *facts)
            assert [float(line["low"]), float(line["high"])] == [interval.low, interval.high]


def test_the_c_is_that_of_the_part_that_is_measured(compared):
    lines = lines_of(compared)
    chosen = {key: (line["C"], line["at_end"]) for key, line in lines.items()}
    assert chosen["svm_loss", "squared-hinge"] == ("4.0", "False")
    assert chosen["svm_loss", "hinge"] == ("64.0", "True")
    assert chosen["average_precision", "area"] == ("4.0", "False")
    assert chosen["action_box", "with-margin"] == ("0.125", "False")


def test_recall_has_a_c_for_each_split(tmp_path):
    transfer = CONFIG["transfer"] | only("caltech101")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"transfer": transfer}))
    (tmp_path / "examples").mkdir()
    write_examples(tmp_path / "examples/caltech101.parquet", EXAMPLES["caltech101"], {})
    write(tmp_path, "caltech101", "D", 1.0, C=2.0)
    for choice, (value, *_) in ALTERNATIVES.items():
        write(tmp_path / f"choices/{choice}={value}", "caltech101", "D", 1.2, C=8.0)
    tables = {"table11": TABLES["table11"]}
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump(tables, sort_keys=False))
    compare_choices.main([*words(tmp_path), "--models", "D_S256-512"])
    lines = lines_of(tmp_path)
    assert {choice for choice, _ in lines} == ALTERNATIVES.keys() - {
        "action_box", "svm_difficult", "average_precision",
    }  # fmt: skip
    assert {line["metric"] for line in lines.values()} == {"recall_caltech101"}
    assert lines["svm_refit", "all"]["C"] == "2.0 3.0 4.0"
    assert lines["svm_refit", "learnt"]["C"] == "8.0 9.0 10.0"
    assert "8, 9, 10" in page_of(tmp_path).text


# What is shown


def page_of(folder):
    given = {"choices": folder / "choices.json", "config": folder / "config.yaml"}
    given |= {"schema": SCHEMA_FILE, "output": folder / "choices.html"}
    render_choices.main([str(w) for key, value in given.items() for w in (f"--{key}", value)])
    return Page((folder / "choices.html").read_text())


def test_the_page_shows_every_number(compared):
    page = page_of(compared)
    content = json.loads((compared / "choices.json").read_text())
    assert (content["choices"], content["localisation"]) == ([], None)
    assert content["features"]["data_sets"] == {
        name: SETS[name]["title"] for name in ("voc2007", "voc2012_action")
    }
    text = " ".join(page.text.split())
    for choice in content["features"]["choices"]:
        assert choice["choice"].replace("_", " ") in text
        for value in choice["values"]:
            unshown = []
            if value["configured"]:
                unshown = [key for key in value if re.search("difference|^p$", key)]
            assert numbers(value, without=unshown) <= page.numbers()
            assert value["value"] in text
    assert text.count("higher is better") >= 2
    assert text.count("same scores") == 2, "the row, and what it means"
    assert text.count("end of grid") == 1
    assert "mean average precision, VOC-2007" in text
    assert "appendix B" in text
    assert "ocalisation" not in text
    assert "not evidence about ILSVRC" in " ".join(page.notices.split())


def test_a_page_without_features_does_not_speak_of_them(compared, tmp_path):
    content = read_json(compared / "choices.json")
    del content["features"]  # as of before there were any
    write_json(tmp_path / "choices.json", content)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    text = page_of(tmp_path).text
    assert "eatures" not in text
    assert "ppendix B" not in text


def test_a_comparison_that_lacks_a_number_is_refused(compared, tmp_path):
    content = read_json(compared / "choices.json")
    del content["features"]["choices"][0]["values"][1]["at_end"]
    write_json(tmp_path / "choices.json", content)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.raises(InputError, match=r"choices.json, features: .*missing: at_end"):
        page_of(tmp_path)


def test_the_text_table_is_aligned_and_marks_the_configured_values(compared):
    content = json.loads((compared / "choices.json").read_text())["features"]
    lines = features_as_text(content).splitlines()
    assert len(lines) == 1 + sum(len(choice["values"]) for choice in content["choices"])
    assert [line.split()[0] for line in lines if " * " in line] == list(ALTERNATIVES)
    assert len({line.index("]") for line in lines[1:]}) == 1, "measures stand below each other"
    (area,) = (line for line in lines if line.split()[0] == "area")
    value = content["choices"][-1]["values"][2]
    assert f"{value['measure']:.2f} [" in area
    assert area.split()[-2:] == [f"{value['difference']:+.2f}", "4"]


def test_a_run_of_no_choice_is_refused(compared):
    with pytest.raises(InputError, match="no row of the tables that measures a choice"):
        compare_choices.main([*words(compared, output=compared / "none"), "--models", "A_S256"])
