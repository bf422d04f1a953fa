"""Whether the probabilities mean what they say."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting import curves
from polypskd.reporting.content import Section
from polypskd.reporting.record import Record
from polypskd.reporting.tables import tabulate_calibration


def build_calibration(record: Record, frames: Path | None) -> Section:
    """Tell the calibration before and after temperature scaling."""
    reliability = record.evaluation.get("reliability") or {}
    pictures = (
        curves.draw_reliability(reliability.get("before"), "Before scaling"),
        curves.draw_reliability(reliability.get("after"), "After scaling"),
    )
    return Section(
        "calibration",
        "Calibration",
        paragraphs=(
            "A calibrated student is right on 80% of the frames to which it gives a probability "
            "of 0.8.",
        ),
        tables=(tabulate_calibration(record.evaluation),),
        pictures=tuple(one for one in pictures if one),
    )
