"""Mutated weights through the reader of every format: `python -m tests.checks.fuzz_weights`.

A file is read or refused by its name, and nothing else happens. What has checksums, a zip of
PyTorch's and a file of this pipeline, is read as it was or refused. The other formats have none:
how often their values came out changed is counted, and an import's `md5` is there for them.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from tests import checks
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.convnets import Architecture
from workflow_scripts.vgg.nets.released.reading import read_released


def mutated(whole: bytes, number: int) -> bytes:
    """The file of that number: bytes changed at an end or anywhere, and perhaps cut."""
    rng = np.random.default_rng([23, number])
    content = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        reach = min(len(content), int(rng.choice([16, 300, 5000, len(content)])))
        place = int(rng.integers(reach))
        if rng.random() < 0.4:
            place = len(content) - 1 - place
        content[place] = rng.choice([content[place] ^ 1 << rng.integers(8), rng.integers(256), 0])
    return bytes(content if rng.random() < 0.9 else content[: rng.integers(1, len(content))])


def run(
    files: Mapping[str, bytes], architecture: Architecture, folder: Path, numbers: Iterable[int]
) -> Counter:
    """How often files were read unchanged, read and differ, or were refused.

    files: by format, and more behind a dash. An error names the number.
    """
    outcomes, truth = Counter(), {}
    path = folder / "w"
    for name, content in files.items():
        path.write_bytes(content)
        truth[name] = read_released(path, name.split("-")[0], architecture)[0].state_dict()
    for number in numbers:
        name = list(files)[number % len(files)]
        path.unlink()  # its older content may still be mapped
        path.write_bytes(mutated(files[name], number))
        try:
            net, _ = read_released(path, name.split("-")[0], architecture)
        except InputError as error:
            if not str(error).startswith(f"{path}: "):
                raise
            outcomes[f"{name} refused"] += 1
            continue
        except Exception as error:
            error.add_note(f"file {number}, {name}")
            raise
        found = net.state_dict()
        differ = sum(int((found[key] != values).sum()) for key, values in truth[name].items())
        outcomes[f"{name} {'read, values differ' if differ else 'read as it was'}"] += 1
        checked = name.startswith("own") or files[name].startswith(b"PK")
        assert not (checked and differ), f"file {number}, {name}: {differ} values differ unnoticed"
    return outcomes


if __name__ == "__main__":
    from tests.helpers.released_files import one_of_each
    from tests.helpers.released_nets import ARCHITECTURE

    torch.set_num_threads(1)
    parser = checks.parser(__doc__)
    parser.add_argument("--number", type=int, default=5000, help="of files")
    parser.add_argument("--first", type=int, default=0, help="of the numbers")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        one_of_each(folder)
        contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        numbers = range(given.first, given.first + given.number)
        for outcome, count in sorted(run(contents, ARCHITECTURE, folder, numbers).items()):
            print(count, outcome)
