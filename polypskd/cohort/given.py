"""Votes as they were given with a folder of mixed files, on frames of that folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from polypskd.cohort.address import VIDEO, split_address
from polypskd.cohort.ballots import Ballots
from polypskd.cohort.exports.recognition import is_export
from polypskd.cohort.journal import FRAMES
from polypskd.cohort.mixed import Mixed
from polypskd.cohort.naming import read_time
from polypskd.cohort.recognition import FRAME, Recognized, recognize_votes
from polypskd.cohort.remarks import find_pattern
from polypskd.cohort.tables import Table, missing_columns, read_table
from polypskd.cohort.votes import read_votes
from polypskd.config import CohortConfig
from polypskd.errors import CohortError, ConfigError, Fault

COUNTS = "votes_"  # before the class, in columns of counts
NUMBERS = ("number", "frame_number", "frame_index", "frame_no", "index")
TIMES = ("time", "seconds", "timestamp", "time_s")
LOST = "no image for frame"  # what the matching says of a name without a file
HOW = (
    "name a frame by its file's path in SOURCE, one of many with its number: clip.mp4#312; or give "
    "--number COLUMN or --time COLUMN where that stands in a column of its own"
)


@dataclass(frozen=True)
class Given:
    """Votes as they were given.

    Args:
        config: the section ``cohort`` as it was recognized.
        ballots: the votes, on frames of the source.
        notes: how the table was understood.
        named: number of frames that the table names.
    """

    config: CohortConfig
    ballots: Ballots
    notes: tuple[str, ...]
    named: int

    def look_at(self, out: Path) -> Recognized:
        """Describe the tables written below a folder, as `recognize_votes` does a given one."""
        long = bool(self.ballots.annotators)
        form = {"kind": "long"} if long else {"kind": "counts", "prefix": COUNTS}
        section: dict[str, Any] = {
            "frames": {"kind": "image_folder", "root": (out / FRAMES).as_posix()},
            "votes": form | {"path": (out / "votes.csv").as_posix()},
            "classes": list(self.config.classes),
        }
        pattern = find_pattern(self.ballots.frames.to_list(), list(self.config.classes))
        return Recognized(section, list(self.notes), pattern)

    def list_lost(self, frames: Collection[str]) -> list[str]:
        """List names in the table that are no frame that was taken; at most a thousand.

        Args:
            frames: names of those taken.
        """
        unknown = [fault.value for fault in self.ballots.faults if fault.what == LOST]
        known = set(frames)
        return [*unknown, *(name for name in self.ballots.frames if name not in known)]

    def check_found(self, frames: Collection[str], where: str) -> list[Fault]:
        """Tell of names of files of many frames without a number, which mean no frame.

        Args:
            frames: names of those that can be taken.
            where: the table's name.

        Raises:
            CohortError: none of the table's frames is there.
        """
        known = set(frames)
        lost = [name for name in self.ballots.frames if name not in known]
        if self.named and len(lost) == len(self.ballots.frames):
            names = ", ".join(repr(name) for name in self.list_lost(frames)[:3])
            what = f"none of its {self.named:,} frames is found, as {names}"
            raise CohortError([Fault(where, what, todo=HOW)])
        what, todo = "no number says which frame of the file is meant:", HOW
        return [Fault(where, what, name, todo, name) for name in lost]


def read_given(
    votes: Path, mixed: Mixed, number: str | None = None, time: str | None = None
) -> Given:
    """Recognize the form of a table or an export of votes, and read it.

    Args:
        votes: the file.
        mixed: the files that the votes are about.
        number: column of a table with the frame's number within its file.
        time: column with its time in the video.

    Raises:
        CohortError: the file cannot be read.
        ConfigError: no known form of votes fits.
    """
    table = None if is_export(votes) else read_table(votes)
    beside, notes = [name for name in (number, time) if name is not None], []
    if table is None and beside:
        raise ConfigError(f"{votes}: is an export; --number and --time are for tables")
    if table is not None and missing_columns(table, beside):
        raise CohortError(missing_columns(table, beside))
    guessed = [] if beside or table is None else _guess_beside(table)
    look = recognize_votes(None, votes, [*beside, *guessed])
    section = look.cohort["votes"]
    for name in guessed:
        key = "number" if name.casefold() in NUMBERS else "time"
        if (
            table is not None
            and not beside
            and _tells_frames(table, section["frame"], name, key, mixed)
        ):
            number, time = (name, None) if key == "number" else (None, name)
            beside = [name]
            notes = [f"column {name!r} was taken as each frame's {key} (--{key} {name})"]
    section |= {"number": number} if number else {}
    section |= {"time": time} if time else {}
    try:
        config = CohortConfig.model_validate(look.cohort)
    except ValueError as error:
        raise ConfigError(f"{votes}: {error}") from None
    ballots = read_votes(config, mixed.files)
    lost = sum(fault.what == LOST for fault in ballots.faults)
    named = len(ballots.frames) + lost
    if table is not None:
        told = table.cells.filter(pl.col(section["frame"]) != "")
        named = told.select(section["frame"], *beside).n_unique()
    return Given(config, ballots, (*notes, *look.notes), named)


def list_named(ballots: Ballots) -> list[str]:
    """List the frames of many that votes name."""
    return [name for name in ballots.frames if split_address(name)[1] is not None]


def _guess_beside(table: Table) -> list[str]:
    """List columns that may number frames, if another one names the files."""
    found = [name for name in table.columns if name.casefold() in {*NUMBERS, *TIMES}]
    others = [name for name in table.columns if name not in found]
    return sorted(found, key=_rank) if any(map(FRAME.search, others)) else []


def _rank(name: str) -> int:
    return (*NUMBERS, *TIMES).index(name.casefold())


def _tells_frames(table: Table, frame: str, name: str, key: str, mixed: Mixed) -> bool:
    """Whether a column's cells number frames: filled in for files of many, and for them alone.

    A running number of rows, or the time at which a vote was given, would stand beside images too.
    """
    cells = table.cells.filter(pl.col(frame) != "")
    filled = cells.filter(pl.col(name) != "")
    values: Sequence[str] = filled[name].unique().to_list()
    sound = all(v.isdecimal() if key == "number" else read_time(v) is not None for v in values)
    named = filled[frame].unique().to_list()
    numbered = (split_address(each) for each in mixed.frames)
    paths = {path for path, number in numbered if number is not None}
    paths |= {path for path in mixed.files.frames if PurePosixPath(path).suffix.lower() in VIDEO}
    known = {way for path in paths for way in (PurePosixPath(path).name, PurePosixPath(path).stem)}
    known |= {uid for uid, path in mixed.files.uids.items() if path in paths}
    files = (PurePosixPath(each.replace("\\", "/")).name for each in named)
    return sound and bool(named) and all(file in known for file in files)
