import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.damage import DamageError
from polypskd.cohort.preparation import MEAN, STD, normalize, prepare_frame
from polypskd.config.preparation import BoxCrop, FieldCrop, NoCrop


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64))
def test_a_frame_becomes_a_centered_square_of_its_aspect(h: int, w: int, size: int) -> None:
    square = prepare_frame(np.full((h, w, 3), 255, np.uint8), size)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    lit = square[:, :, 0] == 255
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    assert max(len(rows), len(columns)) == size
    assert abs(len(rows) - max(1, h * size / max(h, w))) <= 0.5
    assert abs(len(columns) - max(1, w * size / max(h, w))) <= 0.5
    assert abs(rows[0] - (size - 1 - rows[-1])) <= 1
    assert lit.sum() == len(rows) * len(columns)


def test_shrinking_averages_over_areas() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 200).astype(np.uint8)
    small = prepare_frame(np.repeat(board[:, :, None], 3, axis=2), 16)
    assert (small == 100).all()


def test_a_frame_of_the_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(prepare_frame(pixels, 32), pixels)


def test_normalizing_is_the_formula_of_imagenet() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    got = normalize(pixels)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_normalizing_gives_the_bits_of_single_precision_arithmetic() -> None:
    pixels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1).reshape(2, 16, 8, 3)
    mean = np.asarray(MEAN, np.float32) * np.float32(255)
    std = np.asarray(STD, np.float32) * np.float32(255)
    expected = (pixels.astype(np.float32) - mean) / std
    np.testing.assert_array_equal(normalize(pixels), expected)
    np.testing.assert_array_equal(normalize(pixels[:, ::2, ::-1]), expected[:, ::2, ::-1])
    np.testing.assert_array_equal(normalize(pixels[0, 0]), expected[0, 0])
    assert normalize(pixels[:0]).shape == (0, 16, 8, 3)


def draw_masked() -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = np.zeros((240, 400, 3), np.uint8)
    pixels[20:220, 150:350] = (180, 90, 80)
    pixels[20:220, 150:350] += rng.integers(0, 20, (200, 200, 3), dtype=np.uint8)
    return pixels


def test_without_a_crop_the_bytes_are_those_of_the_whole_frame() -> None:
    pixels = draw_masked()
    np.testing.assert_array_equal(
        prepare_frame(pixels, 64, NoCrop()), prepare_frame(pixels, 64, None)
    )


def test_the_field_is_cut_out_without_its_margin() -> None:
    pixels = draw_masked()
    expected = prepare_frame(np.ascontiguousarray(pixels[24:216, 154:346]), 64)
    np.testing.assert_array_equal(prepare_frame(pixels, 64, FieldCrop(margin=0.02)), expected)


def test_what_stands_in_a_cut_corner_is_blanked_if_wanted() -> None:
    pixels = draw_masked()
    y, x = np.mgrid[:240, :400]
    pixels[np.hypot(x - 249.5, y - 119.5) > 100] = 0
    pixels[24:28, 152:160] = 255  # text in the corner of the box
    blanked = prepare_frame(pixels, 200, FieldCrop(margin=0))
    kept = prepare_frame(pixels, 200, FieldCrop(margin=0, blank=False))
    assert kept[:20, :20].max() == 255
    assert blanked[:20, :20].max() == 0
    np.testing.assert_array_equal(blanked[60:140, 60:140], kept[60:140, 60:140])


def test_a_box_is_cut_out_as_given() -> None:
    pixels = draw_masked()
    box = BoxCrop(left=150, top=20, width=200, height=200)
    expected = prepare_frame(np.ascontiguousarray(pixels[20:220, 150:350]), 96)
    np.testing.assert_array_equal(prepare_frame(pixels, 96, box), expected)


def test_a_box_that_leaves_the_frame_is_told() -> None:
    box = BoxCrop(left=300, top=0, width=200, height=100)
    with pytest.raises(DamageError, match="leaves the frame") as caught:
        prepare_frame(draw_masked(), 64, box)
    assert caught.value.value == "300,0 to 500,100 of 400x240"


@pytest.mark.parametrize(("height", "width", "size"), [(1024, 1280, 224), (241, 801, 96)])
def test_a_frame_that_is_halved_first_stays_where_it_was(height, width, size):
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    ramps = np.stack([rows * 255, columns * 255, (rows + columns) * 120], axis=2)
    square = prepare_frame(ramps.astype(np.uint8), size).astype(np.float64)
    inner = round(height * size / max(height, width))
    top = (size - inner) // 2
    # The middle of each pixel, by the ramp's own formula: off by less than two levels.
    middle = (np.arange(size) + 0.5) / size * 255 - 0.5
    np.testing.assert_allclose(square[top + inner // 2, 2:-2, 1], middle[2:-2], atol=2)
    down = (np.arange(inner) + 0.5) / inner * height / max(height, width) * 255 - 0.5
    np.testing.assert_allclose(square[top : top + inner, size // 2, 0], down, atol=2)


def test_frames_of_twice_the_size_are_averaged_by_fours():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    blocks = pixels.reshape(32, 2, 32, 2, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(prepare_frame(pixels, 32) - blocks).max() <= 0.5
