"""A run's record, turned into what the report holds."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting.cells import pick
from polypskd.reporting.content import Content
from polypskd.reporting.figures import style
from polypskd.reporting.prose import compare_sizes
from polypskd.reporting.record import Json, Record, count_patients

BANNER = "Research use only. Not a medical device; not for diagnosis."


def collect_report(record: Record, frames: Path | None) -> Content:
    """Build every section that the run has something to say in.

    The content names no patient, frame, file or annotator.

    Args:
        record: the run's files.
        frames: folder of the frames for the gallery; None shows placeholders.
    """
    from polypskd.reporting.sections.registry import BUILDERS

    with style():
        built = [build(record, frames) for build in BUILDERS]
    return Content(
        name=str(record.config.get("name") or "run"),
        banner=BANNER,
        sections=tuple(section for section in built if section),
    )


def summarize(record: Record) -> Json:
    """Gather the report's numbers in one JSON object without patients, frames or names."""
    return {
        "name": record.config.get("name"),
        "research_use_only": True,
        "notice": BANNER,
        "summary": {
            "student": _brief(record.evaluation),
            "teacher": _brief(record.evaluation.get("teacher")),
            "parameters_ratio": compare_sizes(record.evaluation),
        },
        "cohort": {
            "n_frames": len(record.examples),
            "n_patients": count_patients(record),
            "exclusions": record.exclusions,
        },
        "evaluation": record.evaluation,
        "agreement": record.agreement,
        "comparison": record.comparison,
        "study": record.study,
        "provenance": record.provenance,
    }


def _brief(side: Json | None) -> Json | None:
    if side is None:
        return None
    return {
        "macro_f1": side.get("macro_f1"),
        "accuracy": side.get("accuracy"),
        "ece_before": pick(side, "calibration", "before", "ece"),
        "ece_after": pick(side, "calibration", "after", "ece"),
        "parameters": pick(side, "model", "parameters"),
    }
