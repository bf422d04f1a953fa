"""What is offered in an association: classes of objects, each in each of its transfer syntaxes.

Each pair is a presentation context of its own. In one context with many syntaxes the other side
chooses one of them, and what it holds in another is transcoded or not sent at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.syntaxes import BIG_ENDIAN, CODECS, NATIVE, VIDEOS
from polypskd.errors import OutputError

VL = "1.2.840.10008.5.1.4.1.1.77.1"
ENDOSCOPIC, ENDOSCOPIC_VIDEO = f"{VL}.1", f"{VL}.1.1"
PHOTOGRAPHIC, PHOTOGRAPHIC_VIDEO = f"{VL}.4", f"{VL}.4.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CAPTURES = (CAPTURE, f"{CAPTURE}.2", f"{CAPTURE}.4")  # one frame; many gray; many colored
PICTURES = (ENDOSCOPIC, PHOTOGRAPHIC, *CAPTURES)
CLIPS = (ENDOSCOPIC_VIDEO, PHOTOGRAPHIC_VIDEO)
MOST = 128  # contexts of an association
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"

PICTURE_SYNTAXES = (*CODECS, *(uid for uid in NATIVE if uid != BIG_ENDIAN))
CLIP_SYNTAXES = (*VIDEOS, JPEG, EXPLICIT)


def list_pairs() -> list[tuple[str, str]]:
    """List what can be judged: class and transfer syntax.

    >>> len(list_pairs()) < MOST
    True
    """
    pairs = [(one, syntax) for one in PICTURES for syntax in PICTURE_SYNTAXES]
    return pairs + [(one, syntax) for one in CLIPS for syntax in CLIP_SYNTAXES]


def build_contexts(pairs: Iterable[tuple[str, str]]) -> list[Any]:
    """Build presentation contexts, one a pair of class and transfer syntax."""
    from pynetdicom import build_context

    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def read_pair(path: Path) -> tuple[str, str]:
    """Read class and transfer syntax of a file.

    Raises:
        OutputError: it is no DICOM file.
    """
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (OSError, InvalidDicomError, AttributeError, DamageError, EOFError, ValueError):
        raise OutputError(f"{path}: is no DICOM file that can be sent") from None


def name_pair(pair: tuple[str, str]) -> str:
    """Name class and transfer syntax in words.

    >>> name_pair((ENDOSCOPIC, JPEG))
    'VL Endoscopic Image Storage as JPEG Baseline (Process 1)'
    """
    from pydicom.uid import UID

    return f"{UID(pair[0]).name} as {UID(pair[1]).name}"
