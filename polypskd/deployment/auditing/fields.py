"""What an audit log may say: an allow-list of fields, each with the form of its values.

Nothing of a patient fits: there is no field for a name, an id, a date of an exam, a file name or
text in free words; a SOP instance UID and the host's name stand only as keyed hashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polypskd.errors import OutputError

EVENTS = ("open", "start", "input", "end", "mended")
OUTCOMES = ("done", "abstained", "refused", "failed", "skipped", "stopped")

HASH = r"[0-9a-f]{64}"
SEALED = r"[0-9a-f]{32}"
VERSION = r"\d{1,6}(\.\d{1,6}){0,3}((a|b|rc|\.dev|\.post|-rc\.?)\d{1,6})?"
# Text: the pattern that all of it fits. Number: the largest; 0 is the least.
FIELDS: dict[str, str | int] = {
    "format": 9,
    "tool_version": VERSION,
    "run": r"[0-9a-f]{16}",
    "bundle_name": r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
    "bundle_version": VERSION,
    "model_sha256": HASH,
    "config_sha256": HASH,
    "input_sha256": HASH,
    "sop_uid_sealed": SEALED,
    "host_sealed": SEALED,
    "outcome": "|".join(OUTCOMES),
    "frames": 2**53,
    "inputs": 2**53,
    "faults": 2**53,
    "exit_code": 255,
    "user_id": 2**32 - 1,
    # Told by the log itself, of what a killed writer left behind.
    "torn_bytes": 2**53,
    "torn_sha256": HASH,
    "beyond_head": 2**53,
}
Event = Mapping[str, Any]


def is_allowed(name: str, value: object) -> bool:
    """Whether a field may have a value.

    >>> is_allowed("exit_code", 0), is_allowed("exit_code", True), is_allowed("name", "Doe")
    (True, False, False)
    >>> is_allowed("outcome", "done"), is_allowed("bundle_name", "Doe^John")
    (True, False)
    """
    if name == "event":
        return isinstance(value, str) and value in EVENTS
    form = FIELDS.get(name)
    if isinstance(form, str):
        return isinstance(value, str) and re.fullmatch(form, value, re.ASCII) is not None
    return form is not None and type(value) is int and 0 <= value <= form


def check_event(event: Event) -> dict[str, Any]:
    """Check an event against the allow-list.

    Args:
        event: `event`, one of `EVENTS`, and any of `FIELDS`; fields that are None are left out.

    Returns:
        A copy without fields that are None.

    Raises:
        OutputError: a field is not on the list or its value has another form. The value itself
            is not told, as it may be a patient's.

    >>> check_event({"event": "input", "outcome": "done", "frames": None})
    {'event': 'input', 'outcome': 'done'}
    """
    told = {name: value for name, value in event.items() if value is not None}
    if not is_allowed("event", told.get("event")):
        raise OutputError(f"audit log: an entry needs an event, one of: {', '.join(EVENTS)}")
    for name, value in told.items():
        if name != "event" and name not in FIELDS:
            raise OutputError(
                "audit log: a field is not on the allow-list; "
                f"use only: {', '.join(sorted(FIELDS))}"
            )
        if not is_allowed(name, value):
            raise OutputError(
                f"audit log: the value of {name} has a form that the allow-list does not know "
                "(not shown here); nothing was logged, and the run stops"
            )
    return told
