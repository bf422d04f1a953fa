"""The student against the annotators' distribution: does it doubt where they disagree?"""

from __future__ import annotations

from typing import Any

import numpy as np

from polypskd.metrics.intervals import number
from polypskd.metrics.soft_labels import measure_soft_scores, vote_noise, vote_shares
from polypskd.study.calibration import count_level, list_levels
from polypskd.study.data import Flags, Floats, Json, NotAssessableError, StudyData

VOTES = 2  # one vote has no distribution


def describe_soft_labels(data: StudyData) -> Json:
    """Score the student against the shares of votes, on test frames with at least two.

    Args:
        data: the run.

    Returns:
        Scores before and after temperature scaling, over all such frames and at each difficulty
        level, and what the votes themselves allow.
    """
    votes = data.test.counts.sum(axis=1)
    several = votes >= VOTES
    if not several.any():
        raise NotAssessableError(
            "no test frame has two votes; a distribution of votes needs every annotator's vote "
            "in cohort.votes"
        )
    scaled = {"before": data.test.student}
    if not data.unscaled:
        scaled["after"] = data.test.student / data.test.temperature
    shares = vote_shares(data.test.counts[several])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return {
        "confidence": data.confidence,
        "left_out": int((~several).sum()),
        "votes_per_frame": {
            "min": int(votes[several].min()),
            "mean": float(votes[several].mean()),
            "max": int(votes[several].max()),
        },
        "unanimous": float((shares.max(axis=1) == 1).mean()),
        "entropy": float(-(shares * logs).sum(axis=1).mean()),
        "vote_noise": number(float(vote_noise(data.test.counts[several]).mean())),
        "least_frames": data.settings.least_frames,
        "least_patients": data.settings.least_patients,
        "levels": _judge_levels(data, scaled, several),
        **{when: _judge(data, logits, several) for when, logits in scaled.items()},
    }


def _judge(data: StudyData, logits: Floats, here: Flags) -> dict[str, Any]:
    counts = np.where(here[:, None], data.test.counts, 0)  # frames without votes are left out
    return measure_soft_scores(
        logits, counts, data.sample, bins=data.bins, confidence=data.confidence
    ).to_dict()


def _judge_levels(data: StudyData, scaled: dict[str, Floats], several: Flags) -> Json:
    """Judge each level that has enough frames and patients."""
    found: Json = {}
    for level, here in list_levels(data, several).items():
        found[level] = count_level(data, here)
        if "not_assessable" not in found[level]:
            found[level] |= {when: _judge(data, logits, here) for when, logits in scaled.items()}
    return found
