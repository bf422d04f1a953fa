"""What a report holds, before it is a page, a table file or a figure file.

A report is a list of sections, and a section may have parts of the same shape:

    Content
      summary                 paragraphs, tables[headline, endpoints], notes
      methods
        cohort                tables[splits, exclusions], pictures[flow]
        training              pictures[losses-student, ...]
      results                 tables[classes, ...], pictures[confusion, roc, ...]
      ...

Every section, table and picture has a key that is unique in the report, so that a file, an anchor
and a guideline's item can name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polypskd.reporting.cells import Table
from polypskd.reporting.figures import Picture
from polypskd.reporting.gallery import Mistake


@dataclass(frozen=True)
class Section:
    """A section: what it says, lists, tabulates, shows and adds, in this order; then its parts.

    Args:
        key: its anchor; unique in the report.
        title: its heading.
        paragraphs: sentences, one paragraph each.
        points: a bulleted list.
        tables: those with rows; those with a fold stand last on the page.
        pictures: its figures.
        notes: sentences below them, one paragraph each.
        gallery: frames with a wrong prediction.
        parts: sections below it.
        listed: whether the navigation lists its parts, too.
    """

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    gallery: tuple[Mistake, ...] = ()
    parts: tuple[Section, ...] = ()
    listed: bool = False


@dataclass(frozen=True)
class Content:
    """A whole report.

    Args:
        name: the run's name.
        banner: what every page of it says.
        sections: in their order.
    """

    name: str
    banner: str
    sections: tuple[Section, ...]


def walk(sections: tuple[Section, ...]) -> Iterator[Section]:
    """Yield every section and part, in the order of reading.

    >>> inner = Section("roc", "ROC")
    >>> [one.key for one in walk((Section("results", "Results", parts=(inner,)),))]
    ['results', 'roc']
    """
    for section in sections:
        yield section
        yield from walk(section.parts)


def list_tables(content: Content) -> tuple[Table, ...]:
    """List the tables in the order of reading; the n-th is Table n of the page.

    In a section those in folds come last.

    >>> last, first = Table("", (), (), key="all", fold="All"), Table("", (), (), key="main")
    >>> section = Section("results", "Results", tables=(last, first))
    >>> [one.key for one in list_tables(Content("run", "", (section,)))]
    ['main', 'all']
    """
    return tuple(
        table
        for section in walk(content.sections)
        for table in sorted(section.tables, key=lambda one: bool(one.fold))
        if table.layout != "tiles"
    )


def list_pictures(content: Content) -> tuple[Picture, ...]:
    """List the figures in the order of reading; the n-th is Figure n of the page."""
    return tuple(one for section in walk(content.sections) for one in section.pictures)
