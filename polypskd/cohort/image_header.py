"""The size of an image file, from its header alone."""

from __future__ import annotations

import struct

from polypskd.cohort.damage import DamageError


def measure_header(data: bytes) -> tuple[int, int] | None:
    r"""Read width and height from the header of a PNG, JPEG, BMP or TIFF without decoding.

    Returns:
        (width, height), or None where the header does not tell.

    >>> measure_header(b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\x07\0\0\0\x05")
    (7, 5)
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data.startswith(b"\xff\xd8"):
            return _measure_jpeg(data)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(width), abs(height)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _measure_tiff(data, "<" if data[:2] == b"II" else ">")
    except struct.error:
        raise DamageError(
            "cut short: the image's header is missing", todo="copy the image anew"
        ) from None
    return None


def _measure_jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1] if at + 1 < len(data) else 0
        if marker == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise DamageError("cut short: the image's header is missing", todo="copy the image anew")


def _measure_tiff(data: bytes, order: str) -> tuple[int, int] | None:
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    size: dict[int, int] = {}
    for i in range(entries):
        tag, kind = struct.unpack_from(f"{order}HH", data, at + 2 + 12 * i)
        if tag in (256, 257):
            code = "H" if kind == 3 else "I"
            side = struct.unpack_from(f"{order}{code}", data, at + 10 + 12 * i)[0]
            size[tag] = max(side, size.get(tag, 0))  # told twice, a decoder may believe either
    return (size[256], size[257]) if len(size) == 2 else None
