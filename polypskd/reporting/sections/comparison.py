"""The comparison of methods that the run is one of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from polypskd.reporting.comparison_tables import tabulate_comparison
from polypskd.reporting.content import Section
from polypskd.reporting.record import Record


def build_comparison(record: Record, frames: Path | None) -> Section | None:
    """Repeat the comparison's tables of methods and differences; None without a comparison."""
    if record.comparison is None:
        return None
    found = tuple(
        replace(table, key=f"comparison-{key}")
        for key, table in tabulate_comparison(record.comparison).items()
        if (key == "methods" or key.startswith("differences")) and table.rows
    )
    return Section(
        "comparison",
        "Comparison",
        paragraphs=("This run is one of a comparison; comparison.html tells more of it.",),
        tables=found,
    )
