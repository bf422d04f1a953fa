import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle
from statsmodels.stats.proportion import proportion_confint

from polypskd.metrics.clinical.contingency import (
    MEASURES,
    contingency_cells,
    measure_contingency,
)
from polypskd.metrics.clinical.shares import count_cells, interval_by_patient, measure_share
from polypskd.metrics.resampling import Resampling


def draw(seed, N=80, patients=20):
    generator = np.random.default_rng(seed)
    outcome = generator.random(N) < 0.4
    predicted = np.where(generator.random(N) < 0.8, outcome, ~outcome)
    return outcome, predicted, generator.integers(patients, size=N)


@given(st.integers(0, 1000))
def test_shares_of_a_table_are_those_of_scikit_learn(seed):
    outcome, predicted, patients = draw(seed)
    sample = Resampling.draw(patients, 0, seed=0)
    found = measure_contingency(contingency_cells(outcome, predicted), sample)
    counts = oracle.confusion_matrix(outcome, predicted).ravel().tolist()
    assert [found.tn, found.fp, found.fn, found.tp] == counts
    assert found.sensitivity.value == pytest.approx(oracle.recall_score(outcome, predicted))
    assert found.specificity.value == pytest.approx(
        oracle.recall_score(outcome, predicted, pos_label=False)
    )
    assert found.ppv.value == pytest.approx(oracle.precision_score(outcome, predicted))
    assert found.npv.value == pytest.approx(
        oracle.precision_score(outcome, predicted, pos_label=False)
    )
    assert found.npv.trials == (~predicted).sum()
    assert found.npv.patients == len(np.unique(patients[~predicted]))


def test_the_interval_by_patient_is_that_of_repeated_patients():
    outcome, predicted, patients = draw(1)
    sample = Resampling.draw(patients, 200, seed=5)
    found = measure_contingency(contingency_cells(outcome, predicted), sample, confidence=0.9)
    values = []
    for row in sample.weights:
        rows = np.repeat(np.arange(len(outcome)), row[sample.index])
        values.append(oracle.recall_score(outcome[rows], predicted[rows]))
    low, high = np.quantile(values, [0.05, 0.95])
    assert found.sensitivity.clustered.low == pytest.approx(low)
    assert found.sensitivity.clustered.high == pytest.approx(high)
    assert found.sensitivity.method == "bootstrap by patient"
    assert found.sensitivity.interval is found.sensitivity.clustered


def test_wilson_beside_it_is_that_of_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    share = measure_share(np.array([17.0]), np.array([20.0]), 1, 0.9)
    expected = proportion_confint(17, 20, alpha=0.1, method="wilson")
    assert (share.wilson.low, share.wilson.high) == pytest.approx(expected)


def test_where_all_resamples_agree_wilson_is_printed():
    share = measure_share(np.full(101, 10.0), np.full(101, 10.0), 5, 0.95)
    assert share.method == "Wilson"
    assert share.value == 1
    assert share.lower < share.interval.low < 1
    # The bound for a claim takes the five patients for the trials.
    assert share.lower == pytest.approx(proportion_confint(5, 5, method="wilson")[0], abs=1e-12)


def test_the_lower_bound_is_the_lower_of_the_two():
    wide = measure_share(np.array([18.0, 4, 20, 20]), np.array([20.0] * 4), 5, 0.95)
    assert wide.lower == wide.clustered.low < wide.wilson.low
    tight = measure_share(np.array([18.0, 17.9, 18.1]), np.array([20.0] * 3), 5, 0.95)
    assert tight.lower == tight.wilson.low < tight.clustered.low


def test_without_trials_all_is_undefined_and_plain_values_are_none():
    share = measure_share(np.zeros(5), np.zeros(5), 0, 0.95)
    assert np.isnan(share.value)
    assert np.isnan(share.lower)
    told = share.to_dict()
    assert told["value"] is None
    assert told["method"] == "none"
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_one_patient_has_no_interval_by_patient():
    sample = Resampling.draw(np.zeros(9), 50, seed=0)
    outcome = np.arange(9) % 2 == 0
    found = measure_contingency(contingency_cells(outcome, ~outcome | (np.arange(9) < 3)), sample)
    assert all(np.isnan(getattr(found, name).clustered.low) for name in MEASURES)
    assert np.isnan(interval_by_patient(np.array([1.0, 0.0, 2.0]), 1, 0.95).low)


def test_rows_left_out_are_in_no_cell():
    sample = Resampling.draw(np.array([0, 1, 1]), 0, seed=0)
    cells = contingency_cells(np.ones(3, bool), np.ones(3, bool), np.array([True, False, True]))
    assert count_cells(cells, 4, sample).tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_an_empty_sample_gives_nan_and_no_warning():
    none = np.zeros(0, dtype=bool)
    sample = Resampling.draw(none, 10, seed=0)
    found = measure_contingency(contingency_cells(none, none), sample)
    assert np.isnan(found.sensitivity.value)
    assert found.to_dict()["npv"]["value"] is None
