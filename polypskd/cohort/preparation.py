"""From a frame of any size to what a network reads; one code for training and the hospital.

Numpy and OpenCV alone, so that the container needs no training library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.outline import Halve, halve_pixels, shrink_pixels

if TYPE_CHECKING:
    from polypskd.cohort.field import Field
    from polypskd.config.preparation import Crop

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB: the constants that pretrained weights expect
STD = (0.229, 0.224, 0.225)


def prepare_frame(
    pixels: NDArray[np.uint8], size: int, crop: Crop | None = None, halve: Halve = halve_pixels
) -> NDArray[np.uint8]:
    """Crop, and resize to a square, keeping the aspect ratio, with black bars on both sides.

    Args:
        pixels: (H, W, 3) RGB.
        size: side of the result.
        crop: what of the frame is kept; all of it if not given.
        halve: as `halve_pixels`; another one may remember what it has halved.

    Returns:
        (size, size, 3) RGB.

    Raises:
        DamageError: the box to be cut out does not lie within the frame.

    >>> prepare_frame(np.full((10, 20, 3), 255, np.uint8), 4)[:, 0, 0]
    array([  0, 255, 255,   0], dtype=uint8)
    """
    import cv2

    if crop is not None:
        pixels = crop_frame(pixels, crop)
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    scale = size / max(height, width)
    inner_h, inner_w = max(1, round(height * scale)), max(1, round(width * scale))
    # OpenCV averages four pixels into one many times faster than any other area.
    pixels, halvings = halve(pixels, 2 * size)
    scale *= 2**halvings
    top, left = (size - inner_h) // 2, (size - inner_w) // 2
    square = np.zeros((size, size, 3), np.uint8)
    inner = square[top : top + inner_h, left : left + inner_w]
    if scale < 1:
        # Averaging over areas keeps fine vessels from aliasing when a frame shrinks.
        inner[:] = shrink_pixels(pixels, inner_w, inner_h)
    else:
        inner[:] = cv2.resize(pixels, (inner_w, inner_h), interpolation=cv2.INTER_LINEAR)
    return square


def crop_frame(
    pixels: NDArray[np.uint8], crop: Crop, field: Field | None = None
) -> NDArray[np.uint8]:
    """Cut out what of a frame is looked at.

    Args:
        pixels: (H, W, 3) RGB.
        crop: the section ``cohort.crop``.
        field: where the picture lies, for a crop to the field; found in the frame if not given.

    Returns:
        (h, w, 3) RGB.

    Raises:
        DamageError: the box to be cut out does not lie within the frame.
    """
    match crop.kind:
        case "none":
            return pixels
        case "field":
            from polypskd.cohort.field import crop_frame as crop_field
            from polypskd.cohort.field import find_field

            field = find_field(pixels) if field is None else field
            return crop_field(pixels, field, crop.margin, blank=crop.blank)
        case "box":
            height, width = pixels.shape[:2]
            right, bottom = crop.left + crop.width, crop.top + crop.height
            if right > width or bottom > height:
                box = f"{crop.left},{crop.top} to {right},{bottom} of {width}x{height}"
                raise DamageError("the box to be cut out leaves the frame", box, "check crop")
            return np.ascontiguousarray(pixels[crop.top : bottom, crop.left : right])


def normalize(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale to [0, 1], subtract the mean and divide by the standard deviation of each color.

    Args:
        pixels: (..., H, W, 3) RGB.

    >>> normalize(np.zeros((1, 1, 3), np.uint8)).round(3).tolist()
    [[[-2.118000030517578, -2.0360000133514404, -1.8040000200271606]]]
    """
    import cv2

    mean = np.asarray(MEAN, np.float32) * np.float32(255)
    std = np.asarray(STD, np.float32) * np.float32(255)
    if not pixels.size:
        return np.empty(pixels.shape, np.float32)
    # A color has 256 values: looking them up takes a seventh of the time of computing each pixel.
    table = ((np.arange(256, dtype=np.float32)[:, np.newaxis] - mean) / std)[np.newaxis]
    scaled: Any = cv2.LUT(pixels.reshape(-1, pixels.shape[-2], 3), table)
    looked_up: NDArray[np.float32] = scaled.reshape(pixels.shape)
    return looked_up
