"""One frame of a file that may hold many: a DICOM file or a video."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.address import DICOM, MANY, VIDEO, holds_many, split_address
from polypskd.cohort.damage import DamageError
from polypskd.cohort.limits import Limits

if TYPE_CHECKING:
    from polypskd.cohort.dicom import DicomFrames
    from polypskd.cohort.video import Video

Pixels = NDArray[np.uint8]
KEPT = 2  # DICOM files a thread keeps at hand: the names of one file's frames stand side by side

_mine = threading.local()


def read_of_many(path: Path, limits: Limits) -> Pixels:
    """Read one frame of a DICOM file or a video.

    Args:
        path: of the file, with `#` and the number for one frame of many.
        limits: of its size, looked at before a pixel is decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DamageError: the suffix is unknown, the bytes cannot be trusted, or there is no such frame.
        OSError: the file cannot be read.
    """
    name, number = split_address(path.name)
    file = path.with_name(name)
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in VIDEO:
        return _read_video(file, number, limits)
    if not holds_many(name) or (suffix not in MANY and file.exists() and not _is_dicom(file)):
        from polypskd.cohort.frames import READERS

        known = ", ".join([*READERS, *sorted(DICOM), *sorted(VIDEO)])
        raise DamageError("unknown suffix", suffix, f"use one of: {known}")
    opened = _open_dicom(file, limits)
    if number is None and opened.count > 1:
        raise _unnumbered(name, 1, opened.count)
    if number is not None and opened.count == 1 and not isinstance(opened, StreamFrames):
        # Else one frame would have two names, and could stand in two splits.
        raise DamageError("holds one frame", f"#{number}", f"name it without a number: {name}")
    number = 1 if number is None else number
    if not 1 <= number <= opened.count:
        raise DamageError("no frame", str(number), f"the file has 1 to {opened.count}")
    return opened.read(number)


def count_frames(path: Path) -> int:
    """Count the frames of a DICOM file in its pixels.

    Raises:
        DamageError: the bytes cannot be trusted.
        OSError: the file cannot be read.
    """
    return _open_dicom(path, Limits()).count


@dataclass(frozen=True)
class StreamFrames:
    """The frames of a video in a DICOM file, numbered from 1 as DICOM does."""

    video: Video

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.video.count

    def read(self, number: int) -> Pixels:
        """Read one frame, (H, W, 3) uint8 RGB."""
        return self.video.read(number - 1)


def _read_video(file: Path, number: int | None, limits: Limits) -> Pixels:
    from polypskd.cohort.video import count_frames, read_video_frame

    sides = {"min_side": limits.min_side, "max_megapixels": limits.max_megapixels}
    if number is None:
        raise _unnumbered(file.name, 0, count_frames(file, **sides))  # type: ignore[arg-type]
    return read_video_frame(file, number, **sides)  # type: ignore[arg-type]


def _unnumbered(name: str, first: int, count: int) -> DamageError:
    last = count - 1 + first
    todo = f"name one by its number, {first} to {last}, as in {name}#{first}"
    return DamageError(f"holds {count} frames", todo=todo)


def _is_dicom(path: Path) -> bool:
    from polypskd.cohort.dicom import looks_like_dicom

    return looks_like_dicom(path)


def _open_dicom(path: Path, limits: Limits) -> DicomFrames | StreamFrames:
    """Open a file, or take it from those that this thread has at hand."""
    from polypskd.cohort.dicom import VideoError, open_dicom, read_stream

    about = path.stat()
    key = (str(path), about.st_size, about.st_mtime_ns, limits)
    kept = _list_kept()
    if key not in kept:
        sides = {"min_side": limits.min_side, "max_megapixels": limits.max_megapixels}
        try:
            kept[key] = open_dicom(path, **sides)  # type: ignore[arg-type]
        except VideoError:
            from polypskd.cohort.video import open_video

            stream = io.BytesIO(read_stream(path))
            kept[key] = StreamFrames(open_video(stream, **sides))  # type: ignore[arg-type]
        while len(kept) > KEPT:
            _, oldest = kept.popitem(last=False)
            if isinstance(oldest, StreamFrames):
                oldest.video.close()
    kept.move_to_end(key)
    return kept[key]


def _list_kept() -> OrderedDict[tuple[str, int, int, Limits], DicomFrames | StreamFrames]:
    """Give this thread's files: none after a fork, where both would share one position."""
    if getattr(_mine, "process", None) != os.getpid():
        _mine.process = os.getpid()
        _mine.files = OrderedDict()
    files: OrderedDict[tuple[str, int, int, Limits], DicomFrames | StreamFrames] = _mine.files
    return files
