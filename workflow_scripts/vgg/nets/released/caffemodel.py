"""Arrays of a `.caffemodel`, read without Caffe: protocol buffers' wire format over mapped memory.

Only the fields that hold names, shapes and values of parameters are looked at (caffe.proto):
NetParameter.layers = 2 (V1LayerParameter: name 4, blobs 6) and .layer = 100 (LayerParameter: name
1, blobs 7); BlobProto num, channels, height, width = 1–4, data 5, shape 7, double_data 8.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .arrays import Stored

LAYER_FIELDS = {2: (4, 6), 100: (1, 7)}  # field of the net: (name, blobs) in its message
VARINT, BYTES = 0, 2  # wire types
FIXED: dict[int, np.dtype] = {
    1: np.dtype("<f8"),
    5: np.dtype("<f4"),
}  # the file's fixed-size fields are all floats
VALUES: dict[int, np.dtype] = {5: FIXED[5], 8: FIXED[1]}  # data, double_data
LEGACY_SIDES = (1, 2, 3, 4)  # num, channels, height, width
PARTS = ("weight", "bias")


def read_caffemodel(path: str | Path) -> dict[str, Stored]:
    """The parameters by name: "conv1_1.weight", "conv1_1.bias", …; values stay in the file.

    Raises ValueError if the file is no NetParameter, ends early, or a blob's sides do not fit the
    number of its values.
    """
    arrays = {}
    content: Any = np.memmap(path, np.uint8, "r")
    for number, wire, layer in _fields(memoryview(content)):
        if number not in LAYER_FIELDS or wire != BYTES:
            continue
        name, blobs = _layer(layer, *LAYER_FIELDS[number])
        for place, blob in enumerate(blobs):
            part = PARTS[place] if place < len(PARTS) else f"blob {place}"
            if f"{name}.{part}" in arrays:
                raise ValueError(f"two layers are called {name}")
            arrays[f"{name}.{part}"] = _blob(blob, name)
    if not arrays:
        raise ValueError("no Caffe model: no layer has weights")
    return arrays


def _layer(message: memoryview, name_field: int, blob_field: int) -> tuple[str, list[memoryview]]:
    """A layer's name and the messages of its blobs."""
    name, blobs = "", []
    for number, wire, value in _fields(message):
        if wire != BYTES:
            continue
        if number == name_field:
            name = bytes(value).decode("utf-8", "replace")
        elif number == blob_field:
            blobs.append(value)
        elif number == 1 and blob_field == LAYER_FIELDS[2][1]:
            raise ValueError("Caffe's oldest form (V0); convert it with upgrade_net_proto_binary")
    return name, blobs


def _blob(message: memoryview, layer: str) -> Stored:
    """A BlobProto as an array whose values are copied only when it is read."""
    legacy: dict[int, int] = {}
    sides, runs = None, []
    for number, wire, value in _fields(message):
        if number in LEGACY_SIDES and wire == VARINT:
            legacy[number] = value
        elif number == 7 and wire == BYTES:
            sides = _sides(value)
        elif number in VALUES and wire == BYTES:
            if len(value) % VALUES[number].itemsize:
                raise ValueError(f"{layer}: a part of a number at the end of its values")
            runs.append(np.frombuffer(value, VALUES[number]))
        elif number in VALUES and wire in FIXED:
            runs.append(value)
    shape = tuple(legacy.get(n, 0) for n in LEGACY_SIDES) if sides is None else sides
    count = sum(map(len, runs))
    if math.prod(shape) != count:
        raise ValueError(f"{layer}: {count} values for the shape {shape}")
    return Stored(shape, lambda: torch.from_numpy(np.concatenate(runs).reshape(shape)))


def _sides(message: memoryview) -> tuple[int, ...]:
    """A BlobShape: repeated int64 dim = 1, packed or not."""
    sides = []
    for number, wire, value in _fields(message):
        if number == 1 and wire == VARINT:
            sides.append(value)
        elif number == 1 and wire == BYTES:
            place = 0
            while place < len(value):
                side, place = _varint(value, place)
                sides.append(side)
    return tuple(sides)


def _fields(message: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of each field of a message.

    Values: int for a varint; memoryview for bytes; for fixed sizes a view, float [n], on a run of
    fields with the same number, because an unpacked blob has one field for every value.
    """
    place = 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == VARINT:
            value, place = _varint(message, place)
        elif wire == BYTES:
            length, place = _varint(message, place)
            value = message[place : place + length]
            if len(value) < length:
                raise ValueError("cut short: a field ends behind the end of the file")
            place += length
        elif wire in FIXED:
            value, place = _run(message, start, place - start, FIXED[wire])
        else:
            raise ValueError(
                f"damaged, or no Caffe model: wire type {wire}, which Caffe never writes"
            )
        yield number, wire, value


def _run(
    message: memoryview, start: int, key_bytes: int, dtype: np.dtype
) -> tuple[np.ndarray, int]:
    """The values of equal fixed-size fields from `start` on, and where the run ends."""
    record = np.dtype([("key", np.uint8, (key_bytes,)), ("value", dtype)])
    records = np.frombuffer(message, record, (len(message) - start) // record.itemsize, start)
    if not len(records):
        raise ValueError("cut short: a number ends behind the end of the file")
    length, block = 0, 64
    while length < len(records):
        # Growing blocks: a layer with two such fields must not cost a scan of all that follows.
        other = (records["key"][length : length + block] != records["key"][0]).any(1)
        if other.any():
            length += int(other.argmax())
            break
        length += len(other)
        block *= 4
    return records["value"][:length], start + length * record.itemsize


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A base-128 integer of at most 64 bits, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("cut short: a number ends behind the end of the file")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("damaged, or no Caffe model: a number longer than 64 bits")
