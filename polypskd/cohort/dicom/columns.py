"""Attributes of a DICOM header as columns of the cohort, without a patient's name in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polypskd.cohort.pseudonym import pseudonymize
from polypskd.errors import ConfigError

if TYPE_CHECKING:
    from pydicom import Dataset

# Only what cannot tell who somebody is stays as it is: numbers, codes, and words about the device.
PLAIN_VR = {"CS", "AS", "DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "UC", "UV", "SV"}
PLAIN = {
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "CodeValue",
    "CodeMeaning",
    "CodingSchemeDesignator",
    "SOPClassUID",
    "LossyImageCompressionMethod",
}
LONGEST = 256  # characters of a column's value


def check_attributes(attributes: Mapping[str, str]) -> None:
    """Refuse attributes that DICOM does not know.

    Args:
        attributes: column → keyword, or keywords with dots into sequences.

    Raises:
        ConfigError: with every one of them.

    >>> check_attributes({"site": "AnatomicRegionSequence.CodeMeaning"})
    >>> check_attributes({"patient": "PatientId"})
    Traceback (most recent call last):
    polypskd.errors.ConfigError: cohort.frames.attributes.patient: unknown DICOM keyword 'PatientId'
    """
    from pydicom.datadict import tag_for_keyword

    wrong = [
        f"cohort.frames.attributes.{column}: unknown DICOM keyword {keyword!r}"
        for column, path in attributes.items()
        for keyword in path.split(".")
        if tag_for_keyword(keyword) is None
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))


def read_columns(header: Dataset, attributes: Mapping[str, str], key: bytes) -> dict[str, str]:
    """Read the columns of one file.

    Numbers, codes and words about the device stay as they are; every other value (names, ids,
    dates, UIDs, free text) becomes a keyed hash, by which it can be compared and not read.

    Args:
        header: of the file.
        attributes: column → keyword, or keywords with dots into the first items of sequences.
        key: of the hashes.

    Returns:
        Column → value; empty where the header has none.
    """
    return {column: _read_column(header, path, key) for column, path in attributes.items()}


def _read_column(header: Any, path: str, key: bytes) -> str:
    *parents, last = path.split(".")
    for keyword in parents:
        items = header.get(keyword)
        if not isinstance(items, list) and not hasattr(items, "__len__"):
            return ""
        if not len(items) or not hasattr(items[0], "get"):
            return ""
        header = items[0]
    value = header.get(last)
    if value is None:
        return ""
    many = isinstance(value, list) or type(value).__name__ == "MultiValue"
    text = "\\".join(map(str, value)) if many else str(value)
    text = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    if last in PLAIN or _vr_of(last) in PLAIN_VR:
        return text[:LONGEST]
    return pseudonymize(key, last, text)


def _vr_of(keyword: str) -> str:
    from pydicom.datadict import dictionary_VR

    return str(dictionary_VR(keyword))
