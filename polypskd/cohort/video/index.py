"""Where the frames of a video are: found by taking its packets apart, without decoding."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video.boxes import CLAIMS, MAX_FRAMES
from polypskd.cohort.video.container import COPY, OPENING, PACE, Opened, told
from polypskd.cohort.video.entries import find_prefix, may_show_nothing, starts_afresh

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

Numbers = NDArray[np.int64]
NONE = -(2**63)  # a packet without this time
STRAY = 64  # places between a packet's turn in the file and its frame's turn on the screen
PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE
RAW = frozenset({"h264", "hevc", "mpegvideo"})  # streams without a container


@dataclass(frozen=True)
class Entry:
    """A packet at which decoding may start.

    Args:
        ordinal: its turn in the file.
        pts: when it is shown, in ticks; NONE if the container does not tell.
        dts: when it is decoded.
        size: in bytes.
        crc: of its bytes; -1 if they were not looked at.
    """

    ordinal: int
    pts: int
    dts: int
    size: int
    crc: int


@dataclass(frozen=True)
class Index:
    """The frames in the order in which they are shown, and their packets as they lie in the file.

    Args:
        order: shown frame → ordinal of its packet.
        rank: ordinal → its turn on the screen, those never shown included.
        sizes: ordinal → bytes of the packet.
        entries: where decoding may start, in the order of the file, the first at ordinal 0; (E, 5)
            with the fields of `Entry`.
        torn: ordinals of packets whose bytes are known to be missing or damaged.
        times: shown frame → ticks, None where the stream carries no times.
        tick: seconds of a tick.
        end: ticks at which the last frame ends.
        offsets: ordinal → position in the file, for streams without a container.
    """

    order: Numbers
    rank: Numbers
    sizes: Numbers
    entries: Numbers
    torn: frozenset[int]
    times: Numbers | None
    tick: Fraction
    end: int
    offsets: Numbers | None

    def find_entry(self, ordinal: int) -> Entry:
        """Find the last entry from which a packet's frame comes out as from the beginning.

        Frames shown before an entry but stored after it (an open group) may need the one before.
        """
        starts = self.entries[:, 0]
        at = int(np.searchsorted(starts, ordinal, side="right")) - 1
        while at > 0 and self.rank[starts[at]] > self.rank[ordinal]:
            at -= 1
        return Entry(*self.entries[at].tolist())

    def find_before(self, entry: Entry) -> Entry | None:
        """Find the entry before one; None before the first."""
        at = int(np.searchsorted(self.entries[:, 0], entry.ordinal)) - 1
        return Entry(*self.entries[at].tolist()) if at >= 0 else None

    def recognize(self, pts: int | None, dts: int | None, data: bytes) -> int:
        """Give the ordinal of an entry by its times and bytes; -1 if it is none for sure."""
        same = self.entries[(self.entries[:, 3] == len(data))]
        if len(same) == 0:
            return -1
        same = same[same[:, 4] == zlib.crc32(data)]
        if pts is not None:
            same = same[same[:, 1] == pts]
        elif dts is not None:
            same = same[same[:, 2] == dts]
        return int(same[0, 0]) if len(same) == 1 else -1


@dataclass
class _Packets:
    """What is noted of every packet while the file is taken apart."""

    pts: array[int]
    dts: array[int]
    sizes: array[int]
    entries: array[int]  # five numbers each
    hidden: set[int]
    torn: set[int]
    uneven: bool = False  # whether packets and frames may not be one to one
    last: int = 0  # ticks of the last packet's frame


def build_index(opened: Opened) -> Index:
    """Take a video apart into packets and put its frames in order.

    Where the container does not say when frames are shown (H.264 in avi, bare streams), they are
    decoded once, coarsely, for their order.

    Args:
        opened: at its start; at its end afterwards.

    Raises:
        DamageError: no frames, too many, cut short, or without an end.
    """
    stream = opened.stream
    with told(), opened.source.bounded(OPENING + opened.source.length / PACE):
        noted = _note_packets(opened)
    if not noted.sizes:
        raise DamageError("holds no frames", todo=COPY)
    claimed = len(stream.index_entries) if "mp4" in opened.container.format.name else 0
    if claimed > len(noted.sizes):
        found = f"{len(noted.sizes)} of {claimed} frames are there"
        raise DamageError(f"cut short: {found}", todo=COPY)
    pts = np.array(noted.pts, np.int64)
    dts = np.array(noted.dts, np.int64)
    entries = np.array(noted.entries, np.int64).reshape(-1, 5)
    shown = None if noted.uneven else _order_by_times(pts)
    timed = shown is not None
    if shown is None and not noted.uneven and not stream.codec_context.codec.reorder:
        shown = np.arange(len(pts))
    if shown is None:
        shown = _order_by_decoding(opened, len(pts))
        if not noted.uneven:
            noted.torn.update(_list_lost(shown, int(entries[0, 0]), len(pts)))
    elif entries[0, 0] > 0 or shown[0] != 0:
        shown = _drop_leading(opened, int(entries[0, 0]), shown)
    rank = np.full(len(pts), -1, np.int64)
    rank[shown] = np.arange(len(shown))
    if noted.hidden:
        shown = shown[~np.isin(shown, list(noted.hidden))]
    if not len(shown):  # an edit list may hide them all
        raise DamageError("shows no frames", todo=COPY)
    if entries[0, 0] > 0:  # what comes before the first key frame is decoded from the beginning
        entries = np.concatenate([[[0, pts[0], dts[0], noted.sizes[0], -1]], entries])
    rising = timed or (not (pts[shown] == NONE).any() and bool((np.diff(pts[shown]) > 0).all()))
    times = _find_times(pts if rising else None, dts, shown)
    sizes = np.array(noted.sizes, np.int64)
    whole = opened.container.format.name in RAW and int(sizes.sum()) == opened.source.length
    return Index(
        order=shown,
        rank=rank,
        sizes=sizes,
        entries=entries,
        torn=frozenset(noted.torn),
        times=times,
        tick=stream.time_base or Fraction(1),
        end=_find_end(times, noted.last),
        offsets=np.cumsum(sizes) - sizes if whole else None,
    )


def list_packets(opened: Opened) -> Iterator[Packet[VideoStream]]:
    """Give the stream's packets from where the container stands; empty ones are no frames."""
    for packet in opened.container.demux(opened.stream):
        opened.source.check_time()
        if packet.size:
            yield packet


def decode_packet(context: Any, packet: Any, ordinal: int) -> list[tuple[int, Any]]:
    """Decode a packet, or what is left with None; give (ordinal, frame) of what comes out.

    The decoder carries a packet's time over to its frame, through all reordering: the time is
    made the packet's ordinal here, so that a frame is known for sure.

    Args:
        context: the stream's decoder.
        packet: to be decoded; its times are overwritten.
        ordinal: its turn in the file.
    """
    if packet is not None:
        packet.pts = packet.dts = ordinal
    return [(-1 if f.pts is None else int(f.pts), f) for f in context.decode(packet)]


def _note_packets(opened: Opened) -> _Packets:
    codec = opened.stream.codec_context.name
    prefix = find_prefix(codec, opened.stream.codec_context.extradata)
    noted = _Packets(array("q"), array("q"), array("q"), array("q"), set(), set())
    # Two fields may come as two packets and make one frame.
    noted.uneven = codec == "h264" and int(opened.stream.codec_context.field_order) > PROGRESSIVE
    for packet in list_packets(opened):
        ordinal = len(noted.sizes)
        if ordinal >= MAX_FRAMES:
            raise DamageError("too many frames", todo=f"at most {MAX_FRAMES} can be; {CLAIMS}")
        pts = NONE if packet.pts is None else packet.pts
        dts = NONE if packet.dts is None else packet.dts
        noted.pts.append(pts)
        noted.dts.append(dts)
        noted.sizes.append(packet.size)
        if packet.is_discard:
            noted.hidden.add(ordinal)
        if packet.is_corrupt:
            noted.torn.add(ordinal)
        if codec in ("vp8", "mpeg4") and may_show_nothing(codec, bytes(packet)):
            noted.uneven = True
        if packet.is_keyframe and starts_afresh(codec, bytes(packet), prefix):
            noted.entries.extend((ordinal, pts, dts, packet.size, zlib.crc32(packet)))
        noted.last = packet.duration or 0
    if noted.sizes and not noted.entries:
        noted.entries.extend((0, noted.pts[0], noted.dts[0], noted.sizes[0], -1))
    return noted


def _order_by_times(pts: Numbers) -> Numbers | None:
    """Sort packets by when they are shown; None if the times cannot be believed."""
    if (pts == NONE).any():
        return None
    order = np.argsort(pts, kind="stable")
    if (np.diff(pts[order]) == 0).any():
        return None
    # A recorder that starts its clock anew would be shown in two halves pushed into each other.
    return order if int(np.abs(order - np.arange(len(order))).max()) <= STRAY else None


def _order_by_decoding(opened: Opened, count: int) -> Numbers:
    """Decode all frames, without the work that only their looks need, for their order."""
    again = opened.reopen()
    try:
        context = again.stream.codec_context
        context.thread_count = 1
        context.options = _coarse(opened)
        seen: list[int] = []
        with told(), again.source.bounded(OPENING + 20 * again.source.length / PACE):
            for ordinal, packet in enumerate(list_packets(again)):
                seen += _decode_or_keep(context, packet, ordinal)
            seen += _decode_or_keep(context, None, count)
    finally:
        again.close()
    known = [ordinal for ordinal in dict.fromkeys(seen) if 0 <= ordinal < count]
    if not known:
        raise DamageError("no frame can be decoded", todo=COPY)
    return np.array(known, np.int64)


def _list_lost(shown: Numbers, entry: int, count: int) -> list[int]:
    """List packets that gave no frame, those at the very beginning aside.

    There, frames stored after the first entry may be shown before it, and lack their predecessors.
    """
    lost = np.ones(count, bool)
    lost[shown] = False
    first = entry + 1
    while first < count and lost[first]:
        first += 1
    lost[:first] = False
    return [int(ordinal) for ordinal in np.flatnonzero(lost)]


def _coarse(opened: Opened) -> dict[str, str]:
    """Set a decoder to what a plain one gives, without the work that only its looks need."""
    limit = opened.stream.codec_context.options["max_pixels"]
    return {"skip_loop_filter": "all", "skip_idct": "all", "max_pixels": limit}


def _decode_or_keep(context: Any, packet: Any, ordinal: int) -> list[int]:
    """Give the ordinals that come out; that of a damaged packet, whose place must not be lost."""
    found = _decode_or_skip(context, packet, ordinal)
    return [ordinal] if found is None else found


def _decode_or_skip(context: Any, packet: Any, ordinal: int) -> list[int] | None:
    """Give the ordinals that come out; None for a damaged packet."""
    import av

    try:
        return [found for found, _ in decode_packet(context, packet, ordinal)]
    except av.error.FFmpegError:
        return None


def _drop_leading(opened: Opened, entry: int, shown: Numbers) -> Numbers:
    """Leave out frames at the very beginning whose predecessors were cut away.

    A decoder leaves them out too, so that they would shift every index.
    """
    at = int(np.flatnonzero(shown == entry)[0])
    if at > 10_000:
        raise DamageError("no key frame near the beginning", todo=COPY)
    again = opened.reopen()
    seen: set[int] = set()
    try:
        context = again.stream.codec_context
        context.thread_count = 1
        context.options = _coarse(opened)
        with told(), again.source.bounded(OPENING * 4):
            for ordinal, packet in enumerate(list_packets(again)):
                seen.update(_decode_or_skip(context, packet, ordinal) or ())
                if entry in seen or ordinal > entry + STRAY:
                    break
            else:
                seen.update(_decode_or_skip(context, None, -1) or ())
    finally:
        again.close()
    if entry not in seen:
        return shown
    kept = [ordinal for ordinal in shown[:at].tolist() if ordinal in seen]
    return np.concatenate([np.array(kept, np.int64), shown[at:]])


def _find_times(pts: Numbers | None, dts: Numbers, shown: Numbers) -> Numbers | None:
    if pts is not None:
        return pts[shown]
    if (dts == NONE).any():
        return None
    ticks = np.sort(dts)[: len(shown)]  # an avi counts its frames, whatever their order
    return ticks if (np.diff(ticks) > 0).all() else None


def _find_end(times: Numbers | None, last: int) -> int:
    if times is None:
        return 0
    steps = np.diff(times)
    return int(times[-1]) + max(last or (int(np.median(steps)) if len(steps) else 1), 1)
