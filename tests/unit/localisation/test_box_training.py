"""Trainings of nets of boxes: how they begin, what they see, what they are validated on."""

import csv
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.helpers.drawn_boxes import is_right, rescaled, write_boxes_of
from tests.helpers.trainings import history
from tests.unit.localisation.conftest import BLACKLISTED
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import loader, sampling
from workflow_scripts.vgg.data.box_targets import BoxTargets
from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.weights import load_weights, save_weights

LAST = ("classifier.6.weight", "classifier.6.bias")
STILL = {
    "iterations": 1,
    "learning_rate": 1e-30,
}  # which moves nothing but zeros, and those by less
CROP = 64


def without(words, option):
    """A command line without an option and its one value."""
    place = words.index(option)
    return words[:place] + words[place + 2 :]


def begun(words):
    """The net of a command line before its first iteration, in the scale of its saved weights."""
    given = train.parse(words)
    net = ConvNet(train.architecture_of(given))
    train.begin(net, given, given.input_scale)
    tensors = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tensors["features.0.weight"] /= given.input_scale
    return tensors


# How they begin


@pytest.mark.parametrize(("head", "width"), [("box-scr", 4), ("box-pcr", 40)])
def test_all_but_the_last_layer_is_the_parents_bit_for_bit(boxing, parent, tmp_path, head, width):
    before, tensors = load_file(parent), begun(boxing(tmp_path, head=head))
    assert tensors.keys() == before.keys()
    for name in before:
        if name not in LAST:
            assert torch.equal(tensors[name], before[name]), name
    weight, bias = (tensors[name] for name in LAST)
    assert weight.shape == (width, 32)
    assert bias.shape == (width,)
    # The paper's N(0, 0.01²), whatever the other layers' initialisation: here it is "he"
    assert float(weight.std()) == pytest.approx(0.01, rel=0.15)
    assert abs(float(weight.mean())) < 0.003
    others = begun(boxing(tmp_path, head=head, initialisation="glorot"))
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)


def test_the_last_layer_is_drawn_by_seed_and_model(boxing, tmp_path):
    words = [boxing(tmp_path), boxing(tmp_path), boxing(tmp_path, seed=1)]
    words += [boxing(tmp_path, model="A_S256_other")]
    one, again, other, another = (begun(own)["classifier.6.weight"] for own in words)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, another)


def targets_by_hand(shard_paths, true_boxes, iterations, model="A_S256_pcr"):
    """The targets of a training's first batches, its images' boxes being put together here."""
    shards = shard_paths("train")
    boxes = [true_boxes("train").get(name, []) for name in Shards(shards).ids()]
    counts = [len(own) for own in boxes]
    targets = BoxTargets(
        np.concatenate([[0], np.cumsum(counts)]),
        np.array([box for own in boxes for box in own]),
        CROP,
    )
    images = TrainingImages(
        shards, train.model_seed(0, model), 8, CROP, (256, 256), np.zeros((3, 3)),
        places=np.flatnonzero(counts), boxes=targets,
    )  # fmt: skip
    return torch.cat([images[iteration].boxes for iteration in range(iterations)]).double()


@pytest.mark.parametrize(("head", "boxes"), [("box-scr", 1), ("box-pcr", 10)])
def test_biases_begin_at_the_mean_box_of_the_training_set(
    boxing, parent, shard_paths, true_boxes, tmp_path, head, boxes
):
    train.main(boxing(tmp_path, head=head, **STILL))
    mean = targets_by_hand(shard_paths, true_boxes, 512).mean(0)
    tensors = load_file(tmp_path / "w.safetensors")
    found = tensors["classifier.6.bias"].double().view(boxes, 4)
    torch.testing.assert_close(found, mean.expand(boxes, 4), rtol=1e-6, atol=0)
    assert 0.4 < float(mean[:2].min()) < float(mean[:2].max()) < 0.6
    assert 0.3 < float(mean[2:].min()) < float(mean[2:].max()) < 0.8
    before = load_file(parent)
    for name in before.keys() - LAST:
        torch.testing.assert_close(tensors[name], before[name], rtol=0, atol=1e-20)


def test_biases_can_begin_at_0(boxing, tmp_path):
    train.main(boxing(tmp_path, box_last_layer="zero", **STILL))
    assert load_file(tmp_path / "w.safetensors")["classifier.6.bias"].abs().max() < 1e-20


def test_biases_begin_in_the_unit_of_the_targets(boxing, tmp_path):
    train.main(boxing(tmp_path / "fractions", **STILL))
    train.main(boxing(tmp_path / "pixels", box_units="crop-pixels", **STILL))
    one, other = (
        load_file(tmp_path / f / "w.safetensors")["classifier.6.bias"]
        for f in ("fractions", "pixels")
    )
    torch.testing.assert_close(other, CROP * one, rtol=1e-5, atol=0)


def test_trained_fc_layers_leave_the_convs_as_the_parent_has_them(boxing, parent, tmp_path):
    train.main(boxing(tmp_path, trainable="fc", iterations=6))
    before, after = load_file(parent), load_file(tmp_path / "w.safetensors")
    for name in before.keys() - LAST:
        assert torch.equal(before[name], after[name]) == name.startswith("features"), name
    train.main(boxing(tmp_path / "all", iterations=6))
    all_ = load_file(tmp_path / "all/w.safetensors")
    assert not any(torch.equal(before[name], all_[name]) for name in before.keys() - LAST)


def left_nothing(folder):
    return not (folder / "w.safetensors").exists() and not (folder / "h.csv").exists()


@pytest.mark.parametrize(
    "changes", [{"head": "classes"}, {"inherit": "all"}, {"inherit": "layers-of-A"}]
)
def test_all_but_the_last_layer_is_inherited_by_nets_of_boxes_alone(boxing, tmp_path, changes):
    with pytest.raises(InputError, match="--inherit all-but-last goes with nets of boxes, and not"):
        train.main(boxing(tmp_path, **changes))
    assert left_nothing(tmp_path)


@pytest.mark.parametrize("changes", [{"fc": 16}, {"layers": "conv3-64 | conv3-64"}, {"classes": 9}])
def test_a_parent_of_another_net_is_refused(boxing, tmp_path, changes):
    sizes = {"layers": boxing(tmp_path)[boxing(tmp_path).index("--layers") + 1], "classes": 10,
             "crop": 64, "fc": 32, "width_divisor": 16} | changes  # fmt: skip
    other = tmp_path / "other.safetensors"
    save_weights(other, ConvNet(Architecture(**sizes)), 64.0, {"model": "A_S256"})
    with pytest.raises(InputError, match=r"the parent is another net, .* than that of the boxes"):
        train.main(boxing(tmp_path, parent=other))
    assert left_nothing(tmp_path)


# What they see, and are validated on


def test_history_and_weights_say_that_it_is_of_boxes(boxing, tmp_path, parent):
    choices = {
        "box_units": "crop-pixels", "box_of_many": "largest", "box_crops": "any",
        "box_extent": "clipped", "box_last_layer": "zero", "box_loss": "mean-of-squares",
    }  # fmt: skip
    train.main(boxing(tmp_path, head="box-scr", learning_rate=1e-6, **choices))
    with open(tmp_path / "h.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "iteration", "epoch", "learning_rate", "train_loss", "val_top1_error", "val_top5_error",
        "images_per_second", "val_gtloc_error", "checksum",
    ]  # fmt: skip
    assert [row["iteration"] for row in rows] == ["5", "10", "12"]
    assert {(row["val_top1_error"], row["val_top5_error"]) for row in rows} == {("", "")}
    assert all(0 <= float(row["val_gtloc_error"]) <= 100 for row in rows)
    # 30 of the 60 images have a box
    assert [float(row["epoch"]) for row in rows] == pytest.approx([40 / 30, 80 / 30, 96 / 30])
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        metadata = {key: json.loads(value) for key, value in file.metadata().items()}
    assert metadata["architecture"]["head"] == "box-scr"
    assert (metadata["inherit"], metadata["parent"]) == ("all-but-last", "A_S256")
    assert choices.items() <= metadata["choices"].items()
    assert metadata["choices"]["initialisation"] == "he"
    net, _ = load_weights(tmp_path / "w.safetensors")
    assert net.architecture.outputs == 4
    with safe_open(parent, "pt") as file:
        assert not choices.keys() & json.loads(file.metadata()["choices"]).keys()


def error_by_hand(weights, shards, boxes, left_out):
    """The error in percent of a net's boxes of central crops, and of how many images."""
    net, metadata = load_weights(weights)
    net.eval()
    opened, wrong = Shards(shards), []
    for place, name in enumerate(opened.ids()):
        if name in left_out or not boxes.get(name):
            continue
        pixels = rescaled(opened.jpeg(place), 73)
        tall, wide = pixels.shape[:2]
        top, left = (tall - CROP) // 2, (wide - CROP) // 2
        crop = pixels[top : top + CROP, left : left + CROP] - np.float32(metadata["mean_rgb"])
        with torch.inference_mode():
            outputs = net(torch.tensor(crop.transpose(2, 0, 1)[None])).view(-1, 4)
        label = int(opened.labels[place]) if len(outputs) > 1 else 0
        x, y, across, down = (CROP * float(number) for number in outputs[label])
        across, down = max(across, 1), max(down, 1)
        width, height = int(opened.widths[place]), int(opened.heights[place])
        edges = [
            (left + x - across / 2) * width / wide, (top + y - down / 2) * height / tall,
            (left + x + across / 2) * width / wide, (top + y + down / 2) * height / tall,
        ]  # fmt: skip
        xmin, ymin, xend, yend = (round(edge) for edge in edges)
        xmin, ymin = min(max(xmin, 0), width - 1), min(max(ymin, 0), height - 1)
        xmax, ymax = max(min(xend, width) - 1, xmin), max(min(yend, height) - 1, ymin)
        wrong.append(not is_right([xmin, ymin, xmax, ymax], boxes[name], width, height))
    return 100 * np.mean(wrong), len(wrong)


def last_error(folder):
    return float(history(folder / "h.csv")[-1]["val_gtloc_error"])


@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
def test_the_validation_error_is_that_of_boxes_painted_and_counted(
    boxing, shard_paths, true_boxes, tmp_path, head
):
    """Of the 22 images with boxes, without the three on the blacklist."""
    train.main(boxing(tmp_path, head=head))
    boxes = true_boxes("val")
    error, images = error_by_hand(
        tmp_path / "w.safetensors", shard_paths("val"), boxes, BLACKLISTED
    )
    assert images == 22 - len(BLACKLISTED & boxes.keys())
    assert 10 < error < 90
    assert last_error(tmp_path) == pytest.approx(error)


def seen_places(monkeypatch):
    """The places in the shards of the images that training decodes, as they come."""
    seen, real = [], loader.decode
    monkeypatch.setattr(
        loader,
        "decode",
        lambda encoded, name, *rows: (
            seen.append(int(name.split()[-1])) or real(encoded, name, *rows)
        ),
    )
    return seen


def test_images_without_a_box_are_never_seen(boxing, shard_paths, boxed_ids, tmp_path, monkeypatch):
    seen = seen_places(monkeypatch)
    train.main(boxing(tmp_path, iterations=15))
    names = list(Shards(shard_paths("train")).ids())
    assert {names[place] for place in seen} == set(boxed_ids("train"))
    assert np.bincount(seen, minlength=60).max() == 4, "four epochs of 30 images"


def test_a_held_out_part_has_boxes_too_and_is_never_seen(
    boxing, shard_paths, true_boxes, tmp_path, monkeypatch
):
    monkeypatch.setattr(sampling, "HELD_OUT_SHARE", 0.15)
    seen = seen_places(monkeypatch)
    words = without(boxing(tmp_path, validation_set="held-out", iterations=10), "--val-boxes")
    place = words.index("--val-shards")
    train.main(words[:place] + words[place + 3 :])
    shards, boxes = shard_paths("train"), true_boxes("train")
    names = list(Shards(shards).ids())
    seen_names = {names[place] for place in seen}
    assert seen_names < boxes.keys()
    trained_on, places = sampling.held_out(0, 60)
    assert len(places) == 9
    assert seen_names == {names[place] for place in trained_on} & boxes.keys()
    rest = [names[place] for place in trained_on]
    error, images = error_by_hand(tmp_path / "w.safetensors", shards, boxes, rest)
    assert images == len(boxes) - len(seen_names)
    assert last_error(tmp_path) == pytest.approx(error)


def test_the_rate_drops_where_the_boxes_stop_getting_better(boxing, tmp_path):
    """As plateaus of classification do: on the first error of the history that there is."""
    still = {"learning_rate": 1e-20, "iterations": 25, "latest_drops": [0.9, 0.95]}
    train.main(boxing(tmp_path, patience=2, **still))
    rates = [float(row["learning_rate"]) for row in history(tmp_path / "h.csv")]
    assert rates == pytest.approx([1e-20, 1e-20, 1e-20, 1e-21, 1e-21])


# Their data


def test_a_training_goes_on_from_the_same_boxes_and_from_no_others(
    boxing, shard_paths, true_boxes, truths, tmp_path, caplog
):
    same, other = tmp_path / "same.parquet", tmp_path / "other.parquet"
    same.write_bytes((truths / "val.parquet").read_bytes())
    write_boxes_of(other, shard_paths("val"), true_boxes("val"), BLACKLISTED[:2])
    train.main(boxing(tmp_path, iterations=6))
    before = load_file(tmp_path / "w.safetensors")
    caplog.set_level("INFO")
    train.main(boxing(tmp_path, iterations=6, val_boxes=same))
    assert "going on from iteration 6" in caplog.text
    caplog.clear()
    train.main(boxing(tmp_path, iterations=6, val_boxes=other))
    assert "was made with other settings or data; starting anew" in caplog.text
    after = load_file(tmp_path / "w.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    own = dict(list(true_boxes("train").items())[1:])
    write_boxes_of(other, shard_paths("train"), own)
    caplog.clear()
    train.main(boxing(tmp_path, iterations=6, train_boxes=other))
    assert "was made with other settings or data; starting anew" in caplog.text


@pytest.mark.parametrize("option", ["--train-boxes", "--val-boxes"])
def test_a_net_of_boxes_asks_for_boxes(boxing, tmp_path, option):
    with pytest.raises(InputError, match=r"needs --train-boxes|give --val-boxes, or --validation"):
        train.main(without(boxing(tmp_path), option))
    assert left_nothing(tmp_path)


def test_training_images_without_any_box_are_refused(boxing, shard_paths, tmp_path):
    none = write_boxes_of(tmp_path / "none.parquet", shard_paths("train"), {})
    with pytest.raises(InputError, match=r"none\.parquet: no training image has a box"):
        train.main(boxing(tmp_path, train_boxes=none))
    assert left_nothing(tmp_path)


@pytest.mark.parametrize("head", ["box-pcr", "box-scr"])
def test_a_class_without_a_box_has_no_box_of_its_own(
    boxing, shard_paths, true_boxes, tmp_path, head
):
    shards = Shards(shard_paths("train"))
    label_of = dict(zip(shards.ids(), shards.labels.tolist(), strict=True))
    boxes = {name: own for name, own in true_boxes("train").items() if label_of[name] != 3}
    some = write_boxes_of(tmp_path / "some.parquet", shard_paths("train"), boxes)
    words = boxing(tmp_path, train_boxes=some, head=head, iterations=1)
    if head == "box-scr":
        train.main(words)
        return
    with pytest.raises(InputError, match=r"1 of 10 classes have no training .* first label 3"):
        train.main(words)
    assert left_nothing(tmp_path)


def test_a_class_whose_boxes_are_held_out_has_no_box_of_its_own(
    boxing, shard_paths, true_boxes, tmp_path
):
    shards = Shards(shard_paths("train"))
    names, (rest, held_out) = list(shards.ids()), sampling.held_out(0, 60)
    other = shards.labels[held_out[0]]
    taken = {names[place] for place in rest if shards.labels[place] == other}
    boxes = {name: own for name, own in true_boxes("train").items() if name not in taken}
    boxes[names[held_out[0]]] = [(0.2, 0.2, 0.8, 0.8)]
    some = write_boxes_of(tmp_path / "some.parquet", shard_paths("train"), boxes)
    train.main(boxing(tmp_path / "validated", train_boxes=some, iterations=1))
    words = boxing(tmp_path, validation_set="held-out", train_boxes=some)
    with pytest.raises(InputError, match=rf"1 of 10 classes have .* first label {other}, so their"):
        train.main(without(words, "--val-boxes"))
    assert not (tmp_path / "w.safetensors").exists()


def test_a_net_of_boxes_starts_from_a_classifier(boxing, tmp_path):
    words = without(boxing(tmp_path), "--parent")
    with pytest.raises(InputError, match="starts from a classifier: give --parent"):
        train.main(words)
    train.main(boxing(tmp_path / "one", iterations=1))
    with pytest.raises(InputError, match="the parent predicts boxes itself"):
        train.main(boxing(tmp_path, parent=tmp_path / "one/w.safetensors"))
    assert left_nothing(tmp_path)


@pytest.mark.parametrize("which", ["none has a box", "all are blacklisted"])
def test_validation_images_that_no_box_can_be_tested_on_are_refused(
    boxing, shard_paths, true_boxes, tmp_path, which
):
    boxes = {} if which == "none has a box" else true_boxes("val")
    path = write_boxes_of(tmp_path / "none.parquet", shard_paths("val"), boxes, [*boxes])
    with pytest.raises(InputError, match=r"none\.parquet: no validation image has a box"):
        train.main(boxing(tmp_path, val_boxes=path))
    assert left_nothing(tmp_path)


def test_a_held_out_part_without_a_box_is_refused(boxing, shard_paths, true_boxes, tmp_path):
    rest, _ = sampling.held_out(0, 60)
    names = list(Shards(shard_paths("train")).ids())
    boxes = {n: own for n, own in true_boxes("train").items() if n in {names[p] for p in rest}}
    some = write_boxes_of(tmp_path / "some.parquet", shard_paths("train"), boxes)
    words = without(boxing(tmp_path, validation_set="held-out", train_boxes=some), "--val-boxes")
    with pytest.raises(InputError, match=r"some\.parquet: no validation image has a box"):
        train.main(words)
    assert left_nothing(tmp_path)


@pytest.mark.parametrize("option", ["train_boxes", "val_boxes"])
def test_boxes_of_other_images_are_refused(boxing, shard_paths, truths, tmp_path, option):
    split = option.split("_")[0]
    lacking = write_boxes_of(tmp_path / "some.parquet", shard_paths(split)[:1], {})
    name = Shards(shard_paths(split)[1:]).id(0)
    with pytest.raises(InputError, match=rf"some\.parquet: lacks {name}; it is of other images"):
        train.main(boxing(tmp_path, **{option: lacking}))
    assert left_nothing(tmp_path)


@pytest.mark.parametrize("option", ["train_boxes", "val_boxes"])
def test_damaged_boxes_are_refused(boxing, truths, tmp_path, option):
    content = bytearray((truths / f"{option.split('_')[0]}.parquet").read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"t\.parquet: is damaged: .* Is it the right"):
        train.main(boxing(tmp_path, **{option: tmp_path / "t.parquet"}))
    assert left_nothing(tmp_path)


@pytest.mark.slow
def test_loader_workers_change_nothing(boxing, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "pick_device", lambda *_: torch.device("cpu"))
    for name, threads in (("none", 1), ("some", 2)):
        train.main(boxing(tmp_path / name, threads=threads, iterations=7))
    none, some = (load_file(tmp_path / n / "w.safetensors") for n in ("none", "some"))
    assert all(torch.equal(none[key], some[key]) for key in none)
