"""Endpoints of the societies that are asked of polyps; see `surveillance` for that of exams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from polypskd.cohort.tables import suggest
from polypskd.config import Study
from polypskd.errors import ConfigError
from polypskd.metrics.clinical.confidence import find_confident
from polypskd.metrics.clinical.endpoints import (
    NOT_ASSESSABLE,
    Calls,
    Endpoint,
    Ints,
    Words,
    band_sizes,
    judge_endpoints,
    select_polyps,
)
from polypskd.metrics.clinical.guidelines import HISTOLOGY
from polypskd.metrics.clinical.shares import count_cells, measure_share
from polypskd.metrics.clinical.thresholds import EndpointRule, configure_endpoints
from polypskd.metrics.subgroup_levels import suppress_small
from polypskd.study.calls import CALL_OF_RISK, CUTOFF, call_positive, fix_rule
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.polyps import (
    Polyps,
    describe_polyps,
    gather_test,
    join_sizes,
    join_words,
    sample_polyps,
)

SOURCE = "set in study.thresholds"
BANDS = ("diminutive", "small", "large")
ASKED = ("rectum", "sigmoid")
OTHER = (
    "other",
    "cecum",
    "caecum",
    "ascending",
    "hepatic flexure",
    "transverse",
    "splenic flexure",
    "descending",
)


def check_endpoints(settings: Study, classes: Sequence[str] | None = None) -> None:
    """Refuse what no study could be made with, before anything is trained.

    Args:
        settings: the section `study`.
        classes: of the labels; None where they are not known yet.

    Raises:
        ConfigError: with every fault, one a line: `thresholds` names an unknown endpoint or
            measure, `polyps.called` an unknown class, or a histology that no guideline knows, or
            `polyps.segments` a misspelled segment.
    """
    faults = []
    for endpoint, measures in settings.thresholds.items():
        for measure, least in measures.items():
            try:
                _configure({endpoint: {measure: least}})
            except ConfigError as error:
                faults.append(str(error))
    for name, histology in settings.polyps.called.items():
        if classes and name not in classes:
            faults.append(
                f"study.polyps.called: unknown class {name!r}; {suggest(name, classes)}"
                f"use any of: {', '.join(classes)}"
            )
        if histology not in HISTOLOGY:
            faults.append(
                f"study.polyps.called.{name}: unknown histology {histology!r}; "
                f"{suggest(histology, HISTOLOGY)}use one of: {', '.join(HISTOLOGY)}"
            )
    for word, segment in settings.polyps.segments.items():
        # Any other place may be named, but one that all but reads as rectum or sigmoid is neither.
        hint = "" if segment.strip().casefold() in (*ASKED, *OTHER) else suggest(segment, ASKED)
        if hint:
            faults.append(f"study.polyps.segments.{word}: unknown segment {segment!r}; {hint}")
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(line.strip() for line in faults)))


def list_rules(settings: Study) -> tuple[EndpointRule, ...]:
    """Give the endpoints with the thresholds and the least patients of the config.

    Raises:
        ConfigError: an endpoint or a measure is unknown.
    """
    rules = _configure(settings.thresholds)
    return tuple(replace(rule, least_patients=settings.least_patients) for rule in rules)


def _configure(thresholds: Mapping[str, Mapping[str, float]]) -> tuple[EndpointRule, ...]:
    try:
        return configure_endpoints(thresholds, SOURCE)
    except ConfigError as error:
        raise ConfigError(str(error).replace("endpoints", "study.thresholds", 1)) from None


def describe_endpoints(data: StudyData) -> Json:
    """Judge what is asked of polyps: met, not met or not assessable.

    Args:
        data: the run.

    Returns:
        What a polyp is, the rule of confidence and what it keeps, what is known of sizes and
        segments, and each endpoint.
    """
    polyps = gather_test(data)
    sample = sample_polyps(data, polyps)
    rule, told = fix_rule(data)
    confident = None if rule is None else find_confident(polyps.risk, rule)
    if confident is not None:
        drawn = sample.measure({"kept": count_cells(confident.astype(np.int64), 2, sample)})["kept"]
        told["kept"] = measure_share(
            drawn[:, 1], drawn.sum(axis=1), sample.patients, data.confidence
        ).to_dict()
    bands, sizes = _band(data, polyps, sample.index)
    segments, places = _place(data, polyps, sample.index)
    calls = Calls(polyps.outcome, call_positive(polyps.risk, rule), confident, bands, segments)
    found = judge_endpoints(list_rules(data.settings), calls, sample, confidence=data.confidence)
    missing = {
        "size_bands": sizes["reason"] if bands is None else "",
        "segments": places["reason"] if segments is None else "",
    }
    known = {"size_bands": sizes, "segments": places}
    hidden = {key for key, one in known.items() if one.get("unknown", 0) is None}
    rules = {one.name: one for one in list_rules(data.settings)}
    least = data.settings.hidden_patients
    few = {
        name
        for name, rule in rules.items()
        if 0 < len(np.unique(sample.index[select_polyps(rule, calls)[0]])) < least
    }
    told_of = [_tell(rules[one.name], one, missing, hidden) for one in found]
    return describe_polyps(data, polyps) | {
        "call": CALL_OF_RISK,
        "cutoff": CUTOFF,
        "confidence_rule": told,
        "sizes": sizes,
        "segments": places,
        "endpoints": [_hold_back(one, least) if one["name"] in few else one for one in told_of],
    }


def _hold_back(told: Json, least: int) -> Json:
    """Take the numbers from an endpoint of so few patients that they might be recognized."""
    nothing = dict.fromkeys(("asked", "unknown", "high_confidence")) | {"reached": []}
    verdict = dict.fromkeys(("by_value", "by_lower_bound"), NOT_ASSESSABLE)
    return told | nothing | verdict | {"reason": f"fewer than {least} patients have such polyps"}


def _tell(rule: EndpointRule, judged: Endpoint, missing: dict[str, str], hidden: set[str]) -> Json:
    """Name the column that would have to be set, where it is one that is missing."""
    reasons = [reason for key, reason in missing.items() if getattr(rule, key) and reason]
    asked = {"size_bands": list(rule.size_bands), "segments": list(rule.segments)}
    told = (replace(judged, reason="; ".join(reasons)) if reasons else judged).to_dict() | asked
    # A count that is held back among sizes or segments is not told here either.
    return told | {"unknown": None} if hidden & {key for key in asked if asked[key]} else told


def _band(data: StudyData, polyps: Polyps, owner: Ints) -> tuple[Words | None, Json]:
    try:
        sizes, counts = join_sizes(data, polyps)
    except NotAssessableError as error:
        return None, {"reason": str(error)}
    bands = band_sizes(sizes)
    each, counts = _count(bands, BANDS, counts, owner, data.settings.hidden_patients)
    return bands, {**counts, "bands": each, "reason": ""}


def _place(data: StudyData, polyps: Polyps, owner: Ints) -> tuple[Words | None, Json]:
    name = data.settings.polyps.segment
    if name is None:
        return None, {"reason": "no column tells segments; set study.polyps.segment"}
    given = {key.strip().casefold(): word for key, word in data.settings.polyps.segments.items()}
    try:
        column = data.column(name)
    except NotAssessableError as error:
        return None, {"reason": str(error)}
    words, counts = join_words(column, polyps, partial(read_segment, given=given))
    levels, least = (*ASKED, OTHER[0]), data.settings.hidden_patients
    each, counts = _count(words, levels, counts, owner, least)
    return words, {**counts, "segments": each, "reason": ""}


def _count(
    words: Words, levels: Sequence[str], counts: Json, owner: Ints, least: int
) -> tuple[Json, Json]:
    """Count the polyps of each level, and what is known of them; None where patients are too few.

    As for subgroups, the polyps of which nothing is known are a level too.
    """
    owned = np.zeros((len(levels) + 1, owner.max() + 1), dtype=np.bool_)
    for row, level in zip(owned, (*levels, ""), strict=True):
        row[owner[words == level]] = True
    *hidden, unknown = suppress_small(owned, least).tolist()
    each = {
        level: None if secret else int((words == level).sum())
        for level, secret in zip(levels, hidden, strict=True)
    }
    return each, dict.fromkeys(counts) if unknown else counts


def read_segment(word: str, given: dict[str, str]) -> str | None:
    """Read a segment: rectum, sigmoid or other; None where nobody says what the word means.

    Args:
        word: as in the column.
        given: column's word in lower case → rectum, sigmoid or any other place.

    >>> read_segment("Rectum", {}), read_segment("cecum", {}), read_segment("S7", {"s7": "sigmoid"})
    ('rectum', 'other', 'sigmoid')
    >>> read_segment("S8", {}) is None
    True
    """
    low = word.casefold()
    if low in given:
        meant = given[low].strip().casefold()
        return meant if meant in ASKED else OTHER[0]
    if low in ASKED:
        return low
    return OTHER[0] if low in OTHER else None
