"""Images lose everything but their coded picture, and not one pixel of that."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planting import draw_frame

from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import decode_image
from polypskd.deployment.deidentification.media import PNG, clean_image, strip_jpeg, strip_png
from polypskd.deployment.deidentification.panel import Plan

CLEAN = Plan("said clean")


def encode(suffix, *options):
    return cv2.imencode(suffix, draw_frame(), options)[1].tobytes()


def segment(marker, body):
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def make_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def plant_jpeg(data):
    """Put a marker into every kind of segment that is not part of the picture."""
    thumbnail = b"JFIF\0\1\2\0\0\1\0\1\2\1" + b"ZQQZth"
    head = segment(0xE0, thumbnail) + b"".join(
        segment(marker, b"Exif\0\0ZQQZ") for marker in range(0xE1, 0xEE)
    )
    head += segment(0xDC, b"ZQQZ") + segment(0xFE, b"ZQQZ comment") + segment(0xEF, b"ZQQZ")
    body = data[2:]
    if body[:2] == b"\xff\xe0":
        body = body[2 + struct.unpack_from(">H", body, 2)[0] :]
    return b"\xff\xd8" + head + body + b"ZQQZ after" + b"\xff\xd8ZQQZ second\xff\xd9"


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)]
)
def test_a_jpeg_keeps_its_pixels_and_loses_all_else(options):
    plain = encode(".jpg", *options)
    planted = plant_jpeg(plain)
    clean, suffix = clean_image(planted, CLEAN)
    assert suffix == ".jpg"
    assert b"ZQQZ" not in clean
    assert len(clean) <= len(plain)
    assert np.array_equal(decode_image(clean), decode_image(plain))
    assert strip_jpeg(clean) == clean


def test_the_color_transform_of_a_jpeg_is_kept():
    plain = encode(".jpg")
    adobe = b"\xff\xd8" + segment(0xEE, b"Adobe\0\x64\0\0ZQ\0") + plain[2 + 18 :]
    clean = strip_jpeg(adobe)
    assert b"\0ZQ\0" not in clean
    assert np.array_equal(decode_image(clean), decode_image(adobe))
    assert not np.array_equal(decode_image(clean), decode_image(plain))


def test_a_png_keeps_its_pixels_and_loses_all_else():
    plain = encode(".png")
    at = 8 + 25

    notes = b"".join(
        make_chunk(kind, b"ZQQZ\0note")
        for kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"zqAp", b"pHYs")
    )
    planted = plain[:at] + notes + plain[at:] + b"ZQQZ after"
    clean, suffix = clean_image(planted, CLEAN)
    assert suffix == ".png"
    assert b"ZQQZ" not in clean
    assert np.array_equal(decode_image(clean), draw_frame()[:, :, ::-1])


def test_bytes_behind_the_compressed_picture_of_a_png_go():
    plain = strip_png(encode(".png"))  # one chunk of pixels
    (size,) = struct.unpack_from(">I", plain, 33)
    planted = plain[:33] + make_chunk(b"IDAT", plain[41 : 41 + size] + b"ZQQZ hidden") + plain[-12:]
    assert strip_png(planted) == plain


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)]
)
def test_bytes_between_the_coded_picture_and_the_end_of_a_jpeg_go(options):
    plain = encode(".jpg", *options)
    clean, suffix = clean_image(plain[:-2] + b"ZQQZ Doe" + plain[-2:], CLEAN)
    assert suffix == ".png"
    assert b"ZQQZ" not in clean
    assert np.array_equal(decode_image(clean), decode_image(plain))


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (6, 4)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_rows_behind_the_last_of_a_png_go(color, channels, interlaced):
    width, height = 13, 9
    passes = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)]
    starts = [(0, 0), (4, 0), (0, 4), (2, 0), (0, 2), (1, 0), (0, 1)]
    raw = b""
    for (left, top), (right, down) in (
        zip(starts, passes, strict=True) if interlaced else [((0, 0), (1, 1))]
    ):
        columns = len(range(left, width, right))
        raw += (b"\0" + b"\xff" * columns * channels) * len(
            range(top, height, down) if columns else ()
        )
    head = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, interlaced))
    end = make_chunk(b"IEND", b"")

    def wrap(body):
        return PNG + head + make_chunk(b"IDAT", zlib.compress(body, 0)) + end

    assert strip_png(wrap(raw)) == wrap(raw)
    clean = strip_png(wrap(raw + b"ZQQZ hidden in one more row"))
    assert b"ZQQZ" not in clean
    assert np.array_equal(decode_image(clean), decode_image(wrap(raw)))
    assert decode_image(clean).shape == (height, width, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_text_that_transparency_alone_hides_is_refused(suffix):
    alpha = np.full(draw_frame().shape[:2], 255, np.uint8)
    opaque = cv2.imencode(suffix, np.dstack([draw_frame(), alpha]))[1].tobytes()
    assert clean_image(opaque, CLEAN)[1] == ".png"
    alpha[:60, :40] = 0
    hiding = cv2.imencode(suffix, np.dstack([draw_frame(), alpha]))[1].tobytes()
    for plan in (CLEAN, Plan("field", lambda pixels: pixels)):
        with pytest.raises(DamageError, match="transparent"):
            clean_image(hiding, plan)


@pytest.mark.parametrize("suffix", [".tif", ".bmp"])
def test_tiff_and_bmp_become_png_of_the_same_pixels(suffix):
    clean, new = clean_image(encode(suffix) + b"ZQQZ", CLEAN)
    assert new == ".png"
    assert b"ZQQZ" not in clean
    assert np.array_equal(decode_image(clean), draw_frame()[:, :, ::-1])


def test_a_masked_image_becomes_png_without_further_loss():
    plain = encode(".jpg")
    clean, suffix = clean_image(plain, Plan("rule: black", lambda pixels: pixels * np.uint8(0)))
    assert suffix == ".png"
    assert not decode_image(clean).any()


@given(st.sampled_from([".jpg", ".png", ".bmp", ".tif"]), st.data())
def test_damaged_images_end_in_a_fault_or_in_a_readable_image(suffix, data):
    plain = bytearray(encode(suffix))
    for _ in range(data.draw(st.integers(0, 4))):
        plain[data.draw(st.integers(0, len(plain) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(plain[: data.draw(st.integers(0, len(plain)))])
    try:
        clean, _ = clean_image(cut, CLEAN)
    except DamageError:
        return
    assert decode_image(clean).ndim == 3


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_no_note_comes_out_of_a_damaged_image(suffix):
    if suffix == ".jpg":
        whole = plant_jpeg(encode(suffix))
    else:
        plain = encode(suffix)
        whole = plain[:33] + make_chunk(b"tEXt", b"ZQQZ\0note") + plain[33:]
    rng = np.random.default_rng(5)
    cleaned = 0
    for _ in range(300):
        data = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(0, 700, rng.choice([1, 2, 8]))
        data[at] = rng.integers(0, 256, len(at))
        try:
            clean, _ = clean_image(data.tobytes(), CLEAN)
        except DamageError:
            continue
        cleaned += 1
        assert b"ZQQZ" not in clean
    assert cleaned > 0
