"""Thousands of mutated files of a finished run through their readers.

    python -m tests.checks.fuzz_files

After `make demo`. Archives, development kit and lists of the data sets, the run's artefacts and the
configurations are cut, overwritten, zeroed and lengthened. A file is read or refused by its name;
an artefact, which has checksums, says what it said or is refused. Anything else, a traceback above
all, ends the run with the number of the file.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests import checks
from tests.checks.flip_bytes import READERS, is_for_people, kind_of, says_the_same
from tests.helpers.forms import mutations
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.sources import devkit
from workflow_scripts.vgg.data.sources.annotations import annotations_of
from workflow_scripts.vgg.data.sources.archives import image_members
from workflow_scripts.vgg.data.sources.bounding_boxes import read_blacklist
from workflow_scripts.vgg.data.sources.caltech import read_class_folders
from workflow_scripts.vgg.data.sources.voc import read_actions, read_voc
from workflow_scripts.vgg.settings import configuration

ROOT = Path(__file__).parents[2]


def of_zip(path: Path) -> object:
    """The images of a zip, whose images are unpacked beside it."""
    return read_class_folders([path], path.with_suffix(".images"), "BACKGROUND_Google")


SOURCES: dict[str, Callable[[Path], object]] = {
    "resources/miniature/ILSVRC2012_img_val.tar": lambda path: list(image_members(path)),
    "resources/miniature/ILSVRC2012_img_test_v10102019.tar": lambda path: list(image_members(path)),
    "resources/miniature/ILSVRC2012_devkit_t12.tar.gz": devkit.read_classes,
    "resources/miniature/ILSVRC2012_test_ground_truth.txt": devkit.read_ground_truth,
    "resources/miniature/ILSVRC2012_bbox_test.tgz": lambda path: list(annotations_of(path)),
    "resources/miniature/ILSVRC2014_devkit.tgz": lambda path: read_blacklist(path, 1000),
    "resources/other_sets/VOCtrainval_06-Nov-2007.tar": lambda path: read_voc([path]),
    "resources/other_sets/VOCtrainval_11-May-2012.tar": lambda path: read_actions([path]),
    "resources/other_sets/caltech-101.zip": of_zip,
    "resources/other_sets/256_ObjectCategories.tar": lambda path: read_class_folders([path]),
    **{
        f"config/{name}.yaml": lambda path, kind=kind: configuration.read_valid(kind, path)
        for name, kind in (
            *(("config", "config"), ("ilsvrc2012", "config"), ("models", "models")),
            *(("tables", "tables"), ("claims", "claims"), ("pictures", "pictures")),
            *(("released_weights", "config"), ("released_tables", "tables")),
        )
    },
}


def run(files: Sequence[tuple[Path, Callable, bool]], number: int, folder: Path) -> Counter:
    """How often mutated files were refused, or read and the same, or read and others.

    files: with their reader, and whether they have checksums.
    """
    outcomes: Counter = Counter()
    draw = np.random.default_rng(0)
    written = {source: reader(source) for source, reader, checked in files if checked}
    for turn, (source, reader, checked) in zip(range(number // 4), itertools.cycle(files)):
        copy = folder.joinpath(*source.parts[-4:])
        copy.parent.mkdir(parents=True, exist_ok=True)
        for beside in {source.with_suffix(".json"), source} - {source}:
            if beside.exists():  # a table's CSV is held against its JSON
                (copy.parent / beside.name).write_bytes(beside.read_bytes())
        for content in mutations(source.read_bytes(), draw, 1):
            copy.unlink(missing_ok=True)  # its older content may still be mapped
            copy.write_bytes(content)
            try:
                found = reader(copy)
            except InputError as error:
                if str(copy) not in str(error):
                    raise
                outcomes[source.suffix, "refused by name"] += 1
                continue
            except Exception as error:
                error.add_note(f"turn {turn}, {source}")
                raise
            if checked:
                assert says_the_same(found, written[source]), f"turn {turn}, {source}: unnoticed"
                outcomes[source.suffix, "read as it was"] += 1
            else:
                outcomes[source.suffix, "read, has no checksum"] += 1
        copy.unlink(missing_ok=True)
    return outcomes


def files_of(tree: Path, results: Path, draw: np.random.Generator) -> list:
    """The sources, and of each kind of artefact one."""
    found = [(tree / name, reader, False) for name, reader in SOURCES.items()]
    kinds: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(results.rglob("*")):
        if path.suffix in READERS and not is_for_people(path):
            kinds.setdefault(kind_of(path, results), []).append(path)
    for (suffix, _), own in kinds.items():
        found.append((own[draw.integers(len(own))], READERS[suffix], True))
    return found


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("tree", type=Path, nargs="?", default=ROOT, help="with a finished run")
    parser.add_argument("--number", type=int, default=4000, help="of files")
    given = parser.parse_args()
    files = files_of(given.tree, given.tree / "results/miniature", np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(files, given.number, Path(folder))
    for (suffix, outcome), count in sorted(outcomes.items()):
        print(f"{count:6} {suffix or '-':13} {outcome}")


if __name__ == "__main__":
    main()
