"""Videos without what is told beside the picture: metadata, audio, subtitles, attachments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video.container import INSTALL
from polypskd.deployment.deidentification.coded_pictures import CODINGS, strip_head, strip_pictures
from polypskd.errors import ConfigError

if TYPE_CHECKING:
    from polypskd.deployment.deidentification.panel import Plan

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".ts"}
SAME = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
CONTAINERS = {"mp4", "mov", "matroska", "avi", "mpeg", "mpegts", "asf"}
LONGEST_HEAD = 4096  # bytes that tell a decoder how pictures are coded
MEGAPIXELS = 64.0
NEEDS = f"videos need PyAV; {INSTALL}"
DAMAGED = DamageError("not a readable video", todo="copy the video anew")


def is_video(name: str) -> bool:
    """Whether a file's suffix is that of a video.

    >>> is_video("a/b.MP4"), is_video("a/b.dcm")
    (True, False)
    """
    return PurePath(name).suffix.lower() in VIDEOS


def choose_suffix(name: str) -> str:
    """Choose the suffix of the cleaned video: the container stays where it can be written.

    >>> choose_suffix("a.mov"), choose_suffix("a.wmv")
    ('.mov', '.mkv')
    """
    suffix = PurePath(name).suffix.lower()
    return suffix if suffix in SAME else ".mkv"


def measure_video(path: Path) -> tuple[int, int]:
    """Read (width, height) of a video's picture.

    Raises:
        DamageError: it is no readable video.
        ConfigError: PyAV is not installed.
    """
    with _open(path) as source:
        stream = source.streams.video[0]
        width, height = int(stream.codec_context.width), int(stream.codec_context.height)
    if not 0 < width * height <= MEGAPIXELS * 1e6:
        value = f"{width}x{height}"
        raise DamageError("no size of a video", value, f"at most {MEGAPIXELS:g} megapixels")
    return width, height


def clean_video(path: Path, out: Path, plan: Plan, *, suffix: str) -> None:
    """Write a video's picture and nothing else.

    Without a mask the coded pictures are copied; with one, each is decoded, masked, and coded anew
    (H.264, nearly without loss).

    Args:
        path: the video.
        out: where it is written.
        plan: how pixels are cleaned.
        suffix: of the container, of `choose_suffix`.

    Raises:
        DamageError: it is no readable video.
        ConfigError: PyAV is not installed.
    """
    import av

    with _open(path) as source:
        # Without bitexact, the muxer would write its version, and Matroska a random number.
        options = {"fflags": "+bitexact"}
        with av.open(str(out), "w", format=SAME[suffix], options=options) as target:
            if plan.mask is None:
                _copy(source, target)
            else:
                _encode(source, target, plan)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        import av
    except ImportError:
        raise ConfigError(NEEDS) from None
    try:
        with av.open(str(path), "r", metadata_errors="ignore") as source:
            # A damaged container may pass for a bare stream, with its title among the coded bytes.
            if not source.streams.video or not CONTAINERS & set(source.format.name.split(",")):
                raise DAMAGED
            coding = source.streams.video[0].codec_context
            if coding is None or len(coding.extradata or b"") > LONGEST_HEAD:
                raise DAMAGED
            yield source
    except (av.FFmpegError, ValueError, OverflowError):
        raise DAMAGED from None


def _copy(source: Any, target: Any) -> None:
    import av

    stream = source.streams.video[0]
    coding = stream.codec_context.name
    if coding not in CODINGS:
        raise DamageError("its coding is not known", coding, "save the video as H.264")
    head = bytes(stream.codec_context.extradata or b"")
    copy = target.add_stream_from_template(stream, opaque=True)
    copy.metadata.clear()
    copy.codec_context.extradata = strip_head(head, coding) or None
    for packet in source.demux(stream):
        if packet.size == 0:
            continue
        if packet.is_discard:
            raise DamageError(
                "a cut left pictures in it that are not shown", todo="save the video anew"
            )
        data = strip_pictures(bytes(packet), coding, head)
        if not data:
            continue
        if packet.dts is None and packet.pts is None:
            raise DamageError("a picture in it has no time", todo="save the video anew, as MP4")
        made = av.Packet(data)  # a new one: what hangs on a packet may be text
        made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
        made.duration, made.is_keyframe = packet.duration, packet.is_keyframe
        made.stream = copy
        target.mux(made)


def _encode(source: Any, target: Any, plan: Plan) -> None:
    import av

    stream = source.streams.video[0]
    rate = stream.average_rate or Fraction(25)
    made = target.add_stream("libx264", rate=rate)
    made.width, made.height = stream.codec_context.width, stream.codec_context.height
    # With sides that are odd, colors cannot be stored for two by two pixels.
    made.pix_fmt = "yuv444p" if made.width % 2 or made.height % 2 else "yuv420p"
    made.codec_context.time_base = stream.time_base
    made.options = {"crf": "14", "threads": "1"}
    for frame in source.decode(stream):
        if (frame.width, frame.height) != (made.width, made.height):
            raise DamageError("its size changes", todo="cut the video where it does")
        pixels = frame.to_ndarray(format="rgb24")
        masked = av.VideoFrame.from_ndarray(plan.mask(pixels), format="rgb24")  # type: ignore[misc]
        masked.pts, masked.time_base = frame.pts, frame.time_base
        target.mux(made.encode(masked))
    target.mux(made.encode(None))
