"""One frame of many: `exam/clip.mp4#312` is frame 312 of the file `exam/clip.mp4`.

Frames of DICOM files count from 1, as in DICOM; those of videos from 0, in the order in which they
are shown. A file with one frame has no number.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

DICOM = frozenset({".dcm", ".dicom", ".dic", ".ima"})
VIDEO = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts"})
MANY = DICOM | VIDEO

_NUMBERED = re.compile(r"(?s)(.+)#([0-9]{1,9})")
# Archives name DICOM files by number or by UID, whose last part is no suffix.
_BARE = re.compile(r"(\.[0-9]+)?")


def split_address(name: str) -> tuple[str, int | None]:
    """Split a frame's name into the path of its file and its number there.

    A `#` counts only where digits alone follow it and a file that may hold many frames stands
    before it: a DICOM file (which may have no suffix) or a video.

    Args:
        name: path below the cohort's root, with `#` and a number for one frame of many.

    Returns:
        The path, and the number; None where the name has none.

    >>> split_address("exam/clip.mp4#312")
    ('exam/clip.mp4', 312)
    >>> split_address("exam/IM0001#3")
    ('exam/IM0001', 3)
    >>> split_address("lesion#3.png")
    ('lesion#3.png', None)
    """
    found = _NUMBERED.fullmatch(name)
    if found is None or not holds_many(found[1]):
        return name, None
    return found[1], int(found[2])


def join_address(path: str, number: int | None) -> str:
    """Name one frame of a file.

    Args:
        path: of the file, below the cohort's root.
        number: from 1 in DICOM, from 0 in videos; None for the only frame.

    >>> join_address("exam/clip.mp4", 312), join_address("a.png", None)
    ('exam/clip.mp4#312', 'a.png')
    """
    return path if number is None else f"{path}#{number}"


def order_address(name: str) -> tuple[str, int]:
    """Give what sorts frames by file, then by number: a file is read on and not sought in.

    >>> sorted(["a.mp4#10", "a.mp4#9", "a.mp4"], key=order_address)
    ['a.mp4', 'a.mp4#9', 'a.mp4#10']
    """
    path, number = split_address(name)
    return path, -1 if number is None else number


def holds_many(path: str) -> bool:
    """Tell by its name whether a file may hold many frames.

    >>> holds_many("clip.MP4"), holds_many("1.2.840.10008"), holds_many("a.png")
    (True, True, False)
    """
    suffix = PurePosixPath(path).suffix.lower()
    return suffix in MANY or _BARE.fullmatch(suffix) is not None
