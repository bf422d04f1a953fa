"""Why nothing is left: the cause of a class without votes, or of votes without frames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from polypskd.cohort.table import Ints
from polypskd.config import CohortConfig
from polypskd.errors import Fault

LOST = "no image for frame"
RULE = re.compile(r"\((\w+)\)")
SPELLING = "check the spelling, or take the class out of cohort.classes"


def tell_strangers(
    name: str, given: Sequence[str], frames: Sequence[str], faults: Sequence[Fault]
) -> list[Fault]:
    """Give one fault where no name of a table is that of a frame, instead of one a row.

    Args:
        name: of the table.
        given: names in the table, at least one.
        frames: names of the frames, at least one.
        faults: of matching the two.

    >>> lost = [Fault("v.csv row 2", LOST), Fault("v.csv row 3", LOST)]
    >>> print(tell_strangers("v.csv", ["a", "b"], ["x.png"], lost)[0])
    v.csv: no vote names any frame; votes name e.g. 'a', frames are e.g. 'x.png'
    """
    if len(given) < 2 or not all(fault.what.startswith(LOST) for fault in faults):
        return list(faults)
    todo = f"votes name e.g. {given[0]!r}, frames are e.g. {frames[0]!r}"
    return [Fault(name, "no vote names any frame", todo=todo)]


def tell_empty_classes(
    config: CohortConfig,
    votes: pl.DataFrame,
    frames: pl.Series,
    left: Ints,
    out: Mapping[str, str],
) -> list[Fault]:
    """Tell of each class without votes what took them.

    Args:
        config: the section ``cohort``.
        votes: as read, columns ``frame`` (index) and ``fine`` (index).
        frames: names of the frames that votes name.
        left: (V,) fine votes of the frames that stay.
        out: frame → why it was left out.
    """
    names = list(config.fine.values())
    place = np.array([config.classes.index(name) for name in names])
    voted = np.unique(place[left])
    missing = [k for k in range(len(config.classes)) if k not in voted]
    before = place[votes["fine"].to_numpy()]
    of_frame = votes["frame"].to_numpy()
    faults = []
    for k in missing:
        had = frames.gather(np.unique(of_frame[before == k])).to_list()
        label = config.classes[k]
        if not had:
            lost = sum(reason == LOST for reason in out.values())
            todo = f"{lost} names of the votes match no image; {SPELLING}" if lost else SPELLING
            faults.append(Fault("votes", "no votes for class", label, todo))
            continue
        reasons = Counter(_name_rule(out.get(name, "")) for name in had)
        told = ", ".join(f"{count:,} by {why}" for why, count in reasons.most_common(3) if why)
        what = f"{len(had):,} of {len(had):,} frames left out, {told}: none is left of class"
        faults.append(Fault("votes", what, label, "mend the frames, or the limit"))
    return faults


def _name_rule(reason: str) -> str:
    """Name the rules of quality that a frame breaks, or the fault.

    >>> _name_rule("blur 3 is above 2 (max_blur)"), _name_rule("not a readable image")
    ('quality.max_blur', 'not a readable image')
    """
    rules = RULE.findall(reason)
    return " and ".join(f"quality.{rule}" for rule in rules) if rules else reason
