"""Votes, faults and remarks as they are gathered from an export."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeVar

from polypskd.errors import CohortError, Fault

MOST_FAULTS = 1000  # a file with more is not what it is taken for
LONGEST = 80  # characters of a value that a fault shows
LONGEST_NAME = 1000  # characters of a vote, a frame or an annotator
TYPES = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Person:
    """Who voted.

    Args:
        key: an id, an address or a name.
        given: whether the user chose that name; what a tool wrote is never shown.
    """

    key: str
    given: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One vote as it stands in a file."""

    frame: str
    person: Person
    vote: str
    file: str
    place: str


@dataclass
class Sheet:
    """Takes the votes of the files of an export.

    Args:
        frame_label: whether the class of a region is a vote on its frame.
        file: name of the file that is read now, as faults show it.
        person: who voted all that the file holds, where the user says so.
    """

    frame_label: bool = False
    file: str = ""
    person: Person | None = None
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    _words: dict[str, str] = field(default_factory=dict)
    _regions: dict[tuple[str, Person, str], Entry] = field(default_factory=dict)

    def add(self, frame: str, person: Person, vote: str, place: str) -> None:
        """Take a vote.

        Args:
            frame: as the file names it.
            person: who voted; `self.person`, if set, goes before.
            vote: the class.
            place: within the file, e.g. ``task 17``.
        """
        person = self.person or person
        vote = self._words.setdefault(vote, vote)  # one text for a million votes
        self.entries.append(Entry(frame, person, vote, self.file, place))

    def add_region(self, kind: str, frame: str, person: Person, label: str, place: str) -> None:
        """Count a box or outline, or take its class where the config wants that.

        Args:
            kind: what it is, e.g. ``rectangle``.
            frame: as the file names it.
            person: who drew it.
            label: its class; empty where it has none.
            place: within the file.
        """
        if not self.frame_label:
            why = "a region is no vote on its frame; regions: frame_label takes its class"
            self.leave(kind, why)
            return
        if not label:
            self.leave(kind, "it has no class")
            return
        person = self.person or person
        entry = Entry(frame, person, label, self.file, place)
        first = self._regions.setdefault((frame, person, self.file), entry)
        if first.vote != label:
            todo = (
                f"{first.place} says {clip(first.vote)!r}; give one class, or a vote on the frame"
            )
            self.blame(place, "regions of one annotator disagree:", label, todo, frame)
        else:
            self.add(frame, person, label, place)

    def leave(self, kind: str, why: str, count: int = 1) -> None:
        """Count what is not used.

        Args:
            kind: what it is, in the singular.
            why: it is not used.
            count: how many.
        """
        self.left[kind, why] += count

    def blame(
        self, place: str, what: str, value: str = "", todo: str = "", frame: str = ""
    ) -> None:
        """Tell what is wrong; more than `MOST_FAULTS` end the reading.

        Raises:
            CohortError: with the faults so far.
        """
        where = f"{self.file} {place}".strip()
        self.faults.append(Fault(where, what, clip(value), todo, frame))
        if len(self.faults) >= MOST_FAULTS:
            raise CohortError(self.faults)

    def expect(self, value: object, kind: type[T], place: str, what: str) -> T | None:
        """Give a value of the type that it must have; another one is a fault, and None.

        Args:
            value: as read.
            kind: dict, list, str or int.
            place: within the file.
            what: the value's name.
        """
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        found, wanted = TYPES.get(type(value), "something else"), TYPES[kind]
        self.blame(place, f"{what} is {found}, not {wanted}", todo="export the file anew")
        return None

    def word(self, value: object, place: str, what: str) -> str | None:
        """Give text, stripped; None, with a fault, if it is empty, too long or no text."""
        text = self.expect(value, str, place, what)
        if text is None:
            return None
        text = text.strip()
        flaw = find_flaw(text)
        if flaw:
            self.blame(place, f"{what} {flaw}", todo="mend it in the tool and export anew")
            return None
        return text

    @property
    def notes(self) -> list[str]:
        """One line a reason: what was not used, and why."""
        by_reason: dict[str, list[str]] = {}
        for (kind, why), count in sorted(self.left.items()):
            by_reason.setdefault(why, []).append(f"{count:,} × {kind}")
        return [f"not used: {', '.join(kinds)}: {why}" for why, kinds in by_reason.items()]


def find_flaw(text: str) -> str:
    r"""Say what makes a text unfit for a name; empty if nothing does.

    >>> find_flaw("adenoma")
    ''
    >>> find_flaw("a\0b")
    'holds a NUL character'
    """
    if not text:
        return "is empty"
    if len(text) > LONGEST_NAME:
        return f"has {len(text):,} characters, more than {LONGEST_NAME:,}"
    if "\0" in text:
        return "holds a NUL character"
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return "holds half a character"
    return ""


def clip(value: str) -> str:
    """Shorten a value for a fault.

    >>> clip("x" * 100)[-4:]
    'xxx…'
    """
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
