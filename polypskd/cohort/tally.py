"""What an import tells when it is done."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from polypskd.cohort.given import Given
from polypskd.cohort.importing import Imported
from polypskd.cohort.mixed import Mixed
from polypskd.errors import Fault


class Tally(NamedTuple):
    """What an import did.

    Args:
        mixed: the source.
        imported: the frames.
        given: the votes, if there were any.
        faults: of frames and votes.
    """

    mixed: Mixed
    imported: Imported
    given: Given | None
    faults: tuple[Fault, ...]

    @property
    def copied(self) -> int:
        """Number of frames that were copied byte by byte."""
        return sum(entry["copied"] for entry in self.imported.entries)

    @property
    def lost(self) -> list[str]:
        """What the votes name and is not among the frames; at most a thousand."""
        written = [entry["from"] for entry in self.imported.entries]
        return self.given.list_lost(written) if self.given else []

    @property
    def found(self) -> int:
        """Number of frames with votes."""
        written = {entry["from"] for entry in self.imported.entries}
        return len(written & set(self.given.ballots.frames)) if self.given else 0


def sum_up(out: Path, told: Tally) -> dict[str, Any]:
    """Sum up an import as one JSON object.

    Args:
        out: the cohort's folder.
        told: what was done.
    """
    written = len(told.imported.entries)
    kinds = Counter(fault.what.rstrip(":") for fault in told.faults)
    result = {
        "cohort": str(out),
        "files": len(told.mixed.files.frames),
        "other_files": dict(told.mixed.others),
        "frames": written,
        "copied": told.copied,
        "converted": written - told.copied,
        "known_before": told.imported.known,
        "refused": len(told.imported.faults),
        "faults": dict(sorted(kinds.items())),
    }
    if told.given is not None:
        result["voted"] = {"named": told.given.named, "written": told.found}
    return result


def describe_import(out: Path, told: Tally) -> list[str]:
    """Describe an import in lines.

    Args:
        out: the cohort's folder.
        told: what was done.
    """
    kinds = Counter(fault.what.rstrip(":") for fault in told.faults)
    written = len(told.imported.entries)
    others = ", ".join(f"{suffix} {count:,}" for suffix, count in told.mixed.others.items())
    return [
        f"Files seen      {len(told.mixed.files.frames):>9,}",
        *([f"Of other kinds  {sum(told.mixed.others.values()):>9,}  {others}"] if others else []),
        f"Frames written  {written:>9,}",
        f"  JPEG, as it was {told.copied:>7,}",
        f"  as PNG        {written - told.copied:>9,}",
        f"Faults          {len(told.faults):>9,}",
        *(f"  {count:>6,}  {what}" for what, count in kinds.most_common(10)),
        *([f"All of them: {out / 'faults.csv'}"] if told.faults else []),
        "File names stand in frames.csv as they were: they may tell who a patient is.",
    ]


def list_warnings(out: Path, told: Tally) -> list[str]:
    """Tell last, and loudly, what is not in the cohort.

    Args:
        out: the cohort's folder.
        told: what was done.
    """
    lines = []
    refused, written = len(told.imported.faults), len(told.imported.entries)
    if told.given is not None and told.found < told.given.named:
        missed = told.given.named - told.found
        names = ", ".join(told.lost[:3])
        lines.append(
            f"WARNING  {missed:,} of {told.given.named:,} frames of the votes are not in the "
            f"cohort, as {names}"
        )
    if refused:
        lines.append(
            f"WARNING  {refused:,} of {refused + written:,} frames or files were REFUSED; see "
            f"{out / 'faults.csv'}"
        )
    return lines
