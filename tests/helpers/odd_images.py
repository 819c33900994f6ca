"""Odd and broken image files as ILSVRC-2012 holds them, or could, made from known colours.

Files are put together from what Pillow and libjpeg-turbo encode at best quality and from segments
made here; none of the code under test takes part.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

CROP = 64  # pixels; the kinds are those for nets of this input


@dataclass
class OddImage:
    """content: the file. pixels: uint8 [height, width, 3] RGB it must decode to, each value within
    `tolerance`, or None if nobody can say. kinds: names of its oddities, for a crop of CROP.
    """

    content: bytes
    pixels: np.ndarray | None
    tolerance: int
    kinds: frozenset


def odd_images(rng):
    """Name → OddImage. rng: numpy Generator that draws the colours."""
    colours = picture(rng, 96, 128)
    grey = picture(rng, 96, 128)[:, :, 0]
    cmyk = inks(rng, 96, 128)
    mixed = rgb_of_cmyk(cmyk)
    small, tiny, long = picture(rng, 20, 30), picture(rng, 1, 1), picture(rng, 40, 900)
    plain = np.full((96, 128, 3), rng.integers(0, 256, 3), np.uint8)
    see_through = np.dstack([colours, rng.integers(0, 256, (96, 128), np.uint8)])
    grey_rgb = np.repeat(grey[:, :, None], 3, axis=2)
    few = colours // 128 * 255  # 8 colours at most, so that a palette holds them

    file = jpeg(colours)
    scan = file.index(b"\xff\xda")
    adobe = jpeg(255 - cmyk, mode="CMYK", invert=True)
    ycck = simplejpeg.encode_jpeg(255 - cmyk, 100, "CMYK")
    assert adobe_transform(adobe) == 0
    assert adobe_transform(ycck) == 2
    unmarked = without_adobe(jpeg(cmyk, mode="CMYK", invert=True))
    stray = file[:scan] + b"\x00\x12\x34" + file[scan:]
    late_stray = file[:-2] + b"\x5a" * 20 + file[-2:]
    damaged = file[: 2 * len(file) // 3] + b"\xff\xd9"
    palette = {"transparency": bytes([0, 100, 255])}

    def odd(content, pixels, *kinds, tolerance=4):
        return OddImage(content, pixels, tolerance, frozenset(kinds))

    def exact(content, pixels, *kinds):
        return odd(content, pixels, *kinds, tolerance=0)

    found = {
        "plain": odd(file, colours),
        "adobe_rgb": odd(jpeg(colours, keep_rgb=True), colours),
        "progressive": odd(jpeg(colours, progressive=True), colours, "progressive"),
        # other formats under a JPEG's name
        "png": exact(saved(colours, "PNG"), colours, "png"),
        "png_grey": exact(saved(grey, "PNG"), grey_rgb, "png", "grey-scale"),
        "png_alpha": exact(saved(see_through, "PNG"), colours, "png"),
        "png_palette": exact(saved(few, "PNG", mode="P", **palette), few, "png"),
        "png_turned": exact(
            saved(colours, "PNG", exif=exif(orientation=6)), colours, "png", "exif-orientation"
        ),
        "gif": exact(saved(few, "GIF", mode="P"), few, "gif"),
        "bmp": exact(saved(colours, "BMP"), colours, "bmp"),
        "tiff": exact(saved(colours, "TIFF"), colours, "tiff"),
        "webp": exact(saved(colours, "WEBP", lossless=True), colours, "webp"),
        # colours
        "cmyk_adobe": odd(adobe, mixed, "cmyk"),
        "cmyk_unmarked": odd(unmarked, mixed, "cmyk"),
        "ycck": odd(ycck, mixed, "cmyk", tolerance=6),
        "cmyk_stray_bytes": odd(adobe.replace(b"\xff\xda", b"\x00\x01\xff\xda", 1), mixed, "cmyk"),
        "grey": odd(jpeg(grey), grey_rgb, "grey-scale"),
        "grey_progressive": odd(
            jpeg(grey, progressive=True), grey_rgb, "grey-scale", "progressive"
        ),
        # EXIF
        "exif_upright": odd(with_exif(file, exif(orientation=1)), colours),
        "exif_unknown": odd(with_exif(file, exif(orientation=0)), colours),
        "exif_big_endian": odd(
            with_exif(file, exif(order=">", orientation=8)), colours, "exif-orientation"
        ),
        "exif_in_two_segments": odd(
            with_exif(with_exif(file, exif(orientation=6)[90:]), exif(orientation=6)[:90]),
            *(colours, "exif-orientation"),
        ),
        # bytes that do not belong there
        "trailing_zeros": odd(file + bytes(300), colours, "trailing-bytes"),
        "trailing_jpeg": odd(file + jpeg(small), colours, "trailing-bytes"),
        "stray_bytes": odd(stray, colours, "strict-decoder-refused"),
        "stray_bytes_at_the_end": odd(late_stray, colours, "strict-decoder-refused"),
        "fill_bytes": odd(file[:scan] + b"\xff\xff" + file[scan:], colours),
        "chroma_441": odd(
            sampled_otherwise(jpeg(colours, subsampling=2), (0x14, 0x11, 0x11)),
            *(None, "strict-decoder-refused"),
        ),
        "damaged": odd(damaged, None, "strict-decoder-refused"),
        # shapes
        "small": odd(jpeg(small), small, "smaller-than-crop"),
        "elongated": odd(jpeg(long), long, "elongated", "smaller-than-crop"),
        "upright_elongated": odd(
            jpeg(long.swapaxes(0, 1)), long.swapaxes(0, 1), "elongated", "smaller-than-crop"
        ),
        "four_to_one": odd(jpeg(long[:, :160]), long[:, :160], "smaller-than-crop"),
        "one_colour": odd(jpeg(plain), plain, "one-colour"),
        "one_pixel": odd(jpeg(tiny), tiny, "one-colour", "smaller-than-crop"),
        "everything": odd(
            with_exif(
                jpeg(grey[:10, :50], progressive=True).replace(b"\xff\xda", b"\x00\xff\xda", 1),
                exif(orientation=3)[:-3],
            )
            + b"end",
            grey_rgb[:10, :50],
            *("grey-scale", "progressive", "exif-orientation", "corrupt-exif", "trailing-bytes"),
            *("strict-decoder-refused", "elongated", "smaller-than-crop"),
        ),
    }
    for turn in (3, 6):
        content = with_exif(file, exif(orientation=turn))
        found[f"exif_orientation_{turn}"] = odd(content, colours, "exif-orientation")
    for name, broken in corrupt_exif().items():
        found[f"exif_{name}"] = odd(with_exif(file, broken), colours, "corrupt-exif")
        # Without JFIF's resolution, Pillow looks for EXIF's, and for trouble.
        found[f"exif_{name}_stray"] = odd(
            with_exif(without_jfif(stray), broken),
            *(colours, "corrupt-exif", "strict-decoder-refused"),
        )
    return found


def undecodable_images():
    """Name → content of files that no decoder can be asked to read in full."""
    rng = np.random.default_rng(0)
    colours = picture(rng, 96, 128)
    file, png = jpeg(colours), saved(colours, "PNG")
    late_scan = jpeg(colours, progressive=True)
    scan = file.index(b"\xff\xda")
    size = struct.pack(">HH", 96, 128)
    large, largest = struct.pack(">HH", 10_000, 10_000), struct.pack(">HH", 65_500, 65_500)
    header = png[12:16] + struct.pack(">LL", 10_000, 10_000) + png[24:29]
    large_png = png[:12] + header + struct.pack(">L", zlib.crc32(header)) + png[33:]
    grey16 = rng.integers(0, 65536, (96, 128), np.uint16)
    return {
        "no_bytes": b"",
        "one_byte": b"\xff",
        "text": b"404 Not Found\n" * 20,
        "html": b"<!DOCTYPE html><title>This photo is no longer available</title>",
        "pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "signature_only": file[:2],
        "signature_and_text": b"\xff\xd8\xff not really",
        "header_only": file[: scan + 14],
        "header_cut": file[:300],
        "cut": file[: len(file) // 2],
        "cut_progressive": late_scan[: 2 * len(late_scan) // 3],
        "cut_at_the_end": file[:-2],
        "cut_png": png[: len(png) // 2],
        "cut_bmp": saved(colours, "BMP")[:-1000],
        "cut_tiff": saved(colours, "TIFF")[:5000],
        "png_16_bit": saved(grey16, "PNG"),
        "tiff_float": saved(colours[:, :, 0].astype(np.float32), "TIFF"),
        "large": file.replace(size, large, 1),
        "largest": file.replace(size, largest, 1),
        "large_png": large_png,
        "zeros": bytes(10_000),
    }


def picture(rng, height, width):
    """uint8 [height, width, 3]: patches of random colours under slow waves."""
    y, x = np.mgrid[:height, :width]
    patches = rng.integers(30, 226, (-(-height // 16), -(-width // 16), 3))
    patches = patches.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    waves = 25 * np.sin(x / 9 + y / 23 + rng.uniform(0, 6))
    return np.round(patches + waves[:, :, None]).astype(np.uint8)


def inks(rng, height, width):
    """uint8 [height, width, 4]: CMYK, little of it black."""
    black = picture(rng, height, width)[:, :, :1] // 3
    return np.ascontiguousarray(np.dstack([picture(rng, height, width), black]))


def rgb_of_cmyk(cmyk):
    """uint8 [height, width, 3]: what passes the ink, and then the black."""
    light = 255.0 - cmyk
    return np.round(light[:, :, :3] * light[:, :, 3:] / 255).astype(np.uint8)


def saved(pixels, form, mode=None, **options):
    """The file that Pillow writes of an array, converted to `mode` if one is given."""
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, form, **options)
    return file.getvalue()


def jpeg(pixels, mode=None, invert=False, **options):
    """A JPEG whose stored values are `pixels`, uint8 [height, width] or [height, width, 3 or 4].

    mode: of [height, width, 4]. invert: undo what Pillow does to CMYK, which it always inverts.
    """
    pixels = np.ascontiguousarray(255 - pixels if invert else pixels)
    if mode:
        image = Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    else:
        image = Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 100, "subsampling": 0} | options)
    return file.getvalue()


def sampled_otherwise(file, factors):
    """A JPEG whose frame states other sampling factors, such as (0x14, 0x11, 0x11): 4:4:1.

    If they come to as many blocks, as 4:2:0's and 4:4:1's of 96×128 pixels do, it is a legal one.
    """
    changed = bytearray(file)
    frame = file.index(b"\xff\xc0")
    for channel, factor in enumerate(factors):
        changed[frame + 11 + 3 * channel] = factor
    return bytes(changed)


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def adobe_transform(file):
    """The last byte of a JPEG's Adobe segment: 0 for CMYK or RGB, 2 for YCCK."""
    start = file.index(b"\xff\xee\x00\x0eAdobe")
    return file[start + 15]


def without_adobe(file):
    start = file.index(b"\xff\xee\x00\x0eAdobe")
    return file[:start] + file[start + 16 :]


def without_jfif(file):
    assert file[2:6] == b"\xff\xe0\x00\x10"
    return file[:2] + file[20:]


def with_exif(file, exif):
    """A JPEG with EXIF data in its first segment."""
    return file[:2] + segment(0xE1, b"Exif\0\0" + exif) + file[2:]


def exif(order="<", orientation=1, resolution=72):
    """EXIF data: maker, orientation, resolution, and a directory that holds the time."""

    def entry(tag, kind, count, value):
        value = (
            struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "L", value)
        )
        return struct.pack(order + "HHL", tag, kind, count) + value

    entries = [
        entry(0x010F, 2, 10, 74),  # maker
        entry(0x0112, 3, 1, orientation),
        entry(0x011A, 5, 1, 84),  # horizontal resolution
        entry(0x0128, 3, 1, 2),  # its unit: inches
        entry(0x8769, 4, 1, 92),  # Exif directory
    ]
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    first = struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "L", 0)
    values = b"a maker's\0" + struct.pack(order + "LL", resolution, 1)
    time = [entry(0x9003, 2, 20, 110)]  # date and time
    second = struct.pack(order + "H", 1) + b"".join(time) + struct.pack(order + "L", 0)
    data = start + first + values + second + b"2011:05:07 11:12:13\0"
    assert len(start + first) == 74
    assert len(data) == 130
    return data


def corrupt_exif():
    """Name → EXIF data that are broken; where they say anything of orientation, it is upright."""
    good = exif()

    def changed(place, form, *values):
        size = struct.calcsize(form)
        return good[:place] + struct.pack(form, *values) + good[place + size :]

    return {
        "empty": b"",
        "header_only": good[:8],
        "no_endianness": b"XX" + good[2:],
        "wrong_endianness": b"MM\0*" + good[4:],
        "no_directory": changed(4, "<L", 5000),
        "negative_directory": changed(4, "<L", 0xFFFFFFF0),
        "truncated_directory": good[:40],
        "no_next_directory": good[:70],
        "too_many_entries": changed(8, "<H", 5000),
        "value_outside": changed(18, "<L", 4000),
        "resolution_outside": changed(10 + 2 * 12 + 8, "<L", 4000),
        "count_too_large": changed(14, "<L", 0x7FFFFFFF),
        "exif_directory_outside": changed(10 + 4 * 12 + 8, "<L", 100_000),
        "exif_directory_in_a_circle": changed(10 + 4 * 12 + 8, "<L", 8),
        "thumbnail_outside": changed(70, "<L", 129),
        "truncated_value": good[:-5],
    }
