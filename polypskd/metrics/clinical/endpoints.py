"""Endpoints: whether a network reaches what the societies ask.

Each is judged twice: on the point value, as the societies state it, and on the lower bound of its
interval, as a cautious reader will.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics.clinical.contingency import (
    CELLS,
    MEASURES,
    contingency_cells,
    score_contingency,
)
from polypskd.metrics.clinical.shares import Share, count_cells, measure_share
from polypskd.metrics.clinical.thresholds import EndpointRule, Threshold
from polypskd.metrics.intervals import number
from polypskd.metrics.resampling import Resampling

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]

MET, NOT_MET, NOT_ASSESSABLE = "met", "not met", "not assessable"
LOW_CONFIDENCE = CELLS  # the cell after those of the two-by-two table


@dataclass(frozen=True)
class Calls:
    """What was called of N polyps, what they are, and where.

    Args:
        outcome: (N,) neoplastic by the reference standard.
        predicted: (N,) called neoplastic.
        confident: (N,) called with high confidence, by a rule fixed beforehand; None if there is
            no such rule, then every call counts as one of high confidence and the endpoint says so.
        size_bands: (N,) diminutive, small or large, empty where unknown; None without the column.
        segments: (N,) empty where unknown; None without the column.
    """

    outcome: Flags
    predicted: Flags
    confident: Flags | None = None
    size_bands: Words | None = None
    segments: Words | None = None

    def __post_init__(self) -> None:
        columns = (self.predicted, self.confident, self.size_bands, self.segments)
        if any(column is not None and len(column) != len(self.outcome) for column in columns):
            raise ValueError("all columns of calls need one row a polyp")


@dataclass(frozen=True)
class Reached:
    """One threshold beside what was measured."""

    threshold: Threshold
    share: Share

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        told = {name: getattr(self.threshold, name) for name in ("least", "source", "checked")}
        return {"measure": self.threshold.measure, **told, **self.share.to_dict()} | {
            "lower": number(self.share.lower)
        }


@dataclass(frozen=True)
class Endpoint:
    """An endpoint, judged.

    Args:
        name: of the rule.
        by_value: met, not met or not assessable, by the point values.
        by_lower_bound: the same, by the lower of the bounds by patient and of Wilson; not
            assessable with too few patients.
        reason: why it, or its lower bound, is not assessable, or what else to know of it; may be
            empty.
        reached: each threshold with what was measured.
        asked: polyps of the subset, low-confidence ones included; or exams.
        unknown: polyps that are left out because their size band or segment is not known.
        high_confidence: share of the subset called with high confidence; None without such a rule.
    """

    name: str
    by_value: str
    by_lower_bound: str
    reason: str
    reached: tuple[Reached, ...] = ()
    asked: int = 0
    unknown: int = 0
    high_confidence: Share | None = None

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        plain: dict[str, object] = {
            name: getattr(self, name)
            for name in ("name", "by_value", "by_lower_bound", "reason", "asked", "unknown")
        }
        sure = self.high_confidence
        plain["high_confidence"] = sure.to_dict() if sure else None
        plain["reached"] = [one.to_dict() for one in self.reached]
        return plain


def band_sizes(size_mm: Floats) -> Words:
    """Name the size band of each polyp: diminutive up to 5 mm, small below 10 mm, else large.

    Args:
        size_mm: (N,) above 0; nan where unknown.

    Returns:
        (N,) empty where unknown.

    >>> band_sizes(np.array([5.0, 5.5, 10.0, np.nan])).tolist()
    ['diminutive', 'small', 'large', '']
    """
    known = size_mm > 0
    bands = ("diminutive", "small", "large")
    return np.select([known & (size_mm <= 5), known & (size_mm < 10), known], bands, "")


def select_polyps(rule: EndpointRule, calls: Calls) -> tuple[Flags, Flags]:
    """Find the polyps that an endpoint asks for.

    Returns:
        (N,) those that belong to it, and (N,) those of which it is not known.

    >>> from polypskd.metrics.clinical.thresholds import ENDPOINTS
    >>> bands = np.array(["diminutive", "", "large"])
    >>> calls = Calls(np.ones(3, bool), np.ones(3, bool), size_bands=bands)
    >>> [flags.tolist() for flags in select_polyps(ENDPOINTS[3], calls)]
    [[True, False, False], [False, True, False]]
    """
    inside = np.ones(len(calls.outcome), dtype=np.bool_)
    ruled_out = np.zeros_like(inside)
    for wanted, column in ((rule.size_bands, calls.size_bands), (rule.segments, calls.segments)):
        if wanted:
            words = np.full(len(inside), "") if column is None else column
            inside &= np.isin(words, wanted)
            ruled_out |= ~np.isin(words, wanted) & (words != "")
    return inside, ~inside & ~ruled_out


def endpoint_table(rule: EndpointRule, calls: Calls, sample: Resampling) -> Floats:
    """Count the polyps of an endpoint by patient, (P, 5): the two-by-two table, low confidence.

    >>> calls = Calls(np.array([True, False]), np.array([True, True]), np.array([True, False]))
    >>> rule = EndpointRule("any", (Threshold("sensitivity", 0.9, "a protocol"),))
    >>> endpoint_table(rule, calls, Resampling(np.array([0, 0]), 1, 0, seed=0)).tolist()
    [[0.0, 0.0, 0.0, 1.0, 1.0]]
    """
    cells = contingency_cells(calls.outcome, calls.predicted, select_polyps(rule, calls)[0])
    if rule.high_confidence and calls.confident is not None:
        cells = np.where((cells >= 0) & ~calls.confident, LOW_CONFIDENCE, cells)
    return count_cells(cells, CELLS + 1, sample)


def judge_endpoints(
    rules: Iterable[EndpointRule], calls: Calls, sample: Resampling, *, confidence: float = 0.95
) -> tuple[Endpoint, ...]:
    """Judge the endpoints that are asked of polyps, in one pass over the draws.

    Args:
        rules: those that ask for agreement are passed over (see `judge_agreement`).
        calls: of N polyps.
        sample: of the same N polyps.
        confidence: in (0, 1).

    >>> from polypskd.metrics.clinical.thresholds import ENDPOINTS
    >>> sample = Resampling(np.zeros(9, dtype=int), 1, 0, seed=0)
    >>> calls = Calls(np.zeros(9, bool), np.zeros(9, bool))
    >>> judge_endpoints(ENDPOINTS[:1], calls, sample)[0].reason
    'the cohort has no column of size bands'
    """
    asked = [rule for rule in rules if all(one.measure in MEASURES for one in rule.thresholds)]
    tables = {rule.name: endpoint_table(rule, calls, sample) for rule in asked}
    drawn = sample.measure(tables)
    return tuple(
        _judge_calls(rule, calls, tables[rule.name], drawn[rule.name], confidence) for rule in asked
    )


def judge_agreement(rule: EndpointRule, share: Share, note: str = "") -> Endpoint:
    """Judge an endpoint of one share, such as the agreement of surveillance intervals.

    Args:
        rule: of one threshold.
        share: as measured.
        note: what to know of it, such as the guideline.

    >>> from polypskd.metrics.clinical.thresholds import ENDPOINTS
    >>> share = measure_share(np.array([19.0]), np.array([20.0]), 20, 0.95)
    >>> judged = judge_agreement(ENDPOINTS[1], share)
    >>> judged.by_value, judged.by_lower_bound
    ('met', 'not met')
    """
    reached = tuple(Reached(threshold, share) for threshold in rule.thresholds)
    return _judge(Endpoint(rule.name, "", "", note, reached, asked=share.trials), rule)


def _judge_calls(
    rule: EndpointRule, calls: Calls, table: Floats, drawn: Floats, confidence: float
) -> Endpoint:
    scores = score_contingency(table[:, :CELLS], drawn[:, :CELLS], confidence)
    unknown = int(select_polyps(rule, calls)[1].sum())
    patients = int((table.sum(axis=1) > 0).sum())
    sure, note = None, ""
    if rule.high_confidence and calls.confident is None:
        note = "no rule of high confidence was fixed: all calls are counted"
    elif rule.high_confidence:
        sure = measure_share(drawn[:, :CELLS].sum(axis=1), drawn.sum(axis=1), patients, confidence)
    endpoint = Endpoint(
        rule.name,
        NOT_ASSESSABLE,
        NOT_ASSESSABLE,
        note,
        tuple(Reached(one, getattr(scores, one.measure)) for one in rule.thresholds),
        asked=round(float(drawn[0].sum())),
        unknown=unknown,
        high_confidence=sure,
    )
    if rule.size_bands and calls.size_bands is None:
        return replace(endpoint, reason="the cohort has no column of size bands")
    if rule.segments and calls.segments is None:
        return replace(endpoint, reason="the cohort has no column of segments")
    return _judge(endpoint, rule)


def _judge(endpoint: Endpoint, rule: EndpointRule) -> Endpoint:
    few = [one for one in endpoint.reached if one.share.trials < max(1, rule.least_trials)]
    if few:
        told = ", ".join(f"{one.threshold.measure}: {one.share.trials}" for one in few)
        reason = f"too few to judge ({told}; at least {rule.least_trials} are needed)"
        return replace(
            endpoint, by_value=NOT_ASSESSABLE, by_lower_bound=NOT_ASSESSABLE, reason=reason
        )
    value = all(one.share.value >= one.threshold.least for one in endpoint.reached)
    judged = replace(endpoint, by_value=MET if value else NOT_MET)
    # Frames of one patient are not independent, and of few patients no bound can be drawn.
    alike = [one for one in endpoint.reached if one.share.patients < rule.least_patients]
    if alike:
        told = ", ".join(f"{one.threshold.measure}: {one.share.patients}" for one in alike)
        least = f"at least {rule.least_patients} are needed"
        reason = f"too few patients for a lower bound ({told}; {least})"
        reasons = [one for one in (endpoint.reason, reason) if one]
        return replace(judged, by_lower_bound=NOT_ASSESSABLE, reason="; ".join(reasons))
    bound = all(one.share.lower >= one.threshold.least for one in endpoint.reached)
    return replace(judged, by_lower_bound=MET if bound else NOT_MET)
