"""PALETTE COLOR: tables of 8 or 16 bits, whole or in segments.

Reference:
    DICOM PS3.3 C.7.6.3.1.5 (descriptors), C.7.9.2 (segments).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.layout import LIES, Layout

if TYPE_CHECKING:
    from pydicom import Dataset

COLORS = ("Red", "Green", "Blue")


def build_palette(layout: Layout, dataset: Dataset) -> NDArray[np.uint8]:
    """Build the color of every code.

    Args:
        layout: what the header says.
        dataset: the header.

    Returns:
        (2^stored, 3) uint8 RGB.

    Raises:
        DamageError: a table is missing, or does not fit its descriptor.
    """
    order = ">" if dataset.original_encoding[1] is False else "<"
    codes = np.arange(2**layout.stored)
    if layout.signed:
        codes[codes.size // 2 :] -= codes.size
    rgb = np.empty((codes.size, 3), np.uint8)
    for i, color in enumerate(COLORS):
        table, first = _read_table(dataset, color, order, layout.signed)
        # A code below the first entry takes the first, one above the last takes the last.
        rgb[:, i] = table[np.clip(codes - first, 0, len(table) - 1)]
    return rgb


def _read_table(
    dataset: Dataset, color: str, order: str, signed: bool
) -> tuple[NDArray[np.uint8], int]:
    keyword = f"{color}PaletteColorLookupTable"
    wrong = DamageError("the palette is missing or wrong", keyword, LIES)
    try:
        entries, first, bits = (int(value) for value in dataset[f"{keyword}Descriptor"].value)
        raw = dataset.get(f"{keyword}Data")
        segments = None if raw else dataset.get(f"Segmented{keyword}Data")
    except Exception:  # missing, or bytes that are no value
        raise wrong from None
    entries = entries % 2**16 or 2**16
    if signed and first >= 2**15:
        first -= 2**16
    if bits not in (8, 16):
        raise wrong
    if isinstance(raw, bytes):
        # Tables of 8 bits are written with a byte an entry, and with a word an entry.
        wide = bits == 16 or len(raw) >= 2 * entries
        values = np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2") if wide else None
        if values is None:
            words = np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2").astype("<u2")
            values = np.frombuffer(words.tobytes(), np.uint8)
    elif isinstance(segments, bytes):
        values = _expand(segments, order, bits, entries)
    else:
        raise wrong
    if len(values) < entries:
        raise wrong
    values = values[:entries].astype(np.uint16)
    # 16 bits are cut to their upper 8: exact for tables of v·256 and of v·257 alike. Some writers
    # state 16 bits and store 8.
    if bits == 16 and values.max() > 255:
        values >>= 8
    return np.minimum(values, 255).astype(np.uint8), first


def _expand(data: bytes, order: str, bits: int, entries: int) -> NDArray[np.uint16]:
    """Expand discrete, linear and indirect segments, never beyond the entries stated."""
    width = bits // 8
    words = np.frombuffer(data[: len(data) // width * width], f"{order}u{width}").tolist()
    values: list[int] = []
    places: dict[int, int] = {}  # where each segment starts in the file, to its number
    segments: list[tuple[int, list[int]]] = []
    at = 0
    while at + 2 < len(words) and len(values) < entries:
        kind, count = words[at], words[at + 1]
        places[at * width] = len(segments)
        size = {0: count, 1: 1, 2: 4 // width}.get(kind, len(words))
        body = words[at + 2 : at + 2 + size]
        if len(body) < size or not count:
            raise DamageError("the segments of a palette are wrong", todo=LIES)
        at += 2 + size
        if kind == 2:  # so many segments again, from an offset in bytes, lowest part first
            offset = sum(part << (8 * width * i) for i, part in enumerate(body))
            first = places.get(offset, len(segments))
            again = segments[first : first + count]
            if len(again) < count or any(steps < 0 for steps, _ in again):
                raise DamageError("the segments of a palette are wrong", todo=LIES)
        else:
            again = [(count if kind == 1 else 0, body)]
        segments.append((-1, []) if kind == 2 else again[0])
        for steps, part in again:
            if steps and not values:
                raise DamageError("the segments of a palette are wrong", todo=LIES)
            if steps:
                line = np.linspace(values[-1], part[0], steps + 1)[1:]
                values.extend(np.rint(line).astype(int).tolist())
            else:
                values.extend(part)
            if len(values) >= entries:
                break
    return np.array(values[:entries], np.uint16)
