"""The votes of an export as a table with one row a vote."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import polars as pl

from polypskd.artifacts import file_hash
from polypskd.cohort.exports.addresses import resolve_names
from polypskd.cohort.exports.coco import read_coco
from polypskd.cohort.exports.cvat import read_cvat
from polypskd.cohort.exports.datumaro import read_datumaro
from polypskd.cohort.exports.label_studio import read_label_studio
from polypskd.cohort.exports.labelme import read_labelme
from polypskd.cohort.exports.opinions import read_opinions
from polypskd.cohort.exports.sheet import Entry, Person, Sheet
from polypskd.cohort.tables import ROW, Table
from polypskd.config import (
    CocoVotes,
    CvatVotes,
    DatumaroVotes,
    LabelMeVotes,
    LabelStudioVotes,
    OpinionVotes,
    RegionsExport,
    VotesExport,
)
from polypskd.errors import CohortError, Fault

AnyExport = LabelStudioVotes | CvatVotes | CocoVotes | DatumaroVotes | LabelMeVotes | OpinionVotes


@dataclass(frozen=True)
class Export:
    """What an export holds.

    Args:
        table: columns ``frame``, ``annotator`` and ``vote``, one row a vote.
        faults: what is wrong.
        notes: what was not used and why, one line a kind.
    """

    table: Table
    faults: list[Fault]
    notes: list[str]


@dataclass(frozen=True)
class Source:
    """A file of an export.

    Args:
        path: the file.
        name: as faults show it.
        annotator: who voted in it; None where the file itself says so.
        folder: below that of its annotator.
    """

    path: Path
    name: str
    annotator: str | None
    folder: str = ""


def read_export(form: AnyExport, frames: list[str] | None) -> Export:
    """Read the votes of label tools.

    Args:
        form: the section ``cohort.votes``.
        frames: ids of the frames that exist; None where there are votes only.

    Raises:
        CohortError: a file cannot be read as such an export, or none of them holds a vote.
    """
    sheet = Sheet(frame_label=isinstance(form, RegionsExport) and form.regions == "frame_label")
    sources = list_sources(form)
    broken: list[Fault] = []
    for source in sources:
        sheet.file = source.name
        sheet.person = None if source.annotator is None else Person(source.annotator, given=True)
        try:
            _read_source(source, form, sheet)
        except CohortError as error:
            if error.faults == tuple(sheet.faults):
                raise
            broken += error.faults
            if len(broken) + len(sheet.faults) >= 20:
                break
    if broken:
        raise CohortError([*broken, *sheet.faults])
    if not sheet.entries and not sheet.faults:
        told = "; ".join(sheet.notes) or "it holds no annotation"
        raise CohortError([Fault(sources[0].name, f"no votes in this export; {told}")])
    _name_frames(sheet, form, frames)
    _find_unnamed(sheet, form)
    table = _build_table(sheet, _name_people(sheet, form), sources)
    return Export(table, sheet.faults, sheet.notes)


def list_sources(form: VotesExport) -> list[Source]:
    """List the files of an export, by name.

    Args:
        form: the section ``cohort.votes``.

    Raises:
        CohortError: a folder is missing or holds none.
    """
    given = form.path if isinstance(form.path, dict) else {None: form.path}
    sources: list[Source] = []
    for annotator, path in given.items():
        if not path.is_dir():
            sources.append(Source(path, path.name, annotator))
            continue
        suffix = {"cvat": ".xml", "dicom_sr": ""}.get(getattr(form, "kind", ""), ".json")
        files = sorted(
            file for file in path.rglob("*") if file.name.endswith(suffix) and file.is_file()
        )
        if not files:
            what = f"no {suffix or 'file'} in this folder"
            raise CohortError([Fault(str(path), what, todo="check cohort.votes.path")])
        for file in files:
            inner = file.relative_to(path).parent.as_posix()
            folder = "" if inner == "." else inner
            own, below = annotator, folder
            if annotator is None and getattr(form, "kind", "") == "labelme" and folder:
                own, _, below = folder.partition("/")
            name = file.relative_to(path).as_posix()
            shown = name if annotator is None else f"{path.name}/{name}"
            sources.append(Source(file, shown, own, below))
    return sources


def hash_export(form: VotesExport) -> str | None:
    """Fingerprint the bytes of an export's files; None where one is missing.

    Args:
        form: the section ``cohort.votes``.
    """
    try:
        sources = list_sources(form)
        if len(sources) == 1 and not isinstance(form.path, dict) and form.path.is_file():
            return file_hash(form.path)
        parts = [f"{s.annotator}\0{s.name}\0{file_hash(s.path)}" for s in sources]
    except (CohortError, OSError):
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read_source(source: Source, form: AnyExport, sheet: Sheet) -> None:
    match form:
        case LabelStudioVotes():
            read_label_studio(source.path, form, sheet)
        case CvatVotes():
            read_cvat(source.path, form, sheet)
        case CocoVotes():
            read_coco(source.path, form, sheet)
        case DatumaroVotes():
            read_datumaro(source.path, form, sheet)
        case LabelMeVotes():
            read_labelme(source.path, form, sheet, source.folder)
        case OpinionVotes():
            read_opinions(source.path, form, sheet)
        case _:
            assert_never(form)


def _name_frames(sheet: Sheet, form: AnyExport, frames: list[str] | None) -> None:
    """Put the names of frames in place of addresses; two addresses of one frame are a fault."""
    keep = isinstance(form, LabelStudioVotes) and form.upload_prefix == "keep"
    given = {entry.frame: None for entry in sheet.entries}
    names = resolve_names(given, frames, upload_prefix=keep)
    first: dict[tuple[str, str], str] = {}
    told: set[tuple[str, str]] = set()
    entries: dict[tuple[str, Person, str], Entry] = {}
    for entry in sheet.entries:
        frame = names[entry.frame]
        before = first.setdefault((entry.file, frame), entry.frame)
        if before != entry.frame:
            if (entry.file, entry.frame) not in told:
                told.add((entry.file, entry.frame))
                sheet.file = entry.file
                todo = f"{before[:80]!r} names it too; use one name a frame"
                sheet.blame(entry.place, "a second name for a frame:", entry.frame, todo, frame)
            continue
        moved = Entry(frame, entry.person, entry.vote, entry.file, entry.place)
        entries.setdefault((frame, entry.person, entry.vote), moved)
    sheet.entries = list(entries.values())


def _find_unnamed(sheet: Sheet, form: AnyExport) -> None:
    """Tell keys of `annotators` that name nobody."""
    people = {entry.person.key for entry in sheet.entries if not entry.person.given}
    known = people | set(_number_people(people).values())
    for key in form.annotators or ():
        if key not in known:
            count = len(people)
            todo = (
                f"the export has {count} people: annotator-1 to annotator-{count}" if count else ""
            )
            sheet.faults.append(Fault("cohort.votes.annotators", "nobody has the id", key, todo))


def _name_people(sheet: Sheet, form: AnyExport) -> dict[Person, str]:
    """Name everybody; those whom a tool names get a number, as what it writes may be an address."""
    people = {entry.person for entry in sheet.entries}
    numbers = _number_people({person.key for person in people if not person.given})
    given = form.annotators or {}
    names = {}
    for person in people:
        alias = person.key if person.given else numbers[person.key]
        names[person] = alias if person.given else given.get(person.key, given.get(alias, alias))
    if len(set(names.values())) < len(names):
        twice = next(name for name, count in Counter(names.values()).items() if count > 1)
        todo = "give each their own name"
        sheet.faults.append(Fault("cohort.votes", "two people have one name:", twice, todo))
    return names


def _number_people(keys: set[str]) -> dict[str, str]:
    """Give pseudonyms in the order of ids, numbers by value.

    >>> _number_people({"10", "9"})
    {'9': 'annotator-1', '10': 'annotator-2'}
    """

    def order(key: str) -> tuple[int, str]:
        number = re.fullmatch(r"[0-9]{1,18}", key)
        return (int(key) if number else 10**18, key)

    return {key: f"annotator-{i}" for i, key in enumerate(sorted(keys, key=order), 1)}


def _build_table(sheet: Sheet, names: dict[Person, str], sources: list[Source]) -> Table:
    single = len(sources) == 1
    entries = sheet.entries
    cells = pl.DataFrame(
        {
            "frame": [entry.frame for entry in entries],
            "annotator": [names[entry.person] for entry in entries],
            "vote": [entry.vote for entry in entries],
        },
        schema={"frame": pl.String, "annotator": pl.String, "vote": pl.String},
    ).with_row_index(ROW)
    places = pl.Series(
        [entry.place if single else f"{entry.file} {entry.place}".strip() for entry in entries],
        dtype=pl.String,
    )
    return Table(sources[0].name if single else "votes", cells, places)
