"""Is a file DICOM? Told from its first bytes, whatever its name."""

from __future__ import annotations

import struct
from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.cohort.regular import open_regular

HEAD = 132
GROUPS = (0x0002, 0x0008)  # groups that a data set without preamble starts with
LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def looks_like_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: "DICM" after 128 bytes, or a plausible bare data set.

    Args:
        path: a file; one that cannot be opened is none.
    """
    try:
        with open_regular(path) as file:
            head = file.read(HEAD)
    except (OSError, DamageError):
        return False
    return starts_dicom(head)


def is_dicom_video(path: Path) -> bool:
    """Tell whether a file is DICOM that holds a video (MPEG-2, H.264, HEVC).

    Args:
        path: a file; a damaged one is none.

    Raises:
        OSError: it cannot be opened.
    """
    from polypskd.cohort.dicom.header import read_header
    from polypskd.cohort.dicom.syntaxes import VIDEOS

    try:
        return looks_like_dicom(path) and read_header(path).syntax in VIDEOS
    except DamageError:
        return False


def starts_dicom(head: bytes) -> bool:
    r"""Tell whether bytes start a DICOM file.

    Args:
        head: the first 132 bytes.

    >>> starts_dicom(bytes(128) + b"DICM")
    True
    >>> starts_dicom(b"\x08\0\x05\0CS\x0a\0ISO_IR 100")
    True
    >>> starts_dicom(b"\xff\xd8\xff\xe0" + bytes(128))
    False
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack_from(f"{order}HH", head)
        if group not in GROUPS or element > 0x0100:
            continue
        if LETTERS.issuperset(head[4:6]):
            return True
        (length,) = struct.unpack_from(f"{order}I", head, 4)
        if order == "<" and length % 2 == 0 and length <= 1024:
            return True
    return False
