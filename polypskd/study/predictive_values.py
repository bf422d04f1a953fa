"""Predictive values at stated prevalences, of all calls and of those of high confidence."""

from __future__ import annotations

import numpy as np

from polypskd.metrics.clinical.confidence import find_confident
from polypskd.metrics.clinical.contingency import CELLS, contingency_cells, score_contingency
from polypskd.metrics.clinical.prevalence import measure_predictive_values
from polypskd.metrics.clinical.shares import count_cells
from polypskd.study.calls import CALL_OF_RISK, CUTOFF, call_positive, fix_rule
from polypskd.study.data import Json, StudyData
from polypskd.study.polyps import describe_polyps, gather_test, sample_polyps

GRID = tuple(round(0.02 * step, 2) for step in range(1, 50))  # of the figure


def describe_predictive_values(data: StudyData) -> Json:
    """Carry sensitivity and specificity to other prevalences.

    Args:
        data: the run.

    Returns:
        ``all`` and, where there is a rule of confidence, ``high_confidence``: the two-by-two
        table, a row a stated prevalence, and a finer ``curve``.
    """
    polyps = gather_test(data)
    sample = sample_polyps(data, polyps)
    rule, told = fix_rule(data)
    called = call_positive(polyps.risk, rule)
    kept = {"all": np.ones(len(polyps), dtype=np.bool_)}
    if rule is not None:
        kept["high_confidence"] = find_confident(polyps.risk, rule)
    tables = {
        name: count_cells(contingency_cells(polyps.outcome, called, rows), CELLS, sample)
        for name, rows in kept.items()
    }
    drawn = sample.measure(tables)
    found: Json = {"all": None, "high_confidence": None}
    for name, table in tables.items():
        patients = int((table.sum(axis=1) > 0).sum())
        stated, curve = (
            [
                one.to_dict()
                for one in measure_predictive_values(
                    drawn[name], at, patients, confidence=data.confidence
                )
            ]
            for at in (data.settings.prevalences, GRID)
        )
        scores = score_contingency(table, drawn[name], data.confidence)
        found[name] = {"table": scores.to_dict(), "stated": stated, "curve": curve}
    prevalence = float(polyps.outcome.mean())
    header = {
        "call": CALL_OF_RISK,
        "cutoff": CUTOFF,
        "confidence_rule": told,
        "prevalence": prevalence,
    }
    return describe_polyps(data, polyps) | header | found
