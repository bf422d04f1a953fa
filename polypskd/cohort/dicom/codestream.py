"""Heads of JPEG 2000 and JPEG-LS codestreams, read before a decoder sees them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.layout import LIES, Layout

MOST_TILES = 16_384
MOST_BLOCKS = 2_000_000  # code blocks or precincts: each costs the decoder some 100 bytes
CUT = "cut short: the end of a frame is missing"


@dataclass(frozen=True)
class Head:
    """Size of a codestream's own picture.

    Args:
        width: in pixels.
        height: in pixels.
        components: values a pixel.
        precision: bits of a value.
    """

    width: int
    height: int
    components: int
    precision: int


@dataclass(frozen=True)
class J2kHead(Head):
    """Head of a JPEG 2000 codestream.

    Args:
        transformed: whether the stream did its own color transform (reversible or not).
        tiles: number of tiles.
        blocks: roughly the number of code blocks or precincts, whichever is more.
    """

    transformed: bool = False
    tiles: int = 1
    blocks: int = 1


def read_j2k(data: bytes) -> J2kHead:
    """Read the head of a JPEG 2000 or HTJ2K codestream, bare or within JP2 boxes.

    Raises:
        DamageError: it is none, or is cut.
    """
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0:
        raise DamageError("a frame is no JPEG 2000 codestream", todo=LIES)
    try:
        fields = struct.unpack_from(">HHIIIIIIIIH", data, start + 4)
        length, _, right, bottom, left, top, tile_w, tile_h, tile_x, tile_y, count = fields
        parts = [data[start + 42 + 3 * i : start + 45 + 3 * i] for i in range(min(count, 5))]
        if not tile_w or not tile_h or not parts:
            raise DamageError("a frame's JPEG 2000 head is damaged")
        if any(part[1:] != b"\x01\x01" for part in parts):
            raise DamageError("JPEG 2000 with subsampled components is not read")
        if len({part[0] for part in parts}) > 1:
            raise DamageError("JPEG 2000 components of different precision are not read")
        width, height = right - left, bottom - top
        tiles = -(-(right - tile_x) // tile_w) * -(-(bottom - tile_y) // tile_h)
        transformed, area = _read_style(data, start + 4 + length)
    except (struct.error, IndexError):
        raise DamageError(CUT) from None
    precision, blocks = (parts[0][0] & 0x7F) + 1, (width * height * count) >> area
    return J2kHead(width, height, count, precision, transformed, tiles, blocks)


def _read_style(data: bytes, at: int) -> tuple[bool, int]:
    """Find the coding style: is there a color transform, and the log₂ area of its least part."""
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == 0xFF52:
            style, _, _, transform, levels, block_w, block_h = struct.unpack_from(
                ">BBHBBBB", data, at + 4
            )
            side = (block_w & 15) + (block_h & 15) + 4
            precincts = data[at + 14 : at + 15 + levels] if style & 1 else b"\xff"
            small = min((one & 15) + (one >> 4) for one in precincts) if precincts else 30
            return bool(transform), min(side, small)
        if marker < 0xFF00 or marker == 0xFF90 or length < 2:
            raise DamageError("a frame's JPEG 2000 head is damaged")
        at += 2 + length


def check_cost(head: J2kHead) -> None:
    """Refuse a codestream whose bookkeeping would take gigabytes.

    Raises:
        DamageError: it is cut into too many parts.
    """
    if head.tiles > MOST_TILES or head.blocks > MOST_BLOCKS:
        raise DamageError("a frame is cut into too many parts", str(max(head.tiles, head.blocks)))


def read_jls(data: bytes) -> Head:
    """Read the head of a JPEG-LS codestream.

    Raises:
        DamageError: it is none, or is cut.
    """
    at = 2
    try:
        while data[:2] == b"\xff\xd8":
            marker, length = struct.unpack_from(">HH", data, at)
            if marker == 0xFFF7:
                precision, height, width, count = struct.unpack_from(">BHHB", data, at + 4)
                return Head(width, height, count, precision)
            if marker < 0xFF00 or length < 2:
                break
            at += 2 + length
    except struct.error:
        raise DamageError(CUT) from None
    raise DamageError("a frame is no JPEG-LS codestream", todo=LIES)


def check_size(head: Head, layout: Layout) -> None:
    """Refuse a codestream that is not what the header says.

    Raises:
        DamageError: size, components or precision differ.
    """
    if (head.width, head.height) != (layout.columns, layout.rows):
        own = f"{head.width}x{head.height}"
        said = f"the header says {layout.columns}x{layout.rows}"
        raise DamageError("a frame has another size than its header says", own, said)
    if head.components != layout.samples:
        said = f"the header says {layout.samples}"
        raise DamageError("a frame has other components", str(head.components), said)
    if not 1 <= head.precision <= 16 or (head.precision > 8) != (layout.stored > 8):
        said = f"the header says {layout.stored}"
        raise DamageError("a frame has other bits a value", str(head.precision), said)


def check_end(data: bytes) -> None:
    """Refuse a codestream without its end: decoders would fill up with grey and say nothing.

    Raises:
        DamageError: the end of image is missing.
    """
    if not data[-64:].rstrip(b"\0\xff").endswith(b"\xff\xd9"):  # padded with either
        raise DamageError(CUT, todo="copy the file anew")
