"""The first third of a page: what was tested on whom, and how it went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polypskd.reporting.cells import Table, make_table, pick
from polypskd.reporting.content import Section
from polypskd.reporting.prose import describe_test, list_findings, list_limits
from polypskd.reporting.record import Record, list_classes
from polypskd.reporting.scores import get_score
from polypskd.reporting.study.endpoints import list_endpoints, tell_none

ENDPOINTS = (
    "Endpoints, judged by the value and, more cautiously, by the lower bound of its interval."
)
HEADLINE = (
    ("Macro-F1", ("macro_f1",)),
    ("Accuracy", ("accuracy",)),
    ("AUROC", ("auroc",)),
    ("ECE after scaling", ("calibration", "after", "ece")),
)
MEANS = {"AUROC": "AUROC, class mean"}  # of two classes both are the same


def build_summary(record: Record, frames: Path | None) -> Section:
    """Tell the run in a third of a page."""
    found = [_headline(record)]
    endpoints, line = _endpoints(record), tell_none(list_verdicts(record))
    if endpoints and not line:
        found.append(endpoints)
    return Section(
        "summary",
        "Summary",
        paragraphs=(describe_test(record),),
        tables=tuple(found),
        notes=(" ".join(list_findings(record)), *line, list_limits(record)),
    )


def _headline(record: Record) -> Table:
    several = len(list_classes(record)) > 2
    rows = [
        (
            MEANS.get(label, label) if several else label,
            get_score(record, keys[0]) if len(keys) == 1 else pick(record.evaluation, *keys),
        )
        for label, keys in HEADLINE
    ]
    return make_table(
        "headline",
        "The student's headline figures, with intervals.",
        ("Measure", "Value"),
        rows,
        layout="tiles",
    )


def list_verdicts(record: Record) -> list[dict[str, Any]]:
    """List the endpoints of a run's study; none without a study."""
    study = record.study or {}
    return list_endpoints(study.get("endpoints", {}), study.get("surveillance"))


def _endpoints(record: Record) -> Table | None:
    """List the endpoints of a study: met, not met or not assessable."""
    rows = [
        (one["title"], one["by_value"], one["by_lower_bound"], one["reason"] or None)
        for one in list_verdicts(record)
    ]
    head = ("Endpoint", "By value", "By lower bound", "Note")
    return make_table("endpoints", ENDPOINTS, head, rows, layout="words") if rows else None
