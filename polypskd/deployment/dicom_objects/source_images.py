"""The images that results speak of: what names them, and whose they are.

Values of a patient go into results and nowhere else: no message names one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.cohort.damage import DamageError
from polypskd.deployment.dicom_objects.patients import (
    ASK,
    EMPTY,
    clean_text,
    copy_patient,
    read_text,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from polypskd.cohort.dicom.header import Header

UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
LONGEST_UID = 64
NAMES = {
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
    "sop_class": "SOPClassUID",
}
EQUIPMENT = {
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
    "software_versions": "SoftwareVersions",
}
MOST_PROFILE = 1 << 20
PIECE = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class SourceImage:
    """One DICOM file whose frames were answered.

    Args:
        path: where it lies.
        study: its UIDs.
        series: likewise.
        instance: likewise.
        sop_class: likewise.
        pixels_sha256: of the pixel data as they are stored. Unlike the whole file's it is the same
            whichever way an archive gives the instance out, unless that encodes it anew.
        rows: of a frame.
        columns: of a frame.
        samples: of a pixel; 3 for color.
        frames: that it says it has.
        order: its numbers of series and instance, for sorting.
        zone: offset from UTC as `+0100`, or "".
        equipment: that took it.
        color_profile: its ICC profile, or none.
        patient: the attributes of patient and study that results repeat.
    """

    path: Path
    study: str
    series: str
    instance: str
    sop_class: str
    pixels_sha256: str
    rows: int
    columns: int
    samples: int
    frames: int
    order: tuple[int, int]
    zone: str
    equipment: dict[str, str]
    color_profile: bytes = field(repr=False)
    patient: Dataset = field(repr=False)

    @property
    def number(self) -> int:
        """The instance's number, from 1: results repeat it, as no other file changes it."""
        return max(1, self.order[1])

    def refer(self) -> Dataset:
        """Make the bare data set that highdicom refers to; it holds nothing of a patient."""
        from pydicom.dataset import Dataset as NewDataset

        bare = NewDataset()
        for name, keyword in NAMES.items():
            setattr(bare, keyword, getattr(self, name))
        for keyword in EMPTY:
            setattr(bare, keyword, None)
        bare.Modality = "ES"  # asked for, and used for nothing
        bare.Rows, bare.Columns, bare.SamplesPerPixel = self.rows, self.columns, self.samples
        return bare


def read_source_image(path: Path) -> SourceImage:
    """Read what results need of a DICOM file; pixels are hashed and not decoded.

    Args:
        path: of the file.

    Raises:
        DamageError: it is damaged, or lacks a UID by which it could be referred to.
        OSError: it cannot be opened or read.
    """
    from polypskd.cohort.dicom.header import read_header

    header = read_header(path)
    hashed = _hash_pixels(header)
    try:
        return _describe(path, header.dataset, hashed)
    except DamageError:
        raise
    except Exception:  # pydicom raises what it meets; its words quote values
        raise DamageError("damaged: its attributes cannot be read", todo=ASK) from None


def _hash_pixels(header: Header) -> str:
    if header.pixels is None:
        return ""
    hashed = hashlib.sha256()
    left = header.pixels.length  # of encapsulated pixels all ones: to the end of the file
    with header.open() as file:
        file.seek(header.pixels.start)
        while left > 0 and (piece := file.read(min(left, PIECE))):
            hashed.update(piece)
            left -= len(piece)
    return hashed.hexdigest()


def _describe(path: Path, source: Dataset, hashed: str) -> SourceImage:
    found = {name: _read_uid(source, keyword) for name, keyword in NAMES.items()}
    _check_class(found["sop_class"])
    number = read_text(source, "NumberOfFrames")
    zone = read_text(source, "TimezoneOffsetFromUTC")
    return SourceImage(
        path=path,
        **found,
        pixels_sha256=hashed,
        rows=int(source.Rows),
        columns=int(source.Columns),
        samples=int(source.get("SamplesPerPixel") or 1),
        frames=int(number) if re.fullmatch(r"\d{1,9}", number, re.ASCII) else 1,
        order=(_read_number(source, "SeriesNumber"), _read_number(source, "InstanceNumber")),
        zone=zone if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", zone, re.ASCII) else "",
        equipment=_find_equipment(source),
        color_profile=_find_profile(source),
        patient=copy_patient(source),
    )


def _read_uid(source: Dataset, keyword: str) -> str:
    text = read_text(source, keyword)
    if not text:
        raise DamageError(f"has no {keyword}", todo=ASK)
    if len(text) > LONGEST_UID or not UID.fullmatch(text):
        raise DamageError(f"its {keyword} is no UID", todo=ASK)
    return text


def _check_class(uid: str) -> None:
    """Refuse what an archive could not tell to be an image."""
    from pydicom import uid as uids

    if uids.UID(uid).name == uid:
        raise DamageError("its SOP class is not known", todo="results cannot refer to it")


def _read_number(source: Dataset, keyword: str) -> int:
    text = read_text(source, keyword)
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0


def _find_equipment(source: Dataset) -> dict[str, str]:
    read = {
        name: clean_text(read_text(source, word), 64).replace("\ufffd", "")
        for name, word in EQUIPMENT.items()
    }
    return {name: text for name, text in read.items() if text} if read["manufacturer"] else {}


def _find_profile(source: Dataset) -> bytes:
    """Find a color profile of a class that presentation states may have."""
    data = source.get("ICCProfile")
    if not isinstance(data, bytes) or not 128 <= len(data) <= MOST_PROFILE:
        return b""
    fits = data[36:40] == b"acsp" and data[12:16] in (b"scnr", b"spac") and data[16:20] == b"RGB "
    return data if fits else b""
