"""Where the bytes of each frame lie within encapsulated pixel data.

The items' own headers are walked once, without reading what they hold: 16 bytes a frame are kept,
and offset tables are believed only where they agree with an item's start.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from typing import BinaryIO

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.header import COPY, Header
from polypskd.cohort.dicom.layout import LIES

ITEM = b"\xfe\xff\x00\xe0"
END = b"\xfe\xff\xdd\xe0"
MOST_ITEMS = 1_000_000
STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")  # JPEG, JPEG 2000, JP2


@dataclass(frozen=True)
class Item:
    """One fragment.

    Args:
        start: position of its bytes in the file.
        length: number of bytes.
    """

    start: int
    length: int


def read_items(file: BinaryIO, start: int, size: int) -> tuple[list[int], list[Item]]:
    """Walk the items of encapsulated pixel data.

    Args:
        file: the bytes.
        start: position of the pixel data's value.
        size: bytes of the file.

    Returns:
        The basic offset table, often empty, and the fragments.

    Raises:
        DamageError: an item reaches beyond the file, or the end is missing.
    """
    file.seek(start)
    items: list[Item] = []
    at = start
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise DamageError("cut short: the end of the pixel data is missing", todo=COPY)
        if head[:4] == END:
            break
        (length,) = struct.unpack_from("<I", head, 4)
        if head[:4] != ITEM or at + 8 + length > size:
            cut = head[:4] == ITEM
            what = "cut short: a frame is missing" if cut else "damaged: a fragment has no head"
            raise DamageError(what, todo=COPY)
        items.append(Item(at + 8, length))
        if len(items) > MOST_ITEMS:
            raise DamageError("too many fragments", f"over {MOST_ITEMS}", LIES)
        at += 8 + length
        file.seek(at)
    if not items:
        raise DamageError("the pixel data are empty", todo=COPY)
    table = items.pop(0)
    file.seek(table.start)
    count = table.length // 4
    if count > MOST_ITEMS:
        raise DamageError("the table of offsets is too long", todo=LIES)
    return list(struct.unpack(f"<{count}I", file.read(4 * count))), items


def find_frames(header: Header, start: int, count: int) -> list[list[Item]]:
    """Find the fragments of each frame.

    Args:
        header: of the file.
        start: position of the pixel data's value.
        count: number of frames.

    Returns:
        The fragments of each of `count` frames.

    Raises:
        DamageError: the fragments are damaged, or do not make this number of frames.
    """
    with header.open() as file:
        basic, items = read_items(file, start, header.size)
        if count == 1:
            return [items]
        if len(items) == count:
            return [[item] for item in items]
        if len(items) < count:
            raise _differ(count, len(items))
        offsets = _read_extended(header, count) or (basic if len(basic) == count else [])
        first = items[0].start - 8
        starts = [item.start - 8 - first for item in items]
        if offsets:
            cuts = [bisect_left(starts, offset) for offset in offsets]
            known = set(starts)
            if not known.issuperset(offsets):
                raise DamageError("the table of offsets does not fit the fragments", todo=LIES)
        else:
            cuts = [i for i, item in enumerate(items) if _starts_frame(file, item)]
        if len(cuts) != count or cuts[0] != 0 or sorted(set(cuts)) != cuts:
            raise _differ(count, len(cuts))
        ends = [*cuts[1:], len(items)]
        return [items[a:b] for a, b in zip(cuts, ends, strict=True)]


def read_frame(file: BinaryIO, items: list[Item], most: int) -> bytes:
    """Read the bytes of one frame.

    Args:
        file: the bytes.
        items: its fragments.
        most: largest number of bytes believed.

    Raises:
        DamageError: there are none, too many, or fewer than before.
    """
    total = sum(item.length for item in items)
    if total > most:
        raise DamageError("a frame takes more bytes than its pixels", str(total), LIES)
    parts = []
    for item in items:
        file.seek(item.start)
        parts.append(file.read(item.length))
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(data) != total or not data:
        raise DamageError("cut short: a frame is missing", todo=COPY)
    return data


def _differ(count: int, found: int) -> DamageError:
    said = f"the header says {count}"
    return DamageError("the number of frames differs: found", str(found), said)


def _starts_frame(file: BinaryIO, item: Item) -> bool:
    file.seek(item.start)
    return file.read(8).startswith(STARTS)


def _read_extended(header: Header, count: int) -> list[int]:
    try:
        table = header.dataset.get("ExtendedOffsetTable")
    except Exception:  # bytes that are no value: as if it were not there
        return []
    if not isinstance(table, bytes) or len(table) != 8 * count:
        return []
    return list(struct.unpack(f"<{count}Q", table))
