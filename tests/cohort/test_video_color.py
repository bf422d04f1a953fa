"""Colors against the formulas of BT.601, BT.709 and BT.2020."""

import io
from fractions import Fraction

import numpy as np
import pytest
from video_clips import av

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import open_video

HEIGHT, WIDTH = 96, 128
WEIGHTS = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114)}
WEIGHTS |= {9: (0.2627, 0.0593), 7: (0.212, 0.087)}
STEP = {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1)}


def draw_planes(pix):
    """Luma of noise, chroma that changes slowly enough to be the same however interpolated."""
    down, across = STEP[pix]
    luma = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH))
    y, x = np.mgrid[: HEIGHT // down, : WIDTH // across]
    blue = 128 + 60 * np.sin(y * down / 120 + x * across / 160)
    red = 128 + 60 * np.cos(y * down / 140 - x * across / 110)
    return [plane.astype(np.uint8) for plane in (luma, blue, red)]


def make_lossless(planes, pix, matrix, color_range):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = color_range
        frame = av.VideoFrame(WIDTH, HEIGHT, pix)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
        frame.colorspace, frame.color_range = matrix, color_range
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return buffer.getvalue()


def compute_rgb(planes, pix, matrix, full):
    red_weight, blue_weight = WEIGHTS[matrix]
    down, across = STEP[pix]
    luma, blue, red = (plane.astype(float) for plane in planes)
    blue, red = (np.kron(plane, np.ones((down, across))) - 128 for plane in (blue, red))
    if not full:
        luma, blue, red = (luma - 16) * 255 / 219, blue * 255 / 224, red * 255 / 224
    r = luma + 2 * (1 - red_weight) * red
    b = luma + 2 * (1 - blue_weight) * blue
    g = (luma - red_weight * r - blue_weight * b) / (1 - red_weight - blue_weight)
    return np.clip(np.rint(np.stack([r, g, b], -1)), 0, 255)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize("pix", sorted(STEP))
def test_colors_are_those_of_the_streams_matrix_and_range(pix, matrix, full):
    planes = draw_planes(pix)
    data = make_lossless(planes, pix, matrix, 2 if full else 1)
    with open_video(io.BytesIO(data)) as video:
        pixels = video.read(0).astype(float)
    want = compute_rgb(planes, pix, matrix, full)
    assert np.abs(pixels - want).max() <= (1 if pix == "yuv444p" else 2)
    other = compute_rgb(planes, pix, matrix, not full)
    assert np.abs(pixels - other).max() > 10  # the test can tell the two ranges apart


def test_matrices_are_told_apart():
    planes = draw_planes("yuv444p")
    found = []
    for matrix in (1, 6, 9):
        with open_video(io.BytesIO(make_lossless(planes, "yuv444p", matrix, 1))) as video:
            found.append(video.read(0).astype(int))
    assert np.abs(found[0] - found[1]).max() > 10
    assert np.abs(found[0] - found[2]).max() > 4


def test_a_matrix_that_no_formula_is_known_for_is_refused():
    data = make_lossless(draw_planes("yuv420p"), "yuv420p", 14, 1)
    with (
        open_video(io.BytesIO(data)) as video,
        pytest.raises(DamageError, match="color matrix not supported"),
    ):
        video.read(0)
