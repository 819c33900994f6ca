"""Loading training crops: our loader beside torchvision's, WebDataset's and Hugging Face's.

All give batches of uint8 224×224 crops, rescaled by the same bicubic filter, placed and flipped at
random, from one worker process. The limit is libjpeg-turbo (simplejpeg) decoding whole images of
the same bytes in one thread, and doing nothing with them.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import simplejpeg
from torch.utils.data import DataLoader

from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.shards import Shards, write_shard

from .measuring import Contender, Growth, Line, alternate, stopwatch

IMAGES = 256
BATCH = 64
BATCHES = 3  # of the four of a rival's epoch; the first is not timed
OURS_FOR_EACH = 4  # of our batches for one of a rival's, to take about as long
GROWING = (64, 128, 256, 512)  # numbers of images
CROP = 224
SCALES = {"S = 256": (256, 256), "S = 384": (384, 384), "S in [256;512]": (256, 512)}


def shard_of(path: Path, encoded: Sequence[bytes], smallest_side: int | None) -> Path:
    """A shard as the workflow packs it, at a fixed S; or of the original bytes if None."""
    packing = Packing(
        smallest_side=smallest_side,
        only_shrink=False,
        resize_filter="bicubic",
        jpeg_quality=95,
        crop=CROP,
    )

    def rows() -> Iterator[tuple]:
        for place, content in enumerate(encoded):
            row = SimpleNamespace(file="photographs", id=f"{place:05d}", size=len(content))
            stored, height, width = packing.encoded(content, row)
            yield row.id, place % 2, stored, height, width

    write_shard(path, rows())
    return path


def files_of(folder: Path, encoded: Sequence[bytes]) -> Path:
    """The same images as files in one folder a class, as torchvision's ImageFolder reads them."""
    for place, content in enumerate(encoded):
        path = folder / "ab"[place % 2] / f"{place:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def rate(batches: Iterable, number: int) -> float:
    """Images a second of `number` batches after the first, which waits for the workers to start."""
    iterator = iter(batches)
    next(iterator)
    started = time.perf_counter()
    for _ in itertools.islice(iterator, number):
        pass
    seconds = time.perf_counter() - started
    if close := getattr(iterator, "close", None):
        close()
    return number * BATCH / seconds


def ours(shard: Path, scales: tuple[int, int], workers: int = 1) -> float:
    """Our loader's images a second."""
    images = TrainingImages(
        [shard],
        seed=0,
        batch_size=BATCH,
        crop=CROP,
        scales=scales,
        colour_axes=np.zeros((3, 3)),
    )
    number = OURS_FOR_EACH * BATCHES
    return rate(images.batches(0, number + 1, workers, pin_memory=False), number)


class RandomResize:
    """Resize to an S that is drawn for each image."""

    def __init__(self, scales: tuple[int, int], interpolation):
        from torchvision.transforms import Resize

        draw = range(scales[0], scales[1] + 1)
        self.resizes = [Resize(scale, interpolation) for scale in draw]

    def __call__(self, image):
        return random.choice(self.resizes)(image)


def transforms(scales: tuple[int, int], interpolation: str = "bicubic"):
    """torchvision's transforms of a PIL image, the usual ones but for keeping uint8."""
    from torchvision import transforms as tv

    mode = tv.InterpolationMode(interpolation)
    steps = [RandomResize(scales, mode), tv.RandomCrop(CROP), tv.RandomHorizontalFlip()]
    return tv.Compose([*steps, tv.PILToTensor()])


def torchvision_folder(folder: Path, scales: tuple[int, int], interpolation="bicubic") -> float:
    """ImageFolder in a DataLoader."""
    from torchvision.datasets import ImageFolder

    images = ImageFolder(str(folder), transforms(scales, interpolation))
    return rate(DataLoader(images, BATCH, shuffle=True, num_workers=1, drop_last=True), BATCHES)


def webdataset_shard(path: Path, scales: tuple[int, int]) -> float:
    """WebDataset from a tar."""
    import webdataset

    images = (
        webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False)
        .shuffle(100)
        .decode("pil")
        .to_tuple("jpg", "cls")
        .map_tuple(transforms(scales), int)
        .batched(BATCH)
    )
    return rate(webdataset.WebLoader(images, batch_size=None, num_workers=1), BATCHES)


def write_webdataset(path: Path, encoded: Sequence[bytes]) -> Path:
    """The same images as WebDataset's tar."""
    import webdataset

    with webdataset.TarWriter(str(path)) as tar:
        for place, content in enumerate(encoded):
            tar.write({"__key__": f"{place:05d}", "jpg": content, "cls": place % 2})
    return path


def huggingface_dataset(folder: Path, scales: tuple[int, int]) -> float:
    """Hugging Face's datasets from its own Arrow files."""
    import datasets

    transform = transforms(scales)

    def transformed(rows: dict) -> dict:
        return {
            "image": [transform(image.convert("RGB")) for image in rows["image"]],
            "label": rows["label"],
        }

    images = datasets.load_from_disk(str(folder)).with_transform(transformed)
    return rate(DataLoader(images, BATCH, shuffle=True, num_workers=1, drop_last=True), BATCHES)


def write_huggingface(folder: Path, encoded: Sequence[bytes]) -> Path:
    """The same images as Hugging Face's datasets keep them."""
    import datasets

    rows = {
        "image": [{"bytes": content, "path": None} for content in encoded],
        "label": [place % 2 for place in range(len(encoded))],
    }
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features).save_to_disk(str(folder))
    return folder


def decoding(shard: Path) -> float:
    """Images a second of decoding alone."""
    shards = Shards([shard])

    def work() -> None:
        for place in range(len(shards)):
            simplejpeg.decode_jpeg(shards.jpeg(place), colorspace="RGB")

    return len(shards) / stopwatch(work)


def bytes_of(name: str) -> str:
    """Which bytes the shards of one of SCALES hold: jittered ones hold the original bytes."""
    smallest, largest = SCALES[name]
    return f"shards, {name}" if smallest == largest else "original bytes"


def lines(folder: Path, encoded: Sequence[bytes]) -> list[Line]:
    """The lines on loading JPEGs; `folder` is for files."""
    pictures = files_of(folder / "files", encoded)
    tar = write_webdataset(folder / "images.tar", encoded)
    rows = write_huggingface(folder / "huggingface", encoded)
    original = shard_of(folder / "original.arrow", encoded, None)
    stores = {
        "S = 256": shard_of(folder / "256.arrow", encoded, 256),
        "S = 384": shard_of(folder / "384.arrow", encoded, 384),
        "S in [256;512]": original,  # no image is larger, so this is what the workflow packs
    }
    contenders: dict[str, Contender] = {}
    for name, scales in SCALES.items():
        contenders[f"ours, shards, {name}"] = partial(ours, stores[name], scales)
        contenders[f"decoding alone, {bytes_of(name)}"] = partial(decoding, stores[name])
        contenders[f"torchvision, {name}"] = partial(torchvision_folder, pictures, scales)
    for name in ("S = 256", "S = 384"):
        scales = SCALES[name]
        contenders[f"ours, original bytes, {name}"] = partial(ours, original, scales)
        contenders[f"WebDataset, {name}"] = partial(webdataset_shard, tar, scales)
        contenders[f"Hugging Face datasets, {name}"] = partial(huggingface_dataset, rows, scales)
    bilinear = partial(torchvision_folder, pictures, SCALES["S = 256"], "bilinear")
    contenders["torchvision, its bilinear default, S = 256"] = bilinear
    found = alternate(contenders, warm=True)  # loaders leave a first batch out

    def line(name: str, rival: str, kind: str, least: float | None, note: str = "") -> Line:
        own = found[f"ours, {kind}, {name}"]
        bound = found[f"decoding alone, {bytes_of(name) if kind == 'shards' else kind}"]
        least_over_limit = 0.85 if rival == "torchvision" else None
        return Line(
            "loading",
            f"{kind}, {name}",
            "images/s",
            ours=own,
            rival=found[f"{rival}, {name}"],
            limit=bound,
            least_over_rival=least,
            least_over_limit=least_over_limit,
            note=note,
        )

    whole = "no training reads these bytes at a fixed S: it has shards rescaled to it"
    jittered = "the original bytes, which jittered shards keep"
    return [
        line("S = 256", "torchvision", "shards", 5),
        line("S = 384", "torchvision", "shards", 4),
        line("S in [256;512]", "torchvision", "shards", 3, note=jittered),
        line("S = 256", "torchvision", "original bytes", 1.5, note=whole),
        line("S = 384", "torchvision", "original bytes", 2.5, note=whole),
        line("S = 256", "WebDataset", "original bytes", 1),
        line("S = 384", "WebDataset", "original bytes", 1),
        line("S = 256", "Hugging Face datasets", "original bytes", 1),
        line("S = 384", "Hugging Face datasets", "original bytes", 1),
        line("S = 256", "torchvision, its bilinear default", "shards", None),
    ]


def growth(folder: Path, encoded: Sequence[bytes]) -> list[Growth]:
    """Seconds of loading as the number of images grows, in shards that are read once."""
    sizes, seconds = list(GROWING), []
    for number in sizes:
        shard = shard_of(folder / f"grow{number}.arrow", encoded[:number], 256)
        images = TrainingImages(
            [shard],
            seed=0,
            batch_size=BATCH,
            crop=CROP,
            scales=(256, 256),
            colour_axes=np.zeros((3, 3)),
        )
        seconds.append(
            min(stopwatch(lambda images=images, n=number: visit(images, n)) for _ in range(3))
        )
    return [
        Growth(
            "loading", "an epoch in one process, S = 256", "images", sizes=sizes, seconds=seconds
        )
    ]


def visit(images: TrainingImages, number: int) -> None:
    for iteration in range(number // BATCH):
        images[iteration]
