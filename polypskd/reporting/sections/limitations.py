"""What the numbers cannot bear."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting.content import Section
from polypskd.reporting.prose import list_limitations
from polypskd.reporting.record import Record, list_classes


def build_limitations(record: Record, frames: Path | None) -> Section:
    """List the limitations."""
    lines = list_limitations(record, list_classes(record))
    return Section("limitations", "Limitations", points=tuple(lines))
