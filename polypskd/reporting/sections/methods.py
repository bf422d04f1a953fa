"""How the numbers were made: the methods, the cohort, the training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from polypskd.reporting import curves
from polypskd.reporting.content import Section
from polypskd.reporting.flow_figure import draw_flow
from polypskd.reporting.prose import describe_curriculum, describe_methods
from polypskd.reporting.record import Record, get_study, list_classes
from polypskd.reporting.sections.study import Part, build_parts
from polypskd.reporting.study import baseline
from polypskd.reporting.study.methods import describe_study
from polypskd.reporting.tables import tabulate_exclusions, tabulate_splits

BASELINE = Part(
    "baseline", "baseline", "Baseline", baseline.tell_baseline, baseline.tabulate_baseline
)
SENTENCES = 6  # of a paragraph


def build_methods(record: Record, frames: Path | None) -> Section:
    """Say how the student was trained and judged, and on what."""
    return Section(
        "methods",
        "Methods",
        paragraphs=tuple(
            " ".join(lines)
            for told in (describe_methods(record), describe_study(record.study or {}))
            for lines in batched(told, SENTENCES)
        ),
        parts=(
            _tell_cohort(record),
            *build_parts(record, (BASELINE,), "baseline"),
            _tell_training(record),
        ),
    )


def batched(lines: list[str], most: int) -> Iterator[list[str]]:
    """Divide sentences into paragraphs of about one length.

    >>> list(batched(["a", "b", "c", "d"], 3)), list(batched([], 3))
    ([['a', 'b'], ['c', 'd']], [])
    """
    parts = -(-len(lines) // most)
    size = -(-len(lines) // parts) if parts else 1
    for start in range(0, len(lines), size):
        yield lines[start : start + size]


def _tell_cohort(record: Record) -> Section:
    known = bool(record.agreement.get("patients_known"))
    excluded = int(record.agreement.get("excluded") or sum(record.exclusions.values()))
    splits = tabulate_splits(record.examples, list_classes(record), known)
    exclusions = tabulate_exclusions(record.exclusions)
    return Section(
        "cohort",
        "Cohort",
        # The baseline counts the same, and more.
        tables=tuple(
            table
            for table in (splits if get_study(record, "baseline") is None else None, exclusions)
            if table is not None and table.rows
        ),
        pictures=(draw_flow(record.examples, record.exclusions, excluded, known=known),),
    )


def _tell_training(record: Record) -> Section:
    told = {who: rows for who, rows in record.histories.items() if rows}
    pictures = [curves.draw_losses(rows, who) for who, rows in told.items()]
    if told:
        pictures.append(curves.draw_progress(told))
    lines = [describe_curriculum(record.config)]
    if not told:
        lines.append("No training history was recorded.")
    return Section("training", "Training", paragraphs=tuple(lines), pictures=tuple(pictures))
