"""Frames by path: the last few videos stay open, so that the next frame costs no seek."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from polypskd.cohort.video.color import Pixels
from polypskd.cohort.video.index import Index
from polypskd.cohort.video.reading import Video, open_video

OPEN = 2  # videos a thread keeps open
KNOWN = 64  # videos whose frames are known, in all threads

Key = tuple[str, int, int, int, int, float]

_mine = threading.local()
_indexes: OrderedDict[Key, Index] = OrderedDict()


def read_video_frame(
    path: Path, index: int, *, min_side: int = 1, max_megapixels: float = 64.0
) -> Pixels:
    """Read one frame of a video; consecutive frames are decoded on, without a seek.

    Args:
        path: of the video.
        index: in the order in which frames are shown, from 0.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed; nothing larger is decoded.

    Returns:
        (H, W, 3) uint8 RGB, as stored.

    Raises:
        DamageError: what is wrong with the video or the frame.
        OSError: the file is missing or cannot be read.
    """
    return _open_kept(path, min_side, max_megapixels).read(index)


def count_frames(path: Path, *, min_side: int = 1, max_megapixels: float = 64.0) -> int:
    """Count the frames of a video; they are found without being decoded.

    Args:
        path: of the video.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed.

    Raises:
        DamageError: what is wrong with the video.
        OSError: the file is missing or cannot be read.
    """
    return _open_kept(path, min_side, max_megapixels).count


def list_indices(count: int, *, start: int = 0, stop: int | None = None, stride: int = 1) -> range:
    """List the indices of the frames taken of a video.

    Args:
        count: frames of the video.
        start: first index taken.
        stop: index before which taking ends; None: at the end.
        stride: step, at least 1.

    >>> list(list_indices(10, start=2, stride=3))
    [2, 5, 8]
    >>> list(list_indices(3, stop=99))
    [0, 1, 2]
    """
    if stride < 1 or start < 0:
        raise ValueError("start must be at least 0 and stride at least 1")
    return range(start, count if stop is None else min(stop, count), stride)


def _open_kept(path: Path, min_side: int, max_megapixels: float) -> Video:
    about = path.stat()
    key = (str(path), about.st_size, about.st_mtime_ns, about.st_ino, min_side, max_megapixels)
    kept = _list_kept()
    video = kept.get(key)
    if video is None:
        index = _indexes.get(key)
        video = open_video(path, min_side=min_side, max_megapixels=max_megapixels, index=index)
        kept[key] = video
        while len(kept) > OPEN:
            kept.popitem(last=False)[1].close()
        _indexes[key] = video.index
        with suppress(KeyError):  # no lock, which a fork might copy while it is held
            while len(_indexes) > KNOWN:
                _indexes.popitem(last=False)
    kept.move_to_end(key)
    return video


def _list_kept() -> OrderedDict[Key, Video]:
    """Give this thread's open videos: none after a fork, where both would share one position."""
    if getattr(_mine, "process", None) != os.getpid():
        _mine.process = os.getpid()
        _mine.videos = OrderedDict()
    videos: OrderedDict[Key, Video] = _mine.videos
    return videos
