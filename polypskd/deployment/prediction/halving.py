"""A frame halved once for all that look at it: the field, its quality, and the network.

What it gives has the bits that `halve_pixels` gives.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
KEPT = 2**24  # bytes of one halved picture; larger ones are rare


class Halver(threading.local):
    """Halves the frames of a thread, one after the other, into memory that is kept."""

    def __init__(self) -> None:
        self._levels: list[Pixels] = []
        self._memory: list[Pixels] = []

    def start(self, whole: Pixels) -> None:
        """Take the next frame; what was given before no longer holds.

        Args:
            whole: (H, W, 3) uint8 RGB.
        """
        self._levels = [whole]

    def __call__(self, pixels: Pixels, below: int) -> tuple[Pixels, int]:
        """Halve as `halve_pixels` does.

        Args:
            pixels: (H, W, 3) uint8 RGB: the frame that was taken, a part of it, or another one.
            below: the longer side becomes shorter than this.

        Returns:
            (h, w, 3) uint8 RGB, not to be written to, and how often it was halved.
        """
        from polypskd.cohort.outline import halve_pixels

        height, width = pixels.shape[:2]
        halvings = 0
        while max(height, width) >= below and min(height, width) >= 2:
            height, width, halvings = height // 2, width // 2, halvings + 1
        place = self._locate(pixels)
        # A part can be taken from what is halved where both are cut into the same squares.
        if place is None or any(edge % (1 << halvings) for edge in place):
            return halve_pixels(pixels, below)
        top, left = (edge >> halvings for edge in place)
        return self._halve(halvings)[top : top + height, left : left + width], halvings

    def _locate(self, pixels: Pixels) -> tuple[int, int] | None:
        """Tell the row and column at which a part of the frame starts; None if it is no part."""
        if not self._levels:
            return None
        whole = self._levels[0]
        if pixels is whole:
            return 0, 0
        if pixels.strides != whole.strides or not whole.size:
            return None
        away = pixels.ctypes.data - whole.ctypes.data
        top, rest = divmod(away, whole.strides[0])
        left = rest // 3
        inside = top >= 0 and top + len(pixels) <= len(whole)
        if not inside or left + pixels.shape[1] > whole.shape[1]:
            return None
        return top, left

    def _halve(self, halvings: int) -> Pixels:
        import cv2

        while len(self._levels) <= halvings:
            turn = len(self._levels)
            height, width = (side - side % 2 for side in self._levels[-1].shape[:2])
            half = self._take(turn, height // 2, width // 2)
            cv2.resize(
                self._levels[-1][:height, :width],
                (width // 2, height // 2),
                dst=half,
                interpolation=cv2.INTER_AREA,
            )
            self._levels.append(half)
        return self._levels[halvings]

    def _take(self, turn: int, height: int, width: int) -> Pixels:
        size = 3 * height * width
        if size > KEPT:
            return np.empty((height, width, 3), np.uint8)
        while len(self._memory) < turn:
            self._memory.append(np.empty(0, np.uint8))
        if len(self._memory[turn - 1]) < size:
            self._memory[turn - 1] = np.empty(size, np.uint8)
        return self._memory[turn - 1][:size].reshape(height, width, 3)
