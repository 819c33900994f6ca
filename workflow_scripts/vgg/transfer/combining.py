"""Representations of images from their descriptors, as inner products (appendix B).

A representation stacks parts: the descriptors of each net and region, and of each scale unless
these are pooled. Parts are used as they come: whether before or after the ReLU is decided where
images are described.

A linear machine needs nothing but inner products, so the stacked matrix is never made: the Gram
matrix is the sum of those of the parts, of which one is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..core.declarations import declared

SCALE_POOLINGS = ("mean", "max", "stack")
NORMALISATIONS = ("each-and-whole", "whole")
ROWS_AT_ONCE = 1024  # of the Gram matrix
NUMBERS_AT_ONCE = 2**22  # of a part, where it is looked at in more digits than it has

Load = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Combining:
    """How descriptors of an image become one representation.

    scale_pooling: what becomes of several scales' descriptors: their mean or maximum is one part,
        or each is a part of its own.
    feature_l2: "each-and-whole" gives each part, then the whole, a Euclidean norm of 1; "whole"
        the whole alone, so that parts count by their norms. What is zero stays so.
    """

    scale_pooling: str = declared(values=SCALE_POOLINGS, help="what becomes of several scales")
    feature_l2: str = declared("each-and-whole", values=NORMALISATIONS, choice=True)


class Products(NamedTuple):
    """Sums over parts: of inner products [images, images], and of squared norms [images].

    Only the blocks of `gram` on and below the diagonal are there.
    """

    gram: np.ndarray
    squares: np.ndarray


def parts_of(sources: Iterable[Sequence[Load]], combining: Combining) -> Iterator[np.ndarray]:
    """The parts of a representation, float32 [images, dimensions], one after the other.

    sources: for each net and region, functions that load its descriptors, float32
        [images, dimensions], one a scale; each is called once, when its turn comes. While scales
        are pooled, two arrays are in memory, otherwise one.
    Raises ValueError for an unknown `scale_pooling`, or if there is no scale, or if those to be
    pooled are of different shapes.
    """
    for scales in sources:
        if not scales:
            raise ValueError("descriptors of no scale make no part")
        if combining.scale_pooling == "stack":
            for load in scales:
                yield load()
        else:
            yield _pooled(scales, combining.scale_pooling)


def _pooled(scales: Sequence[Load], pooling: str) -> np.ndarray:
    """The mean or maximum over scales, float32 [images, dimensions]."""
    pool = {"mean": np.add, "max": np.maximum}.get(pooling)
    if pool is None:
        raise ValueError(f"unknown pooling of scales {pooling!r}")
    found = np.array(scales[0](), np.float32)  # a copy, as it is changed
    for load in scales[1:]:
        descriptors = load()
        if descriptors.shape != found.shape:
            raise ValueError(
                f"descriptors {descriptors.shape} and {found.shape} of two scales cannot be pooled"
            )
        pool(found, descriptors, out=found)
        del descriptors  # before the next one is loaded
    if pooling == "mean":
        found /= len(scales)
    return found


def gram(parts: Iterable[np.ndarray], feature_l2: str, dtype: DTypeLike = np.float32) -> np.ndarray:
    """The inner products of all images' representations, `dtype` [images, images].

    parts: float32 [images, dimensions] each; dimensions may differ. feature_l2: as in `Combining`.
    dtype: float32 or float64, in which products are computed and added; norms are always taken
        in float64.
    It is symmetric to the last bit. An image whose parts are all zero has products of 0, all others
    one of 1 with itself, within rounding. In memory are the result, one part and, for
    "each-and-whole" or float64, another copy of it.
    Raises ValueError if there are no parts, if they are of different numbers of images or not
    finite, or for an unknown `feature_l2`.
    """
    found = None
    for part in parts:
        taken, squares = _taken(part, feature_l2, dtype)
        if found is None:
            found = Products(np.zeros((len(part), len(part)), dtype), np.zeros(len(part)))
        _check_images(part, len(found.squares))
        found.squares[:] += squares
        for rows, columns in _lower_blocks(len(part)):
            found.gram[rows, columns] += taken[rows] @ taken[columns].T
        del part, taken  # before the next one is loaded
    if found is None:
        raise ValueError("no parts to combine")
    _normalise_whole(found)
    return found.gram


def _normalise_whole(products: Products) -> None:
    """Divide by the norms of both images, and mirror the blocks that are there."""
    scale = 1 / _norms(products.squares)
    for rows, columns in _lower_blocks(len(scale)):
        block = products.gram[rows, columns]
        block *= np.outer(scale[rows], scale[columns])
        if rows == columns:
            block[:] = np.tril(block) + np.tril(block, -1).T
        else:
            products.gram[columns, rows] = block.T


def stacked(
    parts: Iterable[np.ndarray], feature_l2: str, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """The representations themselves, `dtype` [images, dimensions of all parts], for small sets.

    `gram` gives their inner products. Raises ValueError as it does.
    """
    pairs = [_taken(part, feature_l2, dtype) for part in parts]
    if not pairs:
        raise ValueError("no parts to combine")
    for part, _ in pairs:
        _check_images(part, len(pairs[0][0]))
    norms = _norms(np.sum([squares for _, squares in pairs], axis=0))
    whole = np.concatenate([part for part, _ in pairs], axis=1)
    whole /= norms[:, None]
    return whole


def _taken(part: np.ndarray, feature_l2: str, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """A part as it is stacked, `dtype`, and the squared norms of its rows, float64 [images]."""
    if feature_l2 not in NORMALISATIONS:
        raise ValueError(f"unknown normalisation {feature_l2!r}")
    squares = _squares(part)
    if not np.isfinite(squares).all():
        raise ValueError(f"the descriptor of image {np.isfinite(squares).argmin()} is not finite")
    if feature_l2 == "whole":
        return part.astype(dtype, copy=False), squares
    norms = _norms(squares).astype(dtype)
    return np.divide(part, norms[:, None], dtype=dtype), (squares > 0).astype(np.float64)


def _check_images(part: np.ndarray, images: int) -> None:
    """Raise ValueError unless a part is of as many images as the first one."""
    if len(part) != images:
        raise ValueError(f"a part is of {len(part)} images, and another of {images}")


def _squares(part: np.ndarray) -> np.ndarray:
    """Squared norms of rows, float64 [images], without a copy of all in float64."""
    squares = np.empty(len(part))
    at_once = max(1, NUMBERS_AT_ONCE // max(1, part.shape[1]))
    for first in range(0, len(part), at_once):
        rows = part[first : first + at_once].astype(np.float64)
        squares[first : first + at_once] = np.einsum("ij,ij->i", rows, rows)
    return squares


def _norms(squares: np.ndarray) -> np.ndarray:
    """What rows are divided by, float64: the norms, but 1 for 0, so that what is zero stays so."""
    return np.sqrt(np.where(squares > 0, squares, 1))


def _lower_blocks(images: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks on and below the diagonal."""
    starts = range(0, images, ROWS_AT_ONCE)
    for first in starts:
        for other in starts:
            if other <= first:
                yield (
                    slice(first, min(first + ROWS_AT_ONCE, images)),
                    slice(other, min(other + ROWS_AT_ONCE, images)),
                )
