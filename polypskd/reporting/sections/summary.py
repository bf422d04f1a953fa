"""The first third of a page: what was tested on whom, and how it went."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting.cells import Table, make_table, pick
from polypskd.reporting.content import Section
from polypskd.reporting.prose import describe_test, list_findings, list_limits
from polypskd.reporting.record import Record
from polypskd.reporting.scores import get_score
from polypskd.reporting.study.endpoints import list_endpoints

ENDPOINTS = (
    "Endpoints, judged by the value and, more cautiously, by the lower bound of its interval."
)
HEADLINE = (
    ("Macro-F1", ("macro_f1",)),
    ("Accuracy", ("accuracy",)),
    ("AUROC", ("auroc",)),
    ("ECE after scaling", ("calibration", "after", "ece")),
)


def build_summary(record: Record, frames: Path | None) -> Section:
    """Tell the run in a third of a page."""
    found = [_headline(record)]
    if endpoints := _endpoints(record):
        found.append(endpoints)
    return Section(
        "summary",
        "Summary",
        paragraphs=(describe_test(record),),
        tables=tuple(found),
        notes=(" ".join(list_findings(record)), list_limits(record)),
    )


def _headline(record: Record) -> Table:
    rows = [
        (label, get_score(record, keys[0]) if len(keys) == 1 else pick(record.evaluation, *keys))
        for label, keys in HEADLINE
    ]
    return make_table(
        "headline",
        "The student's headline figures, with intervals.",
        ("Measure", "Value"),
        rows,
        layout="tiles",
    )


def _endpoints(record: Record) -> Table | None:
    """List the endpoints of a study: met, not met or not assessable."""
    study = record.study or {}
    rows = [
        (one["title"], one["by_value"], one["by_lower_bound"], one["reason"] or None)
        for one in list_endpoints(study.get("endpoints", {}), study.get("surveillance"))
    ]
    head = ("Endpoint", "By value", "By lower bound", "Note")
    return make_table("endpoints", ENDPOINTS, head, rows, layout="words") if rows else None
