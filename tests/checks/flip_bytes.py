"""Does one changed byte in a finished run go unnoticed? python -m tests.checks.flip_bytes RESULTS

Changes one byte at each of many random places of the artefacts below a results folder, one place at
a time and in a copy, and reads the file as the next job does. Each change is noticed, by an error
that names the file, or harmless: what is read is what was read before. Files that no job reads are
for people, and not looked at; the next run compares config.yaml with its own. Those for PASCAL
VOC's server are unpacked, as there. Status 1 if a change went unnoticed.
"""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests import checks
from workflow_scripts.vgg.core import parquet
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_columns, read_frame
from workflow_scripts.vgg.core.text_artefacts import read_csv, read_json, read_svg
from workflow_scripts.vgg.data.examples import read_examples
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.truth import read_truth
from workflow_scripts.vgg.evaluation import posteriors
from workflow_scripts.vgg.localisation.box_files import read_boxes
from workflow_scripts.vgg.localisation.guesses import read_guesses
from workflow_scripts.vgg.nets.weights import load_weights
from workflow_scripts.vgg.results import tables
from workflow_scripts.vgg.transfer.descriptor_files import read_descriptors
from workflow_scripts.vgg.transfer.scores import read_scores
from workflow_scripts.vgg.transfer.splits import read_splits


def of_shard(path: Path) -> object:
    shards = Shards([path])
    images = [bytes(shards.jpeg(place)) for place in range(len(shards))]
    sizes = [part.tolist() for part in (shards.labels, shards.heights, shards.widths)]
    return list(shards.ids()), sizes, images


def of_descriptors(path: Path) -> object:
    ids = read_columns(path, ["id"])["id"].to_pylist()
    return ids, read_descriptors(path, ids).tobytes()


def of_features(kind: str, path: Path) -> object:
    """Examples, random splits or scores of another data set."""
    readers = {"examples": read_examples, "splits": read_splits, "classifiers": read_scores}
    with np.printoptions(threshold=sys.maxsize):
        return repr(readers[kind](path)), parquet.read_metadata(path)


def of_parquet(path: Path) -> object:
    if "descriptors" in path.parts:
        return of_descriptors(path), parquet.read_metadata(path)
    if kind := next((k for k in ("examples", "splits", "classifiers") if k in path.parts), None):
        return of_features(kind, path)
    readers = {"truth": read_truth, "boxes": read_boxes, "localisation": read_guesses}
    if kind := next((name for name in readers if name in path.parts), None):
        found = readers[kind](path)
        said = list(map(repr, found)) if kind == "boxes" else repr(found)
        return said, parquet.read_metadata(path)
    if "posteriors" not in path.parts:
        return read_frame(path).to_dict("list").__repr__()
    rows = [
        (ids, labels.tolist(), values.tobytes())
        for ids, labels, values in posteriors.mean_posteriors([path])
    ]
    return rows, parquet.read_metadata(path)


def of_weights(path: Path) -> object:
    net, metadata = load_weights(path)
    tensors = {name: tensor.numpy().tobytes() for name, tensor in net.state_dict().items()}
    return tensors, metadata


def of_server_file(path: Path) -> object:
    """Each text file for VOC's server; gzip's checksum is of all of them."""
    try:
        content = gzip.decompress(path.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return [(member.name, archive.extractfile(member).read()) for member in archive]
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise InputError(f"{path}: is damaged: {error}") from error


def of_csv(path: Path) -> object:
    if path.parent.name == "tables":
        return tables.read_lines(path.with_suffix("")).to_csv()
    return read_csv(path)


def is_for_people(path: Path) -> bool:
    """Whether a file is a CSV that no job reads: those of claims, plans and pictures."""
    read = path.parent.name in ("history", "tables") or path.name == "evaluations.csv"
    return path.suffix == ".csv" and not read


READERS: dict[str, Callable[[Path], object]] = {
    ".arrow": of_shard,
    ".parquet": of_parquet,
    ".safetensors": of_weights,
    ".json": read_json,
    ".csv": of_csv,
    ".svg": read_svg,
    ".gz": of_server_file,
}


def outcome(source: Path, place: int, change: int, folder: Path) -> str:
    """What comes of one byte of a file xor `change`, in a copy of it in a folder: what was said."""
    reader = READERS[source.suffix]
    # The path's end, by which readers know what it is.
    copy = folder.joinpath(*source.parts[-4:])
    copy.parent.mkdir(parents=True, exist_ok=True)
    for beside in {source, source.with_suffix(".json")}:
        if beside.exists():
            (copy.parent / beside.name).write_bytes(beside.read_bytes())
    content = bytearray(source.read_bytes())
    content[place] ^= change
    copy.write_bytes(content)
    try:
        found = reader(copy)
    except InputError as error:
        if str(copy) not in str(error):
            return f"UNNAMED: {error}"
        return "noticed"
    except Exception as error:  # a traceback, for a user
        return f"TRACEBACK: {type(error).__name__}: {error}"
    finally:
        copy.unlink(missing_ok=True)
    return "harmless" if says_the_same(found, reader(source)) else "UNNOTICED"


def says_the_same(found: object, written: object) -> bool:
    """Whether all that was written is found; a checksum whose name has changed is one name more."""
    if isinstance(written, dict):
        return all(name in found and found[name] == value for name, value in written.items())
    if isinstance(written, list):
        return len(found) == len(written) and all(map(says_the_same, found, written))
    return found == written


def kind_of(path: Path, results: Path) -> tuple[str, str]:
    """What kind of artefact a file is: its suffix, and the folder of its stage."""
    parts = path.relative_to(results).parts
    return path.suffix, parts[0] if len(parts) > 1 else ""


def flip(results: Path, number: int, seed: int = 0) -> dict[str, Counter]:
    """What came of so many changes, by suffix: half at places by size, half by kind of file."""
    draw = np.random.default_rng(seed)
    files = [path for path in sorted(results.rglob("*")) if path.suffix in READERS]
    files = [path for path in files if path.stat().st_size and not is_for_people(path)]
    sizes = np.array([path.stat().st_size for path in files], float)
    kinds = sorted({kind_of(path, results) for path in files})
    found: dict[str, Counter] = {suffix: Counter() for suffix, _ in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(number):
            if turn % 2:
                source = files[draw.choice(len(files), p=sizes / sizes.sum())]
            else:  # kinds take turns, and within a file its ends, where headers and footers lie
                kind = kinds[turn // 2 % len(kinds)]
                own = [path for path in files if kind_of(path, results) == kind]
                source = own[draw.integers(len(own))]
            size = source.stat().st_size
            place = int(draw.integers(size))
            if turn % 4 == 2:
                place = int(min(size - 1, draw.integers(4096)))
                place = place if draw.random() < 0.5 else size - 1 - place
            said = outcome(source, place, int(draw.integers(1, 256)), Path(folder))
            found[source.suffix][said.partition(":")[0]] += 1
            if said.isupper() or said.partition(":")[0].isupper():
                print(f"{source}, byte {place} of {size}: {said[:300]}")
    return found


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("results", type=Path, help="results/<experiment> of a finished run")
    parser.add_argument("--number", type=int, default=200, help="of changed bytes")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = flip(given.results, given.number, given.seed)
    if not found:
        sys.exit(f"{given.results}: no artefacts there")
    for kind, outcomes in found.items():
        print(f"{kind:13}", ", ".join(f"{number} {said}" for said, number in outcomes.items()))
    if any(said.isupper() for outcomes in found.values() for said in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
