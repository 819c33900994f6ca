"""Boxes of windows, merged and true, against a merging by hand and one that is a plain loop."""

import itertools
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers.boxed_run import (
    CORNER,
    LOW_SCORE,
    SCORE,
    THRESHOLD,
    TRUE,
    boxes_paths,
    guesses_path,
    truth_path,
    words_of,
)
from tests.helpers.pages import Page
from tests.helpers.pictured_run import FILES, OF_TABLES, WANTED, page_of, read
from workflow_scripts import examine_boxes, guess_one_box, localise
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import read_class_names
from workflow_scripts.vgg.localisation.box_files import read_boxes, write_boxes
from workflow_scripts.vgg.localisation.guesses import Clipping, Guesses
from workflow_scripts.vgg.localisation.merging import Merging
from workflow_scripts.vgg.localisation.outcomes import Scored
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.localisation.true_boxes import TrueBoxes
from workflow_scripts.vgg.report import box_views, pictures_page

KINDS = ("window-box", "member-box", "merged-box", "best-box", "true-box")


@pytest.fixture(scope="module")
def content(made):
    return read(made("boxes.json"))


@pytest.fixture
def examined(results, shard_paths, tmp_path):
    """`examined(*words)` is what the command writes of the run, with further options."""

    def run(*words, **section):
        wanted = tmp_path / "pictures.yaml"
        wanted.write_text(yaml.safe_dump(WANTED | {"boxes": WANTED["boxes"] | section}))
        own = ["--results", str(results), "--shards", *shard_paths("val"), *OF_TABLES]
        own += ["--pictures", str(wanted), *words_of(results), *words]
        examine_boxes.main([*own, "--output", str(tmp_path / "boxes.json")])
        return read(tmp_path / "boxes.json")

    return run


# Apart from the library


def overlap(one, other):
    """Intersection over union of boxes given by their first and last pixels."""
    sides = [min(one[k + 2], other[k + 2]) - max(one[k], other[k]) + 1 for k in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (one, other)]
    return common / (sum(areas) - common)


def distance(one, other):
    """The distance of the centres, over the root of the mean area, and 1 − overlap."""
    sides = [min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    apart = math.hypot(*(one[k] + one[k + 2] - other[k] - other[k + 2] for k in (0, 1))) / 2
    return apart / math.sqrt(sum(areas) / 2) + 1 - common / (sum(areas) - common)


def merged_by_hand(boxes):
    """Sets of the boxes' numbers, after merging the closest two until none are close."""

    def mean(group):
        return np.mean([boxes[k] for k in group], axis=0)

    groups = [{k} for k in range(len(boxes))]
    while len(groups) > 1:
        pairs = itertools.combinations(groups, 2)
        near, one, other = min(
            ((distance(mean(a), mean(b)), a, b) for a, b in pairs), key=lambda found: found[0]
        )
        if near > THRESHOLD:
            break
        groups = [g for g in groups if g not in (one, other)] + [one | other]
    return groups


@pytest.fixture(scope="module")
def by_hand(results):
    """Of each image that is scored: what pandas reads of guesses, boxes and true boxes."""
    guesses = pd.read_parquet(guesses_path(results)).set_index("id")
    truth = pd.read_parquet(truth_path(results)).set_index("id")
    files = [pd.read_parquet(path).set_index("id") for path in boxes_paths(results)]
    found = {}
    for name, row in guesses.iterrows():
        if truth.blacklisted[name]:
            continue
        w, h = row.width, row.height
        true = [
            (b["xmin"] * w, b["ymin"] * h, b["xmax"] * w - 1, b["ymax"] * h - 1)
            for b in truth.boxes[name]
        ]
        overlaps = [max(overlap(box, b) for b in true) for box in row.boxes]
        place = [*row.guesses].index(row.label) if row.label in row.guesses else None
        shown = place or 0
        found[name] = SimpleNamespace(
            label=row.label,
            width=w,
            height=h,
            true=true,
            classes=[*row.guesses],
            ratings=[*row.ratings],
            overlaps=overlaps,
            shown=shown,
            guessed=place is not None,
            right=place is not None and overlaps[place] >= 0.5,
            whole=max(overlap((0, 0, w - 1, h - 1), b) for b in true) >= 0.5,
            windows=np.concatenate(
                [f.boxes[name].reshape(5, -1, 4)[shown].astype(float) for f in files]
            ),
            scores=np.concatenate([f.scores[name].reshape(5, -1)[shown] for f in files]),
        )
    return found


def chosen(by_hand, right, key, count):
    """The first images of an order, no two of one class."""
    names = sorted((name for name, own in by_hand.items() if own.right == right), key=key)
    first = {}
    for name in names:
        first.setdefault(by_hand[name].label, name)
    return [*first.values()][:count]


# The file


def test_an_image_made_by_hand_comes_first_and_is_as_it_was_made(content):
    image = content["right"][0]
    assert image["box"] == image["true_boxes"][0] == list(TRUE)
    assert len(image["windows"]) == 12
    assert image["in_best"] == sum(window["in_best"] for window in image["windows"]) == 8
    found = sorted(tuple(merged["box"]) for merged in image["merged"])
    assert found == sorted([CORNER, TRUE])
    assert [m["box"] for m in image["merged"] if m["best"]] == [list(TRUE)]
    shown = image["guesses"][image["shown"]]
    assert (shown["true"], shown["rating"], shown["overlap"]) == (True, 8 * SCORE, 1.0)
    assert shown["rating"] > 4 * LOW_SCORE, "the corner has four windows, but low posteriors"
    name = image["class"]
    assert (
        image["outcome"]
        == f"the box of {name} has an IoU of 1.000 with a true one, at least a half."
    )
    assert image["windows_alt"] == (
        f"Validation image {image['id']}, class {name}, under the 1 true box and the boxes of 12 "
        f"windows for {name}, 8 of them merged into the best."
    )
    assert image["merged_alt"] == (
        f"The same of validation image {image['id']}, class {name}: 12 boxes merged into 2. The "
        "best has a rating of 6.00 and an IoU of 1.000 with the nearest true box. Right: "
        + image["outcome"]
    )


def test_boxes_are_merged_as_by_a_plain_loop(examined, by_hand):
    content = examined(right=10, wrong=10)
    for image in content["right"] + content["wrong"]:
        own = by_hand[image["id"]]
        np.testing.assert_allclose([w["box"] for w in image["windows"]], own.windows)
        groups = merged_by_hand(own.windows)
        best = max(groups, key=lambda group: sum(own.scores[[*group]]))
        assert {k for k, w in enumerate(image["windows"]) if w["in_best"]} == best
        means = [own.windows[[*group]].mean(0) for group in groups]
        found = np.array([m["box"] for m in image["merged"]])
        np.testing.assert_allclose(
            found[np.lexsort(found.T)], np.array(means)[np.lexsort(np.array(means).T)]
        )
        (shown,) = (m["box"] for m in image["merged"] if m["best"])
        np.testing.assert_allclose(shown, own.windows[[*best]].mean(0))
        edges = np.clip(np.rint(shown), 0, [own.width, own.height] * 2)
        assert image["box"] == edges.tolist()
        assert image["in_best"] == len(best)
        ratings = sorted(sum(own.scores[[*group]]) for group in groups)
        np.testing.assert_allclose(sorted(m["rating"] for m in image["merged"]), ratings, rtol=1e-6)
        rating = image["guesses"][image["shown"]]["rating"]
        assert rating == pytest.approx(sum(own.scores[[*best]]), rel=1e-6)
    assert {len(image["merged"]) for image in content["right"]} != {1}


def test_guesses_have_their_class_rating_and_overlap(examined, by_hand, classes):
    content, words = examined(right=10, wrong=10), classes.set_index("label")["words"]
    for group in ("right", "wrong"):
        for image in content[group]:
            own = by_hand[image["id"]]
            found = image["guesses"]
            assert image["right"] == own.right == (group == "right")
            assert image["shown"] == own.shown
            assert [g["rank"] for g in found] == [1, 2, 3, 4, 5]
            assert [g["class"] for g in found] == words[own.classes].tolist()
            assert [g["true"] for g in found] == [k == own.label for k in own.classes]
            np.testing.assert_allclose([g["rating"] for g in found], own.ratings)
            np.testing.assert_allclose([g["overlap"] for g in found], own.overlaps)
            edges = np.add(own.true, (0, 0, 1, 1))
            np.testing.assert_allclose(image["true_boxes"], edges)
    assert max(len(image["true_boxes"]) for image in content["right"] + content["wrong"]) == 2


def test_the_most_telling_images_are_chosen(examined, by_hand, content):
    def right(name):
        own = by_hand[name]
        return own.whole, -own.ratings[own.shown] * own.overlaps[own.shown]

    def wrong(name):
        own = by_hand[name]
        return not own.guessed, -own.ratings[own.shown]

    for found, count in ((content, 2), (examined(right=10, wrong=10), 10)):
        for group, key in (("right", right), ("wrong", wrong)):
            expected = chosen(by_hand, group == "right", key, count)
            assert [image["id"] for image in found[group]] == expected
            assert len(expected) >= 2
        assert found["scored"] == len(by_hand) == 23, "one is on the blacklist"
        assert found["scored_right"] == sum(own.right for own in by_hand.values())
    assert {own.whole for own in by_hand.values() if own.right} == {True, False}
    assert {own.guessed for own in by_hand.values() if not own.right} == {True, False}


def test_telling_images_are_sure_and_beyond_the_whole_image():
    """Squares of 100 pixels, with two guesses; true boxes are 40 pixels wide, or everything."""
    small, all_of_it, half = (0, 0, 39, 39), (0, 0, 99, 99), (0, 0, 39, 23)
    images = [  # label, true box, guesses of (class, box, rating)
        (0, all_of_it, [(0, all_of_it, 9.0), (9, small, 0.0)]),
        (1, small, [(1, half, 5.0), (9, small, 0.0)]),
        (2, small, [(2, small, 4.0), (9, small, 0.0)]),
        (1, small, [(1, small, 2.9), (9, small, 0.0)]),
        (3, small, [(8, small, 9.0), (9, small, 9.0)]),
        (4, small, [(4, all_of_it, 1.0), (9, small, 0.0)]),
        (5, small, [(9, small, 8.0), (5, all_of_it, 2.0)]),
    ]
    labels, true, guesses = zip(*images, strict=True)
    classes, boxes, ratings = (np.array([[g[k] for g in own] for own in guesses]) for k in range(3))
    labels, sizes = np.array(labels), np.full((len(labels), 2), 100)
    edges = np.add(true, (0, 0, 1, 1)) / 100
    starts = np.arange(len(labels) + 1)
    scored = Scored(
        Guesses([*"abcdefg"], labels, sizes, classes, boxes, ratings),
        TrueBoxes(starts, edges, np.zeros(len(labels), bool)),
        np.array([False] * 4 + [True] * 3),
    )
    own = box_views.Localised("", scored, Scoring(), Merging(0.5), Clipping())
    np.testing.assert_allclose(own.overlaps[:, 0], [1, 0.6, 1, 1, 1, 0.16, 1])
    assert own.telling(5, 5) == {"right": [2, 1, 0], "wrong": [6, 5, 4]}
    assert own.telling(1, 2) == {"right": [2], "wrong": [6, 5]}


@pytest.fixture
def localised(results):
    return box_views.read_localised(str(guesses_path(results)), truth_path(results), Scoring())


def test_an_image_whose_class_is_not_guessed_shows_the_first_guess(localised, results, by_hand):
    ids, classes = localised.scored.guesses.ids, read_class_names(results / "classes.parquet")
    place = next(k for k, name in enumerate(ids) if not by_hand[name].guessed)
    label = by_hand[ids[place]].label
    image = {"id": ids[place], "label": label, "class": classes[label].name}
    boxed = box_views.find_boxes(boxes_paths(results), {ids[place]})[ids[place]]
    entry = box_views.box_entry(localised, place, image, boxed, classes)
    assert (entry["shown"], entry["right"]) == (0, False)
    assert entry["outcome"] == f"{image['class']} is none of the 5 guesses."
    assert entry["guesses"][0]["class"] in entry["windows_alt"]
    assert not any(g["true"] for g in entry["guesses"])


def test_a_box_is_right_by_the_runs_own_bound(localised):
    image = {"id": "x", "class": "a", "right": False, "windows": [0], "merged": [0], "in_best": 1}
    guess = {"class": "a", "true": True, "rating": 0.25, "overlap": 0.5}
    image |= {"guesses": [guess], "shown": 0, "true_boxes": [0, 0]}
    said = box_views.described(image, Scoring(overlap_bound="more-than-half"))
    assert (
        said["outcome"]
        == "the box of a has an IoU of 0.500 with the nearest true one, not more than a half."
    )
    assert "the 2 true boxes and the boxes of 1 window for a, 1 of them" in said["windows_alt"]
    assert ": 1 box merged into 1. The best has a rating of 0.25" in said["merged_alt"]
    assert said["merged_alt"].endswith("Wrong: " + said["outcome"])
    said = box_views.described(image | {"right": True}, Scoring())
    assert said["outcome"].endswith("an IoU of 0.500 with a true one, at least a half.")


def test_the_rules_are_those_that_the_guesses_record(results, examined, tmp_path):
    others = ["--merge-distance", "literal", "--merge-mean", "plain"]
    others += ["--box-rating", "mean", "--box-clipping", "as-predicted"]
    path = tmp_path / "others.parquet"
    words = ["--boxes", *boxes_paths(results), "--merge-threshold", "0.3", *others]
    localise.main([*words, "--output", str(path)])
    found = examined("--guesses", str(path), "--overlap-bound", "more-than-half")
    assert found["rules"] == {
        "merge_threshold": 0.3,
        "merge_distance": "literal",
        "merge_mean": "plain",
        "box_rating": "mean",
        "box_clipping": "as-predicted",
        "overlap_bound": "more-than-half",
        "overlap_pixels": "inclusive",
        "blacklisted": "left-out",
    }
    for image in found["right"] + found["wrong"]:
        (best,) = (m["box"] for m in image["merged"] if m["best"])
        assert image["box"] == np.rint(best).tolist(), "not clipped"
    assert found["right"]
    assert found["wrong"]


def test_nothing_is_shown_where_no_image_is_wanted(examined, made, tmp_path):
    content = examined(right=0, wrong=0)
    assert content["right"] == content["wrong"] == []
    assert not rectangles(page_of(made, tmp_path))


# What goes wrong


def test_boxes_that_are_not_those_of_the_guesses_are_refused(results, examined, tmp_path):
    moved = []
    for number, path in enumerate(boxes_paths(results)):
        images = [
            replace(image, predicted=replace(image.predicted, boxes=image.predicted.boxes + 9))
            for image in read_boxes(path)
        ]
        moved.append(str(tmp_path / f"moved{number}.parquet"))
        write_boxes(moved[-1], images, {})
    with pytest.raises(
        InputError, match=r"fusion\.parquet: its guesses for ILSVRC\S+ are not made"
    ):
        examined("--boxes", *moved)
    with pytest.raises(InputError, match=r"are not made of the boxes that there are now; delete"):
        examined("--boxes", *boxes_paths(results)[1:])


def test_boxes_of_fewer_images_are_refused(content, results, examined, tmp_path):
    lacking = content["right"][0]["id"]
    paths = []
    for number, path in enumerate(boxes_paths(results)):
        paths.append(str(tmp_path / f"{number}.parquet"))
        write_boxes(paths[-1], [i for i in read_boxes(path) if i.id != lacking], {})
    with pytest.raises(InputError, match=rf"0\.parquet: has no boxes of {lacking}, which guesses"):
        examined("--boxes", *paths)


def test_guesses_of_one_box_are_refused(shard_paths, examined, tmp_path):
    path = str(tmp_path / "central.parquet")
    guess_one_box.main(["--shards", *shard_paths("val"), "--output", path])
    with pytest.raises(InputError, match=r"central\.parquet: does not say its merge_threshold"):
        examined("--guesses", path)


def test_guesses_are_needed_unless_there_is_a_reason(results, shard_paths, tmp_path, capsys):
    words = [*FILES, *OF_TABLES, "--results", str(results), "--shards", *shard_paths("val")]
    words += ["--output", str(tmp_path / "boxes.json")]
    with pytest.raises(InputError, match=r"has all models of table9/fusion: give --guesses"):
        examine_boxes.main(words)
    with pytest.raises(SystemExit):
        examine_boxes.main([*words, "--guesses", str(guesses_path(results))])
    assert "--guesses, --boxes and --truth go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--models", "D_S384_pcr"], "Left out: this run has no D_S256_pcr."),
        (["--models", "A_S256", "--no-true-boxes"], "this run has no true boxes of the training"),
    ],
)
def test_a_run_that_does_not_localise_says_why(words, reason, made, results, shard_paths, tmp_path):
    own = [*FILES, *OF_TABLES, "--results", str(results), "--shards", *shard_paths("val")]
    examine_boxes.main([*own, *words, "--output", str(tmp_path / "boxes.json")])
    html = page_of(made, tmp_path)
    assert reason in " ".join(Page(html).text.split())
    assert not rectangles(html)
    assert "double: a true box" not in html


# The page


def rectangles(html):
    """The boxes on a page, [(CSS classes, (left, top, right, bottom))], as they are drawn."""
    found = []
    for tag in re.findall(r"<rect ([^>]*)/>", html):
        own = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kinds = own.get("class", "").split()
        if kinds and kinds[0] in KINDS:
            x, y, width, height = (float(own[key]) for key in ("x", "y", "width", "height"))
            found.append((kinds, (x, y, x + width, y + height)))
    return found


@pytest.fixture(scope="module")
def html(made, tmp_path_factory):
    return page_of(made, tmp_path_factory.mktemp("page"), "--pages", "index", "table9")


def test_every_box_is_drawn_once_in_the_line_of_its_kind(content, html):
    drawn = rectangles(html)
    upper = [(kinds[0], box) for kinds, box in drawn if "under" not in kinds]
    expected = []
    for image in content["right"] + content["wrong"]:
        limits = [image["width"], image["height"]] * 2
        for kind, boxes in {
            "window-box": [w["box"] for w in image["windows"] if not w["in_best"]],
            "member-box": [w["box"] for w in image["windows"] if w["in_best"]],
            "merged-box": [m["box"] for m in image["merged"] if not m["best"]],
            "best-box": [image["box"]],
            "true-box": image["true_boxes"] * 2,  # in both pictures
        }.items():
            expected += [(kind, np.clip(box, 0, limits)) for box in boxes]
    assert len(upper) == len(expected)
    for kind in KINDS:
        own = sorted(box for found, box in upper if found == kind)
        wanted = sorted(tuple(np.round(box, 1)) for found, box in expected if found == kind)
        np.testing.assert_allclose(own, wanted, atol=0.11)
    under = [(kinds[0], box) for kinds, box in drawn if "under" in kinds]
    assert under == [pair for pair in upper if pair[0] in ("best-box", "true-box")]


def test_kinds_of_boxes_differ_by_more_than_colour(html):
    """Dotted, thin, dashed, thick and double: no two have one width and one pattern."""
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    looks = set()
    for kind in KINDS:
        rules = re.findall(rf"\.{kind}(?:\.upper)? {{([^}}]*)}}", style)
        own = dict(re.findall(r"(stroke-(?:width|dasharray)): ([^;]+)", " ".join(rules)))
        width = own.get("stroke-width", "1.4")
        looks.add((width, own.get("stroke-dasharray"), kind == "true-box"))
    assert len(looks) == len(KINDS)
    text = " ".join(Page(html).text.split())
    for word in ("dotted: a window’s", "thin: a", "dashed: a", "thick: the best", "double: a true"):
        assert text.count(word) == 1


def test_the_page_says_all_numbers(content, html):
    page = Page(html)
    text = " ".join(page.text.split())
    texts = {value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")}
    for image in content["right"] + content["wrong"]:
        assert {image["windows_alt"], image["merged_alt"]} <= texts
        for guess in image["guesses"]:
            assert [guess["rating"], guess["overlap"]] in page.rows
        assert image["outcome"] in text
        assert f"Guesses for {image['id']}, class {image['class']}" in text
        many = len(image["windows"]), image["in_best"], len(image["merged"])
        assert f"{many[0]} windows, {many[1]} in the best" in text
        assert f"Merged into {many[2]}, the best rated" in text
    assert text.count("✓, the true class, shown") == sum(
        image["guesses"][image["shown"]]["true"] for image in content["right"] + content["wrong"]
    )
    assert {content["scored"], content["scored_right"], THRESHOLD} <= page.values
    assert "D_S256_pcr at Q = 256 and D_S384_pcr at Q = 352, 384 gives a box" in text
    assert "at least a half with a true box" in text
    assert "table9.html" in page.links()


def test_the_page_follows_the_rules_of_the_run(content, made, tmp_path):
    rules = content["rules"] | {"box_rating": "max", "overlap_bound": "more-than-half"}
    write_json(tmp_path / "boxes.json", content | {"rules": rules})
    text = " ".join(Page(page_of(made, tmp_path)).text.split())
    assert "the highest rating, the highest of the posteriors" in text
    assert "of more than a half with a true box" in text


def test_merged_boxes_are_fainter_the_lower_they_are_rated(content, html):
    drawn = [
        float(opacity)
        for opacity in re.findall(r'class="merged-box"[^>]* stroke-opacity="([\d.]+)"', html)
    ]
    expected = [
        max(merged["rating"] / image["guesses"][image["shown"]]["rating"], 0.35)
        for image in content["right"] + content["wrong"]
        for merged in image["merged"]
        if not merged["best"]
    ]
    np.testing.assert_allclose(drawn, expected, atol=0.006)
    assert pictures_page.faint(0.0, 0.0) == 1.0


def test_boxes_end_where_the_image_does():
    size = {"width": 100, "height": 60}
    assert pictures_page.outline([-5, 3, 120, 70.25], size) == (
        'x="0.0" y="3.0" width="100.0" height="57.0"'
    )
    assert pictures_page.outline([101, 3, 120, 7], size) == (
        'x="100.0" y="3.0" width="0.0" height="4.0"'
    )
