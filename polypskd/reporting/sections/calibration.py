"""Whether the probabilities mean what they say."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting import curves
from polypskd.reporting.content import Section
from polypskd.reporting.record import Record, get_study
from polypskd.reporting.sections.study import Part, build_parts
from polypskd.reporting.study import calibration, soft_labels
from polypskd.reporting.tables import tabulate_calibration

PARTS = (
    Part(
        "calibration",
        "scalings",
        "Scalings and curves",
        calibration.tell_calibration,
        calibration.tabulate_calibration,
        calibration.draw_calibration,
    ),
    Part(
        "soft_labels",
        "soft-labels",
        "Against the distribution of the votes",
        soft_labels.tell_soft_labels,
        soft_labels.tabulate_soft_labels,
        soft_labels.draw_soft_labels,
    ),
)


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
            "Chance alone makes a calibration error larger, and none is below 0. Their intervals "
            "take what chance added off again: they reach further down than up, and start at 0 "
            "where chance explains all of the error.",
        ),
        # The study's table holds all of it beside other scalings.
        tables=()
        if get_study(record, "calibration")
        else (tabulate_calibration(record.evaluation),),
        pictures=tuple(one for one in pictures if one),
        parts=build_parts(record, PARTS, "calibration"),
    )
