"""SGD as the paper has it, the plateau schedule, weights that say what they are, and resuming."""

import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from tests.helpers.clones import ROOT
from tests.helpers.trainings import LAYERS_A
from workflow_scripts import list_classes, train
from workflow_scripts.vgg.core.files import InputError, sha256
from workflow_scripts.vgg.data import loader, sampling
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.weights import load_weights, read_metadata, write_safetensors
from workflow_scripts.vgg.training.checkpoints import (
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from workflow_scripts.vgg.training.optimisation import Optimisation, sgd
from workflow_scripts.vgg.training.schedule import Plateau


@pytest.mark.slow
def test_two_runs_with_one_seed_give_the_same_bytes(command, tmp_path):
    for name in ("one", "two"):
        train.main(command(tmp_path / name, checkpoints=tmp_path / "checkpoints"))
    train.main(command(tmp_path / "three", seed=1))
    one, two, three = (load_file(tmp_path / n / "w.safetensors") for n in ("one", "two", "three"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not any(torch.equal(one[key], three[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 3])
def test_loader_workers_change_nothing_but_speed(command, tmp_path, threads, monkeypatch):
    monkeypatch.setattr(train, "pick_device", lambda *_: torch.device("cpu"))
    train.main(command(tmp_path / "none"))
    train.main(command(tmp_path / "some", threads=threads))
    none, some = (load_file(tmp_path / n / "w.safetensors") for n in ("none", "some"))
    assert all(torch.equal(none[key], some[key]) for key in none)


def test_history_and_metadata_say_what_happened(command, tmp_path):
    train.main(command(tmp_path))
    with open(tmp_path / "h.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["5", "10", "12"]
    assert [float(row["epoch"]) for row in rows] == pytest.approx([40 / 60, 80 / 60, 96 / 60])
    assert list(rows[0]) == [
        "iteration", "epoch", "learning_rate", "train_loss", "val_top1_error", "val_top5_error",
        "images_per_second", "checksum",
    ]  # fmt: skip
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        metadata = {key: json.loads(value) for key, value in file.metadata().items()}
    assert metadata["net"] == "A"
    assert metadata["S"] == [256, 256]
    assert metadata["iterations"] == 12
    assert metadata["architecture"]["crop"] == 64
    assert metadata["parent"] is None
    assert len(metadata["mean_rgb"]) == 3
    assert [p.name for p in (tmp_path / "checkpoints").glob("*.pt")] == ["000000012.pt"]


def test_weights_name_their_classes_which_decide_nothing(command, tmp_path):
    for name in "jihgfedcba":
        (tmp_path / "tree" / name).mkdir(parents=True)
    table = tmp_path / "classes.parquet"
    list_classes.main(
        ["--folders", str(tmp_path / "tree"), "--classes", "10", "--output", str(table)]
    )
    train.main(command(tmp_path / "without", iterations=1))
    train.main(command(tmp_path / "with", iterations=1, class_list=table))
    one, two = (read_metadata(tmp_path / name / "w.safetensors") for name in ("without", "with"))
    assert (one["wnids"], two["wnids"]) == (None, list("abcdefghij"))
    assert one["config_fingerprint"] == two["config_fingerprint"]
    with pytest.raises(InputError, match=r"classes\.parquet: 10 classes, but --classes is 11"):
        train.main(command(tmp_path / "other", iterations=1, class_list=table, classes=11))


def test_weights_say_how_every_choice_of_training_was_made(command, tmp_path):
    choices = {
        "initialisation": "he", "transferred_convs": "first-of-block", "biases": "caffe",
        "lrn": "caffe", "colour_shift": "none", "scale_sampling": "uniform-real",
        "resize_filter": "bilinear", "last_batch": "drop", "validation_set": "held-out",
    }  # fmt: skip
    layers = LAYERS_A.replace("conv3-64", "conv3-64 LRN")
    train.main(command(tmp_path, layers=layers, iterations=1, **choices))
    net, metadata = load_weights(tmp_path / "w.safetensors")
    assert metadata["choices"] == choices
    assert metadata["architecture"]["lrn"] == "caffe"
    assert (net.features[2].k, net.features[2].alpha) == (1.0, 1e-4 / 5)
    test_time = {"score_average", "pool_rounding", "crop_grid"}
    schema = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
    of_classifiers = {
        name
        for name, entry in schema["properties"]["choices"]["properties"].items()
        if {"training", "evaluation"} & set(entry["decides"])
    }
    assert {*choices, *test_time} == of_classifiers


def test_the_same_training_writes_the_same_bytes(command, tmp_path):
    one, two = (tmp_path / name / "w.safetensors" for name in ("one", "two"))
    for file in (one, two):
        train.main(command(file.parent, iterations=2))
    assert one.read_bytes() == two.read_bytes()


def test_weights_of_before_the_choice_have_krizhevskys_constants(command, tmp_path):
    layers = LAYERS_A.replace("conv3-64", "conv3-64 LRN")
    train.main(command(tmp_path, layers=layers, iterations=1))
    path = tmp_path / "w.safetensors"
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    architecture = json.loads(metadata["architecture"])
    assert architecture.pop("lrn") == "krizhevsky"
    metadata["architecture"] = json.dumps(architecture)
    write_safetensors(path, tensors, metadata)
    assert load_weights(path)[0].features[2].k == 2.0


def test_constants_of_a_layer_that_a_net_lacks_keep_no_child_from_its_parent(command, tmp_path):
    train.main(command(tmp_path / "parent", iterations=1))
    parent = str(tmp_path / "parent/w.safetensors")
    train.main(command(tmp_path / "child", parent=parent, inherit="all", iterations=1, lrn="caffe"))


def test_epochs_without_the_images_left_over(command, tmp_path):
    train.main(command(tmp_path, last_batch="drop"))
    with open(tmp_path / "h.csv") as file:
        epochs = [float(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs == pytest.approx([5 / 7, 10 / 7, 12 / 7])  # 60 images make seven batches of 8


@pytest.mark.slow
def test_a_held_out_part_is_validated_on_and_never_trained_on(
    command, tmp_path, shard_paths, statistics, monkeypatch
):
    monkeypatch.setattr(sampling, "HELD_OUT_SHARE", 0.25)
    visited = set()

    real = loader.decode
    monkeypatch.setattr(
        loader,
        "decode",
        lambda encoded, name, *rows: (
            visited.add(int(name.split()[-1])) or real(encoded, name, *rows)
        ),
    )
    choice = {"validation_set": "held-out", "iterations": 6}
    train.main(command(tmp_path / "parent", **choice))
    parent = str(tmp_path / "parent/w.safetensors")
    child = {"model": "A_S384", "parent": parent, "inherit": "all"}
    train.main(command(tmp_path / "child", **choice, **child))
    assert len(visited) == 45, "both models see the same images, and all of them"

    net, metadata = load_weights(tmp_path / "child/w.safetensors")
    shards = Shards(shard_paths("train"))
    wrong = []
    for place in set(range(60)) - visited:
        pixels = np.asarray(Image.open(io.BytesIO(shards.jpeg(place))).convert("RGB"))
        top, left = ((side - 64) // 2 for side in pixels.shape[:2])
        crop = pixels[top : top + 64, left : left + 64] - np.array(metadata["mean_rgb"])
        with torch.inference_mode():
            scores = net.eval()(torch.tensor(crop.transpose(2, 0, 1)[None], dtype=torch.float32))
        wrong.append(int(scores.argmax()) != shards.labels[place])
    with open(tmp_path / "child/h.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["val_top1_error"]) == pytest.approx(100 * np.mean(wrong))


def test_validation_images_are_asked_for(command, tmp_path):
    words = command(tmp_path)
    start = words.index("--val-shards")
    given = train.parse(words[:start] + words[start + 3 :])
    with pytest.raises(InputError, match="give --val-shards, or --validation-set held-out"):
        train.validation_split(given, given.train_shards, given.val_shards)


def test_the_first_step_is_sgd_with_decay_on_the_mean_loss(command, tmp_path):
    """One iteration in float64, recomputed by autograd and the textbook update."""
    words = command(tmp_path, iterations=1, dropout=0, precision="float64")
    given = train.parse(words)
    net = ConvNet(train.architecture_of(given), dropout=0.0)
    train.begin(net, given, input_scale=64.0)
    net.double()
    start = {name: p.detach().clone() for name, p in net.named_parameters()}
    measured = json.loads(Path(given.statistics).read_text())
    images = train.TrainingImages(
        given.train_shards, train.model_seed(0, "A_S256"), 8, 64, (256, 256),
        sampling.colour_axes(measured, "pca-root-eigenvalues"),
    )  # fmt: skip
    batch = images[0]
    mean = torch.tensor(measured["mean_rgb"], dtype=torch.float64).view(1, 3, 1, 1)
    x = (batch.images.double() - mean + batch.shifts[:, :, None, None]) / 64
    losses = -net(x).log_softmax(1)[torch.arange(8), batch.labels]
    losses.mean().backward()
    train.main(words)
    found = load_file(tmp_path / "w.safetensors")
    for name, parameter in net.named_parameters():
        expected = start[name] - 0.01 * (parameter.grad + 5e-4 * start[name])
        expected = expected / 64 if name == "features.0.weight" else expected
        # Rounded to float32 when saved, and pixels in it when the mean is subtracted.
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-6, atol=1e-8)


def test_a_child_starts_from_all_of_its_parent_and_names_it(command, tmp_path):
    train.main(command(tmp_path / "parent"))
    parent = str(tmp_path / "parent/w.safetensors")
    changes = {"model": "A_S384", "parent": parent, "inherit": "all", "learning_rate": 1e-12}
    train.main(command(tmp_path / "child", train_scale=[256, 384], iterations=1, **changes))
    before, after = load_file(parent), load_file(tmp_path / "child/w.safetensors")
    for key in before:
        torch.testing.assert_close(after[key], before[key], rtol=1e-5, atol=1e-8)
    _, metadata = load_weights(tmp_path / "child/w.safetensors")
    assert metadata["parent"] == "A_S256"
    assert metadata["parent_sha256"] == sha256(parent)


def test_fc_only_training_leaves_the_convs_alone(command, tmp_path):
    train.main(command(tmp_path / "parent"))
    parent = str(tmp_path / "parent/w.safetensors")
    train.main(command(tmp_path / "child", parent=parent, inherit="all", trainable="fc"))
    before, after = load_file(parent), load_file(tmp_path / "child/w.safetensors")
    for key in before:
        assert torch.equal(before[key], after[key]) == key.startswith("features"), key


def test_biases_by_caffes_habit():
    net = ConvNet(Architecture("conv3-64", crop=8, classes=2, fc=8, width_divisor=8))
    groups = sgd(net, Optimisation(biases="caffe")).param_groups
    assert [(g["rate_factor"], g["weight_decay"]) for g in groups] == [(1.0, 5e-4), (2.0, 0.0)]
    assert all(p.dim() == 1 for p in groups[1]["params"])
    groups = sgd(net, Optimisation()).param_groups
    assert [(g["rate_factor"], g["weight_decay"]) for g in groups] == [(1.0, 5e-4), (1.0, 5e-4)]


def factors(plateau, errors):
    """The learning rate's factor after each of the errors, a validation every 10 iterations."""
    found = []
    for number, error in enumerate(errors, start=1):
        plateau.observe(10 * number, error)
        found.append(plateau.factor)
    return pytest.approx(found)


def test_plateau_schedule_by_hand():
    plateau = Plateau(latest_drops=[1000, 1000, 1000], patience=2)
    errors = [80, 70, 71, 72, 60, 61, 60, 50, 50, 50, 49, 49]
    #                 ^wait ^drop     ^wait ^drop ^best ^wait ^drop ^best ^wait
    expected = [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001]
    assert factors(plateau, errors) == expected
    assert not plateau.finished
    plateau.observe(130, 49)
    assert plateau.finished


def test_drops_come_in_time_without_a_plateau():
    plateau = Plateau(latest_drops=[30, 50, 60], patience=2)
    expected = [1, 1, 0.1, 0.1, 0.01, 0.001, 0.001]
    assert factors(plateau, [80, 70, 60, 50, 40, 30, 20]) == expected
    assert not plateau.finished


def test_an_early_plateau_leaves_the_later_drops_their_time():
    plateau = Plateau(latest_drops=[30, 60], patience=1)
    assert factors(plateau, [80, 81, 70, 60, 50, 40]) == [1, 0.1, 0.1, 0.1, 0.1, 0.01]


def test_a_plateaus_margin_asks_for_more_than_noise():
    plateau = Plateau(latest_drops=[1000], patience=1, margin=0.5)
    assert factors(plateau, [50, 49.7]) == [1, 0.1]


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])


def flip_a_bit(path):
    """Of a tensor: torch.load alone would not notice."""
    content = bytearray(path.read_bytes())
    content[content.index(b"\x2a" * 64) + 5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_in_half, flip_a_bit])
def test_a_corrupt_checkpoint_falls_back_to_the_one_before(tmp_path, caplog, damage):
    for iteration in (10, 20, 30):
        tensor = torch.full((4096,), 0x2A, dtype=torch.uint8)
        save_checkpoint(
            tmp_path, iteration, {"settings": "s", "iteration": iteration, "tensor": tensor}
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000000020.pt", "000000030.pt"]
    damage(tmp_path / "000000030.pt")
    assert load_checkpoint(newest_checkpoint(tmp_path, "s"))["iteration"] == 20
    assert "WARNING" in caplog.text
    assert "000000030.pt is corrupt" in caplog.text
    # The corrupt one takes no place among those kept.
    save_checkpoint(tmp_path, 25, {"settings": "s", "iteration": 25})
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["000000020.pt", "000000025.pt"]


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path):
    save_checkpoint(tmp_path, 10, {"settings": "old", "iteration": 10})
    assert newest_checkpoint(tmp_path, "new") is None
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("content", [{"foo": 1}, [1], None], ids=["mapping", "list", "link"])
def test_what_is_no_checkpoint_is_set_aside(content, tmp_path):
    save_checkpoint(tmp_path, 10, {"settings": "s", "iteration": 10})
    if content is None:
        (tmp_path / "000000020.pt").symlink_to(tmp_path / "nowhere")
    else:
        torch.save(content, tmp_path / "000000020.pt")
    assert newest_checkpoint(tmp_path, "s") == tmp_path / "000000010.pt"
    assert "000000020.corrupt" in os.listdir(tmp_path)


@pytest.fixture
def own_shards(command, shard_paths, tmp_path):
    """A training's command line and its shards, which the test may change."""
    shards = [shutil.copy(path, tmp_path) for path in shard_paths("train")]
    words = command(tmp_path)
    first, last = words.index("--train-shards") + 1, words.index("--val-shards")
    words[first:last] = map(str, shards)
    return words, shards


def relabel(path, labels_of):
    """Write a shard again with other labels and the same images and names."""
    shards = Shards([path])
    labels, names = labels_of(shards.labels), list(shards.ids())
    rows = [
        (names[n], int(labels[n]), bytes(shards.jpeg(n)), shards.heights[n], shards.widths[n])
        for n in range(len(shards))
    ]
    write_shard(path, rows)


def test_a_training_does_not_go_on_from_other_labels(own_shards, tmp_path, caplog):
    words, shards = own_shards
    train.main(words)
    before = load_weights(tmp_path / "w.safetensors")[0].state_dict()
    for path in shards:
        relabel(path, lambda labels: 9 - labels)
    with caplog.at_level("WARNING"):
        train.main(words)
    assert "was made with other settings or data; starting anew" in caplog.text
    after = load_weights(tmp_path / "w.safetensors")[0].state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("labels_of", "told"),
    [
        (lambda labels: labels * 0, r"classes have no image to train on, first label"),
        (lambda labels: labels + 5, r"labels from \d to 14, but 10 classes"),
        (lambda labels: labels - 1, r"labels from -1 to \d, but 10 classes"),
    ],
)
def test_training_images_are_of_every_class_and_no_other(labels_of, told, own_shards):
    words, shards = own_shards
    for path in shards:
        relabel(path, labels_of)
    with pytest.raises(InputError, match=told):
        train.main(words)


def test_a_class_that_is_held_out_whole_is_refused(own_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "HELD_OUT_SHARE", 0.1)
    words, shards = own_shards
    _, held_out = sampling.held_out(0, 60)
    labels = Shards(shards).labels % 9
    labels[held_out[:2]] = 9
    left = iter(labels)
    for path in shards:
        relabel(path, lambda own: [next(left) for _ in own])
    train.main([*words, "--iterations", "1"])  # another set is validated on
    with pytest.raises(InputError, match=r"1 of 10 classes have no image to train on, .* label 9"):
        train.main([*words, "--validation-set", "held-out"])


def test_a_loss_that_is_not_finite_stops_with_the_rate_and_a_cure(command, tmp_path):
    with pytest.raises(
        InputError, match=r"not finite in iteration \d+, learning rate 1e\+30, .* Lower"
    ):
        train.main(command(tmp_path, learning_rate=1e30))
    assert not (tmp_path / "w.safetensors").exists()


def test_a_damaged_weights_file_is_named(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"w\.safetensors: not a readable weights file"):
        load_weights(tmp_path / "w.safetensors")
