"""The checksums of our safetensors files: of the tensors' bytes, and of the header before them.

Both are in the file's metadata. Files of other programs, which have none, pass.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..core.checksums import checksum, checksum_of_file, damaged
from ..core.files import InputError, reading

METADATA = "__metadata__"
OF_TENSORS, OF_HEADER = "tensors_checksum", "header_checksum"
MOST_HEADER = 10**8  # bytes; the format allows no more


def with_checksums(header: dict, tensors: memoryview) -> bytes:
    """A header, padded as the format wants it, with the checksums in its metadata.

    Its bytes depend on its content alone: the metadata is sorted.
    """
    metadata = {key: text for key, text in header[METADATA].items() if key != OF_HEADER}
    metadata[OF_TENSORS] = json.dumps(_hex(checksum(tensors)))
    metadata = dict(sorted(metadata.items()))
    header = {**header, METADATA: metadata}
    text = _text({**header, METADATA: metadata | {OF_HEADER: json.dumps(_of_header(header))}})
    return text + b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes


def check_header(path: str | Path) -> dict:
    """The metadata of a safetensors file, whose values are JSON if they are ours.

    Raises InputError if the file is missing, is none, or its header is damaged.
    """
    return _checked(path)[0]


def check_tensors(path: str | Path) -> None:
    """Raise InputError if any byte of a safetensors file is not what was written."""
    metadata, start = _checked(path)
    if OF_TENSORS in metadata:
        found = json.dumps(_hex(checksum_of_file(path, start)))
        if found != metadata[OF_TENSORS]:
            raise damaged(path, "its tensors have another checksum")


def _checked(path: str | Path) -> tuple[dict, int]:
    try:
        with reading(path) as file:
            size = int.from_bytes(file.read(8), "little")
            if size > min(MOST_HEADER, os.path.getsize(path)):
                raise ValueError("its header is cut short")
            header = json.loads(file.read(size))
        metadata = dict(header.get(METADATA, {}))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; has its rule run?") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable weights file ({error})") from error
    if OF_HEADER in metadata:
        stated = metadata.pop(OF_HEADER)
        if stated != json.dumps(_of_header({**header, METADATA: metadata})):
            raise damaged(path, "its header has another checksum")
    return metadata, 8 + size


def _of_header(header: dict) -> str:
    return _hex(checksum(_text(header)))


def _text(header: dict) -> bytes:
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()


def _hex(number: int) -> str:
    return f"{number:016x}"
