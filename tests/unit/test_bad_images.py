"""Broken images are refused by name or left out as asked; odd ones evaluated; killed packing."""

import io
import json
import os
import signal
import time

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.helpers.evaluations import posteriors_of
from tests.helpers.odd_images import odd_images, undecodable_images
from tests.helpers.refusals import (
    indexed,
    indexing_any,
    numbered,
    packing,
    small_jpeg,
    start,
    write_tar,
)
from workflow_scripts import pack_shards, report_packing
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.images import FORMATS, decode
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.data.sources.archives import image_members
from workflow_scripts.vgg.data.sources.members import HEAD, flaw
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "has no bytes"), (b"<!DOCTYPE html>" * 9, "is no image; it begins with b'<!DOCTYPE")],
)
def test_what_is_no_image_is_found_before_packing(content, reason, packed, tmp_path):
    members = numbered(5)
    name = "ILSVRC2012_val_00000003"
    members[f"{name}.JPEG"] = members["ILSVRC2012_val_00000005.JPEG"] = content
    path = write_tar(tmp_path / "val.tar", members)
    message = indexing_any(path, packed, tmp_path)
    assert f"val.tar: {name} {reason}" in message
    assert "(and 1 more like it); repair or replace it" in message
    index, log = indexed(path, packed, tmp_path, "--unlabelled", "--on-bad-image", "skip")
    assert len(index) == 5
    assert f"val.tar: {name} {reason}" in log


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_that_is_read_passes_for_an_image(kind):
    content = io.BytesIO()
    Image.new("RGB", (9, 9)).save(content, kind)
    assert flaw(content.getvalue()[:HEAD], len(content.getvalue())) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(undecodable_images()))
def test_an_image_that_cannot_be_decoded(name, tmp_path):
    good = odd_images(np.random.default_rng(0))["progressive"].content
    content = undecodable_images()[name]
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": good, "bad.JPEG": content, "c.JPEG": good})
    message = packing(path, tmp_path)
    assert "val.tar: bad" in message
    assert "data.on_bad_image: skip" in message


def test_an_image_that_no_evaluation_could_rescale_is_found_in_packing(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (60_000, 1)).save(content, "PNG")
    path = write_tar(tmp_path / "val.tar", {"a.JPEG": small_jpeg(), "b.JPEG": content.getvalue()})
    message = packing(path, tmp_path)
    assert "val.tar: b: 1×60000 pixels are too elongated to be rescaled" in message
    assert "data.on_bad_image: skip" in message


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
@pytest.mark.parametrize("method", methods.METHODS)
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
        posteriors_of(
            net, [path], method=method, smallest_side=73, mean=[128.0] * 3, input_scale=64.0
        )
        for path in paths
    )
    assert len(np.unique(expected.argmax(1))) > 1, "the images must be told apart"
    for place, name in enumerate(sorted(odd)):
        atol = 1e-6 if odd[name].tolerance == 0 else 0.02
        np.testing.assert_allclose(found[place], expected[place], atol=atol, err_msg=name)


@pytest.mark.slow
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
