from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from run_folder import make_run

from polypskd.reporting.gallery import find_mistakes
from polypskd.reporting.record import read_record

BLUE = (233, 180, 86, 255)  # BGR and full opacity


def read(source: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(source.partition(",")[2]), dtype=np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


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
    assert np.abs(heat[:78] - (frame[:78] + BLUE[:3]) / 2).mean() < 6
    assert np.abs(heat[90:] - frame[90:]).mean() < 3
    assert found[1].heatmap == ""
    assert find_mistakes(read_record(run), None)[0].heatmap == ""
