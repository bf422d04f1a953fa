"""Frames that are not compressed."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.header import COPY, UNDEFINED, Header, PixelElement
from polypskd.cohort.dicom.layout import LIES, Layout


def measure_frame(layout: Layout, header: Header, pixels: PixelElement) -> tuple[int, bool]:
    """Hold the length of the pixel data against rows, columns, samples and frames.

    Args:
        layout: what the header says.
        header: of the file.
        pixels: where the pixel data lie.

    Returns:
        Bytes of a frame, and whether colors are shared by two pixels. That is decided by the
        length, since writers tag YBR_FULL_422 and store every sample.

    Raises:
        DamageError: the length does not fit, or reaches beyond the file.
    """
    if pixels.length == UNDEFINED:
        raise DamageError(
            "compressed pixels under a transfer syntax without compression", todo=LIES
        )
    whole = layout.length
    shared = layout.photometric == "YBR_FULL_422" and layout.columns % 2 == 0
    sizes = [(whole, False), *([(whole // 3 * 2, True)] if shared else [])]
    for length, is_shared in sizes:
        total = length * layout.frames
        if pixels.length in (total, total + total % 2):
            if pixels.start + total > header.size:
                raise DamageError("cut short: a part of the pixels is missing", todo=COPY)
            return length, is_shared
    if pixels.length < sizes[-1][0] * layout.frames:
        what = "cut short: fewer bytes of pixels than the header says"
    else:
        what = "more bytes of pixels than the header says"
    value = f"{pixels.length}, not {whole * layout.frames}"
    raise DamageError(what, value, LIES)


def read_native(
    file: BinaryIO, layout: Layout, pixels: PixelElement, index: int, *, big_endian: bool, size: int
) -> NDArray[Any]:
    """Read the samples of one frame.

    Args:
        file: the bytes.
        layout: what the header says.
        pixels: where the pixel data lie.
        index: the frame, from 0.
        big_endian: byte order of the data set.
        size: bytes of a frame, as `measure_frame` gives.

    Returns:
        Samples (H, W) or (H, W, 3), uint8 or uint16.

    Raises:
        DamageError: the file has become shorter.
    """
    start = index * size
    # Bytes in words of big endian are swapped in pairs, and a frame may start within a pair.
    swapped = big_endian and layout.allocated == 8 and pixels.vr == "OW"
    first, last = (
        (start - start % 2, -(-(start + size) // 2) * 2) if swapped else (start, start + size)
    )
    file.seek(pixels.start + first)
    data = file.read(last - first)
    if swapped:
        data = np.frombuffer(data[: len(data) // 2 * 2], "<u2").byteswap().tobytes()
    data = data[start - first : start - first + size]
    if len(data) != size:
        raise DamageError("cut short: a part of the pixels is missing", todo=COPY)
    if layout.allocated == 8:
        flat: NDArray[Any] = np.frombuffer(data, np.uint8)
    else:
        flat = np.frombuffer(data, ">u2" if big_endian else "<u2").astype(np.uint16, copy=False)
    H, W = layout.rows, layout.columns
    if layout.samples == 1:
        return flat.reshape(H, W)
    if size != layout.length:
        return _share(flat, H, W)
    if layout.planar:
        return flat.reshape(3, H, W).transpose(1, 2, 0)
    return flat.reshape(H, W, 3)


def _share(flat: NDArray[Any], H: int, W: int) -> NDArray[Any]:
    """Give two neighbors, stored as Y Y Cb Cr, the colors that they share."""
    pairs = flat.reshape(H * W // 2, 4)
    full = np.empty((H * W // 2, 2, 3), flat.dtype)
    full[:, :, 0] = pairs[:, :2]
    full[:, :, 1:] = pairs[:, None, 2:]
    return full.reshape(H, W, 3)
