"""Which attributes of a header may stand in a table, and which become keyed hashes."""

from __future__ import annotations

from collections.abc import Mapping

from polypskd.cohort.dicom.reader_import import import_pydicom
from polypskd.cohort.pseudonyms import pseudonymize

# Only what cannot tell who somebody is stays as it is: numbers, codes, and words about the device.
PLAIN_VR = {"CS", "AS", "DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"}
PLAIN = {
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "CodeValue",
    "CodeMeaning",
    "CodingSchemeDesignator",
    "SOPClassUID",
}


def hide_columns(
    values: Mapping[str, str], attributes: Mapping[str, str], key: bytes
) -> dict[str, str]:
    """Hash every value that may tell who somebody is.

    Numbers, codes and words about the device stay as they are; names, ids, dates, UIDs and free
    text become keyed hashes, by which they can be compared and not read.

    Args:
        values: column → value of one file; empty where its header has none.
        attributes: column → keywords, joined by dots for items, by | for alternatives.
        key: of the hashes.

    >>> key = b"0123456789abcdef"
    >>> attributes = {"patient": "PatientID", "device": "ManufacturerModelName"}
    >>> hide_columns({"patient": "4711", "device": "CV-190"}, attributes, key)
    {'patient': 'd6f9c71fc9711c56', 'device': 'CV-190'}
    """
    return {
        column: values[column] if is_plain(where) else pseudonymize(values[column], key)
        for column, where in attributes.items()
    }


def is_plain(where: str) -> bool:
    """Tell whether values of an attribute cannot tell who somebody is.

    >>> is_plain("ImageLaterality|Laterality"), is_plain("PatientBirthDate")
    (True, False)
    """
    import_pydicom()
    from pydicom.datadict import dictionary_VR

    last = [path.rpartition(".")[2] for path in where.split("|")]
    return all(keyword in PLAIN or dictionary_VR(keyword) in PLAIN_VR for keyword in last)
