"""The limits of a bundle, all fixed before the test split was looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polypskd.cohort.quality import Quality, find_exclusions
from polypskd.config import ConfidenceBand, Config
from polypskd.config import Quality as Rules
from polypskd.deployment.bundle import Band, Limits, Threshold
from polypskd.deployment.export.frames import FrameSet
from polypskd.deployment.layouts import write_layouts

LOW, HIGH = 0.005, 0.995
# Of the distance between both quantiles, added at either end: a dozen limits refuse a dozen times
# the frames that one does.
WIDER = 0.5
RULES = ("endpoints", "predictive_values", "surveillance")  # sections of a study that tell the band


def derive_limits(
    config: Config,
    positive: tuple[str, ...],
    study: Mapping[str, Any],
    measured: Sequence[Quality],
    frames: FrameSet,
) -> Limits:
    """Gather within which limits the student answers.

    Args:
        config: the experiment.
        positive: classes that count as positive.
        study: study.json.
        measured: quality of frames like those that the student has learned from.
        frames: these frames, or those that they were picked from.
    """
    rules, fixed_on = derive_quality(measured, frames.origin, config.cohort.quality)
    return Limits(
        size=config.augment.size,
        crop=config.cohort.crop,
        layouts=write_layouts(frames.layouts),
        min_side=config.cohort.min_side,
        max_megapixels=config.cohort.max_megapixels,
        positive=positive,
        confidence=_find_band(config, study),
        thresholds=_find_thresholds(study),
        quality=rules,
        quality_fixed_on=fixed_on,
    )


def derive_quality(
    measured: Sequence[Quality], origin: str, given: Rules | None
) -> tuple[Rules, str]:
    """Derive what frames must look like: as those that the student has learned from.

    Args:
        measured: of N frames, at least one.
        origin: what these frames are, in words.
        given: rules of the config, which go before; None where there are none.

    Returns:
        The rules, and what they were chosen on, in words.
    """
    known = {} if given is None else given.model_dump(exclude_none=True)
    found: dict[str, float] = {}
    for rule in Rules.model_fields:
        side, _, name = rule.partition("_")
        values = np.array([getattr(one, name) for one in measured], np.float64)
        low, high = (float(one) for one in np.quantile(values, [LOW, HIGH]))
        wider = WIDER * (high - low)
        bound = float(f"{low - wider if side == 'min' else high + wider:.4g}")
        # A limit that no frame can break is none; sharpness and noise know no upper bound.
        if (bound > 0) if side == "min" else (bound < 1 or name == "noise"):
            found[rule] = bound
    rules = Rules(**(found | known))
    within = sum(not find_exclusions(one, rules) for one in measured)
    told = (
        f"quantiles {LOW:g} and {HIGH:g} of {len(measured)} {origin}, widened by {WIDER:.0%} of "
        f"their distance; {within} of these frames lie within"
    )
    if known:
        told += f"; of the config: {', '.join(known)}"
    return rules, told


def _find_band(config: Config, study: Mapping[str, Any]) -> Band | None:
    wanted = config.study.confidence
    for name in RULES:
        section = study.get(name, {})
        rule = section.get("confidence_rule", {}).get("rule")
        if rule is not None:
            return Band(**rule, unit=section.get("unit", "frames"))
    if isinstance(wanted, ConfidenceBand):
        ends = {"negative_to": wanted.negative_to, "positive_from": wanted.positive_from}
        return Band(**ends, fixed_on="config", unit="frames")
    return None


def _find_thresholds(study: Mapping[str, Any]) -> tuple[Threshold, ...]:
    section = study.get("operating_points", {})
    chosen = [point["chosen"] for point in section.get("points", ())]
    return tuple(
        Threshold(
            target=one["target"],
            least=one["least"],
            threshold=one["threshold"],
            fixed_on=one["split"],
            unit=section.get("unit", "frames"),
        )
        for one in chosen
    )
