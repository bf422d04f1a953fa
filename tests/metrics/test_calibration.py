import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn import metrics as oracle

from polypskd.metrics.calibration import (
    brier,
    ece,
    ece_classwise,
    ece_equal_mass,
    equal_mass_bins,
    equal_width_bins,
    fit_temperature,
    nll,
    reliability_curve,
)

SEEDS = st.integers(0, 10_000)


def draw(seed, N=200, K=3, temperature=1.0):
    """Logits, and labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(N, K)) * 2
    p = softmax(logits / temperature, axis=1)
    labels = (generator.random((N, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=K - 1)
    return logits, labels


def ece_by_loop(confidence, correct, bins):
    error = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [
            (c, r)
            for c, r in zip(confidence, correct, strict=True)
            if low < c <= high or (b == 0 and c == 0)
        ]
        if inside:
            gap = np.mean([c for c, _ in inside]) - np.mean([r for _, r in inside])
            error += len(inside) / len(confidence) * abs(gap)
    return error


@given(SEEDS, st.integers(2, 20))
@settings(max_examples=30, deadline=None)
def test_calibration_errors_are_those_of_a_plain_loop(seed, bins):
    logits, labels = draw(seed)
    p = softmax(logits, axis=1)
    top, right = p.max(axis=1), p.argmax(axis=1) == labels
    assert ece(p, labels, bins) == pytest.approx(ece_by_loop(top, right, bins))
    each = [ece_by_loop(p[:, k], labels == k, bins) for k in range(3)]
    assert ece_classwise(p, labels, bins) == pytest.approx(np.mean(each))
    order = np.argsort(top)
    parts = np.array_split(order, bins) if len(order) % bins == 0 else None
    if parts:
        mass = [len(i) / len(top) * abs(top[i].mean() - right[i].mean()) for i in parts]
        assert ece_equal_mass(p, labels, bins) == pytest.approx(sum(mass))


def test_bin_edges_belong_to_the_bin_below_as_in_guo():
    edges = np.linspace(0, 1, 16)
    assert equal_width_bins(edges, 15).tolist() == [0, *range(15)]


def test_equal_mass_bins_are_even_and_hold_ties_together():
    values = np.random.default_rng(0).permutation(100) / 100
    assert np.bincount(equal_mass_bins(values, 10)).tolist() == [10] * 10
    assert len(set(equal_mass_bins(np.full(50, 0.7), 10))) == 1


def test_reliability_adds_up_to_the_calibration_error():
    logits, labels = draw(3)
    p = softmax(logits, axis=1)
    rows = [row for row in reliability_curve(p, labels) if row.count]
    assert sum(row.count for row in rows) == 200
    assert all(row.low < row.confidence <= row.high for row in rows)
    error = sum(row.count / 200 * abs(row.confidence - row.accuracy) for row in rows)
    assert error == pytest.approx(ece(p, labels))
    assert np.isnan(reliability_curve(p, labels, 100)[0].accuracy)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_brier_and_nll_are_those_of_scikit_learn(seed):
    logits, labels = draw(seed)
    p = softmax(logits, axis=1)
    assert brier(p, labels).mean() == pytest.approx(
        oracle.brier_score_loss(labels, p, labels=range(3), scale_by_half=False)
    )
    assert nll(logits, labels).mean() == pytest.approx(oracle.log_loss(labels, p, labels=range(3)))


def test_nll_of_a_sure_and_wrong_answer_is_finite():
    assert nll(np.array([[0.0, 2000.0]]), np.array([0])).tolist() == [2000.0]


@given(SEEDS, st.floats(0.3, 4))
@settings(max_examples=20, deadline=None)
def test_temperature_is_where_scipy_finds_the_least_nll(seed, temperature):
    logits, labels = draw(seed, N=400, temperature=temperature)

    def loss(log_t):
        return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(400), labels].mean()

    best = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded")
    got = fit_temperature(logits, labels)
    assert loss(np.log(got)) <= best.fun + 1e-12
    assert got == pytest.approx(np.exp(best.x), rel=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_recovers_the_one_that_made_the_labels(temperature):
    logits, labels = draw(5, N=40_000, temperature=temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_temperature_ignores_what_the_softmax_ignores():
    logits, labels = draw(6)
    shift = np.random.default_rng(0).normal(size=(200, 1)) * 50
    assert fit_temperature(logits + shift, labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-6
    )


def test_temperature_of_hopeless_cases_stays_within_its_bounds():
    logits, _ = draw(7)
    assert fit_temperature(logits, logits.argmax(axis=1)) == pytest.approx(0.05)
    assert fit_temperature(logits, logits.argmin(axis=1)) == pytest.approx(20)
    assert fit_temperature(np.ones((5, 3)), np.zeros(5, dtype=int)) == 1
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1


def test_no_frames_give_nan_and_no_warning():
    p, labels = np.zeros((0, 3)), np.zeros(0, dtype=int)
    assert np.isnan([ece(p, labels), ece_classwise(p, labels), ece_equal_mass(p, labels)]).all()
