"""Frames read and cropped: what the networks see before they are resized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import read_frame
from polypskd.cohort.preparation import crop_frame
from polypskd.config import Crop
from polypskd.errors import CohortError, Fault

Pixels = NDArray[np.uint8]


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
