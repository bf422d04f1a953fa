"""Heat over a frame: an outline around the hottest places, and a tint that grows with the heat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

COLD, OUTLINE = 0.4, 0.5  # shares of the highest heat: no tint below, a line around
TINT = 0.5  # opacity of the hottest place; what lies below must stay visible
EDGE = 8  # pixels beside the frame, where the line goes along its border


def lay_heat(frame: Pixels, layer: Pixels) -> Pixels | None:
    """Lay a heat layer over a frame; None where it is no such layer.

    The layer covers the square that the network sees: the frame in its middle, bars at both sides,
    which are cut away. Places of less than half the highest heat stay as they are.

    Args:
        frame: (H, W, 3) BGR.
        layer: (S, S, 4) BGR and opacity, which is the heat up to a factor.

    Returns:
        (H, W, 3) BGR.

    >>> layer = np.full((40, 40, 4), 255, np.uint8)
    >>> layer[20:, :, 3] = 80
    >>> mixed = lay_heat(np.zeros((40, 40, 3), np.uint8), layer)
    >>> mixed[2, 2].tolist(), mixed[38, 2].tolist()
    ([128, 128, 128], [0, 0, 0])
    """
    if layer.ndim != 3 or layer.shape[2] != 4 or layer.shape[0] != layer.shape[1]:
        return None
    opacity = layer[..., 3]
    if not opacity.any():
        return frame.copy()
    place = np.unravel_index(int(opacity.argmax()), opacity.shape)
    shade = layer[place][:3].astype(np.float32)
    heat = _stretch(
        opacity.astype(np.float32) / np.float32(opacity.max()), frame.shape[0], frame.shape[1]
    )
    rise = np.clip((heat - COLD) / (1 - COLD), 0, 1)
    tint = (TINT * rise * rise * (3 - 2 * rise))[..., None]
    mixed = np.rint(frame * (1 - tint) + shade * tint).astype(np.uint8)
    return _outline(mixed, heat >= OUTLINE, shade)


def _stretch(heat: Floats, height: int, width: int) -> Floats:
    """Cut the frame out of the middle of the square, and enlarge it to (H, W)."""
    import cv2

    side, longest = len(heat), max(height, width)
    rows, columns = (max(1, round(side * one / longest)) for one in (height, width))
    top, left = (side - rows) // 2, (side - columns) // 2
    cut = heat[top : top + rows, left : left + columns]
    large: Floats = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR))
    return large


def _outline(frame: Pixels, hot: NDArray[np.bool_], shade: Floats) -> Pixels:
    """Draw a line around the hot places, in their color on white, but none along the border."""
    import cv2

    mask = np.pad(hot, EDGE, mode="edge").astype(np.uint8)
    canvas = np.pad(frame, ((EDGE, EDGE), (EDGE, EDGE), (0, 0)), mode="edge")
    lines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, lines, -1, (255, 255, 255), 3)
    cv2.drawContours(canvas, lines, -1, [float(part) for part in shade], 2)
    drawn: Pixels = canvas[EDGE:-EDGE, EDGE:-EDGE].copy()
    return drawn
