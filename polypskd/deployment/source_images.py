"""The images that results speak of: what names them, and whose they are.

Of a hospital's file, results take what files them beside it: the patient's and the study's
attributes that an archive sorts by. Their values go into these objects and nowhere else: no message
names one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.cohort.damage import DamageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
LONGEST_UID = 64
ASK = "ask for the file anew"
NAMES = {
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
    "sop_class": "SOPClassUID",
}
# Type 2 attributes stand empty where they are unknown; the others are left out.
EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
OTHERS = ("IssuerOfPatientID", "TypeOfPatientID", "StudyDescription", "PatientAge")
REMOVED = ("PatientIdentityRemoved", "DeidentificationMethod")  # one asks for the other
EQUIPMENT = {
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
    "software_versions": "SoftwareVersions",
}
MOST_PROFILE = 1 << 20


@dataclass(frozen=True)
class SourceImage:
    """One DICOM file whose frames were answered.

    Args:
        path: where it lies.
        study: its UIDs.
        series: likewise.
        instance: likewise.
        sop_class: likewise.
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
    """Read what results need of a DICOM file; no pixel is read.

    Args:
        path: of the file.

    Raises:
        DamageError: it is damaged, or lacks a UID by which it could be referred to.
        OSError: it cannot be opened.
    """
    from polypskd.cohort.dicom.header import read_header

    source = read_header(path).dataset
    try:
        return _describe(path, source)
    except DamageError:
        raise
    except Exception:  # pydicom raises what it meets; its words quote values
        raise DamageError("damaged: its attributes cannot be read", todo=ASK) from None


def _describe(path: Path, source: Dataset) -> SourceImage:
    found = {name: _read_uid(source, keyword) for name, keyword in NAMES.items()}
    _check_class(found["sop_class"])
    number = _read_text(source, "NumberOfFrames")
    zone = _read_text(source, "TimezoneOffsetFromUTC")
    return SourceImage(
        path=path,
        **found,
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


def copy_patient(source: Dataset) -> Dataset:
    """Copy the attributes of patient and study, each only where its value is of its type.

    Args:
        source: the header of a file.

    Returns:
        A data set in Unicode; attributes of type 2 stand empty where there is no good value.

    Raises:
        DamageError: the patient's id cannot be copied as it is; a changed one would be another's.
    """
    from pydicom.dataset import Dataset as NewDataset

    patient = NewDataset()
    for keyword in (*EMPTY, *OTHERS):
        text = _read_valid(source, keyword)
        if keyword == "PatientID" and text != _read_text(source, keyword):
            raise DamageError("its patient id has a form that DICOM does not allow", todo=ASK)
        if text or keyword in EMPTY:
            setattr(patient, keyword, text)
    removed = [_read_valid(source, keyword) for keyword in REMOVED]
    if removed[0] == "YES" and removed[1]:
        for keyword, text in zip(REMOVED, removed, strict=True):
            setattr(patient, keyword, text)
    return patient


def count_patients(patients: Iterable[Dataset]) -> int:
    """Count the patients that data sets name: by id and issuer, and without an id by the rest.

    A name or birth date that differs beside one id is a correction, and no other patient.

    Args:
        patients: as `copy_patient` gives them.
    """
    by_id = set()
    issuers = set()
    for one in patients:
        known = str(one.PatientID or "")
        issuers.add(str(one.get("IssuerOfPatientID") or ""))
        told = () if known else (str(one.PatientName or ""), str(one.PatientBirthDate or ""))
        by_id.add((known, *told))
    # One file may leave the issuer out.
    return max(len(by_id), len(issuers - {""}))


def clean_text(text: str, most: int) -> str:
    r"""Make a text fit for an attribute: no control characters, no backslash, not too long.

    >>> clean_text("a\\b\nc", 10)
    'a b c'
    """
    plain = "".join(one if one.isprintable() and one != "\\" else " " for one in text)
    return " ".join(plain.split())[:most].strip()


def _is_date(text: str) -> bool:
    from datetime import datetime

    try:
        return len(text) == 8 and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False


def _is_name(text: str) -> bool:
    groups = text.split("=")
    return len(groups) <= 3 and all(len(one) <= 64 and one.count("^") <= 4 for one in groups)


TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", re.ASCII)
FORMS: dict[str, Callable[[str], bool]] = {
    "PN": _is_name,
    "LO": lambda text: len(text) <= 64,
    "SH": lambda text: len(text) <= 16,
    "DA": _is_date,
    "TM": lambda text: TIME.fullmatch(text) is not None,
    "AS": lambda text: re.fullmatch(r"\d{3}[DWMY]", text, re.ASCII) is not None,
    "CS": lambda text: re.fullmatch(r"[A-Z0-9_ ]{1,16}", text, re.ASCII) is not None,
}
SEXES = ("M", "F", "O")


def _read_valid(source: Dataset, keyword: str) -> str:
    """Read a text that its attribute may hold; "" where it may not."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    text = _read_text(source, keyword)
    kind = dictionary_VR(tag_for_keyword(keyword) or 0)
    if keyword == "PatientSex" and text not in SEXES:
        return ""
    fits = FORMS[kind](text) and text.isprintable()
    return text if fits and "\\" not in text and "\ufffd" not in text else ""


def _read_text(source: Dataset, keyword: str) -> str:
    """Read a single value as it was written; "" where there is none, or several."""
    if keyword not in source:
        return ""
    try:
        value = source[keyword].value
    except Exception:  # whatever pydicom makes of damaged bytes
        return "\ufffd"
    if value is None:
        return ""
    if hasattr(value, "family_name"):
        return str(value).strip(" \0")  # decoded by the file's character set
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        return "\\".join(str(one) for one in value)
    return str(getattr(value, "original_string", value)).strip(" \0")


def _read_uid(source: Dataset, keyword: str) -> str:
    text = _read_text(source, keyword)
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
    text = _read_text(source, keyword)
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0


def _find_equipment(source: Dataset) -> dict[str, str]:
    read = {
        name: clean_text(_read_text(source, word), 64).replace("\ufffd", "")
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
