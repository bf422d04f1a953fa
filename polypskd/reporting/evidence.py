"""What a run can show to a guideline, and where in the report it stands.

A fact counts only where the report has a place for it: a section, table or figure of that key.
"""

from __future__ import annotations

from dataclasses import dataclass

from polypskd.reporting.content import Content, walk
from polypskd.reporting.facts import FACTS
from polypskd.reporting.record import Record


@dataclass(frozen=True)
class Place:
    """Where something stands in the report.

    Args:
        key: anchor of the section.
        title: its heading.
    """

    key: str
    title: str


@dataclass(frozen=True)
class Evidence:
    """What became of a fact in one run.

    Args:
        shown: what the report shows, in words.
        place: where; None where the run does not hold it.
        lacking: what is missing; empty where nothing is.
        idle: why it does not apply; empty where it does.
    """

    shown: str
    place: Place | None
    lacking: str = ""
    idle: str = ""


def find_evidence(record: Record, content: Content) -> dict[str, Evidence]:
    """Find for every fact whether the run holds it, and where the report shows it.

    Args:
        record: the run's files.
        content: the report of the same run.
    """
    places = locate(content)
    found = {}
    for key, fact in FACTS.items():
        place = next((places[name] for name in fact.places if name in places), None)
        if reason := fact.idle(record):
            found[key] = Evidence(fact.shown, None, idle=reason)
        elif place is not None and fact.held(record):
            found[key] = Evidence(fact.shown, place)
        else:
            found[key] = Evidence(fact.shown, None, lacking=fact.lacking)
    return found


def locate(content: Content) -> dict[str, Place]:
    """Find the section of every section, table and figure key.

    >>> from polypskd.reporting.content import Section
    >>> inner = Section("roc", "ROC")
    >>> locate(Content("run", "", (Section("results", "Results", parts=(inner,)),)))["roc"]
    Place(key='roc', title='ROC')
    """
    places: dict[str, Place] = {}
    for section in walk(content.sections):
        place = Place(section.key, section.title)
        places.setdefault(section.key, place)
        if section.gallery:
            places.setdefault("gallery", place)
        keys = [table.key for table in section.tables]
        keys += [picture.key for picture in section.pictures]
        for key in keys:
            places.setdefault(key, place)
    return places
