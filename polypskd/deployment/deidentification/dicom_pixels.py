"""The pixels of a DICOM file: decoded, cleaned, and stored without a second loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.attributes import read_text
from polypskd.deployment.deidentification.panel import Plan, Trust, choose_looks, plan_cleaning
from polypskd.deployment.deidentification.rules import Picture, Rules

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from polypskd.cohort.dicom import DicomFrames

Pixels = NDArray[np.uint8]
LARGEST = 2**30  # bytes of pixels of one file, decoded
GRAY = {"MONOCHROME1", "MONOCHROME2"}
LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
}
# JPEG 2000 has lost something where colors were transformed in the way that cannot be undone.
LOSSY_COLOR = {
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
# What describes a palette, coded values or the range of pixels that are no longer there.
STALE_COLOR = (
    *range(0x00281101, 0x00281105),
    *range(0x00281201, 0x00281205),
    *(0x00280106, 0x00280107, 0x00280120, 0x00280121),
)
DISPLAY = (
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
)


def plan_pixels(
    path: Path, source: Dataset, clean: Dataset, rules: Rules, trust: Trust
) -> tuple[Plan, Iterator[bytes]]:
    """Decide how pixels are cleaned, and describe them as they will be stored.

    Args:
        path: a DICOM file with pixels.
        source: its data set as it came.
        clean: its cleaned data set; what describes pixels is written into it.
        rules: of the rule file.
        trust: what the user vouches for.

    Returns:
        (the plan, the bytes of the pixels in parts, decoded as they are asked for).

    Raises:
        DamageError: its pixels cannot be cleaned, or nobody vouches for them.
    """
    from polypskd.cohort.dicom import VideoError, open_dicom

    try:
        frames = open_dicom(path)
    except VideoError:
        raise DamageError(
            "a video in DICOM is not cleaned", todo="export it as a video file, or leave it out"
        ) from None
    layout = frames.layout
    gray = layout.photometric in GRAY
    if layout.photometric != "PALETTE COLOR" and (layout.stored != 8 or layout.signed):
        raise DamageError(
            "its pixels would lose in cleaning", f"{layout.stored} bits", "give 8 bits a color"
        )
    size = layout.rows * layout.columns * (1 if gray else 3)
    if size * frames.count > LARGEST:
        raise DamageError(
            "too large to clean", todo=f"at most {LARGEST >> 20} MiB of pixels a file"
        )
    for keyword in DISPLAY:  # a window is how gray is shown, not what is stored
        if gray and keyword in frames.header:
            delattr(frames.header, keyword)
    plan = plan_cleaning(
        _describe(source, layout.rows, layout.columns),
        rules,
        trust,
        lambda: [frames.read(at + 1) for at in choose_looks(frames.count)],
    )
    _describe_pixels(clean, layout, gray=gray)
    method = LOSSY.get(frames.syntax)
    if layout.photometric == "YBR_ICT":
        method = LOSSY_COLOR.get(frames.syntax, method)
    if method is not None and clean.get("LossyImageCompression") != "01":
        clean.LossyImageCompression, clean.LossyImageCompressionMethod = "01", method
    return plan, _store_frames(frames, plan.mask)


def _store_frames(frames: DicomFrames, mask: Callable[[Pixels], Pixels] | None) -> Iterator[bytes]:
    """Decode and mask frames one by one, with a byte more where their sum is odd."""
    photometric, size = frames.layout.photometric, 0
    for number in range(1, frames.count + 1):
        pixels = frames.read(number)
        if mask is not None:
            pixels = mask(pixels)
        gray = photometric in GRAY
        data = _store_gray(pixels, photometric) if gray else pixels.tobytes()
        size += len(data)
        yield data
    yield b"\0" * (size % 2)


def _store_gray(pixels: Pixels, photometric: str) -> bytes:
    gray = np.ascontiguousarray(pixels[:, :, 0])
    return bytes((255 - gray if photometric == "MONOCHROME1" else gray).tobytes())


def _describe(source: Dataset, rows: int, columns: int) -> Picture:
    return Picture(
        "dicom",
        rows,
        columns,
        read_text(source, "Manufacturer"),
        read_text(source, "ManufacturerModelName"),
        read_text(source, "BurnedInAnnotation"),
    )


def _describe_pixels(clean: Dataset, layout: Any, *, gray: bool) -> None:
    clean.Rows, clean.Columns = layout.rows, layout.columns
    clean.SamplesPerPixel = 1 if gray else 3
    clean.PhotometricInterpretation = layout.photometric if gray else "RGB"
    clean.BitsAllocated, clean.BitsStored, clean.HighBit = 8, 8, 7
    clean.PixelRepresentation = 0
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        # Their tables are bytes, which do not stay; without them an item is not valid.
        clean.pop(name, None)
    if gray:
        clean.pop("PlanarConfiguration", None)
        return
    clean.PlanarConfiguration = 0
    for tag in STALE_COLOR:
        clean.pop(tag, None)
