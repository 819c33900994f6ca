"""Pixels: decoding, isotropic rescaling, and crops taken without rescaling the rest."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tests.checks import fuzz_images
from tests.helpers.odd_images import sampled_otherwise
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import images


@pytest.fixture
def photograph():
    """A smooth picture with edges, uint8 [375, 500, 3]."""
    y, x = np.mgrid[0:375, 0:500]
    planes = [np.sin(x / 17) * 90 + 128, np.cos(y / 11 + x / 50) * 90 + 128, (x + y) % 256]
    picture = np.stack(planes, axis=2)
    picture[100:200, 200:300] = 255 - picture[100:200, 200:300]
    return np.round(picture).astype(np.uint8)


def encoded(picture, mode="RGB", form="JPEG", **options):
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_decoding_equals_pillows_within_a_level(photograph, subsampling):
    content = encoded(photograph, quality=92, subsampling=subsampling)
    pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.abs(images.decode(content, "x").astype(int) - pillow).max() <= 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda p: encoded(p, "CMYK"), id="CMYK"),
        pytest.param(lambda p: encoded(p, "L"), id="grey"),
        pytest.param(lambda p: encoded(p, form="PNG"), id="PNG named JPEG"),
        pytest.param(lambda p: encoded(p, progressive=True), id="progressive"),
    ],
)
def test_oddities_decode_to_what_pillow_reads(photograph, content):
    content = content(photograph)
    pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.abs(images.decode(content, "x").astype(int) - pillow).max() <= 1


def test_exif_orientation_is_ignored(photograph):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    assert images.decode(encoded(photograph, exif=exif), "x").shape == (375, 500, 3)


def test_the_strict_decoder_leaves_to_the_lenient_one_what_it_would_get_wrong(photograph):
    whole = encoded(photograph)
    assert images.decode_strictly(whole) is not None
    assert images.decode_strictly(encoded(photograph, "CMYK")) is None
    assert images.decode_strictly(encoded(photograph, form="PNG")) is None
    assert images.decode_strictly(whole[:-2]) is None
    assert images.decode_strictly(b"") is None
    strict, lenient = images.decode_strictly(whole), images.decode_leniently(whole, "x")
    assert np.abs(strict.astype(int) - lenient).max() <= 1
    assert lenient.flags.writeable
    assert strict.flags.writeable


def test_the_lenient_decoder_keeps_pythons_warnings_as_they_were_in_threads(photograph):
    noisy = io.BytesIO()
    image = Image.fromarray(photograph).quantize(16)
    image.save(noisy, "PNG", transparency=bytes(16))  # Pillow warns of dropping transparency
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda _: images.decode(noisy.getvalue(), "x"), range(32)))
        assert warnings.filters == before
    assert all(np.array_equal(pixels, image.convert("RGB")) for pixels in read)


def test_running_out_of_memory_is_not_called_a_broken_image(photograph):
    with (
        pytest.raises(MemoryError, match="x: no memory is left"),
        images.opened(encoded(photograph), "x"),
    ):
        raise MemoryError


@pytest.mark.parametrize("luma", [0x14, 0x41])  # 4:4:1, and 4:1:1 as a check
def test_a_subsampling_without_a_name_is_read_by_pillow(photograph, luma):
    halved = encoded(photograph[:320, :320], subsampling="4:2:0", quality=92)
    content = sampled_otherwise(halved, (luma, 0x11, 0x11))
    pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert (images.decode_strictly(content) is None) == (luma == 0x14)
    for rows in (None, (0, 40), (100, 200)):
        first, end = rows or (0, 320)
        assert np.array_equal(images.decode(content, "x", rows)[first:end], pillow[first:end])


def test_whatever_the_fast_decoder_raises_pillow_reads_on(photograph, monkeypatch):
    content, jpeg = encoded(photograph), images.encode_jpeg(photograph, 95)
    whole, rows = images.decode_leniently(content, "x"), images.decode_leniently(jpeg, "x")

    def broken(*_, **__):
        raise SystemError("of a kind that nobody expects")

    monkeypatch.setattr(images.simplejpeg, "decode_jpeg", broken)
    assert np.array_equal(images.decode(content, "x"), whole)
    assert np.array_equal(images.decode(jpeg, "x", (8, 40)), rows)


@pytest.mark.slow
def test_mutated_images_are_read_as_pillow_reads_them_or_refused():
    """A short form of `python -m tests.checks.fuzz_images`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcomes = fuzz_images.run(range(500))
    assert sum(outcomes.values()) == 500
    assert sorted(outcomes.values())[-4] > 30, outcomes


def test_bytes_that_are_no_image_name_the_image():
    with pytest.raises(InputError, match="shard 3, cat"):
        images.decode(b"\xff\xd8\xff not really", "shard 3, cat")


def test_pillow_tries_bitmaps_only(photograph):
    for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        assert images.decode(encoded(photograph, form=form), "x").shape == photograph.shape
    for form in ("EPS", "PDF", "PPM", "ICO", "TGA"):
        with pytest.raises(InputError, match=r"x: .*not a JPEG, PNG, WEBP, BMP, GIF or TIFF"):
            images.decode(encoded(photograph, form=form), "x")


def test_an_image_too_long_for_a_jpeg_is_refused():
    long = images.rescale(np.zeros((3, 1000, 3), np.uint8), 256, "bicubic")
    assert long.shape == (256, 85333, 3)
    with pytest.raises(InputError, match=r"^n7: 256×85333 pixels cannot be stored as a JPEG"):
        images.encode_jpeg(long, 95, "n7")
    longest = np.zeros((1, 65_500, 3), np.uint8)
    assert images.decode(images.encode_jpeg(longest, 95), "x").shape == longest.shape
    with pytest.raises(InputError, match="65501×1 pixels"):
        images.encode_jpeg(np.zeros((65_501, 1, 3), np.uint8), 95)


def test_an_image_too_long_to_be_rescaled_is_refused():
    with pytest.raises(InputError, match=r"^n7: 1×60000 pixels are too elongated to be rescaled"):
        images.rescale(np.zeros((1, 60_000, 3), np.uint8), 256, "bicubic", name="n7")


@pytest.mark.parametrize(
    ("size", "smallest", "expected"),
    [
        ((375, 500), 256, (256, 341)),
        ((500, 375), 256, (341, 256)),
        ((300, 300), 384, (384, 384)),
        ((20, 900), 256, (256, 11520)),
    ],
)
def test_rescaling_keeps_the_aspect_ratio(size, smallest, expected):
    assert images.rescaled_size(*size, smallest) == expected


@pytest.mark.parametrize("scale", [256, 384, 512])
@pytest.mark.parametrize("resize_filter", ["bicubic", "bilinear"])
def test_a_crop_equals_rescaling_then_cropping_within_two_levels(photograph, scale, resize_filter):
    whole = images.rescale(photograph, scale, resize_filter).astype(int)
    for top, left in ((0, 0), (0.999999, 0.999999), (0.31, 0.77)):
        y, x = (
            int(u * (side - 224 + 1)) for u, side in zip((top, left), whole.shape, strict=False)
        )
        crop = images.crop_of_rescaled(photograph, scale, 224, top, left, resize_filter)
        assert np.abs(crop.astype(int) - whole[y : y + 224, x : x + 224]).max() <= 2


def test_an_image_stored_at_s_is_cropped_without_resampling(photograph):
    crop = images.crop_of_rescaled(photograph, 375, 224, 0.5, 0.5, "bicubic")
    assert np.array_equal(crop, photograph[76 : 76 + 224, 138 : 138 + 224])


def test_scales_are_the_papers_units():
    assert [images.pixels_at(S, 224) for S in (256, 384, 512)] == [256, 384, 512]
    assert [images.pixels_at(S, 64) for S in (224, 256, 384, 512)] == [64, 73, 110, 146]


def test_the_central_crop_is_central():
    picture = np.arange(6 * 9 * 3).reshape(6, 9, 3)
    # (6 − 3) / 2 is rounded down, as config/README.md says.
    assert np.array_equal(images.centre_crop(picture, 3), picture[1:4, 3:6])


@pytest.mark.parametrize("resize_filter", images.RESIZE_FILTERS)
@pytest.mark.parametrize("size", [(375, 500), (500, 375), (300, 301), (1200, 900), (20, 300)])
@pytest.mark.parametrize("side", [256, 375, 384])
def test_the_fast_resize_is_pillows_but_for_one_value_in_a_hundred(size, side, resize_filter):
    draw = np.random.default_rng(side)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] / 9
    planes = [np.sin(rows) * np.cos(columns), np.sign(np.sin(rows + columns)), columns % 2 - 1]
    pixels = np.stack(planes, axis=2) * 120 + 128 + draw.normal(0, 8, (*size, 3))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    pillow = images.rescale(pixels, side, resize_filter)
    fast = images.rescale(pixels, side, resize_filter, images.resize_fast)
    assert fast.shape == pillow.shape
    difference = np.abs(fast.astype(int) - pillow)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("scale", [224, 256.5, 311, 512])
def test_rows_of_a_crop_are_all_that_it_needs(photograph, scale):
    draw = np.random.default_rng(int(scale))
    for _ in range(20):
        top, left = draw.random(2)
        side = images.pixels_at(scale, 224)
        whole = images.crop_of_rescaled(photograph, side, 224, top, left, "bicubic")
        first, end = images.rows_of_crop(375, 500, side, 224, top, "bicubic")
        scribbled = photograph.copy()
        scribbled[:first], scribbled[end:] = 0, 255
        assert np.array_equal(
            images.crop_of_rescaled(scribbled, side, 224, top, left, "bicubic"), whole
        )
