"""Curves, ranked images and recalls of features, against plain loops and pandas."""

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.helpers.feature_results import DATA_SETS
from tests.helpers.pages import Page
from tests.helpers.pictured_run import FILES, OF_TABLES, TABLES, WANTED, decoded, page_of, read
from workflow_scripts import examine_features
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_svg, write_json
from workflow_scripts.vgg.data.examples import read_examples
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.report import figures
from workflow_scripts.vgg.report.feature_views import VERTICES, ExampleImages, Listed, curve
from workflow_scripts.vgg.results.feature_measures import Measures
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.transfer.average_precision import average_precision, ranked
from workflow_scripts.vgg.transfer.scores import read_scores

GROUPS = ("first_right", "first_wrong", "last_right")


@pytest.fixture(scope="module")
def content(made):
    return read(made("features.json"))


@pytest.fixture
def examined(results, shard_paths, tmp_path):
    """`examined(*words, **section)`: what the command writes of the run, with further options."""

    def run(*words, data_sets=DATA_SETS, **section):
        wanted = tmp_path / "pictures.yaml"
        wanted.write_text(yaml.safe_dump(WANTED | {"features": WANTED["features"] | section}))
        own = ["--results", str(results), "--shards", *shard_paths("val"), *OF_TABLES]
        own += ["--pictures", str(wanted), "--data-sets", json.dumps(data_sets), *words]
        examine_features.main([*own, "--output", str(tmp_path)])
        return read(tmp_path / "features.json")

    return run


# Apart from the library


def scores_of(results, data_set):
    """A row's scores and the labels by image, as pandas reads them: part, split, classes."""
    row = pictures_wanted.feature_classifiers(WANTED, TABLES)
    path = results / f"examples/{data_set}.parquet"
    classes = read_examples(path).classes
    frame = pd.read_parquet(row.path(results, data_set))
    scores = pd.DataFrame(np.stack(frame["scores"]), frame["id"], classes)
    labels = pd.read_parquet(path).set_index("id")["labels"]
    return frame, scores, pd.DataFrame(np.stack(labels), labels.index, classes)


@pytest.fixture(scope="module")
def by_hand(results):
    """Of each class, the counted test images by falling score: (id, score, whether it is right).

    Equal scores stand in the order of names, as the data set's list does.
    """
    frame, scores, labels = scores_of(results, "voc2007")
    tested = sorted(frame["id"][frame["part"] == "test"])
    return {
        name: [
            (image, scores[name][image], labels[name][image] == 1)
            for image in sorted(tested, key=lambda i, n=name: -scores[n][i])
            if labels[name][image] != 0
        ]
        for name in labels
    }


def points_of(listed):
    """(recall, precision) in percent after each of a list of images."""
    positives = sum(right for *_, right in listed)
    found, points = 0, []
    for number, (*_, right) in enumerate(listed, start=1):
        found += right
        points.append((100 * found / positives, 100 * found / number))
    return points


# Precision and recall


def test_average_precisions_are_the_means_of_eleven_points_of_a_plain_loop(content, by_hand):
    classes = content["ranked"]["classes"]
    assert {c["class"] for c in classes} == {"bird", "cat", "dog"}, "no image shows a unicorn"
    for each in classes:
        points = points_of(by_hand[each["class"]])
        eleven = [max(p for r, p in points if r >= 10 * k - 1e-9) for k in range(11)]
        np.testing.assert_allclose(each["interpolated"], eleven)
        assert each["average_precision"] == pytest.approx(np.mean(eleven))
        assert each["positives"] == sum(right for *_, right in by_hand[each["class"]])
        assert each["counted"] == len(by_hand[each["class"]]) < content["ranked"]["images"]
    assert content["ranked"]["images"] == 22
    mean = np.mean([c["average_precision"] for c in classes])
    assert content["ranked"]["mean"] == pytest.approx(mean)


def test_curves_turn_where_the_list_does(content, by_hand):
    for each in content["ranked"]["classes"]:
        found = list(zip(each["recall"], each["precision"], strict=True))
        points = points_of(by_hand[each["class"]])
        reached = points[: next(k for k, (r, _) in enumerate(points) if r > 100 - 1e-9) + 1]
        np.testing.assert_allclose([found[0], found[-1]], [reached[0], reached[-1]])
        drawn = np.array(found)
        for recall, precision in reached:  # on the line, at a vertex or between two
            own = drawn[np.isclose(drawn[:, 0], recall)][:, 1]
            assert own.min() - 1e-9 <= precision <= own.max() + 1e-9 or recall == 0
        for vertex in found:
            assert np.isclose(reached, vertex).all(1).any()


@pytest.mark.parametrize(
    ("right", "recall", "precision"),
    [
        ([1, 1, 0], [50, 50, 100], [100, 100, 100]),
        ([0, 1, 0, 0, 1, 0], [0, 50, 50, 100], [0, 50, 25, 40]),
        ([1, 0], [100], [100]),
    ],
    ids=["all first", "a negative first", "one"],
)
def test_a_curve_begins_with_the_first_image_and_ends_with_the_last_positive(
    right, recall, precision
):
    labels = np.where(right, 1, -1).astype(np.int8)
    found = curve(ranked(-np.arange(len(right), dtype=float), labels), eleven=False)
    assert found == {"recall": recall, "precision": precision, "interpolated": []}


def test_long_curves_are_drawn_by_fewer_vertices_and_measured_by_all():
    draw = np.random.default_rng(0)
    labels = draw.choice([1, -1], 5000).astype(np.int8)
    scores = draw.normal(size=5000) + labels
    found = curve(ranked(scores, labels), eleven=True)
    assert len(found["recall"]) == len(found["precision"]) == VERTICES
    assert (found["recall"][0] in (0, 100 / (labels > 0).sum()), found["recall"][-1]) == (True, 100)
    assert np.diff(found["recall"]).min() >= 0
    measured = average_precision(scores, labels, "eleven-point")
    assert np.mean(found["interpolated"]) == pytest.approx(100 * measured)


@pytest.mark.parametrize(
    ("unseen", "roles"),
    [
        ([], ["best", "median", "worst"]),
        (["cat"], ["best", "worst"]),
        (["cat", "dog"], ["best"]),
    ],
    ids=["three", "two", "one"],
)
def test_the_best_the_median_and_the_worst_class_stand_out(unseen, roles, examined, monkeypatch):
    def read_fewer(path):
        own = read_examples(path)
        if "voc2007" not in str(path):
            return own
        return replace(own, labels=np.where(np.isin(own.classes, unseen), np.int8(-1), own.labels))

    monkeypatch.setattr("workflow_scripts.vgg.results.feature_measures.read_examples", read_fewer)
    found = examined()["ranked"]
    assert [c["role"] for c in found["classes"]] == roles
    precisions = [c["average_precision"] for c in found["classes"]]
    assert precisions == sorted(precisions, reverse=True)
    assert [c["role"] for c in found["shown"]] == [r for r in roles if r != "median"]


def test_the_area_has_no_eleven_points(examined):
    sets = DATA_SETS | {"voc2007": DATA_SETS["voc2007"] | {"average_precision": "area"}}
    assert {len(c["interpolated"]) for c in examined(data_sets=sets)["ranked"]["classes"]} == {0}


# Images


def test_images_are_those_ranked_first_and_last(examined, by_hand):
    for count in (2, 30):
        for shown in examined(images=count)["ranked"]["shown"]:
            listed = [(r, *own) for r, own in enumerate(by_hand[shown["class"]], start=1)]
            right = [own for own in listed if own[3]]
            wrong = [own for own in listed if not own[3]]
            rest = [own for own in right[::-1] if own not in right[:count]]
            for group, expected in zip(
                GROUPS, (right[:count], wrong[:count], rest[:count]), strict=True
            ):
                found = [(i["rank"], i["id"]) for i in shown[group]]
                assert found == [own[:2] for own in expected]
                np.testing.assert_allclose(
                    [i["score"] for i in shown[group]], [own[2] for own in expected]
                )


def test_images_say_what_they_show(content, results):
    _, _, labels = scores_of(results, "voc2007")
    difficult = 0
    for shown in content["ranked"]["shown"]:
        for image in (i for group in GROUPS for i in shown[group]):
            own = labels.loc[image["id"]]
            assert image["classes"] == own.index[own == 1].tolist()
            assert image["difficult"] == own.index[own == 0].tolist()
            difficult += len(image["difficult"])
            shows = ", ".join(image["classes"]) or "no class"
            assert image["alt"] == (
                f"Test image {image['id']} of VOC-2007: {shows}; rank {image['rank']} for "
                f"{shown['class']}."
            )
    assert difficult


def test_pictures_are_those_of_the_shards(content, shard_paths):
    shards = Shards(shard_paths("val"))
    place_of = {name: place for place, name in enumerate(shards.ids())}
    for image in content["ranked"]["shown"][0]["first_right"]:
        small = decoded(image["image"])
        with Image.open(io.BytesIO(shards.jpeg(place_of[image["id"]]))) as whole:
            own = np.asarray(whole.resize(small.shape[1::-1], Image.Resampling.BOX))
        assert np.abs(small.astype(int) - own).mean() < 12


def test_an_image_that_no_shard_has_is_named(results, shard_paths, tmp_path):
    words = [*FILES, *OF_TABLES, "--results", str(results), "--output", str(tmp_path)]
    words += ["--data-sets", json.dumps(DATA_SETS), "--shards", shard_paths("val")[0]]
    with pytest.raises(InputError, match=r"image ILSVRC2012_val_\d+: has scores but is in none of"):
        examine_features.main(words)


def test_images_that_could_not_be_read_are_not_shown(results, shard_paths):
    """Packing has left them out; they have scores all the same, the lowest."""
    measure = Measures(results, DATA_SETS, 0).of("map_voc2007")
    path = pictures_wanted.feature_classifiers(WANTED, TABLES).path(results, "voc2007")
    images = ExampleImages(shard_paths("val"))
    whole = Listed(measure, read_scores(path), "VOC-2007")
    name = whole.classes()[0]["class"]
    before = whole.first_and_last(name, images, 3)
    unread = {before[group][0]["id"] for group in GROUPS}
    after = Listed(measure, read_scores(path), "VOC-2007", frozenset(unread))
    found = after.first_and_last(name, images, 3)
    for group in GROUPS:
        assert not unread & {image["id"] for image in found[group]}
    firsts = whole.first_and_last(name, images, 99)
    for group in ("first_right", "first_wrong"):
        kept = [image for image in firsts[group] if image["id"] not in unread]
        assert found[group] == kept[:3]
        assert len(kept) < len(firsts[group])


# Recall


def test_recalls_equal_a_crosstab(content, results):
    frame, scores, labels = scores_of(results, "caltech101")
    true = labels.loc[frame["id"]].idxmax(axis=1).to_numpy()
    first = scores.idxmax(axis=1).to_numpy()
    right = pd.Series(true == first).groupby([true, frame["split"].to_numpy()]).mean().unstack()
    found = content["recalled"]
    assert {c["class"] for c in found["classes"]} == set(labels)
    for each in found["classes"]:
        own = 100 * right.loc[each["class"]]
        np.testing.assert_allclose(np.array(each["per_split"], float), own)
        assert each["recall"] == pytest.approx(own.mean())
        assert each["tests"] == (true == each["class"]).sum()
    assert right.isna().to_numpy().any(), "one class is not in both splits"
    order = [c["recall"] for c in found["classes"]]
    assert order == sorted(order, reverse=True)
    of_splits = 100 * right.mean()
    assert (found["mean"], found["sd"]) == pytest.approx((of_splits.mean(), of_splits.std()))
    assert (found["splits"], found["images"]) == (2, 24)


# What a run lacks


@pytest.mark.parametrize(
    ("lacking", "kept"),
    [
        ("voc2007", "recalled"),
        ("caltech101", "ranked"),
    ],
)
def test_what_is_of_a_data_set_that_the_run_lacks_is_left_out(lacking, kept, examined):
    sets = {name: own for name, own in DATA_SETS.items() if name != lacking}
    found = examined(data_sets=sets)
    assert [key for key in ("ranked", "recalled") if found[key]] == [kept]
    absent = {"voc2007": DATA_SETS["voc2007"] | {"test": "absent"}}
    assert examined(data_sets=absent)["ranked"] is None


def test_without_any_of_them_the_page_has_no_such_section(examined, made, tmp_path):
    examined(data_sets={})
    page = Page(page_of(made, tmp_path))
    assert "Features for other data sets" not in page.text
    assert "#features" not in page.links()


def test_recalls_are_shown_only_if_wanted(results, shard_paths, made, tmp_path):
    features = {key: WANTED["features"][key] for key in ("row", "data_set", "images")}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(WANTED | {"features": features}))
    words = ["--pictures", str(tmp_path / "few.yaml"), *OF_TABLES, "--results", str(results)]
    words += ["--shards", *shard_paths("val"), "--data-sets", json.dumps(DATA_SETS)]
    examine_features.main([*words, "--output", str(tmp_path)])
    assert read(tmp_path / "features.json")["recalled"] is None
    text = Page(page_of(made, tmp_path)).text
    assert "Average precision in percent by class" in text
    assert "Recall in percent by class" not in text


def test_persons_are_refused(examined, monkeypatch, results):
    own = read_examples(results / "examples/voc2007.parquet")
    own = replace(own, boxes=np.ones((len(own.ids), 4)))
    monkeypatch.setattr(
        "workflow_scripts.vgg.results.feature_measures.read_examples", lambda path: own
    )
    with pytest.raises(InputError, match="features: VOC-2007 has persons, not images; name"):
        examined()


def test_the_command_needs_a_wish(results, tmp_path):
    bare = {key: own for key, own in WANTED.items() if key != "features"}
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    words = ["--pictures", str(tmp_path / "bare.yaml"), *OF_TABLES, "--results", str(results)]
    with pytest.raises(InputError, match=r"bare\.yaml: wants no features; add them"):
        examine_features.main([*words, "--output", str(tmp_path)])


# The drawing


def part(svg, name):
    (found,) = [e for e in ElementTree.fromstring(svg).iter() if e.get("id") == name]
    return found


def line(svg, name):
    """The pixels of a line, float [vertices, 2]."""
    (path,) = [e.get("d") for e in part(svg, name) if e.tag.endswith("path")]
    return np.array(re.findall(r"-?\d+(?:\.\d+)?", path), float).reshape(-1, 2)


def marks(svg, name):
    """The pixels of markers, float [markers, 2]."""
    own = [e for e in part(svg, name).iter() if e.tag.endswith("use")]
    return np.array([(float(e.get("x")), float(e.get("y"))) for e in own])


def test_curves_and_their_eleven_points_are_drawn_to_scale(content, made):
    svg, classes = read_svg(made("features.svg")), content["ranked"]["classes"]
    values, pixels = [], []
    for number, each in enumerate(classes):
        values += zip(each["recall"], each["precision"], strict=True)
        pixels += line(svg, f"curve-{number}").tolist()
        values += zip(range(0, 101, 10), each["interpolated"], strict=True)
        pixels += marks(svg, f"eleven-{each['role']}").tolist()
    values, pixels = np.array(values), np.array(pixels)
    for axis in (0, 1):
        fit = np.polyfit(values[:, axis], pixels[:, axis], 1)
        np.testing.assert_allclose(np.polyval(fit, values[:, axis]), pixels[:, axis], atol=0.05)
        assert (fit[0] > 0) == (axis == 0)


def twenty(definition="eleven-point"):
    """Curves of twenty classes that all end nearly alike."""
    draw = np.random.default_rng(4)
    labels = draw.choice([1, -1], (20, 300), p=[0.2, 0.8]).astype(np.int8)
    classes = [
        {
            "class": f"class & {number}",
            "role": {0: "best", 10: "median", 19: "worst"}.get(number),
            "average_precision": 95.0 - number,
            **curve(ranked(draw.normal(size=300), own), definition == "eleven-point"),
        }
        for number, own in enumerate(labels)
    ]
    return {"title": "VOC-2007", "images": 300, "mean": 85.5, "classes": classes}


def test_three_classes_of_many_have_names_and_the_others_are_faint():
    svg = figures.precision_against_recall(twenty())
    root = ElementTree.fromstring(svg)
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    named = ["class & 0 95.0", "class & 10 85.0", "class & 19 76.0"]
    assert [text for text in texts if text and text.startswith("class")] == named
    assert {"best", "median", "worst", "others"} <= set(texts)
    heights = [float(e.get("y")) for e in root.iter() if e.tag.endswith("text") and e.text in named]
    assert np.abs(np.subtract.outer(heights, heights))[~np.eye(3, dtype=bool)].min() > 9
    looks = set()
    for number in range(20):
        (path,) = [e for e in part(svg, f"curve-{number}") if e.tag.endswith("path")]
        if number not in (0, 10, 19):
            assert "opacity: 0.25" in path.get("style")
        else:
            dashes = re.search(r"stroke-dasharray: ([^;]*)", path.get("style"))
            looks.add(dashes and dashes[1])
    assert len(looks) == 3, "not by colour alone"
    assert figures.precision_against_recall(twenty()) == svg


def test_the_drawing_says_in_words_what_it_shows(content):
    ranked_classes = content["ranked"]
    words = ElementTree.fromstring(figures.precision_against_recall(ranked_classes))
    title, description = (e.text for e in list(words)[:2])
    assert title == "Precision against recall on VOC-2007"
    assert description.startswith(
        f"Curves of 3 classes, of 22 test images; the mean average precision is "
        f"{ranked_classes['mean']:.1f}%. Best, {ranked_classes['classes'][0]['class']}: average "
    )
    for each in ranked_classes["classes"]:
        assert ", ".join(f"{p:.1f}" for p in each["interpolated"]) in description
    of_area = figures.precision_against_recall(twenty("area"))
    assert "greatest precisions" not in of_area
    assert "eleven-" not in of_area


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([50, 10, 90], [50, 10, 90]),
        ([0, 0, 0], [5, 15, 25]),
        ([100, 100], [85, 95]),
        ([30, 28], [38, 28]),
        ([], []),
    ],
)
def test_names_stand_apart(heights, expected):
    assert figures._spread(heights, apart=10, end=100) == expected


# The page


@pytest.fixture(scope="module")
def html(made, tmp_path_factory):
    words = ["--pages", "index", "table11", "--curves", str(made("features.svg"))]
    return page_of(made, tmp_path_factory.mktemp("page"), *words)


def test_the_page_has_the_drawing_and_all_numbers(content, html):
    page = Page(html)
    text = " ".join(page.text.split())
    own, found = content["ranked"], content["recalled"]
    (figure,) = re.findall(r'<figure class="curves">(<svg[^>]*>)', html)
    assert 'aria-label="Precision against recall on VOC-2007"' in figure
    for each in own["classes"]:
        assert [each["positives"], each["average_precision"]] in page.rows
    for each in found["classes"]:
        assert [each["tests"], each["recall"]] in page.rows
    assert {own["mean"], own["images"], found["mean"], found["sd"]} <= page.values
    for shown in own["shown"]:
        role = f"{shown['class']} {shown['role']}, average precision"
        assert text.count(role) == 1
        for image in (i for group in GROUPS for i in shown[group]):
            assert {image["score"], image["rank"]} <= page.values
            assert ("img", "alt", image["alt"]) in page.attributes
            assert image["id"] in text
    assert {"#features", "table11.html"} <= set(page.links())
    assert "marked on the named curves" in text
    assert "the mean over 2 random splits" in text


def bars(html):
    """The lengths of all bars, and the lines across each."""
    return [
        (float(length), [float(x) for x in re.findall(r'class="split" d="M([\d.]+) ', rest)])
        for length, rest in re.findall(r'class="length" d="M0 4H([\d.]+)"/>(.*?)</svg>', html)
    ]


def test_bars_are_as_long_as_their_numbers(content, html):
    expected = [(c["average_precision"], []) for c in content["ranked"]["classes"]]
    expected += [
        (c["recall"], [value for value in c["per_split"] if value is not None])
        for c in content["recalled"]["classes"]
    ]
    found = bars(html)
    assert len(found) == len(expected)
    for (length, lines), (value, splits) in zip(found, expected, strict=True):
        assert length == pytest.approx(value, abs=0.006)
        assert lines == pytest.approx(splits, abs=0.006)


def test_many_classes_are_cut_to_the_best_and_the_worst(content, made, tmp_path):
    classes = [
        {"class": f"class{k:03d}", "recall": 99.0 - k / 2, "per_split": [0.0], "tests": 9}
        for k in range(102)
    ]
    recalled = content["recalled"] | {"classes": classes, "sd": None, "splits": 1}
    write_json(tmp_path / "features.json", content | {"recalled": recalled})
    html = page_of(made, tmp_path)
    page = Page(html)
    shown = re.findall(r"class\d{3}", page.text)
    assert shown == [c["class"] for c in classes[:10] + classes[-10:]]
    text = " ".join(page.text.split())
    assert "the 10 with the highest recall and the 10 with the lowest" in text
    assert "standard deviation over splits" not in text
    assert not [lines for _, lines in bars(html) if lines]


def test_the_page_says_which_average_precision_it_is(content, made, tmp_path):
    own = content["ranked"] | {"definition": "area"}
    write_json(tmp_path / "features.json", content | {"ranked": own})
    text = " ".join(Page(page_of(made, tmp_path)).text.split())
    assert "Average precision is the area under the greatest precision at a recall" in text
    assert "eleven" not in text


def test_names_of_classes_are_shown_as_text(content, made, tmp_path):
    hostile = "<b>&\"'"
    own = content["ranked"] | {"title": hostile}
    own["shown"] = [own["shown"][0] | {"class": hostile}, *own["shown"][1:]]
    own["shown"][0]["first_right"][0]["classes"] = [hostile]
    write_json(tmp_path / "features.json", content | {"ranked": own})
    page = Page(page_of(made, tmp_path))
    assert page.text.count(hostile) == 3
    assert not page.tags["b"]


def test_the_same_inputs_give_the_same_bytes(made, results, shard_paths, tmp_path):
    words = [*FILES, *OF_TABLES, "--results", str(results), "--shards", *shard_paths("val")]
    words += ["--data-sets", json.dumps(DATA_SETS), "--output", str(tmp_path)]
    examine_features.main(words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.json", "features.svg"]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == made(path.name).read_bytes()
