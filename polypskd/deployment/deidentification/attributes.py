"""A data set without its patient: every attribute is decided on, at every depth.

The result is built anew from what may stay, so that what nobody thought of is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.codes import VALUES, find_code, is_code
from polypskd.deployment.deidentification.dates import keep_time, shift_date, shift_datetime
from polypskd.deployment.deidentification.private import SafePrivate, keep_private, read_element
from polypskd.deployment.deidentification.profile import NUMBERS, check_value, decide_action
from polypskd.deployment.deidentification.uids import replace_uid

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

DEEPEST = 16  # sequences within sequences; a file of more is made to do harm
WORD = "DEIDENTIFIED"
DUMMIES: dict[str, Any] = {
    "AS": "000Y",
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "UR": "urn:deidentified",
    "OB": b"\0\0",
    "OW": b"\0\0",
    "UN": b"\0\0",
    "US": 0,
    "IS": "0",
    "DS": "0",
}
SHIFTS: dict[str, Callable[[str, int], str]] = {
    "DA": shift_date,
    "DT": shift_datetime,
    "TM": lambda value, days: keep_time(value),
}
CODED = (*VALUES, "CodingSchemeDesignator", "CodeMeaning", "CodingSchemeVersion")
IMAGE_TYPE = 0x00080008
AGE = 0x00101010
LONGEST = 64  # characters of a text that stays
MANY = 8
OLDEST = 90  # years; so few live longer that the age itself would tell who


@dataclass(frozen=True)
class Patient:
    """What stands for one patient.

    Args:
        pseudonym: for name and id.
        days: by which dates move.
    """

    pseudonym: str
    days: int


@dataclass(frozen=True)
class Cleaning:
    """How attributes are cleaned.

    Args:
        key: the secret behind UIDs.
        retained: of `polypskd.deployment.deidentification.profile.RETAINED`.
        private: attributes that a rule file calls safe.
    """

    key: bytes
    retained: frozenset[str] = frozenset()
    private: tuple[SafePrivate, ...] = ()


def clean_attributes(
    dataset: Dataset, cleaning: Cleaning, patient: Patient, depth: int = 0
) -> Dataset:
    """Build a data set without what tells of a patient; pixels are not looked at.

    Args:
        dataset: one level of a file; it is not changed.
        cleaning: the options.
        patient: what stands for the patient.
        depth: how many sequences lie above.

    Raises:
        DamageError: sequences are nested without end.
    """
    from pydicom.dataset import Dataset as NewDataset

    if depth > DEEPEST:
        raise DamageError("sequences nested too deep", todo="leave the file out")
    clean = NewDataset()
    for element in _read_elements(dataset):
        try:
            made = _clean_element(element, cleaning, patient, depth)
        except (ValueError, TypeError, AttributeError, OverflowError):
            continue  # a value that its type cannot hold
        if made is not None:
            clean.add(made)
    for element in keep_private(dataset, cleaning.private):
        clean.add(element)
    return clean


def _read_elements(dataset: Dataset) -> Iterator[DataElement]:
    """Read the standard attributes whose bytes are of the type that the standard gives them.

    A file may call Rows a text and write a name into it.
    """
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    for tag in sorted(dataset.keys()):
        if tag.is_private or tag.element == 0:
            continue
        known = dictionary_VR(tag).split(" or ") if dictionary_has_tag(tag) else []
        element = read_element(dataset, tag)
        if element is not None and element.VR in known:
            yield element


def _clean_element(
    element: DataElement, cleaning: Cleaning, patient: Patient, depth: int
) -> DataElement | None:
    from pydicom.dataelem import DataElement as NewElement

    tag, vr = int(element.tag), str(element.VR)
    make = partial(NewElement, element.tag, vr)
    match decide_action(tag, vr, cleaning.retained):
        case "empty":
            return make([] if vr == "SQ" else None)
        case "dummy" if vr != "UI":
            return make(DUMMIES.get(vr, WORD))
        case "pseudonym":
            return make(patient.pseudonym)
        case "uid" | "dummy":
            uids = [replace_uid(text, cleaning.key) for text in _list_texts(element)]
            return make(uids[0] if len(uids) == 1 else uids)
        case "shift":
            return _shift(element, make, patient.days)
        case "check":
            return _check(element, make)
        case "keep":
            return make(element.value) if _fits(element) else make(None)
        case "descend":
            return _descend(element, make, cleaning, patient, depth)
        case _:
            return None


def _shift(
    element: DataElement, make: Callable[[Any], DataElement], days: int
) -> DataElement | None:
    """Move the dates; where one cannot be read, all of the attribute is emptied."""
    if int(element.tag) == 0x00080201:  # the zone, as +0100
        zone = str(element.value)
        told = len(zone) == 5 and zone[0] in "+-" and zone[1:].isdigit()
        return make(zone) if told else None
    shift = SHIFTS.get(str(element.VR))
    if shift is None:
        return None
    moved = [shift(text, days) for text in _list_texts(element)]
    return make(moved if len(moved) > 1 else moved[0] if moved else None)


def _check(element: DataElement, make: Callable[[Any], DataElement]) -> DataElement:
    """Keep values that the attribute may have; anything else leaves it empty."""
    tag, vr = int(element.tag), str(element.VR)
    if vr in NUMBERS:
        return make(element.value if _fits(element) else None)
    texts = _list_texts(element)
    if tag == IMAGE_TYPE:
        # Its later values are the vendors' own.
        texts = texts[:2]
    few = vr in {"DS", "IS"} or _fits(element)
    if not few or not all(check_value(tag, vr, text) for text in texts):
        return make(None)
    if tag == AGE:
        texts = [
            f"{min(int(text[:3]), OLDEST):03}Y" if text.endswith("Y") else text for text in texts
        ]
    return make(texts if len(texts) > 1 else texts[0] if texts else None)


def _fits(element: DataElement) -> bool:
    """Whether values are as many, as short and as plain as the attribute's may be.

    A wrong length in a damaged file makes one attribute swallow its neighbors, names among them.
    """
    most = dictionary_most(int(element.tag))
    if most < element.VM:
        return False
    return str(element.VR) in NUMBERS or all(
        len(text) <= LONGEST and text.isprintable() for text in _list_texts(element)
    )


def dictionary_most(tag: int) -> int:
    """Tell how many values a standard attribute may have; a list without end has few.

    >>> dictionary_most(0x00280010), dictionary_most(0x00280009)
    (1, 8)
    """
    from pydicom.datadict import dictionary_has_tag, dictionary_VM

    last = dictionary_VM(tag).rpartition("-")[2] if dictionary_has_tag(tag) else "1"
    return int(last) if last.isdigit() else MANY


def _descend(
    element: DataElement,
    make: Callable[[Any], DataElement],
    cleaning: Cleaning,
    patient: Patient,
    depth: int,
) -> DataElement | None:
    items = []
    for item in element.value:
        clean = clean_attributes(item, cleaning, patient, depth + 1)
        if is_code(item):
            code = find_code(item)
            if code is None:
                continue
            for name in CODED:
                if name in clean:
                    delattr(clean, name)
            value = "CodeValue" if len(code[0]) <= 16 else "LongCodeValue"
            setattr(clean, value, code[0])
            clean.CodingSchemeDesignator, clean.CodeMeaning = code[1], code[2][:64]
        items.append(clean)
    # Where no item may stay the attribute goes: few sequences may be there without one.
    return make(items) if items or not element.value else None


def _list_texts(element: DataElement) -> list[str]:
    """List the values of an attribute as they were written."""
    from pydicom.multival import MultiValue

    value = element.value
    values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    if values in ([None], [""]):
        return []
    return [str(getattr(one, "original_string", one)).strip(" \0") for one in values]


def read_text(source: Dataset, name: str) -> str:
    """Read an attribute as text; empty where it is missing or its bytes are damaged."""
    try:
        value = source.get(name)
    except Exception:  # whatever pydicom makes of damaged bytes
        return ""
    return str(value).strip(" \0") if value else ""
