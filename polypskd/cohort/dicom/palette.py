"""PALETTE COLOR: tables of 8 or 16 bits, whole or in segments.

Reference:
    DICOM PS3.3 C.7.6.3.1.5 (descriptors), C.7.9.2 (segments).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.layout import LIES, Layout

if TYPE_CHECKING:
    from pydicom import Dataset

COLORS = ("Red", "Green", "Blue")
MOST_STEPS = 100_000


def apply_palette(codes: NDArray[np.intp], layout: Layout, dataset: Dataset) -> NDArray[np.uint8]:
    """Look every code up in the three tables.

    Args:
        codes: (H, W), from 0 to 2^stored - 1.
        layout: what the header says.
        dataset: the header.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DamageError: a table is missing, or does not fit its descriptor.
    """
    order = "<" if dataset.original_encoding[1] in (True, None) else ">"
    rgb = np.empty((*codes.shape, 3), np.uint8)
    for i, color in enumerate(COLORS):
        table, first = _read_table(dataset, color, order, layout.signed)
        if layout.signed:
            codes = np.where(codes >= 2 ** (layout.stored - 1), codes - 2**layout.stored, codes)
        # A code below the first entry takes the first, one above the last takes the last.
        rgb[:, :, i] = table[np.clip(codes - first, 0, len(table) - 1)]
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
    code = "B" if bits == 8 else "H"
    words = struct.unpack(f"{order}{len(data) // struct.calcsize(code)}{code}", data)
    values: list[int] = []
    wrong = DamageError("the segments of a palette are wrong", todo=LIES)
    starts: list[int] = []
    queue: list[tuple[int, int]] = [(0, -1)]  # where to go on, and how many segments are left
    steps = 0
    while queue:
        at, left = queue.pop()
        while at + 1 < len(words) and left != 0 and len(values) < entries:
            steps += 1
            if steps > MOST_STEPS:
                raise wrong
            kind, count = words[at], words[at + 1]
            if not queue and left < 0:
                starts.append(at)
            left -= 1
            if kind == 0 and at + 2 + count <= len(words):
                values.extend(words[at + 2 : at + 2 + count])
                at += 2 + count
            elif kind == 1 and at + 3 <= len(words) and values and count:
                steps_to = np.linspace(values[-1], words[at + 2], count + 1)[1:]
                values.extend(int(value) for value in np.rint(steps_to[:entries]))
                at += 3
            elif kind == 2 and left < 0:
                size = 2 if bits == 16 else 4
                if at + 2 + size > len(words):
                    raise wrong
                target = (
                    words[at + 2] + (words[at + 3] << 16)
                    if bits == 16
                    else sum(word << (8 * i) for i, word in enumerate(words[at + 2 : at + 6]))
                )
                target //= struct.calcsize(code)
                if target not in starts:
                    raise wrong
                queue.append((at + 2 + size, -1))
                at, left = target, count
            else:
                raise wrong
    return np.array(values[:entries], np.uint16)
