import pytest

from polypskd.metrics.intervals import Interval
from polypskd.metrics.noninferiority import NonInferiority
from polypskd.reporting.figures import style
from polypskd.reporting.study.noninferiority import (
    draw_noninferiority,
    tabulate_noninferiority,
    tell_noninferiority,
)


def compared(low, high, conclusion):
    return NonInferiority(
        new=Interval(0.8, 0.7, 0.9),
        old=Interval(0.81, 0.72, 0.92),
        difference=Interval((low + high) / 2, low, high),
        margin=0.05,
        p=0.01,
        p_superior=0.6,
        conclusion=conclusion,
        differing=20,
        n_patients=40,
        confidence=0.95,
    ).to_dict()


@pytest.fixture
def section():
    return {
        "primary": "macro_f1",
        "margin": 0.05,
        "metrics": {
            "macro_f1": compared(-0.03, 0.01, "non-inferior"),
            "sensitivity": compared(-0.2, -0.1, "inferior"),
        },
        "auroc": {
            "new": {"value": 0.9, "low": 0.8, "high": 0.95},
            "old": {"value": 0.9, "low": 0.8, "high": 0.95},
            "difference": {"value": 0.0, "low": None, "high": None},
            "conclusion": "inconclusive",
            "confidence": 0.95,
        },
    }


def test_the_primary_metric_is_told_first_and_minus_signs_are_set(section):
    first, second = tell_noninferiority(section)
    assert first.startswith(
        "Student against teacher in macro-F1. Non-inferior: the difference is −0.010 "
        "(95% interval −0.030 to +0.010)"
    )
    assert "sensitivity inferior; AUROC inconclusive" in second


def test_the_table_has_each_metric(section):
    (table,) = tabulate_noninferiority(section)
    assert table.rows[0] == (
        "Macro-F1",
        "0.800 (0.700 to 0.900)",
        "0.810 (0.720 to 0.920)",
        "−0.010 (−0.030 to 0.010)",
        "0.010",
        "non-inferior",
    )
    assert [row[0] for row in table.rows] == ["Macro-F1", "Sensitivity", "AUROC"]
    assert table.rows[-1][4] == "–"


def test_the_figure_tells_every_difference_in_words(section):
    with style():
        (picture,) = draw_noninferiority(section)
        assert [picture] == draw_noninferiority(section)
    assert "Sensitivity −0.150 (−0.200 to −0.100), inferior" in picture.alt
    assert "margin 0.05" in picture.alt


def test_without_a_teacher_nothing_is_drawn(section):
    reason = {"not_assessable": "the run has no teacher"}
    assert draw_noninferiority(reason) == tabulate_noninferiority(reason) == []
    undefined = {"value": None, "low": None, "high": None}
    for one in [*section["metrics"].values(), section["auroc"]]:
        one["difference"] = undefined
    assert draw_noninferiority(section) == []
