"""The command that boxes a split's images: what it writes, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.box_windows import (
    WINDOW,
    central_box_of,
    constant,
    dense_boxes_of,
    net_of,
    saved,
)
from tests.helpers.drawn_boxes import write_boxes_of
from tests.helpers.refusals import refusal, start
from workflow_scripts import evaluate, evaluate_boxes
from workflow_scripts.vgg.core.files import InputError, sha256
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.localisation.box_files import read_boxes

BY_CLASS = [(0.5, 0.5, 0.05 * (1 + c), 0.5) for c in range(10)]  # of widths that tell the class


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with weights of nets of boxes and of classifiers."""
    folder = tmp_path_factory.mktemp("weights")
    saved(folder / "pcr.safetensors", constant("box-pcr", BY_CLASS))
    saved(folder / "scr.safetensors", constant("box-scr", WINDOW), "A_S256_scr")
    saved(folder / "A.safetensors", net_of("classes"), "A_S256")
    saved(folder / "mean.safetensors", net_of("classes"), "A_S256", mean_rgb=[1.0, 2.0, 3.0])
    saved(folder / "crop.safetensors", net_of("classes", crop=96), "A_S256")
    saved(folder / "classes.safetensors", net_of("classes", 7), "A_S256")
    return folder


@pytest.fixture
def words(weights, shard_paths, tmp_path):
    """`words(**options)` is the command line of a dense pass of the validation set."""

    def build(weights_="pcr", split="val", **changes):
        values = {
            "weights": weights / f"{weights_}.safetensors", "shards": shard_paths(split),
            "method": "dense", "scale": 256, "classifier": weights / "A.safetensors",
            "output": tmp_path / "out/b.parquet",
        } | changes  # fmt: skip
        found = []
        for name, value in values.items():
            if value is not None:
                found += [f"--{name.replace('_', '-')}", *map(str, np.atleast_1d(value))]
        return found

    return build


CENTRAL = {"method": "center", "classifier": None}


def told(words, tmp_path):
    """What is said of a command that is refused and leaves nothing."""
    with pytest.raises(InputError) as raised:
        evaluate_boxes.main(words)
    assert not list((tmp_path / "out").glob("*"))
    return str(raised.value)


def boxed(words):
    """{name: image} of a file of boxes, in its order."""
    evaluate_boxes.main(words)
    return {image.id: image for image in read_boxes(words[words.index("--output") + 1])}


def facts(shards):
    """{name: (label, width, height)}."""
    columns = (shards.labels.tolist(), shards.widths.tolist(), shards.heights.tolist())
    return dict(zip(shards.ids(), zip(*columns, strict=True), strict=True))


def random_posteriors(path, shards, seed=0, ids=None, classes=10, labels=None):
    """Posteriors of some shards' images, as a file; gives the five likeliest classes by name."""
    ids = list(shards.ids()) if ids is None else ids
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.ones(classes), len(ids)).astype(np.float32)
    labels = shards.labels[: len(ids)] if labels is None else labels
    write_posteriors(path, ids, labels, values, {})
    return dict(zip(ids, values, strict=True))


# What it writes


def test_dense_boxes_of_the_five_likeliest_classes(words, shard_paths, tmp_path):
    """By the mean of two sets of posteriors; the shards are given in another order."""
    shards = Shards(shard_paths("val"))
    one, other = (random_posteriors(tmp_path / f"{n}.parquet", shards, n) for n in (1, 2))
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    found = boxed(words(posteriors=paths, shards=shard_paths("val")[::-1]))
    assert list(found) == sorted(one)
    for name, (label, width, height) in facts(shards).items():
        image = found[name]
        assert (image.label, image.width, image.height) == (label, width, height)
        likeliest = np.argsort(-(one[name].astype(float) + other[name]))[:5]
        assert image.predicted.classes.tolist() == likeliest.tolist()
        for place, guessed in enumerate(likeliest):
            truth = dense_boxes_of(height, width, 73, BY_CLASS[guessed])
            np.testing.assert_allclose(image.predicted.boxes[place], truth, rtol=1e-5, atol=1e-3)
        assert 0 < image.predicted.scores.min() <= image.predicted.scores.max() < 1


def test_dense_boxes_of_the_true_class_without_posteriors(words, shard_paths):
    for name, image in boxed(words()).items():
        label, width, height = facts(Shards(shard_paths("val")))[name]
        assert image.predicted.classes.tolist() == [label]
        truth = dense_boxes_of(height, width, 73, BY_CLASS[label])
        np.testing.assert_allclose(image.predicted.boxes[0], truth, rtol=1e-5, atol=1e-3)


def test_a_mirrored_pass_doubles_the_rows(words):
    plain, both = boxed(words()), boxed(words(box_flip="mirrored"))
    for name, image in both.items():
        rows = plain[name].predicted.boxes.shape[1]
        assert image.predicted.boxes.shape[1] == 2 * rows
        assert np.array_equal(image.predicted.boxes[:, :rows], plain[name].predicted.boxes)


@pytest.mark.parametrize("which", ["scr", "pcr"])
def test_central_boxes_are_of_the_true_class_with_a_score_of_1(words, shard_paths, which):
    found = boxed(words(which, scale=384, **CENTRAL))
    for name, (label, width, height) in facts(Shards(shard_paths("val"))).items():
        own = found[name].predicted
        assert (own.classes.tolist(), own.scores.tolist()) == ([label], [[[1.0]]])
        numbers = WINDOW if which == "scr" else BY_CLASS[label]
        truth = central_box_of(height, width, 110, numbers)
        assert own.boxes[0, 0, 0] == pytest.approx(truth, rel=1e-5, abs=1e-3)


def test_the_unit_is_that_of_the_nets_training(words, tmp_path):
    pixels = constant("box-scr", [64 * n for n in WINDOW])
    path = saved(tmp_path / "p.safetensors", pixels, choices={"box_units": "crop-pixels"})
    one, other = boxed(words("scr", **CENTRAL)), boxed(words(**CENTRAL | {"weights": path}))
    for name, image in one.items():
        np.testing.assert_allclose(
            image.predicted.boxes, other[name].predicted.boxes, rtol=1e-5, atol=1e-3
        )


def test_a_file_says_what_its_boxes_come_from(words, weights, tmp_path):
    boxed(words(box_flip="mirrored", resize_filter="bilinear"))
    said = read_metadata(tmp_path / "out/b.parquet")
    assert (said["model"], said["method"], said["Q"]) == ("A_S256_pcr", "dense", 256)
    assert said["weights_sha256"] == sha256(weights / "pcr.safetensors")
    assert said["classifier_sha256"] == sha256(weights / "A.safetensors")
    assert said["choices"] == {
        "box_flip": "mirrored", "pool_rounding": "floor", "resize_filter": "bilinear",
    }  # fmt: skip
    boxed(words("scr", **CENTRAL))
    assert read_metadata(tmp_path / "out/b.parquet")["classifier_sha256"] is None


def test_a_sample_is_of_images_with_boxes_and_by_its_seed(words, truths, true_boxes):
    boxes = true_boxes("train")
    options = {"split": "train", "boxed_in": truths / "train.parquet"}
    assert boxed(words(**options)).keys() == boxes.keys()
    drawn = [set(boxed(words(**options, sample=9, seed=seed))) for seed in (0, 0, 1)]
    assert [len(own) for own in drawn] == [9, 9, 9]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] | drawn[2] < boxes.keys()
    assert len(boxed(words(split="train", sample=9))) == 9
    assert boxed(words(**options, sample=1000)).keys() == boxes.keys()


@pytest.mark.slow
def test_threads_batches_and_scratch_change_nothing(words, shard_paths, tmp_path):
    plain = boxed(words(scale=384))
    more = {"threads": 2, "batch_size": 3, "local_scratch": tmp_path / "scratch", "device": "cpu"}
    for name, image in boxed(words(scale=384, **more)).items():
        own, other = image.predicted, plain[name].predicted
        np.testing.assert_allclose(own.boxes, other.boxes, rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(own.scores, other.scores, rtol=1e-3, atol=1e-6)


# What it refuses


def test_weights_of_the_other_kind_are_refused(words, weights, shard_paths, tmp_path):
    complaint = told(words("A"), tmp_path)
    assert f"{weights}/A.safetensors: predicts classes, not boxes; its model has no" in complaint
    output = tmp_path / "p.parquet"
    given = ["--weights", weights / "pcr.safetensors", "--method", "center", "--scale", 256]
    given += ["--shards", *shard_paths("val"), "--output", output]
    with pytest.raises(InputError, match=r"pcr\.safetensors: predicts boxes, not classes; evaluat"):
        evaluate.main([*map(str, given)])
    assert not output.exists()


OTHERS = (
    "take other inputs or know other classes; give the classifier that the net of boxes started"
)


@pytest.mark.parametrize(
    ("classifier", "complaint"),
    [
        ("pcr", "pcr.safetensors: predicts boxes; give the weights of a classifier"),
        ("crop", OTHERS),
        ("mean", OTHERS),
        ("classes", OTHERS),
        ("nowhere", "nowhere.safetensors"),
    ],
)
def test_a_classifier_sees_what_the_net_of_boxes_does(
    words, weights, tmp_path, classifier, complaint
):
    path = weights / f"{classifier}.safetensors"
    assert complaint in told(words(classifier=path), tmp_path)
    assert str(path) in told(words(classifier=path), tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"classifier": None}, "--classifier goes with --method dense, and only with it"),
        ({"method": "center"}, "--classifier goes with --method dense, and only with it"),
        (CENTRAL | {"posteriors": "p.parquet"}, "--method center boxes the true class: leave out"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, tmp_path, capsys, changes, complaint):
    with pytest.raises(SystemExit) as stopped:
        evaluate_boxes.main(words(**changes))
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{}, CENTRAL])
def test_a_test_scale_below_the_crop_is_refused(words, tmp_path, changes):
    complaint = told(words(scale=220, **changes), tmp_path)
    assert "Q of 63 pixels is smaller than the net's input of 64 pixels" in complaint


def test_posteriors_are_of_all_the_images(words, shard_paths, tmp_path):
    shards = Shards(shard_paths("val"))
    names = list(shards.ids())
    path = tmp_path / "p.parquet"
    random_posteriors(path, shards, ids=names[:-1])
    complaint = told(words(posteriors=path), tmp_path)
    assert f"{path}: lacks {names[-1]} of {shard_paths('val')[0]}" in complaint
    assert "delete it and evaluate its model again" in complaint


def test_posteriors_are_of_the_nets_classes(words, shard_paths, tmp_path):
    path = tmp_path / "p.parquet"
    random_posteriors(path, Shards(shard_paths("val")), classes=40)
    complaint = told(words(posteriors=path), tmp_path)
    assert f"{path}: has class" in complaint
    assert "pcr.safetensors knows 10 classes; give those of one data set" in complaint


def test_unlabelled_images_need_posteriors(words, shard_paths, tmp_path):
    """The true class of a test set is not known; five classes are guessed with posteriors."""
    shards = Shards(shard_paths("test"))
    sizes = zip(shards.heights.tolist(), shards.widths.tolist(), strict=True)
    rows = [
        (name, -1, bytes(shards.jpeg(place)), *size)
        for place, (name, size) in enumerate(zip(shards.ids(), sizes, strict=True))
    ]
    write_shard(tmp_path / "u.arrow", rows)
    for changes in ({}, CENTRAL):
        complaint = told(words(shards=tmp_path / "u.arrow", **changes), tmp_path)
        assert f"u.arrow: {shards.id(0)} has no label; give posteriors" in complaint
    path = tmp_path / "p.parquet"
    random_posteriors(path, shards, labels=np.full(12, -1))
    found = boxed(words(shards=tmp_path / "u.arrow", posteriors=path))
    assert {(image.label, len(image.predicted.classes)) for image in found.values()} == {(-1, 5)}


def test_a_sample_of_no_boxes_is_refused(words, shard_paths, tmp_path):
    none = write_boxes_of(tmp_path / "none.parquet", shard_paths("val"), {})
    complaint = told(words(boxed_in=none), tmp_path)
    assert f"{none}: no image of {shard_paths('val')[0]} has a box" in complaint
    some = write_boxes_of(tmp_path / "some.parquet", shard_paths("val")[:1], {})
    lacking = Shards(shard_paths("val")[1:]).id(0)
    assert f"{some}: lacks {lacking}; it is of other" in told(words(boxed_in=some), tmp_path)


def test_weights_that_are_not_finite_are_blamed(words, tmp_path):
    net = net_of("box-pcr")
    with torch.no_grad():
        net.fc_layers[-1].bias.fill_(float("nan"))
    path = saved(tmp_path / "nan.safetensors", net)
    for changes in ({}, CENTRAL):
        complaint = told(words(**changes | {"weights": path}), tmp_path)
        assert complaint.startswith(f"{path}: the net's boxes are not finite")


@pytest.mark.slow
def test_refusals_end_the_process_with_one_line_and_leave_nothing(words, weights, tmp_path):
    output = tmp_path / "out/b.parquet"

    def refused(*given, **changes):
        own = words(*given, **changes | {"output": None})
        return refusal("evaluate_boxes", *own, output=output)

    assert "predicts classes, not boxes" in refused("A")
    assert "take other inputs" in refused(classifier=weights / "crop.safetensors")
    assert "is smaller than the net's input" in refused(scale=200)
    given = words("pcr", classifier=None, output=None, method="center")
    assert "predicts boxes, not classes" in refusal("evaluate", *given, output=output)
    process = start("evaluate_boxes", *words(classifier=None))
    assert "--classifier goes with --method dense" in process.communicate()[1]
    assert process.returncode == 2
    assert not list(Path(output).parent.iterdir())
