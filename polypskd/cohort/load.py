"""Frames, votes, patients and splits, read, checked and joined into a cohort.

Everything is looked at before anything is told, so that one run shows every fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polypskd.cohort.columns import Columns
from polypskd.cohort.frames import check_frames, list_frames
from polypskd.cohort.matching import Matcher
from polypskd.cohort.table import Cohort, Exclusion, Words
from polypskd.cohort.tables import (
    FRAME,
    ROW,
    Table,
    first_duplicates,
    missing_columns,
    read_table,
    tell_rows,
)
from polypskd.cohort.votes import Ballots, read_votes
from polypskd.config import (
    CohortConfig,
    ColumnSplit,
    ImageFolder,
    PatientColumn,
    PatientPattern,
)
from polypskd.errors import CohortError, ConfigError, Fault


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
    root = config.frames.root if isinstance(config.frames, ImageFolder) else None
    images = None
    if root is not None:
        images, unknown = list_frames(root)
        if not images:
            what = f"no frames in this folder ({unknown} other files)"
            raise CohortError([Fault(str(root), what, todo="check cohort.frames.root")])
    ballots, metadata, faults = _read_tables(config, images)
    kept = ballots.votes["frame"].unique().sort().to_list()
    columns = Columns(metadata, ballots)
    patients = _read_patients(config, kept, columns, faults)
    split = _read_split(config, kept, columns, faults)
    if split is not None and patients is not None:
        faults += _find_leaks(kept, patients, split)
    if root is not None and check_pixels:
        limits = {"min_side": config.min_side, "max_megapixels": config.max_megapixels}
        faults += check_frames(root, kept, **limits)  # type: ignore[arg-type]
    dropped = {fault.frame: fault for fault in reversed(faults) if fault.frame}
    if faults and not (config.drop_faulty and all(fault.frame for fault in faults)):
        raise CohortError(faults)
    kept = [frame for frame in kept if frame not in dropped]
    votes = _index_votes(ballots.votes, kept)
    _check_classes(config, votes)
    reasons = {frame: "no votes" for frame in images or () if frame not in ballots.seen}
    reasons |= ballots.ignored
    reasons |= {frame: fault.what.rstrip(":") for frame, fault in dropped.items()}
    return Cohort(
        frame_ids=_words(kept),
        paths=_words(kept if root is not None else [""] * len(kept)),
        patient_ids=_words([patients[frame] for frame in kept] if patients else kept),
        patients_known=patients is not None,
        classes=config.classes,
        fine=tuple(config.fine),
        fine_class=np.array([config.classes.index(name) for name in config.fine.values()]),
        annotators=ballots.annotators,
        vote_frame=votes["index"].to_numpy(),
        vote_annotator=votes["annotator"].to_numpy(),
        vote_fine=votes["fine"].to_numpy(),
        split=None if split is None else _words([split.names[frame] for frame in kept]),
        columns=columns.carry(kept, _named_columns(config)),
        exclusions=tuple(
            Exclusion(frame, reasons[frame], _detail(dropped[frame]) if frame in dropped else "")
            for frame in sorted(reasons)
        ),
    )


def _detail(fault: Fault) -> str:
    return f"{fault.where}: {fault.value}" if fault.value else fault.where


def _words(values: Sequence[str]) -> Words:
    return np.array(values, dtype=np.str_)


def _read_tables(
    config: CohortConfig, images: list[str] | None
) -> tuple[Ballots, Table | None, list[Fault]]:
    """Read votes and metadata, and gather the faults of both before giving up."""
    faults: list[Fault] = []
    ballots: Ballots | None = None
    metadata: Table | None = None
    try:
        ballots = read_votes(config, images)
        faults += ballots.faults
    except CohortError as error:
        faults += error.faults
    known = images if images is not None else sorted(ballots.seen if ballots else ())
    try:
        metadata = _read_metadata(config, known, faults)
    except CohortError as error:
        faults += error.faults
    unread = config.metadata is not None and metadata is None
    if ballots is None or unread or (ballots.table is None and ballots.used):
        raise CohortError(faults)
    return ballots, metadata, faults


def _read_metadata(config: CohortConfig, frames: list[str], faults: list[Fault]) -> Table | None:
    if config.metadata is None:
        return None
    table = read_table(config.metadata.path)
    lacking = missing_columns(table, [config.metadata.frame])
    if lacking:
        raise CohortError(lacking)
    cells = table.cells.with_columns(pl.col(config.metadata.frame).alias("\0given"))
    given = cells.group_by("\0given").agg(pl.col(ROW).min()).sort(ROW)
    # Metadata often tell of more frames than were voted on: no fault.
    found, more = Matcher(frames).match(table, given, strict=False)
    faults += more
    cells = cells.join(found.rename({"frame": FRAME}), on="\0given", how="inner").drop("\0given")
    twice = first_duplicates(cells, FRAME).select(ROW, value=FRAME, frame=FRAME)
    faults += tell_rows(table, twice, "a second row for frame", "keep one row a frame")
    cells = cells.filter(~pl.col(ROW).is_in(twice[ROW].implode()))
    return Table(table.name, cells.drop(config.metadata.frame))


@dataclass(frozen=True)
class _Split:
    file: str
    names: dict[str, str]
    rows: dict[str, int]


def _named_columns(config: CohortConfig) -> set[str]:
    named = set()
    if isinstance(config.patients, PatientColumn):
        named.add(config.patients.column)
    if isinstance(config.split, ColumnSplit):
        named.add(config.split.column)
    return named


def _read_patients(
    config: CohortConfig, frames: list[str], columns: Columns, faults: list[Fault]
) -> dict[str, str] | None:
    """Give frame → patient; None where patients are unknown."""
    if isinstance(config.patients, PatientColumn):
        column = columns.find(config.patients.column, frames, faults)
        return column.as_dict() if column else {}
    if not isinstance(config.patients, PatientPattern):
        return None
    pattern = config.patients.pattern
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"cohort.patients.pattern {pattern!r}: {error}") from None
    if search.groups < 1:
        raise ConfigError(f"cohort.patients.pattern {pattern!r}: needs a group, as in '(p[0-9]+)_'")
    patients = {}
    for frame in frames:
        found = search.search(frame)
        if found and found[1]:
            patients[frame] = found[1]
        else:
            todo = "mend cohort.patients.pattern"
            faults.append(Fault(frame, "the pattern finds no patient id", todo=todo, frame=frame))
    return patients


def _read_split(
    config: CohortConfig, frames: list[str], columns: Columns, faults: list[Fault]
) -> _Split | None:
    form = config.split
    if not isinstance(form, ColumnSplit):
        return None
    column = columns.find(form.column, frames, faults)
    if column is None:
        return _Split("", {}, {})
    means = dict.fromkeys(form.train, "train") | dict.fromkeys(form.val_names, "val")
    means |= dict.fromkeys(form.test, "test")
    wrong = column.cells.filter(~pl.col("value").is_in(list(means)))
    todo = f"use one of: {', '.join(means)}; or name it in cohort.split"
    faults += tell_rows(column.table, wrong, "unknown split", todo)
    names = {frame: means[value] for frame, value in column.as_dict().items() if value in means}
    rows = dict(column.cells.select("frame", ROW).iter_rows())
    return _Split(column.table.name, names, rows)


def _find_leaks(frames: list[str], patients: dict[str, str], split: _Split) -> list[Fault]:
    """Tell patients that stand in two splits, by row: a patient's id is nobody's business."""
    faults = []
    first: dict[str, str] = {}
    told = set()
    known = [frame for frame in frames if frame in patients and frame in split.names]
    for frame in sorted(known, key=lambda frame: split.rows[frame]):
        patient = patients[frame]
        before = first.setdefault(patient, frame)
        if split.names[before] != split.names[frame] and patient not in told:
            told.add(patient)
            what = (
                f"a patient stands in two splits, {split.names[before]!r} (row "
                f"{split.rows[before]}) and {split.names[frame]!r}"
            )
            where = f"{split.file} row {split.rows[frame]}"
            faults.append(Fault(where, what, todo="put all frames of a patient in one split"))
    return faults


def _index_votes(votes: pl.DataFrame, frames: list[str]) -> pl.DataFrame:
    """Name frames by index; the order does not depend on the order of the file's rows."""
    order = pl.DataFrame({"frame": frames}, schema={"frame": pl.String})
    order = order.with_columns(index=pl.int_range(pl.len(), dtype=pl.Int64))
    joined = votes.join(order, on="frame", how="inner").drop("frame")
    return joined.sort("index", "annotator", "fine")


def _check_classes(config: CohortConfig, votes: pl.DataFrame) -> None:
    names = list(config.fine.values())
    voted = {names[i] for i in votes["fine"].unique()}
    missing = [name for name in config.classes if name not in voted]
    if missing:
        todo = "check the spelling, or take the class out of cohort.classes"
        raise CohortError([Fault("votes", "no votes for class", name, todo) for name in missing])
