"""Dates moved back by so many days a patient: intervals stay, the calendar is lost."""

from __future__ import annotations

import datetime
import re

from polypskd.deployment.seals import seal

SPAN = 3650  # days; a shift within ten years hides the year of an exam
DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
TIME = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?")
REST = re.compile(r"(?:(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?)?(?:[+-]\d{4})?")


def derive_shift(patient: str, key: bytes) -> int:
    """Derive how many days a patient's dates are moved.

    Args:
        patient: what tells the patient from others.
        key: the secret.

    Returns:
        -3650 to -1: dates move into the past, so that none lies in the future.

    >>> -3650 <= derive_shift("4711", b"secret") <= -1
    True
    """
    return -1 - int.from_bytes(seal(key, "dates", patient)[:8], "big") % SPAN


def shift_date(value: str, days: int) -> str:
    """Move a date; empty where the value is no date.

    >>> shift_date("20240301", -1)
    '20240229'
    >>> shift_date("March", -1)
    ''
    """
    found = DATE.fullmatch(value.strip(" \0"))
    if found is None:
        return ""
    try:
        day = datetime.date(*(int(part) for part in found.groups()))
        return (day + datetime.timedelta(days)).strftime("%Y%m%d").zfill(8)
    except (ValueError, OverflowError):
        return ""


def shift_datetime(value: str, days: int) -> str:
    """Move the date of a DT; the time and the zone stay. Empty where the value has no full date.

    >>> shift_datetime("20240301101530.25+0100", -1)
    '20240229101530.25+0100'
    >>> shift_datetime("2024", -1)
    ''
    """
    value = value.strip(" \0")
    day = shift_date(value[:8], days)
    return day + value[8:] if day and REST.fullmatch(value[8:]) else ""


def keep_time(value: str) -> str:
    """Keep a time of the day; empty where the value is none.

    >>> keep_time("101530"), keep_time("noon")
    ('101530', '')
    """
    value = value.strip(" \0")
    return value if TIME.fullmatch(value) else ""
