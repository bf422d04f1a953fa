"""The part of a frame that is looked at: all of it, the endoscope's picture, or a given box."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.field import crop_frame as crop_field
from polypskd.cohort.field import find_field, mask_field
from polypskd.cohort.frames import read_frame
from polypskd.config import BoxCrop, Crop, FieldCrop, NoCrop
from polypskd.errors import CohortError, Fault

Pixels = NDArray[np.uint8]


def crop_frame(pixels: Pixels, crop: Crop) -> Pixels:
    """Cut out what of a frame is looked at.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        crop: the section ``cohort.crop``.

    Returns:
        (h, w, 3) uint8 RGB, contiguous.

    Raises:
        DamageError: a given box leads out of the frame.

    >>> frame = np.zeros((60, 100, 3), np.uint8)
    >>> crop_frame(frame, BoxCrop(left=10, top=0, width=50, height=60)).shape
    (60, 50, 3)
    """
    match crop:
        case NoCrop():
            return pixels
        case FieldCrop():
            field = find_field(pixels)
            kept = mask_field(pixels, field) if crop.blank else pixels
            return crop_field(kept, field, crop.margin)
        case BoxCrop():
            height, width = pixels.shape[:2]
            if crop.left + crop.width > width or crop.top + crop.height > height:
                what = "smaller than cohort.crop:"
                raise DamageError(what, f"{width}x{height}", "crop frames of one size")
            rows = slice(crop.top, crop.top + crop.height)
            return np.ascontiguousarray(pixels[rows, crop.left : crop.left + crop.width])
        case _:
            assert_never(crop)


def read_cropped(path: Path, crop: Crop, *, max_megapixels: float = 64.0) -> Pixels:
    """Read what of a frame is looked at.

    Args:
        path: as `read_frame` takes it.
        crop: the section ``cohort.crop``.
        max_megapixels: largest area of the whole frame allowed.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        CohortError: one line that says what is wrong with the file.
    """
    pixels = read_frame(path, max_megapixels=max_megapixels)
    try:
        return crop_frame(pixels, crop)
    except DamageError as damage:
        name = path.name
        fault = Fault(name, damage.what, damage.value, damage.todo, frame=name)
        raise CohortError([fault]) from None
