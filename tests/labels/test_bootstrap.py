import numpy as np
import pytest
from scipy import stats

from polypskd.labels.bootstrap import estimate, resample_sums


def test_every_resample_has_as_many_units_as_the_cohort():
    sums = np.ones((3, 1))
    for size in ([1, 1, 1], [500, 30, 7]):
        drawn = resample_sums(sums, np.array(size), resamples=20, seed=1)
        np.testing.assert_array_equal(drawn, np.full((20, 1), sum(size)))


@pytest.mark.parametrize("size", [[6, 3, 1], [600, 300, 100]])
def test_drawing_rows_is_drawing_units(size):
    # The first takes the way over units, the second that over rows; both are multinomial.
    size = np.array(size)
    n = size.sum()
    drawn = resample_sums(np.eye(3), size, resamples=20_000, seed=5)
    p = size / n
    np.testing.assert_allclose(drawn.mean(axis=0), n * p, rtol=0.02)
    covariance = n * (np.diag(p) - np.outer(p, p))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.03 * covariance.max())


def test_one_seed_gives_one_set_of_draws():
    size = np.ones(50, dtype=int)
    a, b = np.random.default_rng(0).random((2, 50, 2))
    both = resample_sums(np.hstack([a, b]), size, resamples=30, seed=3)
    np.testing.assert_allclose(both[:, :2], resample_sums(a, size, resamples=30, seed=3))
    np.testing.assert_allclose(both[:, 2:], resample_sums(b, size, resamples=30, seed=3))
    assert not np.allclose(both[:, :2], resample_sums(a, size, resamples=30, seed=4))


def test_the_interval_of_a_mean_is_that_of_scipy():
    values = np.random.default_rng(0).normal(size=80)
    sums = np.column_stack([values, np.ones(80)])
    drawn = resample_sums(sums, np.ones(80, dtype=int), resamples=20_000, seed=1)
    found = estimate(values.mean(), drawn[:, 0] / drawn[:, 1], 0.9)
    oracle = stats.bootstrap(
        (values,), np.mean, method="percentile", confidence_level=0.9, n_resamples=20_000, rng=2
    ).confidence_interval
    assert found.low == pytest.approx(oracle.low, abs=0.01)
    assert found.high == pytest.approx(oracle.high, abs=0.01)


def test_draws_without_a_value_are_left_out():
    found = estimate(1.0, np.array([np.nan, 1.0, 1.0, np.inf]), 0.95)
    assert (found.low, found.high) == (1, 1)
    assert np.isnan(estimate(1.0, np.array([]), 0.95).low)
    assert np.isnan(estimate(np.nan, np.array([1.0]), 0.95).high)
