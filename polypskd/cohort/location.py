"""Where a cohort's files are, which bytes they hold, and which frames were left out."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polypskd.artifacts import file_hash, write_text
from polypskd.cohort.damage import DamageError
from polypskd.cohort.exports.reading import hash_export
from polypskd.cohort.listing import find_key, list_sources
from polypskd.cohort.pseudonyms import pseudonymize
from polypskd.cohort.regular import open_regular
from polypskd.cohort.table import Exclusion
from polypskd.config import (
    CohortConfig,
    DicomFolder,
    FrameFolder,
    ImageFolder,
    LongVotes,
    Metadata,
    PatientColumn,
    SyntheticFrames,
    VotesExport,
)

END = 64 << 10  # bytes at either end of a file that a fingerprint covers


def locate_cohort(config: CohortConfig, *, seed: int, folder: Path) -> CohortConfig:
    """Give a cohort whose files exist: a synthetic one is drawn into `folder` first.

    Args:
        config: the section ``cohort``.
        seed: of a synthetic cohort.
        folder: where it is drawn; a finished drawing is left as it is.
    """
    if not isinstance(config.frames, SyntheticFrames):
        return config
    from polypskd.cohort.synthetic import draw_cohort

    draw_cohort(config.frames, config.classes, seed=seed, folder=folder)
    return config.model_copy(
        update={
            "frames": ImageFolder(root=folder / "frames"),
            "votes": LongVotes(path=folder / "votes.csv"),
            "metadata": Metadata(path=folder / "frames.csv"),
            "patients": PatientColumn(column="patient"),
        }
    )


def locate_frames(config: CohortConfig, folder: Path) -> Path | None:
    """Give the frames' root without drawing anything; None for votes without frames."""
    if isinstance(config.frames, FrameFolder):
        return config.frames.root
    return folder / "frames" if isinstance(config.frames, SyntheticFrames) else None


def list_inputs(config: CohortConfig) -> list[Any]:
    """List what a fingerprint covers: tables by their bytes, frames by name and size.

    Of DICOM files and videos also the bytes at both ends, in which headers and indexes lie, and of
    the key of pseudonyms a pseudonym.
    """
    parts: list[Any] = []
    for section in (config.votes, config.metadata):
        path = getattr(section, "path", None)
        if path is not None:
            parts.append(_hash_table(section))
    if isinstance(config.frames, FrameFolder):
        root = config.frames.root
        names = list_sources(config.frames)
        if isinstance(config.frames, ImageFolder):
            parts.append([(name, _measure(root / name)) for name in names])
        else:
            parts.append([(name, *_hash_ends(root / name)) for name in names])
    if isinstance(config.frames, DicomFolder) and (config.frames.key_file or config.frames.key_env):
        parts.append(pseudonymize("key", find_key(config.frames)))
    return parts


def _hash_table(section: Any) -> str | None:
    """Give the SHA-256 of a table or of all files of an export; None where one is missing."""
    if isinstance(section, VotesExport):
        return hash_export(section)
    return file_hash(section.path) if section.path.is_file() else None


def _hash_ends(path: Path) -> tuple[int, str]:
    """Give a file's size, and the SHA-256 of its first and last bytes; the root may hold links."""
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            digest = hashlib.sha256(file.read(END))
            file.seek(max(size - END, 0))
            digest.update(file.read(END))
    except (OSError, DamageError):
        return -1, ""  # reading it tells why
    return size, digest.hexdigest()


def _measure(path: Path) -> int:
    """Give a file's size; -1 for a link that leads nowhere, of which reading it tells."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def hash_tables(config: CohortConfig) -> dict[str, str]:
    """Give ``votes_sha256`` and ``metadata_sha256``, each where such a table was given."""
    sections = {"votes_sha256": config.votes, "metadata_sha256": config.metadata}
    given = {name: item for name, item in sections.items() if getattr(item, "path", None)}
    hashes = {name: _hash_table(section) for name, section in given.items()}
    return {name: found for name, found in hashes.items() if found is not None}


def write_exclusions(path: Path, exclusions: Sequence[Exclusion]) -> None:
    """Write excluded.csv: frame_id, reason, detail."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["frame_id", "reason", "detail"])
    writer.writerows((item.frame_id, item.reason, item.detail) for item in exclusions)
    write_text(path, buffer.getvalue())
