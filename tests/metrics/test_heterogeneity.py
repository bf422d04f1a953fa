import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects

from polypskd.metrics.heterogeneity import compare_levels, measure_heterogeneity
from polypskd.metrics.resampling import Resampling


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(0.01, 2)),
        min_size=2,
        max_size=8,
        unique_by=lambda p: round(p[0], 3),  # the oracle divides by a Q that underflows
    )
)
def test_q_and_i2_of_separate_levels_are_those_of_statsmodels(pairs):
    values, variances = np.array(pairs).T
    got = measure_heterogeneity(values, np.diag(variances))
    expected = combine_effects(values, variances)
    assert got.q == pytest.approx(expected.q, rel=1e-9, abs=1e-12)
    assert got.i2 == pytest.approx(max(0, expected.i2), abs=1e-9)
    assert got.df == expected.df
    assert got.p == pytest.approx(expected.test_homogeneity().pvalue, rel=1e-8, abs=1e-300)


def test_q_of_correlated_levels_is_the_wald_test_of_their_contrasts():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(4, 4))
    covariance, values = root @ root.T, rng.normal(size=4)
    contrast = np.hstack([np.ones((3, 1)), -np.eye(3)])
    gaps = contrast @ values
    expected = gaps @ np.linalg.solve(contrast @ covariance @ contrast.T, gaps)
    assert measure_heterogeneity(values, covariance).q == pytest.approx(expected)


def test_levels_that_vary_as_one_or_stand_alone_have_no_heterogeneity():
    for values, covariance in [
        (np.array([0.1, 0.2]), np.ones((2, 2))),
        (np.array([0.1]), np.eye(1)),
        (np.zeros(0), np.zeros((0, 0))),
        (np.array([0.1, 0.2]), np.diag([1.0, np.nan])),
        (np.array([0.1, 0.2]), np.diag([1.0, 0.0])),
    ]:
        assert np.isnan(measure_heterogeneity(values, covariance).q)


def test_the_logit_scale_is_that_of_logistic_regression_for_independent_frames():
    from statsmodels.api import Logit, add_constant

    rng = np.random.default_rng(4)
    group = np.repeat([0, 1, 2], 400)
    right = rng.random(1200) < np.array([0.7, 0.8, 0.85])[group]
    sample = Resampling.draw(np.arange(1200), 4000, seed=0)
    samples = {
        str(g): sample.sums(right * (group == g)) / sample.sums((group == g) * 1.0)
        for g in range(3)
    }
    got = compare_levels(samples, proportion=True, separate=True)
    design = add_constant(np.stack([group == 1, group == 2], axis=1).astype(float))
    wald = (
        Logit(right.astype(float), design)
        .fit(disp=0)
        .wald_test(np.eye(3)[1:], scalar=True, use_f=False)
    )
    assert got.q == pytest.approx(float(wald.statistic), rel=0.08)
