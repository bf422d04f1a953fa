"""What a folder holds, for a first config: images, DICOM files, or videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from polypskd.cohort.address import DICOM, VIDEO
from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import READERS, list_files, list_frames
from polypskd.cohort.listing import Listing, list_cohort, may_be_dicom, open_within
from polypskd.config import DicomFolder, FrameFolder, ImageFolder, VideoFolder
from polypskd.errors import CohortError, ConfigError

# What a first look reads of a header: nothing that tells a patient, so that it needs no key.
PLAIN = {"device": "ManufacturerModelName"}
WAYS = (
    "`polypskd import` makes a cohort of them; with --votes FILE, init writes "
    "`frames: {{kind: {}}}`"
)
MOST_BARE = 20  # files without a known suffix that are opened to see whether they are DICOM


@dataclass(frozen=True)
class Source:
    """A folder of frames as a first look finds it.

    Args:
        section: ``cohort.frames`` as in YAML.
        listing: of its frames; None where there is no folder.
        notes: what was found beside them.
    """

    section: dict[str, Any]
    listing: Listing | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def frames(self) -> list[str]:
        """Names of the frames, or of the files that hold them."""
        return self.listing.frames if self.listing else []

    @property
    def kind(self) -> str:
        """As ``cohort.frames.kind``."""
        return str(self.section["kind"])


def recognize_source(folder: Path | None, *, voted: bool) -> Source:
    """Guess the section ``cohort.frames``.

    Args:
        folder: of the frames, if there is one.
        voted: whether votes are given; DICOM files and videos need them.

    Raises:
        ConfigError: the folder is missing, holds no frames, or holds what must be imported; told
            in the words of the verb `init`.
    """
    if folder is None:
        return Source({"kind": "none"})
    if not folder.is_dir():
        raise ConfigError(f"--frames {folder}: no such folder; give the one that holds the images")
    images, other = list_frames(folder)
    dicom, videos = _find_dicom(folder), list_files(folder, _is_video)[0]
    more = [_count(names, what) for names, what in ((dicom, "DICOM file"), (videos, "video"))]
    more = [one for one in more if one]
    held = " and ".join(more)
    if images:
        notes = [f"frames: {held} beside the images are not read; `polypskd import` reads all"]
        section: FrameFolder = ImageFolder(root=folder)
        return _describe(section, Listing(folder, images, other=other), notes if more else [])
    if not more:
        raise ConfigError(
            f"--frames {folder}: no frames in this folder ({other} other files); give one with "
            f"files that end in {', '.join(READERS)}, or with DICOM files or videos"
        )
    kind = "dicom" if dicom else "video"
    if not voted:
        raise ConfigError(f"--frames {folder}: holds {held}; {WAYS.format(kind)}")
    if len(more) > 1:
        raise ConfigError(f"--frames {folder}: holds {held}; `polypskd import` takes both")
    section = DicomFolder(root=folder, attributes=PLAIN) if dicom else VideoFolder(root=folder)
    try:
        listing = list_cohort(section)
    except CohortError as error:
        raise ConfigError(f"--frames {folder}: holds {held}, none readable: {error}") from None
    notes = [f"frames: {held}"]
    notes += [f"{len(listing.faults):,} of them cannot be read"] if listing.faults else []
    if dicom:
        notes.append(
            "patients and UIDs become keyed hashes: make the key once, outside the frames' folder: "
            "openssl rand -hex 32 > key && chmod 600 key"
        )
    return _describe(section, listing, notes)


def _describe(section: FrameFolder, listing: Listing, notes: list[str]) -> Source:
    page: dict[str, Any] = {"kind": section.kind, "root": section.root.as_posix()}
    if isinstance(section, VideoFolder):
        page["take"] = section.take
    if isinstance(section, DicomFolder):
        page["key_file"] = "key"
    return Source(page, listing, notes)


def _count(names: list[str], what: str) -> str:
    return f"{len(names):,} {what}{'s' if len(names) > 1 else ''}" if names else ""


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO


def _find_dicom(folder: Path) -> list[str]:
    """List files called DICOM; where there are none, those of no suffix if the first ones are."""
    from polypskd.cohort.dicom import looks_like_dicom

    named = list_files(folder, lambda name: PurePosixPath(name).suffix.lower() in DICOM)[0]
    if named:
        return named
    bare = list_files(folder, may_be_dicom)[0]
    try:
        some = any(open_within(folder, name, looks_like_dicom) for name in bare[:MOST_BARE])
    except DamageError:
        return []
    return bare if some else []
