"""Drawn frames: where the picture lies is known to the pixel."""

from typing import NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.cohort.field import (
    Field,
    agree_on_field,
    cover_box,
    crop_frame,
    find_field,
    mask_field,
)

TEXT = (250, 250, 240)


class Drawn(NamedTuple):
    """A drawn frame, the mask of its picture and the mask of what else was drawn."""

    pixels: np.ndarray
    picture: np.ndarray
    panel: np.ndarray


def mucosa(rng, height, width):
    """Smooth folds of red, with a dark lumen, vessels' grain and highlights."""
    coarse = rng.uniform(0.55, 1.0, (5, 6)).astype(np.float32)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cx, cy = rng.uniform(0.3, 0.7, 2) * (width, height)
    far = np.hypot((x - cx) / (0.18 * width), (y - cy) / (0.18 * height))
    light *= np.clip(far, 0.02, 1)  # the lumen
    color = light[:, :, None] * np.array([205, 120, 100], np.float32)
    color += rng.normal(0, 4, (height, width, 1))
    pixels = np.clip(color, 0, 255).astype(np.uint8)
    for _ in range(6):
        at = tuple(int(v) for v in rng.uniform(0.1, 0.9, 2) * (width, height))
        cv2.circle(pixels, at, max(1, width // 80), (255, 255, 255), -1)
    return pixels


def draw_shape(shape, size, box, cut=0.15):
    """Draw the picture's mask with OpenCV, apart from the formulas of the package."""
    width, height = size
    left, top, w, h = box
    mask = np.zeros((height, width), np.uint8)
    if shape == "circle":
        center = (left + (w - 1) / 2, top + (h - 1) / 2)
        y, x = np.mgrid[:height, :width]
        mask[((x - center[0]) / (w / 2)) ** 2 + ((y - center[1]) / (h / 2)) ** 2 <= 1] = 1
        return mask.astype(bool)
    c = round(cut * min(w, h)) if shape == "octagon" else 0
    r, b = left + w - 1, top + h - 1
    points = [
        (left + c, top), (r - c, top), (r, top + c), (r, b - c),
        (r - c, b), (left + c, b), (left, b - c), (left, top + c),
    ]  # fmt: skip
    cv2.fillPoly(mask, [np.array(points, np.int32)], 1)
    return mask.astype(bool)


def write_panel(pixels, allowed, rng, color=TEXT):
    """Write lines of text and a logo wherever the picture leaves room for them."""
    height, width = pixels.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    scale = height / 700
    for at in np.arange(0.06, 0.98, 0.06):
        for start in (0.01, 0.80):
            line = "".join(rng.choice(list("AB0123456789:/"), 12))
            where = (int(start * width), int(at * height))
            cv2.putText(layer, line, where, 0, scale * 0.7, 1, max(1, round(scale * 2)))
    side = int(0.07 * height)
    layer[-2 * side : -side, 5 : 5 + side] = 1
    gap = np.ones((round(0.03 * height),) * 2, np.uint8)
    away = cv2.dilate((~allowed).astype(np.uint8), gap) == 0
    layer = (layer > 0) & away
    pixels[layer] = color
    return layer


def draw(shape, size, box, *, seed=0, cut=0.15, level=(0, 0, 0), panel=True, color=TEXT, jpeg=None):
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = level
    picture = draw_shape(shape, size, box, cut)
    left, top, w, h = box
    inner = mucosa(rng, h, w)
    part = picture[top : top + h, left : left + w]
    pixels[top : top + h, left : left + w][part] = np.maximum(inner, 9)[part]
    text = write_panel(pixels, ~picture, rng, color) if panel else np.zeros_like(picture)
    if jpeg:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, jpeg])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return Drawn(pixels, picture, text)


def overlap(field, picture):
    """Intersection over union of the found shape with the drawn one."""
    found = np.zeros_like(picture)
    found[field.top : field.bottom, field.left : field.right] = cover_box(field)
    return (found & picture).sum() / (found | picture).sum()


def box_of(picture):
    rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def check(drawn, field, least=0.97):
    assert overlap(field, drawn.picture) >= least
    left, top, right, bottom = box_of(drawn.picture)
    # No side cuts into the picture by more than the margin of 1 % of the picture.
    assert field.left - left <= 0.01 * (right - left) + 1
    assert right - field.right <= 0.01 * (right - left) + 1
    assert field.top - top <= 0.01 * (bottom - top) + 1
    assert bottom - field.bottom <= 0.01 * (bottom - top) + 1
    masked = mask_field(drawn.pixels, field)
    assert not masked[drawn.panel].any()


SIZES = [(720, 576), (1280, 1024), (640, 480), (256, 256)]


@pytest.mark.parametrize("shape", ["octagon", "circle", "rectangle"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("jpeg", [None, 75])
def test_the_picture_beside_a_panel_is_found(shape, size, jpeg):
    width, height = size
    h = round(0.92 * height)
    w = min(round(1.08 * h), round(0.7 * width))
    drawn = draw(shape, size, (round(0.27 * width), round(0.04 * height), w, h), jpeg=jpeg)
    field = find_field(drawn.pixels)
    assert field.shape == shape
    check(drawn, field)


@settings(max_examples=40)
@given(
    st.sampled_from(["octagon", "circle", "rectangle"]),
    st.sampled_from([(640, 512), (720, 480), (501, 397)]),
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.45, 1.0), st.floats(0.8, 1.3)),
    st.integers(0, 10**6),
    st.sampled_from([(0, 0, 0), (7, 7, 9), (96, 96, 96)]),
    st.sampled_from([None, 90]),
)
def test_the_picture_is_found_wherever_it_lies(shape, size, place, seed, level, jpeg):
    across, down, tall, aspect = place
    width, height = size
    h = round(tall * height)
    w = min(round(aspect * h), width - 1)
    box = (round(across * (width - w)), round(down * (height - h)), w, h)
    drawn = draw(shape, size, box, seed=seed, level=level, jpeg=jpeg)
    check(drawn, find_field(drawn.pixels))


@pytest.mark.parametrize("color", [(255, 40, 30), (60, 255, 90), (90, 160, 255), (250, 250, 0)])
def test_colored_text_is_not_the_picture(color):
    drawn = draw("octagon", (720, 576), (190, 30, 500, 500), color=color)
    check(drawn, find_field(drawn.pixels))


def test_a_whole_frame_is_full():
    for seed in range(5):
        pixels = mucosa(np.random.default_rng(seed), 480, 640)
        assert find_field(pixels) == Field(0, 0, 640, 480, "full", 1.0)


def test_an_overexposed_whole_frame_is_full():
    assert find_field(np.full((300, 400, 3), 255, np.uint8)).shape == "full"
    red = np.full((300, 400, 3), (255, 120, 90), np.uint8)
    assert find_field(red).shape == "full"


@pytest.mark.parametrize("level", [0, 3, 12, 60])
def test_a_dark_frame_is_full(level):
    rng = np.random.default_rng(level)
    pixels = np.clip(rng.normal(level, 2, (480, 640, 3)), 0, 255).astype(np.uint8)
    assert find_field(pixels) == Field(0, 0, 640, 480, "full", 1.0)


def test_text_alone_is_no_picture():
    drawn = draw("rectangle", (640, 480), (300, 200, 8, 8))
    assert find_field(drawn.pixels).shape == "full"


def test_a_lumen_that_touches_the_mask_is_part_of_the_picture():
    drawn = draw("octagon", (720, 576), (190, 30, 500, 500), panel=False)
    y, x = np.mgrid[:576, :720]
    dark = (np.hypot(x - 690, y - 280) < 110) & drawn.picture
    drawn.pixels[dark] = 3
    check(drawn, find_field(drawn.pixels))


@pytest.mark.parametrize("corner", ["left", "right"])
def test_a_green_box_over_a_corner_changes_nothing(corner):
    drawn = draw("octagon", (720, 576), (190, 30, 500, 500))
    start = 190 if corner == "left" else 690 - 150
    drawn.pixels[380:530, start : start + 150] = (20, 165, 140)
    check(drawn._replace(panel=np.zeros_like(drawn.panel)), find_field(drawn.pixels))


def test_a_picture_in_the_picture_beside_it_is_left_out():
    drawn = draw("octagon", (1280, 720), (500, 10, 700, 700), panel=False)
    drawn.pixels[300:500, 60:320] = mucosa(np.random.default_rng(3), 200, 260)
    check(drawn, find_field(drawn.pixels))


@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_thin_dark_border_is_found(width):
    pixels = np.zeros((480, 640, 3), np.uint8)
    box = (width, width, 640 - 2 * width, 480 - 2 * width)
    pixels[width:-width, width:-width] = mucosa(np.random.default_rng(0), box[3], box[2])
    field = find_field(pixels)
    assert field.left <= width + 1
    assert field.right >= 639 - width
    assert field.top <= width + 1
    assert field.bottom >= 479 - width


def test_a_circle_cut_by_the_frame_keeps_its_flat_sides():
    drawn = draw("circle", (500, 500), (50, 50, 400, 400), panel=False)
    pixels = np.ascontiguousarray(drawn.pixels[70:430, 70:430])
    field = find_field(pixels)
    assert (field.left, field.top, field.width, field.height) == (0, 0, 360, 360)
    assert field.shape == "circle"
    assert overlap(field, drawn.picture[70:430, 70:430]) > 0.98


def test_the_field_is_found_the_same_again():
    drawn = draw("circle", (720, 576), (190, 30, 500, 500), jpeg=80)
    assert find_field(drawn.pixels) == find_field(drawn.pixels.copy())


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_a_frame_of_any_size_has_a_field_within_it(height, width, value):
    rng = np.random.default_rng(value)
    field = find_field(rng.integers(0, value + 1, (height, width, 3)).astype(np.uint8))
    assert 0 <= field.left < field.right <= width
    assert 0 <= field.top < field.bottom <= height
    assert field.share == field.width * field.height / (width * height)


def test_the_margin_is_taken_off_the_mask_and_not_off_the_frames_edge():
    pixels = np.arange(100 * 200 * 3).reshape(100, 200, 3).astype(np.uint8)
    field = Field(100, 0, 100, 100, "rectangle", 0.5)
    cropped = crop_frame(pixels, field, 0.02)
    np.testing.assert_array_equal(cropped, pixels[:, 102:200])
    assert cropped.flags.c_contiguous
    np.testing.assert_array_equal(crop_frame(pixels, field), pixels[:, 100:])


@pytest.mark.parametrize("shape", ["octagon", "circle", "rectangle"])
def test_blanking_the_crop_is_cropping_the_masked_frame(shape):
    drawn = draw(shape, (360, 288), (95, 15, 250, 240))
    field = find_field(drawn.pixels)
    expected = crop_frame(mask_field(drawn.pixels, field), field, 0.02)
    np.testing.assert_array_equal(crop_frame(drawn.pixels, field, 0.02, blank=True), expected)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(1, 1.9), st.floats(1, 1.9))
def test_the_cover_is_the_formula_of_its_shape(width, height, across, down):
    x = np.abs((np.arange(width) + 0.5) / width * 2 - 1) / across
    y = np.abs((np.arange(height) + 0.5) / height * 2 - 1)[:, None] / down
    for shape, power in (("octagon", 1), ("circle", 2)):
        field = Field(0, 0, width, height, shape, 1.0, (across, down))
        total = x**power + y**power
        clear = np.abs(total - 1) > 1e-9
        np.testing.assert_array_equal(cover_box(field)[clear], (total <= 1)[clear])


def test_masking_blanks_the_corners_and_the_panel_alone():
    drawn = draw("octagon", (720, 576), (190, 30, 500, 500))
    field = find_field(drawn.pixels)
    masked = mask_field(drawn.pixels, field)
    core = cv2.erode(drawn.picture.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    np.testing.assert_array_equal(masked[core], drawn.pixels[core])
    assert not masked[0, 0].any()
    assert drawn.panel.any()


def test_dark_frames_take_the_field_of_their_device():
    fields = [
        find_field(draw("octagon", (720, 576), (190, 30, 500, 500), seed=seed, jpeg=85).pixels)
        for seed in range(4)
    ]
    dark = find_field(np.zeros((576, 720, 3), np.uint8))
    field = agree_on_field([dark, *fields, dark, dark])
    assert field.shape == "octagon"
    assert abs(field.left - 190) <= 2
    assert abs(field.width - 500) <= 3
    assert field.share == field.width * field.height / (720 * 576)


def test_agreeing_on_no_fields_is_refused():
    with pytest.raises(ValueError, match="no fields"):
        agree_on_field([])


def test_agreement_does_not_hang_on_the_order():
    seen = [Field(10 + i, 5, 80, 60 + i, "circle", 0.5, (1.0 + i / 50, 1.0)) for i in range(5)]
    assert agree_on_field(seen) == agree_on_field(seen[::-1])


@pytest.mark.parametrize("level", [(16, 16, 16), (20, 40, 90), (60, 60, 60), (150, 150, 155)])
@pytest.mark.parametrize("noise", [0, 1.5])
def test_a_mask_of_any_dark_or_gray_color_is_told_from_the_picture(level, noise):
    drawn = draw("octagon", (720, 576), (190, 30, 500, 500), level=level, panel=False)
    grain = np.random.default_rng(0).normal(0, noise, drawn.pixels.shape)
    pixels = np.clip(drawn.pixels + grain, 0, 255).astype(np.uint8)
    check(drawn._replace(pixels=pixels), find_field(pixels))


@pytest.mark.parametrize(("x", "y"), [(0, 240), (320, 0), (640, 480), (600, 100)])
def test_a_lumen_at_the_edge_of_a_whole_frame_cuts_nothing(x, y):
    pixels = mucosa(np.random.default_rng(1), 480, 640).astype(np.float32)
    rows, columns = np.mgrid[:480, :640]
    dim = np.clip(np.hypot(columns - x, rows - y) / 260, 0.03, 1)
    field = find_field((pixels * dim[:, :, None]).astype(np.uint8))
    assert (field.left, field.top, field.width, field.height) == (0, 0, 640, 480)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (2, 9000), (17, 4000), (641, 33)])
def test_frames_of_odd_proportions_have_a_field(size):
    for pixels in (np.zeros((*size, 3), np.uint8), np.full((*size, 3), 200, np.uint8)):
        field = find_field(pixels)
        assert crop_frame(pixels, field, 0.25, blank=True).size > 0
