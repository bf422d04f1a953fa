"""What happens to each attribute: Table E.1-1 of PS3.15, and what the table does not name.

The table says what must go; this says what may stay. An attribute that neither the table nor the
list of technical attributes knows stays only if it can hold nothing but numbers.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

EDITION = "2026c"
Action = Literal[
    "remove", "empty", "dummy", "pseudonym", "uid", "shift", "descend", "check", "keep"
]
RETAINED = ("dates", "device", "patient")

BASIC: dict[str, Action] = {
    "X": "remove",
    "Z": "empty",
    "X/Z": "empty",
    "D": "dummy",
    "Z/D": "dummy",
    "X/D": "dummy",
    "X/Z/D": "dummy",
    "U": "uid",
    "X/Z/U*": "descend",
}
PSEUDONYMS = {0x00100010, 0x00100020}  # the patient's name and id
NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"}
DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
TEXT_VALUE = 0x0040A160
# The table does not name all that tells of a person here, and an image needs none of it.
PERSONAL = {0x0010, 0x0038}  # groups: the patient, the stay
CONTENT = {0x0040A730, 0x00201070}  # of reports: names, ages, dates; numbers of other exams
LONGEST_DECIMAL = 16  # characters, as the standard says

# What else an image needs, and the values that it may hold.
SAFE = {
    0x00080008: r"ORIGINAL|DERIVED|PRIMARY|SECONDARY",
    0x00080060: r"[A-Z]{2}|DOC|OPT|SEG|REG|IVUS|IVOCT|HMD",
    0x00080064: r"DV|DI|DF|WSD|SD|SI|DRW|SYN",
    0x00180015: r"COLON|RECTUM|ANUS|ABDOMEN|STOMACH|DUODENUM|ESOPHAGUS|JEJUNUM|ILEUM|PELVIS|"
    r"SMALL INTESTINE|BILE DUCT|PANCREAS|THROAT|LARYNX|BRONCHUS|BLADDER",
    0x00200020: r"[AFHLPR]{1,3}",
    0x00200060: r"[LR]",
    0x00200062: r"[LRUB]",
    0x00280004: r"MONOCHROME[12]|PALETTE COLOR|RGB|YBR_(?:FULL|FULL_422|ICT|RCT|PARTIAL_420)",
    0x00280300: r"YES|NO",
    0x00280302: r"YES|NO",
    0x00282110: r"00|01",
    0x00282114: r"ISO_\d{4,5}_\d{1,2}",
    0x00281056: r"LINEAR|LINEAR_EXACT|SIGMOID",
    0x20500020: r"IDENTITY|INVERSE",
    0x0040A040: r"TEXT|NUM|CODE|DATETIME|DATE|TIME|UIDREF|PNAME|COMPOSITE|IMAGE|WAVEFORM|SCOORD|"
    r"SCOORD3D|TCOORD|CONTAINER",
}
# What the options keep is looked at as well, where the standard lists its values.
LISTED = {
    0x00100040: r"[MFO]",
    0x00101010: r"\d{3}[DWMY]",
    0x00101020: DECIMAL,
    0x00101030: DECIMAL,
    0x001021A0: r"YES|NO|UNKNOWN",
    0x00102203: r"ALTERED|UNALTERED",
}
# The table leaves these; they are free text, and tell no more than the device's kind.
DEVICE = {0x00080070, 0x00081090, 0x00181018, 0x00181019, 0x00181020}


@dataclass(frozen=True)
class Row:
    """One attribute of Table E.1-1.

    Args:
        name: of the attribute.
        basic: its action in the Basic Profile.
        device: K if Retain Device Identity keeps it.
        patient: K or C if Retain Patient Characteristics keeps or cleans it.
        dates: C if Retain Longitudinal Temporal Information with Modified Dates shifts it.
    """

    name: str
    basic: str
    device: str
    patient: str
    dates: str


@cache
def read_profile() -> dict[str, Row]:
    """Read the table: tag as eight hexadecimal digits (x for any digit) to row.

    >>> read_profile()["00100020"].name
    'Patient ID'
    """
    file = resources.files("polypskd.deployment.deidentification").joinpath(
        "confidentiality_profile.csv"
    )
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    return {
        row["tag"]: Row(
            row["name"],
            row["basic"],
            row["retain_device"],
            row["retain_patient"],
            row["retain_dates"],
        )
        for row in rows
    }


def decide_action(tag: int, vr: str, retained: frozenset[str] = frozenset()) -> Action:
    """Decide what happens to a standard attribute.

    Where the table leaves a choice that depends on the type of the attribute in its module, the one
    that suits every type is taken: X/Z empties, X/D, Z/D and X/Z/D put a dummy.

    Args:
        tag: group and element, the group even.
        vr: of the standard's dictionary.
        retained: of `RETAINED`.

    >>> decide_action(0x00104000, "LT")  # Patient Comments
    'remove'
    >>> decide_action(0x00080020, "DA", frozenset({"dates"}))  # Study Date
    'shift'
    """
    group = tag >> 16
    if group < 8 or 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
        return "remove"
    if tag in PSEUDONYMS:
        return "pseudonym"
    if tag in CONTENT:
        return "remove"
    row = read_profile().get(f"{tag:08X}")
    if row is not None:
        return _decide_listed(row, vr, retained)
    if tag in DEVICE:
        # The manufacturer is an attribute that must be there, if only empty.
        return "keep" if "device" in retained else "empty" if tag == 0x00080070 else "remove"
    if group in PERSONAL:
        return "remove"
    if tag in SAFE:
        return "check"
    if tag == TEXT_VALUE:
        return "dummy"
    if vr == "UI":
        return "uid"
    if vr == "SQ":
        return "descend"
    return "keep" if vr in NUMBERS else "check" if vr in {"DS", "IS"} else "remove"


def _decide_listed(row: Row, vr: str, retained: frozenset[str]) -> Action:
    if "device" in retained and row.device:
        return "descend" if vr == "SQ" else "keep"
    if "patient" in retained and row.patient:
        # What is to be cleaned is free text, which no program can promise to clean.
        return "check" if row.patient == "K" else "remove"
    if "dates" in retained and row.dates:
        return "shift"
    action = BASIC[row.basic]
    return "descend" if action == "dummy" and vr == "SQ" else action


def check_value(tag: int, vr: str, value: str) -> bool:
    """Whether a value of an attribute that may stay is one that the attribute may have.

    >>> check_value(0x00080060, "CS", "ES"), check_value(0x00080060, "CS", "SMITH")
    (True, False)
    """
    if vr in NUMBERS:
        return True
    pattern = SAFE.get(tag) or LISTED.get(tag)
    if pattern is None:
        pattern = DECIMAL if vr == "DS" else r"[+-]?\d{1,10}" if vr == "IS" else None
    if pattern is None:
        return tag == 0x00102160  # ethnic group: free text that its option keeps
    fits = len(value) <= LONGEST_DECIMAL or vr not in {"DS", "IS"}
    return fits and re.fullmatch(pattern, value) is not None
