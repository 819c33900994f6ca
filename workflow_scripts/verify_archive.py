"""Compare an archive's MD5 sum with the published one, and remember that it passed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, reading
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.sources.archives import require

CHUNK = 16 * 2**20


def md5_of(path: str) -> str:
    """Hexadecimal MD5 of a file's bytes, with progress."""
    digest = hashlib.md5()
    progress = Progress(max(1, require(path).stat().st_size // 2**20), "MiB")
    with reading(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            progress.update(len(chunk) // 2**20)
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--archive", required=True, help="file to check")
    parser.add_argument("--md5", required=True, help="the published sum")
    parser.add_argument("--output", required=True, help="record to write (JSON)")
    options = parser.parse_args(arguments)
    state = require(options.archive).stat()
    found = md5_of(options.archive)
    if found != options.md5.lower():
        raise InputError(
            f"{options.archive}: its MD5 sum is {found}, published is {options.md5}; download it "
            "again, or set its entry in data.md5 to null if you repacked it yourself"
        )
    write_json(
        options.output,
        {
            "archive": options.archive,
            "md5": found,
            "bytes": state.st_size,
            "modified_ns": state.st_mtime_ns,
        },
    )


if __name__ == "__main__":
    command.run(main)
