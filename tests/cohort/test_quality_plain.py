"""Measures that are taken quickly, beside their plain definition: equal to the last bit."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.field import Field
from polypskd.cohort.outline import find_box, find_outline, halve_pixels, shrink_pixels
from polypskd.cohort.quality import BRIGHT, DARK, LIT, _take_picture, measure_quality


def draw_frames():
    random = np.random.default_rng(5)
    for turn in range(6):
        coarse = random.integers(0, 256, (5, 7, 3), np.uint8)
        smooth = cv2.resize(coarse, (300 + 71 * turn, 240), interpolation=cv2.INTER_CUBIC)
        noisy = smooth + random.normal(0, turn, smooth.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8)
    yield random.integers(0, 256, (200, 200, 3), np.uint8)
    yield np.full((90, 120, 3), 255, np.uint8)
    yield np.zeros((90, 120, 3), np.uint8)


@pytest.mark.parametrize("frame", list(draw_frames()))
def test_measures_have_the_bits_of_their_plain_definitions(frame):
    height, width = frame.shape[:2]
    field = Field(4, 3, width - 9, height - 8, "octagon", 0.9, (1.6, 1.5))
    found = measure_quality(frame, field)
    picture = _take_picture(frame, field, halve_pixels)
    gray = picture.gray[picture.inside]
    assert found.brightness == float(gray.mean()) / 255
    assert found.underexposed == (gray <= DARK).mean()
    assert found.overexposed == (gray >= BRIGHT).mean()
    assert found.specular == picture.glare[picture.inside].mean()
    assert found.outside_body == measure_outside(picture)
    assert found.noise == measure_noise(frame, field)
    assert (found.blur, found.motion) == measure_blurs(picture)


def measure_outside(picture):
    looked = picture.inside & ~picture.glare
    if not looked.any():
        return 0.0
    red, green, blue = (color[looked].astype(np.float32) for color in picture.colors)
    lit = np.maximum(np.maximum(red, green), blue) > LIT
    mucosa = (red >= green) & (red - blue >= 0.12 * red) & (blue <= green + 0.25 * red)
    return (lit & ~mucosa).mean()


def measure_noise(frame, field):
    middle_x, middle_y = field.left + field.width // 2, field.top + field.height // 2
    half = min(128, field.width // 3, field.height // 3)
    part = frame[middle_y - half : middle_y + half, middle_x - half : middle_x + half, 1]
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    curved = cv2.filter2D(np.ascontiguousarray(part), cv2.CV_32F, kernel)
    size = np.sort(np.abs(curved[1:-1, 1:-1]).ravel())
    return size[: len(size) // 2].mean(dtype=np.float64) / (6 * 0.3247)


def measure_blurs(picture):
    if picture.tissue.sum() < 64:
        return 1.0, 0.0
    gray = cv2.GaussianBlur(picture.gray, (5, 5), 1.0)
    eye = np.eye(9, dtype=np.float32) / np.float32(9)
    kernels = [np.full((1, 9), 1 / 9, np.float32), np.full((9, 1), 1 / 9, np.float32)]
    kernels += [eye, eye[::-1]]
    blurs = []
    for kernel, step in zip(kernels, [(0, 1), (1, 0), (1, 1), (1, -1)], strict=True):
        again = cv2.filter2D(gray, cv2.CV_32F, kernel)
        sharp, dull = (
            np.abs(one - np.roll(one, step, axis=(0, 1)))[picture.tissue] for one in (gray, again)
        )
        whole = float(sharp.sum(dtype=np.float64))
        lost = float(np.maximum(0, sharp - dull).sum(dtype=np.float64))
        blurs.append(1.0 if whole == 0 else 1 - lost / whole)
    return max(blurs[:2]), max(abs(blurs[0] - blurs[1]), abs(blurs[2] - blurs[3]))


def test_only_what_is_wanted_is_measured():
    frame = next(draw_frames())
    whole = measure_quality(frame)
    some = measure_quality(frame, wanted={"blur", "brightness"})
    assert (some.blur, some.motion, some.brightness) == (
        whole.blur,
        whole.motion,
        whole.brightness,
    )
    assert np.isnan([some.sharpness, some.contrast, some.colorfulness, some.noise]).all()
    assert np.isnan(some.outside_body)


def test_the_outline_is_that_of_plain_medians_and_sums(monkeypatch):
    random = np.random.default_rng(2)
    for turn in range(20):
        small = np.zeros((120, 160, 3), np.uint8)
        small[10 : 110 - turn, 15 : 140 + turn] = random.integers(
            0, 90, (100 - turn, 125 + turn, 3)
        )
        picture = find_outline(small, (np.zeros(3, np.int64), 10), 4)
        with monkeypatch.context() as patch:
            patch.setattr(cv2, "boxFilter", lambda lit, *rest, **more: 25 * cv2.medianBlur(lit, 5))
            again = find_outline(small, (np.zeros(3, np.int64), 10), 4)
        np.testing.assert_array_equal(picture, again)
        if picture is None:
            continue
        left, top, right, bottom = find_box(picture)
        columns = picture.sum(axis=0, dtype=np.int64)
        rows = picture.sum(axis=1, dtype=np.int64)
        wide = np.flatnonzero(columns >= 0.06 * columns.max())
        high = np.flatnonzero(rows >= 0.06 * rows.max())
        assert (left, right) == (wide[0], wide[-1] + 1)
        assert (top, bottom) == (high[0], high[-1] + 1)


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_a_frame_shrinks_to_the_bits_that_opencv_gives(height, width, data):
    wanted = (data.draw(st.integers(1, width + 9)), data.draw(st.integers(1, height + 9)))
    levels = data.draw(st.sampled_from([2, 3, 256]))
    frame = np.random.default_rng(height).integers(0, levels, (height, width, 3))
    frame = (frame * (255 // (levels - 1))).astype(np.uint8)
    expected = cv2.resize(frame, wanted, interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(shrink_pixels(frame, *wanted), expected)
