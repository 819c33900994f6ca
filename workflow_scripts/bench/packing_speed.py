"""Packing shards: ours beside the plain loop that one would write with Pillow."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import simplejpeg
from PIL import Image

from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.images import rescaled_size
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.shards import write_shard

from .measuring import Growth, Line, alternate, stopwatch

IMAGES = 256  # of a shard; real ones have a thousand and more
SCALES = (256, 384)
QUALITY = 95
CROP = 224


def archive_of(path: Path, encoded: Sequence[bytes]) -> pd.DataFrame:
    """A tar of the images, and its index as `index_images` writes it."""
    with tarfile.open(path, "w") as tar:
        for place, content in enumerate(encoded):
            member = tarfile.TarInfo(f"n{place % 2:08d}_{place}.JPEG")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tarfile.open(path) as tar:
        rows = [(m.name.removesuffix(".JPEG"), 0, str(path), m.offset_data, m.size) for m in tar]
    return pd.DataFrame(rows, columns=["id", "label", "file", "offset", "size"])


def pack(index: pd.DataFrame, output: Path, scale: int) -> int:
    """Pack a shard as the command does; gives its number of images."""
    packing = Packing(
        smallest_side=scale,
        only_shrink=False,
        resize_filter="bicubic",
        jpeg_quality=QUALITY,
        crop=CROP,
    )
    write_shard(output, packing.rows(index))
    return len(index)


def pillow_loop(files: Sequence[Path], folder: Path, scale: int) -> int:
    """Decode, resize, encode, file by file. Gives the number of images."""
    for path in files:
        image = Image.open(path).convert("RGB")
        height, width = rescaled_size(image.height, image.width, scale)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / path.name, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return len(files)


def codecs_alone(encoded: Sequence[bytes], rescaled: Sequence) -> int:
    """libjpeg-turbo decoding the originals and encoding images of the new size: no resize."""
    for content, pixels in zip(encoded, rescaled, strict=True):
        simplejpeg.decode_jpeg(content)
        simplejpeg.encode_jpeg(pixels, QUALITY, colorsubsampling="444", fastdct=False)
    return len(encoded)


def rate(work: Callable[[], int], number: int) -> float:
    """Images a second."""
    return number / stopwatch(work)


def lines(folder: Path, encoded: Sequence[bytes]) -> list[Line]:
    """The lines on packing JPEGs; `folder` is for files."""
    from workflow_scripts.vgg.data.images import rescale

    encoded = encoded[:IMAGES]
    images = len(encoded)
    index = archive_of(folder / "images.tar", encoded)
    output, saved = folder / "packed.arrow", folder / "saved"
    saved.mkdir()
    files = []
    for place, content in enumerate(encoded):
        files.append(folder / f"{place}.jpg")
        files[-1].write_bytes(content)
    found = []
    for scale in SCALES:
        rescaled = [rescale(simplejpeg.decode_jpeg(c), scale, "bicubic") for c in encoded]
        measured = alternate(
            {
                "ours": partial(rate, partial(pack, index, output, scale), images),
                "Pillow": partial(rate, partial(pillow_loop, files, saved, scale), images),
                "libjpeg-turbo, no resize": partial(
                    rate, partial(codecs_alone, encoded, rescaled), images
                ),
            }
        )
        found.append(
            Line(
                "packing",
                f"one core, S = {scale}",
                "images/s",
                ours=measured["ours"],
                rival=measured["Pillow"],
                limit=measured["libjpeg-turbo, no resize"],
                least_over_rival=1.5,
            )
        )
    return [*found, two_cores(index, folder)]


def two_cores(index: pd.DataFrame, folder: Path) -> Line:
    """Two shards side by side against one after the other."""
    halves = [index.iloc[: len(index) // 2], index.iloc[len(index) // 2 :]]
    jobs = [(half, folder / f"half{n}.arrow", 256) for n, half in enumerate(halves)]
    # Forked threads of other parts could hold locks; each job of a run is a new process as well.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(pack, *zip(*jobs, strict=True)))

        def together() -> int:
            return sum(pool.map(pack, *zip(*jobs, strict=True)))

        def one_by_one() -> int:
            return sum(pool.submit(pack, *job).result() for job in jobs)

        measured = alternate(
            {
                "two cores": partial(rate, together, len(index)),
                "one core": partial(rate, one_by_one, len(index)),
            }
        )
    return Line(
        "packing",
        "two cores, S = 256",
        "images/s",
        ours=measured["two cores"],
        rival=measured["one core"],
        least_over_rival=1.8,
    )


def growth(folder: Path, encoded: Sequence[bytes]) -> list[Growth]:
    """Time and memory of the command as a shard gets more images, the same again and again."""
    sizes, records = [250, 500, 1000, 2000], []
    for number in sizes:
        some = list(itertools.islice(itertools.cycle(encoded), number))
        write_frame(folder / "grow.parquet", archive_of(folder / "grow.tar", some))
        words = [
            sys.executable,
            "-m",
            "workflow_scripts.pack_shards",
            "--shard=0",
            "--shards=1",
            f"--index={folder / 'grow.parquet'}",
            "--smallest-side=256",
            f"--report={folder / 'grow.json'}",
            f"--output={folder / 'grow.arrow'}",
            f"--cost={folder / 'cost.json'}",
        ]
        subprocess.run(words, check=True, capture_output=True)
        records.append(json.loads((folder / "cost.json").read_text()))
    memory = ", ".join(f"{record['peak_memory_mb']:.0f}" for record in records)
    return [
        Growth(
            "packing",
            "one job, S = 256, its start included",
            "images",
            sizes=sizes,
            seconds=[record["wall_seconds"] for record in records],
            note=f"peak memory: {memory} MB",
        )
    ]
