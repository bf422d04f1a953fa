"""What a clinic asks: endpoints, surveillance, predictive values, thresholds, restraint."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from polypskd.reporting.content import Section
from polypskd.reporting.record import Record
from polypskd.reporting.sections.study import Part, build_parts
from polypskd.reporting.study import (
    conformal,
    decisions,
    endpoints,
    operating_points,
    predictive_values,
    selective,
    surveillance,
)


def build_clinical(record: Record, frames: Path | None) -> Section | None:
    """Tell the clinical sections of a study; None where there is no study."""
    study = record.study or {}
    if "endpoints" not in study:
        return None
    beside = study.get("surveillance")
    parts = (
        Part(
            "endpoints",
            "clinical-endpoints",
            "Endpoints",
            partial(endpoints.tell_endpoints, surveillance=beside),
            partial(endpoints.tabulate_endpoints, surveillance=beside),
        ),
        Part(
            "surveillance",
            "surveillance",
            "Surveillance intervals",
            surveillance.tell_surveillance,
            surveillance.tabulate_surveillance,
        ),
        Part(
            "predictive_values",
            "predictive-values",
            "Predictive values at other prevalences",
            partial(predictive_values.tell_predictive_values, accuracy=study.get("accuracy")),
            predictive_values.tabulate_predictive_values,
            predictive_values.draw_predictive_values,
        ),
        Part(
            "operating_points",
            "operating-points",
            "Operating points",
            operating_points.tell_operating_points,
            operating_points.tabulate_operating_points,
        ),
        Part(
            "decisions",
            "decision-curve",
            "Decision curve",
            decisions.tell_decisions,
            decisions.tabulate_decisions,
            decisions.draw_decisions,
        ),
        Part(
            "selective",
            "selective-prediction",
            "Unsure calls left to histology",
            selective.tell_selective,
            selective.tabulate_selective,
            selective.draw_selective,
        ),
        Part(
            "conformal",
            "conformal-sets",
            "Conformal sets",
            conformal.tell_conformal,
            conformal.tabulate_conformal,
            conformal.draw_conformal,
        ),
    )
    built = build_parts(record, parts, "clinical")
    return Section("clinical", "Clinical questions", parts=built, listed=True)
