from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_folder import make_run

from polypskd.reporting.gallery import find_mistakes, lay_heat
from polypskd.reporting.record import read_record

BLUE = (233, 180, 86, 255)  # BGR and full opacity


def read(source: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(source.partition(",")[2]), dtype=np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("height", "width"), [(90, 120), (120, 90), (100, 100)])
def test_heat_stands_over_the_place_of_the_frame_that_it_belongs_to(
    height: int, width: int
) -> None:
    # The network saw the frame in the middle of a square, whose upper left quarter was hot.
    side = 120 if height != width else 100
    layer = np.zeros((side, side, 4), np.uint8)
    layer[: side // 2, : side // 2] = BLUE
    mixed = lay_heat(np.full((height, width, 3), 50, np.uint8), layer)
    assert mixed.shape == (height, width, 3)
    assert mixed[2, 2].tolist() == [233, 180, 86]
    assert mixed[height // 2 - 3, width // 2 - 3].tolist() == [233, 180, 86]
    assert mixed[height // 2 + 3, 2].tolist() == [50, 50, 50]
    assert mixed[2, width // 2 + 3].tolist() == [50, 50, 50]


def test_half_the_opacity_mixes_half_of_the_color() -> None:
    layer = np.full((8, 8, 4), 200, np.uint8)
    layer[..., 3] = 51  # a fifth
    mixed = lay_heat(np.full((8, 8, 3), 100, np.uint8), layer)
    assert (mixed == 120).all()


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (8, 6, 4)])
def test_what_is_no_square_layer_with_opacity_is_left_out(shape: tuple[int, ...]) -> None:
    assert lay_heat(np.zeros((8, 8, 3), np.uint8), np.zeros(shape, np.uint8)) is None


def test_a_card_shows_the_frame_plain_and_with_its_heat(tmp_path: Path) -> None:
    run = make_run(tmp_path, n=120)
    plain = find_mistakes(read_record(run), run.parent / "frames")
    assert not any(one.heatmap for one in plain)
    (run / "cams").mkdir()
    layer = np.zeros((144, 144, 4), np.uint8)
    layer[:72] = BLUE
    cv2.imwrite(str(run / "cams" / f"{plain[0].row}.png"), layer)
    (run / "cams" / f"{plain[1].row}.png").write_text("not a picture")
    found = find_mistakes(read_record(run), run.parent / "frames")
    assert found[0].source == plain[0].source
    frame, heat = (read(one).astype(int) for one in (found[0].source, found[0].heatmap))
    assert frame.shape == heat.shape == (168, 224, 3)
    assert np.abs(heat[:78] - BLUE[:3]).mean() < 3
    assert np.abs(heat[90:] - frame[90:]).mean() < 3
    assert found[1].heatmap == ""
    assert find_mistakes(read_record(run), None)[0].heatmap == ""
