import base64
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.pixels import convert_color_space
from pydicom.pixels import pixel_array as read_by_pydicom

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import open_dicom

ROOT = "1.2.840.10008.1.2"
JPEG = f"{ROOT}.4.50"
RGB_MARKER = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
# Lossless (SOF3), 16 x 12, made once with imagecodecs 2026.3.6 (libjpeg-turbo 3) of the pixels that
# the test draws: jpeg8_encode(pixels, lossless=True, predictor=1, colorspace="rgb",
# outcolorspace="rgb").
LOSSLESS = (
    "/9j/7gAOQWRvYmUAZAAAAAAA/8MAEQgADAAQA1IRAEcRAEIRAP/EABcAAQEBAQAAAAAAAAAAAAAAAAMABAj/2gAMA1"
    "IARwBCAAEAAOf+f+f2kaRpGkaRpGkaRpGkaRpGkaRpLUjSNI0jSNI0jSNI0jSNI0jSNI0lqRpGkaRpGkaRpGkaRpGk"
    "aRpGkaS1I0jSNI0jSNI0jSNI0jSNI0jSNJakaRpGkaRpGkaRpGkaRpGkaRpGktSNI0jSNI0jSNI0jSNI0jSNI0jSWp"
    "GkaRpGkaRpGkaRpGkaRpGkaRpLUjSNI0jSNI0jSNI0jSNI0jSNI0lqRpGkaRpGkaRpGkaRpGkaRpGkaS1I0jSNI0jS"
    "NI0jSNI0jSNI0jSNJakaRpGkaRpGkaRpGkaRpGkaRpGktSNI0jSNI0jSNI0jSNI0jSNI0jSf/9k="
)


def strip_marks(data: bytes) -> bytes:
    """Take the JFIF and Adobe markers out of a JPEG."""
    kept, at = [data[:2]], 2
    while data[at + 1] not in range(0xC0, 0xC4):
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] not in (0xE0, 0xEE):
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    return b"".join([*kept, data[at:]])


def save(pixels: np.ndarray, subsampling: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88, subsampling=subsampling, **options)
    return buffer.getvalue()


def read_by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def place(
    make, data: bytes, pixels: np.ndarray, tag: str = "YBR_FULL_422", syntax: str = JPEG
) -> Path:
    H, W = pixels.shape[:2]
    return make([data], syntax, Rows=H, Columns=W, PhotometricInterpretation=tag)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    seed=st.integers(0, 99),
)
def test_pixels_equal_those_of_pillow(make, height, width, subsampling, progressive, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    data = save(pixels, subsampling, progressive=progressive)
    for tag in ("YBR_FULL_422", "YBR_FULL", "RGB"):
        got = open_dicom(place(make, data, pixels, tag)).read()
        np.testing.assert_array_equal(got, read_by_pillow(data))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_pixels_equal_those_of_pydicom_with_its_pillow_plugin(make, picture, subsampling):
    path = place(make, save(picture, subsampling), picture)
    expected = read_by_pydicom(path, decoding_plugin="pillow").astype(int)
    # pydicom converts YCbCr by a rounding of its own, which is off by one at most.
    assert np.abs(open_dicom(path).read() - expected).max() <= 1


@pytest.mark.parametrize("tag", ["RGB", "YBR_FULL", "YBR_FULL_422"])
def test_markers_outweigh_the_tag(make, picture, tag):
    ycbcr = simplejpeg.encode_jpeg(picture, quality=95)
    assert b"JFIF" in ycbcr[:20]
    rgb = save(picture, 0, keep_rgb=True)
    assert rgb[6:10] != b"JFIF"
    for data in (ycbcr, rgb):
        got = open_dicom(place(make, data, picture, tag)).read()
        np.testing.assert_array_equal(got, read_by_pillow(data))
        assert np.abs(got.astype(int) - picture).mean() < 12


@pytest.mark.parametrize("tag", ["RGB", "YBR_FULL"])
def test_subsampled_colors_are_ycbcr_whatever_the_tag(make, picture, tag):
    data = strip_marks(save(picture, 2))
    assert b"JFIF" not in data
    np.testing.assert_array_equal(
        open_dicom(place(make, data, picture, tag)).read(), read_by_pillow(save(picture, 2))
    )


def test_component_ids_of_letters_are_rgb_whatever_the_tag(make, picture):
    data = strip_marks(save(picture, 0, keep_rgb=True))
    assert b"Adobe" not in data
    got = open_dicom(place(make, data, picture, "YBR_FULL_422")).read()
    np.testing.assert_array_equal(got, read_by_pillow(save(picture, 0, keep_rgb=True)))


def test_the_tag_decides_where_the_stream_says_nothing(make, picture):
    data = strip_marks(save(picture, 0))
    ycbcr = open_dicom(place(make, data, picture, "YBR_FULL")).read()
    np.testing.assert_array_equal(ycbcr, read_by_pillow(save(picture, 0)))
    stored = open_dicom(place(make, data, picture, "RGB")).read()
    np.testing.assert_array_equal(stored, simplejpeg.decode_jpeg(data[:2] + RGB_MARKER + data[2:]))
    assert np.abs(convert_color_space(stored, "YBR_FULL", "RGB").astype(int) - ycbcr).max() <= 1


def test_gray_and_inverted_gray_are_read(make, picture):
    gray = picture[:, :, 0].copy()
    data = simplejpeg.encode_jpeg(gray[:, :, None], colorspace="GRAY")
    expected = simplejpeg.decode_jpeg(data, colorspace="GRAY")
    for tag, wanted in (("MONOCHROME2", expected), ("MONOCHROME1", 255 - expected)):
        path = make(
            [data],
            JPEG,
            Rows=37,
            Columns=53,
            SamplesPerPixel=1,
            PhotometricInterpretation=tag,
        )
        np.testing.assert_array_equal(open_dicom(path).read(), np.repeat(wanted, 3, axis=2))


@pytest.mark.parametrize("number", [57, 70])
@pytest.mark.parametrize("marked", [True, False])
def test_lossless_jpeg_of_8_bits_is_read(make, number, marked):
    y, x = np.mgrid[:12, :16]
    expected = np.stack([x * 6, y * 10, (x + y) * 4], -1).astype(np.uint8)
    data = base64.b64decode(LOSSLESS)
    data = data if marked else strip_marks(data)
    got = open_dicom(place(make, data, expected, "RGB", f"{ROOT}.4.{number}")).read()
    np.testing.assert_array_equal(got, expected)


def test_lossless_jpeg_of_ycbcr_is_converted_by_its_tag(make):
    data = strip_marks(base64.b64decode(LOSSLESS)).replace(
        b"\x52\x11\0\x47\x11\0\x42", b"\1\x11\0\2\x11\0\3"
    )
    data = data.replace(b"\x03\x52\0\x47\0\x42\0", b"\x03\1\0\2\0\3\0")
    y, x = np.mgrid[:12, :16]
    stored = np.stack([x * 6, y * 10, (x + y) * 4], -1).astype(np.uint8)
    got = open_dicom(place(make, data, stored, "YBR_FULL", f"{ROOT}.4.70")).read()
    expected = convert_color_space(stored, "YBR_FULL", "RGB").astype(int)
    assert np.abs(got - expected).max() <= 1


def test_extended_jpeg_of_12_bits_is_told(make, picture):
    data = bytearray(save(picture, 0))
    at = data.find(b"\xff\xc0")
    data[at + 1], data[at + 4] = 0xC1, 12
    with pytest.raises(DamageError, match="JPEG of bits a value") as error:
        open_dicom(place(make, bytes(data), picture, syntax=f"{ROOT}.4.51")).read()
    assert error.value.value == "12"


def test_a_stream_cut_or_damaged_within_is_told(make, picture):
    whole = save(picture, 2)
    for length in range(2, len(whole) - 2, 37):
        with pytest.raises(DamageError):
            open_dicom(place(make, whole[:length], picture)).read()
    start = whole.index(b"\xff\xda") + 20
    path = place(make, whole[:start] + whole[start + 60 :], picture)
    with pytest.raises(DamageError, match="damaged"):
        open_dicom(path).read()


def test_padding_and_notes_after_the_end_do_no_harm(make, picture):
    whole = save(picture, 1)
    for tail in (b"\0", b"\0\0\0", b"\xff", b"note"):
        got = open_dicom(place(make, whole + tail, picture)).read()
        np.testing.assert_array_equal(got, read_by_pillow(whole))


def test_a_stream_of_a_thousand_scans_is_refused(make, picture):
    whole = save(picture, 0, progressive=True)
    at = whole.rindex(b"\xff\xda")
    with pytest.raises(DamageError, match="too many JPEG scans"):
        open_dicom(place(make, whole[:at] + whole[at:-2] * 999 + b"\xff\xd9", picture)).read()
