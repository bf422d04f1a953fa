"""The fields that the frames of a cohort agree on, for frames too dark to tell their own.

A dark frame shows no outline, and what is found there is the whole frame, or a piece of it, or the
panel of text alone: cropped by it, the panel would stay. Frames of one device and one size share a
layout, or a few, so that a sample of them tells where the picture lies in all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import fingerprint, write_json
from polypskd.cohort.address import order_address, split_address
from polypskd.cohort.field import FINDER, Field, agree_on_field, find_field
from polypskd.cohort.frames import read_frame
from polypskd.errors import CohortError

Pixels = NDArray[np.uint8]
SAMPLE = 256  # frames of a device looked at
LEAST = 4  # frames that make a layout
SURE = 0.75  # share of the frames with a field that the first layout must have to stand for others
SLACK = 0.03  # of the longer side, by which edges of one layout differ
VERSION = 1  # raised when fields are agreed on otherwise: stored pixels hang on it


@dataclass(frozen=True)
class Layouts:
    """Where the picture lies in frames of one device and one size.

    Args:
        fields: the layouts, the most frequent first; none where nothing is agreed on.
        sure: whether the first stands for frames that tell none of them.
    """

    fields: tuple[Field, ...] = ()
    sure: bool = False

    def choose(self, own: Field) -> Field:
        """Give the field of a frame: its own where it is one of the layouts, else the first.

        Args:
            own: what was found in the frame.

        >>> seen = Field(20, 0, 60, 50, "octagon", 0.6, (1.4, 1.4))
        >>> Layouts((seen,), sure=True).choose(Field(0, 0, 100, 50, "full", 1.0)) == seen
        True
        """
        if not self.sure or any(_is_near(own, one) for one in self.fields):
            return own
        return self.fields[0]


@dataclass(frozen=True)
class Fields:
    """What the frames of a cohort agree on.

    Args:
        layouts: device, width and height → layouts.
        devices: frame → device; a frame without one is of the device "".
    """

    layouts: Mapping[tuple[str, int, int], Layouts] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str, pixels: Pixels) -> Field:
        """Find the field of a frame.

        Args:
            name: the frame.
            pixels: (H, W, 3) uint8 RGB, the whole of it.
        """
        height, width = pixels.shape[:2]
        own = find_field(pixels)
        return self.layouts.get((self.devices.get(name, ""), width, height), Layouts()).choose(own)

    def merge_devices(self) -> dict[tuple[int, int], Layouts]:
        """Give what stands for frames of unknown devices, by their width and height.

        Only where all devices that give frames of this size put their picture in the same place.

        >>> seen = Layouts((Field(20, 0, 60, 50, "octagon", 0.6, (1.4, 1.4)),), sure=True)
        >>> other = Layouts((Field(0, 0, 90, 50, "rectangle", 0.9),), sure=True)
        >>> found = {("A", 100, 50): seen, ("B", 100, 50): seen, ("B", 90, 90): other}
        >>> Fields(found | {("C", 90, 90): seen}).merge_devices() == {(100, 50): seen}
        True
        """
        by_size: dict[tuple[int, int], list[Layouts]] = {}
        for (_, width, height), layouts in sorted(self.layouts.items()):
            by_size.setdefault((width, height), []).append(layouts)
        merged = {}
        for size, found in by_size.items():
            first = found[0].fields[:1]
            if all(one.sure and _is_near(one.fields[0], *first) for one in found):
                fields = list(first)
                for one in (other for layouts in found for other in layouts.fields):
                    if not any(_is_near(one, known) for known in fields):
                        fields.append(one)
                merged[size] = Layouts(tuple(fields), sure=True)
        return merged

    def describe(self) -> list[Any]:
        """Give the layouts as JSON-like values, sorted."""
        return [
            [*key, found.sure, [list(astuple(one)) for one in found.fields]]
            for key, found in sorted(self.layouts.items())
        ]


def agree_on_fields(
    root: Path,
    frames: Sequence[str],
    devices: Sequence[str] | None = None,
    *,
    max_megapixels: float = 64.0,
    cache: Path | None = None,
) -> Fields:
    """Find the layouts of a cohort in a sample of its frames; the same frames give the same ones.

    Args:
        root: folder of the frames.
        frames: their names, in any order.
        devices: of each frame, where they are known.
        max_megapixels: largest area allowed; a larger frame is left out.
        cache: folder in which what was found is kept for the next time; None to keep nothing.
    """
    known = dict(zip(frames, devices, strict=True)) if devices is not None else {}
    sample = _choose_sample(frames, known)
    kept = None
    if cache is not None:
        about = [[name, known.get(name, ""), *_measure_file(root, name)] for name in sample]
        kept = cache / f"fields-{fingerprint([VERSION, FINDER, max_megapixels, about])[:24]}.json"
        with suppress(OSError, ValueError, TypeError, KeyError, IndexError):
            return Fields(_restore(json.loads(kept.read_text(encoding="utf-8"))), known)
    seen: dict[tuple[str, int, int], list[Field]] = {}
    for name in sample:
        with suppress(CohortError):  # told where every frame is checked
            pixels = read_frame(root / name, max_megapixels=max_megapixels)
            height, width = pixels.shape[:2]
            seen.setdefault((known.get(name, ""), width, height), []).append(find_field(pixels))
    fields = Fields({key: find_layouts(found) for key, found in sorted(seen.items())}, known)
    if kept is not None:
        write_json(kept, fields.describe())
    return fields


def find_layouts(found: Sequence[Field]) -> Layouts:
    """Group fields by where they lie.

    Args:
        found: those of frames of one device and one size; whole frames count as not found.

    >>> seen = Field(20, 0, 60, 50, "octagon", 0.6, (1.4, 1.4))
    >>> find_layouts([seen] * 5 + [Field(0, 0, 100, 50, "full", 1.0)] * 5).sure
    True
    """
    left = [one for one in found if one.shape != "full"]
    total, layouts, first = len(left), [], 0
    while len(left) >= LEAST:
        near = max(([other for other in left if _is_near(one, other)] for one in left), key=len)
        if len(near) < LEAST:
            break
        first = first or len(near)
        layouts.append(agree_on_field(near))
        left = [one for one in left if one not in near]
    return Layouts(tuple(layouts), sure=bool(layouts) and first >= SURE * total)


def _is_near(one: Field, other: Field) -> bool:
    """Tell whether two fields are of one layout."""
    slack = SLACK * max(other.width, other.height)
    edges = (
        one.left - other.left,
        one.top - other.top,
        one.right - other.right,
        one.bottom - other.bottom,
    )
    return max(map(abs, edges)) <= slack and (one.shape == "full") == (other.shape == "full")


def _choose_sample(frames: Sequence[str], devices: Mapping[str, str]) -> list[str]:
    """Choose frames of each device, evenly spread, in the order of files and their frames."""
    by_device: dict[str, list[str]] = {}
    for name in sorted(set(frames), key=order_address):
        by_device.setdefault(devices.get(name, ""), []).append(name)
    chosen: list[str] = []
    for names in by_device.values():
        count = min(len(names), SAMPLE)
        chosen += [names[place * len(names) // count] for place in range(count)]
    return sorted(chosen, key=order_address)


def _measure_file(root: Path, name: str) -> tuple[int, int]:
    try:
        about = (root / split_address(name)[0]).stat()
    except OSError:
        return -1, -1
    return about.st_size, about.st_mtime_ns


def _restore(described: list[Any]) -> dict[tuple[str, int, int], Layouts]:
    return {
        (device, width, height): Layouts(tuple(map(_restore_field, fields)), sure)
        for device, width, height, sure, fields in described
    }


def _restore_field(values: list[Any]) -> Field:
    left, top, width, height, shape, share, (across, down) = values
    return Field(left, top, width, height, shape, share, (across, down))
