"""Images decoded as in training, bit for bit, and JPEG files in half the time.

libjpeg-turbo gives simplejpeg and OpenCV the same pixels; simplejpeg spares the turn from BGR to
RGB and says itself when parts of a picture are missing. What it does not read goes the long way.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.jpeg import MOST_SCANS, JpegHead, read_jpeg
from polypskd.cohort.frames import decode_image, measure_header

Pixels = NDArray[np.uint8]
KEPT = 2**26  # bytes a thread; larger pictures are rare
PROGRESSIVE = 0xC2
PROCESSES = (0xC0, 0xC1, PROGRESSIVE)  # baseline, extended
TORN = ("Corrupt JPEG data", "Premature end of JPEG", "Unsupported marker")


class Room(threading.local):
    """Memory that each thread decodes its pictures into, one after the other.

    Memory fresh from the system is cleared page by page, which takes a tenth of the decoding.
    """

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, size: int) -> Pixels | None:
        """Give memory for at least so many bytes; None where they are too many to be kept."""
        if size > KEPT:
            return None
        if len(self._bytes) < size:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes


def decode(data: bytes, max_megapixels: float = 64.0, room: Room | None = None) -> Pixels:
    """Decode PNG, JPEG, TIFF or BMP as `decode_image` does.

    Args:
        data: the file's bytes.
        max_megapixels: largest area; a larger image is not decoded.
        room: where the pixels may lie; they hold until this thread decodes the next image there.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DamageError: the bytes are no image, are damaged, or the image is too large.
    """
    if not data.startswith(b"\xff\xd8"):
        size = measure_header(data)
        if size is not None:
            _check_area(*size, max_megapixels)
        pixels = decode_image(data)
        _check_area(pixels.shape[1], pixels.shape[0], max_megapixels)
        return pixels
    head = read_jpeg(data)
    _check_area(head.width, head.height, max_megapixels)
    if not _holds_one_scan(data, head) and data.count(b"\xff\xda") > MOST_SCANS:
        raise DamageError("too many JPEG scans", str(data.count(b"\xff\xda")))
    return _decode_jpeg(data, head, room)


def _holds_one_scan(data: bytes, head: JpegHead) -> bool:
    """Tell whether a decoder stops after the first scan: one that holds all components."""
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF and head.process != PROGRESSIVE:
        if data[at + 1] == 0xDA:
            return data[at + 4] == head.components
        # Fill bytes and markers without a length are rare, and counted the slow way.
        if not 0xC0 <= data[at + 1] <= 0xFE or 0xD0 <= data[at + 1] <= 0xD9:
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _decode_jpeg(data: bytes, head: JpegHead, room: Room | None) -> Pixels:
    import simplejpeg

    if head.process not in PROCESSES or head.precision != 8:
        return decode_image(data)
    try:
        if head.components == 4:
            simplejpeg.decode_jpeg(data, colorspace="CMYK")  # tells whether it is whole
            return decode_image(data)
        memory = room.take(3 * head.width * head.height) if room is not None else None
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=memory))
    except ValueError as error:
        if any(word in str(error) for word in TORN):
            what = "damaged: parts of the image are missing"
            raise DamageError(what, todo="save the image anew") from None
    return decode_image(data)


def _check_area(width: int, height: int, most: float) -> None:
    if width * height > most * 1e6:
        raise DamageError("too large", f"{width}x{height}", f"at most {most:g} megapixels")
