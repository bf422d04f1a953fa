"""Packets at which decoding may start, so that what comes is equal to a decode from the beginning.

A container's mark of a key frame is not enough: H.264 streams mark frames after which the picture
only mends itself bit by bit (periodic intra refresh).
"""

from __future__ import annotations

from collections.abc import Iterator

IDR, SEI, RECOVERY = 5, 6, 6


def find_prefix(codec: str, extradata: bytes | None) -> int:
    r"""Find how the units of an H.264 packet are told apart.

    Args:
        codec: FFmpeg's name of it.
        extradata: the stream's head.

    Returns:
        Bytes of the length before each unit; 0 where start codes stand between them.

    >>> find_prefix("h264", b"\x01\x64\x00\x0a\xff\xe1"), find_prefix("h264", None)
    (4, 0)
    """
    if codec == "h264" and extradata and len(extradata) >= 5 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return 0


def starts_afresh(codec: str, data: bytes, prefix: int) -> bool:
    r"""Tell whether a packet that the container marks as key needs nothing of those before it.

    Frames shown before it, though they come after it in the file, may still need them.

    Args:
        codec: FFmpeg's name of it; only H.264 is looked at, the marks of others are true.
        data: the packet.
        prefix: of `find_prefix`.

    >>> starts_afresh("h264", b"\0\0\0\1\x65\x88", 0), starts_afresh("h264", b"\0\0\1\x41\x9a", 0)
    (True, False)
    """
    if codec != "h264":
        return True
    for unit in _split(data, prefix):
        kind = unit[0] & 31
        if kind == IDR:
            return True
        if kind == SEI and _recovers_at_once(unit[1:]):
            return True
        if 1 <= kind < IDR:
            return False
    return False


def may_show_nothing(codec: str, data: bytes) -> bool:
    r"""Tell whether a packet may give no frame though it is whole.

    Args:
        codec: FFmpeg's name of it.
        data: the packet.

    >>> may_show_nothing("vp8", b"\x10"), may_show_nothing("vp8", b"\x01")
    (False, True)
    """
    if codec == "vp8":
        return not data[0] & 0x10  # a frame only to predict from
    return codec == "mpeg4" and len(data) < 20  # no room for more than "not coded"


def _split(data: bytes, prefix: int) -> Iterator[bytes]:
    """Give the units of a packet, the first 256 bytes of each."""
    if prefix:
        at = 0
        while at + prefix < len(data):
            size = int.from_bytes(data[at : at + prefix], "big")
            if size:
                yield data[at + prefix : at + prefix + min(size, 256)]
            at += prefix + size
        return
    at = data.find(b"\0\0\1")
    while at >= 0 and at + 3 < len(data):
        following = data.find(b"\0\0\1", at + 3)
        end = following if following >= 0 else len(data)
        yield data[at + 3 : min(end, at + 259)]
        at = following


def _recovers_at_once(message: bytes) -> bool:
    """Tell a recovery point whose count of frames is 0 and whose match is exact (H.264, D.2.8)."""
    data = message.replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 < len(data):
        kind = size = 0
        while at < len(data) and data[at] == 255:
            kind, at = kind + 255, at + 1
        kind, at = kind + (data[at] if at < len(data) else 0), at + 1
        while at < len(data) and data[at] == 255:
            size, at = size + 255, at + 1
        size, at = size + (data[at] if at < len(data) else 0), at + 1
        if kind == RECOVERY:
            return at < len(data) and data[at] >= 0b11000000  # count 0 is the bit 1, then exact
        at += size
    return False
