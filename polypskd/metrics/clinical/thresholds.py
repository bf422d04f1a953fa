"""Thresholds: what the societies ask, by endpoint, each with its source.

Endpoints go by name because papers number them both ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from polypskd.errors import ConfigError

LEAST_TRIALS = 10  # ours: below it a share of 1 is no news
LEAST_PATIENTS = 10  # ours: below it a bound by patient is guesswork
PIVI = (
    "ASGE PIVI (Rex et al. 2011, Gastrointest Endosc 73:419), "
    "as told by Kandel & Wallace 2019, Clin Endosc 52(3)"
)
SODA = (
    "ESGE position statement (Houwen et al. 2022, Endoscopy 54:88, doi 10.1055/a-1689-5130), "
    "recommendation {}; its figures were not re-read in the paper: check them before publishing"
)


@dataclass(frozen=True)
class Threshold:
    """A least value of one measure.

    Args:
        measure: sensitivity, specificity, ppv, npv or agreement.
        least: in [0, 1]; a value equal to it is enough.
        source: who asks for it.
        checked: whether the figure was read in a source.
    """

    measure: str
    least: float
    source: str
    checked: bool = True


@dataclass(frozen=True)
class EndpointRule:
    """An endpoint: on which polyps, and what must be reached.

    Args:
        name: as in the report.
        thresholds: all of them must be reached.
        size_bands: of the polyps asked; empty for any.
        segments: of the polyps asked; empty for any.
        high_confidence: whether low-confidence polyps are left out, and counted.
        least_trials: polyps or exams below which it is not assessable.
        least_patients: patients in a denominator below which it is not assessable by its lower
            bound.
    """

    name: str
    thresholds: tuple[Threshold, ...]
    size_bands: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    high_confidence: bool = True
    least_trials: int = LEAST_TRIALS
    least_patients: int = LEAST_PATIENTS


ENDPOINTS: tuple[EndpointRule, ...] = (
    EndpointRule(
        "npv_rectosigmoid_diminutive",
        (Threshold("npv", 0.90, PIVI),),
        ("diminutive",),
        ("rectum", "sigmoid"),
    ),
    EndpointRule("surveillance_agreement", (Threshold("agreement", 0.90, PIVI),)),
    EndpointRule(
        "leave_in_situ",
        (
            Threshold("sensitivity", 0.90, SODA.format(1), checked=False),
            Threshold("specificity", 0.80, SODA.format(1), checked=False),
        ),
        ("diminutive",),
        ("rectum", "sigmoid"),
    ),
    EndpointRule(
        "resect_and_discard",
        (
            Threshold("sensitivity", 0.80, SODA.format(2), checked=False),
            Threshold("specificity", 0.80, SODA.format(2), checked=False),
        ),
        ("diminutive",),
    ),
)


def configure_endpoints(
    changes: Mapping[str, Mapping[str, float]], source: str = "set in the config"
) -> tuple[EndpointRule, ...]:
    """Give the endpoints with thresholds of one's own.

    Args:
        changes: endpoint → measure → least value in [0, 1].
        source: told beside each changed threshold.

    Raises:
        ConfigError: an endpoint or a measure of it is unknown, or a value is outside [0, 1].

    >>> rules = configure_endpoints({"leave_in_situ": {"sensitivity": 0.95}})
    >>> rules[2].thresholds[0].least, rules[2].thresholds[1].least
    (0.95, 0.8)
    """
    names = [rule.name for rule in ENDPOINTS]
    for name, wanted in changes.items():
        if name not in names:
            raise ConfigError(f"endpoints: unknown endpoint {name!r}; use one of: {_list(names)}")
        own = [threshold.measure for threshold in ENDPOINTS[names.index(name)].thresholds]
        for measure, least in wanted.items():
            if measure not in own:
                raise ConfigError(
                    f"endpoints.{name}: unknown measure {measure!r}; use one of: {_list(own)}"
                )
            if not 0 <= least <= 1:
                raise ConfigError(
                    f"endpoints.{name}.{measure}: {least} is no share; give a number from 0 to 1"
                )
    return tuple(
        replace(
            rule,
            thresholds=tuple(
                replace(one, least=changes[rule.name][one.measure], source=source, checked=True)
                if one.measure in changes.get(rule.name, {})
                else one
                for one in rule.thresholds
            ),
        )
        for rule in ENDPOINTS
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
