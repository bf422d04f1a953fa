"""Whether intervals resample patients or frames, in the words of captions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import format_number, pick

Json = Mapping[str, Any]


def knows_patients(section: Json) -> bool:
    """Tell whether the patients of a section of study.json are known.

    >>> knows_patients({"patients_known": False}), knows_patients({"n_patients": None})
    (False, False)
    >>> knows_patients({"rules": {"patients_known": True}})
    True
    """
    told = section.get("patients_known", pick(section, "rules", "patients_known"))
    if told is not None:
        return bool(told)
    counts = [section[key] for key in ("patients", "n_patients") if key in section]
    return not counts or counts[0] is not None


def name_intervals(section: Json) -> str:
    """Name the intervals of a section, in a caption.

    That patients are unknown, and what follows, stands in the methods and the limitations.

    >>> name_intervals({"patients": 7}), name_intervals({"patients": None})
    ('intervals by patient', 'intervals')
    """
    return "intervals by patient" if knows_patients(section) else "intervals"


def name_least(rules: Json, section: Json) -> str:
    """Say how small a level is that has no numbers.

    >>> rules = {"least_frames": 30, "least_patients": 10}
    >>> name_least(rules, {"patients": 9}), name_least(rules, {"patients": None})
    ('30 frames or 10 patients', '30 frames')
    """
    frames = f"{format_number(rules['least_frames'])} frames"
    if not knows_patients(section):
        return frames
    return f"{frames} or {format_number(rules['least_patients'])} patients"
