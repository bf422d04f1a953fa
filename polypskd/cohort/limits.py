"""What a frame's size may be, held against its header before a pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from polypskd.cohort.damage import DamageError


@dataclass(frozen=True)
class Limits:
    """What a frame's size may be.

    Args:
        min_side: shortest side, in pixels.
        max_megapixels: largest area; larger frames are not decoded.
    """

    min_side: int = 1
    max_megapixels: float = 64.0


def check_sides(width: int, height: int, *, min_side: int, max_megapixels: float) -> None:
    """Refuse frames too small or too large, from the header alone.

    Args:
        width: in pixels.
        height: in pixels.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed.

    Raises:
        DamageError: it is outside.
    """
    value = f"{width}x{height}"
    if min(width, height) < max(min_side, 1):
        raise DamageError("too small", value, f"the shortest side must have {min_side} pixels")
    if width * height > max_megapixels * 1e6:
        limit = f"at most {max_megapixels:g} megapixels (cohort.max_megapixels)"
        raise DamageError("too large", value, limit)
