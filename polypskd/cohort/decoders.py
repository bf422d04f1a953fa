"""Which packages turn a cohort's files into pixels, for the provenance."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import PurePosixPath

from polypskd.cohort.address import VIDEO, split_address
from polypskd.cohort.frames import READERS

IMAGES = "images"


def describe_decoders(frames: Iterable[str]) -> dict[str, str]:
    """Name the decoders of frames, with their versions.

    Args:
        frames: paths of frames, with `#` and a number for one of many.

    Returns:
        What is decoded → package and version; images always.

    >>> list(describe_decoders(["a.png"]))
    ['images']
    """
    suffixes = {PurePosixPath(split_address(name)[0]).suffix.lower() for name in frames}
    import cv2

    found = {IMAGES: f"opencv {cv2.__version__}"}
    dicom = suffixes - VIDEO - set(READERS)
    if dicom:
        from polypskd.cohort.dicom import describe_decoders as describe_dicom

        found |= {f"DICOM {name}": package for name, package in describe_dicom().items()}
    if suffixes & VIDEO or (dicom and find_spec("av")):  # a DICOM file may hold a video
        from polypskd.cohort.video import describe_decoder

        parts = describe_decoder()
        found["video"] = ", ".join(f"{name} {version}" for name, version in parts.items())
    return found
