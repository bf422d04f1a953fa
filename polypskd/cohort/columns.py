"""Columns beside the votes: patients, splits, and whatever else the tables carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from polypskd.cohort.table import Words
from polypskd.cohort.tables import FRAME, ROW, Table, missing_columns, tell_rows
from polypskd.cohort.votes import Ballots
from polypskd.errors import Fault


@dataclass(frozen=True)
class Column:
    """A column's values: `ROW`, ``frame`` and ``value``, filled rows only."""

    table: Table
    cells: pl.DataFrame

    def as_dict(self) -> dict[str, str]:
        """Give frame → value."""
        return dict(self.cells.select("frame", "value").iter_rows())


class Columns:
    """Columns of the metadata and of the votes table, by name; the metadata come first."""

    def __init__(self, metadata: Table | None, ballots: Ballots) -> None:
        self.tables: list[tuple[Table, bool]] = []
        if metadata is not None:
            self.tables.append((metadata, True))
        if ballots.table is not None:
            cells = ballots.table.cells.drop(ballots.used, strict=False)
            self.tables.append((Table(ballots.table.name, cells), ballots.per_frame))

    def find(self, name: str, frames: list[str], faults: list[Fault]) -> Column | None:
        """Find a column's value for each frame, and the row in which it stands.

        Args:
            name: of the column.
            frames: ids of the frames that need a value.
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
        cells = table.cells.select(ROW, frame=FRAME, value=name)
        if not per_frame:
            # Values are compared by row to name the first one that differs.
            first = pl.col("value").first().over("frame")
            mixed = cells.filter(pl.col("value") != first).unique("frame", keep="first")
            todo = f"give a frame one {name!r}"
            mixed = mixed.select(ROW, "frame")
            faults += tell_rows(table, mixed, f"{name!r} differs within a frame", todo)
            cells = cells.unique("frame", keep="first", maintain_order=True)
        cells = pl.DataFrame({"frame": frames}, schema={"frame": pl.String}).join(
            cells, on="frame", how="left", maintain_order="left"
        )
        lost = cells.filter(pl.col("value").is_null())["frame"]
        faults += [
            Fault(table.name, "no row for frame", frame, "add the row", frame) for frame in lost
        ]
        cells = cells.drop_nulls("value")
        empty = cells.filter(pl.col("value") == "").select(ROW, "frame")
        faults += tell_rows(table, empty, f"{name!r} is empty", "fill it in")
        return Column(table, cells.filter(pl.col("value") != ""))

    def carry(self, frames: list[str], leave: set[str]) -> dict[str, Words]:
        """Give every other column of the tables that have one row a frame."""
        carried: dict[str, Words] = {}
        order = pl.DataFrame({FRAME: frames}, schema={FRAME: pl.String})
        for table, per_frame in self.tables:
            names = [n for n in table.columns if n not in leave | {FRAME} | set(carried)]
            if per_frame and names:
                cells = order.join(table.cells, on=FRAME, how="left", maintain_order="left")
                carried |= {
                    name: np.array(cells[name].fill_null("").to_list(), np.str_) for name in names
                }
        return carried
