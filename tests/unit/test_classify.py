"""Pictures of one's own are classified by the pipeline's own posteriors."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import torchvision
import yaml
from PIL import Image

from tests.helpers.clones import ROOT
from tests.helpers.released_files import imported, saved
from tests.helpers.released_nets import TorchvisionNet, filled
from workflow_scripts import (
    classify,
    evaluate,
    export_weights,
    index_images,
    list_classes,
    pack_shards,
)
from workflow_scripts.bench.photographs import sources
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.known_classes import ILSVRC, listed_classes
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.released.recognising import read_any
from workflow_scripts.vgg.nets.weights import save_weights

TINY = "conv3-8 | conv3-8 | conv3-8 | conv3-8 | conv3-8"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """A folder of ten photographs, small, of several sizes and forms of file."""
    folder = tmp_path_factory.mktemp("photographs") / "val/photographs"
    folder.mkdir(parents=True)
    for number, image in enumerate(sources()):
        image.thumbnail((150 + 10 * number, 150))
        suffix = ("jpg", "png", "webp")[number % 3]
        image.save(folder / f"picture{number}.{suffix}", quality=95)
    assert len(list(folder.iterdir())) == 10
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> list[str]:
    """Weights files with random and with imported weights, for seven classes."""
    folder = tmp_path_factory.mktemp("weights")
    theirs = filled(TorchvisionNet("D"))
    imported(saved(folder / "d", theirs.state_dict(), "zip"), "torchvision", folder)
    net = ConvNet(Architecture(TINY, 7, 64, 16), dropout=0.0)
    initialise(net, "he", 0)
    metadata = {"model": "tiny", "net": "tiny", "S": [256, 256], "mean_rgb": [120.0, 110.0, 100.0]}
    metadata |= {"iterations": 0, "code_fingerprint": "none"}
    save_weights(folder / "tiny.safetensors", net, 64.0, metadata)
    return [str(folder / "tiny.safetensors"), str(folder / "out/w.safetensors")]


@pytest.fixture(scope="module")
def shard(photographs, tmp_path_factory) -> str:
    """The photographs as the workflow packs a data set in folders."""
    folder = tmp_path_factory.mktemp("packed")
    classes, index, shard = (str(folder / n) for n in ("classes.parquet", "i.parquet", "s.arrow"))
    tree = str(photographs.parent)
    list_classes.main(["--folders", tree, "--classes", "1", "--output", classes])
    index_images.main(["--tree", tree, "--classes", classes, "--output", index])
    words = ["--index", index, "--shard", "0", "--shards", "1", "--crop", "64"]
    pack_shards.main([*words, "--report", str(folder / "r.json"), "--output", shard])
    return shard


def read_posteriors(path):
    """The names of the images, and their posteriors, float32 [images, classes]."""
    table = pq.read_table(path)
    values = table["posterior"].combine_chunks()
    found = values.flatten().to_numpy().reshape(len(table), values.type.list_size)
    return table["id"].to_pylist(), found


def pipelines(shard, weights, method, scale, folder):
    """The posteriors, float32 [10, classes], of one net at one Q, as the workflow has them."""
    output = str(folder / f"{Path(weights).stem}_{scale}.parquet")
    words = ["--weights", weights, "--shards", shard, "--scale", str(scale), "--method", method]
    evaluate.main([*words, "--threads", "1", "--output", output])
    return read_posteriors(output)[1]


def classified(tmp_path, *words, suffix="parquet"):
    output = tmp_path / f"answers.{suffix}"
    classify.main([*map(str, words), "--threads", "1", "--output", str(output)])
    return output


@pytest.mark.parametrize("method", ["dense", "multicrop", "center"])
@pytest.mark.parametrize("kind", ["random", "imported"])
def test_posteriors_are_the_pipelines_bit_for_bit(
    kind, method, photographs, weights, shard, tmp_path
):
    own = weights[kind == "imported"]
    output = classified(tmp_path, photographs, "--weights", own, "--method", method, "--Q", 288)
    ids, found = read_posteriors(output)
    assert [Path(name).stem for name in ids] == [f"picture{n}" for n in range(10)]
    expected = pipelines(shard, own, method, 288, tmp_path)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert found.std(0).min() > 1e-4, "all pictures have the same posteriors"


def test_several_weights_and_scales_are_averaged(photographs, weights, shard, tmp_path):
    words = [word for path in weights for word in ("--weights", path)]
    output = classified(tmp_path, photographs, *words, "--Q", 256, 320)
    passes = [pipelines(shard, own, "dense", Q, tmp_path) for own in weights for Q in (256, 320)]
    expected = np.mean([own.astype(np.float64) for own in passes], axis=0)
    np.testing.assert_allclose(read_posteriors(output)[1], expected, rtol=1e-6)


def test_q_is_the_middle_of_s_unless_it_is_given(photographs, weights, shard, tmp_path):
    """The imported net is of S in [256; 512]."""
    found = read_posteriors(classified(tmp_path, photographs, "--weights", weights[1]))[1]
    assert np.array_equal(found, pipelines(shard, weights[1], "dense", 384, tmp_path))


def test_answers_are_the_likeliest_classes_with_names(photographs, weights, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("# seven\n" + "\n".join(f"n0000000{n} thing{n}, object" for n in range(7)))
    words = [photographs, "--weights", weights[0], "--classes", names, "--top", 3]
    posteriors = read_posteriors(classified(tmp_path, *words))[1]
    lines = pd.read_csv(classified(tmp_path, *words, suffix="csv"))
    told = json.loads(classified(tmp_path, *words, suffix="json").read_text())
    assert len(lines) == 30
    best = np.argsort(-posteriors, axis=1)[:, :3]
    assert lines["label"].tolist() == best.ravel().tolist()
    assert lines["name"].tolist() == [f"thing{label}" for label in best.ravel()]
    assert lines["wnid"].tolist() == [f"n0000000{label}" for label in best.ravel()]
    np.testing.assert_allclose(
        lines["posterior"], np.take_along_axis(posteriors, best, 1).ravel(), rtol=1e-6
    )
    assert [each["classes"][0]["label"] for each in told["images"]] == best[:, 0].tolist()
    assert (told["method"], told["left_out"]) == ("dense", [])
    classify.main([str(word) for word in words])
    printed = capsys.readouterr().out
    assert printed.count("%") == 30
    first = f"{100 * posteriors[0].max():.2f}%  thing{best[0, 0]} (n0000000{best[0, 0]})"
    assert re.match(rf"{photographs / 'picture0.jpg'}\s+{re.escape(first)}\n", printed)


def test_bad_files_are_named_and_the_others_answered(photographs, weights, tmp_path, capsys):
    folder = tmp_path / "mine/deep"
    folder.mkdir(parents=True)
    shutil.copy(photographs / "picture0.jpg", folder)
    (folder / "broken.jpg").write_text("no image")
    (folder / "empty.png").touch()
    (folder / ".hidden.jpg").write_text("left out without a word")
    (folder / "notes.txt").write_text("no picture by its name")
    cut = (photographs / "picture3.jpg").read_bytes()[:900]
    (tmp_path / "cut.jpg").write_bytes(cut)
    paths = [folder.parent, folder, tmp_path / "cut.jpg"]  # the inner folder is there twice
    with pytest.raises(SystemExit, match=r"3 of 4 pictures cannot be read, such as .*cut.jpg"):
        classified(tmp_path, *paths, "--weights", weights[0], "--Q", 256, suffix="json")
    told = json.loads((tmp_path / "answers.json").read_text())
    assert [each["image"] for each in told["images"]] == [str(folder / "picture0.jpg")]
    assert [Path(each["id"]).name for each in told["left_out"]] == [
        "cut.jpg", "broken.jpg", "empty.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg: no such file or folder"),
        (["{tmp}/none"], "none: holds no images"),
        (["{tmp}/bad.jpg"], "bad.jpg: cannot be .*; none of the 1 images can be"),
        (["{photos}", "--Q", "200"], "smaller than the net's input"),
        (["{photos}", "--classes", "{tmp}/three.txt"], "names 3 classes, but .* knows 7"),
        (["{photos}", "--classes", "{tmp}/twice.txt"], "line 2: names n00000001 a second"),
        (["{photos}", "--weights", "nothing.pth"], "nothing.pth: no such file"),
        (["{photos}", "--weights", "{tmp}"], "is a folder; give the file of weights in it"),
        (["{photos}", "--net", "D"], "holds tiny, not D, as it states; leave out --net"),
        (["{photos}", "--format", "caffe"], "its format is own, not caffe"),
        (["{photos}", "--weights", "{tmp}/ten.safetensors"], "know 7 and 10 classes"),
        (["{photos}", "--weights", "{tmp}/bad.jpg"], "bad.jpg: is no weights file"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(words, message, photographs, weights, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "bad.jpg").write_text("no image")
    (tmp_path / "three.txt").write_text("cat\ndog\ncow\n")
    (tmp_path / "twice.txt").write_text("n00000001\nn00000001\tcat\n")
    ten = ConvNet(Architecture(TINY, 10, 64, 16), dropout=0.0)
    metadata = {"model": "ten", "S": [256, 256], "mean_rgb": [0.0] * 3, "iterations": 0}
    save_weights(tmp_path / "ten.safetensors", ten, 1.0, metadata | {"code_fingerprint": "none"})
    given = [word.format(tmp=tmp_path, photos=photographs) for word in words]
    with pytest.raises(InputError, match=message):
        classified(tmp_path, *given, "--weights", weights[0])
    assert not (tmp_path / "answers.parquet").exists()


def test_nets_of_other_classes_are_not_averaged(photographs, tmp_path):
    """As many classes, but others: two runs' nets, of which each has its list beside it."""
    net = ConvNet(Architecture(TINY, 7, 64, 16), dropout=0.0)
    initialise(net, "he", 0)
    metadata = {"model": "tiny", "S": [256, 256], "mean_rgb": [0.0] * 3, "iterations": 0}
    words = []
    for run, letters in (("one", "abcdefg"), ("two", "abcdefh"), ("three", "abcdefg")):
        for letter in letters:
            (tmp_path / run / "tree" / letter).mkdir(parents=True)
        tree, table = str(tmp_path / run / "tree"), str(tmp_path / run / "classes.parquet")
        list_classes.main(["--folders", tree, "--classes", "7", "--output", table])
        path = tmp_path / run / "weights/tiny.safetensors"
        save_weights(path, net, 64.0, metadata | {"code_fingerprint": "none"})
        words.append(["--weights", path])
    one, two, three = words
    picture = photographs / "picture1.png"
    with pytest.raises(InputError, match=r"two.*one.*know different classes, or in another order"):
        classified(tmp_path, picture, *one, *two)
    lines = pd.read_csv(classified(tmp_path, picture, *one, *three, suffix="csv"))
    assert set(lines["name"]) <= set("abcdefg")


def test_nets_restricted_to_other_classes_are_not_averaged(photographs, tmp_path):
    """Outside a run, where only their places among all tell that they are others."""
    net = ConvNet(Architecture(TINY, 7, 64, 16), dropout=0.0)
    initialise(net, "he", 0)
    metadata = {"model": "tiny", "S": [256, 256], "mean_rgb": [0.0] * 3, "iterations": 0}
    words = []
    for first in (0, 7):
        path = tmp_path / f"{first}.safetensors"
        kept = {"kept": list(range(first, first + 7)), "code_fingerprint": "none"}
        save_weights(path, net, 64.0, metadata | kept)
        words += ["--weights", path]
    with pytest.raises(InputError, match="know different classes, or in another order"):
        classified(tmp_path, photographs / "picture1.png", *words)


def test_weights_name_their_classes_wherever_they_lie(photographs, tmp_path):
    net = ConvNet(Architecture(TINY, 7, 64, 16), dropout=0.0)
    initialise(net, "he", 0)
    metadata = {"model": "tiny", "S": [256, 256], "mean_rgb": [0.0] * 3, "iterations": 0}
    words = []
    for name, wnids in (("one", "abcdefg"), ("two", "abcdefh"), ("three", "abcdefg")):
        own = {"wnids": list(wnids), "code_fingerprint": "none"}
        save_weights(tmp_path / f"{name}.safetensors", net, 64.0, metadata | own)
        words.append(["--weights", tmp_path / f"{name}.safetensors"])
    one, two, three = words
    picture = photographs / "picture1.png"
    with pytest.raises(InputError, match="know different classes, or in another order"):
        classified(tmp_path, picture, *one, *two)
    lines = pd.read_csv(classified(tmp_path, picture, *one, *three, suffix="csv"))
    assert set(lines["name"]) <= set("abcdefg")


@pytest.mark.parametrize(
    "layers", [TINY, "conv3-8 BN | conv3-8 LRN | conv1-8 | GAP"], ids=["FC", "GAP"]
)
def test_an_export_is_tested_as_it_states(layers, photographs, tmp_path):
    """Its arrays do not tell the crop, S, or the constants of LRN; nor its folder the classes."""
    architecture = Architecture(layers, 6, 64, 16, lrn="caffe" if "LRN" in layers else "krizhevsky")
    net = ConvNet(architecture, dropout=0.0)
    initialise(net, "he", 0)
    for letter in "abcdef":
        (tmp_path / "tree" / letter).mkdir(parents=True)
    table = str(tmp_path / "c.parquet")
    list_classes.main(["--folders", str(tmp_path / "tree"), "--classes", "6", "--output", table])
    metadata = {"model": "mine", "net": "own", "S": [384, 384], "mean_rgb": [120.0, 110.0, 100.0]}
    metadata |= {"iterations": 0, "code_fingerprint": "none"}
    own = tmp_path / "own.safetensors"
    save_weights(own, net, 64.0, metadata)
    exported = tmp_path / "exported"
    export_weights.main(["--weights", str(own), "--classes", table, "--output", str(exported)])
    expected = read_posteriors(classified(tmp_path, photographs, "--weights", own))[1]
    words = [photographs, "--weights", exported / "model.safetensors"]
    found = read_posteriors(classified(tmp_path, *words))[1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3
    lines = pd.read_csv(classified(tmp_path, *words, suffix="csv"))
    assert set(lines["name"]) <= set("abcdef")


def test_torchvisions_nets_with_batch_normalisation_are_recognised(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.vgg11_bn(num_classes=5)
    file = saved(tmp_path / "w", theirs.state_dict(), "zip")
    convnets = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
    found = read_any(file, convnets, "torchvision")
    assert (found.name, found.net.architecture.classes) == ("A-BN", 5)


def test_folders_are_gone_through_once_and_odd_names_answered(photographs, weights, tmp_path):
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/loop").symlink_to("..")
    (folder / "nothing.jpg").symlink_to(tmp_path / "nowhere.jpg")
    shutil.copy(photographs / "picture0.jpg", os.fsencode(folder) + b"/sub/latin\xe9.jpg")
    shutil.copy(photographs / "picture0.jpg", folder / "two\nlines.jpg")
    (folder / "phone.heic").touch()
    words = [folder, f"{folder}/./two\nlines.jpg", "--weights", weights[0]]
    with pytest.raises(SystemExit, match=r"1 of 3 pictures cannot be read, such as .*nothing.jpg"):
        classified(tmp_path, *words, suffix="json")
    told = json.loads((tmp_path / "answers.json").read_text())
    assert [Path(each["image"]).name for each in told["images"]] == [
        "latin\\xe9.jpg", "two\\nlines.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--Q", "256", "256"], "--Q 256 256: expected scales that all differ"),
        (["--batch-size", "0"], "'0': expected a number, 1 or more"),
        (["--net", "A", "--net", "B"], "--net: expected once, or as often as --weights"),
        (["--output", "answers.xls"], "expected .csv, .json, .parquet"),
    ],
)
def test_options_without_sense_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        classify.main(["photo.jpg", "--weights", "w", *words])
    assert message in capsys.readouterr().err


def test_names_of_a_list_may_be_the_same(tmp_path):
    (tmp_path / "names.txt").write_text("crane\n#1\ncrane\n# a comment\nn00000001, ant, emmet\n")
    found = listed_classes(tmp_path / "names.txt")
    assert [(each.wnid, each.name) for each in found] == [
        ("crane", "crane"), ("#1", "#1"), ("crane", "crane"), ("n00000001", "ant"),
    ]  # fmt: skip


def test_a_thousand_classes_have_ilsvrcs_names():
    """Those that torchvision gives its weights, but for two that have the same first word."""
    theirs = torchvision.models.VGG16_Weights.DEFAULT.meta["categories"]
    ours = listed_classes(ILSVRC)
    other = {ours[place].wnid for place in range(1000) if ours[place].name != theirs[place]}
    twice = {"n02012849", "n03126707", "n03710637", "n03710721"}  # crane, maillot
    assert other <= twice
    assert [each.wnid for each in ours] == sorted({each.wnid for each in ours})
    assert len(ours) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "safetensors"])
def test_others_weights_need_no_further_word(form, photographs, tmp_path):
    """A net of the paper's size in torchvision's form, its net and number of classes found."""
    torch.manual_seed(0)
    layers = [8, "M"] * 5
    theirs = torchvision.models.vgg.VGG(torchvision.models.vgg.make_layers(layers), 1000).eval()
    # Only its first FC layer is smaller than VGG's.
    theirs.classifier[0] = torch.nn.Linear(8 * 49, 4096)
    file = saved(tmp_path / "w", theirs.state_dict(), form)
    models = tmp_path / "models.yaml"
    models.write_text(f"convnets: {{tiny: '{TINY}'}}\nmodels: {{}}\n")
    words = [photographs / "picture1.png", "--weights", file, "--models", models, "--top", 1]
    with pytest.raises(InputError, match=r"may be of torchvision or of jcjohnson.*by --format"):
        classified(tmp_path, *words)
    lines = pd.read_csv(
        classified(tmp_path, *words, "--format", "torchvision", "--method", "center", suffix="csv")
    )
    prepare = torchvision.transforms.Compose([
        torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    image = Image.open(photographs / "picture1.png").convert("RGB")
    scale = 256 / min(image.size)
    sides = [round(side * scale) for side in image.size]
    image = image.resize(sides, Image.Resampling.BICUBIC)
    left, top = (side // 2 - 112 for side in sides)
    image = image.crop((left, top, left + 224, top + 224))
    with torch.inference_mode():
        expected = theirs(prepare(image)[None]).softmax(1)[0]
    assert lines["label"][0] == int(expected.argmax())
    assert lines["posterior"][0] == pytest.approx(float(expected.max()), rel=1e-3)
    assert lines["name"][0] == listed_classes(ILSVRC)[lines["label"][0]].name


def test_a_library_net_is_named(photographs, tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18().eval()
    file = saved(tmp_path / "w", theirs.state_dict(), "zip")
    words = [photographs / "picture1.png", "--weights", file, "--top", 1]
    with pytest.raises(InputError, match="named by --net, timm/… or torchvision/…"):
        classified(tmp_path, *words)
    named = [*words, "--net", "torchvision/resnet18", "--method", "center"]
    assert read_posteriors(classified(tmp_path, *named))[1].shape == (1, 1000)
    with pytest.raises(InputError, match="--net torchvision/resnet18 and --format caffe contradi"):
        classified(tmp_path, *named, "--format", "caffe")


def test_two_nets_of_libraries_are_averaged(photographs, tmp_path):
    torch.manual_seed(0)
    names, words, apart = ("resnet18", "mobilenet_v2"), [], []
    for name in names:
        net = torchvision.models.get_model(name).eval()
        file = saved(tmp_path / name, net.state_dict(), "zip")
        own = ["--weights", file, "--net", f"torchvision/{name}"]
        picture = [photographs / "picture1.png", "--method", "center"]
        apart.append(read_posteriors(classified(tmp_path, *picture, *own))[1])
        words += own
    both = read_posteriors(classified(tmp_path, *picture, *words))[1]
    np.testing.assert_allclose(both, (apart[0] + apart[1]) / 2, rtol=1e-5)


def test_a_library_net_may_have_classes_of_ones_own(photographs, tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=3).eval()
    file = saved(tmp_path / "w", theirs.state_dict(), "zip")
    (tmp_path / "three.txt").write_text("cat\ndog\ncow\n")
    words = [photographs / "picture1.png", "--weights", file, "--net", "torchvision/resnet18"]
    words += ["--classes", tmp_path / "three.txt", "--method", "center"]
    lines = pd.read_csv(classified(tmp_path, *words, suffix="csv"))
    assert set(lines["name"]) == {"cat", "dog", "cow"}


@pytest.mark.slow
def test_it_is_a_command_with_progress_and_a_status(photographs, weights, tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    words = [str(photographs), str(tmp_path / "bad.jpg"), "--weights", weights[0], "--Q", "256"]
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.classify", *words],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("%") == 50
    assert "10/10 images (100%)" in done.stderr
    assert "the names of the 7 classes are not known: give --classes" in done.stderr
    assert re.search(r"error: 1 of 11 pictures cannot be read, such as \S*bad.jpg", done.stderr)
    assert "Traceback" not in done.stderr
