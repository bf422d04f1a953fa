"""Votes counted as valid, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from polypskd.cohort.counts import OTHER
from polypskd.cohort.rows import Rows, empty_votes, sort_votes
from polypskd.cohort.tables import NUMBER, ROW, Table, suggest, tell_rows
from polypskd.config import CohortConfig, CountVotes
from polypskd.errors import Fault


@dataclass
class Ballots:
    """Votes as read, joined to frames by number.

    Args:
        votes: columns ``frame`` (index into `frames`), ``annotator`` (index, -1 unknown) and
            ``fine`` (index), sorted: their order does not depend on that of the file's rows.
        annotators: names, in the order of the file's columns, or sorted.
        frames: ids of the frames that the table names, whether or not a valid vote came of it;
            sorted.
        ignored: frame → reason, for frames that lost all votes to `ignore`.
        table: the file without what is in `used`, with the column `FRAME` added, or `NUMBER` where
            there are many rows a frame; None for folders.
        per_frame: whether the table has one row a frame.
        used: columns of the table that hold frames or votes and are not carried along.
        faults: what is wrong.
        notes: what an export holds that was not used, and why.
    """

    votes: pl.DataFrame = field(default_factory=empty_votes)
    annotators: tuple[str, ...] = ()
    frames: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.String))
    ignored: dict[str, str] = field(default_factory=dict)
    table: Table | None = None
    per_frame: bool = True
    used: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def drop_double(ballots: Ballots, rows: Rows) -> tuple[Rows, frozenset[str]]:
    """Tell rows without an annotator, and annotators that vote twice; the first vote stays.

    Returns:
        The other rows, and the frames of rows without an annotator.
    """
    assert ballots.table is not None  # noqa: S101  (for the type checker)
    empty = rows.holds("annotator", ("",))
    nobody = rows.show(empty)
    ballots.faults += tell_rows(
        ballots.table, nobody.select(ROW, "frame"), "no annotator", "fill in who voted"
    )
    told = frozenset(nobody["frame"])
    rows = rows.keep(~empty)
    twice = rows.doubles()
    if not twice.any():
        return rows, told
    shown = rows.show(twice).sort(ROW)
    shown = shown.with_columns(
        first=pl.col(ROW).first().over("frame", "annotator"),
        other=pl.col("value").first().over("frame", "annotator"),
    ).filter(pl.col(ROW) != pl.col("first"))
    for row in shown.iter_rows(named=True):
        same = "the same vote" if row["other"] == row["value"] else "another vote"
        ballots.faults.append(
            Fault(
                f"{ballots.table.name} {ballots.table.place(row[ROW])}".rstrip(),
                "annotator votes twice on one frame:",
                row["annotator"],
                f"{same} stands in {ballots.table.place(row['first'])}; keep one",
                row["frame"],
            )
        )
    return rows.keep(~np.isin(rows.cells[ROW].to_numpy(), shown[ROW].to_numpy())), told


def take_votes(config: CohortConfig, ballots: Ballots, rows: Rows, told: frozenset[str]) -> None:
    """Map votes to indices; tell unknown votes and frames without any."""
    assert ballots.table is not None  # noqa: S101  (for the type checker)
    table, known = ballots.table, list(config.fine)
    form = config.votes
    index: dict[str, int] = {vote: i for i, vote in enumerate(known)}
    index |= dict.fromkeys(config.ignore, -2)
    if isinstance(form, CountVotes) and form.votes_for is not None:
        index[OTHER] = 1 - index[form.votes_for]
    fine = rows.place("value", index)
    unknown = rows.show(fine == -1)
    for (value,), group in unknown.group_by("value", maintain_order=True):
        todo = f"{suggest(str(value), known)}use one of: {', '.join(known)}"
        ballots.faults += tell_rows(
            table, group.select(ROW, "frame", "value"), "unknown class", todo
        )
    people = {name: i for i, name in enumerate(ballots.annotators)}
    valid = fine >= 0
    good = rows.keep(valid)
    ballots.votes = sort_votes(
        good.frame_numbers(), good.place("annotator", people), good.place("value", index)
    )
    voted = np.zeros(len(ballots.frames), dtype=np.bool_)
    voted[ballots.votes["frame"].to_numpy()] = True
    lost = rows.show((fine == -2) & ~voted[rows.frame_numbers()]).unique("frame", keep="first")
    ballots.ignored = {
        frame: f"vote {value!r} is ignored by the config"
        for frame, value in lost.select("frame", "value").iter_rows()
    }
    if voted.all():
        return
    # Those of whom something was told already are not told of again.
    silent = table.cells.select(ROW, NUMBER).filter(~voted[table.cells[NUMBER].to_numpy()])
    silent = silent.group_by(NUMBER).agg(pl.col(ROW).min())
    silent = silent.with_columns(frame=ballots.frames.gather(silent[NUMBER]))
    told |= set(ballots.ignored) | set(unknown["frame"])
    silent = silent.filter(~pl.col("frame").is_in(list(told)))
    ballots.faults += tell_rows(
        table,
        silent.select(ROW, "frame", value="frame"),
        "no vote for frame",
        "add votes or take the row out",
    )
