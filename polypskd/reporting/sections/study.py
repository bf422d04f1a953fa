"""Parts of the report that come from study.json, each from its own module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

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
        key: its anchor, and what its tables and figures are named after.
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
    tables = [table for table in part.tabulate(section) if table.rows]
    return Section(
        part.key,
        part.title,
        paragraphs=tuple(part.tell(section)),
        tables=tuple(
            replace(one, key=_number(part.key, at, "table")) for at, one in enumerate(tables)
        ),
        pictures=tuple(
            replace(one, key=_number(part.key, at, "figure"))
            for at, one in enumerate(part.draw(section))
        ),
    )


def _number(key: str, at: int, what: str) -> str:
    """Name the tables or figures of a part: the first by its key, the others by numbers too.

    >>> _number("decisions", 0, "table"), _number("decisions", 1, "table")
    ('decisions-table', 'decisions-table-2')
    """
    return f"{key}-{what}" if at == 0 else f"{key}-{what}-{at + 1}"
