"""JPEG frames: the fast path of endoscopy processors.

Which color a stream holds is decided by the stream, in the order of libjpeg (and so of Pillow,
OpenCV and every browser), and by DICOM's tag only where the stream says nothing:

1. a JFIF marker: YCbCr;
2. an Adobe marker: transform 0 is RGB, else YCbCr;
3. component ids "R", "G", "B": RGB;
4. subsampled colors: YCbCr, for no encoder subsamples RGB;
5. otherwise the tag: RGB is RGB, YBR_* is YCbCr.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.codestream import CUT, Head, check_size
from polypskd.cohort.dicom.layout import LIES, Layout

ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
LOSSLESS = 0xC3
MOST_SCANS = 20  # a progressive stream of thousands of scans keeps a decoder busy for hours


@dataclass(frozen=True)
class JpegHead(Head):
    """Head of a JPEG stream.

    Args:
        process: start of frame marker, 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3
            lossless.
        ids: component ids.
        sampling: horizontal and vertical factor of each component, in one byte.
        jfif: whether there is a JFIF marker.
        adobe: transform of the Adobe marker, or None.
    """

    process: int = 0xC0
    ids: bytes = b""
    sampling: bytes = b""
    jfif: bool = False
    adobe: int | None = None


def read_jpeg(data: bytes) -> JpegHead:
    """Read the markers of a JPEG stream up to its first start of frame.

    Raises:
        DamageError: it is no JPEG, or is cut.
    """
    if data[:2] != b"\xff\xd8":
        raise DamageError("a frame is no JPEG", todo=LIES)
    at, jfif, adobe = 2, False, None
    try:
        while True:
            if data[at] != 0xFF:
                raise DamageError("a frame's JPEG head is damaged", todo="copy the file anew")
            marker = data[at + 1]
            if marker == 0xFF:  # fill byte
                at += 1
                continue
            (length,) = struct.unpack_from(">H", data, at + 2)
            body = data[at + 4 : at + 2 + length]
            if marker == 0xE0 and length >= 16 and body.startswith(b"JFIF\0"):
                jfif = True
            elif marker == 0xEE and length >= 14 and body.startswith(b"Adobe"):
                adobe = body[11]
            elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                precision, height, width, count = struct.unpack_from(">BHHB", body)
                ids, sampling = body[6 : 6 + 3 * count : 3], body[7 : 6 + 3 * count : 3]
                return JpegHead(width, height, count, precision, marker, ids, sampling, jfif, adobe)
            elif marker in (0xD9, 0xDA) or length < 2:
                raise DamageError("a frame's JPEG head is damaged", todo="copy the file anew")
            at += 2 + length
    except (struct.error, IndexError):
        raise DamageError(CUT, todo="copy the file anew") from None


def tell_color(head: JpegHead, tagged: str) -> str:
    """Tell whether a stream of three components holds RGB or YCbCr.

    Args:
        head: the stream's markers.
        tagged: DICOM's photometric interpretation.

    Returns:
        "RGB" or "YBR_FULL".

    >>> tell_color(JpegHead(8, 8, 3, 8, ids=b"RGB", sampling=bytes(3)), "YBR_FULL_422")
    'RGB'
    >>> tell_color(JpegHead(8, 8, 3, 8, jfif=True), "RGB")
    'YBR_FULL'
    """
    if head.jfif:
        return "YBR_FULL"
    if head.adobe is not None:
        return "YBR_FULL" if head.adobe else "RGB"
    if head.ids == b"RGB":
        return "RGB"
    if len(set(head.sampling)) > 1:
        return "YBR_FULL"
    return "RGB" if tagged == "RGB" else "YBR_FULL"


def decode_jpeg(data: bytes, layout: Layout) -> tuple[NDArray[Any], str]:
    """Decode a JPEG frame of 8 bits, lossless ones too.

    Args:
        data: the frame's stream, whole.
        layout: what the header says.

    Returns:
        Samples (H, W) or (H, W, 3) uint8, and the photometric interpretation that holds for them.

    Raises:
        DamageError: it is cut, damaged, or not what the header says.
    """
    import simplejpeg

    head = read_jpeg(data)
    if head.precision != 8:
        raise DamageError("JPEG of bits a value", str(head.precision), "8 bits a value are read")
    check_size(head, layout)
    if data.count(b"\xff\xda") > MOST_SCANS:
        raise DamageError("a frame has too many JPEG scans", str(data.count(b"\xff\xda")))
    if layout.samples == 1:
        gray = simplejpeg.decode_jpeg(data, colorspace="GRAY")
        return np.asarray(gray)[:, :, 0], layout.photometric
    color = tell_color(head, layout.photometric)
    if head.process == LOSSLESS:
        # libjpeg converts no colors of a lossless stream; it must believe that they are RGB.
        return np.asarray(simplejpeg.decode_jpeg(_mark_rgb(data), colorspace="RGB")), color
    if color == "RGB" and head.adobe is None and head.ids != b"RGB":
        data = data[:2] + ADOBE_RGB + data[2:]  # libjpeg would take an unmarked stream for YCbCr
    return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB")), "RGB"


def _mark_rgb(data: bytes) -> bytes:
    """Put an Adobe marker of RGB in the place of all JFIF and Adobe markers."""
    kept, at = [data[:2], ADOBE_RGB], 2
    while data[at + 1] not in (LOSSLESS, 0xDA):
        if data[at + 1] == 0xFF:  # fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] not in (0xE0, 0xEE):
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    return b"".join([*kept, data[at:]])
