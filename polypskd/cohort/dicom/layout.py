"""What a header says about the pixels, checked before one of them is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypskd.cohort.damage import DamageError

if TYPE_CHECKING:
    from pydicom import Dataset

GRAY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
LIES = "ask for the file anew: its header is wrong"


@dataclass(frozen=True)
class Layout:
    """The image pixel module, in numbers.

    Args:
        rows: height in pixels.
        columns: width in pixels.
        samples: values a pixel, 1 or 3.
        allocated: bits a value takes, 8 or 16.
        stored: bits of them that count.
        high: position of the highest of these bits.
        signed: whether values are in two's complement.
        photometric: the photometric interpretation as tagged.
        planar: whether native samples lie plane by plane.
        frames: number of frames.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    planar: bool
    frames: int

    @property
    def length(self) -> int:
        """Bytes of one frame with a sample for every pixel."""
        return self.rows * self.columns * self.samples * (self.allocated // 8)


def read_layout(dataset: Dataset) -> Layout:
    """Read the image pixel module.

    Raises:
        DamageError: an attribute is missing, no number, or beyond what is read.
    """
    samples = read_whole(dataset, "SamplesPerPixel", 1)
    photometric = read_text(dataset, "PhotometricInterpretation").upper()
    known = GRAY if samples == 1 else COLOR
    if samples not in (1, 3):
        raise DamageError("samples per pixel", str(samples), "1 (gray, palette) or 3 (color)")
    if photometric not in known:
        told = photometric if photometric in GRAY + COLOR or photometric in OTHERS else "unknown"
        kind = "gray" if samples == 1 else "color"
        what = f"photometric interpretation of a {kind} image"
        raise DamageError(what, told if photometric else "missing", f"one of: {', '.join(known)}")
    allocated = read_whole(dataset, "BitsAllocated")
    stored = read_whole(dataset, "BitsStored", allocated)
    high = read_whole(dataset, "HighBit", stored - 1)
    if allocated not in (8, 16):
        raise DamageError("bits allocated", str(allocated), "8 or 16 bits are read")
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise DamageError("bits stored and high bit do not fit", f"{stored}, {high}", LIES)
    return Layout(
        rows=read_whole(dataset, "Rows"),
        columns=read_whole(dataset, "Columns"),
        samples=samples,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=read_whole(dataset, "PixelRepresentation", 0) == 1,
        photometric=photometric,
        planar=samples == 3 and read_whole(dataset, "PlanarConfiguration", 0) == 1,
        # Single frames are seen with a count of 0; the bytes then tell whether it is one.
        frames=read_whole(dataset, "NumberOfFrames", 1) or 1,
    )


OTHERS = ("YBR_PARTIAL_420", "YBR_PARTIAL_422", "HSV", "ARGB", "CMYK", "XYB")


def read_text(dataset: Dataset, keyword: str) -> str:
    """Read a text of a header; "" where it is missing or empty.

    Args:
        dataset: the header.
        keyword: the attribute.

    Raises:
        DamageError: its bytes are no value.
    """
    try:
        return str(dataset.get(keyword) or "").strip(" \0")
    except Exception:  # pydicom converts here, and raises what it meets
        raise DamageError(f"{keyword} cannot be read", todo=LIES) from None


def read_whole(dataset: Dataset, keyword: str, absent: int | None = None) -> int:
    """Read a whole number of a header.

    Args:
        dataset: the header.
        keyword: the attribute.
        absent: what a missing or empty attribute stands for; None if it must be there.

    Raises:
        DamageError: it is missing, or no whole number from 0 to 2³¹.
    """
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            if absent is None:
                raise DamageError(f"{keyword} is missing", todo=LIES)
            return absent
        number = int(value)
    except DamageError:
        raise
    except Exception:  # a value of another type, or bytes that are no value
        raise DamageError(f"{keyword} is no whole number", todo=LIES) from None
    if not 0 <= number < 2**31:
        raise DamageError(f"{keyword} is out of range", str(number), LIES)
    return number
