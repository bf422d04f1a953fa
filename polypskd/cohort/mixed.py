"""A folder as it comes from a hospital: images, DICOM files and videos side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from polypskd.cohort.address import DICOM, VIDEO, split_address
from polypskd.cohort.frames import READERS, list_files
from polypskd.cohort.listing import Listing, list_cohort, list_sources
from polypskd.config import DicomFolder, FrameFolder, ImageFolder, VideoFolder
from polypskd.errors import CohortError, ConfigError, Fault

KNOWN = DICOM | VIDEO | set(READERS)
_USUAL = (
    "3gp 7z bak bin bmp csv dat db dll doc docx eml exe flv gif gz hdr heic heif htm html inf "
    "ini j2k jp2 jpx json jxl lnk log md mha mhd mpo nii npy npz nrrd odp ods odt ogv parquet "
    "pdf ppt pptx rar raw rtf svg tar tmp tsv txt vob webp wmv xlsx xls xml xmp yaml yml zip"
)
USUAL = frozenset(f".{suffix}" for suffix in _USUAL.split())


@dataclass(frozen=True)
class Choice:
    """Which frames of a source are taken.

    Args:
        stride: every n-th frame of a video.
        first: its first frame, from 0; None for the first there is.
        last: its last frame; None for the last there is.
        key_file: the key of pseudonyms, for DICOM files.
        key_env: the variable that holds it.
    """

    stride: int | None = None
    first: int | None = None
    last: int | None = None
    key_file: Path | None = None
    key_env: str | None = None

    @property
    def keyless(self) -> bool:
        """Whether no key of pseudonyms is given."""
        return self.key_file is None and self.key_env is None

    @property
    def all_of_videos(self) -> bool:
        """Whether frames of videos are taken that no table names."""
        return not self.stride == self.first == self.last is None


@dataclass(frozen=True)
class Mixed:
    """What a folder holds.

    Args:
        files: for tables to name frames by: every file, what headers say, and UIDs.
        frames: names of the frames that are taken whether or not a table names them.
        faults: files that cannot be read.
        others: how many files of other kinds there are, by their suffix.
    """

    files: Listing
    frames: list[str]
    faults: tuple[Fault, ...]
    others: Mapping[str, int] = field(default_factory=dict)


def list_mixed(source: Path, choice: Choice) -> Mixed:
    """List every frame of a folder: of videos those chosen, or none until a table names them.

    Args:
        source: the folder.
        choice: which frames of videos are taken.

    Raises:
        CohortError: the folder is missing, or holds no frames.
        ConfigError: it holds DICOM files, and there is no key.
    """
    if not source.is_dir():
        raise CohortError([Fault(str(source), "folder not found", todo="check SOURCE")])
    video: dict[str, Any] = {"root": source}
    if choice.all_of_videos:
        given = {"stride": choice.stride or 1, "first": choice.first, "last": choice.last}
        video |= {"take": "all"} | given
    sections: list[FrameFolder] = [
        ImageFolder(root=source),
        DicomFolder(root=source, key_file=choice.key_file, key_env=choice.key_env),
        VideoFolder.model_validate(video),
    ]
    frames: list[str] = []
    faults: list[Fault] = []
    headers: dict[str, dict[str, str]] = {}
    uids: dict[str, str] = {}
    for section in sections:
        if not _holds_any(section):
            continue
        if isinstance(section, DicomFolder) and choice.keyless:
            raise ConfigError(
                f"{source}: holds DICOM files, whose patients become keyed hashes, and no key is "
                "given; make one outside of SOURCE and --out, `openssl rand -hex 32 > key && "
                "chmod 600 key`, and give --key-file key (or --key-env NAME)"
            )
        try:
            listing = list_cohort(section)
        except CohortError as error:
            # Nothing of this kind can be read; the others may hold frames all the same.
            faults += [fault for fault in error.faults if fault.frame]
            continue
        frames += listing.frames
        faults += listing.faults
        headers |= {name: dict(row) for name, row in listing.headers.items()}
        uids |= listing.uids
    files = sorted({split_address(name)[0] for name in frames})
    named = Listing(source, files, named=True, headers=headers, uids=uids)
    if not choice.all_of_videos:
        frames = [name for name in frames if not _is_video(name)]
    if not files:
        nothing = Fault(str(source), "no frames in this folder", todo="give one with frames")
        # Without the frames' names: nothing would be left if they were dropped.
        raise CohortError([replace(fault, frame="") for fault in faults] or [nothing])
    damaged = {split_address(fault.frame)[0] for fault in faults}
    everything = list_files(source, lambda name: True)[0]
    others = count_suffixes(set(everything) - set(files) - damaged)
    return Mixed(named, sorted(frames), tuple(faults), others)


def count_suffixes(names: Iterable[str]) -> dict[str, int]:
    """Count files by suffix; one that is not usual may be part of a name, and is not told.

    Args:
        names: of files.

    >>> count_suffixes(["a/notes.TXT", "b.txt", "report.meier", "README"])
    {'.txt': 2, 'others': 2}
    """
    suffixes = (PurePosixPath(name).suffix.lower() for name in names)
    counts = Counter(one if one in USUAL | KNOWN else "others" for one in suffixes)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def name_targets(frames: Sequence[str]) -> dict[str, str]:
    """Name the file that each frame becomes, without its suffix.

    Args:
        frames: names of frames, as in the source.

    Returns:
        Frame → path below the folder of frames; unlike ones stay unlike, also where a file system
        does not tell capitals from small letters.

    >>> name_targets(["a/clip.mp4#12", "a/b.dcm", "a/b.png"])
    {'a/clip.mp4#12': 'a/clip_000012', 'a/b.dcm': 'a/b.dcm', 'a/b.png': 'a/b.png'}
    """
    short: dict[str, str] = {}
    for name in frames:
        path, number = split_address(name)
        file = PurePosixPath(path)
        stem = file.with_suffix("") if file.suffix.lower() in KNOWN else file
        short[name] = f"{stem}" if number is None else f"{stem}_{number:06d}"
    twice = Counter(target.lower() for target in short.values())
    taken = {target.lower() for target in short.values() if twice[target.lower()] == 1}
    for name in sorted(frames):
        if twice[short[name].lower()] > 1:
            whole = name.replace("#", "_")
            tries = (whole if turn == 1 else f"{whole}-{turn}" for turn in count(1))
            short[name] = next(one for one in tries if one.lower() not in taken)
            taken.add(short[name].lower())
    return short


def _is_video(name: str) -> bool:
    return PurePosixPath(split_address(name)[0]).suffix.lower() in VIDEO


def _holds_any(section: FrameFolder) -> bool:
    """Whether a folder has files of a kind; a bare name is DICOM only if its bytes say so."""
    files = list_sources(section)
    if not isinstance(section, DicomFolder):
        return bool(files)
    from polypskd.cohort.dicom import looks_like_dicom

    suffixes = (PurePosixPath(name).suffix.lower() for name in files)
    return any(
        suffix in DICOM or looks_like_dicom(section.root / name)
        for name, suffix in zip(files, suffixes, strict=True)
    )
