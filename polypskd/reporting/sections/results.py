"""What the student reached on the test split."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting import curves, matrices, tables
from polypskd.reporting.content import Section
from polypskd.reporting.record import Record, get_study, list_classes
from polypskd.reporting.sections.study import Part, build_parts
from polypskd.reporting.study import accuracy, annotators, noninferiority

PARTS = (
    Part(
        "accuracy",
        "diagnostic-accuracy",
        "Diagnostic accuracy",
        accuracy.tell_accuracy,
        accuracy.tabulate_accuracy,
    ),
    Part(
        "noninferiority",
        "noninferiority",
        "Student against teacher",
        noninferiority.tell_noninferiority,
        noninferiority.tabulate_noninferiority,
        noninferiority.draw_noninferiority,
    ),
    Part(
        "annotators",
        "against-annotators",
        "Student beside the annotators",
        annotators.tell_annotators,
        annotators.tabulate_annotators,
        annotators.draw_annotators,
    ),
)


def build_results(record: Record, frames: Path | None) -> Section:
    """Tell the student's results: over all classes, for each class, beside the teacher's."""
    evaluation, classes = record.evaluation, list_classes(record)
    pictures = (
        matrices.draw_confusion(evaluation.get("confusion"), classes),
        curves.draw_roc(evaluation, classes),
        curves.draw_precision_recall(evaluation, classes),
    )
    found = []
    if get_study(record, "accuracy") is None:  # which tells the same of each class, and more
        found.append(tables.tabulate_classes(evaluation, classes))
    compared = get_study(record, "noninferiority") is not None  # tells the teacher's scores
    found += [tables.tabulate_overall(record)] if compared else []
    found.append(tables.tabulate_sides(evaluation, scores=not compared))
    return Section(
        "results",
        "Results",
        tables=tuple(table for table in found if table.rows),
        pictures=tuple(one for one in pictures if one),
        parts=build_parts(record, PARTS, "results"),
        listed=True,
    )
