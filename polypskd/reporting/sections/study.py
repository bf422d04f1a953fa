"""Parts of the report that come from study.json, each from its own module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from polypskd.reporting.cells import Table
from polypskd.reporting.content import Section
from polypskd.reporting.figures import Picture
from polypskd.reporting.record import Json, Record

OTHERS = "Not assessable"


@dataclass(frozen=True)
class Part:
    """How a section of study.json becomes a part of the report.

    Args:
        name: its key in study.json.
        key: its anchor.
        title: its heading.
        tell: gives sentences.
        tabulate: gives tables.
        draw: gives figures.
    """

    name: str
    key: str
    title: str
    tell: Callable[[Json], list[str]]
    tabulate: Callable[[Json], list[Table]]
    draw: Callable[[Json], list[Picture]] = lambda section: []


def build_parts(record: Record, parts: Iterable[Part], key: str) -> tuple[Section, ...]:
    """Build the parts that can be assessed, then one that says why the others cannot.

    Args:
        record: the run's files.
        parts: in their order.
        key: prefix of the last one's anchor.
    """
    built = []
    reasons = []
    for part, section in _find(record, parts):
        if section.get("not_assessable"):
            reasons += part.tell(section)
        else:
            built.append(_build(part, section))
    if reasons:
        built.append(Section(f"{key}-not-assessable", OTHERS, points=tuple(reasons)))
    return tuple(built)


def _find(record: Record, parts: Iterable[Part]) -> Iterator[tuple[Part, Json]]:
    for part in parts:
        section = (record.study or {}).get(part.name)
        if section:
            yield part, section


def _build(part: Part, section: Json) -> Section:
    return Section(
        part.key,
        part.title,
        paragraphs=tuple(part.tell(section)),
        tables=tuple(table for table in part.tabulate(section) if table.rows),
        pictures=tuple(part.draw(section)),
    )
