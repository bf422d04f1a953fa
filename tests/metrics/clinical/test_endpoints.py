import json

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from polypskd.errors import ConfigError
from polypskd.metrics.clinical.endpoints import (
    Calls,
    band_sizes,
    judge_agreement,
    judge_endpoints,
    select_polyps,
)
from polypskd.metrics.clinical.shares import measure_share
from polypskd.metrics.clinical.thresholds import (
    ENDPOINTS,
    EndpointRule,
    Threshold,
    configure_endpoints,
)
from polypskd.metrics.resampling import Resampling

BY_NAME = {rule.name: rule for rule in ENDPOINTS}


def make_calls(tn, fp, fn, tp, **columns):
    outcome = np.repeat([False, False, True, True], [tn, fp, fn, tp])
    predicted = np.repeat([False, True, False, True], [tn, fp, fn, tp])
    N = len(outcome)
    given = {"size_bands": np.full(N, "diminutive"), "segments": np.full(N, "rectum")} | columns
    return Calls(outcome, predicted, **given)


def judge(name, calls, patients=None, resamples=400):
    N = len(calls.outcome)
    sample = Resampling.draw(np.arange(N) if patients is None else patients, resamples, seed=0)
    (found,) = judge_endpoints([BY_NAME[name]], calls, sample)
    return found


def test_the_endpoints_have_the_names_and_thresholds_of_the_protocol():
    least = {rule.name: {one.measure: one.least for one in rule.thresholds} for rule in ENDPOINTS}
    assert least == {
        "npv_rectosigmoid_diminutive": {"npv": 0.9},
        "surveillance_agreement": {"agreement": 0.9},
        "leave_in_situ": {"sensitivity": 0.9, "specificity": 0.8},
        "resect_and_discard": {"sensitivity": 0.8, "specificity": 0.8},
    }
    assert all(one.source for rule in ENDPOINTS for one in rule.thresholds)
    assert not any(one.checked for one in BY_NAME["leave_in_situ"].thresholds)


def test_a_value_at_the_threshold_is_met_and_its_lower_bound_is_not():
    found = judge("npv_rectosigmoid_diminutive", make_calls(90, 5, 10, 50))
    assert (found.by_value, found.by_lower_bound) == ("met", "not met")
    assert found.reached[0].share.value == 0.9


def test_a_value_below_the_threshold_is_not_met():
    found = judge("npv_rectosigmoid_diminutive", make_calls(89, 5, 11, 50))
    assert (found.by_value, found.by_lower_bound) == ("not met", "not met")


def test_a_large_clear_sample_is_met_by_its_lower_bound_too():
    found = judge("npv_rectosigmoid_diminutive", make_calls(980, 5, 20, 50))
    assert found.by_lower_bound == "met"


def test_the_lower_bound_heeds_that_polyps_of_a_patient_fail_together():
    calls = make_calls(290, 0, 10, 50)
    alone = judge("npv_rectosigmoid_diminutive", calls)
    together = judge("npv_rectosigmoid_diminutive", calls, patients=np.arange(350) // 10)
    assert alone.by_lower_bound == "met"
    assert together.by_lower_bound == "not met"
    assert together.by_value == "met"


def test_a_perfect_small_sample_is_not_met_by_its_lower_bound():
    found = judge("npv_rectosigmoid_diminutive", make_calls(12, 0, 0, 12))
    assert (found.by_value, found.by_lower_bound) == ("met", "not met")


def test_of_one_patient_no_lower_bound_can_be_drawn():
    calls = make_calls(120, 0, 0, 120)
    found = judge("npv_rectosigmoid_diminutive", calls, patients=np.zeros(240, dtype=int))
    assert (found.by_value, found.by_lower_bound) == ("met", "not assessable")
    assert "too few patients for a lower bound (npv: 1; at least 10 are needed)" in found.reason
    assert "no rule of high confidence" in found.reason
    nine = judge("npv_rectosigmoid_diminutive", calls, patients=np.arange(240) % 9)
    assert nine.by_lower_bound == "not assessable"


@pytest.mark.parametrize(("patients", "verdict"), [(34, "not met"), (35, "met")])
def test_where_all_resamples_agree_patients_are_the_trials_of_the_bound(patients, verdict):
    # 34 of 34 have a Wilson bound just below 0.9, and 35 of 35 one just above.
    assert (proportion_confint(patients, patients, method="wilson")[0] >= 0.9) == (verdict == "met")
    calls = make_calls(20 * patients, 0, 0, 0)
    found = judge("npv_rectosigmoid_diminutive", calls, np.arange(20 * patients) % patients)
    assert (found.by_value, found.by_lower_bound) == ("met", verdict)
    low = proportion_confint(patients, patients, method="wilson")[0]
    assert found.to_dict()["reached"][0]["lower"] == pytest.approx(low, abs=1e-12)


def test_the_patients_of_the_denominator_count_and_not_those_of_the_cohort():
    # 100 patients, but all polyps that are called negative are of three.
    patients = np.concatenate([np.arange(60) % 3, 3 + np.arange(97)])
    found = judge("npv_rectosigmoid_diminutive", make_calls(60, 0, 0, 97), patients)
    assert (found.by_value, found.by_lower_bound) == ("met", "not assessable")
    assert "npv: 3;" in found.reason


def test_all_thresholds_of_an_endpoint_must_be_reached():
    assert judge("leave_in_situ", make_calls(85, 15, 9, 91)).by_value == "met"
    assert judge("leave_in_situ", make_calls(79, 21, 9, 91)).by_value == "not met"
    assert judge("leave_in_situ", make_calls(85, 15, 11, 89)).by_value == "not met"
    assert judge("resect_and_discard", make_calls(85, 15, 11, 89)).by_value == "met"


def test_too_few_polyps_are_not_assessable_and_the_reason_says_how_many():
    found = judge("leave_in_situ", make_calls(100, 0, 0, 9))
    assert (found.by_value, found.by_lower_bound) == ("not assessable", "not assessable")
    assert found.reason == "too few to judge (sensitivity: 9; at least 10 are needed)"


def test_no_polyp_of_a_class_is_never_a_pass():
    rule = EndpointRule("any", (Threshold("npv", 0.0, "a protocol"),), least_trials=0)
    sample = Resampling.draw(np.arange(3), 10, seed=0)
    calls = Calls(np.ones(3, bool), np.ones(3, bool))
    (found,) = judge_endpoints([rule], calls, sample)
    assert found.by_value == "not assessable"


@pytest.mark.parametrize(
    ("column", "word"), [("size_bands", "size bands"), ("segments", "segments")]
)
def test_a_missing_column_is_told(column, word):
    found = judge("npv_rectosigmoid_diminutive", make_calls(90, 0, 0, 90, **{column: None}))
    assert found.by_value == found.by_lower_bound == "not assessable"
    assert found.reason == f"the cohort has no column of {word}"


def test_only_polyps_of_the_subset_count_and_unknown_ones_are_counted_apart():
    bands = np.array(["diminutive", "small", "", "diminutive", "", "large"])
    segments = np.array(["rectum", "rectum", "sigmoid", "cecum", "cecum", ""])
    calls = Calls(np.ones(6, bool), np.ones(6, bool), None, bands, segments)
    inside, unknown = select_polyps(BY_NAME["leave_in_situ"], calls)
    assert inside.tolist() == [True, False, False, False, False, False]
    # A polyp in the cecum is out whatever its size; so is a large one wherever it is.
    assert unknown.tolist() == [False, False, True, False, False, False]
    inside, unknown = select_polyps(BY_NAME["resect_and_discard"], calls)
    assert inside.tolist() == [True, False, False, True, False, False]
    assert unknown.tolist() == [False, False, True, False, True, False]


def test_calls_of_low_confidence_are_left_out_and_their_share_is_told():
    confident = np.ones(210, dtype=bool)
    confident[90:100] = False  # the misses
    found = judge("npv_rectosigmoid_diminutive", make_calls(90, 0, 10, 110, confident=confident))
    assert found.reached[0].share.value == 1
    assert found.high_confidence.value == pytest.approx(200 / 210)
    assert found.asked == 210
    assert found.reason == ""


def test_without_a_rule_of_confidence_the_endpoint_says_so():
    found = judge("npv_rectosigmoid_diminutive", make_calls(95, 0, 5, 50))
    assert found.by_value == "met"
    assert "no rule of high confidence" in found.reason
    assert found.high_confidence is None


def test_agreement_is_judged_like_the_others_and_passed_over_among_polyps():
    rule = BY_NAME["surveillance_agreement"]
    sample = Resampling.draw(np.arange(4), 0, seed=0)
    assert judge_endpoints([rule], Calls(np.ones(4, bool), np.ones(4, bool)), sample) == ()
    judged = judge_agreement(rule, measure_share(np.array([97.0]), np.array([100.0]), 100, 0.95))
    assert (judged.by_value, judged.by_lower_bound) == ("met", "met")
    few = judge_agreement(rule, measure_share(np.array([0.0]), np.array([0.0]), 0, 0.95))
    assert few.by_value == "not assessable"


def test_thresholds_are_ones_own_where_the_config_says_so():
    rules = configure_endpoints({"resect_and_discard": {"specificity": 0.7}}, "the protocol")
    changed = {one.measure: one for one in rules[3].thresholds}
    assert changed["specificity"] == Threshold("specificity", 0.7, "the protocol")
    assert changed["sensitivity"] == BY_NAME["resect_and_discard"].thresholds[0]
    assert rules[:3] == ENDPOINTS[:3]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pivi_1": {"npv": 0.9}}, "unknown endpoint 'pivi_1'"),
        ({"leave_in_situ": {"npv": 0.9}}, "unknown measure 'npv'"),
        ({"leave_in_situ": {"sensitivity": 90}}, "90 is no share"),
        ({"leave_in_situ": {"sensitivity": float("nan")}}, "nan is no share"),
    ],
)
def test_a_faulty_threshold_is_refused_in_one_line(changes, told):
    with pytest.raises(ConfigError, match=told) as caught:
        configure_endpoints(changes)
    assert len(caught.value.lines) == 1


def test_bands_are_those_of_the_field():
    sizes = np.array([1, 5, 5.01, 6, 9.9, 10, 40, 0, -1, np.nan])
    bands = ["diminutive"] * 2 + ["small"] * 3 + ["large"] * 2 + [""] * 3
    assert band_sizes(sizes).tolist() == bands


def test_endpoints_judged_together_are_those_judged_alone_and_are_plain():
    generator = np.random.default_rng(0)
    outcome = generator.random(300) < 0.4
    calls = Calls(
        outcome,
        outcome ^ (generator.random(300) < 0.1),
        generator.random(300) < 0.8,
        generator.choice(["diminutive", "small", ""], 300),
        generator.choice(["rectum", "sigmoid", "cecum"], 300),
    )
    sample = Resampling.draw(generator.integers(60, size=300), 100, seed=0)
    together = judge_endpoints(ENDPOINTS, calls, sample)
    assert [one.name for one in together] == [
        "npv_rectosigmoid_diminutive",
        "leave_in_situ",
        "resect_and_discard",
    ]
    for one in together:
        assert judge_endpoints([BY_NAME[one.name]], calls, sample) == (one,)
        told = one.to_dict()
        assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="one row a polyp"):
        Calls(np.ones(3, bool), np.ones(2, bool))
