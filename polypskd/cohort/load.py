"""Frames, votes, patients and splits, read, checked and joined into a cohort.

Everything is looked at before anything is told, so that one run shows every fault.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.cohort.address import split_address
from polypskd.cohort.assignment import find_leaks, named_columns, read_patients, read_split
from polypskd.cohort.ballots import Ballots
from polypskd.cohort.causes import tell_empty_classes
from polypskd.cohort.columns import Columns
from polypskd.cohort.listing import Listing, list_cohort, tabulate_headers
from polypskd.cohort.matching import Matcher
from polypskd.cohort.naming import name_frames
from polypskd.cohort.survey import Survey, survey_frames
from polypskd.cohort.table import Cohort, Exclusion, Ints, Words
from polypskd.cohort.tables import (
    FRAME,
    ROW,
    Table,
    first_duplicates,
    missing_columns,
    read_table,
    tell_rows,
)
from polypskd.cohort.votes import read_votes
from polypskd.config import (
    CohortConfig,
    FrameFolder,
)
from polypskd.errors import CohortError, ConfigError, Fault

DEVICE = "device"  # column of the config's default map of DICOM attributes
QUALITY = "quality beyond a limit of cohort.quality"


def load_cohort(config: CohortConfig, *, check_pixels: bool = True) -> Cohort:
    """Read, check and join everything a cohort's section names.

    Args:
        config: the section ``cohort``.
        check_pixels: decode every frame that has votes.

    Raises:
        CohortError: with every fault of every file. With ``drop_faulty`` the frames that faults
            belong to are left out and listed instead.
        ConfigError: the section does not fit itself, or the frames are synthetic.
    """
    if config.frames.kind == "synthetic":
        raise ConfigError("cohort.frames: synthetic frames are written to a folder before loading")
    listing = list_cohort(config.frames) if isinstance(config.frames, FrameFolder) else None
    root = listing.root if listing else None
    ballots, metadata, faults = _read_tables(config, listing)
    # Frames go by number until the end: a million Python strings are as large as their votes.
    stays = np.zeros(len(ballots.frames), dtype=np.bool_)
    stays[ballots.votes["frame"].to_numpy()] = True
    kept = _choose(ballots.frames, stays)
    headers = tabulate_headers(listing, kept.to_list())
    columns = Columns(metadata, ballots, headers)
    patients = read_patients(config, kept, columns, faults)
    split = read_split(config, kept, columns, faults)
    if split is not None and patients is not None:
        faults += find_leaks(patients, split)
    survey = Survey()
    if root is not None and check_pixels:
        survey = survey_frames(root, kept.to_list(), config, _list_devices(headers))
        faults += survey.faults
    dropped = {fault.frame: fault for fault in reversed(faults) if fault.frame}
    leave = set(dropped) | set(survey.excluded)
    if faults and not (config.drop_faulty and all(fault.frame for fault in faults)):
        raise CohortError(faults)
    sound = np.ones(len(kept), dtype=np.bool_)
    if leave:
        sound = ~kept.is_in(list(leave)).to_numpy()
        stays[np.flatnonzero(stays)[~sound]] = False
        kept = _choose(kept, sound)
    frame, annotator, fine = _index_votes(ballots.votes, stays)
    out = survey.excluded | {frame: fault.what for frame, fault in dropped.items()}
    empty = tell_empty_classes(config, ballots.votes, ballots.frames, fine, out)
    if empty:
        raise CohortError(empty)
    ballots.votes = ballots.votes.clear()
    reasons = dict.fromkeys(_list_unseen(listing, ballots), "no votes")
    reasons |= ballots.ignored
    reasons |= dict.fromkeys(survey.excluded, QUALITY)
    reasons |= {frame: fault.what.rstrip(":") for frame, fault in dropped.items()}
    details = survey.excluded | {frame: _detail(fault) for frame, fault in dropped.items()}
    return Cohort(
        frame_ids=_words(kept),
        paths=_words(kept) if root is not None else np.zeros(len(kept), dtype="<U1"),
        patient_ids=_words(kept if patients is None else _choose(patients, sound)),
        patients_known=patients is not None,
        classes=config.classes,
        fine=tuple(config.fine),
        fine_class=np.array([config.classes.index(name) for name in config.fine.values()]),
        annotators=ballots.annotators,
        vote_frame=frame,
        vote_annotator=annotator,
        vote_fine=fine,
        split=None if split is None else _words(_choose(split.cells["split"], sound)),
        columns=columns.carry(kept, named_columns(config)) | _tabulate(survey, kept),
        exclusions=tuple(
            Exclusion(frame, reasons[frame], details.get(frame, "")) for frame in sorted(reasons)
        ),
        notes=tuple(ballots.notes),
    )


def _list_devices(headers: Table | None) -> list[str] | None:
    """Give the device of each frame, where headers tell."""
    known = headers is not None and DEVICE in headers.columns
    return headers.cells[DEVICE].to_list() if known and headers is not None else None


def _list_unseen(listing: Listing | None, ballots: Ballots) -> pl.Series:
    """List the frames without votes; files none of whose frames has one, where votes name them."""
    seen = ballots.frames
    if listing is None:
        return seen.clear()
    if listing.named:
        seen = pl.Series([split_address(name)[0] for name in seen], dtype=pl.String)
    frames = pl.Series(listing.frames, dtype=pl.String)
    return frames.filter(~frames.is_in(seen.implode()))


def _tabulate(survey: Survey, frames: pl.Series) -> dict[str, Words]:
    """Give the measures of these frames as columns."""
    if not survey.measures:
        return {}
    rows = [survey.measures[frame] for frame in frames]
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _detail(fault: Fault) -> str:
    return f"{fault.where}: {fault.value}" if fault.value else fault.where


def _words(values: pl.Series) -> Words:
    return values.to_numpy().astype(np.str_)


def _choose(values: pl.Series, some: NDArray[np.bool_]) -> pl.Series:
    return values if some.all() else values.filter(pl.Series(some))


def _read_tables(
    config: CohortConfig, listing: Listing | None
) -> tuple[Ballots, Table | None, list[Fault]]:
    """Read votes and metadata, and gather the faults of both before giving up."""
    faults: list[Fault] = list(listing.faults) if listing else []
    ballots: Ballots | None = None
    metadata: Table | None = None
    try:
        ballots = read_votes(config, listing)
        faults += ballots.faults
    except CohortError as error:
        faults += error.faults
    named = ballots.frames if ballots and config.metadata else pl.Series(dtype=pl.String)
    try:
        metadata = _read_metadata(config, listing, named, faults)
    except CohortError as error:
        faults += error.faults
    unread = config.metadata is not None and metadata is None
    if ballots is None or unread or (ballots.table is None and ballots.used):
        raise CohortError(faults)
    return ballots, metadata, faults


def _read_metadata(
    config: CohortConfig, listing: Listing | None, named: pl.Series, faults: list[Fault]
) -> Table | None:
    if config.metadata is None:
        return None
    table = read_table(config.metadata.path)
    lacking = missing_columns(table, [config.metadata.frame])
    if lacking:
        raise CohortError(lacking)
    table, wrong = name_frames(table, config.metadata, listing)
    faults += wrong
    cells = table.cells.with_columns(pl.col(config.metadata.frame).alias("\0given"))
    given = cells.group_by("\0given").agg(pl.col(ROW).min()).sort(ROW)
    # Metadata often tell of more frames than were voted on: no fault.
    found, more = _match_metadata(listing, named).match(table, given, strict=False)
    faults += more
    cells = cells.join(found.rename({"frame": FRAME}), on="\0given", how="inner").drop("\0given")
    twice = first_duplicates(cells, FRAME).select(ROW, value=FRAME, frame=FRAME)
    faults += tell_rows(table, twice, "a second row for frame", "keep one row a frame")
    cells = cells.filter(~pl.col(ROW).is_in(twice[ROW].implode()))
    cells = _spread_files(cells, named)
    return replace(table, cells=cells.drop(config.metadata.frame))


def _match_metadata(listing: Listing | None, named: pl.Series) -> Matcher:
    """Match frames, and files of many frames: what is told of a file holds for each of them."""
    if listing is None:
        return Matcher(named.to_list())
    files = {split_address(name)[0] for name in listing.frames}
    return Matcher(sorted(files.union(listing.frames)), named=listing.named)


def _spread_files(cells: pl.DataFrame, named: pl.Series) -> pl.DataFrame:
    """Give what a row tells of a file to those of its frames that have no row of their own."""
    own = set(cells[FRAME])
    frames = [(name, split_address(name)[0]) for name in named]
    missing = [(name, file) for name, file in frames if name not in own and file in own]
    if not missing:
        return cells
    order = ["name", FRAME]
    more = pl.DataFrame(missing, schema=dict.fromkeys(order, pl.String), orient="row")
    more = more.join(cells, on=FRAME, how="left", maintain_order="left")
    more = more.drop(FRAME).rename({"name": FRAME}).select(cells.columns)
    return pl.concat([cells, more])


def _index_votes(votes: pl.DataFrame, stays: NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """Give frame, annotator and fine vote of the votes on frames that stay, counted anew."""
    frame = votes["frame"].to_numpy()
    index = np.cumsum(stays) - 1
    some = stays[frame]
    if some.all():
        return index[frame], votes["annotator"].to_numpy(), votes["fine"].to_numpy()
    return (
        index[frame[some]],
        votes["annotator"].to_numpy()[some],
        votes["fine"].to_numpy()[some],
    )
