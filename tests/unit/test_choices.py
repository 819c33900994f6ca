"""The comparison of the test-time choices, against numpy and scipy; and its page."""

import csv
import json
import re

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest

from tests.helpers.clones import ROOT
from tests.helpers.localised_errors import localised_wrong
from tests.helpers.pages import Page, numbers
from tests.helpers.runs import run_of
from workflow_scripts import compare_choices, render_choices
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.truth import Truth, write_truth
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.localisation.guesses import Guesses, write_guesses
from workflow_scripts.vgg.report import pages
from workflow_scripts.vgg.results.choice_comparison import as_text
from workflow_scripts.vgg.results.localised_comparison import localised_as_text
from workflow_scripts.vgg.settings import choice_rules, localised_choices, test_time_choices
from workflow_scripts.vgg.settings.experiments import Evaluation, read_tables

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
CONFIG["transfer"]["data_sets"] = {}  # choices of features have tests of their own
SCHEMA = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
TABLES = read_tables([ROOT / "config/tables.yaml"])
IMAGES, CLASSES = 200, 8
THRESHOLD = CONFIG["localise"]["thresholds"]["centres-and-overlap"]
SIDE, BLACKLISTED = 100, 12  # pixels of images, and how many of them
MERGED = {  # choices whose values have guesses of their own, with the alternatives
    "box_flip": ["mirrored"],
    "merge_distance": ["literal", "overlap-only"],
    "merge_threshold": [str(THRESHOLD / 2), str(THRESHOLD * 2)],
    "merge_mean": ["plain"],
    "box_rating": ["mean", "max"],
    "box_clipping": ["as-predicted"],
}
SCORED = {
    "overlap_bound": "more-than-half",
    "overlap_pixels": "continuous",
    "blacklisted": "kept",
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A folder with random posteriors under every value, and choices.csv and .json of them."""
    folder = tmp_path_factory.mktemp("compared")
    draw = np.random.default_rng(0)
    ids = [f"image{i:04d}" for i in range(IMAGES)]
    labels = draw.integers(CLASSES, size=IMAGES)
    scores = np.eye(CLASSES)[labels] * 2 + draw.normal(size=(IMAGES, CLASSES))
    for choice, own in test_time_choices.measurable(TABLES).items():
        configured = CONFIG["choices"][choice]
        for value in test_time_choices.values(SCHEMA, choice, configured):
            for evaluation in own:
                shifted = np.exp(scores + draw.normal(size=scores.shape) * 0.7)
                path = evaluation.path(
                    test_time_choices.results_of(folder, choice, value, configured), "val"
                )
                posteriors = shifted / shifted.sum(1, keepdims=True)
                write_posteriors(path, ids, labels, posteriors.astype(np.float32), {})
    guess_boxes(folder, draw)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    words = ["--config", str(folder / "config.yaml"), "--results", str(folder)]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    words += ["--tables", str(ROOT / "config/tables.yaml")]
    compare_choices.main([*words, "--output", str(folder / "choices")])
    return folder


def guess_boxes(folder, draw):
    """Random true boxes, and guesses under every value: some are half a true box, to the pixel."""
    ids = [f"image{i:04d}" for i in range(IMAGES)]
    first = draw.integers(0, SIDE // 2, (IMAGES, 2))
    true = np.concatenate([first, first + 2 * draw.integers(5, SIDE // 4, (IMAGES, 2))], axis=1)
    blacklisted = np.isin(np.arange(IMAGES), draw.permutation(IMAGES)[:BLACKLISTED])
    labels = draw.integers(CLASSES, size=IMAGES)
    sizes = np.full((IMAGES, 2), SIDE)
    starts = np.arange(IMAGES + 1)
    truth = Truth(ids, starts, true / SIDE, sizes[:, 0], sizes[:, 1], blacklisted)
    write_truth(folder / "truth/val.parquet", truth, {})
    folders = [folder, *(folder / f"choices/{n}={v}" for n, own in MERGED.items() for v in own)]
    for own in folders:
        classes = np.argsort(draw.random((IMAGES, CLASSES)), axis=1)[:, :5]
        boxes = np.repeat(true[:, None] - [0, 0, 1, 1], 5, axis=1)
        boxes += draw.integers(-4, 5, boxes.shape)
        halved = np.arange(IMAGES) % 3 == 0
        middle = (true[halved, 0] + true[halved, 2]) // 2 - 1
        boxes[halved] = true[halved, None] - [0, 0, 1, 1]
        boxes[halved, :, 2] = middle[:, None]
        guesses = Guesses(ids, labels, sizes, classes, boxes, np.ones(classes.shape))
        write_guesses(own / "localisation/val/fusion.parquet", guesses, {})


def mean(paths):
    import pandas as pd

    frames = [pd.read_parquet(path) for path in paths]
    return frames[0]["label"].to_numpy(), np.mean([np.stack(f["posterior"]) for f in frames], 0)


def test_every_alternative_is_compared_with_the_configured_value(compared):
    with open(compared / "choices.csv") as file:
        lines = list(csv.DictReader(file))
    expected = [
        (name, value)
        for name in ("score_average", "pool_rounding", "crop_grid", "resize_filter")
        for value in SCHEMA["properties"]["choices"]["properties"][name]["enum"]
    ]
    assert [(line["choice"], line["value"]) for line in lines] == expected
    assert [line["configured"] for line in lines] == ["True", "False"] * 4


def test_differences_are_paired_and_changes_are_counted(compared):
    with open(compared / "choices.csv") as file:
        lines = {(line["choice"], line["value"]): line for line in csv.DictReader(file)}
    for choice, value, method in (
        ("pool_rounding", "ceil", "dense"),
        ("crop_grid", "central-square", "multicrop"),
    ):
        line, order, wrong = lines[choice, value], [], []
        for folder in ("posteriors", f"choices/{choice}={value}/posteriors"):
            files = (compared / folder / "val/D_S256-512").glob(f"{method}_*")
            labels, posteriors = mean(sorted(files))
            order.append(np.argsort(-posteriors, axis=1))
            wrong.append({k: ~(order[-1][:, :k] == labels[:, None]).any(1) for k in (1, 5)})
        for k in (1, 5):
            before, after = (w[k] for w in wrong)
            gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
            assert gained + lost > 0
            assert float(line[f"top{k}_error"]) == pytest.approx(100 * after.mean())
            difference = 100 * (gained - lost) / IMAGES
            assert float(line[f"top{k}_difference"]) == pytest.approx(difference)
            p = binomtest(gained, gained + lost, 0.5).pvalue
            assert float(line[f"top{k}_p"]) == pytest.approx(p)
            # The normal approximation of a paired difference's interval.
            half = 1.96 * 100 * (gained + lost - (gained - lost) ** 2 / IMAGES) ** 0.5 / IMAGES
            for end, expected in (("low", difference - half), ("high", difference + half)):
                assert float(line[f"top{k}_difference_{end}"]) == pytest.approx(expected, abs=0.8)
        assert int(line["changed_class"]) == (order[0][:, 0] != order[1][:, 0]).sum()
        assert int(line["changed_outcome"]) == (wrong[0][1] != wrong[1][1]).sum()
        assert int(line["changed_class"]) > int(line["changed_outcome"])


def test_choices_of_localisation_are_all_that_is_decided_behind_its_trainings():
    known = SCHEMA["properties"]["choices"]["properties"]
    assert list(localised_choices.stages(SCHEMA)) == [*MERGED, *SCORED]
    for choice in (*MERGED, *SCORED):
        if choice == "merge_threshold":
            continue
        values = [CONFIG["choices"][choice], *MERGED.get(choice, [SCORED.get(choice)])]
        assert localised_choices.values(SCHEMA, choice, CONFIG) == values
        assert set(values) == set(known[choice]["enum"])
    both = {n for n, entry in known.items() if {"boxes", "evaluation"} <= set(entry["decides"])}
    assert both == {"resize_filter", "pool_rounding"} <= set(test_time_choices.MEASURED_BY)


def test_the_threshold_is_measured_at_half_and_twice_its_value():
    def values(distance, threshold):
        config = CONFIG | {
            "choices": CONFIG["choices"] | {"merge_distance": distance},
            "localise": {"thresholds": CONFIG["localise"]["thresholds"] | {distance: threshold}},
        }
        return localised_choices.values(SCHEMA, "merge_threshold", config)

    assert values("overlap-only", 0.7) == ["0.7", "0.35", "1.4"]
    assert values("literal", 1) == ["1", "0.5", "2"]
    assert values("literal", 0.0) == ["0.0"]
    assert values("literal", 0) == ["0"]


def test_localisation_is_compared_by_the_guesses_and_scoring_of_each_value(compared):
    with open(compared / "choices_localisation.csv") as file:
        lines = list(csv.DictReader(file))
    expected = [
        (name, value)
        for name in (*MERGED, *SCORED)
        for value in localised_choices.values(SCHEMA, name, CONFIG)
    ]
    assert [(line["choice"], line["value"]) for line in lines] == expected
    truth, guesses = compared / "truth/val.parquet", "localisation/val/fusion.parquet"
    before = localised_wrong(truth, compared / guesses)
    for line in lines:
        choice, value = line["choice"], line["value"]
        configured = line["configured"] == "True"
        after = before
        if choice in MERGED and not configured:
            after = localised_wrong(truth, compared / f"choices/{choice}={value}" / guesses)
        elif not configured:
            after = localised_wrong(
                truth,
                compared / guesses,
                bound=value if choice == "overlap_bound" else "at-least-half",
                last=0 if choice == "overlap_pixels" else 1,
                blacklisted=value if choice == "blacklisted" else "left-out",
            )
        assert int(line["images"]) == len(after)
        assert float(line["top5loc_error"]) == pytest.approx(100 * np.mean(list(after.values())))
        assert line["row"] == "table9/fusion"
        if choice == "blacklisted" and not configured:
            assert len(after) == IMAGES
            unpaired = ("difference", "difference_low", "difference_high", "p")
            assert {line[f"top5loc_{key}"] for key in unpaired} == {""}
            assert line["changed_outcome"] == ""
            continue
        assert len(after) == IMAGES - BLACKLISTED
        gained = sum(after[name] and not before[name] for name in before)
        lost = sum(before[name] and not after[name] for name in before)
        assert int(line["changed_outcome"]) == gained + lost
        difference = 100 * (gained - lost) / len(before)
        assert float(line["top5loc_difference"]) == pytest.approx(difference)
        p = binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1
        assert float(line["top5loc_p"]) == pytest.approx(p)
        assert (gained + lost > 0) == (not configured), "a value that changes nothing tests nothing"


def test_each_distance_has_its_own_threshold(compared):
    (content,) = (
        choice["values"]
        for choice in json.loads((compared / "choices.json").read_text())["localisation"]["choices"]
        if choice["choice"] == "merge_distance"
    )
    assert {value["value"]: value["merge_threshold"] for value in content} == CONFIG["localise"][
        "thresholds"
    ]
    run = run_of()
    for distance, threshold in CONFIG["localise"]["thresholds"].items():
        words = choice_rules.options_under(run, "merge_distance", distance)
        assert words[words.index("--merge-threshold") + 1] == str(threshold)
        assert words[words.index("--merge-distance") + 1] == distance
    words = choice_rules.options_under(run, "merge_threshold", "1.2")
    assert words[words.index("--merge-threshold") + 1] == "1.2"
    assert choice_rules.options_under(run, "box_flip", "mirrored") == choice_rules.options_under(
        run, "overlap_bound", "more-than-half"
    )


def test_only_a_choice_of_boxes_has_boxes_of_its_own():
    run, folder = run_of(), "results/miniature"
    row = [
        "val/D_S256_pcr/dense_Q256",
        "val/D_S384_pcr/dense_Q352",
        "val/D_S384_pcr/dense_Q384",
    ]
    for choice, value, own in (
        ("box_flip", "mirrored", f"{folder}/choices/box_flip=mirrored"),
        ("merge_mean", "plain", folder),
    ):
        paths = choice_rules.boxes_under(run, "fusion", "val", choice, value)
        assert paths == [f"{own}/boxes/{name}.parquet" for name in row]
    assert choice_rules.choice_guesses(run) == [
        f"{folder}/localisation/val/fusion.parquet",
        *(
            f"{folder}/choices/{choice}={value}/localisation/val/fusion.parquet"
            for choice, values in MERGED.items()
            for value in values
        ),
        f"{folder}/truth/val.parquet",
    ]


def test_another_row_measures_localisation_where_the_run_lacks_the_fusion():
    rows = {row["name"]: row for row in TABLES["table9"]["rows"]}
    measured = localised_choices.measured_row
    assert measured(TABLES) == ("table9/fusion", rows["fusion"])
    assert measured(TABLES, ["D_S384_pcr", "D_S384_scr_fc"]) == ("table9/S384", rows["S384"])
    assert measured(TABLES, ["D_S384_scr_fc", "E_S256"]) is None
    without = run_of(data={"archives": dict.fromkeys(["train_boxes", "val_boxes", "test_boxes"])})
    assert choice_rules.choice_guesses(without) == []
    with pytest.raises(InputError, match="no row of localisation by nets, such as table9/fusion"):
        choice_rules.tuning_paths(without)


def test_a_run_without_localisation_compares_classification_alone(compared, tmp_path):
    archives = CONFIG["data"]["archives"] | dict.fromkeys(["train_boxes", "val_boxes"])
    config = CONFIG | {"data": CONFIG["data"] | {"archives": archives}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["--config", str(tmp_path / "config.yaml"), "--results", str(compared)]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    words += ["--tables", str(ROOT / "config/tables.yaml"), "--output", str(tmp_path / "choices")]
    compare_choices.main(words)
    assert (tmp_path / "choices.csv").read_bytes() == (compared / "choices.csv").read_bytes()
    assert json.loads((tmp_path / "choices.json").read_text())["localisation"] is None
    assert not (tmp_path / "choices_localisation.csv").exists()
    words = ["--choices", str(tmp_path / "choices.json")]
    words += ["--config", str(tmp_path / "config.yaml")]
    render_choices.main([*words, "--output", str(tmp_path / "choices.html")])
    assert "ocalisation" not in Page((tmp_path / "choices.html").read_text()).text


def test_another_configured_value_makes_the_default_an_alternative():
    assert test_time_choices.values(SCHEMA, "pool_rounding", "ceil") == ["ceil", "floor"]
    folders = [
        test_time_choices.results_of("r", "pool_rounding", v, "ceil") for v in ("ceil", "floor")
    ]
    assert folders == ["r", "r/choices/pool_rounding=floor"]


def test_choices_without_their_row_or_model_are_left_out(compared):
    assert test_time_choices.measurable({}) == {}
    assert test_time_choices.measurable(TABLES, ["E_S256-512"]) == {}
    only = {"table5": {"rows": [r for r in TABLES["table5"]["rows"] if r["name"] == "D_multicrop"]}}
    assert test_time_choices.measurable(only, ["D_S256-512"]) == {
        "crop_grid": [Evaluation("D_S256-512", "multicrop", Q) for Q in (256, 384, 512)]
    }
    words = ["--config", str(compared / "config.yaml"), "--results", str(compared)]
    words += ["--tables", str(ROOT / "config/tables.yaml"), "--models", "A_S256"]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    with pytest.raises(InputError, match="no row of the tables that measures a choice"):
        compare_choices.main([*words, "--output", str(compared / "none")])


def test_the_text_table_is_aligned_and_marks_the_configured_values(compared):
    written = json.loads((compared / "choices.json").read_text())
    content = written["choices"]
    lines = as_text(content).splitlines()
    assert len(lines) == 9
    assert [line.split()[1] for line in lines if " * " in line] == [
        CONFIG["choices"][choice["choice"]] for choice in content
    ]
    ends = {line.index("]") for line in lines[1:]}
    assert len(ends) == 1, "errors stand below each other"
    ceil = content[1]["values"][1]
    (line,) = (line for line in lines if line.split()[0] == "ceil")
    assert f"{ceil['top1_error']:.2f} [" in line
    assert line.split()[-2:] == [str(ceil["changed_class"]), str(ceil["changed_outcome"])]
    lines = localised_as_text(written["localisation"]).splitlines()
    assert len(lines) == 1 + sum(len(c["values"]) for c in written["localisation"]["choices"])
    assert [line.split()[0] for line in lines if " * " in line] == [*MERGED, *SCORED]
    assert len({line.index("]") for line in lines[1:]}) == 1
    assert [line.split()[0] for line in lines if "other images" in line] == ["kept"]


def test_the_page_shows_every_number(compared):
    words = ["--choices", str(compared / "choices.json"), "--config", str(compared / "config.yaml")]
    words += ["--schema", str(ROOT / "config/schemas/config.schema.yaml")]
    render_choices.main([*words, "--output", str(compared / "choices.html")])
    html = (compared / "choices.html").read_text()
    page, content = Page(html), json.loads((compared / "choices.json").read_text())
    for choice in content["choices"]:
        for value in choice["values"]:
            unshown = ()
            if value["configured"]:
                unshown = [k for k in value if re.search("difference|_p$|changed", k)]
            assert numbers(value, without=unshown) <= page.numbers()
            assert value["value"] in page.text
    for choice in content["localisation"]["choices"]:
        assert choice["choice"].replace("_", " ") in page.text
        for value in choice["values"]:
            unshown = ["merge_threshold"] if choice["choice"] != "merge_distance" else []
            if value["configured"]:
                unshown += [k for k in value if re.search("difference|_p$|changed", k)]
            assert numbers(value, without=unshown) <= page.numbers()
            assert value["value"] in page.text
    assert page.text.count("other images") == 2, "the row, and what it means"
    assert "not evidence about ILSVRC" in " ".join(page.notices.split())
    assert not page.tags.keys() & {"link", "img", "iframe"}
    assert not re.search(r"@import|url\((?!#)", html)


def test_the_index_says_where_plateaus_were_seen_and_links_to_the_comparison():
    def text(page=None, **changes):
        config = CONFIG | {"choices": CONFIG["choices"] | changes}
        html = pages.render_index([], {"claims": []}, [], config, pages=[page] if page else [])
        return " ".join(Page(html).text.split()), html

    reported, html = text()
    assert "lowers the learning rate by the error on the same validation images" in reported
    assert "snakemake choices measures what the test-time choices change" in reported
    assert "choices.html" not in html
    held_out, html = text("choices", validation_set="held-out")
    assert "by the error on a held-out part of the training set, not on the" in held_out
    assert 'href="choices.html"' in html
    assert "snakemake choices" not in held_out
