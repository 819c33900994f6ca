"""Commands run as the workflow runs them, on data sets that they must refuse; tars to give them."""

import io
import signal
import subprocess
import sys
import tarfile
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.sources.archives import image_members

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"


def start(command, *words):
    """A command's process. It heeds SIGINT, which tests in a shell's background ignore."""
    return subprocess.Popen(
        [sys.executable, "-m", f"workflow_scripts.{command}", *map(str, words)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
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


def small_jpeg(side=64):
    content = io.BytesIO()
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def numbered(count):
    return {f"ILSVRC2012_val_{n:08d}.JPEG": small_jpeg(60 + n) for n in range(1, count + 1)}


def indexing_any(archive, packed, tmp_path, *words):
    """The refusal of indexing an archive of any number of images, without labels."""
    words = ["--archive", archive, "--classes", packed / "classes.parquet", "--unlabelled", *words]
    return refusal("index_images", *words, output=tmp_path / "out/index.parquet")


def indexed(archive, packed, tmp_path, *words):
    """(index, what was logged) of an archive."""
    words = ["--archive", archive, "--classes", packed / "classes.parquet", *words]
    process = start("index_images", *words, "--output", tmp_path / "index.parquet")
    _, log = process.communicate()
    assert process.returncode == 0, log
    return pd.read_parquet(tmp_path / "index.parquet"), log
