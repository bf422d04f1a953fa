"""Votes in the five forms in which they come, read into one: a vote is (frame, annotator, fine).

long      frame,annotator,vote         one row a vote
wide      frame,Dr A,Dr B,Dr C         one row a frame, one column an annotator
counts    frame,votes_HP,votes_SSA     one row a frame, how many voted for each class
subclass  frame,subclass               one row a frame, its known subclass
folders   adenoma/0001.jpg             the folder's name is the vote

Exports of label tools are read into the first of them (`polypskd.cohort.exports`).

Where annotators are not told apart, the annotator is -1. Text is numbered once, and everything is
done column by column on the numbers, so that ten million votes load in seconds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import polars as pl

from polypskd.cohort.ballots import Ballots, drop_double, take_votes
from polypskd.cohort.causes import tell_strangers
from polypskd.cohort.counts import columns_of_counts, expand_counts
from polypskd.cohort.exports.reading import AnyExport, read_export
from polypskd.cohort.listing import Listing
from polypskd.cohort.matching import Matcher
from polypskd.cohort.naming import name_frames
from polypskd.cohort.rows import number_rows, sort_votes
from polypskd.cohort.tables import (
    FRAME,
    NUMBER,
    ROW,
    Table,
    first_duplicates,
    missing_columns,
    number_cells,
    read_table,
    suggest,
    tell_rows,
)
from polypskd.config import (
    ClassFolders,
    CocoVotes,
    CohortConfig,
    CountVotes,
    CvatVotes,
    DatumaroVotes,
    KnownSubclass,
    LabelMeVotes,
    LabelStudioVotes,
    LongVotes,
    OpinionVotes,
    SyntheticVotes,
    VotesTable,
    WideVotes,
)
from polypskd.errors import ConfigError, Fault


def read_votes(config: CohortConfig, listing: Listing | None) -> Ballots:
    """Read the votes of a cohort.

    Args:
        config: the cohort's section.
        listing: the frames that exist; None where there are votes only.

    Raises:
        CohortError: the file cannot be read as a table; lesser faults are in the result.
        ConfigError: the votes' section does not fit the classes.
    """
    form = config.votes
    match form:
        case ClassFolders():
            return _read_folders(config, listing.frames if listing else [])
        case SyntheticVotes():
            raise ConfigError("cohort.votes: synthetic votes are drawn, not read")
        case LongVotes() | WideVotes() | CountVotes() | KnownSubclass():
            return _read_form(config, form, listing, read_table(form.path))
        case (
            LabelStudioVotes()
            | CvatVotes()
            | CocoVotes()
            | DatumaroVotes()
            | LabelMeVotes()
            | OpinionVotes()
        ):
            return _read_export(config, form, listing)
        case _:
            assert_never(form)


def votes_schema() -> dict[str, Any]:
    """Describe the section ``cohort.votes`` as a JSON schema, for editors."""
    from pydantic import TypeAdapter

    from polypskd.config import Votes

    schema: dict[str, Any] = TypeAdapter(Votes).json_schema()
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "cohort.votes"}
    return title | schema


def _read_export(config: CohortConfig, form: AnyExport, listing: Listing | None) -> Ballots:
    frames = listing.frames if listing else None
    export = read_export(form, frames)
    path = form.path if isinstance(form.path, Path) else next(iter(form.path.values()))
    ballots = _read_form(config, LongVotes(path=path, missing=()), listing, export.table)
    ballots.faults = export.faults + ballots.faults
    ballots.notes = export.notes
    return ballots


def _read_form(
    config: CohortConfig,
    form: LongVotes | WideVotes | CountVotes | KnownSubclass,
    listing: Listing | None,
    table: Table,
) -> Ballots:
    table, wrong = name_frames(table, form, listing)
    match form:
        case LongVotes():
            used: tuple[str, ...] = (form.annotator, form.vote)
        case WideVotes():
            used = form.annotators
        case CountVotes():
            counted = columns_of_counts(config, form, table)
            used = tuple(counted.values())
        case KnownSubclass():
            used = (form.column,)
    faults = wrong + missing_columns(table, (form.frame, *used))
    blocked = len(faults) > len(wrong)
    if len(set(used)) != len(used):
        faults.append(Fault(table.name, "the config names a column of votes twice"))
        blocked = True
    ballots = Ballots(
        per_frame=not isinstance(form, LongVotes),
        used=(form.frame, *used),
        faults=faults,
    )
    if blocked:
        return ballots
    cells = _join_frames(table, form, listing, ballots)
    if ballots.per_frame:
        cells = _drop_second_rows(table.name, cells, ballots)
    told: frozenset[str] = frozenset()
    if isinstance(form, CountVotes):
        votes, told, more = expand_counts(replace(table, cells=cells), form, counted)
        ballots.faults += more
    else:
        votes = _list_votes(cells, form)
    rows = number_rows(votes, ballots.frames)
    ballots.table = replace(table, cells=cells.drop(ballots.used, strict=False))
    # The text goes before the work begins: that of ten million votes is a gigabyte.
    del table, cells, votes
    if not isinstance(form, CountVotes):
        rows = rows.keep(~rows.holds("value", form.missing))
    if isinstance(form, LongVotes):
        rows, told = drop_double(ballots, rows)
    ballots.annotators = used if isinstance(form, WideVotes) else rows.annotators()
    take_votes(config, ballots, rows, told)
    if ballots.per_frame:
        ballots.table = replace(ballots.table, cells=ballots.table.cells.drop(NUMBER))
    return ballots


def _list_votes(cells: pl.DataFrame, form: LongVotes | WideVotes | KnownSubclass) -> pl.DataFrame:
    """Give one row a vote, given or not, where votes are not counted."""
    match form:
        case LongVotes():
            return cells.select(ROW, NUMBER, annotator=form.annotator, value=form.vote)
        case WideVotes():
            return cells.unpivot(
                list(form.annotators),
                index=[ROW, NUMBER],
                variable_name="annotator",
                value_name="value",
            )
        case KnownSubclass():
            return cells.select(ROW, NUMBER, value=form.column)
        case _:
            assert_never(form)


def _join_frames(
    table: Table, form: VotesTable, listing: Listing | None, ballots: Ballots
) -> pl.DataFrame:
    """Number the frames of the rows; rows without a frame are faults and fall out.

    Returns:
        The cells with the column `NUMBER`, and `FRAME` where there is one row a frame.
    """
    cells = table.cells
    empty = cells[form.frame] == ""
    if empty.any():
        lost = cells.filter(empty).select(ROW)
        ballots.faults += tell_rows(table, lost, "no frame", f"fill in {form.frame!r}")
        cells = cells.filter(~empty)
    numbers, first = number_cells(cells[form.frame])
    first.sort()
    given = cells.select(ROW, pl.col(form.frame).alias("\0given"))[first]
    frames = listing.frames if listing else None
    matcher = Matcher(frames, named=listing is not None and listing.named)
    found, faults = matcher.match(table, given)
    if frames and found.is_empty() and len(given):
        faults = tell_strangers(table.name, given["\0given"].to_list(), frames, faults)
    ballots.faults += faults
    found = found.sort("frame").with_row_index(NUMBER)
    ballots.frames = found["frame"]
    number = given.join(found, on="\0given", how="left", maintain_order="left")[NUMBER]
    place = np.zeros(len(first), dtype=np.int64)
    place[numbers[first]] = number.cast(pl.Int64).fill_null(-1).to_numpy()
    of_row = pl.Series(NUMBER, place[numbers], dtype=pl.Int64)
    cells = cells.with_columns(of_row.replace(-1, None).cast(pl.UInt32))
    if len(found) < len(given):
        cells = cells.drop_nulls(NUMBER)
    if ballots.per_frame:
        cells = cells.with_columns(ballots.frames.gather(cells[NUMBER]).alias(FRAME))
    return cells


def _drop_second_rows(name: str, cells: pl.DataFrame, ballots: Ballots) -> pl.DataFrame:
    """Tell frames that stand in two rows; the first row stays."""
    twice = first_duplicates(cells, FRAME)
    ballots.faults += [
        Fault(
            f"{name} row {row[ROW]}",
            f"the frame of row {row['first']} a second time,",
            row[FRAME],
            "keep one row a frame",
            row[FRAME],
        )
        for row in twice.iter_rows(named=True)
    ]
    return cells.filter(~pl.col(ROW).is_in(twice[ROW].implode())) if len(twice) else cells


def _read_folders(config: CohortConfig, frames: list[str]) -> Ballots:
    named = pl.Series("frame", frames, dtype=pl.String)
    # The folder's name: what stands before the last part of the path.
    folder = named.str.extract(r"(?s)([^/]*)/[^/]*$").fill_null("")
    cells = pl.DataFrame({"frame": named, "value": folder}).with_row_index(NUMBER)
    index = {vote: i for i, vote in enumerate(config.fine)} | dict.fromkeys(config.ignore, -2)
    rows = number_rows(cells.with_columns(pl.col(NUMBER).alias(ROW)), named)
    fine = rows.place("value", index)
    valid = fine >= 0
    ballots = Ballots(frames=named)
    ballots.votes = sort_votes(
        rows.frame_numbers()[valid], np.full(np.count_nonzero(valid), -1), fine[valid]
    )
    ballots.ignored = {
        frame: f"vote {value!r} is ignored by the config"
        for frame, value in rows.show(fine == -2).select("frame", "value").iter_rows()
    }
    for frame, value in rows.show(fine == -1).select("frame", "value").iter_rows():
        known = [vote for vote, place in index.items() if place >= 0]
        todo = f"{suggest(value, known)}use one of: {', '.join(known)}; or add it to ignore"
        what = "unknown class" if value else "no folder names its class"
        ballots.faults.append(Fault(frame, what, value, todo, frame))
    return ballots
