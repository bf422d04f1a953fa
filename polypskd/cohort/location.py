"""Where a cohort's files are, which bytes they hold, and which frames were left out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polypskd.artifacts import file_hash, write_text
from polypskd.cohort.frames import list_frames
from polypskd.cohort.table import Exclusion
from polypskd.config import (
    CohortConfig,
    ImageFolder,
    LongVotes,
    Metadata,
    PatientColumn,
    SyntheticFrames,
)


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
    if isinstance(config.frames, ImageFolder):
        return config.frames.root
    return folder / "frames" if isinstance(config.frames, SyntheticFrames) else None


def list_inputs(config: CohortConfig) -> list[Any]:
    """List what a fingerprint covers: tables by their bytes, frames by name and size."""
    parts: list[Any] = []
    for section in (config.votes, config.metadata):
        path = getattr(section, "path", None)
        if path is not None:
            parts.append(file_hash(path) if path.is_file() else None)
    if isinstance(config.frames, ImageFolder):
        root = config.frames.root
        parts.append([(name, (root / name).stat().st_size) for name in list_frames(root)[0]])
    return parts


def hash_tables(config: CohortConfig) -> dict[str, str]:
    """Give ``votes_sha256`` and ``metadata_sha256``, each where such a table was given."""
    sections = {"votes_sha256": config.votes, "metadata_sha256": config.metadata}
    paths = {name: getattr(section, "path", None) for name, section in sections.items()}
    return {name: file_hash(path) for name, path in paths.items() if path is not None}


def write_exclusions(path: Path, exclusions: Sequence[Exclusion]) -> None:
    """Write excluded.csv: frame_id, reason, detail."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["frame_id", "reason", "detail"])
    writer.writerows((item.frame_id, item.reason, item.detail) for item in exclusions)
    write_text(path, buffer.getvalue())
