"""Whose an image is: the patient's and the study's attributes that results repeat.

An archive sorts by them. Their values go into results and nowhere else: no message names one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from polypskd.cohort.damage import DamageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ASK = "ask for the file anew"
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
        if keyword == "PatientID" and text != read_text(source, keyword):
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

    text = read_text(source, keyword)
    kind = dictionary_VR(tag_for_keyword(keyword) or 0)
    if keyword == "PatientSex" and text not in SEXES:
        return ""
    fits = FORMS[kind](text) and text.isprintable()
    return text if fits and "\\" not in text and "\ufffd" not in text else ""


def read_text(source: Dataset, keyword: str) -> str:
    """Read a value as it was written.

    Args:
        source: the header of a file.
        keyword: of the attribute.

    Returns:
        The text; "" where there is none, values parted by backslashes where there are several, and
        U+FFFD where the bytes are damaged.
    """
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
