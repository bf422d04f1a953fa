"""Frames by the turn of their packets in the file: from the entry before, or on from the last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video.container import COPY, OPENING, PACE, Opened
from polypskd.cohort.video.index import NONE, Entry, Index, decode_packet, list_packets

KEYS = "encode the video anew with a key frame every few seconds (ffmpeg -g 250)"
CHANGED = "the file changed while it was read"
NEAR = 16  # packets decoded on the way to an entry rather than sought over
LOST = 600  # packets looked at, after a seek, for one that is known
TRIES = 3  # damage may be met on the way to the entry, then behind the frame
REACH = 2e10  # pixels decoded for one frame: minutes without a key frame, and no more


class Decoder:
    """A decoder that knows of every frame from which packet it came.

    Args:
        opened: the container; its stream's decoder is used here alone.
        index: of its frames.
    """

    def __init__(self, opened: Opened, index: Index) -> None:
        self._opened = opened
        self.index = index
        self.size = opened.size  # width and height in pixels, as the header tells
        self._ranks = index.rank[index.order]
        self._torn = set(index.torn)
        self._packets: Iterator[Any] | None = None
        self._next = -1  # ordinal of the packet to be decoded next; -1: seek first
        self._begun = 0  # ordinal at which decoding began
        self._given = -1  # highest rank that came out since
        self._out: deque[tuple[int, Any]] = deque()
        self._last: tuple[int, Any] | None = None
        self._spoilt = False
        self.seeks = self.rewinds = 0

    def close(self) -> None:
        """Close the file."""
        self._out.clear()
        self._last = self._packets = None
        self._opened.close()

    def decode(self, ordinal: int) -> Any:
        """Decode the frame of one packet.

        Args:
            ordinal: the packet's turn in the file.

        Raises:
            DamageError: the packet, or one that its frame may be built on, is damaged.
        """
        if self._last is None or self._last[0] != ordinal:
            self._last = None
            entry = self.index.find_entry(ordinal)
            frame = None
            for _ in range(TRIES):
                self._check_torn(entry, ordinal)
                if not self._goes_on(entry, ordinal):
                    with self._opened.source.bounded(OPENING):
                        self._seek(entry)
                frame = self._decode_up_to(ordinal)
                if frame is not None:
                    break
            self._check_torn(entry, ordinal)
            if frame is None:
                raise DamageError("the frame cannot be decoded", todo=COPY)
            self._last = (ordinal, frame)
        return self._last[1]

    def _decode_up_to(self, ordinal: int) -> Any:
        """Decode on until a frame comes out; None if it does not, or damage came before it."""
        rank, area = self.index.rank, self.size[0] * self.size[1]
        sent = 0
        while sent * area <= REACH:
            while self._out:
                found, frame = self._out[0]
                if rank[found] > rank[ordinal]:
                    return None
                self._out.popleft()
                if found == ordinal:
                    return frame
            if self._next < 0:
                return None
            self._step()
            sent += 1
        self._next = -1
        raise DamageError("too far from the last key frame", todo=KEYS)

    def _goes_on(self, entry: Entry, ordinal: int) -> bool:
        """Tell whether the frame is still to come from where the decoder stands, and soon."""
        if entry.ordinal < self._begun:
            return False  # what comes out of here was not decoded from where it should
        if any(found == ordinal for found, _ in self._out):
            return True
        soon = self._next >= 0 and entry.ordinal <= self._next + NEAR
        return soon and bool(self.index.rank[ordinal] > self._given)

    def _step(self) -> None:
        """Decode the next packet; at the end, and before damage, take out what the decoder holds.

        A damaged packet spoils the frames still held by the decoder, and the decoder itself: it is
        replaced, and stopped before that packet the next time.
        """
        import av

        context, at = self._opened.stream.codec_context, self._next
        packet = self._fetch()
        # Shown before the entry and stored after it: what it is built on was passed over.
        leading = packet is not None and self.index.find_entry(at).ordinal < self._begun
        if at in self._torn and not leading:
            self._spoilt, packet = True, None
        try:
            self._take(decode_packet(context, packet, at))
        except av.error.FFmpegError:
            self._spoilt = True
            if leading:
                self._next = at + 1
                return
            self._torn.add(at)
            self._out.clear()
            packet = None
        self._next = at + 1 if packet is not None else -1

    def _take(self, frames: list[tuple[int, Any]]) -> None:
        rank = self.index.rank
        for ordinal, frame in frames:
            if not 0 <= ordinal < len(rank):
                continue
            if frame.is_corrupt:
                self._mark(ordinal)
            if rank[ordinal] > self._given:
                span = np.searchsorted(self._ranks, [self._given + 1, rank[ordinal]])
                for lost in self.index.order[span[0] : span[1]].tolist():
                    self._mark(lost)  # neither a frame nor an error came of it
                self._given = int(rank[ordinal])
            self._out.append((ordinal, frame))

    def _mark(self, ordinal: int) -> None:
        """Note damage, unless what the packet is built on was passed over on purpose."""
        if self.index.find_entry(ordinal).ordinal >= self._begun:
            self._torn.add(ordinal)

    def _fetch(self) -> Any:
        """Give the next packet, None after the last."""
        at, sizes = self._next, self.index.sizes
        if at >= len(sizes):
            return None
        if self.index.offsets is not None:
            return self._cut(int(self.index.offsets[at]), int(sizes[at]))
        packet = next(self._packets, None) if self._packets is not None else None
        if packet is None or packet.size != sizes[at]:
            self._next = -1
            raise DamageError(CHANGED, todo="read it again")
        return packet

    def _cut(self, offset: int, size: int) -> Any:
        """Give a packet of a stream without a container."""
        from av.packet import Packet

        self._opened.source.seek(offset)
        data = self._opened.source.read(size)
        if len(data) != size:
            self._next = -1
            raise DamageError(CHANGED, todo="read it again")
        return Packet(data)

    def _seek(self, entry: Entry) -> None:
        """Stand before an entry, with an empty decoder."""
        self._out.clear()
        self.seeks += 1
        if self._spoilt:
            self._reopen()
        self._begun = self._next = entry.ordinal
        self._given = int(self.index.rank[entry.ordinal]) - 1
        if self.index.offsets is not None:
            self._opened.stream.codec_context.flush_buffers()
            return
        aim: Entry | None = entry
        for _ in range(3):
            if aim is not None:
                if any(self._land(time, entry) for time in dict.fromkeys((aim.dts, aim.pts))):
                    return
                aim = self.index.find_before(aim)
        self._rewind(entry)

    def _land(self, time: int, entry: Entry) -> bool:
        """Seek to a time and walk on to an entry; false if the container leads elsewhere."""
        import av

        if time == NONE:
            return False
        try:
            self._opened.container.seek(time, stream=self._opened.stream)
        except av.error.FFmpegError:
            return False
        packets = list_packets(self._opened)
        at = -1
        for tried, packet in enumerate(packets):
            if at >= 0:
                at += 1
            elif packet.is_keyframe:
                at = self.index.recognize(packet.pts, packet.dts, bytes(packet))
            if at == entry.ordinal:
                self._packets = _chain(packet, packets)
                return True
            if at > entry.ordinal or (at < 0 and tried > LOST):
                return False
        return False

    def _rewind(self, entry: Entry) -> None:
        """Read on from the very beginning: the way that always leads there."""
        self.rewinds += 1
        self._reopen()
        self._packets = list_packets(self._opened)
        source = self._opened.source
        with source.bounded(OPENING + source.length / PACE):
            for _ in range(entry.ordinal):
                next(self._packets, None)

    def _reopen(self) -> None:
        """Begin with a new decoder: one that met damage gives wrong frames even when emptied."""
        again = self._opened.reopen()
        self._opened.close()
        self._opened, self._packets, self._spoilt = again, None, False

    def _check_torn(self, entry: Entry, ordinal: int) -> None:
        """Refuse a frame that is built on damage, wherever reading began."""
        if any(entry.ordinal <= at <= ordinal for at in self._torn):
            raise DamageError("damaged: the frame, or one that it is built on", todo=COPY)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
