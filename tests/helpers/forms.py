"""Write the images of ILSVRC-2012's archives in the other forms in which people have them."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import loadmat

# Of the small ILSVRC-2012 that tests use: images of each split, and the archives that hold them.
IMAGES = {"train": 60, "val": 24, "test": 12}
ARCHIVES = {
    "train": "ILSVRC2012_img_train.tar",
    "val": "ILSVRC2012_img_val.tar",
    "test": "ILSVRC2012_img_test_v10102019.tar",
}


class Image(NamedTuple):
    """id: file name without suffix; wnid: its class, for test images too; content: the file."""

    id: str
    wnid: str
    content: bytes


def read_archives(folder: Path) -> tuple[dict[str, list[Image]], dict[str, str]]:
    """({split: images}, {wnid: words}) of the archives in a folder, by tarfile and scipy alone."""
    kit = {}
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz") as archive:
        for name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"):
            kit[name] = archive.extractfile(f"ILSVRC2012_devkit_t12/data/{name}").read()
    synsets = loadmat(io.BytesIO(kit["meta.mat"]), simplify_cells=True)["synsets"]
    leaves = [s for s in synsets if s["num_children"] == 0]
    wnid_of_id = {int(s["ILSVRC2012_ID"]): s["WNID"] for s in leaves}
    truth = {
        "val": kit["ILSVRC2012_validation_ground_truth.txt"].split(),
        "test": (folder / "ILSVRC2012_test_ground_truth.txt").read_bytes().split(),
    }
    splits = {"train": []}
    with tarfile.open(folder / "ILSVRC2012_img_train.tar") as outer:
        for inner in outer:
            with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
                for member in archive:
                    content = archive.extractfile(member).read()
                    splits["train"].append(Image(member.name[:-5], inner.name[:-4], content))
    for split, name in (("val", "img_val"), ("test", "img_test_v10102019")):
        with tarfile.open(folder / f"ILSVRC2012_{name}.tar") as archive:
            files = sorted(
                (Path(member.name).stem, archive.extractfile(member).read())
                for member in archive
                if member.isfile()
            )
        splits[split] = [
            Image(stem, wnid_of_id[int(line)], content)
            for (stem, content), line in zip(files, truth[split], strict=True)
        ]
    return splits, {s["WNID"]: s["words"] for s in leaves}


def write_kaggle(folder: Path, splits: dict[str, list[Image]], words: dict[str, str]) -> None:
    """ILSVRC/Data/CLS-LOC/{train/<wnid>,val,test}, LOC_val_solution.csv, LOC_synset_mapping.txt."""
    images = folder / "ILSVRC/Data/CLS-LOC"
    for split, members in splits.items():
        for image in members:
            path = images / split / (image.wnid if split == "train" else "") / f"{image.id}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.content)
    lines = [f"{i.id},{i.wnid} 1 2 30 40 {i.wnid} 5 6 70 80 " for i in splits["val"]]
    random.Random(0).shuffle(lines)  # Kaggle's is in no order
    (folder / "LOC_val_solution.csv").write_text(
        "\n".join(["ImageId,PredictionString", *lines, ""])
    )
    (folder / "LOC_synset_mapping.txt").write_text(
        "".join(f"{wnid} {words[wnid]}\n" for wnid in sorted(words))
    )


def write_huggingface(folder: Path, splits: dict[str, list[Image]], words: dict[str, str]) -> None:
    """data/{train,validation,test}-NNNNN-of-MMMMM.parquet, compressed, in random order."""
    order = sorted(words)
    names = [words[wnid] for wnid in order]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    (folder / "data").mkdir(parents=True)
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        members = random.Random(1).sample(splits[split], len(splits[split]))
        for number in range(3):
            part, known = members[number::3], split != "test"
            rows = [
                {
                    "image": {
                        "bytes": i.content,
                        "path": f"{i.id}_{i.wnid}.JPEG" if known else f"{i.id}.JPEG",
                    },
                    "label": order.index(i.wnid) if known else -1,
                }
                for i in part
            ]
            path = folder / "data" / f"{name}-{number:05d}-of-00003.parquet"
            pq.write_table(
                pa.Table.from_pylist(rows, schema), path, compression="snappy", row_group_size=5
            )


def write_folders(folder: Path, splits: dict[str, list[Image]], words: dict[str, str]) -> None:
    """train/<class>/, val/<class>/ and test/, as torchvision's ImageFolder would read them."""
    for split, members in splits.items():
        for image in members:
            path = folder / split / (image.wnid if split != "test" else "") / f"{image.id}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.content)
    (folder / "train" / ".DS_Store").write_bytes(b"hidden files are no images")


WRITERS = {"kaggle": write_kaggle, "huggingface": write_huggingface, "folder": write_folders}


def mutations(content, rng, count):
    """Copies of a file with bytes changed, cut away, put in, and zeroed."""
    for _ in range(count):
        place, length = (int(n) for n in rng.integers((1, 1), (len(content), 600)))
        few = rng.bytes(length)
        yield content[:place]
        yield content[:place] + few[:3] + content[place + 3 :]
        yield content[:place] + bytes(length) + content[place + length :]
        yield content[:place] + few + content[place:]
