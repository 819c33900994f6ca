"""What is odd about an image, against files made of known colours and oddities."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tests.helpers.odd_images import (
    CROP,
    corrupt_exif,
    exif,
    jpeg,
    odd_images,
    picture,
    saved,
    undecodable_images,
)
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.exif import of_exif
from workflow_scripts.vgg.data.oddities import KINDS, examine, of_pixels

ODD = odd_images(np.random.default_rng(1))
UNDECODABLE = undecodable_images()


@pytest.fixture(autouse=True)
def _silence(capfd):
    """Nothing under test may warn or write to the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_read_right_and_told_apart(name):
    odd = ODD[name]
    pixels, kinds = examine(odd.content, name, CROP)
    assert set(kinds) == odd.kinds
    assert kinds == [kind for kind in KINDS if kind in odd.kinds]
    assert pixels.dtype == np.uint8
    if odd.pixels is not None:
        assert pixels.shape == odd.pixels.shape
        assert np.abs(pixels.astype(int) - odd.pixels).max() <= odd.tolerance
    assert np.array_equal(images.decode(odd.content, name), pixels)
    assert np.array_equal(images.decode(memoryview(odd.content), name), pixels)


def test_every_kind_is_met():
    assert set().union(*(odd.kinds for odd in ODD.values())) == set(KINDS)


@pytest.mark.parametrize("name", UNDECODABLE)
@pytest.mark.parametrize("read", [images.decode, lambda *words: examine(*words, CROP)])
def test_undecodable_images_are_refused_by_name(name, read):
    with pytest.raises(InputError, match=r"^train\.tar: n00000001_7: .*[a-z]"):
        read(UNDECODABLE[name], "train.tar: n00000001_7")


@pytest.mark.parametrize("name", ODD)
def test_odd_images_survive_being_rescaled_and_stored(name):
    pixels = images.decode(ODD[name].content, name)
    rescaled = images.rescale(pixels, 73, "bicubic")
    assert min(rescaled.shape[:2]) == 73
    stored = images.encode_jpeg(rescaled, 95)
    again, kinds = examine(stored, name, CROP)
    assert again.shape == rescaled.shape
    assert np.abs(again.astype(int) - rescaled).mean() < 3
    assert set(kinds) <= {"elongated", "one-colour"}


@pytest.mark.parametrize("form", ["JPEG", "progressive JPEG", "PNG"])
def test_every_cut_that_loses_pixels_is_refused(form):
    colours = picture(np.random.default_rng(2), 24, 24)
    if form == "PNG":
        content = saved(colours, "PNG")
        needed = content.index(b"IEND") - 16  # what ends coded pixels: two checksums and a length
    else:
        content = jpeg(colours, progressive=form != "JPEG")
        needed = len(content)
    for length in range(needed):
        with pytest.raises(InputError, match="x: "):
            examine(content[:length], "x", CROP)


def test_whatever_happens_to_a_jpeg_it_is_read_or_refused():
    rng = np.random.default_rng(3)
    names = [name for name in sorted(ODD) if not name.startswith(("png", "gif", "tiff", "webp"))]
    outcomes = []
    for _ in range(600):
        content = bytearray(ODD[rng.choice(names)].content)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(2, min(len(content), rng.choice([700, 10**6])))] = rng.integers(
                256
            )
        try:
            pixels, kinds = examine(bytes(content), "x", CROP)
        except InputError:
            outcomes.append("refused")
        else:
            assert pixels.ndim == 3
            outcomes.append("damage" if "strict-decoder-refused" in kinds else "read")
    assert min(outcomes.count(outcome) for outcome in ("refused", "damage", "read")) > 30


def pillow_complains(data):
    """Whether Pillow warns about EXIF data's structure, or fails to read them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # About a number of values that the tag does not have; they can be read all the same.
        warnings.filterwarnings("ignore", "Metadata Warning")
        found = Image.Exif()
        try:
            found.load(b"Exif\0\0" + data)
            dict(found)
            for part in (0x8769, 0x8825, 1):
                if part == 1 or part in found:
                    found.get_ifd(part)
        except Exception:
            return True
    return False


def test_exif_that_pillow_warns_about_is_corrupt():
    rng = np.random.default_rng(4)
    broken = list(corrupt_exif().values())
    for order in "<>":
        whole = exif(order, orientation=6)
        assert of_exif(whole) == {"exif-orientation"}
        broken += [whole[:length] for length in range(len(whole))]
        for _ in range(500):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 2):
                data[place] = rng.choice([0, 1, 2, 7, 255])
            broken.append(bytes(data))
    complaints = [data for data in broken if pillow_complains(data)]
    assert len(complaints) > 500
    assert [data for data in complaints if "corrupt-exif" not in of_exif(data)] == []


@pytest.mark.parametrize("turn", range(10))
@pytest.mark.parametrize("order", ["<", ">"])
def test_only_orientations_that_turn_are_odd(turn, order):
    assert of_exif(exif(order, turn)) == ({"exif-orientation"} if 2 <= turn <= 8 else set())


def test_one_colour_means_every_pixel():
    pixels = np.full((30, 40, 3), (7, 8, 9), np.uint8)
    assert of_pixels(pixels, 30) == {"one-colour"}
    for place in ((0, 0, 0), (29, 39, 2), (15, 0, 1)):
        other = pixels.copy()
        other[place] += 1
        assert of_pixels(other, 30) == set()
    assert of_pixels(pixels, 31) == {"one-colour", "smaller-than-crop"}
