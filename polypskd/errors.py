"""The error tree.

PolypskdError                 anything this package raises on purpose
├── ConfigError               the YAML or a --set override is not valid
├── CohortError               frames, votes, patients or splits are faulty (carries every Fault)
├── ArtifactError             a run's file is missing, stale or damaged
├── ArchiveError              the archive (PACS) cannot be reached, refuses, or answers oddly
└── OutputError               an output exists already or cannot be written

All of them are the user's to mend: the command line prints them in one line each and exits with 1.
Anything else that escapes is ours, and exits with 3.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DROP = "frames with faults can be left out and listed: cohort.drop_faulty: true"
LONGEST = 1600  # characters of a line
PLACES = 3  # told of faults that are alike
SHOWN = 20  # faults printed one by one; the rest are counted


@dataclass(frozen=True, order=True)
class Fault:
    """One thing wrong in the input, told in one line.

    Args:
        where: file, and row or frame, e.g. ``votes.csv row 12``.
        what: what is wrong, e.g. ``unknown class``.
        value: the offending value as given; empty if there is none.
        todo: what the user can do about it.
        frame: the frame it belongs to, if dropping that frame would mend it; else empty.

    >>> print(Fault("votes.csv row 12", "unknown class", "adenom", "use one of: adenoma, serrated"))
    votes.csv row 12: unknown class 'adenom'; use one of: adenoma, serrated
    """

    where: str
    what: str
    value: str = ""
    todo: str = ""
    frame: str = ""

    def __str__(self) -> str:
        value = f" {_shorten(self.value)!r}" if self.value else ""
        todo = f"; {self.todo}" if self.todo else ""
        line = " ".join(f"{_shorten(self.where, 512)}: {self.what}{value}{todo}".split())
        return _tidy(line)


def _shorten(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _tidy(line: str) -> str:
    """Make a line short, and show what moves a terminal's cursor or is no UTF-8 by its number."""
    shown = line if line.isprintable() else "".join(map(_show, line[: 2 * LONGEST]))
    return _shorten(shown, LONGEST)


def _show(letter: str) -> str:
    """Write a letter that has no shape by its number."""
    return letter if letter.isprintable() else ascii(letter)[1:-1]


def list_places(error: BaseException) -> list[str]:
    """List where an error of ours passed, for a log: its message may quote a frame or a patient.

    Args:
        error: as caught.
    """
    return [
        f"{at.name} ({Path(at.filename).name}:{at.lineno})"
        for at in traceback.extract_tb(error.__traceback__)
    ]


class PolypskdError(Exception):
    """Anything this package raises on purpose."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What the command line prints: short lines, of letters that have a shape."""
        return tuple(_tidy(line) for line in str(self).splitlines())

    @property
    def count(self) -> int:
        """How many faults it tells of."""
        return len(self.lines)


class ConfigError(PolypskdError):
    """The YAML or a --set override is not valid."""


class ArtifactError(PolypskdError):
    """A run's file is missing, stale or damaged."""


class OutputError(PolypskdError):
    """An output exists already or cannot be written."""


class ArchiveError(PolypskdError):
    """The archive (PACS) cannot be reached, refuses, or answers oddly.

    Args:
        message: one line, with what to do; never a credential, and nothing of a patient.
        transient: whether the same may well succeed later: a refused connection, a time-out, 503.
        gone: whether what was asked for is no longer there.
    """

    def __init__(self, message: str, *, transient: bool = False, gone: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
        self.gone = gone


class CohortError(PolypskdError):
    """Frames, votes, patients or splits are faulty.

    Args:
        faults: every fault found, in the order in which it was met; at least one.

    >>> print(CohortError([Fault("a.csv", "file not found")]))
    a.csv: file not found
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        groups = _group_alike(self.faults)
        lines = [_tell_alike(group) for group in groups[:SHOWN]]
        if len(groups) > SHOWN:
            more = sum(len(group) for group in groups[SHOWN:])
            lines.append(f"... and {more:,} more faults")
        super().__init__("\n".join(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """What the command line prints: the faults, and the way round them where there is one."""
        told = super().lines
        return (*told, DROP) if all(fault.frame for fault in self.faults) else told

    @property
    def count(self) -> int:
        """How many faults it tells of, those not printed included."""
        return len(self.faults)


def _group_alike(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Group faults that find the same value wrong, such as a class misspelled in each row."""
    groups: dict[object, list[Fault]] = {}
    for number, fault in enumerate(faults):
        alike = (fault.what, fault.value, fault.todo) if fault.value else number
        groups.setdefault(alike, []).append(fault)
    told = []
    for group in groups.values():
        told += [group] if len(group) > PLACES else [[fault] for fault in group]
    return told


def _tell_alike(group: Sequence[Fault]) -> str:
    if len(group) == 1:
        return str(group[0])
    places = ", ".join(fault.where for fault in group[:PLACES])
    return str(replace(group[0], where=f"{len(group):,} times, first in {places}"))
