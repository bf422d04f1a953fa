from __future__ import annotations

import numpy as np
import pytest

from polypskd.reporting.heat import EDGE, lay_heat

BLUE = (255, 160, 0)  # BGR


def make_layer(side: int, opacity: np.ndarray | int) -> np.ndarray:
    layer = np.zeros((side, side, 4), np.uint8)
    layer[..., :3] = BLUE
    layer[..., 3] = opacity
    return layer


@pytest.mark.parametrize(("height", "width"), [(90, 120), (120, 90), (100, 100)])
def test_heat_stands_over_the_place_of_the_frame_that_it_belongs_to(
    height: int, width: int
) -> None:
    # The network saw the frame in the middle of a square, whose upper left quarter was hot.
    side = max(height, width)
    hot = np.zeros((side, side), np.uint8)
    hot[: side // 2, : side // 2] = 191
    mixed = lay_heat(np.full((height, width, 3), 50, np.uint8), make_layer(side, hot))
    assert mixed is not None
    assert mixed.shape == (height, width, 3)
    half = [round((50 + part) / 2) for part in BLUE]
    assert np.abs(mixed[2, 2].astype(int) - half).max() <= 1
    assert np.abs(mixed[height // 2 - 8, width // 2 - 8].astype(int) - half).max() <= 1
    assert mixed[height // 2 + 8, 2].tolist() == [50, 50, 50]
    assert mixed[2, width // 2 + 8].tolist() == [50, 50, 50]


def test_a_cold_place_stays_as_it_is_and_a_hot_one_can_still_be_seen() -> None:
    side = 200
    ramp = np.tile(np.linspace(0, 191, side).astype(np.uint8), (side, 1))
    frame = np.tile(np.arange(side, dtype=np.uint8)[:, None, None], (1, side, 3))
    mixed = lay_heat(frame, make_layer(side, ramp))
    assert mixed is not None
    assert np.array_equal(mixed[:, : int(0.4 * side) - 4], frame[:, : int(0.4 * side) - 4])
    # In the hottest column, dark and bright are half as far from one another as in the frame.
    spread = mixed[..., -1, :].astype(int).max(axis=0) - mixed[:, -1].astype(int).min(axis=0)
    assert (np.abs(spread - 199 / 2) <= 2).all()


def test_the_line_runs_where_the_heat_is_half_and_not_along_the_border() -> None:
    side = 100
    hot = np.zeros((side, side), np.uint8)
    hot[:, side // 2 :] = 100
    mixed = lay_heat(np.full((side, side, 3), 10, np.uint8), make_layer(side, hot))
    assert mixed is not None
    near = [column for column in range(side) if mixed[50, column].max() == 255]
    assert near
    assert max(abs(column - side // 2) for column in near) < EDGE // 2
    assert mixed[50, -1].tolist() == mixed[50, side - 20].tolist()
    assert mixed[0, 80].tolist() == mixed[50, 80].tolist()


def test_the_scale_is_that_of_the_layer_itself() -> None:
    frame = np.full((40, 40, 3), 90, np.uint8)
    hot = np.zeros((40, 40), np.uint8)
    hot[:20] = 60
    weak = lay_heat(frame, make_layer(40, hot))
    strong = lay_heat(frame, make_layer(40, hot * 4))
    assert weak is not None
    assert np.array_equal(weak, strong)


def test_without_heat_the_frame_is_unchanged() -> None:
    frame = np.full((8, 8, 3), 100, np.uint8)
    assert np.array_equal(lay_heat(frame, make_layer(8, 0)), frame)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (8, 6, 4)])
def test_what_is_no_square_layer_with_opacity_is_left_out(shape: tuple[int, ...]) -> None:
    assert lay_heat(np.zeros((8, 8, 3), np.uint8), np.zeros(shape, np.uint8)) is None
