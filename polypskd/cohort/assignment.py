"""Whose frames they are and which split they stand in, as tables, headers or names tell."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from polypskd.cohort.columns import Columns
from polypskd.cohort.tables import ROW, tell_rows
from polypskd.config import CohortConfig, ColumnSplit, PatientColumn, PatientPattern
from polypskd.errors import ConfigError, Fault


@dataclass(frozen=True)
class Split:
    """Columns `ROW` and ``split`` (null where there is none), by frame."""

    file: str
    cells: pl.DataFrame


def named_columns(config: CohortConfig) -> set[str]:
    """Name the columns that say patient and split, which are carried no further."""
    named = set()
    if isinstance(config.patients, PatientColumn):
        named.add(config.patients.column)
    if isinstance(config.split, ColumnSplit):
        named.add(config.split.column)
    return named


def read_patients(
    config: CohortConfig, frames: pl.Series, columns: Columns, faults: list[Fault]
) -> pl.Series | None:
    """Give the patient of each frame, null where there is none; None where they are unknown."""
    if isinstance(config.patients, PatientColumn):
        column = columns.find(config.patients.column, frames, faults)
        return column.cells["value"] if column else frames.clear(len(frames))
    if not isinstance(config.patients, PatientPattern):
        return None
    pattern = config.patients.pattern
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"cohort.patients.pattern {pattern!r}: {error}") from None
    if search.groups < 1:
        raise ConfigError(f"cohort.patients.pattern {pattern!r}: needs a group, as in '(p[0-9]+)_'")
    found = map(search.search, frames)
    patients = pl.Series([match[1] or None if match else None for match in found], dtype=pl.String)
    todo = "mend cohort.patients.pattern"
    faults += [
        Fault(frame, "the pattern finds no patient id", todo=todo, frame=frame)
        for frame in frames.filter(patients.is_null())
    ]
    return patients


def read_split(
    config: CohortConfig, frames: pl.Series, columns: Columns, faults: list[Fault]
) -> Split | None:
    """Give the split of each frame as a column tells it; None where the config names no column."""
    form = config.split
    if not isinstance(form, ColumnSplit):
        return None
    column = columns.find(form.column, frames, faults)
    if column is None:
        nothing = pl.DataFrame(schema={ROW: pl.UInt32, "split": pl.String})
        return Split("", nothing.clear(len(frames)))
    means = dict.fromkeys(form.train, "train") | dict.fromkeys(form.val_names, "val")
    means |= dict.fromkeys(form.test, "test")
    wrong = column.cells.filter(~pl.col("value").is_in(list(means)))
    todo = f"use one of: {', '.join(means)}; or name it in cohort.split"
    faults += tell_rows(column.table, wrong, "unknown split", todo)
    meant = pl.col("value").replace_strict(means, default=None, return_dtype=pl.String)
    return Split(column.table.name, column.cells.select(ROW, split=meant))


def find_leaks(patients: pl.Series, split: Split) -> list[Fault]:
    """Tell patients that stand in two splits, by row: a patient's id is nobody's business."""
    known = split.cells.with_columns(patient=patients).drop_nulls().sort(ROW)
    first = known.unique("patient", keep="first").select("patient", before="split", row=ROW)
    leaks = (
        known.join(first, on="patient", how="left", maintain_order="left")
        .filter(pl.col("split") != pl.col("before"))
        .unique("patient", keep="first", maintain_order=True)
    )
    todo = "put all frames of a patient in one split"
    return [
        Fault(
            f"{split.file} row {leak[ROW]}",
            f"a patient stands in two splits, {leak['before']!r} (row {leak['row']}) and "
            f"{leak['split']!r}",
            todo=todo,
        )
        for leak in leaks.iter_rows(named=True)
    ]
