"""A tidy cohort out of what a hospital gave: frames, frames.csv, votes.csv.

Plain JPEG files are copied as they are; everything else becomes PNG, which keeps every pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import fingerprint, write_atomic
from polypskd.cohort.address import order_address, split_address
from polypskd.cohort.agreed_fields import Fields, agree_on_fields
from polypskd.cohort.cropping import place_field
from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import check_frames, check_within
from polypskd.cohort.journal import FRAMES, Entry, Journal
from polypskd.cohort.mixed import Mixed, name_targets
from polypskd.cohort.preparation import crop_frame
from polypskd.cohort.quality import list_columns, measure_quality
from polypskd.config import Crop, FieldCrop, NoCrop
from polypskd.errors import Fault, OutputError

Pixels = NDArray[np.uint8]
BLOCK = 64  # frames between two notes in the journal
QUIET = frozenset({0xE0, 0xE2, 0xEE})  # JPEG segments that name nobody: JFIF, colors, Adobe
JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Wish:
    """How frames are imported.

    Args:
        crop: what of a frame is kept.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed.
    """

    crop: Crop = field(default_factory=NoCrop)
    min_side: int = 16
    max_megapixels: float = 64.0


@dataclass(frozen=True)
class Imported:
    """What an import made of the frames.

    Args:
        entries: one a frame that was written: ``from``, ``frame``, ``copied``, ``measures``...
        faults: files and frames that cannot be read.
        known: number of frames that an import before had made.
    """

    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]
    known: int


def import_frames(
    mixed: Mixed,
    frames: Sequence[str],
    journal: Journal,
    wish: Wish,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Write frames below ``frames/``; those written before are left as they are.

    Args:
        mixed: the source.
        frames: names of the frames to be written.
        journal: of the cohort that is written.
        wish: how.
        progress: called with (frames done, frames to do).

    Raises:
        OutputError: the folder cannot be written to.
    """
    root = mixed.files.root
    targets = name_targets(frames)
    ordered = sorted(frames, key=order_address)
    fields = _agree(mixed, ordered, wish, journal.folder)
    ways = _Ways(root, journal.out, wish, targets, fields)
    found = {name: journal.find(name, ways.measure_source(name)) for name in ordered}
    entries = {name: entry for name, entry in found.items() if entry is not None}
    known = len(entries)
    todo = [name for name in ordered if name not in entries]
    if todo:
        progress(known, len(ordered))
    for start in range(0, len(todo), BLOCK):
        made = _make_block(ways, todo[start : start + BLOCK])
        journal.note(made)
        entries |= {entry["from"]: entry for entry in made}
        progress(len(entries), len(ordered))
    journal.finish([entries[name] for name in ordered])
    faults = [_restore_fault(entry) for entry in entries.values() if entry.get("fault")]
    written = tuple(entries[name] for name in sorted(entries) if not entries[name].get("fault"))
    unread = [fault for fault in mixed.faults if fault.frame not in entries]
    return Imported(written, (*unread, *sorted(faults)), known)


def _restore_fault(entry: Entry) -> Fault:
    where, what, value, todo = entry["fault"]
    return Fault(where, what, value, todo, entry["from"])


@dataclass(frozen=True)
class _Ways:
    """From where to where, and how.

    Args:
        root: folder of the source.
        out: folder of the cohort.
        wish: how.
        targets: frame → the file it becomes, without its suffix.
        fields: what the frames agree on, for a crop to the field.
    """

    root: Path
    out: Path
    wish: Wish
    targets: dict[str, str]
    fields: Fields | None

    @cached_property
    def agreed(self) -> str:
        """What frames cropped otherwise are told by."""
        return "" if self.fields is None else fingerprint(self.fields.describe())

    def measure_source(self, name: str) -> tuple[int | str, ...]:
        """Tell what a frame's file depends on beside the options."""
        try:
            about = (self.root / split_address(name)[0]).stat()
        except OSError:
            return -1, -1, self.agreed
        return about.st_size, about.st_mtime_ns, self.agreed


def _agree(mixed: Mixed, frames: Sequence[str], wish: Wish, cache: Path) -> Fields | None:
    """Find what the frames agree on, for a crop to the field."""
    if not isinstance(wish.crop, FieldCrop):
        return None
    headers = mixed.files.headers
    devices = [headers.get(split_address(name)[0], {}).get("device", "") for name in frames]
    most = wish.max_megapixels
    return agree_on_fields(mixed.files.root, frames, devices, max_megapixels=most, cache=cache)


def _make_block(ways: _Ways, names: list[str]) -> list[Entry]:
    """Write some frames; one that turns out to be damaged is taken away again."""
    made: dict[str, Entry] = {}
    wish = ways.wish

    def look(name: str, pixels: Pixels) -> None:
        made[name] = _write_frame(name, pixels, ways)

    faults = check_frames(
        ways.root, names, min_side=wish.min_side, max_megapixels=wish.max_megapixels, look=look
    )
    for fault in faults:
        if fault.frame in made:
            (ways.out / made[fault.frame]["frame"]).unlink(missing_ok=True)
        told = [fault.where, fault.what, fault.value, fault.todo]
        made[fault.frame] = {"fault": told}
    return [{"from": name, "source": ways.measure_source(name)} | made[name] for name in names]


def _write_frame(name: str, pixels: Pixels, ways: _Ways) -> Entry:
    crop, out = ways.wish.crop, ways.out
    field = place_field(name, pixels, crop, ways.fields)
    measures = list_columns(measure_quality(pixels, field)).items()
    data = _take_jpeg(ways.root / name) if isinstance(crop, NoCrop) else None
    suffix = ".png" if data is None else ".jpg"
    cut = crop_frame(pixels, crop, field)
    encoded = _encode_png(cut) if data is None else data
    path = f"{FRAMES}/{ways.targets[name]}{suffix}"
    try:
        check_within(out, path)
    except DamageError:
        raise OutputError(f"{out / path}: leads outside of --out by a link; move it away") from None
    write_atomic(out / path, lambda temporary: temporary.write_bytes(encoded))
    return {
        "frame": path,
        "copied": data is not None,
        "bytes": len(encoded),
        "width": cut.shape[1],
        "height": cut.shape[0],
        "measures": {column: f"{value:.6g}" for column, value in measures},
    }


def _take_jpeg(path: Path) -> bytes | None:
    """Give the bytes of a JPEG without notes of its device or owner; None for any other file."""
    if path.suffix.lower() not in JPEG:
        return None
    data = path.read_bytes()
    return data if is_plain_jpeg(data) else None


def is_plain_jpeg(data: bytes) -> bool:
    r"""Tell whether a JPEG holds pixels alone: no Exif, no comments, nothing behind its end.

    Args:
        data: a whole JPEG file.

    >>> is_plain_jpeg(b"\xff\xd8\xff\xe1\0\x08Exif\0\0\xff\xd9")
    False
    """
    at = 2
    if not data.startswith(b"\xff\xd8") or not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) >= len(data.rstrip(b"\0")) - 2
        if marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in QUIET):
            return False
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _encode_png(pixels: Pixels) -> bytes:
    import cv2

    done, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    if not done:
        raise DamageError("cannot be written as PNG")
    return encoded.tobytes()
