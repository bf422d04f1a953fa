"""The student on each level of the columns asked for, and of difficulty."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.metrics import classification as cls
from polypskd.metrics.annotators import sensitivity_of
from polypskd.metrics.bands import Column
from polypskd.metrics.bounds import Bounds
from polypskd.metrics.calibration import calibration_error, equal_width_bins, top_label
from polypskd.metrics.intervals import Interval
from polypskd.metrics.metric import (
    Metric,
    Sums,
    bound_samples,
    confusion_terms,
    count_patients,
)
from polypskd.metrics.resampling import patient_sums
from polypskd.metrics.subgroup_levels import NOTHING, LevelValue, Rules, Subgroups
from polypskd.metrics.subgroups import judge_subgroups
from polypskd.study.calls import CALL_OF_CLASS
from polypskd.study.columns import join_hidden, read_levels
from polypskd.study.data import LEVEL, SUBCLASS, Json, NotAssessableError, StudyData

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ONE_CLASS = (
    "each lies in one class, so its sensitivity or specificity is undefined, and a difference to "
    "the rest would be one of classes; By subclass gives its accuracy"
)
CELLS = 2**24  # patient × bin × level cells summed in one pass


def describe_subgroups(data: StudyData) -> Json:
    """Judge each level of each column, with its difference to the rest, and heterogeneity.

    Suppressed levels are told as one, without their names or counts. Calibration errors have an
    interval but no difference: chance alone makes the error of a small level larger than that of
    the rest.

    Args:
        data: the run.

    Returns:
        ``overall`` metric → interval; ``columns`` name → levels and heterogeneity, or why not.
    """
    if not len(data.test):
        raise NotAssessableError("the test split has no frames")
    columns, missing = _read_columns(data)
    test, settings = data.test, data.settings
    rules = Rules(
        frames=settings.least_frames,
        patients=settings.least_patients,
        hidden=settings.hidden_patients,
        confidence=data.confidence,
    )
    terms = confusion_terms(test.labels, test.predicted, len(data.classes))
    metrics = positive_metrics(data.positive)
    found = judge_subgroups(data.sample, terms, metrics, columns, rules)
    errors = _bound_errors(data, found, columns)
    told = {name: _tell(column, errors[name]) for name, column in found.items()}
    order = [SUBCLASS, LEVEL, *settings.subgroups]
    return {
        "call": CALL_OF_CLASS,
        "metrics": [*metrics, "ece", "ece_uncalibrated"],
        "rules": {
            "least_frames": rules.frames,
            "least_patients": rules.patients,
            "hidden_patients": rules.hidden,
            "patients_known": data.patients_known,
            "confidence": data.confidence,
        },
        "overall": _judge_all(data, terms, metrics),
        "columns": {name: (told | missing)[name] for name in order if name in told | missing},
    }


def positive_metrics(positive: Flags) -> dict[str, Metric]:
    """List the metrics of the positive classes together, and of all classes; all take ``cells``.

    Args:
        positive: (K,) classes that count as positive.

    >>> cells = {"cells": np.array([[8.0, 2.0], [1.0, 3.0]])}
    >>> metrics = positive_metrics(np.array([False, True]))
    >>> {name: round(float(metric.score(cells)), 3) for name, metric in metrics.items()}
    {'sensitivity': 0.75, 'specificity': 0.8, 'f1': 0.667, 'accuracy': 0.786, 'macro_f1': 0.754}
    """
    return {
        "sensitivity": Metric(lambda sums: sensitivity_of(sums["cells"], positive)),
        "specificity": Metric(lambda sums: sensitivity_of(sums["cells"], ~positive)),
        "f1": Metric(partial(_score_f1, positive)),
        "accuracy": Metric(lambda sums: cls.accuracy(sums["cells"])),
        "macro_f1": Metric(lambda sums: cls.macro_f1(sums["cells"])),
    }


def _score_f1(positive: Flags, sums: Sums) -> Floats:
    cells = np.asarray(sums["cells"], dtype=np.float64)
    shown, called = cells[..., positive, :], cells[..., positive]
    hits = shown[..., positive].sum(axis=(-2, -1))
    return cls.divide(2 * hits, shown.sum(axis=(-2, -1)) + called.sum(axis=(-2, -1)))


def _read_columns(data: StudyData) -> tuple[dict[str, Column], dict[str, Json]]:
    """Read the columns there are, and say why others are missing."""
    found: dict[str, Column] = {}
    missing: dict[str, Json] = {}
    if data.level_word == SUBCLASS:
        missing[SUBCLASS] = {"not_assessable": ONE_CLASS}
    elif not set(data.test.levels) <= set(data.classes):  # else levels tell classes apart alone
        there = Column.of(data.test.levels)
        order = [name for name in data.level_order if name in there.levels]
        rest = [name for name in there.levels if name not in order]
        found[LEVEL] = Column(there.values, (*order, *rest))
    for name, asked in data.settings.subgroups.items():
        try:
            found[name] = read_levels(data.column(asked.column), asked.edges, asked.column)
        except NotAssessableError as error:
            missing[name] = {"not_assessable": str(error)}
    return found, missing


def _judge_all(
    data: StudyData, terms: dict[str, Floats], metrics: dict[str, Metric]
) -> dict[str, Any]:
    """Judge all frames, for comparison."""
    sample = data.sample
    own = {name: patient_sums(t, sample.index, sample.patients) for name, t in terms.items()}
    drawn = sample.measure(own)
    everyone = np.ones(len(data.test), dtype=np.bool_)
    bounded = {
        name: bound_samples(
            metric.score(drawn),
            count_patients(metric, own),
            proportion=metric.proportion,
            confidence=data.confidence,
        )
        for name, metric in metrics.items()
    }
    bounded |= _measure_errors(data, [everyone])[0]
    return {name: interval.to_dict() for name, interval in bounded.items()}


Errors = dict[str, dict[str, Interval]]


def _bound_errors(
    data: StudyData, found: dict[str, Subgroups], columns: dict[str, Column]
) -> dict[str, Errors]:
    """Give column → level → the calibration errors of the levels that have numbers."""
    here = {
        (name, level.name): columns[name].values == level.name
        for name, column in found.items()
        for level in column.levels
        if level.status == "shown"
    }
    measured = dict(zip(here, _measure_errors(data, list(here.values())), strict=True))
    return {
        name: {level: one for (owner, level), one in measured.items() if owner == name}
        for name in found
    }


def _measure_errors(data: StudyData, members: list[Flags]) -> list[dict[str, Interval]]:
    """Measure the ECE of the top label, calibrated and not, of several sets of frames."""
    step = max(1, CELLS // (2 * data.bins * max(1, data.sample.patients)))
    starts = range(0, len(members), step)
    return [one for start in starts for one in _measure_some(data, members[start : start + step])]


def _measure_some(data: StudyData, members: list[Flags]) -> list[dict[str, Interval]]:
    test, sample = data.test, data.sample
    own: dict[str, Floats] = {}
    for word, probabilities in (("ece", test.calibrated), ("ece_uncalibrated", test.probabilities)):
        top, right = top_label(probabilities, test.labels)
        # Two classes leave half of the bins empty.
        filled, index = np.unique(equal_width_bins(top, data.bins), return_inverse=True)
        cell, size = sample.index * len(filled) + index, sample.patients * len(filled)
        for place, member in enumerate(members):
            gap = np.bincount(cell[member], (right - top)[member], size).astype(np.float64)
            own[f"{place}/{word}"] = gap.reshape(sample.patients, len(filled))
    for place, member in enumerate(members):
        count = np.bincount(sample.index[member], minlength=sample.patients)
        own[f"{place}/frames"] = count.astype(np.float64)
    drawn = sample.measure(own)
    found = []
    for place, member in enumerate(members):
        bounds = Bounds(data.confidence, len(np.unique(sample.index[member])))
        frames = drawn[f"{place}/frames"]
        found.append(
            {
                word: bounds.of_error(calibration_error(drawn[f"{place}/{word}"], frames))
                for word in ("ece", "ece_uncalibrated")
            }
        )
    return found


def _tell(column: Subgroups, errors: Errors) -> Json:
    """Give plain values, the calibration errors among them, and no name of a suppressed level."""
    plain = column.to_dict()
    hidden = [level["status"] == "suppressed" for level in plain["levels"]]
    nothing: Json = {"status": "suppressed", "n_frames": None, "n_patients": None, "metrics": {}}
    plain["levels"] = join_hidden(plain["levels"], hidden, nothing)
    for level in plain["levels"]:
        for name, interval in errors.get(level["name"], {}).items():
            level["metrics"][name] = LevelValue(interval, NOTHING, math.nan, math.nan).to_dict()
    return plain
