"""Results in parts of the test split."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting import matrices
from polypskd.reporting.cells import pick
from polypskd.reporting.content import Section
from polypskd.reporting.record import Record, name_levels
from polypskd.reporting.sections.study import Part, build_parts
from polypskd.reporting.study import subgroups
from polypskd.reporting.tables import tabulate_levels

PART = Part(
    "subgroups",
    "subgroup-comparison",
    "By column",
    subgroups.tell_subgroups,
    subgroups.tabulate_subgroups,
    subgroups.draw_subgroups,
)


def build_subgroups(record: Record, frames: Path | None) -> Section | None:
    """Tell the student's results by level; None where the evaluation has no levels."""
    evaluation = record.evaluation
    if not evaluation.get("by_level"):
        return None
    level = name_levels(record)
    teacher = pick(evaluation, "teacher", "by_level")
    by_level = Section(
        "levels",
        f"By {level}",
        tables=(tabulate_levels(evaluation, level),),
        pictures=(matrices.draw_levels(evaluation["by_level"], teacher, level),),
    )
    parts = (by_level, *build_parts(record, (PART,), "subgroups"))
    return Section("subgroups", "Subgroups", parts=parts)
