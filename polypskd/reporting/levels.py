"""What the levels of a run are called, and in which order they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.record import Record

LEVELS = {
    "agreement_levels": "agreement level",
    "vote_count": "number of votes",
    "known": "subclass",
    "none": "class",
    "vote_pattern": "vote pattern",
    "vote_clusters": "cluster of votes",
    "annotator_confusion": "level of certainty",
    "random": "shuffled level",
}


def name_levels(record: Record) -> str:
    """Say what the levels of this run are."""
    rule = (record.config.get("labels") or {}).get("subclasses") or {}
    return LEVELS.get(str(rule.get("kind")), "level")


def order_levels(record: Record, levels: Mapping[str, Any]) -> dict[str, Any]:
    """Put known subclasses, of one class each, in the order of the scheme; leave other levels.

    Args:
        record: the run's files.
        levels: level → anything.
    """
    if name_levels(record) != LEVELS["known"]:
        return dict(levels)
    named = [str(one.get("name")) for one in record.agreement.get("subclasses") or ()]
    # A name may be told without its class.
    place = {name: at for at, name in enumerate(named)} | {
        name.rpartition("/")[2]: at for at, name in enumerate(named)
    }
    return dict(sorted(levels.items(), key=lambda item: place.get(item[0], len(place))))
