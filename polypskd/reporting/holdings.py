"""Whether a run holds what a guideline asks for: a question each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from polypskd.reporting.cells import pick
from polypskd.reporting.overlap import count_overlap
from polypskd.reporting.record import Record, get_study

LEVEL = "difficulty level"  # the column of subgroups that every run has
CENTERS = ("center", "centre", "site", "hospital")
DEVICES = ("device", "endoscope", "scope", "manufacturer", "maker", "model", "processor")
SEX, AGE = ("sex", "gender"), ("age", "ages")


def always(record: Record) -> bool:
    """Hold in every run."""
    return True


def is_disjoint(record: Record) -> bool:
    """Tell whether no patient stands in two splits."""
    return count_overlap(record) == 0


def patients_known(record: Record) -> bool:
    """Tell whether patients are known."""
    return bool(record.agreement.get("patients_known"))


def has_intervals(record: Record) -> bool:
    """Tell whether the results have intervals."""
    return pick(record.evaluation, "macro_f1", "low") is not None


def never(record: Record) -> bool:
    """Hold in no run."""
    return False


def studied(key: str) -> Callable[[Record], bool]:
    """Tell whether a section of the study could be assessed."""
    return lambda record: get_study(record, key) is not None


def shows(key: str, *asked: tuple[str, ...]) -> Callable[[Record], bool]:
    """Tell whether a section of the study shows, for each set of words, a column with one of them.

    A column whose every level is suppressed or has too few frames shows nothing.
    """

    def held(record: Record) -> bool:
        columns = pick(get_study(record, key), "columns") or {}
        told = [
            set(re.findall("[a-z]+", name.lower()))
            for name, column in columns.items()
            if name != LEVEL and any(_is_told(level) for level in column.get("levels", ()))
        ]
        return all(any(words & {*group} for words in told) for group in asked)

    return held


def _is_told(level: Any) -> bool:
    """Whether a level has numbers: of subgroups by its status, of the baseline by splits."""
    if "status" in level:
        return bool(level["status"] == "shown")
    return any(level.get(split) is not None for split in ("train", "val", "test"))


def has_subgroups(record: Record) -> bool:
    """Tell whether a column beyond the levels of difficulty stands there with numbers."""
    columns = pick(get_study(record, "subgroups"), "columns") or {}
    return any(
        name != LEVEL and any(_is_told(level) for level in column.get("levels", ()))
        for name, column in columns.items()
    )


def has_thresholds(record: Record) -> bool:
    """Tell whether an operating point was found."""
    points = pick(get_study(record, "operating_points"), "points") or ()
    return any(not point.get("reason") for point in points)


def agreed(record: Record) -> bool:
    """Tell whether the annotators' agreement was measured."""
    statistics = record.agreement.get("statistics") or {}
    keys = ("fleiss_kappa", "krippendorff_nominal", "gwet_ac1")
    return any(pick(statistics, key, "value") is not None for key in keys)


def tell_single(record: Record) -> str | None:
    """Say why agreement does not apply; None where it does."""
    single = pick(record.agreement, "statistics", "votes_per_frame", "max") == 1
    return "each frame has one vote" if single else None


def has_ensemble(record: Record) -> bool:
    """Tell whether several teachers teach."""
    return (pick(record.config, "teacher", "ensemble") or 1) > 1
