"""What tables say of a frame, made its name: a number, a time or a UID beside or for a path."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import polars as pl

from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import check_within
from polypskd.cohort.listing import Listing
from polypskd.cohort.matching import Matcher
from polypskd.cohort.tables import ROW, Table, missing_columns, tell_rows
from polypskd.config import Metadata, VotesTable
from polypskd.errors import CohortError, Fault

UID = r"^([0-9]+(?:\.[0-9]+){3,})(#[0-9]+)?$"
CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d+)?)")


def name_frames(
    table: Table, form: VotesTable | Metadata, listing: Listing | None
) -> tuple[Table, list[Fault]]:
    """Write the frame of each row as its name, with the number that stands beside it.

    Args:
        table: as read.
        form: names its columns.
        listing: the frames that exist; None where there are votes only.

    Returns:
        The table without the columns of numbers and times, and what is wrong with them. Rows whose
        number or time cannot be read are taken out.

    Raises:
        CohortError: the table has no such column.
    """
    beside = [name for name in (form.number, form.time) if name is not None]
    lacking = missing_columns(table, [form.frame, *beside]) if beside else []
    if lacking:
        raise CohortError(lacking)
    faults: list[Fault] = []
    cells = table.cells
    if listing is not None and listing.uids and form.frame in cells.columns:
        cells, faults = _replace_uids(table, form.frame, listing)
    more: list[Fault] = []
    if form.time is not None:
        cells, more = _number_times(replace(table, cells=cells), form.frame, form.time, listing)
    elif form.number is not None:
        cells, more = _add_numbers(replace(table, cells=cells), form.frame, form.number)
    return replace(table, cells=cells.drop(beside)), [*faults, *more]


def read_time(text: str) -> float | None:
    """Read a time as seconds, minutes:seconds or hours:minutes:seconds; None where it is none.

    >>> read_time("12.5"), read_time("1:02,5"), read_time("1:00:00"), read_time("soon")
    (12.5, 62.5, 3600.0, None)
    """
    found = CLOCK.fullmatch(text.strip())
    if found is None or len(text) > 32:
        return None
    hours, minutes = (int(part or 0) for part in found.groups()[:2])
    return 3600 * hours + 60 * minutes + float(found[3].replace(",", "."))


def _replace_uids(table: Table, frame: str, listing: Listing) -> tuple[pl.DataFrame, list[Fault]]:
    """Name DICOM files where a table names their SOP instances."""
    cells = table.cells
    uid = cells[frame].str.extract(UID)
    if uid.null_count() == len(uid):
        return cells, []
    old, new = list(listing.uids), list(listing.uids.values())
    file = uid.replace_strict(old, new, default=None, return_dtype=pl.String)
    twice = (file == "").fill_null(value=False)
    wrong = cells.filter(twice).select(ROW, value=frame, frame=frame)
    faults = tell_rows(table, wrong, "several files have the UID", "name the file by its path")
    number = cells[frame].str.extract(UID, 2).fill_null("")
    named = (file + number).fill_null(cells[frame]).alias(frame)
    return cells.with_columns(named).filter(~twice), faults


def _add_numbers(table: Table, frame: str, number: str) -> tuple[pl.DataFrame, list[Fault]]:
    """Put the number behind the path; an empty cell is the only frame of its file."""
    cells = table.cells
    sound = cells[number].str.contains(r"^[0-9]{0,9}$")
    wrong = cells.filter(~sound).select(ROW, value=number, frame=frame)
    faults = tell_rows(table, wrong, "not a frame's number", "give a whole number")
    cells = cells.filter(sound)
    digits = cells[number].str.replace(r"^0+([0-9])", "${1}")
    named = pl.Series(frame, cells[frame] + "#" + digits)
    some = (cells[frame] != "") & (digits != "")
    return cells.with_columns(
        pl.when(some).then(named).otherwise(pl.col(frame)).alias(frame)
    ), faults


def _number_times(
    table: Table, frame: str, time: str, listing: Listing | None
) -> tuple[pl.DataFrame, list[Fault]]:
    """Find the frame that a video shows at each time."""
    cells = table.cells
    if listing is None:
        what = "times name frames of videos, but there are votes only"
        raise CohortError([Fault(table.name, what, todo="set cohort.frames, or give numbers")])
    files = _match_files(table, frame, listing)
    named: dict[tuple[str, str], str] = {}
    faults: list[Fault] = []
    pairs = cells.filter((pl.col(frame) != "") & (pl.col(time) != ""))
    pairs = pairs.group_by(frame, time).agg(pl.col(ROW).min()).sort(frame, ROW)
    for (given,), group in pairs.group_by(frame, maintain_order=True):
        file = files.get(str(given))
        if file is None:
            continue  # the matching tells of it
        faults += _find_times(table, listing.root, file, group, named)
    keys = zip(cells[frame], cells[time], strict=True)
    names = pl.Series(frame, [_name(key, files, named) for key in keys], dtype=pl.String)
    lost = names.is_null()
    return cells.with_columns(names).filter(~lost), faults


def _name(
    key: tuple[str, str], files: dict[str, str], named: dict[tuple[str, str], str]
) -> str | None:
    frame, time = key
    return frame if not frame or not time or frame not in files else named.get(key)


def _match_files(table: Table, frame: str, listing: Listing) -> dict[str, str]:
    """Map what the table calls a file to the file."""
    known = listing.frames
    if not listing.named:
        known = sorted({name.rpartition("#")[0] or name for name in known})
    given = table.cells.filter(pl.col(frame) != "")
    given = given.group_by(pl.col(frame).alias("\0given")).agg(pl.col(ROW).min()).sort(ROW)
    files: dict[str, str] = {}
    matcher = Matcher(known)
    # Two names of one file are no fault here: their frames may differ. A round finds one of them.
    while len(given):
        found = dict(matcher.match(table, given, strict=False)[0].rows())
        if not found:
            break
        files |= found
        given = given.filter(~pl.col("\0given").is_in(list(found)))
    return files


def _find_times(
    table: Table,
    root: Path,
    file: str,
    group: pl.DataFrame,
    named: dict[tuple[str, str], str],
) -> list[Fault]:
    from polypskd.cohort.video import open_video

    try:
        check_within(root, file)
        video = open_video(root / file)
    except DamageError as damage:
        return [Fault(file, damage.what, damage.value, damage.todo)]
    faults = []
    try:
        for given, time, row in group.iter_rows():
            seconds = read_time(time)
            where, todo = f"{table.name} row {row}", "give seconds, or hours:minutes:seconds"
            if seconds is None:
                faults.append(Fault(where, "not a time", time, todo, f"{file}@{time}"))
                continue
            try:
                named[given, time] = f"{file}#{video.find(seconds)}"
            except DamageError as damage:
                fault = Fault(where, damage.what, damage.value, damage.todo, f"{file}@{time}")
                faults.append(fault)
    finally:
        video.close()
    return faults
