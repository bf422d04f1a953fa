"""Small videos, made by the tests, and what a plain decode from the beginning gives of them."""

import io
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av", reason="the extra polypskd[video] is not installed")


def picture(i: int, width: int, height: int) -> np.ndarray:
    """A picture that differs from its neighbors everywhere."""
    y, x = np.mgrid[:height, :width]
    red = x * 3 + i * 7
    green = y * 2 + i * 13 + x // 8 * 5
    blue = (x - i * 3) ** 2 // 16 + (y - i) ** 2 // 9
    return np.stack([red, green, blue], -1).astype(np.uint8)


def make_clip(form: str, codec: str, frames: int = 40, **how: object) -> bytes:
    """Encode a clip.

    Args:
        form: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        frames: how many.
        how: size, pix, bf (B-frames), gop, options, times (in ticks of `tick`), tick, tag.
    """
    width, height = how.get("size", (64, 48))
    pix = how.get("pix", "yuv420p")
    tick = how.get("tick", Fraction(1, 25))
    times = how.get("times", range(frames))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25, options=how.get("options", {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix
        context = stream.codec_context
        context.gop_size, context.max_b_frames = how.get("gop", 12), how.get("bf", 0)
        context.thread_count, context.time_base = 1, tick
        for key, value in how.get("tag", {}).items():
            setattr(context, key, value)
        for i, time in zip(range(frames), times, strict=True):
            rgb = av.VideoFrame.from_ndarray(picture(i, width, height), format="rgb24")
            frame = rgb.reformat(format=pix)
            frame.pts, frame.time_base = time, tick
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return buffer.getvalue()


def decode_all(data: bytes) -> list[np.ndarray]:
    """Decode from the beginning, as a plain player does."""
    from av.video.reformatter import VideoReformatter

    from polypskd.cohort.video.color import convert_frame

    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        reformatter = VideoReformatter()
        return [convert_frame(reformatter, frame) for frame in container.decode(stream)]


def list_packets(data: bytes) -> list[bytes]:
    """The packets as they lie in the file."""
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


H264 = {"preset": "medium", "x264-params": "scenecut=0"}
FAST = {"preset": "veryfast"}
OPEN = {"x264-params": "scenecut=0:open-gop=1:keyint=10:min-keyint=5:b-pyramid=normal"}
REFRESH = {"x264-params": "scenecut=0:intra-refresh=1:keyint=15"}
HEVC = {"x265-params": "log-level=none:keyint=10:open-gop=1"}
