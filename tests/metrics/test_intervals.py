import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from polypskd.metrics.calibration import calibration_error, top_gaps
from polypskd.metrics.intervals import (
    Resampling,
    patient_sums,
    patient_weights,
    percentile_interval,
    pivotal_interval,
    wilson_interval,
)


@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.5, 0.99))
def test_wilson_is_that_of_statsmodels(successes, trials, confidence):
    successes = min(successes, trials)
    got = wilson_interval(successes, trials, confidence)
    low, high = proportion_confint(successes, trials, 1 - confidence, method="wilson")
    assert (got.low, got.high) == pytest.approx((low, high), abs=1e-9)


def test_no_trials_give_no_proportion():
    assert wilson_interval(0, 0).to_dict() == {"value": None, "low": None, "high": None}


def test_weights_are_multinomial_counts_and_seeded():
    patients = np.repeat(["c", "a", "b", "d", "e"], 3)
    weights = patient_weights(patients, 20_000, seed=3)
    assert weights.shape == (20_000, 5)
    assert (weights.sum(axis=1) == 5).all()
    assert np.array_equal(weights, patient_weights(patients, 20_000, seed=3))
    assert not np.array_equal(weights, patient_weights(patients, 20_000, seed=4))
    counts = weights.astype(float)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), 0.8, atol=0.05)  # n p (1 - p)
    assert np.cov(counts.T)[0, 1] == pytest.approx(-0.2, abs=0.03)  # -n p p


def test_chunks_do_not_change_the_draws(monkeypatch):
    patients, values = np.arange(50), np.random.default_rng(0).normal(size=(50, 2))
    whole = Resampling.draw(patients, 40, seed=1)
    monkeypatch.setattr("polypskd.metrics.intervals.CELLS", 130)
    parts = Resampling.draw(patients, 40, seed=1)
    assert np.array_equal(whole.weights, parts.weights)
    np.testing.assert_allclose(whole.sums(values), parts.sums(values))


def test_sums_over_resamples_are_sums_over_repeated_frames():
    generator = np.random.default_rng(1)
    patients = generator.integers(6, size=30)
    values = generator.normal(size=(30, 2, 3))
    sample = Resampling.draw(patients, 10, seed=0)
    got = sample.sums(values)
    np.testing.assert_allclose(got[0], values.sum(axis=0))
    names = np.unique(patients)
    for row, total in zip(sample.weights, got[1:], strict=True):
        frames = np.concatenate(
            [
                np.flatnonzero(patients == n)
                for n, w in zip(names, row, strict=True)
                for _ in range(w)
            ]
        )
        np.testing.assert_allclose(total, values[frames].sum(axis=0))
    by_frame = sample.apply(lambda weights: np.einsum("rn,nkl->rkl", weights, values))
    np.testing.assert_allclose(by_frame, got)


def test_sums_by_patient_add_up():
    values = np.arange(12.0).reshape(6, 2)
    sums = patient_sums(values, np.array([2, 0, 2, 0, 2, 0]), 4)
    assert sums.tolist() == [[18, 21], [0, 0], [12, 15], [0, 0]]


def test_undefined_resamples_are_left_out_until_they_are_most():
    samples = np.array([0.5, 0.4, 0.6, np.nan])
    got = percentile_interval(samples, 0.9)
    assert 0.4 <= got.low < got.high <= 0.6
    mostly = np.array([0.5, 0.4, np.nan, np.nan])
    assert np.isnan(percentile_interval(mostly).low)
    assert np.isnan(pivotal_interval(mostly).low)
    assert np.isnan(pivotal_interval(mostly).high)
    assert np.isnan(percentile_interval(np.array([np.nan, 0.4, 0.5])).low)
    assert np.isnan(percentile_interval(np.array([0.5])).low)


def test_intervals_by_patient_cover_and_intervals_by_frame_do_not():
    generator = np.random.default_rng(7)
    truth, hits = 0.7, {"patient": 0, "frame": 0}
    trials, patients, frames = 200, 60, 6
    for trial in range(trials):
        rates = generator.beta(7, 3, size=patients)  # patients differ: frames are correlated
        right = (generator.random((patients, frames)) < rates[:, None]).astype(float).ravel()
        units = {"patient": np.repeat(np.arange(patients), frames), "frame": np.arange(len(right))}
        for unit, groups in units.items():
            sample = Resampling.draw(groups, 300, seed=trial)
            values = sample.sums(right) / sample.sums(np.ones(len(right)))
            interval = percentile_interval(values)
            hits[unit] += interval.low <= truth <= interval.high
    assert 0.90 <= hits["patient"] / trials <= 0.99
    assert hits["frame"] < hits["patient"]


def test_pivotal_intervals_cover_the_calibration_error_where_percentiles_miss_it():
    generator = np.random.default_rng(8)
    hits = {percentile_interval: 0, pivotal_interval: 0}
    for trial in range(60):
        p = generator.uniform(0.5, 1, size=300)
        labels = (generator.random(300) < p).astype(int)  # calibrated: the true error is 0
        table = top_gaps(np.stack([1 - p, p], axis=1), labels, 15)
        sample = Resampling.draw(np.arange(300), 200, seed=trial)
        errors = calibration_error(sample.sums(table), sample.sums(np.ones(300)))
        for rule in hits:
            interval = rule(errors)
            hits[rule] += interval.low <= 0.005
            assert rule is percentile_interval or interval.low <= interval.value <= interval.high
    assert hits[pivotal_interval] >= 40
    assert hits[percentile_interval] <= 5
