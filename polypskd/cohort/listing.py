"""Which frames there are: images, frames of DICOM files, frames of videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

import polars as pl

from polypskd.cohort.address import DICOM, VIDEO, holds_many, join_address, split_address
from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import check_within, list_files, list_frames
from polypskd.cohort.opened import count_frames
from polypskd.cohort.pseudonyms import check_apart, read_key
from polypskd.cohort.tables import FRAME, ROW, Table
from polypskd.config import DicomFolder, FrameChoice, FrameFolder, ImageFolder, VideoFolder
from polypskd.errors import CohortError, ConfigError, Fault

Opened = TypeVar("Opened")
INSTANCE, CLASS = "\0instance", "\0class"  # no column of a config can have these names
STORAGE = "1.2.840.10008.5.1.4.1.1."
# Waveforms, presentation states, raw data, registrations, reports, documents.
PICTURELESS = tuple(f"{STORAGE}{part}" for part in ("9.", "11.", "66", "67", "88.", "104."))


@dataclass(frozen=True)
class Listing:
    """What lies below the frames' root.

    Args:
        root: the folder.
        frames: names of the frames, sorted; where tables say which frames are taken (`named`),
            of the files.
        named: whether the tables say so.
        other: number of files that hold no frame.
        headers: file → column → value, of DICOM files.
        uids: SOP instance UID → file, of DICOM files; "" for one that several files have.
        faults: files that cannot be read.
    """

    root: Path
    frames: list[str]
    named: bool = False
    other: int = 0
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    uids: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def list_cohort(section: FrameFolder) -> Listing:
    """List the frames of a folder of images, DICOM files or videos.

    Args:
        section: ``cohort.frames``.

    Raises:
        CohortError: the folder is missing, or holds no frames.
        ConfigError: there is no key for the pseudonyms of DICOM files.
    """
    match section:
        case ImageFolder():
            frames, other = list_frames(section.root)
            listing = Listing(section.root, frames, other=other)
        case DicomFolder():
            listing = _list_dicom(section)
        case VideoFolder():
            listing = _list_videos(section)
    if not listing.frames:
        if listing.faults:
            raise CohortError(listing.faults)
        what = f"no frames in this folder ({listing.other} other files)"
        raise CohortError([Fault(str(section.root), what, todo="check cohort.frames.root")])
    return listing


def list_sources(section: FrameFolder) -> list[str]:
    """List the files that may hold frames, without opening one.

    Raises:
        CohortError: the folder is missing.
    """
    match section:
        case ImageFolder():
            return list_frames(section.root)[0]
        case DicomFolder():
            return list_files(section.root, may_be_dicom)[0]
        case VideoFolder():
            return list_files(section.root, _is_video)[0]


def tabulate_headers(listing: Listing | None, frames: Sequence[str]) -> Table | None:
    """Give what the headers say of these frames, one row a frame; None where there are none."""
    if listing is None or not listing.headers:
        return None
    files = [split_address(name)[0] for name in frames]
    columns = list(next(iter(listing.headers.values())))
    nothing = dict.fromkeys(columns, "")
    rows = [listing.headers.get(file, nothing) for file in files]
    cells = pl.DataFrame({name: [row[name] for row in rows] for name in columns})
    cells = cells.with_columns(pl.Series(FRAME, frames, dtype=pl.String)).with_row_index(ROW)
    return Table("DICOM header of", cells, pl.Series(frames, dtype=pl.String))


def _check_pictureless(name: str, kind: str) -> None:
    """Let pass what is no picture among the pictures: a directory, a report.

    Raises:
        DamageError: it should be one.
    """
    if PurePosixPath(name).name.upper() != "DICOMDIR" and not kind.startswith(PICTURELESS):
        raise DamageError("no image: the header tells no size", todo="copy the file anew")


def find_key(section: DicomFolder) -> bytes:
    """Read the key of the hashes that stand for patients and UIDs.

    Raises:
        ConfigError: there is none, it cannot be read, or it lies among the frames.
    """
    if section.key_file is None and section.key_env is None:
        raise ConfigError(
            "cohort.frames: patients and UIDs of DICOM files become keyed hashes, and no key is "
            "given; make one outside the run folder, `openssl rand -hex 32 > key && chmod 600 "
            "key`, and name it in key_file (or key_env)"
        )
    check_apart(section.key_file, section.root, "the frames' folder")
    return read_key(section.key_file or f"env:{section.key_env}")


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO


def may_be_dicom(name: str) -> bool:
    """Tell by its name whether a file may be DICOM; one of no known suffix may.

    >>> may_be_dicom("IM0001"), may_be_dicom("clip.mp4")
    (True, False)
    """
    return holds_many(name) and not _is_video(name)


def _choose(section: FrameChoice, count: int, origin: int) -> range:
    """Give the numbers of the frames taken of a file with `count` frames, the first `origin`."""
    first = origin if section.first is None else max(section.first, origin)
    last = count - 1 + origin if section.last is None else min(section.last, count - 1 + origin)
    return range(first, last + 1, section.stride)


def _list_videos(section: VideoFolder) -> Listing:
    files, other = list_files(section.root, _is_video)
    if section.take == "named":
        return Listing(section.root, files, named=True, other=other)
    from polypskd.cohort.video import count_frames

    frames, faults = [], []
    for name in files:
        try:
            numbers = _choose(section, open_within(section.root, name, count_frames), 0)
        except DamageError as damage:
            faults.append(Fault(name, damage.what, damage.value, damage.todo, frame=name))
            continue
        frames += [join_address(name, number) for number in numbers]
    return Listing(section.root, sorted(frames), other=other, faults=tuple(faults))


def _list_dicom(section: DicomFolder) -> Listing:
    from polypskd.cohort.dicom import looks_like_dicom, read_attributes
    from polypskd.cohort.dicom.attributes import check_map
    from polypskd.cohort.dicom.columns import hide_columns, is_plain

    check_map(section.attributes)
    secret = not all(map(is_plain, section.attributes.values()))
    key = find_key(section) if secret else b""
    wanted = {INSTANCE: "SOPInstanceUID", CLASS: "SOPClassUID", **section.attributes}
    files, other = list_files(section.root, may_be_dicom)
    frames, taken, faults = [], [], []
    headers: dict[str, dict[str, str]] = {}
    uids: dict[str, str] = {}
    for name in files:
        bare = PurePosixPath(name).suffix.lower() not in DICOM
        try:
            if bare and not open_within(section.root, name, looks_like_dicom):
                other += 1
                continue
            about = open_within(section.root, name, lambda path: read_attributes(path, wanted))
            if about.width == about.height == 0:
                _check_pictureless(name, about.columns[CLASS])
                other += 1
                continue
            numbers: Sequence[int | None] = [None]
            if about.frames > 1 and section.take == "all":
                # Counted in the pixels: a header may claim a billion frames.
                count = open_within(section.root, name, count_frames)
                numbers = _choose(section, count, 1)
        except DamageError as damage:
            faults.append(Fault(name, damage.what, damage.value, damage.todo, frame=name))
            continue
        headers[name] = hide_columns(about.columns, section.attributes, key)
        uid = about.columns[INSTANCE]
        uids[uid] = "" if uid in uids else name
        taken.append(name)
        frames += [join_address(name, number) for number in numbers]
    uids.pop("", None)
    named = section.take == "named"
    listed = sorted(taken if named else frames)
    return Listing(section.root, listed, named, other, headers, uids, tuple(faults))


def open_within(root: Path, name: str, opener: Callable[[Path], Opened]) -> Opened:
    """Open a file that lies below the root, links followed."""
    path = root / name
    check_within(root, name)
    try:
        return opener(path)
    except FileNotFoundError:
        raise DamageError("file not found", todo="check the path") from None
    except OSError as error:
        raise DamageError(f"cannot be read ({error.strerror})", todo="") from None
