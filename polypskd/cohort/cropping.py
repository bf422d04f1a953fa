"""Frames read and cropped: what the networks see before they are resized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.agreed_fields import Fields
from polypskd.cohort.damage import DamageError
from polypskd.cohort.field import Field
from polypskd.cohort.frames import read_frame
from polypskd.cohort.preparation import crop_frame
from polypskd.config import BoxCrop, Crop
from polypskd.errors import CohortError, Fault

Pixels = NDArray[np.uint8]


def read_cropped(
    root: Path,
    name: str,
    crop: Crop,
    *,
    fields: Fields | None = None,
    max_megapixels: float = 64.0,
) -> Pixels:
    """Read what of a frame is looked at.

    Args:
        root: folder of the frames.
        name: of the frame, below it.
        crop: the section ``cohort.crop``.
        fields: what the cohort's frames agree on, for a crop to the field.
        max_megapixels: largest area of the whole frame allowed.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        CohortError: one line that says what is wrong with the file.
    """
    pixels = read_frame(root / name, max_megapixels=max_megapixels)
    try:
        return crop_frame(pixels, crop, place_field(name, pixels, crop, fields))
    except DamageError as damage:
        fault = Fault(name, damage.what, damage.value, damage.todo, frame=name)
        raise CohortError([fault]) from None


def place_field(name: str, pixels: Pixels, crop: Crop, fields: Fields | None) -> Field | None:
    """Say where the picture lies that is looked at; None where it is to be found in the frame.

    Args:
        name: of the frame.
        pixels: (H, W, 3) uint8 RGB, the whole of it.
        crop: the section ``cohort.crop``; its box lies within the frame.
        fields: what the cohort's frames agree on; None for a frame that stands alone.
    """
    if isinstance(crop, BoxCrop):
        share = crop.width * crop.height / (pixels.shape[0] * pixels.shape[1])
        return Field(crop.left, crop.top, crop.width, crop.height, "rectangle", share)
    return fields.find(name, pixels) if fields is not None else None
