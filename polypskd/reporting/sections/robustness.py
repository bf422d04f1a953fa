"""What is left of the student's accuracy on disturbed frames."""

from __future__ import annotations

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
    """Tell the student's results on corrupted frames; None where none were made."""
    if (record.study or {}).get("robustness", {}).get("not_assessable"):
        return None
    built = build_parts(record, (PART,), "robustness")
    return built[0] if built else None
