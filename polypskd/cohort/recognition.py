"""A first config from what lies there: which form of votes, which columns, which classes.

A guess, told as one: every choice comes with a note that its reader can check.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from polypskd.cohort.address import split_address
from polypskd.cohort.exports.recognition import REGIONS, is_export, recognize_export
from polypskd.cohort.matching import Matcher
from polypskd.cohort.remarks import find_pattern, remark_votes
from polypskd.cohort.sources import Source, recognize_source
from polypskd.cohort.tables import ROW, Table, list_columns, read_table
from polypskd.config import ColumnSplit, VotesTable
from polypskd.errors import ConfigError

Section = dict[str, Any]

FRAME = re.compile(r"frame|image|file|lesion|picture|polyp.?id", re.I)
ANNOTATOR = re.compile(
    r"annotator|rater|reader|expert|doctor|physician|endoscopist|labell?er", re.I
)
VOTE = re.compile(r"vote|label|class|diagnosis|opinion|annotation|answer", re.I)
PATIENT = re.compile(r"patient|subject|participant", re.I)
SPLIT = re.compile(r"split|partition|subset|set|fold", re.I)
# Columns that tell what is true, or what the others agreed on, are nobody's vote.
REFERENCE = re.compile(
    r"truth|histolog|patholog|consensus|agreement|majority|reference|gold|final|true|\blabels?\b|set",
    re.I,
)
NUMBERED = r"#[0-9]{1,9}$"
COUNTER = re.compile(r"number|index|frame.?(no|nr|id)?$", re.I)
TIME = re.compile(r"time|second", re.I)
SELECTED = re.compile(r"selected (.+?) \(out of (\d+)\)", re.I)  # as in MHIST
MISSING = VotesTable.model_fields["missing"].default
MOST_CLASSES = 50
MOST_ANNOTATORS = 500


@dataclass(frozen=True)
class Recognized:
    """A first look.

    Args:
        cohort: the section as in YAML.
        notes: what was guessed and why, and what looks wrong.
        pattern: may find the patient in a frame's name; None where nothing does.
    """

    cohort: Section
    notes: list[str]
    pattern: str | None


@dataclass
class _Guess:
    table: Table
    frame: str
    votes: Section = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def values(self, *columns: str) -> list[str]:
        cells = pl.concat([self.table.cells[name].alias("value") for name in columns])
        return sorted(set(cells) - set(MISSING))


def recognize_votes(
    frames: Path | None, votes: Path | None, beside: Sequence[str] = (), regions: str = "tell"
) -> Recognized:
    """Guess the section ``cohort`` of a config.

    Args:
        frames: folder of the frames, if there is one.
        votes: table or export of votes; without one, the folders' names are the votes.
        beside: columns of a table that are no votes, as those of numbers and times.
        regions: of an export: ``frame_label`` takes the class of a box or outline as a vote.

    Raises:
        CohortError: the table cannot be read.
        ConfigError: the folder holds no frames, or no known form of votes fits.
    """
    source = recognize_source(frames, voted=votes is not None)
    root, listed = source.section, source.frames
    if votes is None:
        classes = sorted({PurePosixPath(name).parent.name for name in listed} - {""})
        if len(classes) < 2:
            raise ConfigError("give --votes FILE, or a folder of frames with one folder a class")
        note = f"votes: no table given, so the {len(classes)} folders' names are the classes"
        section: Section = {"frames": root, "votes": {"kind": "folders"}, "classes": classes}
        folders = Counter(PurePosixPath(name).parent.name for name in listed)
        notes = [note, *source.notes, *remark_votes(folders)]
        return Recognized(section, notes, find_pattern(listed, classes))
    if is_export(votes):
        return _recognize_export(source, votes, regions)
    if regions != "tell":
        raise ConfigError(f"{votes}: a table holds no regions; leave --regions out")
    table = read_table(votes)
    table = replace(table, cells=table.cells.drop(beside, strict=False))
    guess = _Guess(table, _find_frame(table, listed), notes=[*source.notes])
    numbered = _find_number(guess, source)
    recognized = any(
        recognize(guess)
        for recognize in (_as_selected, _as_counts, _as_long, _as_wide, _as_subclass)
    )
    if not recognized or len(guess.classes) < 2:
        columns = list_columns(table.columns)
        raise ConfigError(
            f"{votes}: no known form of votes; its columns are: {columns}; counts of votes stand "
            "under votes_<class>, or are named in cohort.votes.columns {class: column}; "
            "annotations/README.md shows all forms"
        )
    kind = guess.votes.pop("kind")
    form: Section = (
        {"kind": kind, "path": votes.as_posix(), "frame": guess.frame} | numbered | guess.votes
    )
    section = {"frames": root, "votes": form, "classes": guess.classes} | _find_columns(guess)
    section = _of_headers(source) | section
    names = table.cells[guess.frame].unique().sort().to_list()
    if frames is not None:
        guess.notes.append(_count_found(table, guess.frame, source))
    guess.notes += remark_votes(_count_values(guess, kind))
    return Recognized(section, guess.notes, find_pattern(listed or names, guess.classes))


def _recognize_export(source: Source, votes: Path, regions: str) -> Recognized:
    listed = source.frames
    guess = recognize_export(votes, listed or None, regions)
    classes = sorted(guess.counts)
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no class"
        todo = "two are needed; annotations/README.md shows how"
        if any(REGIONS in note for note in guess.notes):
            todo = (
                "two are needed; boxes and outlines have classes: --regions frame_label takes them"
            )
        raise ConfigError(f"{votes}: {found} in this export; {todo}")
    section: Section = {"frames": source.section, "votes": guess.votes, "classes": classes}
    section = _of_headers(source) | section
    notes = [*source.notes, *guess.notes, *remark_votes(guess.counts)]
    return Recognized(section, notes, find_pattern(listed or guess.frames, classes))


def _of_headers(source: Source) -> Section:
    """Give the patients that DICOM headers tell."""
    known = source.kind == "dicom"
    return {"patients": {"kind": "column", "column": "patient"}} if known else {}


def _count_found(table: Table, frame: str, source: Source) -> str:
    """Say how many frames of the table there are among the files."""
    given = table.cells.filter(pl.col(frame) != "").group_by(pl.col(frame).alias("\0given"))
    names = given.agg(pl.col(ROW).min()).sort(ROW)
    listing = source.listing
    found, _ = Matcher(source.frames, named=listing is not None and listing.named).match(
        table, names
    )
    return (
        f"frames: {len(found):,} of {len(names):,} frames found among {len(source.frames):,} "
        f"{'files' if source.kind != 'dicom' else 'frames'}"
    )


def _count_values(guess: _Guess, kind: str) -> dict[str, int]:
    """Count how often each vote was given."""
    cells, form = guess.table.cells, guess.votes
    if kind == "counts":
        votes = cells.select(pl.all().exclude(ROW).cast(pl.Float64, strict=False).fill_null(0))
        if "prefix" in form:
            return {name: int(votes[form["prefix"] + name].sum()) for name in guess.classes}
        given = int(votes[form["column"]].sum())
        rest = form["out_of"] * int((~cells[form["column"]].is_in(MISSING)).sum()) - given
        other = next(name for name in guess.classes if name != form["votes_for"])
        return {form["votes_for"]: given, other: rest}
    key = {"long": "vote", "subclass": "column"}.get(kind)
    columns = [form[key]] if key else form["annotators"]
    values = pl.concat([cells[name].alias("value") for name in columns]).value_counts()
    return {name: count for name, count in values.iter_rows() if name not in MISSING}


def _find_frame(table: Table, listed: list[str]) -> str:
    """Pick the column that names frames: by the files that exist, else by its name."""
    if listed:
        paths = [PurePosixPath(name) for name in listed]
        known = {key for path in paths for key in (str(path), path.name, path.stem)}
        files = {split_address(name)[0] for name in listed}
        known |= files | {PurePosixPath(file).name for file in files}
        hits = {
            name: table.cells[name].str.replace(NUMBERED, "").is_in(list(known)).sum()
            for name in table.columns
        }
        best = max(hits, key=lambda name: hits[name])
        if hits[best]:
            return best
    named = [name for name in table.columns if FRAME.search(name)]
    distinct = {name: table.cells[name].n_unique() for name in table.columns}
    return max(named or table.columns, key=lambda name: distinct[name])


def _find_number(guess: _Guess, source: Source) -> Section:
    """Find the column with a frame's number or time within its file, if names do not tell it."""
    if source.kind not in {"dicom", "video"}:
        return {}
    if guess.table.cells[guess.frame].str.contains(NUMBERED).any():
        return {}
    for key, pattern, form in (("number", COUNTER, r"^\d+$"), ("time", TIME, r"^\d+(\.\d+)?$")):
        for name in guess.table.columns:
            cells = guess.table.cells[name]
            if name != guess.frame and pattern.search(name) and cells.str.contains(form).all():
                guess.notes.append(f"frames: column {name!r} is the frame's {key} in its file")
                return {key: name}
    return {}


def _is_count(table: Table, name: str) -> bool:
    cells = table.cells[name].filter(~table.cells[name].is_in(MISSING))
    return len(cells) > 0 and bool(cells.str.contains(r"^\d+(\.0*)?$").all())


def _as_selected(guess: _Guess) -> bool:
    for name in guess.table.columns:
        found = SELECTED.search(name)
        if not found or not _is_count(guess.table, name):
            continue
        for other in guess.table.columns:
            values = guess.values(other)
            if len(values) == 2 and found[1] in values:
                guess.classes = values
                guess.votes = {
                    "kind": "counts",
                    "votes_for": found[1],
                    "column": name,
                    "out_of": int(found[2]),
                }
                guess.notes.append(f"votes: {name!r} counts the votes for {found[1]}")
                return True
    return False


def _as_counts(guess: _Guess) -> bool:
    for prefix in ("votes_", "n_votes_", "n_", "count_"):
        columns = [
            name
            for name in guess.table.columns
            if name.startswith(prefix) and name != prefix and _is_count(guess.table, name)
        ]
        if len(columns) >= 2:
            guess.classes = sorted(name.removeprefix(prefix) for name in columns)
            guess.votes = {"kind": "counts", "prefix": prefix}
            guess.notes.append(f"votes: {len(columns)} columns {prefix}<class> count votes")
            return True
    return False


def _as_long(guess: _Guess) -> bool:
    cells = guess.table.cells
    if cells[guess.frame].n_unique() == len(cells):
        return False
    others = [name for name in guess.table.columns if name != guess.frame]
    people = [name for name in others if ANNOTATOR.search(name)]
    votes = [name for name in others if VOTE.search(name) and name not in people[:1]]
    if not people or not votes:
        return False
    guess.classes = guess.values(votes[0])
    guess.votes = {"kind": "long", "annotator": people[0], "vote": votes[0]}
    guess.notes.append(f"votes: one row a vote, of {people[0]!r}, in {votes[0]!r}")
    return len(guess.classes) <= MOST_CLASSES


def _words_columns(guess: _Guess) -> dict[str, set[str]]:
    """Columns whose few values may be votes."""
    found = {}
    for name in guess.table.columns:
        values = set(guess.values(name))
        few = 1 <= len(values) <= min(MOST_CLASSES, max(2, len(guess.table.cells) // 2))
        if few and name != guess.frame and not (PATIENT.search(name) or REFERENCE.search(name)):
            found[name] = values
    return found


def _as_wide(guess: _Guess) -> bool:
    # Each is compared with each: more columns than that are no annotators.
    columns = dict(islice(_words_columns(guess).items(), MOST_ANNOTATORS))
    alike: list[str] = []
    for values in columns.values():
        group = [
            name
            for name, other in columns.items()
            if 2 * len(values & other) > min(len(values), len(other))
        ]
        alike = max(alike, group, key=len)
    if len(alike) < 2:
        return False
    guess.classes = guess.values(*alike)
    guess.votes = {"kind": "wide", "annotators": alike}
    guess.notes.append(f"votes: the {len(alike)} columns {', '.join(alike)} share their values")
    left = [name for name in guess.table.columns if REFERENCE.search(name)]
    if left:
        guess.notes.append(f"not taken for annotators, by their names: {', '.join(left)}")
    return True


def _as_subclass(guess: _Guess) -> bool:
    columns = [name for name, values in _words_columns(guess).items() if len(values) > 1]
    columns = [name for name in columns if not SPLIT.search(name)]
    named = [name for name in columns if re.search(r"class|type|diagnos", name, re.I)] or columns
    if not named:
        return False
    guess.classes = guess.values(named[0])
    guess.votes = {"kind": "subclass", "column": named[0]}
    guess.notes.append(f"votes: {named[0]!r} holds one known class a frame; see also cohort.merge")
    return True


def _find_columns(guess: _Guess) -> Section:
    """Find patients and a given split."""
    section: Section = {}
    for name in guess.table.columns:
        if "patients" not in section and PATIENT.search(name) and name != guess.frame:
            section["patients"] = {"kind": "column", "column": name}
            guess.notes.append(f"patients: column {name!r}")
        if "split" in section or not SPLIT.search(name):
            continue
        given = ColumnSplit(column=name)
        values = set(guess.values(name))
        if values <= {*given.train, *given.val_names, *given.test} and len(values) > 1:
            section["split"] = {"kind": "column", "column": name}
            if not values & set(given.val_names):
                section["split"]["val"] = 0.15
            guess.notes.append(f"split: column {name!r} with {', '.join(sorted(values))}")
    return section
