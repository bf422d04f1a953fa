"""The boxes of an mp4 or mov file, walked before FFmpeg makes tables of what they claim."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from polypskd.cohort.damage import DamageError

MAX_FRAMES = 2_000_000  # nine hours at 60 a second
BRANCHES = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf"})
TOPS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"})
CLAIMS = "cut the video into shorter ones, or copy it anew"


class Readable(Protocol):
    """What is needed of a file."""

    length: int

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""


@dataclass
class _Track:
    samples: int = 0
    edits: int = 1
    pcm: bool = False  # every sample one tick long: FFmpeg keeps such sound by chunks


def check_boxes(file: Readable) -> None:
    """Refuse an mp4 or mov whose tables would take gigabytes; other files pass.

    Args:
        file: left at its start.

    Raises:
        DamageError: more frames than any exam has, or a packed header.
    """
    file.seek(0)
    head = file.read(8)
    if len(head) == 8 and head[4:] in TOPS:
        track = _Track()
        for kind, body in _walk(file, 0, file.length, 0):
            if kind == b"trak":
                _check(track)
                track = _Track()
            elif kind == b"cmov":
                raise DamageError("its header is packed (cmov)", todo="encode the video anew")
            elif kind in (b"stsz", b"stz2") and len(body) >= 12:
                track.samples = max(track.samples, int.from_bytes(body[8:12], "big"))
            elif kind == b"elst" and len(body) >= 8:
                track.edits = max(1, track.edits, int.from_bytes(body[4:8], "big"))
            elif kind == b"stts" and len(body) >= 16:
                count, _, length = struct.unpack_from(">III", body, 4)
                track.pcm = count == 1 and length == 1
        _check(track)
    file.seek(0)


def _check(track: _Track) -> None:
    if not track.pcm and track.samples * track.edits > MAX_FRAMES:
        raise DamageError(
            f"its header claims {track.samples} frames"
            + (f" in {track.edits} edits" if track.edits > 1 else ""),
            todo=f"at most {MAX_FRAMES} can be; {CLAIMS}",
        )


def _walk(file: Readable, start: int, end: int, depth: int) -> Iterator[tuple[bytes, bytes]]:
    """Give kind and first bytes of every box, the outer one before those within."""
    at, steps = start, 0
    while at + 8 <= end and steps < 100_000:
        steps += 1
        file.seek(at)
        head = file.read(32)
        if len(head) < 8:
            return
        size, kind, skip = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1 and len(head) >= 16:
            size, skip = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - at
        if size < skip:
            return
        yield kind, head[skip:]
        if kind in BRANCHES and depth < 8:
            yield from _walk(file, at + skip, min(at + size, end), depth + 1)
        at += size
