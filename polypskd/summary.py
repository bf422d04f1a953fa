"""Cohort and labels in a few lines for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from polypskd.cohort.table import Cohort


def describe_cohort(cohort: Cohort) -> tuple[dict[str, Any], str]:
    """Count what a cohort holds, as JSON-like values and as text."""
    votes = dict(zip(cohort.classes, cohort.counts.sum(0).tolist(), strict=True))
    reasons = Counter(item.reason for item in cohort.exclusions)
    patients = len(np.unique(cohort.patient_ids)) if cohort.patients_known else None
    result = {
        "frames": len(cohort),
        "patients": patients,
        "annotators": len(cohort.annotators) or None,
        "votes": votes,
        "excluded": dict(reasons),
    }
    lines = [
        f"Frames      {len(cohort):>9,}",
        f"Patients    {f'{patients:,}' if patients else 'unknown':>9}",
        f"Annotators  {f'{len(cohort.annotators):,}' if cohort.annotators else 'unknown':>9}",
        f"Votes       {sum(votes.values()):>9,}",
        *(f"  {name:<24} {count:>9,}" for name, count in votes.items()),
    ]
    if reasons:
        lines.append(f"Left out    {sum(reasons.values()):>9,}")
        lines += [f"  {count:>6,}  {reason}" for reason, count in reasons.most_common(10)]
    lines.append("No faults found.")
    return result, "\n".join(lines)


def describe_labels(described: dict[str, Any]) -> str:
    """Put agreement.json in a few lines."""
    lines = []
    for name, key in (
        ("Fleiss kappa", "fleiss_kappa"),
        ("Krippendorff alpha", "krippendorff_nominal"),
        ("Gwet AC1", "gwet_ac1"),
    ):
        found = described["statistics"].get(key)
        if found and found["value"] is not None:
            interval = (
                f" [{found['low']:.3f}, {found['high']:.3f}]" if found["low"] is not None else ""
            )
            lines.append(f"{name:<20} {found['value']:.3f}{interval}")
    lines.append(f"{'Subclass':<36} {'train':>7} {'val':>7} {'test':>7}")
    for row in described["subclasses"]:
        size = row["size"]
        lines.append(f"{row['name']:<36} {size['train']:>7} {size['val']:>7} {size['test']:>7}")
    return "\n".join([*lines, *described["merges"], *described["notes"]])
