"""Inner products of representations, against the stacked matrix made by numpy alone."""

import itertools
import weakref

import numpy as np
import pytest

from workflow_scripts.vgg.transfer import combining as module
from workflow_scripts.vgg.transfer.combining import (
    NORMALISATIONS,
    SCALE_POOLINGS,
    Combining,
    gram,
    parts_of,
    stacked,
)

IMAGES = 23
WIDTHS = {"D": 40, "E": 17}
SCALES = (256, 384, 512)


def descriptors(seed=0, zeros=True):
    """float32 [images, width] by net, region and scale; some images have none in some parts."""
    draw = np.random.default_rng(seed)
    found = {}
    for net, region, scale in itertools.product(WIDTHS, ("image", "box"), SCALES):
        own = np.maximum(draw.normal(size=(IMAGES, WIDTHS[net])), 0) * scale / 100
        found[net, region, scale] = own.astype(np.float32)
    if zeros:
        for scale in SCALES:
            found["D", "image", scale][3] = 0
        found["E", "box", 384][5] = 0
        for own in found.values():
            own[7] = 0
    return found


def sources_of(found, nets, regions):
    """Loaders by net and region, one a scale."""
    return [
        [lambda key=(net, region, scale): found[key] for scale in SCALES]
        for net, region in itertools.product(nets, regions)
    ]


def unit(rows):
    """Rows over their norms, float64; those of zero as they are."""
    return np.stack([row / np.linalg.norm(row) if row.any() else row for row in rows])


def by_hand(found, nets, regions, combining):
    """The stacked matrix, float64."""
    parts = []
    for net, region in itertools.product(nets, regions):
        scales = [found[net, region, scale].astype(np.float64) for scale in SCALES]
        match combining.scale_pooling:
            case "mean":
                parts.append(np.mean(scales, axis=0))
            case "max":
                parts.append(np.max(scales, axis=0))
            case "stack":
                parts.extend(scales)
    if combining.feature_l2 == "each-and-whole":
        parts = [unit(part) for part in parts]
    return unit(np.hstack(parts))


@pytest.mark.parametrize("regions", [["image"], ["image", "box"]], ids=" and ".join)
@pytest.mark.parametrize("nets", [["D"], ["D", "E"]], ids=" and ".join)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("pooling", SCALE_POOLINGS)
def test_inner_products_are_those_of_the_stacked_matrix(pooling, normalisation, nets, regions):
    found, combining = descriptors(), Combining(pooling, normalisation)
    expected = by_hand(found, nets, regions, combining)
    for dtype, error in ((np.float64, 2e-7), (np.float32, 2e-6)):  # means are float32
        sources = sources_of(found, nets, regions)
        whole = stacked(parts_of(sources, combining), normalisation, dtype)
        np.testing.assert_allclose(whole, expected, atol=error)
        products = gram(parts_of(sources, combining), normalisation, dtype)
        np.testing.assert_allclose(products, expected @ expected.T, atol=error)
        assert products.dtype == whole.dtype == dtype
        assert (products == products.T).all()
        assert not products[7].any()
        np.testing.assert_allclose(products.diagonal(), expected.any(1), atol=error)
    changed = Combining(pooling, NORMALISATIONS[normalisation == NORMALISATIONS[0]])
    if len(nets) > 1 or len(regions) > 1 or pooling == "stack":
        assert abs(by_hand(found, nets, regions, changed) - expected).max() > 0.01


def test_of_one_part_both_normalisations_are_the_same():
    found = descriptors()["D", "image", 256]
    one, other = (gram([found], normalisation, np.float64) for normalisation in NORMALISATIONS)
    np.testing.assert_allclose(one, other, atol=1e-15)


def test_by_hand():
    """Two parts of two images; the second image has nothing in the second part."""
    parts = [np.array([[3, 4], [0, 2]], np.float32), np.array([[12], [0]], np.float32)]
    each = gram(parts, "each-and-whole", np.float64)
    np.testing.assert_allclose(each, [[1, 0.8 / np.sqrt(2)], [0.8 / np.sqrt(2), 1]], atol=1e-15)
    whole = gram(parts, "whole", np.float64)
    np.testing.assert_allclose(whole, [[1, 8 / 26], [8 / 26, 1]], atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_blocks_have_no_seams(normalisation, dtype, monkeypatch):
    parts = [own for key, own in descriptors().items() if key[0] == "D"]
    expected = gram(parts, normalisation, dtype)
    for rows in (1, 5, 8, IMAGES):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
        monkeypatch.setattr(module, "NUMBERS_AT_ONCE", rows * 40)
        found = gram(parts, normalisation, dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-14)
        assert (found == found.T).all()
        assert gram(parts, normalisation, dtype).tobytes() == found.tobytes()


@pytest.mark.parametrize("pooling", SCALE_POOLINGS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_what_is_given_is_left_as_it_is(pooling, normalisation):
    found, before = descriptors(), descriptors()
    for function in (gram, stacked):
        for dtype in (np.float32, np.float64):
            combining = Combining(pooling, normalisation)
            function(
                parts_of(sources_of(found, WIDTHS, ["image"]), combining), normalisation, dtype
            )
    assert all((found[key] == before[key]).all() for key in before)


@pytest.mark.parametrize("pooling", SCALE_POOLINGS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_one_loaded_array_is_in_memory_at_a_time(pooling, normalisation):
    """Beside it there are a pooled or normalised one, which are no loaded ones."""
    loaded = []

    class Descriptors(np.ndarray):
        """An array that can be watched."""

    def load(scale):
        assert all(reference() is None for reference in loaded)
        own = np.full((IMAGES, 8), scale, np.float32).view(Descriptors)
        loaded.append(weakref.ref(own))
        return own

    sources = [[lambda scale=scale: load(scale) for scale in SCALES] for _ in range(3)]
    gram(parts_of(sources, Combining(pooling, normalisation)), normalisation)
    assert len(loaded) == 9


@pytest.mark.parametrize("function", [gram, stacked])
def test_what_cannot_be_combined_is_refused(function):
    part = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match="no parts"):
        function([], "whole")
    with pytest.raises(ValueError, match="a part is of 4 images, and another of 3"):
        function([part, np.ones((4, 2), np.float32)], "whole")
    for broken in (np.nan, np.inf, -np.inf):
        wrong = part.copy()
        wrong[1, 0] = broken
        for normalisation in NORMALISATIONS:
            with pytest.raises(ValueError, match="the descriptor of image 1 is not finite"):
                function([part, wrong], normalisation)
    with pytest.raises(ValueError, match="unknown normalisation 'each'"):
        function([part], "each")


def test_scales_that_cannot_be_pooled_are_refused():
    one, other = np.ones((3, 2), np.float32), np.ones((3, 4), np.float32)
    for pooling in ("mean", "max"):
        with pytest.raises(ValueError, match=r"\(3, 4\) and \(3, 2\) of two scales"):
            list(parts_of([[lambda: one, lambda: other]], Combining(pooling)))
    assert len(list(parts_of([[lambda: one, lambda: other]], Combining("stack")))) == 2
    with pytest.raises(ValueError, match="unknown pooling of scales 'median'"):
        list(parts_of([[lambda: one]], Combining("median")))
    with pytest.raises(ValueError, match="of no scale"):
        list(parts_of([[]], Combining("mean")))


def test_descriptors_of_extreme_length_have_a_norm():
    part = np.array([[1e-30, 0], [1e30, 1e30], [1, 0]], np.float32)
    expected = np.array([[1, 0.5**0.5, 1], [0.5**0.5, 1, 0.5**0.5], [1, 0.5**0.5, 1]])
    np.testing.assert_allclose(gram([part], "each-and-whole"), expected, rtol=1e-6)
