"""Samples to (H, W, 3) uint8 RGB.

Reference:
    DICOM PS3.3 C.7.6.3.1.2 (photometric interpretation), C.11.2.1.2 (windows), PS3.5 8.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.layout import LIES, Layout, read_text
from polypskd.cohort.dicom.palette import build_palette

if TYPE_CHECKING:
    from pydicom import Dataset

Pixels = NDArray[np.uint8]
ROWS = 16


def convert_to_rgb(
    samples: NDArray[Any], photometric: str, layout: Layout, dataset: Dataset
) -> Pixels:
    """Make (H, W, 3) uint8 RGB of one frame's samples.

    Args:
        samples: (H, W) or (H, W, 3), 8 or 16 bits.
        photometric: what they are, which may differ from what the header says.
        layout: what the header says.
        dataset: the header, for palettes, windows and rescaling.

    Returns:
        (H, W, 3) uint8, C-contiguous.

    Raises:
        DamageError: a palette or a window is missing or wrong.
    """
    if samples.shape[:2] != (layout.rows, layout.columns):
        raise DamageError("a frame has another size than its header says", todo=LIES)
    if layout.samples == 1:
        if photometric == "PALETTE COLOR":
            table = build_palette(layout, dataset)
        else:
            table = np.repeat(build_gray(layout, dataset)[:, np.newaxis], 3, axis=1)
        return table[_take_bits(samples, layout)]
    if samples.dtype != np.uint8 or layout.stored != 8:
        most = 2**layout.stored - 1
        table = np.rint(np.arange(most + 1) * (255.0 / most)).astype(np.uint8)
        samples = table[_take_bits(samples, layout)]
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return convert_ybr(samples)
    if photometric != "RGB":  # a transform that only JPEG 2000 does
        raise DamageError("photometric interpretation", photometric, "RGB or YBR_FULL here")
    return np.ascontiguousarray(samples)


def _take_bits(samples: NDArray[Any], layout: Layout) -> NDArray[np.uint16]:
    """Take the bits that count, as codes from 0: overlays and dirt lie in the others."""
    codes = samples.astype(np.uint16)
    codes >>= layout.high + 1 - layout.stored
    codes &= 2**layout.stored - 1
    return codes


def convert_ybr(samples: NDArray[np.uint8]) -> Pixels:
    """Convert full-range YCbCr (ITU-R BT.601, as in JPEG) to RGB, rounding to the nearest.

    Args:
        samples: (H, W, 3) uint8.

    >>> convert_ybr(np.array([[[128, 128, 128], [76, 85, 255]]], np.uint8)).tolist()
    [[[128, 128, 128], [254, 0, 0]]]
    """
    shift = (np.arange(256) - 128) * 2.0**16
    factors = (1.402, -0.344136, -0.714136, 1.772)
    red, green_cb, green_cr, blue = (np.rint(f * shift).astype(np.int32) for f in factors)
    half = 2**15
    rgb = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), ROWS):  # a few rows at a time, in the processor's cache
        part = samples[top : top + ROWS]
        y, cb, cr = part[:, :, 0].astype(np.int32), part[:, :, 1], part[:, :, 2]
        out = rgb[top : top + ROWS]
        out[:, :, 0] = np.clip(y + ((red[cr] + half) >> 16), 0, 255)
        out[:, :, 1] = np.clip(y + ((green_cb[cb] + green_cr[cr] + half) >> 16), 0, 255)
        out[:, :, 2] = np.clip(y + ((blue[cb] + half) >> 16), 0, 255)
    return rgb


def build_gray(layout: Layout, dataset: Dataset) -> Pixels:
    """Build the gray of every code: rescaled, windowed, and inverted for MONOCHROME1.

    Without a window the range of the stored bits is spread over 0 to 255, the same for every frame.

    Args:
        layout: what the header says.
        dataset: the header.

    Returns:
        (2^stored,) uint8.

    Raises:
        DamageError: a lookup table is asked for, or a number is none.
    """
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        if keyword in dataset and "WindowCenter" not in dataset:
            raise DamageError(f"gray by {keyword} is not read", todo="store it with a window")
    codes = np.arange(2**layout.stored, dtype=np.float64)
    if layout.signed:
        codes[codes.size // 2 :] -= codes.size
    slope, intercept = (
        _read_real(dataset, "RescaleSlope", 1.0),
        _read_real(dataset, "RescaleIntercept", 0.0),
    )
    values = codes * slope + intercept
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        center, width = (
            _read_real(dataset, "WindowCenter", 0.0),
            _read_real(dataset, "WindowWidth", 0.0),
        )
        share = _window(values, center, width, read_text(dataset, "VOILUTFunction") or "LINEAR")
    else:
        low, high = values.min(), values.max()
        share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    if layout.photometric == "MONOCHROME1":
        share = 1 - share
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _window(
    values: NDArray[np.float64], center: float, width: float, name: str
) -> NDArray[np.float64]:
    match name:
        case "LINEAR" if width >= 1:
            if width == 1:
                return (values > center - 0.5).astype(np.float64)
            return np.asarray((values - (center - 0.5)) / (width - 1) + 0.5)
        case "LINEAR_EXACT" if width > 0:
            return np.asarray((values - center) / width + 0.5)
        case "SIGMOID" if width > 0:
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    raise DamageError("the window of gray is wrong", f"{width:g}", LIES)


def _read_real(dataset: Dataset, keyword: str, absent: float) -> float:
    """Read a number, the first where there are several."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return absent
        number = float(value if isinstance(value, str | int | float) else value[0])
    except Exception:  # a value of another type, or bytes that are no value
        raise DamageError(f"{keyword} is no number", todo=LIES) from None
    if not np.isfinite(number) or abs(number) > 1e12:
        raise DamageError(f"{keyword} is out of range", todo=LIES)
    return number
