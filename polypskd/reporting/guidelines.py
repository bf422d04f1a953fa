"""Reporting guidelines: for each item, where the report tells of it and what the authors must add.

A way to find things. It counts nothing and judges nothing: whether an item is well told, only the
guideline and its readers say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from polypskd.reporting.answers import Answers
from polypskd.reporting.cells import Table, make_table
from polypskd.reporting.content import Content, Section
from polypskd.reporting.evidence import Evidence, Place, find_evidence
from polypskd.reporting.facts import FACTS
from polypskd.reporting.record import Record

KEYS = ("stard-ai", "claim-2024", "tripod-ai")
SEE = "see the guideline"
UNKNOWN = "See the guideline."
Status = Literal["filled", "partly", "author", "not applicable"]
ITEM_KEYS = frozenset({"id", "about", "shows", "asks", "study"})
STATUSES: dict[Status, str] = {
    "filled": "Filled",
    "partly": "Partly",
    "author": "To be written by the author",
    "not applicable": "Not applicable",
}


@dataclass(frozen=True)
class Item:
    """An item of a guideline.

    Args:
        number: as the guideline gives it, e.g. ``15a``.
        about: what it asks for, in words of our own; UNKNOWN sends to the guideline.
        shows: facts of a run that tell of it.
        asks: what only the authors know; empty for nothing.
        study: facts of report.yaml that answer what is asked.
    """

    number: str
    about: str
    shows: tuple[str, ...] = ()
    asks: str = ""
    study: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guideline:
    """A guideline and its items, in order.

    Args:
        key: e.g. ``stard-ai``.
        name: as its authors call it.
        edition: year.
        source: where it was published.
        note: what this table does not know.
        items: in the guideline's order.
    """

    key: str
    name: str
    edition: int
    source: str
    note: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Entry:
    """What became of an item in one run.

    Args:
        item: the item.
        status: filled, partly, author or not applicable.
        places: where the report tells of it.
        shown: what it shows there.
        missing: what is not told yet.
        reason: why the item does not apply; empty where it does.
        answers: what the authors have told.
    """

    item: Item
    status: Status
    places: tuple[Place, ...] = ()
    shown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""
    answers: tuple[str, ...] = ()


Audit = tuple[tuple[Guideline, tuple[Entry, ...]], ...]


@cache
def read_guidelines() -> tuple[Guideline, ...]:
    """Read the tables of items that come with the package."""
    return tuple(_read(key) for key in KEYS)


def list_items() -> dict[str, tuple[str, ...]]:
    """List the numbers of the items of each guideline.

    >>> list_items()["claim-2024"][:3]
    ('1', '2', '3')
    """
    return {one.key: tuple(item.number for item in one.items) for one in read_guidelines()}


def audit_report(record: Record, content: Content, answers: Answers) -> Audit:
    """Find for every item what the run and its authors tell of it.

    Args:
        record: the run's files.
        content: the report of the same run; only what stands there counts.
        answers: of the authors.

    Returns:
        Each guideline with an entry for each of its items, in order.
    """
    found = find_evidence(record, content)
    return tuple(
        (one, tuple(judge_item(item, found, answers, one.key) for item in one.items))
        for one in read_guidelines()
    )


def judge_item(
    item: Item, found: Mapping[str, Evidence], answers: Answers, guideline: str
) -> Entry:
    """Say what became of an item.

    Args:
        item: the item.
        found: what the run holds, by fact.
        answers: of the authors.
        guideline: key of the item's guideline.

    >>> judge_item(Item("6", "Ethics", asks="the approval"), {}, Answers(), "stard-ai").status
    'author'
    """
    own = answers.items.get(guideline, {}).get(item.number)
    dropped = answers.reasons.get(guideline, {}).get(item.number)
    facts = [found[key] for key in item.shows]
    idle = [fact.idle for fact in facts if fact.idle]
    if dropped or (facts and len(idle) == len(facts) and not item.asks):
        return Entry(item, "not applicable", reason=dropped or "; ".join(idle))
    places = tuple(dict.fromkeys(fact.place for fact in facts if fact.place))
    shown = tuple(fact.shown for fact in facts if fact.place)
    told = [answers.study[key] for key in item.study if key in answers.study]
    texts = tuple(dict.fromkeys([own, *told] if own else told))
    missing = () if own else _list_missing(item, facts, len(told) == len(item.study))
    status: Status = "author"
    if not missing and (shown or texts):
        status = "filled"
    elif shown or texts:
        status = "partly"
    return Entry(item, status, places, shown, missing, answers=texts)


def _list_missing(item: Item, facts: Sequence[Evidence], answered: bool) -> tuple[str, ...]:
    lacking = [fact.lacking for fact in facts if fact.lacking]
    answered = answered and bool(item.study)
    if item.asks and not answered:
        lacking.append(item.asks)
    if item.about == UNKNOWN:  # whether that answers it, nobody here can tell
        lacking.append(SEE)
    return tuple(dict.fromkeys(lacking))


def build_guidelines(audit: Audit) -> Section:
    """Build the report's section: a table for each guideline.

    Args:
        audit: as of `audit_report`.
    """
    return Section(
        "guidelines",
        "Reporting guidelines",
        paragraphs=(
            "For each item, where this report tells of it and what the authors must add. Items are "
            "in words of our own; the guideline itself says what it asks for. The authors' texts "
            "come from report.yaml.",
        ),
        parts=tuple(
            Section(
                guideline.key,
                f"{guideline.name} {guideline.edition}",
                paragraphs=(f"{guideline.source}. {guideline.note}",),
                tables=(tabulate_audit(guideline, entries),),
            )
            for guideline, entries in audit
        ),
    )


def tabulate_audit(guideline: Guideline, entries: Sequence[Entry]) -> Table:
    """List the items of a guideline with their status; those that only it can tell share a row.

    Args:
        guideline: the guideline.
        entries: of its items, in order.
    """
    bare = [entry for entry in entries if entry.missing == (SEE,) and not entry.shown]
    rows = [
        (entry.item.number, entry.item.about, _tell_status(entry), tell_entry(entry) or None)
        for entry in entries
        if entry not in bare
    ]
    if bare:
        numbers = ", ".join(entry.item.number for entry in bare)
        rows.append(("others", f"{numbers}: {SEE}.", STATUSES["author"], None))
    return make_table(
        f"{guideline.key}-items",
        f"Items of {guideline.name} {guideline.edition}, and where they are told.",
        ("Item", "About", "In this report", "Told or to be told"),
        rows,
        layout="words",
        fold=f"{len(entries)} items of {guideline.name} {guideline.edition}",
    )


def _tell_status(entry: Entry) -> str:
    places = ", ".join(place.title for place in entry.places)
    return f"{STATUSES[entry.status]}: {places}" if places else STATUSES[entry.status]


def tell_entry(entry: Entry) -> str:
    """Put into one cell what is told and what is to be told.

    >>> tell_entry(Entry(Item("27", "Ensembling"), "not applicable", reason="one network"))
    'One network.'
    """
    parts = [_sentence("; ".join(entry.shown)), entry.reason and _sentence(entry.reason)]
    parts += [f"Authors: {text}" for text in entry.answers]
    if entry.missing:
        missing = "; ".join(entry.missing)
        told = any(parts)
        parts.append(f"To be told: {missing}." if told else _sentence(missing))
    return " ".join(part for part in parts if part)


def describe_audit(audit: Audit) -> dict[str, Any]:
    """Put the audit into JSON-like values."""
    return {
        guideline.key: {
            "name": guideline.name,
            "edition": guideline.edition,
            "source": guideline.source,
            "note": guideline.note,
            "items": [
                {
                    "item": entry.item.number,
                    "about": entry.item.about,
                    "status": entry.status,
                    "sections": [place.key for place in entry.places],
                    "shown": list(entry.shown),
                    "missing": list(entry.missing),
                    "reason": entry.reason or None,
                    "answers": list(entry.answers),
                }
                for entry in entries
            ],
        }
        for guideline, entries in audit
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")


def _read(key: str) -> Guideline:
    path = resources.files("polypskd.reporting").joinpath("items", f"{key}.yaml")
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    items = tuple(
        Item(
            number=one["id"],
            about=f"{one['about']}." if one["about"] else UNKNOWN,
            shows=tuple(one.get("shows", ())),
            asks=one.get("asks", ""),
            study=tuple(one.get("study", ())),
        )
        for one in raw["items"]
    )
    strange = {key for one in raw["items"] for key in one} - ITEM_KEYS
    unknown = strange | {fact for item in items for fact in item.shows} - set(FACTS)
    if unknown:
        raise ValueError(f"{key}: unknown facts or keys {sorted(unknown)}")
    return Guideline(raw["key"], raw["name"], raw["edition"], raw["source"], raw["note"], items)
