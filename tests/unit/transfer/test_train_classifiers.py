"""The command that trains classifiers of descriptors, against an exhaustive search by scipy."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from tests.helpers.classified import (
    area,
    drawn,
    eleven,
    folders_of,
    images_of,
    mean_of,
    persons_of,
    recall,
    represented,
    said_of,
    scores_by,
    written,
)
from tests.helpers.refusals import refusal, start
from workflow_scripts import draw_splits, train_classifiers
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.randomness import Stream, generator
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.examples import write_examples
from workflow_scripts.vgg.transfer import svm
from workflow_scripts.vgg.transfer.descriptor_files import write_descriptors
from workflow_scripts.vgg.transfer.scores import read_scores, read_told
from workflow_scripts.vgg.transfer.splits import read_splits

GRID = [0.25, 1.0, 4.0, 16.0]
CLASSES = ["bird", "cat", "dog"]
NETS = {"D": (6, 0.7), "E": (9, 1.1)}  # dimensions, and how much of them is noise


class Made:
    """A data set and its descriptors, at two scales of each of NETS."""

    def __init__(self, folder, examples, regions=("image",), Q=(256, 384)):
        folder.mkdir()
        self.folder, self.examples, self.regions = folder, examples, regions
        write_examples(folder / "e.parquet", examples, {})
        self.values, self.paths = {}, {}
        for place, (model, (dimensions, spread)) in enumerate(NETS.items()):
            for number, region in enumerate(regions):
                for of_scale, side in enumerate(Q):
                    seed = 100 * place + 10 * number + of_scale
                    ids, labels = self.described(region)
                    values = drawn(labels, dimensions, spread, seed)
                    path = folder / f"{model}_{region}_{side}.parquet"
                    key = (model, region, side)
                    self.paths[key] = written(path, ids, values, *key)
                    of_persons = region == "image" and examples.boxes is not None
                    self.values[key] = values[examples.images] if of_persons else values

    def described(self, region):
        """The names that files of a region have, and labels to draw descriptors of."""
        if region == "box" or self.examples.boxes is None:
            return self.examples.ids, self.examples.labels
        of_image = np.unique(self.examples.images, return_index=True)[1]
        return self.examples.image_ids, self.examples.labels[of_image]

    def sources(self, nets=NETS, Q=(256, 384)):
        """Of each net and region, the descriptors of each scale."""
        return [[self.values[n, r, side] for side in Q] for n in nets for r in self.regions]

    def words(self, *, nets=NETS, Q=(256, 384), out="out", **changes):
        """The command line; the files of all regions, nets and scales."""
        paths = [self.paths[n, r, side] for n in nets for r in self.regions for side in Q]
        values = {
            "examples": self.folder / "e.parquet", "descriptors": paths, "C": GRID,
            "average_precision": "area", "report": self.folder / f"{out}/r.json",
            "output": self.folder / f"{out}/s.parquet",
        } | changes  # fmt: skip
        found = []
        for name, value in values.items():
            if value is not None:
                found += [f"--{name.replace('_', '-')}", *map(str, np.atleast_1d(value))]
        return found

    def run(self, **options):
        """Scores by part and split, and what the report says, by part and split."""
        words = self.words(**options)
        train_classifiers.main(words)
        scores = {
            (own.part, own.split): own for own in read_scores(words[words.index("--output") + 1])
        }
        report = read_json(words[words.index("--report") + 1])
        chosen = {(own["part"], own["split"]): own for own in report["chosen"]}
        assert scores.keys() == chosen.keys()
        return scores, chosen, report

    def places(self, *parts):
        return np.flatnonzero(np.isin(self.examples.parts, parts))


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    examples = images_of(CLASSES, zeros=0.1)
    return Made(tmp_path_factory.mktemp("voc") / "own", examples)


@pytest.fixture(scope="module")
def actions(tmp_path_factory):
    examples = persons_of(["other", "reading", "running"])
    return Made(tmp_path_factory.mktemp("actions") / "own", examples, ("image", "box"))


def fifth(examples, train, seed, draw=0):
    """Training examples to learn from, and those of a fifth of the images to choose by."""
    images = np.unique(examples.images[train])
    order = generator(seed, Stream.SPLITS, draw).permutation(images)
    chosen = order[: max(1, round(len(images) / 5))]
    is_chosen = np.isin(examples.images[train], chosen)
    return train[~is_chosen], train[is_chosen]


def searched(x, labels, learn, validate, refit, measure):
    """The first of the best C's, all figures, and scores of all rows by machines of `refit`."""
    figures = [measure(scores_by(x, labels, learn, C)[validate], labels[validate]) for C in GRID]
    best = GRID[figures.index(max(figures))]
    return best, figures, scores_by(x, labels, refit, best)


def assert_found(found, told, expected, places, made):
    """That a part's scores, C and figures are those of the search."""
    best, figures, scores = expected
    assert found.ids == [made.examples.ids[place] for place in places]
    assert told["C"] == best
    assert told["grid"] == GRID
    np.testing.assert_allclose(told["figures"], figures, atol=1e-6)
    np.testing.assert_allclose(found.scores, scores[places], atol=2e-4)


# Parts of the organisers


@pytest.mark.parametrize("kind", ["area", "eleven-point"])
@pytest.mark.parametrize("refit", ["all", "learnt"])
def test_an_exhaustive_search_finds_the_same(kind, refit, voc):
    scores, chosen, _ = voc.run(average_precision=kind, svm_refit=refit, seed=3)
    x = represented(voc.sources(), "mean", each=True)
    labels, precision = voc.examples.labels, area if kind == "area" else eleven

    def measure(own, true):
        return mean_of(precision, own, true)

    train, val, test = (voc.places(part) for part in ("train", "val", "test"))
    refitted = np.concatenate([train, val]) if refit == "all" else train
    expected = searched(x, labels, train, val, refitted, measure)
    assert_found(scores["test", 0], chosen["test", 0], expected, test, voc)
    learn, validate = fifth(voc.examples, train, 3)
    refitted = train if refit == "all" else learn
    expected = searched(x, labels, learn, validate, refitted, measure)
    assert_found(scores["val", 0], chosen["val", 0], expected, val, voc)
    counts = [chosen["val", 0][key] for key in ("learnt", "validated", "tested")]
    assert counts == [len(learn), len(validate), len(val)] == [24, 6, 20]
    counts = [chosen["test", 0][key] for key in ("learnt", "validated", "tested")]
    assert counts == [30, 20, 16]


@pytest.mark.parametrize("feature_l2", ["each-and-whole", "whole"])
@pytest.mark.parametrize("pooling", ["mean", "max", "stack"])
def test_scales_and_nets_are_put_together_as_asked(pooling, feature_l2, voc):
    scores, chosen, _ = voc.run(scale_pooling=pooling, feature_l2=feature_l2, C=[1.0])
    x = represented(voc.sources(), pooling, each=feature_l2 == "each-and-whole")
    expected = scores_by(x, voc.examples.labels, voc.places("train", "val"), 1.0)
    found = scores["test", 0].scores
    np.testing.assert_allclose(found, expected[voc.places("test")], atol=2e-4)
    assert chosen["test", 0]["at_end"] is False, "one C has no ends"


def test_examples_of_label_0_are_left_out_or_negatives(voc):
    x = represented(voc.sources(("D",), (256,)), "mean", each=True)
    labels, learnt = voc.examples.labels, voc.places("train", "val")
    assert (labels[learnt] == 0).sum() > 10
    found = {}
    for reading in ("left-out", "negatives"):
        own = labels if reading == "left-out" else np.where(labels == 0, -1, labels)
        scores, _, _ = voc.run(nets=("D",), Q=(256,), C=[4.0], svm_difficult=reading)
        found[reading] = scores["test", 0].scores
        expected = scores_by(x, own, learnt, 4.0)[voc.places("test")]
        np.testing.assert_allclose(found[reading], expected, atol=2e-4)
    assert np.abs(found["left-out"] - found["negatives"]).max() > 0.01


def changed(made, folder, part, shuffle):
    """The same data set with labels of a part's examples given to others of them."""
    labels = made.examples.labels.copy()
    places = made.places(part)
    labels[places] = labels[np.random.default_rng(1).permutation(places)] if shuffle else 0
    known = made.examples.known.copy()
    known[places] = shuffle
    folder.mkdir()
    write_examples(folder / "e.parquet", replace(made.examples, labels=labels, known=known), {})
    return folder / "e.parquet"


@pytest.mark.parametrize("which", ["voc", "actions"])
def test_what_is_tested_has_no_part_in_its_classifiers(which, tmp_path, request):
    """The labels of validation examples decide no score of theirs, those of test examples none."""
    made = request.getfixturevalue(which)
    plain, chosen, _ = made.run()
    of_val, _, _ = made.run(examples=changed(made, tmp_path / "val", "val", shuffle=True))
    assert of_val["val", 0].scores.tobytes() == plain["val", 0].scores.tobytes()
    assert not np.allclose(of_val["test", 0].scores, plain["test", 0].scores, atol=1e-3)
    for shuffle in (True, False):
        path = changed(made, tmp_path / f"test{shuffle}", "test", shuffle)
        of_test, told, _ = made.run(examples=path)
        for key, own in plain.items():
            assert of_test[key].scores.tobytes() == own.scores.tobytes()
        assert told == chosen


def test_without_a_test_set_the_validation_set_alone_is_scored(voc, tmp_path):
    own = voc.examples
    kept = voc.places("train", "val")
    ids = [own.ids[place] for place in kept]
    few = replace(
        own, ids=ids, image_ids=ids, images=np.arange(len(kept)), labels=own.labels[kept],
        parts=[own.parts[place] for place in kept], known=own.known[kept],
    )  # fmt: skip
    # Their descriptors may not be of other images.
    alone = Made(tmp_path / "own", few)
    scores, _, _ = alone.run()
    assert list(scores) == [("val", 0)]
    assert len(scores["val", 0].ids) == 20


def test_the_seed_draws_the_fifth_and_nothing_else(voc):
    one, _, _ = voc.run(svm_refit="learnt", C=[1.0])
    other, _, report = voc.run(svm_refit="learnt", C=[1.0], seed=1)
    assert one["test", 0].scores.tobytes() == other["test", 0].scores.tobytes()
    assert one["val", 0].scores.tobytes() != other["val", 0].scores.tobytes()
    assert report["options"]["seed"] == 1


# Persons


@pytest.mark.parametrize("regions", [("image",), ("box",), ("image", "box")], ids="+".join)
def test_persons_are_learnt_by_their_images_and_boxes(regions, actions):
    paths = [actions.paths[n, r, Q] for n in NETS for r in regions for Q in (256, 384)]
    scores, chosen, _ = actions.run(descriptors=paths, scale_pooling="stack")
    sources = [[actions.values[n, r, Q] for Q in (256, 384)] for n in NETS for r in regions]
    x = represented(sources, "stack", each=True)
    examples = actions.examples
    train, val, test = (actions.places(part) for part in ("train", "val", "test"))

    def measure(own, true):
        return mean_of(area, own, true)

    scored = examples.labels[:, 1:]  # `other` is a negative only
    expected = searched(x, scored, train, val, np.concatenate([train, val]), measure)
    of_all = *expected[:2], np.hstack([np.zeros((len(x), 1)), expected[2]])
    assert_found(scores["test", 0], chosen["test", 0], of_all, test, actions)
    learn, validate = fifth(examples, train, 0)
    assert not set(examples.images[learn]) & set(examples.images[validate]), "images stay whole"
    expected = searched(x, scored, learn, validate, train, measure)
    of_all = *expected[:2], np.hstack([np.zeros((len(x), 1)), expected[2]])
    assert_found(scores["val", 0], chosen["val", 0], of_all, val, actions)
    for own in scores.values():
        assert not own.scores[:, 0].any()


def test_a_class_that_does_not_count_may_lack_examples(actions, tmp_path):
    labels = actions.examples.labels.copy()
    labels[:, 0] = -1
    write_examples(tmp_path / "e.parquet", replace(actions.examples, labels=labels), {})
    plain, _, _ = actions.run(C=[1.0])
    found, _, _ = actions.run(C=[1.0], examples=tmp_path / "e.parquet")
    for key, own in plain.items():
        assert found[key].scores.tobytes() == own.scores.tobytes()


# Random splits


@pytest.fixture(scope="module")
def caltech(tmp_path_factory):
    sizes = {"BACKGROUND_Google": 25, "anchor": 11, "ant": 40, "yin_yang": 16}
    made = Made(tmp_path_factory.mktemp("caltech") / "own", folders_of(sizes))
    words = ["--examples", made.folder / "e.parquet", "--splits", 2, "--train-per-class", 10]
    words += ["--test-per-class", 12, "--output", made.folder / "splits.parquet"]
    draw_splits.main([*map(str, words)])
    return made


def splits_by_name(path):
    """The places of each part of each split, as another program reads the file."""
    frame = pd.read_parquet(path)
    return [
        [np.flatnonzero(frame[name] == part) for part in ("learn", "validate", "test")]
        for name in frame.columns[1:]
    ]


@pytest.mark.parametrize("refit", ["all", "learnt"])
def test_each_random_split_has_classifiers_of_its_own(refit, caltech):
    splits = {"drawn_splits": caltech.folder / "splits.parquet", "average_precision": None}
    scores, chosen, report = caltech.run(**splits, svm_refit=refit, scale_pooling="stack")
    x = represented(caltech.sources(), "stack", each=True)
    parts = splits_by_name(caltech.folder / "splits.parquet")
    assert list(scores) == [("test", 0), ("test", 1)]
    for number, (learn, validate, test) in enumerate(parts):
        refitted = learn if refit == "learnt" else np.concatenate([learn, validate])
        expected = searched(x, caltech.examples.labels, learn, validate, refitted, recall)
        key = "test", number
        assert_found(scores[key], chosen[key], expected, test, caltech)
        counts = [chosen[key][name] for name in ("learnt", "validated", "tested")]
        assert counts == [32, 8, 12 + 1 + 12 + 6]
    assert report["options"]["average_precision"] is None


def test_splits_of_other_images_are_refused(caltech, voc, tmp_path):
    splits = {"drawn_splits": caltech.folder / "splits.parquet", "average_precision": None}
    with pytest.raises(InputError) as raised:
        voc.run(**splits)
    told = f"{caltech.folder}/splits.parquet: is of other images than {voc.folder}/e.parquet"
    assert (
        str(raised.value)
        == f"{told}; give the data set's own, or draw splits anew with draw_splits"
    )
    ids, splits = read_splits(caltech.folder / "splits.parquet")
    assert (ids, len(splits)) == (caltech.examples.ids, 2)


# What is written


def test_a_file_says_what_its_scores_come_from(voc):
    words = voc.words(seed=5, feature_l2="whole")
    train_classifiers.main(words)
    told = read_told(voc.folder / "out/s.parquet")
    assert told["classes"] == CLASSES
    paths = [voc.paths[n, "image", Q] for n in NETS for Q in (256, 384)]
    assert [path for path, _ in told["descriptors"]] == paths
    assert [(said["model"], said["Q"]) for _, said in told["descriptors"]] == [
        ("D", 256), ("D", 384), ("E", 256), ("E", 384),
    ]  # fmt: skip
    assert told["options"] == {
        "scale_pooling": "mean", "feature_l2": "whole", "svm_loss": "squared-hinge",
        "svm_refit": "all", "svm_difficult": "left-out", "average_precision": "area", "seed": 5,
    }  # fmt: skip
    report = read_json(voc.folder / "out/r.json")
    assert (report["options"], report["chosen"]) == (told["options"], told["chosen"])
    assert [(own["part"], own["split"]) for own in told["chosen"]] == [("test", 0), ("val", 0)]


def test_a_choice_at_an_end_of_the_grid_is_told(voc, caplog):
    _, chosen, _ = voc.run(C=[1e-4, 2e-4])
    assert chosen["test", 0]["at_end"] is True
    assert "test, split 0: C = 0.000" in caplog.text
    inside = [own for own in voc.run()[1].values() if own["C"] not in (GRID[0], GRID[-1])]
    assert not any(own["at_end"] for own in inside)


def test_values_of_c_are_tried_from_the_least_on(voc):
    plain, chosen, _ = voc.run()
    other, told, _ = voc.run(C=[4.0, 0.25, 16.0, 1.0, 4.0])
    assert told == chosen
    assert other["test", 0].scores.tobytes() == plain["test", 0].scores.tobytes()


def test_the_same_command_writes_the_same_bytes(voc):
    contents = []
    for _ in range(2):
        voc.run()
        names = sorted(path for path in (voc.folder / "out").iterdir() if path.suffix != ".lock")
        assert [path.name for path in names] == ["r.json", "s.parquet"]
        contents.append([path.read_bytes() for path in names])
    assert contents[0] == contents[1]


def test_the_order_of_nets_and_scales_changes_rounding_alone(voc):
    plain, _, _ = voc.run(C=[1.0])
    paths = list(voc.paths.values())
    for order in list(permutations(paths))[1::5]:
        scores, _, _ = voc.run(C=[1.0], descriptors=order)
        assert [path for path, _ in read_told(voc.folder / "out/s.parquet")["descriptors"]] == [
            *order
        ]
        np.testing.assert_allclose(scores["test", 0].scores, plain["test", 0].scores, atol=1e-4)


def without(made, left_out, tmp_path):
    """A file of descriptors that lacks some examples, and the descriptors."""
    kept = np.setdiff1d(np.arange(len(made.examples.ids)), left_out)
    ids = [made.examples.ids[place] for place in kept]
    values = made.values["D", "image", 256]
    return written(tmp_path / "d.parquet", ids, values[kept], "D", "image", 256), values


def test_nothing_is_learnt_from_an_image_that_packing_left_out(voc, tmp_path, caplog):
    train, val, test = (voc.places(part) for part in ("train", "val", "test"))
    left_out = [test[3], train[5], val[2]]
    path, values = without(voc, left_out, tmp_path)
    scores, chosen, _ = voc.run(descriptors=[path], C=[1.0])
    assert f"{path}: 3 of 66 are not described" in caplog.text
    x = represented([[values]], "mean", each=True)
    learn = np.setdiff1d(voc.places("train", "val"), left_out)
    expected = scores_by(x, voc.examples.labels, learn, 1.0)[test]
    others = np.arange(len(test)) != 3
    np.testing.assert_allclose(scores["test", 0].scores[others], expected[others], atol=2e-4)
    counts = [chosen["test", 0][key] for key in ("learnt", "validated", "tested")]
    assert counts == [29, 19, 16]
    assert chosen["test", 0]["undescribed"] == [voc.examples.ids[test[3]]]
    assert chosen["val", 0]["undescribed"] == [voc.examples.ids[val[2]]]


def test_an_image_that_packing_left_out_counts_as_wrong(voc, caltech, tmp_path):
    place = voc.places("test")[3]
    path, _ = without(voc, [place], tmp_path)
    found = voc.run(descriptors=[path], C=[1.0])[0]["test", 0].scores
    own = voc.examples.labels[place] == 1
    assert (found[3] < np.delete(found, 3, axis=0).min(0)).all(), "behind all others"
    assert own.any()
    assert found[3][own].max() < found[3][~own].min()

    drawn_splits = caltech.folder / "splits.parquet"
    tested = splits_by_name(drawn_splits)[0][2]
    path, _ = without(caltech, tested[:4], tmp_path)
    options = {"descriptors": [path], "C": [1.0], "average_precision": None}
    found, chosen, _ = caltech.run(**options, drawn_splits=drawn_splits)
    ids = found["test", 0].ids
    unread = [ids.index(caltech.examples.ids[place]) for place in tested[:4]]
    predicted = found["test", 0].scores[unread].argmax(1)
    assert (predicted != caltech.examples.labels[tested[:4]].argmax(1)).all()
    assert chosen["test", 0]["undescribed"] == [caltech.examples.ids[own] for own in tested[:4]]


def test_a_part_without_any_descriptor_is_refused(voc, tmp_path):
    path, _ = without(voc, voc.places("val"), tmp_path)
    complaint = told(voc, tmp_path, descriptors=[path])
    assert f"{path}: describes none of the examples to learn from, or none of those" in complaint


# What it refuses


def told(made, tmp_path, **options):
    with pytest.raises(InputError) as raised:
        made.run(**{"report": tmp_path / "out/r.json", "output": tmp_path / "out/s.parquet"},
                 **options)  # fmt: skip
    assert not list((tmp_path / "out").glob("*"))
    return str(raised.value)


@pytest.mark.parametrize(
    ("part", "label", "kind", "among"),
    [("train", 1, "positive", 30), ("train", -1, "negative", 30)],
)
def test_a_class_without_examples_to_learn_from_is_named(part, label, kind, among, tmp_path):
    examples = images_of(CLASSES)
    examples.labels[np.array(examples.parts) == part, 1] = -label
    made = Made(tmp_path / "own", examples)
    complaint = told(made, tmp_path)
    assert complaint == (
        f"{tmp_path}/own/e.parquet: cat has no {kind} example among the {among} that it is to be "
        "learnt from; add images of that kind, or leave the class out"
    )


def test_the_name_is_right_where_a_class_before_it_does_not_count(tmp_path):
    examples = persons_of(["other", "reading", "running"])
    examples.labels[np.array(examples.parts) == "train", 2] = -1
    complaint = told(Made(tmp_path / "own", examples), tmp_path)
    assert f"{tmp_path}/own/e.parquet: running has no positive example among the" in complaint


def test_a_fifth_that_takes_the_last_example_of_a_class_is_drawn_again(tmp_path):
    examples = images_of(CLASSES)
    train = np.flatnonzero(np.array(examples.parts) == "train")
    (_, first), (_, second) = (fifth(examples, train, 0, draw) for draw in (0, 1))
    examples.labels[train, 2] = -1
    examples.labels[np.intersect1d(first, second)[0], 2] = 1
    splits = [fifth(examples, train, 0, draw) for draw in range(10)]
    learn, _ = next(own for own in splits if (examples.labels[own[0], 2] == 1).any())
    made = Made(tmp_path / "own", examples)
    scores, _, _ = made.run(C=[1.0], svm_refit="learnt")
    x = represented(made.sources(), "mean", each=True)
    expected = scores_by(x, examples.labels, learn, 1.0)[made.places("val")]
    np.testing.assert_allclose(scores["val", 0].scores, expected, atol=2e-4)


def test_a_part_without_any_positive_is_refused(tmp_path):
    examples = images_of(CLASSES)
    examples.labels[np.array(examples.parts) == "val"] = -1
    complaint = told(Made(tmp_path / "own", examples), tmp_path)
    assert "no class that counts has a positive among 20 examples" in complaint


def test_a_single_training_image_is_refused(tmp_path):
    examples = images_of(CLASSES, counts=(1, 30, 0))
    alone = examples.ids[examples.parts.index("train")]
    assert f"{alone}: is the only training image" in told(
        Made(tmp_path / "own", examples), tmp_path
    )


@pytest.mark.parametrize("part", ["train", "val"])
def test_parts_to_learn_from_and_to_choose_by_must_be_there(part, tmp_path):
    examples = images_of(CLASSES)
    parts = ["test" if own == part else own for own in examples.parts]
    complaint = told(Made(tmp_path / "own", replace(examples, parts=parts)), tmp_path)
    assert "e.parquet: has no parts train and val; give --drawn-splits" in complaint


def test_splits_are_looked_at_before_any_dear_work(caltech, voc, tmp_path):
    lacking = [tmp_path / "none.parquet"]
    splits = caltech.folder / "splits.parquet"
    other = told(voc, tmp_path, average_precision=None, drawn_splits=splits,
                 descriptors=lacking)  # fmt: skip
    assert f"{splits}: is of other images than" in other
    without_parts = told(caltech, tmp_path, average_precision="area", drawn_splits=None,
                         descriptors=lacking)  # fmt: skip
    assert "has no parts train and val; give --drawn-splits" in without_parts


def test_descriptors_are_of_the_data_set_and_each_once(voc, actions, tmp_path):
    path = voc.paths["D", "image", 256]
    (tmp_path / "copy.parquet").write_bytes((voc.folder / "D_image_256.parquet").read_bytes())
    complaint = told(voc, tmp_path, descriptors=[path, tmp_path / "copy.parquet"])
    assert complaint == (f"{tmp_path}/copy.parquet: describes the same as {path}; give one of them")
    foreign = actions.paths["E", "image", 256]
    complaint = told(voc, tmp_path, descriptors=[path, foreign])
    assert f"{foreign}: is of other images than {path}, which has i0000; describe" in complaint
    complaint = told(voc, tmp_path, descriptors=[foreign])
    assert f"{foreign}: is of other images than the data set, such as p000" in complaint
    complaint = told(voc, tmp_path, descriptors=[actions.paths["D", "box", 256]])
    assert "is of other images than the data set, such as p000:1" in complaint
    complaint = told(voc, tmp_path, descriptors=[voc.folder / "e.parquet"])
    assert complaint == (
        f"{voc.folder}/e.parquet: does not say what it describes; is it of descriptors?"
    )
    complaint = told(voc, tmp_path, descriptors=[tmp_path / "none.parquet"])
    assert f"{tmp_path}/none.parquet: no such file" in complaint


def told_anew(made, folder, key, ids=None, **said):
    """A copy of a file of descriptors that says something else of itself, or is of fewer images."""
    path, (model, region, side) = made.paths[key], key
    own_ids = made.described(region)[0] if ids is None else ids
    known = pd.read_parquet(path).set_index("id")["descriptor"]
    target = folder / f"{model}_{region}_{side}_{len(list(folder.glob('*.parquet')))}.parquet"
    write_descriptors(
        target, own_ids, np.stack(known.loc[list(own_ids)]), said_of(model, region, side) | said
    )
    return str(target)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (
            {"choices": {"feature_relu": "after"}},
            {"choices": {"feature_relu": "before"}},
            "was made with feature_relu: before, but {first} with after; describe",
        ),
        (
            {"choices": {"pool_rounding": "floor", "resize_filter": "bicubic"}},
            {"choices": {"pool_rounding": "floor", "resize_filter": "bilinear"}},
            "was made with resize_filter: bilinear, but {first} with bicubic; describe",
        ),
        (
            {"pooling": None, "feature_l2": "none"},
            {"pooling": "max", "feature_l2": "none"},
            "was made with pooling: max, but {first} with nothing; describe",
        ),
        (
            {"pooling": None, "feature_l2": "none"},
            {"pooling": None, "feature_l2": "whole"},
            "was made with feature_l2: whole, but {first} with none; describe",
        ),
    ],
    ids=["relu", "resizing", "pooling", "l2"],
)
def test_descriptors_that_were_made_in_other_ways_do_not_go_together(
    one, other, words, voc, tmp_path
):
    first = told_anew(voc, tmp_path, ("D", "image", 256), **one)
    second = told_anew(voc, tmp_path, ("D", "image", 384), **other)
    complaint = told(voc, tmp_path, descriptors=[first, second])
    assert complaint.startswith(f"{second}: {words.format(first=first)}")


def test_how_boxes_are_read_is_no_matter_of_whole_images(actions, tmp_path):
    paths = [
        told_anew(actions, tmp_path, ("D", region, 256), choices={"action_box": reading})
        for region, reading in (("image", "exact"), ("box", "with-margin"))
    ]
    actions.run(descriptors=paths, C=[1.0])
    paths.append(told_anew(actions, tmp_path, ("E", "box", 256), choices={"action_box": "exact"}))
    complaint = told(actions, tmp_path, descriptors=paths)
    assert complaint.startswith(f"{paths[2]}: was made with action_box: exact, but {paths[1]} with")


def test_descriptors_of_fewer_images_than_others_are_refused(voc, tmp_path):
    path = voc.paths["D", "image", 256]
    few = told_anew(voc, tmp_path, ("D", "image", 384), ids=voc.examples.ids[1:])
    complaint = told(voc, tmp_path, descriptors=[path, few])
    assert complaint == (
        f"{few}: is of other images than {path}, which has i0000; describe both from the same "
        "shards"
    )
    complaint = told(voc, tmp_path, descriptors=[few, path])
    assert f"{path}: is of other images than {few}, which lacks i0000" in complaint


def test_rows_in_another_order_are_the_same_descriptors(voc, tmp_path):
    key = ("D", "image", 384)
    turned = told_anew(voc, tmp_path, key, ids=voc.examples.ids[::-1])
    plain, _, _ = voc.run(C=[1.0], descriptors=[voc.paths["D", "image", 256], voc.paths[key]])
    found, _, _ = voc.run(C=[1.0], descriptors=[voc.paths["D", "image", 256], turned])
    assert found["test", 0].scores.tobytes() == plain["test", 0].scores.tobytes()


def test_a_class_whose_optimum_is_not_reached_is_named(actions, tmp_path, monkeypatch):
    monkeypatch.setattr(svm, "NEWTON_STEPS", 1)
    complaint = told(actions, tmp_path)
    assert complaint.startswith(
        f"{actions.folder}/e.parquet: reading has not come near its machine's optimum at C = 0.25 "
        "in 1 steps (nor did 1 of the others); a smaller C may do"
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"average_precision": None}, "give --drawn-splits, or --average-precision and parts"),
        ({"drawn_splits": "s.parquet"}, "give --drawn-splits, or --average-precision and parts"),
        ({"average_precision": "twelve-point"}, "invalid choice: 'twelve-point'"),
        ({"feature_l2": "none"}, "invalid choice: 'none'"),
        ({"C": [1.0, 0.0]}, "--C: weights of the loss are above 0"),
        ({"C": "-1"}, "--C: weights of the loss are above 0"),
        ({"C": "inf"}, "--C: weights of the loss are above 0"),
        ({"C": "nan"}, "--C: weights of the loss are above 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(changes, complaint, voc, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        train_classifiers.main(voc.words(**changes, output=tmp_path / "s.parquet"))
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_refusals_end_the_process_with_one_line_and_leave_nothing(voc, tmp_path):
    output = tmp_path / "out/s.parquet"
    given = {"output": None, "report": tmp_path / "out/r.json"}
    foreign = voc.words(**given, descriptors=[voc.folder / "e.parquet"])
    assert "is it of descriptors?" in refusal("train_classifiers", *foreign, output=output)
    process = start("train_classifiers", *voc.words(average_precision=None))
    assert "give --drawn-splits" in process.communicate()[1]
    assert process.returncode == 2
