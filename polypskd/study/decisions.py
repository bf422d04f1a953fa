"""Decision curve of the calibrated risk."""

from __future__ import annotations

from polypskd.metrics.clinical.decision_curve import measure_decisions
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.polyps import describe_polyps, gather_test, sample_polyps


def describe_decisions(data: StudyData) -> Json:
    """Weigh acting on the student's risk against acting on all polyps and on none.

    Args:
        data: the run.

    Returns:
        A row a threshold from 0.01 to 0.99, and the ``useful`` ranges of thresholds: those at which
        the lower bound of the gain over the better of all and none is above 0.
    """
    polyps = gather_test(data)
    if not polyps.outcome.any() or polyps.outcome.all():
        which = "negative" if polyps.outcome.all() else "positive"
        raise NotAssessableError(f"the test split has no {which} {polyps.unit}")
    curve = measure_decisions(
        polyps.risk, polyps.outcome, sample_polyps(data, polyps), confidence=data.confidence
    )
    useful: list[list[float]] = []
    last = False
    for at, gain in zip(curve.thresholds, curve.gain, strict=True):
        above = gain.low > 0
        if above and last:
            useful[-1][1] = at
        elif above:
            useful.append([at, at])
        last = above
    return (
        describe_polyps(data, polyps)
        | {"temperature": data.test.temperature, "useful": useful}
        | (curve.to_dict())
    )
