"""Columns beside the votes: patients, splits, and whatever else the tables carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from polypskd.cohort.ballots import Ballots
from polypskd.cohort.table import Words
from polypskd.cohort.tables import FRAME, NUMBER, ROW, Table, missing_columns, tell_rows
from polypskd.errors import CohortError, Fault

MOST_LETTERS = 2**28  # of a column, each cell taking the room of the longest: a gigabyte


@dataclass(frozen=True)
class Column:
    """A column's values: `ROW`, ``frame`` and ``value`` (null where there is none), by frame."""

    table: Table
    cells: pl.DataFrame


class Columns:
    """Columns of metadata, DICOM headers and the votes table; the first of a name counts."""

    def __init__(
        self, metadata: Table | None, ballots: Ballots, headers: Table | None = None
    ) -> None:
        self.tables: list[tuple[Table, bool]] = []
        self.frames = ballots.frames
        self.tables += [(table, True) for table in (metadata, headers) if table is not None]
        if ballots.table is not None:
            self.tables.append((ballots.table, ballots.per_frame))

    def find(self, name: str, frames: pl.Series, faults: list[Fault]) -> Column | None:
        """Find a column's value for each frame, and the row in which it stands.

        Args:
            name: of the column.
            frames: ids of the frames that need a value; the result has their order.
            faults: takes what is wrong.

        Returns:
            None where no table has the column.
        """
        where = next((pair for pair in self.tables if name in pair[0].columns), None)
        if where is None:
            for table, _ in self.tables[:1]:
                faults += missing_columns(table, [name])
            if not self.tables:
                faults.append(Fault("cohort", "no table has the column", name, "give metadata"))
            return None
        table, per_frame = where
        if per_frame:
            cells = table.cells.select(ROW, frame=FRAME, value=name)
        else:
            # Values are compared by row to name the first one that differs.
            cells = table.cells.select(ROW, NUMBER, value=name)
            first = cells.unique(NUMBER, keep="first", maintain_order=True)
            value = pl.Series("first", [None], pl.String).new_from_index(0, len(self.frames))
            value = value.scatter(first[NUMBER], first["value"])
            mixed = cells.filter(cells["value"] != value.gather(cells[NUMBER]))
            mixed = self._name(mixed.unique(NUMBER, keep="first")).select(ROW, "frame")
            todo = f"give a frame one {name!r}"
            faults += tell_rows(table, mixed, f"{name!r} differs within a frame", todo)
            cells = self._name(first)
        cells = pl.DataFrame({"frame": frames}).join(
            cells, on="frame", how="left", maintain_order="left"
        )
        lost = cells.filter(pl.col("value").is_null())["frame"]
        faults += [
            Fault(table.name, "no row for frame", frame, "add the row", frame) for frame in lost
        ]
        empty = cells.filter(pl.col("value") == "").select(ROW, "frame")
        faults += tell_rows(table, empty, f"{name!r} is empty", "fill it in")
        return Column(table, cells.with_columns(pl.col("value").cast(pl.String).replace("", None)))

    def _name(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Give rows of the votes table their frames by name."""
        return cells.select(ROW, "value", self.frames.gather(cells[NUMBER]).alias("frame"))

    def carry(self, frames: pl.Series, leave: set[str]) -> dict[str, Words]:
        """Give every other column of the tables that have one row a frame."""
        carried: dict[str, Words] = {}
        order = pl.DataFrame({FRAME: frames})
        for table, per_frame in self.tables:
            names = [n for n in table.columns if n not in leave | {FRAME} | set(carried)]
            if per_frame and names:
                cells = order.join(table.cells, on=FRAME, how="left", maintain_order="left")
                _check_lengths(table, cells, names)
                carried |= {
                    name: cells[name].fill_null("").to_numpy().astype(np.str_) for name in names
                }
        return carried


def _check_lengths(table: Table, cells: pl.DataFrame, names: list[str]) -> None:
    """Refuse a column whose longest cell would be paid for by every frame."""
    for name in names:
        longest = int(cells[name].str.len_chars().max() or 0)  # type: ignore[arg-type]
        if longest * len(cells) > MOST_LETTERS:
            what = f"column {name[:80]!r} has a cell of {longest:,} characters"
            todo = "shorten it, or take the column out"
            raise CohortError([Fault(table.name, what, todo=todo)])
