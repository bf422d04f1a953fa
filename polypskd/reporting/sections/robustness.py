"""What is left of the student's accuracy on disturbed frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from polypskd.reporting.content import Section
from polypskd.reporting.record import Record
from polypskd.reporting.sections.study import Part, build_parts
from polypskd.reporting.study import robustness

PART = Part(
    "robustness",
    "robustness",
    "Robustness",
    robustness.tell_robustness,
    robustness.tabulate_robustness,
    robustness.draw_robustness,
)


def build_robustness(record: Record, frames: Path | None) -> Section | None:
    """Tell the student's results on corrupted frames; None without a study."""
    built = build_parts(record, (PART,), PART.key)
    return replace(built[0], title=PART.title) if built else None
