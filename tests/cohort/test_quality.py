"""The measures mean what they say: each moves with what it measures."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from polypskd.cohort.field import Field
from polypskd.cohort.quality import (
    Quality,
    find_exclusions,
    list_columns,
    measure_quality,
)
from polypskd.config.preparation import Quality as Rules


def tissue(seed=0, side=256):
    """Draw smooth red tissue with vessels and fine grain, without glare."""
    rng = np.random.default_rng(seed)
    light = cv2.resize(rng.uniform(0.5, 0.8, (4, 4)).astype(np.float32), (side, side))
    grain = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 1.2)
    pixels = light[:, :, None] * np.array([190, 110, 90], np.float32) + 25 * grain[:, :, None]
    for _ in range(25):
        ends = rng.integers(0, side, 4).tolist()
        cv2.line(pixels, tuple(ends[:2]), tuple(ends[2:]), (110, 40, 40), 1, cv2.LINE_AA)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def whole(pixels):
    return Field(0, 0, pixels.shape[1], pixels.shape[0], "full", 1.0)


def measure(pixels):
    return measure_quality(pixels, whole(pixels))


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_blurring_lowers_the_sharpness_and_raises_the_blur_step_by_step(seed):
    pixels = tissue(seed)
    found = [measure(pixels)]
    found += [measure(cv2.GaussianBlur(pixels, (0, 0), sigma)) for sigma in (0.7, 1.2, 2, 3.5, 6)]
    sharp = [one.sharpness for one in found]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[0] > 2 * sharp[-1]
    blurs = [one.blur for one in found]
    assert blurs == sorted(blurs)


@pytest.mark.parametrize("direction", ["rows", "columns", "falling", "rising"])
def test_blurring_along_one_direction_raises_the_motion(direction):
    kernel = np.eye(11)
    if direction in {"rows", "columns"}:
        kernel = np.zeros((11, 11))
        kernel[5] = 1
    if direction in {"columns", "rising"}:
        kernel = np.rot90(kernel)
    for seed in range(5):
        pixels = tissue(seed)
        moved = measure(cv2.filter2D(pixels, -1, kernel / 11))
        assert moved.motion > 0.1
        assert moved.motion > measure(pixels).motion + 0.08
        assert moved.motion > measure(cv2.GaussianBlur(pixels, (0, 0), 3)).motion + 0.05


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_brightening_raises_the_exposure_step_by_step(seed):
    pixels = tissue(seed)
    gains = (0.1, 0.5, 0.8, 1.0, 1.2, 1.5, 2.5)
    found = [measure(np.clip(pixels * gain, 0, 255).astype(np.uint8)) for gain in gains]
    for name, rises in (("brightness", True), ("underexposed", False), ("overexposed", True)):
        values = [getattr(one, name) for one in found]
        assert values == sorted(values, reverse=not rises)
    assert found[0].underexposed > 0.9
    assert found[0].brightness < 0.1


def test_brightness_is_the_mean_luminance():
    pixels = np.full((300, 300, 3), (200, 100, 50), np.uint8)
    assert measure(pixels).brightness * 255 == pytest.approx(
        0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=0.5
    )
    assert measure(np.zeros((300, 300, 3), np.uint8)).underexposed == 1
    assert measure(np.full((300, 300, 3), 255, np.uint8)).overexposed == 1


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_drawn_highlights_raise_the_specular_share_by_their_area(seed, count):
    pixels = tissue(seed)
    before = measure(pixels).specular
    mask = np.zeros(pixels.shape[:2], np.uint8)
    rng = np.random.default_rng(seed)
    for x, y in rng.integers(20, 236, (count, 2)).tolist():
        cv2.circle(mask, (x, y), 4, 1, -1)
    pixels[mask > 0] = 255
    assert before == 0
    assert measure(pixels).specular == pytest.approx(mask.mean(), abs=0.002)


def test_highlights_do_not_count_as_sharpness():
    pixels = cv2.GaussianBlur(tissue(1), (0, 0), 4)
    shiny = pixels.copy()
    for x, y in np.random.default_rng(0).integers(20, 236, (20, 2)).tolist():
        cv2.circle(shiny, (x, y), 4, (255, 255, 255), -1)
    assert measure(shiny).sharpness == pytest.approx(measure(pixels).sharpness, rel=0.1)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_the_noise_is_read_in_levels(sigma):
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(tissue(2, 400), (0, 0), 5)
    pixels = np.clip(smooth + rng.normal(0, sigma, smooth.shape), 0, 255).round().astype(np.uint8)
    assert measure(pixels).noise == pytest.approx(sigma, rel=0.08)


def test_contrast_and_color_are_their_formulas():
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[:, :128] = (220, 120, 60)
    pixels[:, 128:] = (100, 60, 40)
    red, green, blue = (pixels[:, :, channel].astype(float) for channel in range(3))
    gray = 0.299 * red + 0.587 * green + 0.114 * blue
    first, second = red - green, (red + green) / 2 - blue
    color = np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean())
    found = measure(pixels)
    assert found.contrast == pytest.approx(gray.std() / 255, abs=0.002)
    assert found.colorfulness == pytest.approx(color, abs=0.01)
    assert measure(np.full((256, 256, 3), 90, np.uint8)).colorfulness == 0


@pytest.mark.parametrize(
    ("color", "outside"),
    [
        ((200, 110, 90), 0.0),  # mucosa
        ((210, 180, 90), 0.0),  # yellow of stool and mucus
        ((90, 20, 15), 0.0),  # blood
        ((60, 110, 190), 1.0),  # a blue drape
        ((128, 128, 128), 1.0),  # gray of a wall
        ((60, 160, 60), 1.0),
        ((8, 12, 20), 0.0),  # too dark to tell
    ],
)
def test_colors_that_no_mucosa_has_are_outside(color, outside):
    assert measure(np.full((128, 128, 3), color, np.uint8)).outside_body == outside


def test_the_share_outside_is_that_of_the_picture():
    pixels = np.full((200, 200, 3), (200, 110, 90), np.uint8)
    pixels[:60] = (60, 110, 190)
    assert measure(pixels).outside_body == pytest.approx(0.3, abs=0.01)


def test_the_size_of_the_frame_hardly_matters():
    pixels = cv2.GaussianBlur(tissue(3, 1024), (0, 0), 4)
    large, small = measure(pixels), measure(cv2.resize(pixels, (512, 512), None, 0, 0, 3))
    for name in ("brightness", "contrast", "colorfulness", "sharpness", "blur", "outside_body"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), rel=0.05, abs=0.005)


def test_the_mask_and_its_panel_do_not_count():
    inner = tissue(4)
    frame = np.zeros((300, 500, 3), np.uint8)
    frame[20:276, 200:456] = inner
    cv2.putText(frame, "12:34:56", (10, 100), 0, 1, (255, 255, 255), 2)
    framed, alone = measure_quality(frame), measure(inner)
    assert framed.field == pytest.approx(256 * 256 / (300 * 500), rel=0.02)
    for name in ("brightness", "contrast", "specular", "sharpness", "colorfulness", "blur"):
        assert getattr(framed, name) == pytest.approx(getattr(alone, name), rel=0.05, abs=0.005)


def test_a_position_finders_box_is_not_outside():
    pixels = tissue(5)
    boxed = pixels.copy()
    boxed[180:, :60] = (20, 165, 140)
    plain, found = measure(pixels), measure(boxed)
    assert found.outside_body == plain.outside_body == 0
    assert found.colorfulness == pytest.approx(plain.colorfulness, rel=0.1)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 1, 90, 254, 255]))
def test_every_frame_has_finite_measures_in_their_range(height, width, top):
    rng = np.random.default_rng(height * 41 + width)
    found = measure_quality(rng.integers(0, top + 1, (height, width, 3)).astype(np.uint8))
    values = list_columns(found)
    assert all(np.isfinite(value) and value >= 0 for value in values.values())
    assert all(type(value) is float for value in values.values())
    free = {"quality_sharpness", "quality_noise", "quality_colorfulness"}
    assert all(value <= 1 for name, value in values.items() if name not in free)


def test_the_measures_are_the_same_again():
    frame = tissue(6)
    assert measure_quality(frame) == measure_quality(frame.copy())


def test_columns_are_named_by_the_measures():
    columns = list_columns(measure(tissue(0)))
    assert list(columns) == [f"quality_{name}" for name in Quality.__dataclass_fields__]


def test_no_rule_excludes_nothing():
    assert find_exclusions(measure(np.zeros((64, 64, 3), np.uint8)), Rules()) == []


def test_each_broken_rule_is_one_reason_with_value_and_limit():
    dark = measure(np.zeros((64, 64, 3), np.uint8))
    rules = Rules(min_brightness=0.1, max_underexposed=0.5, min_sharpness=0.02, max_specular=0.3)
    assert find_exclusions(dark, rules) == [
        "sharpness 0 is below 0.02 (min_sharpness)",
        "brightness 0 is below 0.1 (min_brightness)",
        "underexposed 1 is above 0.5 (max_underexposed)",
    ]


def test_a_value_at_the_limit_stays():
    found = measure(tissue(0))
    rules = Rules(min_brightness=found.brightness, max_specular=found.specular)
    assert find_exclusions(found, rules) == []


def test_every_rule_limits_a_measure():
    for rule in Rules.model_fields:
        side, _, measured = rule.partition("_")
        assert side in {"min", "max"}
        assert measured in Quality.__dataclass_fields__


@pytest.mark.parametrize("given_", [{"max_specular": 1.2}, {"min_sharpness": -1}, {"sharpness": 1}])
def test_limits_that_mean_nothing_are_refused(given_):
    with pytest.raises(ValidationError):
        Rules.model_validate(given_)
