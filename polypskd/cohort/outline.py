"""The outline of the endoscope's picture: what is lit, which piece of it, and the box around it.

What is not of the mask's color is lit. Letters and lines are opened away, and the largest lit piece
is the picture, with those that a dark fold alone cuts from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom
Halve = Callable[[Pixels, int], tuple[Pixels, int]]  # `halve_pixels`, or what gives the same

BLACK = 14  # a mask darker than this is black, whatever its noise
SKIRT = 24  # the luminance that the noise of JPEG beside an edge does not exceed
NEAR = 0.06  # a line belongs to the picture if this share of the longest line is lit
LEAST = 0.04  # share of the frame below which the lit piece is no picture


def halve_pixels(pixels: Pixels, below: int) -> tuple[Pixels, int]:
    """Halve until the longer side is below a limit; averaging thins letters and quiets noise.

    Args:
        pixels: (H, W, 3) uint8 RGB; a last odd row or column is left out.
        below: the limit, at least 2.

    Returns:
        (h, w, 3) uint8 RGB, and how often it was halved.

    >>> halve_pixels(np.zeros((20, 31, 3), np.uint8), 10)[0].shape
    (5, 7, 3)
    """
    import cv2

    halvings = 0
    while max(pixels.shape[:2]) >= below and min(pixels.shape[:2]) >= 2:
        height, width = (side - side % 2 for side in pixels.shape[:2])
        half = (width // 2, height // 2)
        smaller = cv2.resize(pixels[:height, :width], half, interpolation=cv2.INTER_AREA)
        pixels = smaller.astype(np.uint8, copy=False)
        halvings += 1
    return pixels, halvings


def shrink_pixels(pixels: Pixels, width: int, height: int) -> Pixels:
    """Shrink by averaging over areas, as OpenCV does.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        width: of the result; by rounding it may be larger than W.
        height: of the result; likewise.

    Returns:
        (height, width, 3) uint8 RGB.

    >>> shrink_pixels(np.arange(36, dtype=np.uint8).reshape(3, 4, 3), 2, 2)[:, :, 0].tolist()
    [[6, 12], [22, 28]]
    """
    import cv2

    size = (width, height)
    grows = pixels.shape[0] < height or pixels.shape[1] < width
    if grows or pixels.shape[0] % height == pixels.shape[1] % width == 0:
        # Other ways of its own, where bytes are rounded otherwise than floats.
        pixels = np.ascontiguousarray(pixels)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    # OpenCV adds up bytes as floats, and is quicker where it need not turn each of them into one.
    mean: Any = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.convertScaleAbs(mean), np.uint8)


def find_mask_color(small: Pixels) -> tuple[NDArray[np.int64], int] | None:
    """Find the mask's color at the frame's edge and corners.

    Args:
        small: (h, w, 3) uint8 RGB.

    Returns:
        The color (zeros for any black) and by how many levels a lit pixel differs from it; None
        where no mask is seen.

    >>> find_mask_color(np.full((60, 80, 3), 200, np.uint8)) is None
    True
    """
    height, width = small.shape[:2]
    deep = max(2, round(0.02 * min(height, width)))
    ring = np.concatenate(
        [
            part.reshape(-1, 3)
            for part in (small[:deep], small[-deep:], small[:, :deep], small[:, -deep:])
        ]
    )
    bright = np.maximum(np.maximum(ring[:, 0], ring[:, 1]), ring[:, 2])
    dark = bright[bright <= BLACK + 10]
    if len(dark) >= 0.03 * len(ring):
        level = float(np.sort(dark)[len(dark) // 4])
        if level <= BLACK:
            noise = float(np.median(np.abs(dark - level))) * 1.4826
            return np.zeros(3, np.int64), round(level + min(max(6.0, 4 * noise), 14.0))
    side = max(3, round(0.04 * min(height, width)))
    corners = [small[a, b].reshape(-1, 3) for a, b in _corners(side)]
    flat = []
    for corner in corners:
        color = np.median(corner, axis=0)
        spread = np.median(np.abs(corner - color))
        # Overexposed mucosa is flat as well, but white or red.
        if spread <= 3 and color.max() <= 180 and color[0] - color.min() <= 16:
            flat.append(color)
    for color in flat:
        if sum(np.abs(other - color).max() <= 8 for other in flat) >= 2:
            return color.astype(np.int64), 12
    return None


def find_outline(
    small: Pixels, mask: tuple[NDArray[np.int64], int], factor: int
) -> NDArray[np.uint8] | None:
    """Find the picture's pixels, holes filled.

    Args:
        small: (h, w, 3) uint8 RGB, shrunk.
        mask: from `find_mask_color`.
        factor: how many of the frame's pixels are one of the shrunk one's, along a side.

    Returns:
        (h, w) of 0 and 1; None where nothing large is lit.
    """
    return _find_picture(_find_lit(small, *mask) & _find_risen(small, mask[0], factor))


def find_box(picture: NDArray[np.uint8]) -> Box:
    """Find the box around the picture; lines of few lit pixels are left out.

    Args:
        picture: (h, w) of 0 and 1.

    >>> find_box(np.pad(np.ones((4, 3), np.uint8), ((1, 2), (5, 0))))
    (5, 1, 8, 5)
    """
    import cv2

    # A third of the time that numpy takes.
    across = cv2.reduce(picture, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    down = cv2.reduce(picture, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    columns = np.flatnonzero(across >= NEAR * across.max())
    rows = np.flatnonzero(down >= NEAR * down.max())
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def refine_box(
    pixels: Pixels,
    box: Box,
    factor: int,
    mask: tuple[NDArray[np.int64], int],
) -> Box:
    """Find the box's edges to the pixel, in the middle of each side.

    Args:
        pixels: (H, W, 3) uint8 RGB, the whole frame.
        box: of the shrunk frame.
        factor: how many of the frame's pixels are one of the shrunk one's, along a side.
        mask: from `find_mask_color`.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = (edge * factor for edge in box)
    center_x, center_y = (left + right) // 2, (top + bottom) // 2
    half_x, half_y = max(3, (right - left) // 40), max(3, (bottom - top) // 40)
    rows, columns = (
        slice(max(0, center_y - half_y), center_y + half_y),
        slice(max(0, center_x - half_x), center_x + half_x),
    )
    reach = 2 * factor + 2

    def find(edge: int, limit: int, upright: bool, sign: int) -> int:
        start, stop = max(0, edge - reach), min(limit, edge + reach)
        strip = pixels[rows, start:stop] if upright else pixels[start:stop, columns]
        away = _away_from(strip, mask[0]).mean(axis=0 if upright else 1)
        highest = float(away.max())
        at = np.flatnonzero(away >= 0.35 * highest)
        outer = int(at[0]) if sign > 0 else int(at[-1]) + 1
        if highest < mask[1] or (outer in (0, stop - start) and 0 < start + outer < limit):
            return min(edge, limit)  # too dark here to tell
        return start + outer

    return (
        find(left, width, True, 1),
        find(top, height, False, 1),
        find(right, width, True, -1),
        find(bottom, height, False, -1),
    )


def _corners(side: int) -> list[tuple[slice, slice]]:
    first, last = slice(0, side), slice(-side, None)
    return [(first, first), (first, last), (last, first), (last, last)]


def _find_lit(part: Pixels, color: NDArray[np.int64], near: int) -> NDArray[np.uint8]:
    """Tell which pixels are not of the mask's color: (H, W) of 0 and 1."""
    import cv2

    red, green, blue = cv2.split(part)
    most = _away_from(part, color) if color.any() else cv2.max(cv2.max(red, green), blue)
    # The box of a position finder, drawn over a corner, is of a green that no mucosa has.
    drawn = (cv2.subtract(green, red) > 50) & (green >= blue)
    lit: NDArray[np.bool_] = (most > near) & ~drawn
    return lit.view(np.uint8)


def _find_risen(small: Pixels, color: NDArray[np.int64], factor: int) -> NDArray[np.uint8]:
    """Leave out the skirt of faint blocks that JPEG lays around an edge against black."""
    import cv2

    if color.any():
        return np.ones(small.shape[:2], np.uint8)
    away = _away_from(small, color)
    around = np.ones((16 // factor + 1,) * 2, np.uint8)  # a block on each side
    near = cv2.dilate(cv2.medianBlur(away, 5), around)
    least = cv2.LUT(near, np.minimum(np.arange(256, dtype=np.uint8) // 3, SKIRT))
    risen: NDArray[np.bool_] = away >= least
    return risen.view(np.uint8)


def _away_from(part: Pixels, color: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Measure how far pixels are from the mask's color."""
    import cv2

    part = np.ascontiguousarray(part)
    if not color.any():  # the luminance alone: chroma bleeds far over edges
        return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
    red, green, blue = (
        np.abs(part[:, :, channel].astype(np.int16) - color[channel]) for channel in range(3)
    )
    return np.asarray(np.maximum(np.maximum(red, green), blue), np.uint8)


def _find_picture(lit: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Find the largest lit piece once letters and lines are gone."""
    import cv2

    side = max(3, round(0.05 * min(lit.shape)))
    # The median of zeros and ones is what most of the 25 are.
    ones: Any = cv2.boxFilter(lit, -1, (5, 5), normalize=False, borderType=cv2.BORDER_REPLICATE)
    lit = (ones >= 13).view(np.uint8)
    # Beyond the frame counts as lit as what is next to it: a picture that runs over is not rounded.
    ringed = cv2.copyMakeBorder(lit, side, side, side, side, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(ringed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    opened = np.ascontiguousarray(opened[side:-side, side:-side])
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    if not areas or max(areas) < LEAST * lit.size:
        return None
    picture = np.zeros(lit.shape, np.uint8)
    for piece in _join_pieces(outlines, areas):
        # Filled: a dark lumen within the picture is part of it.
        cv2.drawContours(picture, [piece], 0, 1, cv2.FILLED)
    return picture


def _join_pieces(outlines: Sequence[Any], areas: list[float]) -> list[Any]:
    """Take the largest piece, and those that a dark fold alone cuts from it."""
    import cv2

    order = sorted(range(len(areas)), key=lambda index: (-areas[index], index))
    pieces = [outlines[order[0]]]
    around = cv2.contourArea(cv2.convexHull(pieces[0]))
    for index in order[1:8]:
        if areas[index] < 0.01 * areas[order[0]]:
            break
        wider = cv2.contourArea(cv2.convexHull(np.concatenate([*pieces, outlines[index]])))
        # What stands apart, as a logo does, widens the outline by far more than its own area.
        if wider - around <= 2 * areas[index]:
            pieces.append(outlines[index])
            around = wider
    return pieces
