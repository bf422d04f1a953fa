"""DICOM JSON as archives write it (PS3.18 F), read without trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from polypskd.deployment.pacs.archive import StudyEntry

# Tags, as DICOM JSON names them.
STUDY, SERIES, INSTANCE, CLASS = "0020000D", "0020000E", "00080018", "00080016"
MODALITY, MODALITIES, COUNT = "00080060", "00080061", "00201208"
DAY, TIME, STATION, DESCRIPTION = "00080020", "00080030", "00081010", "0008103E"
STORED, FAILED, REFERENCED, REASON = "00081199", "00081198", "00081155", "00081197"
Entry = Mapping[str, Any]


def read_study(entry: Entry) -> StudyEntry:
    """Read what is said of a study; its UID is not yet checked."""
    modalities = {one for one in list_values(entry, MODALITIES) if isinstance(one, str)}
    return StudyEntry(
        study_uid=read_text(entry, STUDY),
        modalities=tuple(sorted(modalities)),
        count=read_number(entry, COUNT),
        when=f"{read_text(entry, DAY)}{read_text(entry, TIME)}",
    )


def read_object(data: bytes) -> Entry:
    """Read the one object of an answer; an empty one where there is none.

    >>> read_object(b'[{"00081199": {"vr": "SQ"}}]')
    {'00081199': {'vr': 'SQ'}}
    >>> read_object(b"<html>")
    {}
    """
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if isinstance(told, list):
        told = told[0] if told else {}
    return told if isinstance(told, dict) else {}


def list_values(entry: Entry, tag: str) -> list[Any]:
    """List the values of an attribute, whatever they are; none where it is missing."""
    element = entry.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def list_items(entry: Entry, tag: str) -> list[Entry]:
    """List the items of a sequence."""
    return [one for one in list_values(entry, tag) if isinstance(one, dict)]


def read_text(entry: Entry, tag: str) -> str:
    r"""Read the first value of an attribute, if it is text; else "".

    >>> read_text({"00080060": {"vr": "CS", "Value": ["ES "]}}, "00080060")
    'ES'
    """
    values = list_values(entry, tag)
    return values[0].strip(" \0") if values and isinstance(values[0], str) else ""


def read_number(entry: Entry, tag: str) -> int:
    """Read the first value of an attribute, if it is a number from 0 on; else 0."""
    values = list_values(entry, tag)
    try:
        return max(0, int(values[0])) if values else 0
    except (TypeError, ValueError, OverflowError):
        return 0
