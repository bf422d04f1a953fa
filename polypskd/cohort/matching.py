"""Which frame a table's cell means: its path, or any shorter name that is unique."""

from __future__ import annotations

from pathlib import PurePosixPath

import polars as pl

from polypskd.cohort.address import split_address
from polypskd.cohort.tables import ROW, Table, tell_rows
from polypskd.errors import Fault

NAME = pl.col("name").str.replace(r"(?s)^.*/", "")
# What stands before the last dot, if something stands on both of its sides.
WAYS = (
    pl.col("name"),
    pl.col("name").str.replace(r"(?s)([^/])\.[^./]+$", "${1}"),
    NAME,
    NAME.str.replace(r"(?s)^(.+)\.[^.]+$", "${1}"),
)
OUTSIDE = r"^\.\./|/\.\./|/\.\.$|^\.\.$"
NUMBER = r"(#[0-9]{1,9})$"
UNTIDY = r"//|(^|/)\.(/|$)|/$|^$"


class Matcher:
    """Finds frames by path, path without suffix, file name, or file name without suffix.

    The number of one frame of many (``#12``) stays behind whatever way its file is named.

    Args:
        frames: ids of the frames that exist; None where every name stands for itself.
        named: `frames` are files, and the number in a name says which of a file's frames is meant.
    """

    def __init__(self, frames: list[str] | None, *, named: bool = False) -> None:
        self.frames = frames
        self.named = named

    def match(
        self, table: Table, given: pl.DataFrame, *, strict: bool = True
    ) -> tuple[pl.DataFrame, list[Fault]]:
        r"""Join the names of a table to frames.

        Args:
            table: for its name.
            given: unique names ``\0given`` and the first `ROW` of each.
            strict: whether a name without an image is a fault.

        Returns:
            Columns ``\0given`` and ``frame`` of the names that were found, and the faults.
        """
        if self.frames is None:
            return given.select("\0given", frame=pl.col("\0given")), []
        clean = pl.col("\0given").str.replace_all("\\", "/", literal=True).str.strip_prefix("./")
        left = given.with_columns(name=clean)
        outside = left.filter(pl.col("name").str.contains(OUTSIDE))
        left = left.filter(~pl.col("name").str.contains(OUTSIDE)) if len(outside) else left
        left = left.with_columns(tail=pl.lit(""))
        if self.named:
            number = pl.col("name").str.extract(NUMBER).fill_null("")
            left = left.with_columns(name=pl.col("name").str.replace(NUMBER, ""), tail=number)
        found: list[pl.DataFrame] = []
        todo = "name frames by their path below the root"
        told = outside.select(ROW, value="\0given", frame="\0given")
        faults = tell_rows(table, told, "leads outside the frames' folder:", todo)
        paths = pl.DataFrame({"frame": self.frames}, schema={"frame": pl.String})
        paths = paths.with_columns(name=_tidy(paths["frame"]), number=pl.lit(""))
        if not self.named and paths["frame"].str.contains("#", literal=True).any():
            paths = _split_numbers(paths)
        for way in WAYS:
            if left.is_empty():
                break
            keys = paths.select("frame", name=way + pl.col("number"))
            keys = keys.group_by("name").agg(pl.len().alias("n"), pl.col("frame").min())
            hits = left.join(keys, on="name", how="inner")
            many = hits.filter(pl.col("n") > 1).select(ROW, value=pl.col("\0given"))
            faults += tell_rows(table, many, "several images match", "give the path below the root")
            meant = pl.col("frame") + pl.col("tail")
            found.append(hits.filter(pl.col("n") == 1).select("\0given", ROW, frame=meant))
            left = left.join(keys, on="name", how="anti")
        if strict:
            lost = left.select(ROW, value=pl.col("\0given"), frame=pl.col("\0given"))
            faults += tell_rows(
                table, lost, "no image for frame", "add the image or take the row out"
            )
        named = pl.concat(found).sort(ROW) if found else left.select("\0given", ROW, frame="name")
        twice = named.filter(pl.col("frame").is_duplicated() & ~pl.col("frame").is_first_distinct())
        faults += tell_rows(
            table,
            twice.select(ROW, "frame", value=pl.col("\0given")),
            "a second name for an image that has one already:",
            "use one name a frame",
        )
        named = named.filter(pl.col("frame").is_first_distinct())
        return named.select("\0given", "frame"), faults


def _split_numbers(paths: pl.DataFrame) -> pl.DataFrame:
    """Split the names of frames of many into those of their files and their numbers."""
    split = [split_address(name) for name in paths["name"]]
    return paths.with_columns(
        name=pl.Series([path for path, _ in split], dtype=pl.String),
        number=pl.Series(["" if n is None else f"#{n}" for _, n in split], dtype=pl.String),
    )


def _tidy(frames: pl.Series) -> pl.Series:
    """Write paths without what does not matter, as in ``a//b``; few have it."""
    untidy = frames.filter(frames.str.contains(UNTIDY)).unique()
    tidy = [str(PurePosixPath(frame)) for frame in untidy]
    return frames.replace(untidy, pl.Series(tidy, dtype=pl.String)) if len(untidy) else frames
