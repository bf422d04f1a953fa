"""A video file opened: which formats and decoders may be, how much they may read and allocate.

FFmpeg reads through a Python file object and may open nothing else, so that no playlist, data
reference or address within a file leads out of it.
"""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from polypskd.cohort.damage import DamageError
from polypskd.cohort.limits import check_sides
from polypskd.cohort.video.boxes import check_boxes

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

INSTALL = (
    "pip install 'polypskd[video]' (in a clone: '.[video]'; in the serving image or the offline "
    "folder: build it with VIDEO=yes)"
)
FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,h264,hevc"
CODECS = (
    "h264,hevc,mpeg1video,mpeg2video,mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4,mjpeg,wmv1,wmv2,wmv3,vc1,"
    "vp8,vp9,libdav1d,av1,ffv1,huffyuv,ffvhuff,utvideo,rawvideo,png,dvvideo,prores"
)
COPY = "copy the video anew"
ENCODE = "encode the video anew as H.264 in mp4"
CANNOT = "not a readable video"
OPENING = 8.0  # seconds for the head, and beyond what its bytes need for the rest of a file
PACE = 2e6  # bytes a second that the slowest disk gives and the slowest machine takes apart
GEN_PTS = 0x0001  # AVFMT_FLAG_GENPTS


class Source:
    """The bytes of one video, with an end to FFmpeg's patience: reading on raises TimeoutError.

    Args:
        file: a path to a regular file, or bytes in memory.

    Raises:
        DamageError: the file is empty or no regular file.
        OSError: the file is missing or cannot be read.
    """

    name = "video"  # what FFmpeg may know of the path: nothing

    def __init__(self, file: Path | io.BytesIO) -> None:
        self._file: BinaryIO
        if isinstance(file, io.BytesIO):
            self._file = io.BytesIO(file.getvalue())  # shares the bytes, not the position
            self.length = len(file.getbuffer())
        else:
            if not stat.S_ISREG(file.stat().st_mode):  # a pipe would wait for ever
                raise DamageError("not a file", todo="check the path")
            self._file = file.open("rb")
            self.length = os.fstat(self._file.fileno()).st_size
        self._until = float("inf")
        if self.length == 0:
            self.close()
            raise DamageError("the file is empty (0 bytes)", todo=COPY)

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[None]:
        """Give what happens within so many seconds."""
        self._until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until = float("inf")

    def check_time(self) -> None:
        """Raise TimeoutError once the time is over."""
        if time.monotonic() > self._until:
            raise TimeoutError

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        self.check_time()
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        self.check_time()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Tell the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:  # a thread that ends leaves its videos open
        if hasattr(self, "_file"):
            self._file.close()


@dataclass(frozen=True)
class Opened:
    """A container with its video stream, not yet decoded."""

    source: Source
    container: InputContainer
    stream: VideoStream
    reopen: Callable[[], Opened]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the header tells."""
        return self.stream.codec_context.width, self.stream.codec_context.height

    def close(self) -> None:
        """Close container and file."""
        self.container.close()
        self.source.close()


def load_av() -> Any:
    """Import PyAV, quietly.

    Raises:
        DamageError: it is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError:
        raise DamageError(
            "videos need the package av, which is not installed",
            todo=INSTALL,
        ) from None
    if av.logging.get_level() is not None:
        av.logging.set_level(None)
    return av


def describe_decoder() -> dict[str, str]:
    """Tell what decodes: the same file gives the same pixels as long as this is the same.

    Raises:
        DamageError: PyAV is not installed.
    """
    av = load_av()
    from av import library_versions as found

    parts = ("libavformat", "libavcodec", "libswscale")
    versions = {part: ".".join(map(str, found[part])) for part in parts}
    return {"av": str(av.__version__), "ffmpeg": str(av.ffmpeg_version_info), **versions}


@contextmanager
def told() -> Iterator[None]:
    """Tell what PyAV raises as DamageError; its own messages are dropped, they may quote the file.

    Raises:
        DamageError: FFmpeg found no video, damage, or no end.
    """
    av = load_av()
    try:
        yield
    except TimeoutError:
        raise DamageError("takes too long to read: it is damaged", todo=COPY) from None
    except MemoryError:
        raise DamageError("needs too much memory", todo=ENCODE) from None
    except (av.error.FFmpegError, EOFError, ValueError, OverflowError):
        raise DamageError(CANNOT, todo=COPY) from None


def open_container(
    file: Path | io.BytesIO, *, min_side: int = 1, max_megapixels: float = 64.0
) -> Opened:
    """Open a video and look at its header; no frame is decoded for its pixels.

    Args:
        file: a path or bytes.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed.

    Raises:
        DamageError: no video, a format or decoder that is not allowed, too small or too large.
        OSError: the file is missing or cannot be read.
    """
    av = load_av()
    source = Source(file)
    try:
        with told(), source.bounded(OPENING):
            check_boxes(source)
            container = av.open(
                source,
                "r",
                options=_options(max_megapixels),
                metadata_errors="replace",
                io_open=_refuse,
            )
        try:
            container.flags &= ~GEN_PTS  # FFmpeg's guesses at missing times are wrong for B-frames
            stream = _choose_stream(container)
            _check_size(stream, min_side, max_megapixels)
        except BaseException:
            container.close()
            raise
    except BaseException:
        source.close()
        raise

    def reopen() -> Opened:
        return open_container(file, min_side=min_side, max_megapixels=max_megapixels)

    set_decoder(stream, max_megapixels)
    return Opened(source, container, stream, reopen)


def set_decoder(stream: VideoStream, max_megapixels: float) -> None:
    """Prepare the stream's decoder: one thread, an end at damage, bounded memory.

    Args:
        stream: not decoded yet.
        max_megapixels: largest area that a frame may have, also where the size changes on the way.
    """
    context = stream.codec_context
    context.thread_count = 1
    context.options = {
        "err_detect": "crccheck+explode",
        "max_pixels": str(int(max_megapixels * 1e6)),
    }


def _options(max_megapixels: float) -> dict[str, str]:
    return {
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
        "protocol_whitelist": "",
        "max_pixels": str(int(max_megapixels * 1e6)),
        "max_streams": "64",
        "threads": "1",
    }


def _refuse(*_: object) -> BinaryIO:
    raise PermissionError("a video may refer to no other file")


def _choose_stream(container: InputContainer) -> VideoStream:
    """Give the first video that is no cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if Disposition.attached_pic not in stream.disposition:
            if stream.codec_context is None:
                break
            if stream.codec_context.name not in CODECS.split(","):
                raise DamageError("video codec not allowed", stream.codec_context.name, ENCODE)
            return stream
    raise DamageError("holds no video that can be decoded", todo=ENCODE)


def _check_size(stream: VideoStream, min_side: int, max_megapixels: float) -> None:
    context = stream.codec_context
    sides = (
        max(context.width, context.coded_width),
        max(context.height, context.coded_height),
    )
    if min(context.width, context.height) <= 0:
        raise DamageError("its header tells no size, or one that cannot be", todo=COPY)
    check_sides(context.width, context.height, min_side=min_side, max_megapixels=max_megapixels)
    check_sides(*sides, min_side=min_side, max_megapixels=max_megapixels)  # as coded, padded
