"""The endoscope's picture within a frame: where it lies and what shape its mask has.

Processors show the picture in an octagon, a circle or a rectangle on a black (rarely gray) mask,
beside a panel of text. What is not the mask's color is lit; thin things (letters, lines) are opened
away, and the largest lit piece is the picture. Dark parts of the picture only make its outline
ragged: the outline is fitted from all sides and all four corners, not followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Shape = Literal["octagon", "circle", "rectangle", "full"]

WORK = 640  # the frame is halved until its longer side is shorter than this
BLACK = 14  # a mask darker than this is black, whatever its noise
NEAR = 0.06  # a line belongs to the picture if this share of the longest line is lit
SKIRT = 24  # the luminance that the noise of JPEG does not exceed
LEAST = 0.04  # share of the frame below which the lit piece is no picture
UNCUT = (2.0, 2.0)


@dataclass(frozen=True)
class Field:
    """The endoscope's picture within a frame.

    Args:
        left: first column.
        top: first row.
        width: columns of the box around the picture.
        height: rows of the box around the picture.
        shape: octagon (the box's corners are cut straight), circle (cut round; an ellipse where
            pixels are not square, and cut flat where the frame is smaller than the circle),
            rectangle, or full (the whole frame).
        share: area of the box over that of the frame, 0 to 1.
        reach: what cuts the corners, in halves of the box's width and height: the half axes of the
            ellipse of a circle, or of the diamond of an octagon. (1, 1) is a circle that touches
            all sides; (2, 2) cuts nothing.
    """

    left: int
    top: int
    width: int
    height: int
    shape: Shape
    share: float
    reach: tuple[float, float] = UNCUT

    @property
    def right(self) -> int:
        """The column after the last."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The row after the last."""
        return self.top + self.height


def find_field(pixels: Pixels) -> Field:
    """Find the endoscope's picture in a frame.

    What stands inside the picture's box stays: text written over the picture, or into the corners
    that an octagon or circle leaves; `mask_field` blanks the latter.

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Returns:
        The field; `full` where no mask is seen, or where the frame is too dark to tell.

    >>> frame = np.zeros((60, 100, 3), np.uint8)
    >>> frame[10:50, 30:90] = (180, 90, 80)
    >>> find_field(frame)
    Field(left=30, top=10, width=60, height=40, shape='rectangle', share=0.4, reach=(2.0, 2.0))
    """
    height, width = pixels.shape[:2]
    full = Field(0, 0, width, height, "full", 1.0)
    if min(height, width) < 16:
        return full
    small, halvings = _shrink(pixels)
    mask = _find_mask_color(small)
    if mask is None:
        return full
    picture = _find_picture(_find_lit(small, *mask) & _find_risen(small, mask[0], 2**halvings))
    if picture is None:
        return full
    box = _find_box(picture)
    left, top, right, bottom = _refine(pixels, box, 2**halvings, mask)
    if left <= 0.006 * width and right >= width * 0.994:
        left, right = 0, width
    if top <= 0.006 * height and bottom >= height * 0.994:
        top, bottom = 0, height
    shape, reach = _fit_corners(picture, box)
    share = (right - left) * (bottom - top) / (width * height)
    if share == 1.0 and shape == "rectangle":
        return full
    return Field(left, top, right - left, bottom - top, shape, share, reach)


def crop_frame(pixels: Pixels, field: Field, margin: float = 0.0) -> Pixels:
    """Cut the field's box out of a frame.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        field: where the picture lies.
        margin: share of the box's width and height taken off at each side that is not the frame's
            own edge, 0 to 0.25: a mask's edge is soft.

    Returns:
        (h, w, 3) uint8 RGB, contiguous.

    >>> frame = np.zeros((60, 100, 3), np.uint8)
    >>> crop_frame(frame, Field(50, 0, 50, 60, "rectangle", 0.5), 0.02).shape
    (60, 49, 3)
    """
    height, width = pixels.shape[:2]
    across, down = round(field.width * margin), round(field.height * margin)
    left = field.left + across if field.left > 0 else 0
    top = field.top + down if field.top > 0 else 0
    right = field.right - across if field.right < width else width
    bottom = field.bottom - down if field.bottom < height else height
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def mask_field(pixels: Pixels, field: Field) -> Pixels:
    """Blank what lies outside the field, the cut corners of its box included.

    Args:
        pixels: (H, W, 3) uint8 RGB, the whole frame.
        field: where the picture lies.

    Returns:
        A copy, (H, W, 3) uint8 RGB, black outside the field.

    >>> frame = np.full((40, 40, 3), 200, np.uint8)
    >>> masked = mask_field(frame, Field(0, 0, 40, 40, "circle", 1.0, (1.0, 1.0)))
    >>> masked[0, 0, 0], masked[20, 20, 0]
    (np.uint8(0), np.uint8(200))
    """
    masked = np.zeros_like(pixels)
    rows, columns = slice(field.top, field.bottom), slice(field.left, field.right)
    masked[rows, columns] = pixels[rows, columns]
    if field.reach != UNCUT:
        masked[rows, columns][~cover_box(field)] = 0
    return masked


def cover_box(field: Field) -> NDArray[np.bool_]:
    """Tell which pixels of the field's box belong to the field.

    Returns:
        (height, width).

    >>> cover_box(Field(0, 0, 4, 4, "octagon", 1.0, (1.4, 1.4))).sum(axis=1).tolist()
    [2, 4, 4, 2]
    """
    x = np.abs((np.arange(field.width) + 0.5) / field.width * 2 - 1) / field.reach[0]
    y = np.abs((np.arange(field.height) + 0.5) / field.height * 2 - 1) / field.reach[1]
    if field.shape == "circle":
        x, y = x**2, y**2
    inside: NDArray[np.bool_] = x[np.newaxis] + y[:, np.newaxis] <= 1
    return inside


def agree_on_field(fields: Sequence[Field]) -> Field:
    """Find the one field of several frames of one device and one size.

    Each edge is the median of the fields' edges, so that up to half of the frames may be too dark
    to tell; the shape is the most frequent one of the fields that lie there.

    Args:
        fields: at least one.

    Raises:
        ValueError: there is none.

    >>> seen = Field(20, 0, 60, 50, "octagon", 0.6, (1.4, 1.4))
    >>> agree_on_field([seen, Field(0, 0, 100, 50, "full", 1.0), seen]) == seen
    True
    """
    if not fields:
        raise ValueError("no fields to agree on")
    edges = np.array([(one.left, one.top, one.right, one.bottom) for one in fields])
    # The lower median: an edge that some frame has, and whole pixels.
    middle = np.sort(edges, axis=0)[(len(edges) - 1) // 2]
    left, top, right, bottom = (int(edge) for edge in middle)
    slack = 0.03 * max(right - left, bottom - top)
    near = [one for one, own in zip(fields, edges, strict=True) if _agrees(own, middle, slack)]
    counts: dict[Shape, list[tuple[float, float]]] = {}
    for one in near or fields:
        counts.setdefault(one.shape, []).append(one.reach)
    shape = max(sorted(counts), key=lambda name: len(counts[name]))
    across, down = np.median(np.array(counts[shape]), axis=0)
    whole = float(np.median([one.width * one.height / one.share for one in fields]))
    share = (right - left) * (bottom - top) / whole
    return Field(left, top, right - left, bottom - top, shape, share, (float(across), float(down)))


def _agrees(own: NDArray[np.int64], middle: NDArray[np.int64], slack: float) -> bool:
    return bool(np.abs(own - middle).max() <= slack)


def _shrink(pixels: Pixels) -> tuple[Pixels, int]:
    """Halve until the longer side is short; averaging thins letters and quiets noise."""
    import cv2

    halvings = 0
    small = pixels
    while max(small.shape[:2]) >= WORK:
        height, width = (side - side % 2 for side in small.shape[:2])
        half = (width // 2, height // 2)
        small = cv2.resize(small[:height, :width], half, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        halvings += 1
    return small, halvings


def _find_mask_color(small: Pixels) -> tuple[NDArray[np.int64], int] | None:
    """Find the mask's color and how far from it a pixel is lit; None where no mask is seen."""
    height, width = small.shape[:2]
    deep = max(2, round(0.02 * min(height, width)))
    ring = np.concatenate(
        [
            part.reshape(-1, 3)
            for part in (small[:deep], small[-deep:], small[:, :deep], small[:, -deep:])
        ]
    )
    bright = ring.max(axis=1)
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


def _corners(side: int) -> list[tuple[slice, slice]]:
    first, last = slice(0, side), slice(-side, None)
    return [(first, first), (first, last), (last, first), (last, last)]


def _find_lit(part: Pixels, color: NDArray[np.int64], near: int) -> NDArray[np.uint8]:
    """Tell which pixels are not of the mask's color: (H, W) of 0 and 1."""
    import cv2

    red, green, blue = (np.ascontiguousarray(part[:, :, channel]) for channel in range(3))
    most = _away_from(part, color) if color.any() else cv2.max(cv2.max(red, green), blue)
    # The box of a position finder, drawn over a corner, is of a green that no mucosa has.
    drawn = (cv2.subtract(green, red) > 50) & (green >= blue)
    lit: NDArray[np.uint8] = ((most > near) & ~drawn).astype(np.uint8)
    return lit


def _find_risen(small: Pixels, color: NDArray[np.int64], factor: int) -> NDArray[np.uint8]:
    """Leave out the skirt of faint blocks that JPEG lays around an edge against black."""
    import cv2

    if color.any():
        return np.ones(small.shape[:2], np.uint8)
    away = _away_from(small, color)
    around = np.ones((16 // factor + 1,) * 2, np.uint8)  # a block on each side
    near = cv2.dilate(cv2.medianBlur(away, 5), around)
    risen: NDArray[np.uint8] = (away >= cv2.min(near // 3, SKIRT)).astype(np.uint8)
    return risen


def _away_from(part: Pixels, color: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Measure how far pixels are from the mask's color."""
    import cv2

    part = np.ascontiguousarray(part)
    if not color.any():  # the luminance alone: chroma bleeds far over edges
        return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
    red, green, blue = (
        cv2.absdiff(np.ascontiguousarray(part[:, :, channel]), int(color[channel]))
        for channel in range(3)
    )
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _find_picture(lit: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Find the largest lit piece once letters and lines are gone."""
    import cv2

    side = max(3, round(0.05 * min(lit.shape)))
    lit = cv2.medianBlur(lit, 5).astype(np.uint8, copy=False)
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


def _find_box(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    across = np.add.reduce(picture, axis=0, dtype=np.int64)
    down = np.add.reduce(picture, axis=1, dtype=np.int64)
    columns = np.flatnonzero(across >= NEAR * across.max())
    rows = np.flatnonzero(down >= NEAR * down.max())
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _refine(
    pixels: Pixels,
    box: tuple[int, int, int, int],
    factor: int,
    mask: tuple[NDArray[np.int64], int],
) -> tuple[int, int, int, int]:
    """Find the box's edges to the pixel, in the middle of each side."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = (edge * factor for edge in box)
    center_x, center_y = (left + right) // 2, (top + bottom) // 2
    half_x, half_y = max(3, (right - left) // 40), max(3, (bottom - top) // 40)
    rows, columns = (
        slice(center_y - half_y, center_y + half_y),
        slice(center_x - half_x, center_x + half_x),
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


def _fit_corners(
    picture: NDArray[np.uint8], box: tuple[int, int, int, int]
) -> tuple[Shape, tuple[float, float]]:
    """Fit what cuts the box's corners: a diamond, an ellipse, or nothing."""
    left, top, right, bottom = box
    part = picture[top:bottom, left:right]
    angles = np.deg2rad(np.linspace(5, 85, 61))
    cos, sin = np.cos(angles), np.sin(angles)
    whole = 1 / np.maximum(cos, sin)  # from the center to the box's edge
    steps = np.linspace(0.6, 1, 81)
    x = steps * (cos * whole)[:, np.newaxis]
    y = steps * (sin * whole)[:, np.newaxis]
    found = []
    for across, down in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        columns = ((1 + across * x) / 2 * (part.shape[1] - 1)).round().astype(np.int64)
        rows = ((1 + down * y) / 2 * (part.shape[0] - 1)).round().astype(np.int64)
        lit = part[rows, columns] > 0
        last = lit.shape[1] - 1 - lit[:, ::-1].argmax(axis=1)
        found.append(np.where(lit.any(axis=1), steps[last], steps[0]))
    # The farthest of the four corners: others may be dark or covered, and none may lose mucosa.
    radius = np.array(found).max(axis=0) * whole
    if (radius / whole).min() > 0.93:
        return "rectangle", UNCUT
    octagon = _fit(np.stack([cos, sin], axis=1), radius, whole, 1)
    circle = _fit(np.stack([cos, sin], axis=1) ** 2, radius, whole, 2)
    if octagon[0] <= circle[0]:
        return "octagon", octagon[1]
    return "circle", ((1.0, 1.0) if max(circle[1]) < 1.03 else circle[1])


def _fit(
    terms: NDArray[np.float64],
    radius: NDArray[np.float64],
    whole: NDArray[np.float64],
    power: int,
) -> tuple[float, tuple[float, float]]:
    """Solve terms · (1/a, 1/b)^power = 1/radius^power where the box is cut; miss and (a, b)."""
    cut = radius < 0.985 * whole
    kept = cut
    axes, miss = np.array(UNCUT), np.abs(radius - whole)
    for _ in range(3):
        if kept.sum() < 2:
            break
        scaled = terms[kept] * (radius[kept] ** power)[:, np.newaxis]
        solved, *_ = np.linalg.lstsq(scaled, np.ones(int(kept.sum())), rcond=None)
        axes = np.clip(np.maximum(solved, 1e-6) ** (-1 / power), 1.0, 2.0)
        fitted = (terms @ axes ** -float(power)) ** (-1 / power)
        miss = np.abs(np.minimum(fitted, whole) - radius)
        # A dark or covered corner leaves the line; the fit is repeated without it.
        kept = cut & (fitted < whole) & (miss <= max(0.01, float(np.median(miss[cut]))))
    miss = np.sort(miss[cut])[: max(1, round(0.85 * cut.sum()))]
    return float(miss.mean()), (float(axes[0]), float(axes[1]))
