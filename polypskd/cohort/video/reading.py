"""Frames of one video, by index or by time."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from pathlib import Path

import numpy as np

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video.color import Pixels, convert_frame
from polypskd.cohort.video.container import open_container, told
from polypskd.cohort.video.decoding import Decoder
from polypskd.cohort.video.index import Index, Numbers, build_index

SLACK = Fraction(1, 10**6)  # seconds by which a time written in decimals may fall short


class Video:
    """A video, opened; not to be shared between threads.

    Args:
        decoder: of its frames.
    """

    def __init__(self, decoder: Decoder) -> None:
        from av.video.reformatter import VideoReformatter

        self.decoder = decoder
        self.index = decoder.index
        self._reformatter = VideoReformatter()

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.index.order)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.decoder.size

    def close(self) -> None:
        """Close the file."""
        self.decoder.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, index: int) -> Pixels:
        """Read one frame; reading the one after the last goes on without a seek.

        Args:
            index: in the order in which frames are shown, from 0.

        Returns:
            (H, W, 3) uint8 RGB, as stored: no rotation, no stretching, no deinterlacing.

        Raises:
            DamageError: there is no such frame, or its bytes or those it is built on are damaged.
        """
        if not 0 <= index < self.count:
            raise DamageError("no frame", str(index), f"frames are 0 to {self.count - 1}")
        with told():
            frame = self.decoder.decode(int(self.index.order[index]))
            if (frame.width, frame.height) != self.size:
                size = f"{frame.width}x{frame.height}"
                raise DamageError("the size changes within the video, here to", size, "cut it")
            return convert_frame(self._reformatter, frame)

    def find(self, seconds: float) -> int:
        """Find the frame that is shown at a time.

        Args:
            seconds: since the first frame came up.

        Returns:
            Index of the last frame that came up by then.

        Raises:
            DamageError: before the first frame or after the last, or the stream carries no times.
        """
        times, tick = self._times, self.index.tick
        first = int(times[0])
        length = (self.index.end - first) * tick
        if not math.isfinite(seconds) or not 0 <= seconds < length - SLACK:
            until = f"give seconds from 0 to {float(length):g}"
            raise DamageError("not a time in the video", f"{seconds:g}", until)
        ticks = math.floor((Fraction(seconds) + SLACK) / tick) + first
        return int(np.searchsorted(times, ticks, side="right")) - 1

    def tell_time(self, index: int) -> float:
        """Tell when a frame comes up, in seconds since the first did.

        Args:
            index: from 0.

        Raises:
            DamageError: the stream carries no times.
        """
        return float((int(self._times[index]) - int(self._times[0])) * self.index.tick)

    @property
    def _times(self) -> Numbers:
        if self.index.times is None:
            raise DamageError("the video carries no times", todo="name frames by their number")
        return self.index.times


def open_video(
    file: Path | io.BytesIO,
    *,
    min_side: int = 1,
    max_megapixels: float = 64.0,
    index: Index | None = None,
) -> Video:
    """Open a video and find its frames.

    Args:
        file: mp4, mov, avi, mkv, MPEG program or transport stream, or a bare H.264, HEVC or MPEG-2
            stream, as a path or as bytes (those of a DICOM video).
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed; nothing larger is decoded.
        index: of the same file, if it is known already.

    Raises:
        DamageError: what is wrong with it.
        OSError: the file is missing or cannot be read.
    """
    opened = open_container(file, min_side=min_side, max_megapixels=max_megapixels)
    try:
        return Video(Decoder(opened, index or build_index(opened)))
    except BaseException:
        opened.close()
        raise
