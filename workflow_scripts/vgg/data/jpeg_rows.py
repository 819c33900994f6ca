"""The rows of a JPEG that are needed, as a JPEG of their own: the others are not decoded.

A JPEG is coded from top to bottom. One that says that it is less high is decoded no further; and
where a restart marker stands behind each row of blocks, as in `images.encode_jpeg`'s, the decoder
can begin at any of them, since what follows is coded for itself. Pixels are those of the whole
image, bit for bit: where chroma is subsampled, a row of blocks more is taken on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 8  # side of a block of coded values
FRAMES = (0xC0, 0xC1)  # sequential, Huffman-coded
OTHER_FRAMES = frozenset(range(0xC2, 0xD0)) - {0xC4, 0xC8, 0xCC}  # progressive, arithmetic, …
RESTART_INTERVAL, SCAN = 0xDD, 0xDA
FIRST_RESTART = 0xD0
END = b"\xff\xd9"


@dataclass(frozen=True)
class Band:
    """Some rows of an image of `height` × `width` pixels.

    jpeg: of these rows alone. rows: their place in the image. ends: whether it ends where the rows
    do, or has bytes behind them that a strict decoder refuses.
    """

    jpeg: bytes
    rows: slice
    height: int
    width: int
    ends: bool


def band_of(encoded: bytes | memoryview, first: int, end: int) -> Band | None:
    """The rows `first` … `end` − 1 of a JPEG, and those about them that come along.

    None if all rows are needed, or if the JPEG cannot be cut: it is progressive or has several
    scans, it lacks some of the rows, or it is none.
    """
    try:
        layout = _layout(encoded)
    except IndexError:  # a header that ends inside a segment
        return None
    if layout is None or end > layout.height:
        return None
    rows = -(-layout.height // layout.row_height)  # of blocks
    context = layout.row_height > BLOCK or layout.subsampled
    end_row = min(rows, -(-end // layout.row_height) + context)
    first_row, ends = 0, end_row == rows
    body: bytes | memoryview = encoded[layout.coded :]
    if layout.restarts:
        data = np.frombuffer(encoded, np.uint8)
        escapes = layout.coded + np.flatnonzero(data[layout.coded : -1] == 0xFF)
        markers = escapes[data[escapes + 1] != 0]
        expected = np.append(_codes(rows - 1), END[1])
        if not np.array_equal(data[markers + 1], expected) or markers[-1] != len(data) - 2:
            return None  # damage, after which a decoder of the whole may lose its place
        restarts = markers[:-1]
        first_row, ends = max(0, first // layout.row_height - context), True
        start = layout.coded if first_row == 0 else int(restarts[first_row - 1]) + 2
        stop = len(encoded) - 2 if end_row == rows else int(restarts[end_row - 1])
        # Restart markers count from 0 to 7 and again, and so must those of the band.
        band = np.append(data[start:stop], np.frombuffer(END, np.uint8))
        own = restarts[first_row : end_row - 1] + 1 - start
        band[own] = _codes(len(own))
        body = band.data
    if first_row == 0 and end_row == rows:
        return None
    kept = slice(first_row * layout.row_height, min(layout.height, end_row * layout.row_height))
    height = (kept.stop - kept.start).to_bytes(2, "big")
    before, behind = encoded[: layout.size_at], encoded[layout.size_at + 2 : layout.coded]
    jpeg = b"".join([before, height, behind, body])
    return Band(jpeg, kept, layout.height, layout.width, ends=ends)


def _codes(count: int) -> np.ndarray:
    """The first so many restart markers of a JPEG, int [count]."""
    return FIRST_RESTART + np.arange(count) % 8


@dataclass(frozen=True)
class _Layout:
    """size_at, coded: where the frame's height and the coded values begin. row_height: pixels of a
    row of blocks. restarts: whether a restart marker stands behind each."""

    size_at: int
    coded: int
    height: int
    width: int
    row_height: int
    subsampled: bool
    restarts: bool


def _layout(encoded: bytes | memoryview) -> _Layout | None:
    place, frame, interval = 2, 0, 0
    height = width = channels = across = down = 0
    while place + 4 <= len(encoded) and encoded[place] == 0xFF:
        marker, start = encoded[place + 1], place + 4
        place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")
        if marker in FRAMES:
            frame, channels = start, encoded[start + 5]
            height = int.from_bytes(encoded[start + 1 : start + 3], "big")
            width = int.from_bytes(encoded[start + 3 : start + 5], "big")
            if channels not in (1, 3):
                return None
            if channels == 3:  # the factors of a single one mean nothing
                factors = [encoded[start + 7 + 3 * channel] for channel in range(3)]
                across, down = max(f >> 4 for f in factors), max(f & 15 for f in factors)
            else:
                across = down = 1
        elif marker == RESTART_INTERVAL:
            interval = int.from_bytes(encoded[start : start + 2], "big")
        elif marker == SCAN:
            if encoded[start] != channels or place >= len(encoded):
                return None
            if not (frame and height and across and down):
                return None
            return _Layout(
                size_at=frame + 1,
                coded=place,
                height=height,
                width=width,
                row_height=BLOCK * down,
                subsampled=(across, down) != (1, 1),
                restarts=interval > 0 and interval == -(-width // (BLOCK * across)),
            )
        elif marker in OTHER_FRAMES:
            return None
    return None
