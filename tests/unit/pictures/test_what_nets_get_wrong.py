"""Hardest images, class errors and confusions against pandas and statsmodels."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from tests.helpers.pictured_run import (
    FILES,
    MODEL,
    OF_TABLES,
    WANTED,
    lines_of,
    mean_of,
    read,
    row,
    true_posterior,
)
from workflow_scripts import examine_errors
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.classes import short_names
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.results.predictions import best_fused, class_errors, predictions
from workflow_scripts.vgg.settings.experiments import Evaluation


def by_systems():
    return {
        "D": row("table5", "D_both"),
        "E": row("table5", "E_both"),
        "fusion": row("table6", "D_E_both"),
    }


def test_first_classes_and_ranks_are_those_of_the_mean_posteriors(made, results, classes):
    content, words = read(made("images.json")), classes.set_index("label")["words"]
    for name, evaluations in by_systems().items():
        labels, mean = mean_of(results, evaluations)
        for image in content["hardest"] + content["best_fused"]:
            (system,) = (s for s in image["systems"] if s["system"] == name)
            order = mean.loc[image["id"]].sort_values(ascending=False, kind="stable")
            assert [f["class"] for f in system["first"]] == words[order.index[:5]].tolist()
            found = [f["posterior"] for f in system["first"]]
            np.testing.assert_allclose(found, order.iloc[:5], rtol=1e-9)
            assert image["label"] == labels[image["id"]]
            assert system["rank"] == order.index.tolist().index(image["label"]) + 1
            assert system["posterior"] == pytest.approx(order[image["label"]])
            true = [f["rank"] for f in system["first"] if f["true"]]
            assert true == ([system["rank"]] if system["rank"] <= 5 else [])


def test_the_hardest_images_have_the_lowest_posterior_of_their_class(made, results):
    _, own = true_posterior(results, by_systems()["fusion"])
    expected = own.sort_values(kind="stable").index[:6].tolist()
    assert [image["id"] for image in read(made("images.json"))["hardest"]] == expected


def test_best_fused_are_right_where_most_nets_are_wrong(made, results):
    keys = {}
    labels, fusion = mean_of(results, by_systems()["fusion"])
    for name, label in labels.items():
        if fusion.loc[name].idxmax() != label:
            continue
        parts = [mean_of(results, by_systems()[net])[1].loc[name].idxmax() for net in "DE"]
        second, first = np.sort(fusion.loc[name])[-2:]
        if wrong := sum(part != label for part in parts):
            keys[name] = (-wrong, second - first)
    assert len(keys) >= 6
    found = [image["id"] for image in read(made("images.json"))["best_fused"]]
    assert found == sorted(keys, key=keys.get)[:6]


def test_nets_that_are_all_wrong_go_before_a_clear_lead(tmp_path):
    labels = np.array([0, 0, 0, 0, 0])
    one = [
        [0.40, 0.45, 0.15],
        [0.1, 0.6, 0.3],
        [0.40, 0.50, 0.10],
        [0.9, 0.05, 0.05],
        [0.3, 0.6, 0.1],
    ]
    two = [
        [0.40, 0.15, 0.45],
        [0.9, 0.0, 0.1],
        [0.45, 0.05, 0.50],
        [0.8, 0.10, 0.10],
        [0.5, 0.4, 0.1],
    ]
    paths = []
    for name, posteriors in (("one", one), ("two", two)):
        paths.append(tmp_path / f"{name}.parquet")
        write_posteriors(paths[-1], list("abcde"), labels, np.array(posteriors, np.float32), {})
    nets = [predictions([path]) for path in paths]
    # Leads of the fusion: a 0.10, b 0.20, c 0.125; d has no net wrong, e is wrong itself.
    assert best_fused(predictions(paths), nets, 5) == [2, 0, 1]
    assert best_fused(predictions(paths), nets, 2) == [2, 0]
    assert best_fused(predictions(paths), [], 5) == []


def test_images_csv_has_a_line_an_image_system_and_rank(made, classes):
    content, words = read(made("images.json")), classes.set_index("wnid")["words"]
    expected = []
    for group in ("hardest", "best_fused"):
        for image in content[group]:
            for system in image["systems"]:
                first = [(f["rank"], f["class"], f["posterior"]) for f in system["first"]]
                if system["rank"] > 5:
                    first.append((system["rank"], image["class"], system["posterior"]))
                expected += [(group, image["id"], system["system"], *values) for values in first]
    lines = lines_of(made("images.csv"))
    assert [
        (x["group"], x["id"], x["system"], int(x["rank"]), x["class"], float(x["posterior"]))
        for x in lines
    ] == expected
    assert {int(line["rank"]) for line in lines} > {1, 2, 3, 4, 5}
    assert all(words[x["wnid"]] == x["class"] for x in lines)
    assert all(words[x["true_wnid"]] == x["true_class"] for x in lines)


def test_class_errors_equal_a_crosstab_with_statsmodels_intervals(made, results):
    labels, mean = mean_of(results, by_systems()["fusion"])
    order = np.argsort(-mean.to_numpy(), axis=1, kind="stable")
    wrong = pd.Series(order[:, 0] != labels.to_numpy())
    wrong_top5 = pd.Series((order[:, :5] != labels.to_numpy()[:, None]).all(1))
    lines = lines_of(made("classes.csv"))
    assert len(lines) == 10
    for label, line in enumerate(lines):
        own = (labels == label).to_numpy()
        images, errors = int(own.sum()), int(wrong[own].sum())
        assert (int(line["images"]), int(line["wrong"])) == (images, errors)
        assert int(line["wrong_top5"]) == wrong_top5[own].sum()
        assert float(line["top1_error"]) == pytest.approx(100 * errors / images)
        assert float(line["top5_error"]) == pytest.approx(100 * wrong_top5[own].mean())
        low, high = proportion_confint(errors, images, method="wilson")
        assert float(line["top1_low"]) == pytest.approx(100 * low, abs=1e-9)
        assert float(line["top1_high"]) == pytest.approx(100 * high)
    assert wrong_top5.any()
    stored = read(made("classes.json"))["classes"]
    assert [{k: str(v) for k, v in c.items()} for c in stored] == lines


def test_confused_pairs_equal_a_crosstab(made, results):
    labels, mean = mean_of(results, by_systems()["fusion"])
    table = pd.crosstab(labels, mean.to_numpy().argmax(1)).stack()
    expected = {pair: n for pair, n in table.items() if n and pair[0] != pair[1]}
    lines = lines_of(made("confusions.csv"))
    found = {(int(x["true_label"]), int(x["predicted_label"])): int(x["images"]) for x in lines}
    assert found == expected
    images = labels.value_counts()
    for line in lines:
        share = 100 * int(line["images"]) / images[int(line["true_label"])]
        assert float(line["share"]) == pytest.approx(share)
    counts = [int(line["images"]) for line in lines]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 1
    content = read(made("classes.json"))
    assert content["pairs"] == len(lines)
    shown = [{k: str(v) for k, v in pair.items()} for pair in content["confusions"]]
    assert shown == lines[: WANTED["classes"]["confusions"]]


def test_a_class_without_images_has_no_error(results):
    errors = class_errors(predictions([Evaluation(MODEL, "dense", 256).path(results, "val")]), 12)
    assert errors[11]["images"] == errors[11]["wrong"] == 0
    assert errors[11]["top1_error"] is errors[11]["top1_low"] is errors[11]["top5_error"] is None


def test_two_classes_of_one_name_are_told_apart():
    words = ["crane", "heron", "crane, derrick", "tank suit, maillot"]
    assert short_names(["n1", "n2", "n3", "n4"], words) == [
        "crane (n1)",
        "heron",
        "crane (n3)",
        "tank suit",
    ]


def test_an_image_that_no_shard_has_is_named(results, shard_paths, tmp_path):
    words = [*FILES, *OF_TABLES, "--results", str(results), "--output", str(tmp_path)]
    with pytest.raises(
        InputError, match=r"image ILSVRC2012_val_\d+: has posteriors but is in none"
    ):
        examine_errors.main([*words, "--shards", shard_paths("val")[0]])
