"""The frames on which the student was surely wrong."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting.content import Section
from polypskd.reporting.gallery import find_mistakes
from polypskd.reporting.record import Record
from polypskd.reporting.study.cams import tell_cams


def build_errors(record: Record, frames: Path | None) -> Section:
    """Show the worst errors with the votes and the probabilities."""
    found = find_mistakes(record, frames)
    if not found:
        lines = ["The student made no error on the test split."]
    else:
        lines = [
            "Test frames on which the student gave most probability to a wrong class, the surest "
            "first. A blue bar is the class of the reference standard. A row is that of "
            "examples.csv, whose header is row 1. Frames are shown as given; look for burned-in "
            "text before you share this page."
        ]
        if any(one.heatmap for one in found) or _lacks_maps(record):
            lines += tell_cams((record.study or {}).get("cams", {"rows": []}))
    return Section("errors", "Worst errors", paragraphs=tuple(lines), gallery=found)


def _lacks_maps(record: Record) -> bool:
    return "not_assessable" in (record.study or {}).get("cams", {})
