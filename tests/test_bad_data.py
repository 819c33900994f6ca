"""Broken data sets: a message naming file and cure, exit status 1, nothing half-written.

Each case runs the command as the workflow does. Then packing that leaves images out, or is killed.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.conftest import ARCHIVES, IMAGES, ROOT
from tests.odd_images import odd_images, undecodable_images
from workflow_scripts import pack_shards, report_packing
from workflow_scripts.vgg import evaluation
from workflow_scripts.vgg.archives import image_members
from workflow_scripts.vgg.convnets import Architecture, ConvNet
from workflow_scripts.vgg.images import decode
from workflow_scripts.vgg.initialisation import initialise
from workflow_scripts.vgg.parquet import write_frame
from workflow_scripts.vgg.shards import Shards, write_shard

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"


def start(command, *words):
    return subprocess.Popen(
        [sys.executable, "-m", f"workflow_scripts.{command}", *map(str, words)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def refusal(command, *words, output):
    """The message of a command that must fail and leave nothing in its output's folder."""
    output.parent.mkdir(parents=True, exist_ok=True)
    before = sorted(output.parent.iterdir())
    process = start(command, *words, "--output", output)
    _, message = process.communicate()
    assert process.returncode == 1, message
    assert "Traceback" not in message
    assert sorted(output.parent.iterdir()) == before, "something half-written is left"
    return message.strip().splitlines()[-1]


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read_tar(path):
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}


def indexing(archive, packed, tmp_path, *words, images=24):
    """The refusal of indexing an archive."""
    words = ["--archive", archive, "--classes", packed / "classes.parquet", *words]
    return refusal("index_images", *words, "--images", images, output=tmp_path / "out/i.parquet")


def packing(archive, tmp_path, *words):
    """The refusal of packing an archive of few images."""
    index = tmp_path / "index.parquet"
    members = pd.DataFrame([vars(member) for member in image_members(archive)])
    write_frame(index, members.assign(label=0))
    report = ["--report", tmp_path / "out/0.json"]
    words = ["--index", index, "--shard", 0, "--shards", 1, *report, *words]
    return refusal("pack_shards", *words, output=tmp_path / "out/0.arrow")


def test_a_missing_archive(packed, tmp_path):
    message = indexing(tmp_path / "no-such.tar", packed, tmp_path)
    assert "no-such.tar: no such file. ILSVRC-2012 is distributed by https://image-net" in message
    assert "data.directory" in message


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_truncated_archive(split, archives, packed, tmp_path):
    whole = (archives / ARCHIVES[split]).read_bytes()
    short = tmp_path / ARCHIVES[split]
    short.write_bytes(whole[: len(whole) // 2 + 100])
    message = indexing(short, packed, tmp_path, images=IMAGES[split])
    assert ARCHIVES[split] in message
    assert "download" in message


@pytest.mark.parametrize("missing", [11, IMAGES["val"]])
def test_a_validation_archive_with_an_image_missing(missing, archives, packed, tmp_path):
    members = read_tar(archives / ARCHIVES["val"])
    del members[f"ILSVRC2012_val_{missing:08d}.JPEG"]
    path = write_tar(tmp_path / "val.tar", members)
    message = indexing(path, packed, tmp_path, "--ground-truth", archives / DEVKIT)
    assert f"holds 23 images, 24 expected; missing: ILSVRC2012_val_{missing:08d}; " in message
    assert "data.images" in message


def test_a_ground_truth_with_too_few_lines(archives, packed, tmp_path):
    truth = tmp_path / "truth.txt"
    truth.write_text("1\n2\n")
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path, "--ground-truth", truth)
    assert "truth.txt: 2 lines for 24 images" in message


def test_a_ground_truth_with_an_id_that_is_no_class(archives, packed, tmp_path):
    truth = tmp_path / "truth.txt"
    truth.write_text("11\n" * 24)
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path, "--ground-truth", truth)
    assert "truth.txt: IDs from 11 to 11, but the classes are 1–10" in message


def test_labels_that_nothing_tells(archives, packed, tmp_path):
    message = indexing(archives / ARCHIVES["val"], packed, tmp_path)
    assert "neither folders nor a ground truth tell the images' classes" in message


def test_a_foreign_file_in_an_archive(packed, tmp_path):
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": b"x", "notes.txt": b"hello"})
    message = indexing(path, packed, tmp_path)
    assert "val.tar: notes.txt is not named as a JPEG" in message
    assert "download it again" in message


def test_a_training_class_that_the_devkit_does_not_know(packed, tmp_path):
    inner = write_tar(tmp_path / "n99999999.tar", {"n99999999_1.JPEG": b"x"}).read_bytes()
    path = write_tar(tmp_path / "train.tar", {"n99999999.tar": inner})
    message = indexing(path, packed, tmp_path, images=1)
    assert "train.tar: n99999999 is none of the 10 classes" in message


def test_a_training_archive_without_images_of_a_class(archives, packed, tmp_path):
    members = read_tar(archives / ARCHIVES["train"])
    lost = members.pop("n00000205.tar")
    path = write_tar(tmp_path / "train.tar", members)
    with tarfile.open(fileobj=io.BytesIO(lost)) as inner:
        images = IMAGES["train"] - len(inner.getmembers())
    message = indexing(path, packed, tmp_path, "--every-class", images=images)
    assert "train.tar: holds no image of n00000205" in message


def test_a_kit_of_another_year(tmp_path):
    kit = write_tar(tmp_path / "ILSVRC2010_devkit.tar", {"devkit-1.0/readme.txt": b""})
    output = tmp_path / "out/classes.parquet"
    message = refusal("list_classes", "--devkit", kit, "--classes", 10, output=output)
    assert "ILSVRC2010_devkit.tar: holds no ILSVRC2012_devkit_t12/data/meta.mat" in message
    assert "ILSVRC2012_devkit_t12.tar.gz" in message


def test_a_kit_with_another_number_of_classes(archives, tmp_path):
    words = ["--devkit", archives / DEVKIT, "--classes", 1000]
    message = refusal("list_classes", *words, output=tmp_path / "out/classes.parquet")
    assert "10 classes, but the configuration's data.classes is 1000" in message


@pytest.mark.parametrize("name", sorted(undecodable_images()))
def test_an_image_that_cannot_be_decoded(name, tmp_path):
    good = odd_images(np.random.default_rng(0))["progressive"].content
    content = undecodable_images()[name]
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": good, "bad.JPEG": content, "c.JPEG": good})
    message = packing(path, tmp_path)
    assert "val.tar: bad" in message
    assert "data.on_bad_image: skip" in message


def test_an_archive_that_was_cut_after_it_was_indexed(tmp_path, archives):
    path = tmp_path / "val.tar"
    path.write_bytes((archives / ARCHIVES["val"]).read_bytes())
    members = [vars(member) for member in image_members(path)]
    write_frame(tmp_path / "index.parquet", pd.DataFrame(members).assign(label=0))
    path.write_bytes(path.read_bytes()[: members[-1]["offset"] + 10])
    words = ["--index", tmp_path / "index.parquet", "--shard", 0, "--shards", 1]
    words += ["--report", tmp_path / "out/0.json"]
    message = refusal("pack_shards", *words, output=tmp_path / "out/0.arrow")
    assert f"val.tar: {members[-1]['id']}: its file ends inside it" in message


# Images left out, oddities counted, packing killed


def test_bad_images_are_left_out_and_listed_if_asked(tmp_path):
    rng = np.random.default_rng(0)
    odd, bad = odd_images(rng), undecodable_images()
    contents = {name: image.content for name, image in odd.items()} | bad
    path = write_tar(tmp_path / "val.tar", {f"{k}.JPEG": v for k, v in contents.items()})
    index = pd.DataFrame([vars(member) for member in image_members(path)])
    index = index.assign(label=np.arange(len(index), dtype=np.int32)).sort_values("id")
    write_frame(tmp_path / "index.parquet", index)
    for shard in range(2):
        pack_shards.main(
            [
                *("--index", str(tmp_path / "index.parquet"), "--shard", str(shard), "--shards=2"),
                *("--crop", "64", "--on-bad-image", "skip"),
                *("--report", str(tmp_path / f"val/{shard}.json")),
                *("--output", str(tmp_path / f"{shard}.arrow")),
            ]
        )
    report_packing.main(
        [
            *("--reports", str(tmp_path / "val/0.json"), str(tmp_path / "val/1.json")),
            *("--experiment", "odd", "--output", str(tmp_path / "packing.json")),
        ]
    )
    shards = Shards([tmp_path / "0.arrow", tmp_path / "1.arrow"])
    assert list(shards.ids()) == sorted(odd)
    labels = dict(zip(index["id"], index["label"], strict=True))
    assert shards.labels.tolist() == [labels[name] for name in sorted(odd)]
    report = json.loads((tmp_path / "packing.json").read_text())["stores"]["val"]
    assert report["images"] == len(odd)
    assert report["source_bytes"] == sum(len(image.content) for image in odd.values())
    assert sorted(image["id"] for image in report["skipped"]) == sorted(bad)
    assert all(image["reason"].startswith(str(path)) for image in report["skipped"])
    found = {name: {k for k, ids in report["oddities"].items() if name in ids} for name in odd}
    assert found == {name: set(image.kinds) for name, image in odd.items()}
    for place, name in enumerate(shards.ids()):
        if odd[name].pixels is not None:
            pixels = decode(shards.jpeg(place), name).astype(int)
            assert np.abs(pixels - odd[name].pixels).max() <= odd[name].tolerance, name


@torch.inference_mode()
@pytest.mark.parametrize("method", evaluation.METHODS)
def test_odd_images_are_evaluated_by_the_pixels_that_they_show(method, tmp_path):
    """Tiny, elongated, grey, CMYK, broken EXIF: the posteriors are those of the known pixels."""
    odd = {k: v for k, v in odd_images(np.random.default_rng(0)).items() if v.pixels is not None}
    paths = []
    for kind in ("found", "expected"):
        rows = []
        for name, image in sorted(odd.items()):
            pixels = Image.fromarray(np.asarray(image.pixels, np.uint8))
            lossless = io.BytesIO()
            pixels.save(lossless, "PNG")
            content = image.content if kind == "found" else lossless.getvalue()
            rows.append((name, 0, content, pixels.height, pixels.width))
        paths.append(tmp_path / f"{kind}.arrow")
        write_shard(paths[-1], rows)
    layers = "conv3-64 | conv3-64 | conv3-128 | conv3-128 | conv3-128"
    net = ConvNet(Architecture(layers, classes=10, crop=64, fc=32, width_divisor=8))
    initialise(net, "he", seed=3)
    found, expected = (
        evaluation.evaluate(
            net, [path], method=method, smallest_side=73, mean=[128.0] * 3, input_scale=64.0
        )
        for path in paths
    )
    assert len(np.unique(expected.argmax(1))) > 1, "the images must be told apart"
    for place, name in enumerate(sorted(odd)):
        atol = 1e-6 if odd[name].tolerance == 0 else 0.02
        np.testing.assert_allclose(found[place], expected[place], atol=atol, err_msg=name)


@pytest.mark.parametrize("words", [[], ["--smallest-side", "73"]])
def test_packing_killed_in_the_middle_and_run_again_gives_the_undisturbed_shard(
    words, packed, tmp_path
):
    once = pd.read_parquet(packed / "index/val.parquet")
    index = pd.concat([once.assign(id=once["id"] + f"_{n}") for n in range(100)])
    write_frame(tmp_path / "index.parquet", index.sort_values("id"))
    words = ["--index", tmp_path / "index.parquet", "--shard", 0, "--shards", 1, *words]
    for run in ("undisturbed", "killed"):
        output = tmp_path / run / "0.arrow"
        files = ["--report", output.with_suffix(".json"), "--output", output]
        process = start("pack_shards", *words, *files)
        if run == "killed":
            temporary = output.with_name(".0.arrow.tmp")
            while not (temporary.exists() and temporary.stat().st_size > 1_000_000):
                assert process.poll() is None, "packing ended before it could be killed"
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            left = {path.name for path in output.parent.iterdir()}
            assert left == {temporary.name, ".0.arrow.lock"}  # a lock that no process holds
            process = start("pack_shards", *words, *files)
        _, messages = process.communicate()
        assert process.returncode == 0, messages
    for name in ("0.arrow", "0.json"):
        one, two = ((tmp_path / run / name).read_bytes() for run in ("undisturbed", "killed"))
        assert one == two
    assert not list((tmp_path / "killed").glob(".*"))
