"""Results in parts of the test split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from polypskd.reporting import matrices
from polypskd.reporting.cells import pick
from polypskd.reporting.content import Section
from polypskd.reporting.levels import name_levels, order_levels
from polypskd.reporting.record import Record, get_study
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
    """Tell the student's results by level and column; None where there are neither."""
    parts = build_parts(record, (PART,), "subgroups")
    if record.evaluation.get("by_level"):
        parts = (_tell_levels(record), *parts)
    return Section("subgroups", "Subgroups", parts=parts) if parts else None


def _tell_levels(record: Record) -> Section:
    level = name_levels(record)
    ordered = order_levels(record, record.evaluation["by_level"])
    evaluation = record.evaluation | {"by_level": ordered}
    teacher = pick(evaluation, "teacher", "by_level")
    table = tabulate_levels(evaluation, level)
    if get_study(record, "subgroups") is not None:  # which shows the levels among its columns
        table = replace(table, fold=f"Macro-F1, accuracy and ECE for each {level}")
    return Section(
        "levels",
        f"By {level}",
        tables=(table,),
        pictures=(matrices.draw_levels(evaluation["by_level"], teacher, level),),
    )
