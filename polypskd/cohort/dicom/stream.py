"""Take a video out of a DICOM file."""

from __future__ import annotations

from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.encapsulation import read_items
from polypskd.cohort.dicom.header import COPY, UNDEFINED, read_header
from polypskd.cohort.dicom.layout import LIES
from polypskd.cohort.dicom.syntaxes import VIDEOS, name_syntax

MOST_BYTES = 2**30


def read_stream(path: Path) -> bytes:
    """Read the video stream of a DICOM file (MPEG-2, H.264, HEVC).

    The stream is one frame to DICOM, in one fragment or several; `NumberOfFrames` counts the
    video's own. At most one zero byte, which pads it to an even length, is taken off its end.

    Args:
        path: a DICOM file of a video transfer syntax.

    Returns:
        The bytes of a video file.

    Raises:
        DamageError: it is no video, is damaged, or holds more than 1 GiB.
        OSError: it cannot be opened.
    """
    header = read_header(path)
    if header.syntax not in VIDEOS:
        raise DamageError("is no video", name_syntax(header.syntax), "read it as DICOM frames")
    pixels = header.pixels
    if pixels is None:
        raise DamageError("has no pixels", todo=COPY)
    if pixels.length != UNDEFINED:
        raise DamageError("the video is not encapsulated", todo=LIES)
    with header.open() as file:
        _, items = read_items(file, pixels.start, header.size)
        total = sum(item.length for item in items)
        if total > MOST_BYTES:
            limit = f"at most {MOST_BYTES >> 30} GiB; take the video out as a file"
            raise DamageError("the video is too large", f"{total} bytes", limit)
        stream = bytearray()
        for item in items:
            file.seek(item.start)
            stream += file.read(item.length)
    if not stream:
        raise DamageError("the video is empty", todo=COPY)
    if stream[-1] == 0:
        del stream[-1]
    return bytes(stream)
