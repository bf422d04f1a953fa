"""The coded pictures of a video without what stands between them.

Encoders, recorders and editors put notes there: supplemental information, user data, units of
their own. What is not known to belong to a picture is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.media import strip_jpeg

DAMAGED = DamageError("its coded pictures are damaged", todo="copy the video anew")
START = b"\0\0\1"
# Slices, parameter sets, ends: what a decoder needs. No notes, fillers, or units left to users.
AVC = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11}
HEVC = {*range(10), *range(16, 22), *range(32, 38)}
MPEG = {*range(0xB0), 0xB3, 0xB5, 0xB7, 0xB8}
MPEG_EXTENSIONS = {1, 2, 3, 5, 7, 8, 9, 10}
MPEG4 = {*range(0x30), 0xB0, 0xB1, 0xB3, 0xB5, 0xB6, 0xB7}
USER_DATA = 0xB2
# Decoders of MPEG-4 tell by these names which encoder's mistakes to make up for.
ENCODER = re.compile(
    rb"(?:Lavc[\d.]{1,12}|FFmpeg[\d.]{0,8}b\d{1,5}|XviD\d{4}[A-Z]?|DivX\d{3,6}[A-Za-z]?\d{0,6}p?)"
)
HIGH = {100, 110, 122, 144}  # profiles of H.264 whose head has three bytes more
PLAIN = {"vp8", "vp9", "ffv1", "rawvideo"}  # codings with no place for notes
HEADLESS = {"mjpeg", "vp8", "vp9", "rawvideo"}  # decoded without a head
CODINGS = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"} | PLAIN


def strip_pictures(data: bytes, coding: str, head: bytes = b"") -> bytes:
    r"""Give one packet of a video with its coded pictures alone.

    Args:
        data: the packet.
        coding: of `CODINGS`.
        head: what the container tells the decoder beforehand, as it came.

    Returns:
        The packet; empty if there is no picture in it.

    Raises:
        DamageError: its units do not follow each other.

    >>> strip_pictures(b"\0\0\1\xb3size\0\0\1\xb2name\0\0\1\x01slice", "mpeg2video")
    b'\x00\x00\x01\xb3size\x00\x00\x01\x01slice'
    """
    if coding in PLAIN:
        return data
    if coding == "mjpeg":
        return strip_jpeg(data)
    if coding in {"h264", "hevc"}:
        return _strip_units(data, coding, head)
    if coding == "mpeg4" and len(data) == 1:  # a picture that was not coded
        return data
    keeps = _keep_mpeg4 if coding == "mpeg4" else _keep_mpeg
    return b"".join(START + unit for unit in _split(data) if unit and keeps(unit))


def strip_head(head: bytes, coding: str) -> bytes:
    """Give what a container tells a decoder beforehand, with the parameters of the coding alone.

    Args:
        head: as it came.
        coding: of `CODINGS`.

    Raises:
        DamageError: its parts do not follow each other.
    """
    if coding in HEADLESS or not head:
        return b""
    if coding not in {"h264", "hevc"} or _is_stream(head):
        return strip_pictures(head, coding, head)
    try:
        return _build_avc_head(head) if coding == "h264" else _build_hevc_head(head)
    except IndexError:
        raise DAMAGED from None


def _is_stream(head: bytes) -> bool:
    return not head or head.startswith((START, b"\0" + START))


def _keep_mpeg(unit: bytes) -> bool:
    if unit[0] == 0xB5:
        return len(unit) > 1 and unit[1] >> 4 in MPEG_EXTENSIONS
    return unit[0] in MPEG


def _keep_mpeg4(unit: bytes) -> bool:
    if unit[0] == USER_DATA:
        return ENCODER.fullmatch(unit[1:].rstrip(b"\0")) is not None
    return unit[0] in MPEG4


def _split(data: bytes) -> Iterator[bytes]:
    """Split at start codes; what comes before the first belongs to no unit."""
    at = data.find(START)
    while at >= 0:
        following = data.find(START, at + 3)
        yield data[at + 3 : following if following >= 0 else len(data)]
        at = following


def _find_keeper(coding: str) -> Callable[[bytes], bool]:
    if coding == "h264":
        return lambda unit: unit[0] & 0x1F in AVC
    # Units of a second layer are another picture's.
    return lambda unit: unit[0] >> 1 & 0x3F in HEVC and not unit[0] & 1 and unit[1:2] < b"\x08"


def _strip_units(data: bytes, coding: str, head: bytes) -> bytes:
    keeps = _find_keeper(coding)
    if _is_stream(head):
        units = (unit.rstrip(b"\0") for unit in _split(data))
        return b"".join(b"\0" + START + unit for unit in units if unit and keeps(unit))
    at_size = 4 if coding == "h264" else 21
    if len(head) <= at_size:
        raise DAMAGED
    width = (head[at_size] & 3) + 1
    kept, at = [], 0
    while at < len(data):
        end = at + width + int.from_bytes(data[at : at + width], "big")
        if end > len(data):
            raise DAMAGED
        unit = data[at + width : end]
        if unit and keeps(unit):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _take(head: bytes, at: int, kind: Callable[[bytes], bool]) -> tuple[bytes, int]:
    """Read a parameter set after its length of two bytes; empty if it is none."""
    end = at + 2 + (head[at] << 8 | head[at + 1])
    if end > len(head):
        raise DAMAGED
    return (head[at:end] if end > at + 2 and kind(head[at + 2 : end]) else b""), end


def _build_avc_head(head: bytes) -> bytes:
    made = head[:5]
    at = 5
    for kind in (7, 8):
        mask = 0x1F if kind == 7 else 0xFF
        count = head[at] & mask
        at += 1
        sets = []
        for _ in range(count):
            one, at = _take(head, at, lambda unit, kind=kind: unit[0] & 0x1F == kind)  # type: ignore[misc]
            sets += [one] if one else []
        made += bytes([len(sets) | (0xE0 if kind == 7 else 0)]) + b"".join(sets)
    if head[1] in HIGH and at + 3 <= len(head):
        made += head[at : at + 3] + b"\0"
    return made


def _build_hevc_head(head: bytes) -> bytes:
    arrays = []
    at = 23
    for _ in range(head[22]):
        kind, count = head[at] & 0x3F, head[at + 1] << 8 | head[at + 2]
        first, at = head[at : at + 1], at + 3
        sets = []
        for _ in range(count):
            one, at = _take(head, at, lambda unit, kind=kind: unit[0] >> 1 & 0x3F == kind)  # type: ignore[misc]
            sets += [one] if one else []
        if kind in {32, 33, 34} and sets:
            arrays.append(first + len(sets).to_bytes(2, "big") + b"".join(sets))
    return head[:22] + bytes([len(arrays)]) + b"".join(arrays)
