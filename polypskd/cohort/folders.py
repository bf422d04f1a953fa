"""Whether the folders of frames may be named by classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_KINDS = (
    "bilder dcm dicom dicoms export exports frame frames image images img jpeg jpegs jpg mkv mov "
    "mp4 photo photos pics pictures png pngs still stills tif tiff video videos"
)
KINDS = frozenset(_KINDS.split())
FEWEST = 3  # frames of a folder whose name may be a class
MOST = 50  # classes


def doubt_folders(frames: Sequence[str]) -> str:
    """Say why the names of folders are no classes; "" where they may be.

    Args:
        frames: paths that begin with ``frames/``.

    >>> doubt_folders(["frames/a/dicom/1.png", "frames/a/jpg/1.jpg"])
    'folders are named by kinds of files'
    >>> doubt_folders([f"frames/{name}/{n}.png" for name in ("low", "high") for n in range(3)])
    ''
    """
    folders = Counter("/".join(frame.split("/")[1:-1]) for frame in frames)
    names = Counter(path.rpartition("/")[2] for path in folders.elements())
    if "" in names or len(names) < 2:
        return "there is not one folder a class"
    if any(name.casefold() in KINDS for name in names):
        return "folders are named by kinds of files"
    if len(names) > MOST or min(names.values()) < FEWEST or any(map(_is_code, names)):
        return "folders are too many, too small or numbered, so that they may be no classes"
    return ""


def _is_code(name: str) -> bool:
    return not any(letter.isalpha() for letter in name)
