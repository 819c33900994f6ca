"""Decoding only the rows that are needed: the same pixels, and nothing but less work."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from tests.helpers.odd_images import odd_images
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.jpeg_rows import band_of

ODD = odd_images(np.random.default_rng(1))


def photograph(height, width, mode="RGB", **options):
    """A JPEG of a picture with edges and noise, by Pillow."""
    draw = np.random.default_rng(height)
    y, x = np.mgrid[0:height, 0:width]
    planes = np.stack([np.sin(x / 7) * 90 + 128, np.cos(y / 5) * 90 + 128, (x + y) % 256], axis=2)
    noisy = np.clip(planes + draw.normal(0, 20, planes.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).convert(mode).save(file, "JPEG", **{"quality": 90} | options)
    return file.getvalue()


def bands(height):
    return [(0, 1), (0, height // 3), (height // 3, height // 2), (height - 3, height), (7, 17)]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("restarts", [{}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("size", [(64, 96), (101, 67), (375, 500), (16, 16)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_rows_are_those_of_the_whole_image_bit_for_bit(size, subsampling, restarts, mode):
    jpeg = photograph(*size, mode, subsampling=subsampling, **restarts)
    whole = simplejpeg.decode_jpeg(jpeg)
    for content in (jpeg, memoryview(jpeg)):
        for first, end in bands(size[0]):
            some = images.decode(content, "x", (first, end))
            assert some.shape == whole.shape
            assert np.array_equal(some[first:end], whole[first:end])


def test_restart_markers_leave_out_what_is_above_and_below():
    jpeg = images.encode_jpeg(simplejpeg.decode_jpeg(photograph(512, 683)), 95)
    band = band_of(jpeg, 100, 324)
    assert band.rows == slice(96, 328)
    assert band.ends
    assert len(band.jpeg) < 0.6 * len(jpeg)
    assert Image.open(io.BytesIO(band.jpeg)).size == (683, 232)
    assert band_of(jpeg, 0, 512) is None, "all rows are the image itself"


def test_without_them_only_what_is_below_is_left_out():
    band = band_of(photograph(375, 500), 100, 200)
    assert band.rows == slice(0, 224)  # 4:2:0 has rows of 16 pixels, and one more is taken
    assert not band.ends


@pytest.mark.parametrize(
    "content",
    [
        photograph(64, 64, progressive=True),
        photograph(64, 64, "CMYK"),
        photograph(64, 64)[:100],
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xc0\x00",
        b"\x89PNG\r\n\x1a\n and so on",
    ],
)
def test_what_cannot_be_cut_is_left_whole(content):
    assert band_of(content, 8, 16) is None


@pytest.mark.parametrize("name", ODD)
def test_odd_images_have_the_same_rows_alone_as_among_all(name):
    content = ODD[name].content
    whole = images.decode(content, name)
    height = len(whole)
    for first, end in ((0, height // 2), (height // 3, 2 * height // 3)):
        some = images.decode(content, name, (first, end))
        assert some.shape == whole.shape
        # Damage is concealed by one libjpeg-turbo or the other.
        assert np.abs(some[first:end].astype(int) - whole[first:end]).max(initial=0) <= 1


def test_damage_inside_the_band_is_not_passed_over_in_silence():
    jpeg = bytearray(images.encode_jpeg(simplejpeg.decode_jpeg(photograph(256, 341)), 95))
    band = band_of(jpeg, 96, 200)
    assert images.decode_band(band) is not None
    place = jpeg.find(b"\xff\xd4") + 40
    short = jpeg[:place] + jpeg[place + 300 :]
    assert images.decode_band(band_of(short, 0, 200)) is None
    # Wherever a marker is that should not be there, a decoder of the whole may lose its place.
    for marker in (b"\xff\xd9", b"\xff\xd1"):
        jpeg[place : place + 2] = marker
        assert band_of(jpeg, 0, 200) is None
        assert band_of(jpeg, 0, 8) is None
