"""What cuts the corners of the endoscope's picture: nothing, straight lines or an arc."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Shape = Literal["octagon", "circle", "rectangle", "full"]

UNCUT = (2.0, 2.0)


def fit_corners(
    picture: NDArray[np.uint8], box: tuple[int, int, int, int]
) -> tuple[Shape, tuple[float, float]]:
    """Fit what cuts the box's corners: a diamond, an ellipse, or nothing.

    Args:
        picture: (h, w) of 0 and 1.
        box: left, top, right and bottom of the picture.

    Returns:
        The shape and the reach of a `Field`.

    >>> fit_corners(np.ones((40, 50), np.uint8), (0, 0, 50, 40))
    ('rectangle', (2.0, 2.0))
    """
    import cv2

    left, top, right, bottom = box
    part = picture[top:bottom, left:right]
    # All four corners laid on one: others may be dark or covered, and none may lose mucosa.
    folded = cv2.bitwise_or(part, cv2.flip(part, 1))
    folded = cv2.bitwise_or(folded, cv2.flip(folded, 0))
    rays = _draw_rays()
    cos, sin, whole, steps = rays.cos, rays.sin, rays.whole, rays.steps
    columns = (rays.across * (part.shape[1] - 1)).round().astype(np.int64)
    rows = (rays.down * (part.shape[0] - 1)).round().astype(np.int64)
    lit = folded[rows, columns]
    radius = np.where(lit.any(axis=1), steps[lit.argmax(axis=1)], steps[-1]) * whole
    if (radius / whole).min() > 0.93:
        return "rectangle", UNCUT
    octagon = _fit(np.stack([cos, sin], axis=1), radius, whole, 1)
    circle = _fit(np.stack([cos, sin], axis=1) ** 2, radius, whole, 2)
    if octagon[0] <= circle[0]:
        return "octagon", octagon[1]
    return "circle", ((1.0, 1.0) if max(circle[1]) < 1.03 else circle[1])


class _Rays(NamedTuple):
    cos: NDArray[np.float64]  # (61,) of each ray's angle
    sin: NDArray[np.float64]
    whole: NDArray[np.float64]  # (61,) from the center to the box's edge
    steps: NDArray[np.float64]  # (81,) from the edge inwards
    across: NDArray[np.float64]  # (61, 81) places along the rays, 0 to 1
    down: NDArray[np.float64]


@cache
def _draw_rays() -> _Rays:
    angles = np.deg2rad(np.linspace(5, 85, 61))
    cos, sin = np.cos(angles), np.sin(angles)
    whole = 1 / np.maximum(cos, sin)
    steps = np.linspace(1, 0.6, 81)
    along = (1 + np.outer(np.stack([cos, sin]) * whole, steps)) / 2
    return _Rays(cos, sin, whole, steps, along[: len(cos)], along[len(cos) :])


def _fit(
    terms: NDArray[np.float64],
    radius: NDArray[np.float64],
    whole: NDArray[np.float64],
    power: int,
) -> tuple[float, tuple[float, float]]:
    """Solve terms · (1/a, 1/b)^power = 1/radius^power where the box is cut; miss and (a, b)."""
    cut = radius < 0.985 * whole
    if cut.sum() < 2:
        return float(np.abs(radius - whole).mean()), UNCUT
    terms, radius, whole = terms[cut], radius[cut], whole[cut]
    scaled = terms * (radius**power)[:, np.newaxis]
    kept = np.ones(len(radius), np.bool_)
    axes, miss, fitted = np.array(UNCUT), np.abs(radius - whole), whole
    for _ in range(3):
        own = scaled[kept]
        # The normal equations of two unknowns, held apart where the rays lie close together.
        solved = np.linalg.solve(own.T @ own + 1e-9 * np.eye(2), own.sum(axis=0))
        axes = np.clip(np.maximum(solved, 1e-6) ** (-1 / power), 1.0, 2.0)
        fitted = (terms @ axes ** -float(power)) ** (-1 / power)
        miss = np.abs(np.minimum(fitted, whole) - radius)
        # A dark or covered corner leaves the line; the fit is repeated without it.
        kept = (fitted < whole) & (miss <= max(0.01, float(np.sort(miss)[len(miss) // 2])))
        if kept.sum() < 2:
            break
    # Out to where hardly a ray passes it: too little may be cut, too much may not.
    beyond = float(np.sort(radius / np.minimum(fitted, whole))[round(0.95 * (len(radius) - 1))])
    axes = np.clip(axes * max(1.0, beyond), 1.0, 2.0)
    miss = np.sort(miss)[: max(1, round(0.85 * len(miss)))]
    return float(miss.mean()), (float(axes[0]), float(axes[1]))
