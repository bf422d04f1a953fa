"""Coded concepts: those of public schemes stay, and their wording is the scheme's own.

A code's meaning is free text, and a code of a hospital's own scheme may name a person or a ward.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
SHAPES = {
    "DCM": re.compile(r"\d{6}"),
    "SCT": re.compile(r"\d{6,18}"),
    "SRT": re.compile(r"[A-Z]-[0-9A-F]{5}"),
    "SNM3": re.compile(r"[A-Z]-[0-9A-F]{5}"),
    "LN": re.compile(r"\d{1,5}-\d"),
    "FMA": re.compile(r"\d{1,6}"),
}


def is_code(item: Dataset) -> bool:
    """Whether an item of a sequence is a coded concept."""
    return any(name in item for name in VALUES)


def find_code(item: Dataset) -> tuple[str, str, str] | None:
    """Find the public code that an item holds.

    Args:
        item: a coded concept.

    Returns:
        (value, scheme, meaning): the meaning as the scheme words it, or the value again where its
        wording is not known here; None for a code of no public scheme.
    """
    scheme = _read(item, "CodingSchemeDesignator")
    value = next((text for name in VALUES if (text := _read(item, name))), "")
    meaning = list_codes().get((scheme, value))
    if meaning is not None:
        return value, scheme, meaning
    shape = SHAPES.get(scheme)
    return (value, scheme, value) if shape is not None and shape.fullmatch(value) else None


@cache
def list_codes() -> dict[tuple[str, str], str]:
    """List the public codes that pydicom knows: (scheme, value) to meaning."""
    from pydicom.sr.codedict import codes

    known = {}
    for scheme in codes.schemes():
        for code in getattr(codes, scheme).concepts.values():
            # A long value or meaning would not fit the attributes.
            if len(code.value) <= 16 and len(code.meaning) <= 64 and code.meaning.isascii():
                known[code.scheme_designator, code.value] = code.meaning
    return known


def _read(item: Dataset, name: str) -> str:
    try:
        value = item.get(name)
    except Exception:  # whatever pydicom makes of damaged bytes
        return ""
    return value.strip(" \0") if isinstance(value, str) else ""
