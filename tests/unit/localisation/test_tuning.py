"""The threshold of merging, tuned on a few boxes whose best thresholds are worked by hand."""

import csv
import math

import numpy as np
import pytest

from tests.helpers.runs import run_of
from workflow_scripts import tune_threshold
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.truth import Truth, write_truth
from workflow_scripts.vgg.localisation.box_files import BoxedImage, Predicted, write_boxes
from workflow_scripts.vgg.localisation.guesses import Clipping, guess
from workflow_scripts.vgg.localisation.merging import (
    BOX_RATINGS,
    MERGE_DISTANCES,
    MERGE_MEANS,
    Merging,
    merged,
    merged_at,
)
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.localisation.tuning import best_boxes, best_of, grid, wrong_at
from workflow_scripts.vgg.results.tuned_threshold import tuned_as_text
from workflow_scripts.vgg.settings import choice_rules

SIDE = 100
MERGING, CLIPPING, SCORING = Merging(0), Clipping(), Scoring()

# Two predictions 20 apart, each 40 wide and high. Their intersection is 20 × 40 = 800 pixels, their
# union 2,400, so 1 − IoU is 2/3; the centres are 20 apart and the side of a mean square is 40, so
# the default distance is 1/2 + 2/3 = 1 1/6. Literally it is 20 / 100 + 800 / 10,000 = 0.28.
PAIR = [[20, 30, 60, 70], [40, 30, 80, 70]]
APART = {"centres-and-overlap": 7 / 6, "overlap-only": 2 / 3, "literal": 0.28}
MIDDLE = [30, 30, 70, 70]  # the mean of both


def boxed(name, boxes, scores, label=0):
    """An image whose predicted boxes of its own class are in one row of places."""
    corners = np.array(boxes, np.float32)[None, None]
    rated = np.array(scores, np.float32)[None, None]
    return BoxedImage(name, label, SIDE, SIDE, Predicted(np.array([label]), corners, rated))


def write(folder, images, true, model="D_S256_pcr"):
    """Files of predicted and of true boxes; `true`: one box an image, in pixels' edges."""
    path = folder / f"boxes/train/{model}/dense_Q256.parquet"
    write_boxes(path, images, {"model": model, "method": "dense", "Q": 256})
    sides = np.full(len(images), SIDE)
    starts, ids = np.arange(len(images) + 1), [image.id for image in images]
    boxes = np.array(true) / SIDE
    truth = Truth(ids, starts, boxes, sides, sides, np.zeros(len(ids), bool))
    write_truth(folder / "truth.parquet", truth, {})
    return path


@pytest.fixture
def by_hand(tmp_path):
    """Images that are right if boxes are merged (3), and if they are not (1)."""
    images = [
        *(boxed(f"merged{i}", PAIR, [0.4, 0.6]) for i in range(3)),
        boxed("single", [[20, 30, 60, 70], [50, 30, 70, 70]], [0.4, 0.6]),
    ]
    # The pair's true box has 20 × 40 of MIDDLE's 40 × 40 pixels, a half exactly, and of the better
    # rated of the two alone 10 × 40 of 50 × 40. The last image's is the better rated one itself;
    # merged it is (35, 30) to (65, 70), with 15 × 40 of 35 × 40 pixels in common.
    true = [[30, 30, 50, 70]] * 3 + [[50, 30, 70, 70]]
    return tmp_path, write(tmp_path, images, true)


def test_errors_of_each_threshold_are_those_worked_by_hand(by_hand):
    folder, path = by_hand
    # Of the last image: 10 × 40 of 50 × 40 is the overlap, 4/5 away; centres 20 apart, mean area
    # (1,600 + 800) / 2 = 1,200, so 0.8 + 20 / √1200 = 1.377; literally 0.2 + 0.04 = 0.24.
    single = {"centres-and-overlap": 0.8 + 20 / math.sqrt(1200), "overlap-only": 0.8}
    single["literal"] = 0.24
    thresholds = {
        distance: sorted(
            near + sign * 0.001 for near in (APART[distance], single[distance]) for sign in (-1, 1)
        )
        for distance in MERGE_DISTANCES
    }
    found = wrong_at(
        [path], folder / "truth.parquet", thresholds, MERGING, CLIPPING, SCORING
    )  # fmt: skip
    for distance in MERGE_DISTANCES:
        for threshold, wrong in zip(thresholds[distance], found[distance], strict=True):
            pairs_merge = threshold > APART[distance]
            last_merges = threshold > single[distance]
            assert wrong.tolist() == [not pairs_merge] * 3 + [last_merges], (distance, threshold)


def test_the_command_finds_the_best_by_hand_and_says_what_to_set(by_hand, capsys):
    folder, path = by_hand
    words = ["--boxes", str(path), "--truth", str(folder / "truth.parquet")]
    words += ["--configured", "centres-and-overlap=0.6", "overlap-only=0.71"]
    tune_threshold.main([*words, "--output", str(folder / "threshold")])
    printed = capsys.readouterr().out
    with open(folder / "threshold.csv") as file:
        lines = list(csv.DictReader(file))
    content = read_json(folder / "threshold.json")["distances"]
    # No image is wrong from 7/6 up to 1.377, in steps of 0.05, and from 2/3 to just below 4/5, in
    # steps of 0.025: the middle of 1.2, 1.25, 1.3 and 1.35 is the lower of two, 1.25, and that of
    # 0.675 to 0.775 is 0.725. Literally the last image's boxes merge before the pairs do: one of
    # four is wrong from 0.28 on, and three before, so the middle of 0.2875 to 0.5 is taken.
    best = content["centres-and-overlap"]
    assert (best["best"], best["plateau"], best["at_end"]) == (1.25, [1.2, 1.35], False)
    overlap = content["overlap-only"]
    assert (overlap["best"], overlap["plateau"], overlap["at_end"]) == (
        0.725,
        [0.675, 0.775],
        False,
    )
    literal = content["literal"]
    assert literal["plateau"] == [0.2875, 0.5]
    assert (literal["best"], literal["at_end"], literal["configured"]) == (0.3875, True, None)
    smallest = {name: min(line["error"] for line in own["errors"]) for name, own in content.items()}
    assert smallest == {"centres-and-overlap": 0, "overlap-only": 0, "literal": 25}
    # The configured ones are tried besides the grid's, and are never the best themselves.
    assert len(lines) == 3 * 41 + 1
    configured = {line["distance"]: line for line in lines if line["configured"] == "True"}
    assert {name: float(line["threshold"]) for name, line in configured.items()} == {
        "centres-and-overlap": 0.6, "overlap-only": 0.71,
    }  # fmt: skip
    assert {name: float(line["error"]) for name, line in configured.items()} == {
        "centres-and-overlap": 75, "overlap-only": 0,
    }  # fmt: skip
    assert [line["threshold"] for line in lines if line["best"] == "True"] == [
        "1.25", "0.3875", "0.725",
    ]  # fmt: skip
    assert {line["images"] for line in lines} == {"4"}
    setting = "thresholds: {centres-and-overlap: 1.25, literal: 0.3875, overlap-only: 0.725}"
    assert f"\nlocalise:\n  {setting}\n" in printed
    assert "1.25 0.00 [0.00, 48.99] best" in printed
    assert "(end of the grid)" in tuned_as_text(read_json(folder / "threshold.json"))


def test_it_is_said_where_merging_nothing_is_best(tmp_path, capsys):
    # Of 100 pixels across, the true box has the last 69, and the better rated box the first 81: 50
    # in common are a half. Merged, the two have the first 80 only, and they are 1/81 apart.
    images = [boxed("one", [[0, 30, 80, 70], [0, 30, 81, 70]], [0.4, 0.6])]
    path = write(tmp_path, images, [[31, 30, 100, 70]])
    words = ["--boxes", str(path), "--truth", str(tmp_path / "truth.parquet")]
    tune_threshold.main([*words, "--output", str(tmp_path / "threshold")])
    content = read_json(tmp_path / "threshold.json")["distances"]
    assert [own["plateau"] for own in content.values()] == [[0, 0], [0, 0.3125], [0, 0]]
    lines = capsys.readouterr().out.splitlines()
    told = [line.split()[0] for line in lines if "(nothing is merged)" in line]
    assert told == ["centres-and-overlap", "overlap-only"]


def test_a_number_of_processes_changes_nothing(by_hand):
    folder, path = by_hand
    words = ["--boxes", str(path), "--truth", str(folder / "truth.parquet")]
    for threads in ("1", "2"):
        output = str(folder / threads)
        tune_threshold.main([*words, "--threads", threads, "--output", output])
    assert (folder / "1.csv").read_bytes() == (folder / "2.csv").read_bytes()


@pytest.mark.parametrize(
    ("errors", "best"),
    [
        ([3, 2, 1, 2, 3], (2, 2, 2)),
        ([3, 1, 1, 1, 3], (2, 1, 3)),
        ([3, 1, 1, 1, 1, 3], (2, 1, 4)),
        ([1, 3, 1, 1, 3], (2, 2, 3)),
        ([1, 1, 3, 1, 1], (0, 0, 1)),
        ([1, 1, 1], (1, 0, 2)),
        ([2, 2, 1], (2, 2, 2)),
    ],
)
def test_the_best_is_the_middle_of_the_longest_run(errors, best):
    assert best_of(errors) == best


def test_grids_begin_at_no_merging_and_end_where_all_that_may_merge_does():
    for distance in MERGE_DISTANCES:
        own = grid(distance)
        assert own[0] == 0
        assert own == sorted(set(own))
        assert len(own) == 41
    assert grid("overlap-only")[-1] == 1, "boxes that have nothing in common are 1 apart"
    assert (grid("centres-and-overlap")[-1], grid("literal")[-1]) == (2, 0.5)


@pytest.mark.parametrize("distance", MERGE_DISTANCES)
def test_thresholds_in_one_go_give_what_each_gives_alone(distance):
    generator = np.random.default_rng(3)
    thresholds = [0, 0.1, 0.1, 0.3, 0.5, 0.9, 1.5, math.inf]
    for n, mean, rating in [
        (1, "plain", "sum"),
        *zip([12] * 6, MERGE_MEANS * 3, BOX_RATINGS * 2, strict=True),
    ]:
        first = generator.integers(0, 60, (n, 2)).astype(float)
        boxes = np.concatenate([first, first + generator.integers(5, 40, (n, 2))], axis=1)
        scores = generator.random(n)
        merging = Merging(7, distance, mean, rating)
        found = list(merged_at(thresholds, boxes, scores, merging, SIDE))
        counts = [len(own.boxes) for own in found]
        assert counts == sorted(counts, reverse=True)
        for threshold, own in zip(thresholds, found, strict=True):
            alone = merged(boxes, scores, Merging(threshold, distance, mean, rating), SIDE)
            np.testing.assert_array_equal(own.boxes, alone.boxes)
            np.testing.assert_array_equal(own.ratings, alone.ratings)
            np.testing.assert_array_equal(own.members, alone.members)


def test_thresholds_that_do_not_ascend_are_refused():
    for thresholds, told in (([0.2, 0.1], "do not ascend"), ([-0.1, 0.1], "-0.1, not at least 0")):
        with pytest.raises(ValueError, match=told):
            next(merged_at(thresholds, np.array(PAIR, float), np.ones(2), MERGING, SIDE))


@pytest.mark.parametrize("clipping", ["clipped", "as-predicted"])
def test_boxes_of_a_threshold_are_those_that_are_guessed_by_it(clipping):
    generator = np.random.default_rng(4)
    first = generator.normal(20, 30, (2, 9, 2))
    boxes = np.concatenate([first, first + generator.uniform(20, 90, (2, 9, 2))], axis=2)
    images = [boxed("one", own, generator.random(9)) for own in boxes]
    thresholds = {distance: grid(distance)[::8] for distance in MERGE_DISTANCES}
    found = best_boxes(images, thresholds, MERGING, Clipping(clipping))
    for distance, own in thresholds.items():
        for threshold, box in zip(own, found[distance], strict=True):
            guessed, _ = guess(images, Merging(threshold, distance), Clipping(clipping))
            np.testing.assert_array_equal(box, guessed[0])


def test_boxes_that_cannot_be_tuned_with_are_refused(by_hand):
    folder, path = by_hand

    def refused(told, *files, truth=folder / "truth.parquet", threads=1):
        thresholds = {"overlap-only": [0.5]}
        with pytest.raises(InputError, match=told):
            wrong_at(files, truth, thresholds, MERGING, CLIPPING, SCORING, threads)

    other = boxed("merged0", PAIR, [0.5, 0.5])
    two = Predicted(
        np.array([0, 1]),
        *(np.repeat(a, 2, 0) for a in (other.predicted.boxes, other.predicted.scores)),
    )
    several = write(folder / "several", [BoxedImage("merged0", 0, SIDE, SIDE, two)], [MIDDLE])
    refused("merged0 has boxes of other classes than its own", several)
    larger = [
        BoxedImage(name, 0, SIDE * 2, SIDE, other.predicted)
        for name in ("merged0", "merged1", "merged2", "single")
    ]
    refused("are not about the same images", path, write(folder / "larger", larger, [MIDDLE] * 4))
    refused("lacks merged1", path, truth=folder / "several/truth.parquet")
    sides, ids = np.full(4, SIDE), ["merged0", "merged1", "merged2", "single"]
    unboxed = Truth(
        ids,
        np.array([0, 1, 1, 2, 3]),
        np.tile([0, 0, 0.5, 0.5], (3, 1)),
        sides,
        sides,
        np.zeros(4, bool),
    )
    write_truth(folder / "unboxed.parquet", unboxed, {})
    refused("merged1 has no true box", path, truth=folder / "unboxed.parquet")
    refused("--threads 0: expected 1 or more", path, threads=0)


@pytest.mark.parametrize("given", ["overlap=0.5", "overlap-only=-1", "literal=inf", "literal=x"])
def test_configured_thresholds_of_another_form_are_refused(given, by_hand, capsys):
    folder, path = by_hand
    words = ["--boxes", str(path), "--truth", str(folder / "truth.parquet")]
    with pytest.raises(SystemExit):
        tune_threshold.main([*words, "--configured", given, "--output", str(folder / "threshold")])
    assert "--configured" in capsys.readouterr().err


# The rule


def test_the_threshold_is_tuned_on_training_images_of_one_store():
    run = run_of()
    store = "results/miniature/shards/train_S384"
    assert choice_rules.tuning_shards(run) == [f"{store}/0000{i}.arrow" for i in (0, 1)]
    folder = "results/miniature/tuning/boxes/train"
    assert choice_rules.tuning_paths(run) == [
        f"{folder}/D_S256_pcr/dense_Q256.parquet",
        f"{folder}/D_S384_pcr/dense_Q352.parquet",
        f"{folder}/D_S384_pcr/dense_Q384.parquet",
    ]
    words = choice_rules.tuning_options(run)
    configured = words[words.index("--configured") + 1 :]
    thresholds = run.config["localise"]["thresholds"]
    assert dict(word.split("=") for word in configured) == {
        distance: str(threshold) for distance, threshold in thresholds.items()
    }
    options = {word for word in words if word.startswith("--")}
    assert options == {
        "--merge-mean", "--box-rating", "--box-clipping", "--overlap-bound", "--overlap-pixels",
        "--blacklisted", "--configured",
    }  # fmt: skip
