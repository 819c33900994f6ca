"""Guesses: boxes united, merged and rounded; files of them; errors and submissions made of them."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from tests.helpers.box_windows import constant, net_of, saved
from tests.helpers.clones import ROOT
from tests.helpers.drawn_boxes import is_right, write_boxes_of
from tests.helpers.posteriors import METADATA
from workflow_scripts import evaluate_boxes, guess_one_box, localise, tabulate, write_submission
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata, write_parquet
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.localisation.box_files import BoxedImage, Predicted, write_boxes
from workflow_scripts.vgg.localisation.guesses import (
    Clipping,
    Guesses,
    guess,
    guessed_classes,
    read_guesses,
    write_guesses,
)
from workflow_scripts.vgg.localisation.merging import Merging
from workflow_scripts.vgg.localisation.outcomes import localised_outcomes
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.localisation.true_boxes import pixels_of


def image_of(boxes, scores, classes=(7,), name="a", size=(100, 80)):
    """Boxes [classes][places][4] and scores [classes][places] of one row of places."""
    predicted = Predicted(
        np.array(classes),
        np.array(boxes, np.float32)[:, None],
        np.array(scores, np.float32)[:, None],
    )
    return BoxedImage(name, 7, *size, predicted)


# From predictions to pixels


@pytest.mark.parametrize(
    ("corners", "clipped", "as_predicted"),
    [
        ([10, 20, 30, 40], [10, 20, 29, 39], [10, 20, 29, 39]),
        ([10.4, 19.6, 29.6, 40.4], [10, 20, 29, 39], [10, 20, 29, 39]),
        ([-7.3, -2, 130.2, 95], [0, 0, 99, 79], [-7, -2, 129, 94]),
        ([10, 10, 10.3, 10.2], [10, 10, 10, 10], [10, 10, 10, 10]),
        ([99.7, 79.9, 140, 140], [99, 79, 99, 79], [100, 80, 139, 139]),
        ([-40, -40, -20, -20], [0, 0, 0, 0], [-40, -40, -21, -21]),
        ([0, 0, 100, 80], [0, 0, 99, 79], [0, 0, 99, 79]),
    ],
)
def test_boxes_become_their_first_and_last_pixel(corners, clipped, as_predicted):
    """Of an image of 100 × 80 pixels; a box has one pixel at least."""
    given = np.array([corners], float)
    assert pixels_of(given, np.array([[100, 80]])).tolist() == [clipped]
    assert pixels_of(given, None).tolist() == [as_predicted]
    found, _ = guess([image_of([[corners]], [[0.5]])], Merging(0.0), Clipping("as-predicted"))
    assert found.tolist() == [as_predicted]
    found, _ = guess([image_of([[corners]], [[0.5]])], Merging(0.0), Clipping("clipped"))
    assert found.tolist() == [clipped]


ONE = [[[10, 10, 50, 50], [12, 10, 52, 50], [60, 20, 90, 70]]]
OTHER = [[[62, 20, 92, 70], [58, 20, 88, 70]]]


def test_boxes_of_several_nets_are_united_before_they_are_merged():
    """Two of the first net's three boxes are close; with the second net's, three others are."""
    first, second = image_of(ONE, [[0.3, 0.4, 0.5]]), image_of(OTHER, [[0.2, 0.1]])
    merging, clipping = Merging(0.5), Clipping()
    boxes, ratings = guess([first], merging, clipping)
    assert (boxes.tolist(), ratings) == ([[11, 10, 50, 49]], pytest.approx([0.7]))
    boxes, ratings = guess([first, second], merging, clipping)
    assert (boxes.tolist(), ratings) == ([[60, 20, 89, 69]], pytest.approx([0.8]))
    again = guess([second, first], merging, clipping)
    assert (again[0].tolist(), again[1]) == (boxes.tolist(), pytest.approx(ratings))
    boxes, ratings = guess(
        [first, second], dataclasses.replace(merging, box_rating="max"), clipping
    )
    assert (boxes.tolist(), ratings) == ([[60, 20, 89, 69]], pytest.approx([0.5]))


def test_boxes_of_different_classes_are_not_merged():
    same = [[[10, 10, 50, 50]], [[10, 10, 50, 50]]]
    boxes, ratings = guess([image_of(same, [[0.3], [0.4]], (7, 2))], Merging(math.inf), Clipping())
    assert boxes.tolist() == [[10, 10, 49, 49]] * 2
    assert ratings == pytest.approx([0.3, 0.4])


def test_places_of_different_nets_may_differ_in_number():
    one = image_of([[[0, 0, 10, 10]] * 6], [[0.1] * 6])
    boxes, ratings = guess([one, image_of(OTHER, [[0.2, 0.1]])], Merging(0.0), Clipping())
    assert (boxes.tolist(), ratings) == ([[0, 0, 9, 9]], pytest.approx([0.6]))


@pytest.fixture
def two_files(tmp_path):
    """Files of boxes by two nets of the same 40 images, and the images."""
    rng, images = np.random.default_rng(0), [[], []]
    for number in range(40):
        for own, places in zip(images, (3, 5), strict=True):
            first = rng.uniform(0, 60, (4, places, 2))
            boxes = np.concatenate([first, first + rng.uniform(5, 40, first.shape)], -1)
            classes, name = (7, 2, 1, 0), f"i{number:02d}"
            own.append(image_of(boxes, rng.random((4, places)), classes, name))
    paths = []
    for number, own in enumerate(images):
        paths.append(str(tmp_path / f"{number}.parquet"))
        write_boxes(paths[-1], own, METADATA | {"model": f"m{number}"})
    return paths, list(zip(*images, strict=True))


def localised(paths, tmp_path, *words):
    output = tmp_path / "out/g.parquet"
    given = ["--boxes", *paths, "--merge-threshold", "0.6", *words, "--output", str(output)]
    localise.main(given)
    return read_guesses(output)


def test_localising_guesses_each_image_by_all_of_its_boxes(two_files, tmp_path):
    paths, images = two_files
    found = localised(paths, tmp_path)
    assert found.ids == [one.id for one, _ in images]
    for place, own in enumerate(images):
        boxes, ratings = guess(own, Merging(0.6), Clipping())
        assert found.boxes[place].tolist() == boxes.tolist()
        assert found.ratings[place].tolist() == ratings.tolist()
        assert found.classes[place].tolist() == [7, 2, 1, 0]
        assert (found.labels[place], found.sizes[place].tolist()) == (7, [100, 80])
    alone = localised(paths[:1], tmp_path)
    assert not np.array_equal(alone.boxes, found.boxes)
    wide = localised(paths, tmp_path, "--box-clipping", "as-predicted")
    assert wide.boxes[..., 3].max() > 79 >= found.boxes[..., 3].max()


@pytest.mark.slow
def test_any_number_of_processes_guesses_the_same(two_files, tmp_path):
    paths, _ = two_files
    one, two = localised(paths, tmp_path), localised(paths, tmp_path, "--threads", "2")
    assert one.ids == two.ids
    for name in ("labels", "sizes", "classes", "boxes", "ratings"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_boxes_of_other_images_are_not_localised(two_files, tmp_path):
    paths, images = two_files
    write_boxes(paths[1], [own for _, own in images[:-1]], {})
    with pytest.raises(InputError, match="hold different numbers of images"):
        localised(paths, tmp_path)
    write_boxes(paths[1], [], {})
    with pytest.raises(InputError, match=r"1\.parquet: holds no images"):
        localised(paths[1:], tmp_path)
    with pytest.raises(InputError, match="--threads 0: expected 1 or more"):
        localised(paths[:1], tmp_path, "--threads", "0")
    assert not (tmp_path / "out").exists()


# Files of guesses


def random_guesses(ids, labels, sizes, near=None):
    """Five guesses an image; near: boxes by the images' names that some lie close to."""
    rng = np.random.default_rng(0)
    guessed = np.array([rng.permutation(10)[:5] for _ in ids])
    first = rng.integers(0, 60, (len(ids), 5, 2))
    boxes = np.concatenate([first, first + rng.integers(30, 120, first.shape)], -1)
    for place, name in enumerate(ids):
        if own := (near or {}).get(name):
            edges = np.array(own[-1]) * np.tile(sizes[place], 2)
            boxes[place, 2:4] = (edges + rng.normal(0, 8, (2, 4))).clip(0)
    return Guesses(list(ids), labels, sizes, guessed, boxes, rng.random((len(ids), 5)))


@pytest.fixture
def written(shard_paths, true_boxes, tmp_path):
    """A file of random guesses for the validation images, and these."""
    shards = Shards(shard_paths("val"))
    order = np.argsort(list(shards.ids()))
    ids = [shards.id(int(place)) for place in order]
    sizes = np.stack([shards.widths, shards.heights], 1)[order]
    guesses = random_guesses(ids, shards.labels[order], sizes, true_boxes("val"))
    path = tmp_path / "localisation/val/mine.parquet"
    path.parent.mkdir(parents=True)
    write_guesses(path, guesses, {"boxes": []})
    return path, guesses


def test_guesses_are_read_as_they_were_written(written):
    path, guesses = written
    found = read_guesses(path)
    assert found.ids == guesses.ids
    for name in ("labels", "sizes", "classes", "boxes", "ratings"):
        assert np.array_equal(getattr(found, name), getattr(guesses, name)), name


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.98])
def test_a_changed_byte_of_guesses_is_noticed(written, truths, share):
    path, _ = written
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: is damaged: .* Is it the right"):
        localised_outcomes(path, truths / "val.parquet", Scoring())


def test_what_are_no_guesses_is_refused(written, truths, tmp_path):
    with pytest.raises(InputError, match=r"val\.parquet: has no column label, guesses, ratings"):
        read_guesses(truths / "val.parquet")
    table = {"id": ["a"], "label": [1], "width": [1], "height": [1]}
    table |= {"guesses": [[1]], "boxes": [[[0, 0, 1, 1]]], "ratings": [[1.0]]}
    write_parquet(tmp_path / "p.parquet", pa.table(table))
    with pytest.raises(InputError, match=r"p\.parquet: its column label is no int32; is it a fil"):
        read_guesses(tmp_path / "p.parquet")


def test_images_of_guesses_are_in_order_and_have_as_many(tmp_path):
    three = random_guesses(["a", "c", "b"], np.zeros(3, int), np.full((3, 2), 90))
    write_guesses(tmp_path / "g.parquet", three, {})
    with pytest.raises(InputError, match=r"g\.parquet: is damaged: its images are not in the ord"):
        read_guesses(tmp_path / "g.parquet")
    kinds = {"id": pa.string(), "label": pa.int32(), "width": pa.int32(), "height": pa.int32()}
    kinds |= {"guesses": pa.list_(pa.int32()), "ratings": pa.list_(pa.float64())}
    kinds |= {"boxes": pa.list_(pa.list_(pa.int32(), 4))}
    box = [0, 0, 1, 1]
    columns = {
        "id": ["a", "b"], "label": [1, 1], "width": [9, 9], "height": [9, 9],
        "guesses": [[1], [1, 2]], "boxes": [[box], [box, box]], "ratings": [[1.0], [1.0, 1.0]],
    }  # fmt: skip
    for few in ([[1.0], [1.0, 1.0]], [[1.0], [1.0]]):
        own = columns | {"ratings": few}
        write_parquet(
            tmp_path / "g.parquet", pa.table({n: pa.array(v, kinds[n]) for n, v in own.items()})
        )
        with pytest.raises(InputError, match="do not have the same number of guesses"):
            read_guesses(tmp_path / "g.parquet")


# Their errors


def outcomes_by_hand(guesses, boxes, left_out):
    """{name: wrong} by painted pixels, guess after guess."""
    found = {}
    for place, name in enumerate(guesses.ids):
        if name in left_out or not boxes.get(name):
            continue
        width, height = guesses.sizes[place].tolist()
        found[name] = not any(
            label == guesses.labels[place] and is_right(box, boxes[name], width, height)
            for label, box in zip(guesses.classes[place], guesses.boxes[place], strict=True)
        )
    return found


@pytest.mark.parametrize("blacklisted", ["left-out", "kept"])
def test_errors_of_guesses_are_those_of_painted_boxes(
    written, shard_paths, true_boxes, tmp_path, blacklisted
):
    path, guesses = written
    listed = guesses.ids[:9:4]
    truth = write_boxes_of(tmp_path / "t.parquet", shard_paths("val"), true_boxes("val"), listed)
    found = localised_outcomes(path, truth, Scoring(blacklisted=blacklisted))
    left_out = listed if blacklisted == "left-out" else []
    expected = outcomes_by_hand(guesses, true_boxes("val"), left_out)
    assert found.wrong.tolist() == list(expected.values())
    assert np.array_equal(found.top5loc, found.gtloc)
    assert 0 < found.wrong.mean() < 1
    whole = localised_outcomes(path, truth, Scoring(blacklisted="kept"))
    assert (whole.images == found.images) == (blacklisted == "kept"), "paired where they are same"


def test_guesses_without_truth_or_labels_have_no_error(written, shard_paths, tmp_path):
    path, guesses = written
    none = write_boxes_of(tmp_path / "none.parquet", shard_paths("val"), {})
    with pytest.raises(InputError, match=rf"{none}: no image of {path} has a true box"):
        localised_outcomes(path, none, Scoring())
    half = write_boxes_of(tmp_path / "half.parquet", shard_paths("val")[:1], {})
    lacking = Shards(shard_paths("val")[1:]).id(0)
    with pytest.raises(InputError, match=rf"{half}: lacks {lacking}; it is of other images"):
        localised_outcomes(path, half, Scoring())
    unknown = dataclasses.replace(guesses, labels=np.full(24, -1))
    write_guesses(path, unknown, {})
    with pytest.raises(InputError, match=rf"{path}: {guesses.ids[0]} has no label, so no error"):
        localised_outcomes(path, none, Scoring())


# One box for all


def fixed(shards, tmp_path, *words):
    guess_one_box.main(["--shards", *shards, *words, "--output", str(tmp_path / "f.parquet")])
    return read_guesses(tmp_path / "f.parquet")


def test_the_middle_half_of_each_image_with_its_true_class(shard_paths, tmp_path):
    """Half of the area, so √½ of each side."""
    shards = Shards(shard_paths("val"))
    found = fixed(shard_paths("val")[::-1], tmp_path)
    assert found.ids == sorted(shards.ids())
    labels = dict(zip(shards.ids(), shards.labels.tolist(), strict=True))
    for place, name in enumerate(found.ids):
        width, height = found.sizes[place].tolist()
        assert found.classes[place].tolist() == [labels[name]] == [found.labels[place]]
        ((xmin, ymin, xmax, ymax),) = found.boxes[place].tolist()
        assert (xmin, ymin) == (width - 1 - xmax, height - 1 - ymax), "in the middle"
        sides = (xmax + 1 - xmin) / width, (ymax + 1 - ymin) / height
        assert sides == pytest.approx((math.sqrt(0.5),) * 2, abs=1.1 / 150)


def test_the_mean_of_the_training_boxes_with_the_five_likeliest(
    shard_paths, truths, true_boxes, tmp_path
):
    shards = Shards(shard_paths("val"))
    values = np.random.default_rng(0).dirichlet(np.ones(10), 24).astype(np.float32)
    path = tmp_path / "p.parquet"
    write_posteriors(path, list(shards.ids()), shards.labels, values, {})
    words = ["--mean-of", str(truths / "train.parquet"), "--posteriors", str(path)]
    found = fixed(shard_paths("val"), tmp_path, *words)
    mean = np.mean([box for own in true_boxes("train").values() for box in own], axis=0)
    best = dict(zip(shards.ids(), np.argsort(-values, axis=1)[:, :5].tolist(), strict=True))
    for place, name in enumerate(found.ids):
        assert found.classes[place].tolist() == best[name]
        edges = [round(e) for e in (mean * np.tile(found.sizes[place], 2)).tolist()]
        expected = [edges[0], edges[1], edges[2] - 1, edges[3] - 1]
        assert found.boxes[place].tolist() == [expected] * 5


def test_one_box_needs_a_mean_and_classes(shard_paths, tmp_path):
    none = write_boxes_of(tmp_path / "none.parquet", shard_paths("train"), {})
    with pytest.raises(InputError, match=rf"{none}: has no box, so no mean"):
        fixed(shard_paths("val"), tmp_path, "--mean-of", none)
    shards = Shards(shard_paths("test"))
    write_shard(tmp_path / "u.arrow", [("x", -1, bytes(shards.jpeg(0)), 90, 80)])
    with pytest.raises(InputError, match=r"u\.arrow: x has no label; give posteriors"):
        fixed([str(tmp_path / "u.arrow")], tmp_path)
    write_posteriors(tmp_path / "p.parquet", ["y"], np.array([-1]), np.full((1, 4), 0.25), {})
    posteriors = str(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p\.parquet: lacks x of \S+u\.arrow; delete it and"):
        fixed([str(tmp_path / "u.arrow")], tmp_path, "--posteriors", posteriors)
    assert not (tmp_path / "f.parquet").exists()


def test_fewer_than_five_classes_are_all_guessed(tmp_path):
    write_posteriors(tmp_path / "p.parquet", ["y"], np.array([0]), np.array([[0.2, 0.5, 0.3]]), {})
    found = guessed_classes([tmp_path / "p.parquet"], ["y"], np.array([0]), "here")
    assert found.tolist() == [[1, 2, 0]]


# Tables and submissions

ROW = {
    "name": "mine", "labels": ["ours"], "submission": "mine_boxes",
    "boxes": [{"model": "A_S256_pcr", "method": "dense", "Q": [256]}],
}  # fmt: skip
TABLE = {"title": "Mine", "columns": ["net"], "metrics": ["top5loc_val", "top5loc_test"],
         "rows": [ROW]}  # fmt: skip


@pytest.fixture
def results(shard_paths, true_boxes, tmp_path):
    """Results of one row of localisation on val and test, made by the commands."""
    results = tmp_path / "results/x"
    weights = saved(tmp_path / "b.safetensors", constant("box-scr", (0.5, 0.5, 0.9, 0.8)))
    classifier = saved(tmp_path / "c.safetensors", net_of("classes"), "A_S256")
    boxes = {}
    for split, seed in (("val", 0), ("test", 3)):
        shards = Shards(shard_paths(split))
        names = list(shards.ids())
        # Every second image has a box that its windows' boxes are near; others have any.
        any_box = list(true_boxes("val").values())
        near = [[0.02 * place / len(names), 0.1, 0.95, 0.9] for place in range(len(names))]
        boxes[split] = {
            name: [near[place]] if place % 2 else any_box[place % len(any_box)]
            for place, name in enumerate(names)
            if place % 8 != 6 or split == "test"
        }
        values = np.random.default_rng(seed).dirichlet(np.ones(10), len(shards))
        values[::3, 0] += 1  # a class that is the true one of few
        values[np.arange(len(names)), shards.labels] += 0.05
        values /= values.sum(1, keepdims=True)
        posteriors = tmp_path / f"{split}.parquet"
        write_posteriors(posteriors, names, shards.labels, values, METADATA)
        own = results / f"boxes/{split}/A_S256_pcr/dense_Q256.parquet"
        words = ["--weights", weights, "--classifier", classifier, "--shards", *shard_paths(split)]
        words += ["--posteriors", posteriors, "--method", "dense", "--scale", 256]
        evaluate_boxes.main([*map(str, [*words, "--output", own])])
        words = ["--boxes", own, "--merge-threshold", 0.6]
        words += ["--output", results / f"localisation/{split}/mine.parquet"]
        localise.main([*map(str, words)])
        (results / "truth").mkdir(exist_ok=True)
        write_boxes_of(results / f"truth/{split}.parquet", shard_paths(split), boxes[split])
    return results, boxes


def table_of(results, tmp_path, *words, splits=("val", "test")):
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump({"mine": TABLE}))
    given = ["--table", "mine", "--tables", tmp_path / "tables.yaml", "--results", results]
    given += ["--paper", ROOT / "config/paper_tables.yaml", "--splits", *splits, *words]
    tabulate.main([*map(str, [*given, "--output", tmp_path / "t/mine"])])
    [row] = read_json(tmp_path / "t/mine.json")["rows"]
    return row


def submitted(results, packed, tmp_path, reports=None):
    """The lines of the submission of the test set's guesses."""
    reports = sorted((packed / "packing/test").glob("*.json")) if reports is None else reports
    words = ["--guesses", results / "localisation/test/mine.parquet", "--packing", *reports]
    words += ["--classes", packed / "classes.parquet", "--index", packed / "index/test.parquet"]
    write_submission.main([*map(str, [*words, "--output", tmp_path / "s/mine_boxes.txt"])])
    return (tmp_path / "s/mine_boxes.txt").read_text().splitlines()


def score(lines, archives, shards, boxes, left_out=()):
    """(wrong, images) of a submission, as the test server would: lines are in the order of names,
    and so are the true ILSVRC2012_IDs."""
    truth = (archives / "ILSVRC2012_test_ground_truth.txt").read_text().split()
    sizes = dict(zip(shards.ids(), zip(shards.widths, shards.heights, strict=True), strict=True))
    names = sorted(sizes)
    assert len(lines) == len(truth) == len(names) == 12
    wrong = []
    for line, true, name in zip(lines, truth, names, strict=True):
        words = line.split(" ")
        assert len(words) == 25
        guesses = [words[first : first + 5] for first in range(0, 25, 5)]
        assert len({guess[0] for guess in guesses}) == 5
        width, height = map(int, sizes[name])
        for _, *box in guesses:
            xmin, ymin, xmax, ymax = map(int, box)
            assert 0 <= xmin <= xmax < width
            assert 0 <= ymin <= ymax < height
        if name not in left_out:
            wrong.append(
                not any(
                    label == true and is_right(list(map(int, box)), boxes[name], width, height)
                    for label, *box in guesses
                )
            )
    return sum(wrong), len(wrong)


def test_a_submission_is_scored_to_the_tables_error(
    results, packed, archives, shard_paths, tmp_path
):
    folder, boxes = results
    lines = submitted(folder, packed, tmp_path)
    wrong, images = score(lines, archives, Shards(shard_paths("test")), boxes["test"])
    row = table_of(folder, tmp_path)
    cell = row["metrics"]["top5loc_test"]
    assert (cell["errors"], cell["images"]) == (wrong, images) == (wrong, 12)
    assert cell["measured"] == pytest.approx(100 * wrong / images)
    assert 2 <= wrong <= 10
    assert row["submission"] == f"{folder}/submission/mine_boxes.txt"
    val = outcomes_by_hand(read_guesses(folder / "localisation/val/mine.parquet"), boxes["val"], [])
    cell = row["metrics"]["top5loc_val"]
    assert (cell["errors"], cell["images"]) == (sum(val.values()), 21)
    assert [e["split"] for e in row["evaluations"]] == ["val", "test"]
    assert {(e["model"], e["method"], e["Q"]) for e in row["evaluations"]} == {
        ("A_S256_pcr", "dense", 256)
    }


def test_an_image_that_packing_left_out_has_a_line_too(
    results, packed, archives, shard_paths, tmp_path
):
    folder, boxes = results
    path = folder / "localisation/test/mine.parquet"
    guesses, out = read_guesses(path), 4
    kept = [place for place in range(12) if place != out]
    parts = (guesses.labels, guesses.sizes, guesses.classes, guesses.boxes, guesses.ratings)
    ids = [guesses.ids[place] for place in kept]
    write_guesses(path, Guesses(ids, *(part[kept] for part in parts)), read_metadata(path))
    with pytest.raises(InputError, match=rf"{path}: lacks {guesses.ids[out]}, but the test server"):
        submitted(folder, packed, tmp_path)
    assert not (tmp_path / "s").exists()
    report = {"skipped": [{"id": guesses.ids[out], "reason": "?"}]}
    (tmp_path / "r.json").write_text(json.dumps(report))
    lines = submitted(folder, packed, tmp_path, [tmp_path / "r.json"])
    shards, name = Shards(shard_paths("test")), guesses.ids[out]
    wrong, images = score(lines, archives, shards, boxes["test"], [name])
    assert (lines[out].split()[1:5], images) == (["0"] * 4, 11)
    ids_of = pd.read_parquet(packed / "classes.parquet").sort_values("label")["ilsvrc2012_id"]
    assert [int(word) for word in lines[out].split()[::5]] == ids_of.tolist()[:5]
    row = table_of(folder, tmp_path, splits=["test"])
    cell = row["metrics"]["top5loc_test"]
    assert (cell["errors"], cell["images"]) == (wrong, 11)
    assert row["metrics"]["top5loc_val"]["measured"] is None


def test_an_answer_of_the_test_server_fills_a_row_of_localisation(results, tmp_path):
    folder, _ = results
    answers = tmp_path / "answers.yaml"
    answers.write_text("mine_boxes: {top5loc_test: 25.3, date: 2014-08-15}\n")
    words = ["--answers", answers, "--test-images", 100000]
    row = table_of(folder, tmp_path, *words, splits=["val"])
    cell = row["metrics"]["top5loc_test"]
    assert (cell["measured"], cell["entered"]) == (25.3, True)
    assert (cell["errors"], cell["images"]) == (25300, 100000)
    assert not row["metrics"]["top5loc_val"]["entered"]
    notes = read_json(tmp_path / "t/mine.json")["notes"]
    told = "† entered by hand from the test server's answer of 2014-08-15 to mine_boxes"
    assert told in notes
    # Where the test set has labels, the answer has no part.
    row = table_of(folder, tmp_path, *words)
    assert not row["metrics"]["top5loc_test"]["entered"]
    answers.write_text("mine: {top5loc_test: 25.3, date: 2014-08-15}\n")
    with pytest.raises(InputError, match="no row has a submission mine; there are mine_boxes"):
        table_of(folder, tmp_path, *words)


def test_guesses_of_other_images_make_no_table(results, shard_paths, tmp_path):
    folder, boxes = results
    write_boxes_of(folder / "truth/test.parquet", shard_paths("test")[:1], boxes["test"])
    with pytest.raises(InputError, match=r"truth/test\.parquet: lacks ILSVRC2012_test_"):
        table_of(folder, tmp_path)
    path = folder / "localisation/test/mine.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{path}: is damaged"):
        table_of(folder, tmp_path)
    assert not (tmp_path / "t").exists()
