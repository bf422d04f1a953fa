"""Votes in the five forms in which they come, read into one: a vote is (frame, annotator, fine).

long      frame,annotator,vote         one row a vote
wide      frame,Dr A,Dr B,Dr C         one row a frame, one column an annotator
counts    frame,votes_HP,votes_SSA     one row a frame, how many voted for each class
subclass  frame,subclass               one row a frame, its known subclass
folders   adenoma/0001.jpg             the folder's name is the vote

Where annotators are not told apart, the annotator is -1. Everything is done column by column, so
that a million votes load in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, assert_never

import polars as pl

from polypskd.cohort.counts import OTHER, columns_of_counts, expand_counts
from polypskd.cohort.matching import Matcher
from polypskd.cohort.tables import (
    FRAME,
    ROW,
    Table,
    first_duplicates,
    missing_columns,
    read_table,
    suggest,
    tell_rows,
)
from polypskd.config import (
    ClassFolders,
    CohortConfig,
    CountVotes,
    KnownSubclass,
    LongVotes,
    SyntheticVotes,
    VotesTable,
    WideVotes,
)
from polypskd.errors import ConfigError, Fault


@dataclass
class Ballots:
    """Votes as read, joined to frames by name.

    Args:
        votes: columns ``frame`` (text), ``annotator`` (index, -1 unknown), ``fine`` (index).
        annotators: names, in the order of the file's columns, or sorted.
        seen: frames that the table names, whether or not a valid vote came of it.
        ignored: frame → reason, for frames that lost all votes to `ignore`.
        table: the file, with the column `FRAME` added; None for folders.
        per_frame: whether the table has one row a frame.
        used: columns of the table that hold frames or votes and are not carried along.
        faults: what is wrong.
    """

    votes: pl.DataFrame
    annotators: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()
    ignored: dict[str, str] = field(default_factory=dict)
    table: Table | None = None
    per_frame: bool = True
    used: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)


def read_votes(config: CohortConfig, frames: list[str] | None) -> Ballots:
    """Read the votes of a cohort.

    Args:
        config: the cohort's section.
        frames: ids of the frames that exist; None where there are votes only.

    Raises:
        CohortError: the file cannot be read as a table; lesser faults are in the result.
        ConfigError: the votes' section does not fit the classes.
    """
    form = config.votes
    match form:
        case ClassFolders():
            return _read_folders(config, frames or [])
        case SyntheticVotes():
            raise ConfigError("cohort.votes: synthetic votes are drawn, not read")
        case LongVotes() | WideVotes() | CountVotes() | KnownSubclass():
            return _read_form(config, form, frames)
        case _:
            assert_never(form)


def votes_schema() -> dict[str, Any]:
    """Describe the section ``cohort.votes`` as a JSON schema, for editors."""
    from pydantic import TypeAdapter

    from polypskd.config import Votes

    schema: dict[str, Any] = TypeAdapter(Votes).json_schema()
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "cohort.votes"}
    return title | schema


def _read_form(
    config: CohortConfig,
    form: LongVotes | WideVotes | CountVotes | KnownSubclass,
    frames: list[str] | None,
) -> Ballots:
    table = read_table(form.path)
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
    faults = missing_columns(table, (form.frame, *used))
    if len(set(used)) != len(used):
        faults.append(Fault(table.name, "the config names a column of votes twice"))
    ballots = Ballots(
        _long([]),
        per_frame=not isinstance(form, LongVotes),
        used=(form.frame, *used),
        faults=faults,
    )
    if faults:
        return ballots
    cells = _join_frames(table, form, frames, ballots)
    ballots.table = Table(table.name, cells)
    if ballots.per_frame:
        twice = first_duplicates(cells, FRAME)
        faults += [
            Fault(
                f"{table.name} row {row[ROW]}",
                f"the frame of row {row['first']} a second time,",
                row[FRAME],
                "keep one row a frame",
                row[FRAME],
            )
            for row in twice.iter_rows(named=True)
        ]
        cells = cells.filter(~pl.col(ROW).is_in(twice[ROW].implode()))
        ballots.table = Table(table.name, cells)
    match form:
        case LongVotes():
            rows = cells.select(
                ROW, frame=pl.col(FRAME), annotator=pl.col(form.annotator), value=pl.col(form.vote)
            )
            rows = _drop_double(ballots, rows.filter(~pl.col("value").is_in(form.missing)))
            ballots.annotators = tuple(rows["annotator"].unique().sort().to_list())
        case WideVotes():
            rows = (
                cells.unpivot(
                    list(used), index=[ROW, FRAME], variable_name="annotator", value_name="value"
                )
                .rename({FRAME: "frame"})
                .filter(~pl.col("value").is_in(form.missing))
            )
            ballots.annotators = used
        case KnownSubclass():
            rows = cells.select(
                ROW,
                frame=pl.col(FRAME),
                annotator=pl.lit(None, pl.String),
                value=pl.col(form.column),
            ).filter(~pl.col("value").is_in(form.missing))
        case CountVotes():
            rows, told, more = expand_counts(ballots.table, form, counted)
            ballots.seen, ballots.faults = told, faults + more
    _take_votes(config, ballots, rows)
    return ballots


def _long(rows: list[tuple[str, int, int]]) -> pl.DataFrame:
    schema = {"frame": pl.String, "annotator": pl.Int64, "fine": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _join_frames(
    table: Table, form: VotesTable, frames: list[str] | None, ballots: Ballots
) -> pl.DataFrame:
    """Add the column ``frame``; rows without a frame are faults and fall out."""
    cells = table.cells.with_columns(pl.col(form.frame).alias("\0given"))
    empty = cells.filter(pl.col("\0given") == "")
    ballots.faults += tell_rows(table, empty.select(ROW), "no frame", f"fill in {form.frame!r}")
    cells = cells.filter(pl.col("\0given") != "")
    given = cells.group_by("\0given").agg(pl.col(ROW).min()).sort(ROW)
    found, faults = Matcher(frames).match(table, given)
    ballots.faults += faults
    joined = cells.join(
        found.rename({"frame": FRAME}), on="\0given", how="inner", maintain_order="left"
    )
    return joined.drop("\0given")


def _drop_double(ballots: Ballots, rows: pl.DataFrame) -> pl.DataFrame:
    """Tell annotators that vote twice on a frame; the first vote stays."""
    assert ballots.table is not None  # noqa: S101  (for the type checker)
    nobody = rows.filter(pl.col("annotator") == "")
    ballots.faults += tell_rows(
        ballots.table, nobody.select(ROW, "frame"), "no annotator", "fill in who voted"
    )
    ballots.seen |= frozenset(nobody["frame"])
    rows = rows.filter(pl.col("annotator") != "")
    # Integer keys: hashing a million pairs of strings takes longer than all the rest.
    frame, person = (
        rows[name].cast(pl.Categorical).to_physical().cast(pl.UInt64)
        for name in ("frame", "annotator")
    )
    twice = rows.filter((frame * 2**32 + person).is_duplicated()).sort(ROW)
    if twice.is_empty():
        return rows
    twice = twice.with_columns(
        first=pl.col(ROW).first().over("frame", "annotator"),
        other=pl.col("value").first().over("frame", "annotator"),
    ).filter(pl.col(ROW) != pl.col("first"))
    for row in twice.iter_rows(named=True):
        same = "the same vote" if row["other"] == row["value"] else "another vote"
        ballots.faults.append(
            Fault(
                f"{ballots.table.name} row {row[ROW]}",
                "annotator votes twice on one frame:",
                row["annotator"],
                f"{same} stands in row {row['first']}; keep one",
                row["frame"],
            )
        )
    return rows.filter(~pl.col(ROW).is_in(twice[ROW].implode()))


def _take_votes(config: CohortConfig, ballots: Ballots, rows: pl.DataFrame) -> None:
    """Map votes to indices; tell unknown votes and frames without any."""
    assert ballots.table is not None  # noqa: S101  (for the type checker)
    table, known = ballots.table, list(config.fine)
    form = config.votes
    index: dict[str, int] = {vote: i for i, vote in enumerate(known)}
    index |= dict.fromkeys(config.ignore, -2)
    if isinstance(form, CountVotes) and form.votes_for is not None:
        index[OTHER] = 1 - index[form.votes_for]
    people = {name: i for i, name in enumerate(ballots.annotators)}
    rows = rows.with_columns(
        fine=pl.col("value").replace_strict(index, default=-1, return_dtype=pl.Int64),
        annotator=pl.col("annotator").replace_strict(people, default=-1, return_dtype=pl.Int64),
    )
    unknown = rows.filter(pl.col("fine") == -1)
    for (value,), group in unknown.group_by("value", maintain_order=True):
        todo = f"{suggest(str(value), known)}use one of: {', '.join(known)}"
        ballots.faults += tell_rows(
            table, group.select(ROW, "frame", "value"), "unknown class", todo
        )
    ignored = rows.filter(pl.col("fine") == -2)
    ballots.votes = rows.filter(pl.col("fine") >= 0).select("frame", "annotator", "fine")
    voted = ballots.votes.select("frame").unique()
    lost = ignored.join(voted, on="frame", how="anti").unique("frame", keep="first")
    ballots.ignored = {
        frame: f"vote {value!r} is ignored by the config"
        for frame, value in lost.select("frame", "value").iter_rows()
    }
    told = set(ballots.ignored) | set(unknown["frame"]) | ballots.seen
    silent = (
        table.cells.select(ROW, frame=pl.col(FRAME))
        .join(voted, on="frame", how="anti")
        .group_by("frame")
        .agg(pl.col(ROW).min())
        .filter(~pl.col("frame").is_in(list(told)))
    )
    ballots.faults += tell_rows(
        table,
        silent.with_columns(value=pl.col("frame")),
        "no vote for frame",
        "add votes or take the row out",
    )
    ballots.seen = frozenset(table.cells[FRAME].unique())


def _read_folders(config: CohortConfig, frames: list[str]) -> Ballots:
    index = {vote: i for i, vote in enumerate(config.fine)}
    ballots = Ballots(_long([]), seen=frozenset(frames))
    votes = []
    for frame in frames:
        folder = PurePosixPath(frame).parent.name
        if folder in config.ignore:
            ballots.ignored[frame] = f"vote {folder!r} is ignored by the config"
        elif folder in index:
            votes.append((frame, -1, index[folder]))
        else:
            todo = f"{suggest(folder, index)}use one of: {', '.join(index)}; or add it to ignore"
            what = "unknown class" if folder else "no folder names its class"
            ballots.faults.append(Fault(frame, what, folder, todo, frame))
    ballots.votes = _long(votes)
    return ballots
