"""The quick way of decoding gives the pixels of the slow one, and sees what is missing."""

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import decode_image
from polypskd.deployment.prediction.fast_jpeg import Room, decode


def draw(height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (4, 5, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".jpg", pixels, list(options))[1].tobytes()


@given(
    sides=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(20, 100),
    sampling=st.sampled_from(["444", "422", "420", "440", "411", "Gray"]),
    seed=st.integers(0, 5),
)
def test_every_subsampling_quality_and_size_gives_opencvs_pixels(sides, quality, sampling, seed):
    pixels = draw(*sides, seed)
    if sampling == "Gray":
        data = encode(pixels[:, :, 0], cv2.IMWRITE_JPEG_QUALITY, quality)
    else:
        data = simplejpeg.encode_jpeg(pixels, quality=quality, colorsubsampling=sampling)
    np.testing.assert_array_equal(decode(data), decode_image(data))


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("restart", [0, 2])
def test_progressive_and_restarting_files_give_opencvs_pixels(progressive, restart):
    options = (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    data = encode(draw(65, 83, 1), *options)
    np.testing.assert_array_equal(decode(data), decode_image(data))


def test_other_formats_go_the_slow_way():
    pixels = draw(20, 30, 2)
    for suffix in (".png", ".bmp", ".tiff"):
        data = cv2.imencode(suffix, pixels)[1].tobytes()
        np.testing.assert_array_equal(decode(data), pixels[:, :, ::-1])


def test_memory_used_again_leaves_no_trace_of_the_picture_before():
    room = Room()
    for height, width in ((64, 80), (20, 30), (90, 70), (1, 1), (64, 80)):
        data = encode(draw(height, width, height))
        np.testing.assert_array_equal(decode(data, room=room), decode_image(data))


@given(share=st.floats(0.02, 0.999))
def test_a_file_cut_anywhere_is_a_fault_and_never_a_gray_picture(share):
    data = encode(draw(48, 64, 3))
    with pytest.raises(DamageError):
        decode(data[: int(len(data) * share)])


@given(at=st.floats(0.3, 0.95), length=st.integers(1, 60))
def test_bytes_lost_within_the_picture_are_a_fault_where_opencv_says_so(at, length):
    data = encode(draw(48, 64, 3), cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    start = int(len(data) * at)
    torn = data[:start] + data[start + length :]
    try:
        found = decode(torn)
    except DamageError:
        return
    np.testing.assert_array_equal(found, decode_image(torn))


def test_a_picture_of_a_thousand_scans_is_not_decoded():
    data = encode(draw(64, 64, 4), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data.rfind(b"\xff\xda")
    scans = data[:-2] + 1000 * data[last:-2] + data[-2:]
    with pytest.raises(DamageError, match="too many JPEG scans"):
        decode(scans)


def test_a_picture_too_large_is_refused_by_its_head():
    data = bytearray(encode(draw(16, 16, 5)))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    with pytest.raises(DamageError, match="too large"):
        decode(bytes(data), 64.0)
