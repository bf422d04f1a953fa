from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.metrics.clinical.confidence import ConfidenceRule, find_confident
from polypskd.study.calls import call_positive, fix_rule


def test_the_band_is_fixed_on_validation_and_heeds_no_test_frame(make_data):
    data = make_data(confidence={"kind": "coverage", "coverage": 0.8})
    rule, told = fix_rule(data)
    turned = replace(
        data,
        test=replace(
            data.test, labels=(data.test.labels + 1) % 3, student=data.test.student[::-1].copy()
        ),
    )
    assert fix_rule(turned)[0] == rule
    assert told["rule"]["fixed_on"] == "val"
    kept = find_confident(data.validation.risk, rule).sum()
    assert abs(kept - 0.8 * len(data.validation)) <= 1
    moved = replace(
        data, validation=replace(data.validation, student=data.validation.student * 0.3)
    )
    assert fix_rule(moved)[0] != rule


@pytest.mark.parametrize(
    ("confidence", "low", "fixed_on"),
    [({"kind": "band", "negative_to": 0.2, "positive_from": 0.9}, 0.2, "config")],
)
def test_a_band_of_the_config_is_taken_as_it_is(make_data, confidence, low, fixed_on):
    rule, _ = fix_rule(make_data(confidence=confidence))
    assert (rule.negative_to, rule.positive_from, rule.fixed_on) == (low, 0.9, fixed_on)


def test_without_a_rule_every_call_counts_and_the_reason_is_told(make_data):
    assert fix_rule(make_data(confidence={"kind": "none"})) == (
        None,
        {"kind": "none", "rule": None, "reason": ""},
    )
    rule, told = fix_rule(make_data(validation=0))
    assert rule is None
    assert "validation split has no frames" in told["reason"]


@given(risk=st.floats(0, 1), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_a_call_of_high_confidence_is_on_the_side_of_the_band_that_it_lies_on(risk, ends):
    rule = ConfidenceRule(ends[0], ends[1], "config")
    (called,) = call_positive(np.array([risk]), rule)
    if risk >= ends[1]:
        assert called
    elif risk <= ends[0]:
        assert not called
