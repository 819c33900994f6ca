"""Compare an archive's MD5 sum with the published one, and remember that it passed.

Example:

    python -m workflow_scripts.verify_archive --md5 b38575b45aac2f1948bb7a0325c126b7 \\
        --archive resources/miniature/ILSVRC2012_devkit_t12.tar.gz --output mine.json
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, md5
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.sources.archives import require
from workflow_scripts.vgg.data.sources.origins import where_to_get


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--archive", required=True, help="file to check")
    parser.add_argument("--md5", required=True, help="the published sum")
    parser.add_argument("--output", required=True, help="record to write (JSON)")
    given = parser.parse_args(arguments)
    state = require(given.archive).stat()
    progress = Progress(max(1, state.st_size // 2**20), "MiB")
    found = md5(given.archive, lambda size: progress.update(size // 2**20))
    if found != given.md5.lower():
        raise InputError(
            f"{given.archive}: its MD5 sum is {found}, published is {given.md5}; download it "
            "again, or set its `md5` in the configuration to null if you packed it yourself. "
            f"{where_to_get(given.archive)}"
        )
    write_json(
        given.output,
        {
            "archive": given.archive,
            "md5": found,
            "bytes": state.st_size,
            "modified_ns": state.st_mtime_ns,
        },
    )


if __name__ == "__main__":
    command.run(main)
