"""The endoscope's picture within a frame: where it lies and what shape its mask has.

Processors show the picture in an octagon, a circle or a rectangle on a black (rarely gray) mask,
beside a panel of text. What is not the mask's color is lit; thin things (letters, lines) are opened
away, and the largest lit piece is the picture. Dark parts of the picture only make its outline
ragged: the outline is fitted from all sides and all four corners, not followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.corners import UNCUT, Shape, fit_corners
from polypskd.cohort.outline import (
    Halve,
    Pixels,
    find_box,
    find_mask_color,
    find_outline,
    halve_pixels,
    refine_box,
)

WORK = 640  # the frame is halved until its longer side is shorter than this

FINDER = 1  # raised when fields come out otherwise: stored pixels hang on it


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


def find_field(pixels: Pixels, halve: Halve = halve_pixels) -> Field:
    """Find the endoscope's picture in a frame.

    What stands inside the picture's box stays: text written over the picture, or into the corners
    that an octagon or circle leaves; `mask_field` blanks the latter.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        halve: as `halve_pixels`; another one may remember what it has halved.

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
    small, halvings = halve(pixels, WORK)
    mask = find_mask_color(small)
    if mask is None:
        return full
    picture = find_outline(small, mask, 2**halvings)
    if picture is None:
        return full
    box = find_box(picture)
    left, top, right, bottom = refine_box(pixels, box, 2**halvings, mask)
    if left <= 0.006 * width and right >= width * 0.994:
        left, right = 0, width
    if top <= 0.006 * height and bottom >= height * 0.994:
        top, bottom = 0, height
    shape, reach = fit_corners(picture, box)
    share = (right - left) * (bottom - top) / (width * height)
    if share == 1.0 and shape == "rectangle":
        return full
    return Field(left, top, right - left, bottom - top, shape, share, reach)


def crop_frame(pixels: Pixels, field: Field, margin: float = 0.0, *, blank: bool = False) -> Pixels:
    """Cut the field's box out of a frame.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        field: where the picture lies.
        margin: share of the box's width and height taken off at each side that is not the frame's
            own edge, 0 to 0.25: a mask's edge is soft.
        blank: whether the corners outside an octagon or a circle become black.

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
    box = pixels[top:bottom, left:right]
    box = box.copy() if blank else np.ascontiguousarray(box)
    if blank:
        blank_corners(box, field, left=left - field.left, top=top - field.top)
    return box


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
    blank_corners(masked[rows, columns], field)
    return masked


def blank_corners(box: Pixels, field: Field, *, left: int = 0, top: int = 0) -> None:
    """Blank the corners of the field's box, in place.

    Args:
        box: (h, w, 3) uint8 RGB, cut out of the field's box.
        field: where the picture lies.
        left: columns of the field's box that were cut off at its left.
        top: rows that were cut off at its top.
    """
    first, stop = (bound.tolist() for bound in _bound_rows(field))
    for row in range(box.shape[0]):
        box[row, : max(0, first[row + top] - left)] = 0
        box[row, max(0, stop[row + top] - left) :] = 0


def cover_box(field: Field) -> NDArray[np.bool_]:
    """Tell which pixels of the field's box belong to the field.

    Returns:
        (height, width).

    >>> cover_box(Field(0, 0, 4, 4, "octagon", 1.0, (1.4, 1.4))).sum(axis=1).tolist()
    [2, 4, 4, 2]
    """
    if field.reach == UNCUT:
        return np.ones((field.height, field.width), np.bool_)
    first, stop = (bound.astype(np.int32)[:, np.newaxis] for bound in _bound_rows(field))
    columns = np.arange(field.width, dtype=np.int32)
    inside: NDArray[np.bool_] = (columns >= first) & (columns < stop)
    return inside


def _bound_rows(field: Field) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each row's first column of the field, and the one after its last."""
    if field.reach == UNCUT:
        zeros = np.zeros(field.height, np.int64)
        return zeros, zeros + field.width
    power = 2 if field.shape == "circle" else 1
    y = np.abs((np.arange(field.height) + 0.5) / field.height * 2 - 1) / field.reach[1]
    x = field.reach[0] * np.maximum(0, 1 - y**power) ** (1 / power)
    first = np.ceil((1 - np.minimum(x, 1)) / 2 * field.width - 0.5).astype(np.int64)
    return first, field.width - first


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
