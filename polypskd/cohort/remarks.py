"""What a first look at names and votes tells: patients in names, rare and misspelled votes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

ALIKE = 0.8  # similarity of a slip of the keyboard: polpy and polyp have just that
OFTEN = 3  # a slip is at least this many times rarer than the word that was meant
RARE = 0.01  # share of all votes
FEWEST = 3  # patients; fewer are cameras or rooms
PATTERNS = (
    "^([^/]+)/",  # p001/f001.png
    "([^/]+)/[^/]+$",  # center-a/p001/f001.png
    "(?:^|/)([^/_]+)_",  # p001_1.png
    "(?:^|/)([^/-]+)-",  # p001-1.png
    "(?:^|/)([^/_-]+[_-][^/_-]+)[_-]",  # patient_001_1.png
)


def find_pattern(frames: Sequence[str], classes: Iterable[str]) -> str | None:
    """Find a regular expression whose group may be the patient, by how often its values return.

    Args:
        frames: ids of all frames.
        classes: names that are no patients.

    >>> find_pattern(["p1/a", "p1/b", "p2/a", "p2/b", "p3/a"], ["low", "high"])
    '^([^/]+)/'
    >>> find_pattern(["a1.png", "a2.png", "a3.png", "a4.png"], []) is None
    True
    """
    known = set(classes)
    for pattern in PATTERNS:
        found = [match[1] for frame in frames if (match := re.search(pattern, frame))]
        values = set(found)
        counted = all(re.search("[0-9]", value) for value in values)
        returning = FEWEST <= len(values) <= 0.8 * len(frames)
        if len(found) == len(frames) and counted and returning and not values & known:
            return pattern
    return None


def remark_votes(values: Mapping[str, int]) -> list[str]:
    """Tell how often each vote was given, and which look like slips.

    Args:
        values: vote → how often.

    >>> remark_votes({"Adenom": 39, "Adenomm": 1})[1]
    'Adenomm (1 vote) looks like Adenom; mend it, or put it into cohort.ignore'
    """
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    total = sum(values.values())
    listed = ", ".join(f"{name} {count:,}" for name, count in ranked)
    remarks = [f"votes for each value: {listed}"]
    for name, count in ranked:
        votes = "1 vote" if count == 1 else f"{count:,} votes"
        meant = next((other for other, more in ranked if _is_slip(name, count, other, more)), None)
        if meant is not None:
            what = f"looks like {meant}; mend it"
        elif count < RARE * total:
            what = "has fewer than 1 % of the votes; check it"
        else:
            continue
        remarks.append(f"{name} ({votes}) {what}, or put it into cohort.ignore")
    return remarks


def _is_slip(name: str, count: int, other: str, more: int) -> bool:
    """Whether a vote may be another one misspelled; grades that differ by number are not."""
    if name == other or (count, name) >= (more, other):
        return False
    low, low_other = name.casefold(), other.casefold()
    if low == low_other:
        return True
    same_words = re.sub("[0-9]", "", low) == re.sub("[0-9]", "", low_other)
    alike = SequenceMatcher(None, low, low_other).ratio() >= ALIKE
    return alike and not same_words and count * OFTEN <= more
