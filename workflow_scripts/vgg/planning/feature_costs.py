"""Time and disk that features of other data sets take besides nets (appendix B).

What is assumed of images, persons and parts holds until they are indexed and packed. Rates are of
one core of an AMD EPYC, measured.
"""

from __future__ import annotations

import math

from .packing_costs import KEPT_RATE, TYPICAL_SIZE, drawn_size

# By kind of data set, height and width: most of VOC's images are of that size, and Caltech-101's
# authors say "roughly 300 × 200 pixels". Caltech-256's are larger, in the mean of twice as many
# pixels; but descriptors are of images that are rescaled, so that only the shape counts.
SIZES = {"voc": (375, 500), "actions": (375, 500), "folders": (200, 300)}
# Bytes of such an image: VOC's four archives hold 4.7 GB of 43,223, Caltech's two 1.3 GB of 39,753.
SOURCE_BYTES = {"voc": 109_000, "actions": 109_000, "folders": 33_000}
PERSONS = 6278 / 4588  # an image, of those to train on and to choose by of VOC-2012's actions
SHAPE = (2, 1)  # height and width of a person's box, of which only the ratio counts
CLASSES = {"voc": 20, "actions": 11}
# Images of a class in folders: Caltech-256's in the mean, which take nearly all of the time, as it
# goes with the cube of the number of classes. Caltech-101 has 90.
CLASS_SIZE = 119
# Shares of an organised data set with its test set: to learn from, and with those to choose by.
LEARNT, TRAINED = 1 / 4, 1 / 2

# Images a second whose annotations are read: all five data sets of the miniature, 1,177 images in
# 0.27 s behind imports.
READING = 4_400
# At Caltech-256's size (docs/features.md: made data of 30,607 images, 257 classes and 24,576
# numbers) two cores took 150 s for the inner products, which are 23 TFLOP.
CORE_FLOP = 77e9
# Products of the matrix of inner products with the vectors of all classes, that take as long at
# this rate as Newton's method and its conjugate gradients at one C, line searches and all: a split
# of the same data, 13 C and the last training, took the two cores 619 s. Small sets take up to
# three times as long, which is seconds.
PRODUCTS = 84
CORES = 16  # that train classifiers at full size, as rules/transfer.smk has them

# Bytes: of an example, its names and part; of a label of it; of a score.
EXAMPLE, LABEL, SCORE = 40, 1, 4


def typical_size(config: dict, data_set: str) -> tuple[int, int]:
    """Height and width assumed of a data set's images before any is read."""
    entry = config["transfer"]["data_sets"][data_set]
    is_drawn = entry["directory"] == config["transfer"]["drawn"]
    return drawn_size(config) if is_drawn else SIZES[entry["kind"]]


def packed_image(kind: str, height: int, width: int) -> tuple[float, float]:
    """Core-seconds to pack an image as it is, and the bytes that it takes; both by its pixels."""
    pixels = height * width
    seconds = pixels / math.prod(TYPICAL_SIZE) / KEPT_RATE
    return seconds, SOURCE_BYTES[kind] * pixels / math.prod(SIZES[kind])


def gram_flop(examples: float, dimensions: int) -> float:
    """FLOP of the inner products of all pairs of examples, each pair once."""
    return examples**2 * dimensions


def svm_flop(examples: float, classes: int) -> float:
    """FLOP to train a machine for each class at one C, the inner products being there."""
    return PRODUCTS * 2 * examples**2 * classes


def core_hours(flop: float) -> float:
    """Hours of one core."""
    return flop / CORE_FLOP / 3600
