"""Non-inferiority: is a new run no worse than an old one by more than a margin?

For student against teacher, method against method, version against version: two runs' answers on
the same frames. The margin is chosen before the numbers are seen, from what a clinician would
accept, never from the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from polypskd.errors import ConfigError
from polypskd.metrics.intervals import Interval, number, percentile_interval, wilson_interval
from polypskd.metrics.metric import STILL, Metric, bound_samples, is_still
from polypskd.metrics.resampling import Resampling, patient_sums

Floats = NDArray[np.float64]
Conclusion = Literal["superior", "non-inferior", "inconclusive", "inferior"]

FEW = 10  # differing patients below which the interval is told to be rough


@dataclass(frozen=True)
class NonInferiority:
    """A new run against an old one; nan where undefined.

    Args:
        new: the new run's score.
        old: the old run's score.
        difference: what the new run gains: new less old, or old less new where lower is better.
        margin: the loss that is still accepted, above 0.
        p: one-sided, of a loss of the margin or more; below (1 − confidence) / 2 it is ruled out.
        p_superior: one-sided, of no gain.
        conclusion: by the interval of the difference alone.
        differing: patients on whose frames alone the two runs' scores differ.
        n_patients: patients on whom the metric is defined.
        confidence: of the intervals.
    """

    new: Interval
    old: Interval
    difference: Interval
    margin: float
    p: float
    p_superior: float
    conclusion: Conclusion
    differing: int
    n_patients: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and the sentence, with None for what is undefined."""
        plain: dict[str, Any] = {
            name: getattr(self, name).to_dict() for name in ("new", "old", "difference")
        }
        plain |= {name: number(getattr(self, name)) for name in ("margin", "p", "p_superior")}
        names = ("conclusion", "differing", "n_patients", "confidence")
        return plain | {name: getattr(self, name) for name in names} | {"sentence": self.sentence}

    @property
    def sentence(self) -> str:
        """Say the conclusion and why, in words."""
        gain, level = self.difference, f"{self.confidence:.0%}"
        if math.isnan(gain.low):
            return "Inconclusive: the difference or its interval is not defined on these patients."
        told = f"{gain.value:+.3f} ({level} interval {gain.low:+.3f} to {gain.high:+.3f})"
        margin = f"the margin of {self.margin:g}"
        match self.conclusion:
            case "superior":
                words = f"Superior: the difference is {told}, all of it above 0."
            case "non-inferior":
                words = f"Non-inferior: the difference is {told}, all of it above minus {margin}"
                worse = gain.high < 0
                words += "; yet all of it is below 0: worse by less than it." if worse else "."
            case "inferior":
                words = f"Inferior: the difference is {told}, all of it below minus {margin}."
            case _:
                words = f"Inconclusive: the difference is {told}, on both sides of minus {margin}."
        if self.differing < FEW:
            count = {0: "No patient tells", 1: "Only 1 patient tells"}
            few = count.get(self.differing, f"Only {self.differing} patients tell")
            words += f" {few} the runs apart: the interval is rough."
        return words


def conclude(difference: Interval, margin: float) -> Conclusion:
    """Conclude from where the interval of the difference lies.

    Args:
        difference: what the new run gains.
        margin: above 0.

    Returns:
        "superior" if all of it lies above 0, "non-inferior" if above −margin, "inferior" if below
        −margin; else, or without an interval, "inconclusive".

    Raises:
        ConfigError: the margin is not above 0.

    Reference:
        Piaggio et al. 2012, JAMA 308:2594, figure 1 (CONSORT for non-inferiority).

    >>> conclude(Interval(-0.01, -0.03, 0.02), margin=0.05)
    'non-inferior'
    """
    if not 0 < margin < math.inf:
        raise ConfigError(
            f"margin: {margin:g} is not above 0; give the largest loss that you would accept"
        )
    if math.isnan(difference.low):
        return "inconclusive"
    if difference.low > 0:
        return "superior"
    if difference.low > -margin:
        return "non-inferior"
    return "inferior" if difference.high < -margin else "inconclusive"


def one_sided_p(samples: Floats, null: float) -> float:
    """Give the bootstrap p value of a difference being no greater than a null value.

    Args:
        samples: (1 + B,) the difference, then one value a resample.
        null: the value.

    Returns:
        (1 + resamples ≤ null) / (1 + B), over the resamples that are defined; nan where most are
        not.

    Reference:
        Efron & Tibshirani 1993, section 15.4; Davison & Hinkley 1997, eq. 4.11, for the two ones.

    >>> one_sided_p(np.array([0.2, 0.1, 0.3, -0.1]), null=0.0)
    0.5
    """
    if math.isnan(percentile_interval(samples).low):
        return math.nan
    defined = samples[1:][np.isfinite(samples[1:])]
    return float((1 + (defined <= null).sum()) / (1 + len(defined)))


def compare_runs(
    sample: Resampling,
    new: Mapping[str, Floats],
    old: Mapping[str, Floats],
    metrics: Mapping[str, Metric],
    margins: Mapping[str, float],
    confidence: float = 0.95,
) -> dict[str, NonInferiority]:
    """Compare two runs' answers on the same frames, resampling patients once for both.

    Where no patient tells the runs apart the resampled difference is 0 throughout. For a proportion
    the interval is then that of Wilson for 0 of the patients differing, to both sides: patients
    that do differ may be no larger a share. For other metrics there is none.

    Args:
        sample: of the N frames.
        new: name → (N, ...) terms of each frame by the new run.
        old: likewise by the old run, of the same shapes.
        metrics: by name.
        margins: metric → margin, in the metric's own unit; metrics without one are left out.
        confidence: in (0, 1); the margin is tested one-sided at half of what is left.

    Returns:
        metric → comparison.

    Raises:
        ConfigError: a margin is not above 0, or belongs to no metric.
        ValueError: the terms do not fit one another.

    Reference:
        Field & Welsh 2007 for the cluster bootstrap; Piaggio et al. 2012 for the conclusions.

    >>> from polypskd.metrics.metric import confusion_metrics, confusion_terms
    >>> labels = np.tile([0, 1], 100)
    >>> run = confusion_terms(labels, labels, 2)
    >>> sample = Resampling.draw(np.arange(200) // 2, 100, seed=0)
    >>> metrics = confusion_metrics(["low", "high"])
    >>> compare_runs(sample, run, run, metrics, {"accuracy": 0.05})["accuracy"].conclusion
    'non-inferior'
    """
    if {name: t.shape for name, t in new.items()} != {name: t.shape for name, t in old.items()}:
        raise ValueError("the two runs' terms have different names or shapes")
    if unknown := sorted(set(margins) - set(metrics)):
        raise ConfigError(f"margin: no metric is named {unknown[0]}; use one of {sorted(metrics)}")
    own = {
        run: {n: patient_sums(t, sample.index, sample.patients) for n, t in terms.items()}
        for run, terms in (("new", new), ("old", old))
    }
    drawn = sample.measure({f"{run}/{n}": t for run, some in own.items() for n, t in some.items()})
    held = {run: {n: drawn[f"{run}/{n}"] for n in some} for run, some in own.items()}
    found = {}
    for name, margin in margins.items():
        metric = metrics[name]
        scores = {run: metric.score(sums) for run, sums in held.items()}
        each = {run: metric.score(sums) for run, sums in own.items()}
        differing = ~np.isclose(each["new"], each["old"], rtol=0, atol=STILL, equal_nan=True)
        trials = min(int(np.isfinite(one).sum()) for one in each.values())
        found[name] = judge_margin(
            scores["new"],
            scores["old"],
            metric,
            margin,
            patients=(trials, int(differing.sum())),
            confidence=confidence,
        )
    return found


def judge_margin(
    new: Floats,
    old: Floats,
    metric: Metric,
    margin: float,
    *,
    patients: tuple[int, int],
    confidence: float = 0.95,
) -> NonInferiority:
    """Judge two scores that were resampled together, as those of several seeds or an AUROC are.

    Args:
        new: (1 + B,) score of the new run, then of each resample.
        old: (1 + B,) likewise, of the same resamples.
        metric: for its direction and kind; its score is not called.
        margin: above 0.
        patients: on whom the metric is defined, and on whom the two runs differ.
        confidence: in (0, 1).

    Raises:
        ConfigError: the margin is not above 0.

    >>> metric = Metric(lambda sums: sums["any"])
    >>> new, old = np.array([0.9, 0.9, 0.8]), np.array([0.7, 0.8, 0.6])
    >>> judge_margin(new, old, metric, 0.05, patients=(50, 20)).conclusion
    'superior'
    """
    trials, differing = patients
    gain = new - old if metric.higher else old - new
    difference = percentile_interval(gain, confidence)
    p, p_superior = one_sided_p(gain, -margin), one_sided_p(gain, 0.0)
    if is_still(gain):
        reach = math.nan
        if metric.proportion and trials and not differing:
            reach = wilson_interval(0, trials, confidence).high
        value = difference.value
        difference = Interval(value, value - reach, value + reach)
        p = p_superior = math.nan
    bound = partial(
        bound_samples, trials=trials, proportion=metric.proportion, confidence=confidence
    )
    return NonInferiority(
        new=bound(new),
        old=bound(old),
        difference=difference,
        margin=margin,
        p=p,
        p_superior=p_superior,
        conclusion=conclude(difference, margin),
        differing=differing,
        n_patients=trials,
        confidence=confidence,
    )
