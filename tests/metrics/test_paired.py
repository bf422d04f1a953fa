import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, log_loss
from statsmodels.stats.multitest import multipletests

from polypskd.metrics.calibration import ece
from polypskd.metrics.paired import (
    PairedSample,
    adjust_holm,
    majority_vote,
    mcnemar,
    paired_difference,
    score_runs,
)

R, N, K, B = 3, 60, 3, 30


def make_method(seed, skill=2.0, shape=(R, N, K)):
    """Labels, patients, and one method's chosen classes and probabilities."""
    frames = np.random.default_rng(0)
    labels, patients = frames.integers(shape[2], size=shape[1]), frames.integers(12, size=shape[1])
    logits = np.random.default_rng(seed).normal(size=shape) + skill * np.eye(shape[2])[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return labels, patients, p.argmax(axis=-1), p


def slow_scores(labels, chosen, p):
    if not len(labels):
        return dict.fromkeys(("macro_f1", "accuracy", "ece", "brier", "nll"), math.nan)
    seen = np.union1d(labels, chosen)
    return {
        "macro_f1": f1_score(labels, chosen, labels=seen, average="macro", zero_division=0),
        "accuracy": accuracy_score(labels, chosen),
        "ece": ece(p, labels),
        "brier": sum(((row - np.eye(K)[y]) ** 2).sum() for row, y in zip(p, labels, strict=True))
        / len(labels),
        "nll": log_loss(labels, p, labels=np.arange(K)),
    }


def repeat_frames(patients, weights):
    named = zip(np.unique(patients), weights, strict=True)
    return np.concatenate([np.repeat(np.flatnonzero(patients == name), w) for name, w in named])


def test_scores_of_resamples_are_those_of_repeated_frames():
    labels, patients, chosen, p = make_method(1)
    sample = PairedSample.draw(patients, (R, N), B, seed=5)
    got = score_runs(sample, labels, chosen, p)
    everyone = np.ones((1, len(np.unique(patients))), dtype=int)
    weights = np.vstack([everyone, sample.frames.weights])
    for b, row in enumerate(weights):
        frames = repeat_frames(patients, row)
        for r in range(R):
            expected = slow_scores(labels[frames], chosen[r, frames], p[r, frames])
            for name, value in expected.items():
                assert got[name][b, r] == pytest.approx(value, abs=1e-12), (name, b, r)


def test_the_difference_is_that_of_an_explicit_loop_over_the_same_draws():
    labels, patients, *first = make_method(1, skill=2.0)
    _, _, *second = make_method(2, skill=1.5)
    sample = PairedSample.draw(patients, (R, N), B, seed=7)
    counts = np.rint(sample.runs[1:] * R).astype(int)
    assert (counts.sum(axis=1) == R).all()
    scores = [score_runs(sample, labels, *method) for method in (first, second)]
    for measure in ("macro_f1", "accuracy", "ece", "brier", "nll"):
        drawn = []
        for weights, seeds in zip(sample.frames.weights, counts, strict=True):
            frames = repeat_frames(patients, weights)
            sides = [
                [
                    slow_scores(labels[frames], chosen[r, frames], p[r, frames])[measure]
                    for r in np.repeat(np.arange(R), seeds)
                ]
                for chosen, p in (first, second)
            ]
            drawn.append(np.mean(np.subtract(*sides)))
        value = np.mean(
            [
                slow_scores(labels, first[0][r], first[1][r])[measure]
                - slow_scores(labels, second[0][r], second[1][r])[measure]
                for r in range(R)
            ]
        )
        got = paired_difference(sample, scores[0][measure], scores[1][measure], 0.9)
        below, above = np.mean(np.array(drawn) <= 0), np.mean(np.array(drawn) >= 0)
        assert got.value == pytest.approx(value, abs=1e-12)
        assert (got.low, got.high) == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=1e-12)
        assert got.p == pytest.approx(min(1, max(2 * min(below, above), 1 / (B + 1))))


def test_both_methods_share_every_draw_so_that_a_constant_gain_has_no_spread():
    labels, patients, chosen, p = make_method(3)
    sample = PairedSample.draw(patients, (R, N), 200, seed=1)
    scores = score_runs(sample, labels, chosen, p)["accuracy"]
    got = paired_difference(sample, scores + 0.125, scores)
    assert (got.value, got.low, got.high) == pytest.approx((0.125, 0.125, 0.125))
    assert got.p == pytest.approx(1 / 201)


def test_a_method_does_not_differ_from_itself():
    labels, patients, chosen, p = make_method(3)
    sample = PairedSample.draw(patients, (R, N), 50)
    scores = score_runs(sample, labels, chosen, p)["macro_f1"]
    assert paired_difference(sample, scores, scores).to_dict() == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
        "p": 1.0,
    }


def test_swapping_the_methods_mirrors_the_difference():
    labels, patients, *first = make_method(1)
    _, _, *second = make_method(2, skill=1.7)
    sample = PairedSample.draw(patients, (R, N), 99, seed=2)
    one, other = (score_runs(sample, labels, *m)["macro_f1"] for m in (first, second))
    forth, back = paired_difference(sample, one, other), paired_difference(sample, other, one)
    assert (back.value, back.low, back.high) == pytest.approx(
        (-forth.value, -forth.high, -forth.low)
    )
    assert back.p == forth.p


def test_with_one_seed_only_patients_are_drawn():
    sample = PairedSample.draw(np.arange(8) // 2, (1, 8), 30)
    assert np.array_equal(sample.runs, np.ones((31, 1)))
    assert sample.frames.weights.shape == (30, 4)


@pytest.mark.parametrize("patients", [None, np.array(["a"] * 8)])
def test_unknown_patients_or_a_single_one_leave_each_frame_its_own(patients):
    sample = PairedSample.draw(patients, (2, 8), 30)
    assert sample.frames.weights.shape == (30, 8)
    assert np.array_equal(sample.frames.index, np.arange(8))


def test_draws_depend_on_the_seed_alone_and_patients_are_not_drawn_like_seeds():
    patients = np.arange(5)
    one, same = (PairedSample.draw(patients, (5, 5), 200, seed=3) for _ in range(2))
    other = PairedSample.draw(patients, (5, 5), 200, seed=4)
    assert np.array_equal(one.runs, same.runs)
    assert np.array_equal(one.frames.weights, same.frames.weights)
    assert not np.array_equal(one.runs, other.runs)
    correlation = np.corrcoef(one.frames.weights.ravel(), one.runs[1:].ravel())[0, 1]
    assert abs(correlation) < 0.15


def test_arrays_that_do_not_belong_together_are_refused():
    labels, patients, chosen, p = make_method(1)
    sample = PairedSample.draw(patients, (R, N), 3)
    with pytest.raises(ValueError, match="do not belong together"):
        score_runs(sample, labels[1:], chosen, p)
    with pytest.raises(ValueError, match="other seeds or frames"):
        score_runs(sample, labels, chosen[:2], p[:2])
    with pytest.raises(ValueError, match="one patient a frame"):
        PairedSample.draw(patients[1:], (R, N))


def test_without_resamples_there_is_a_value_and_nothing_else():
    labels, patients, chosen, p = make_method(1)
    sample = PairedSample.draw(patients, (R, N), 0)
    scores = score_runs(sample, labels, chosen, p)["nll"]
    got = paired_difference(sample, scores, scores - 1)
    assert got.to_dict() == {"value": pytest.approx(1), "low": None, "high": None, "p": None}


def test_a_probability_of_zero_for_the_right_class_keeps_the_nll_finite():
    sample = PairedSample.draw(None, (1, 2), 5)
    p = np.array([[[0.0, 1.0], [0.0, 1.0]]])
    got = score_runs(sample, np.array([0, 1]), np.array([[1, 1]]), p)["nll"]
    assert got[0, 0] == pytest.approx(-math.log(1e-12) / 2)
    assert np.isfinite(got).all()


def simulate_null(generator, runs=5, patients=40, size=4):
    """Two methods of one skill: hard patients in common, and patients that only one finds hard."""
    index = np.repeat(np.arange(patients), size)
    labels = generator.integers(2, size=len(index))
    common = generator.normal(1.2, 1, patients)
    sample = PairedSample.draw(index, (runs, len(index)), 200, int(generator.integers(2**31)))
    scores = []
    for _ in range(2):
        own = common + generator.normal(0, 0.8, patients) + generator.normal(0, 0.2, (runs, 1))
        right = generator.random((runs, len(index))) < 1 / (1 + np.exp(-own[:, index]))
        chosen = np.where(right, labels, 1 - labels)
        p = np.where(chosen[..., None] == np.arange(2), 0.8, 0.2)
        scores.append(score_runs(sample, labels, chosen, p)["accuracy"])
    return paired_difference(sample, *scores)


def test_intervals_of_no_difference_hold_zero_about_as_often_as_they_claim():
    generator = np.random.default_rng(11)
    drawn = [simulate_null(generator) for _ in range(400)]
    held = np.mean([one.low <= 0 <= one.high for one in drawn])
    assert 0.9 <= held <= 0.99
    assert np.mean([one.p < 0.05 for one in drawn]) == pytest.approx(1 - held, abs=0.03)


def test_patients_drawn_whole_widen_the_interval():
    generator = np.random.default_rng(2)
    patients = np.repeat(np.arange(30), 10)
    labels = np.zeros(300, dtype=np.int64)
    hard, other = (np.repeat(generator.random(30) < 0.3, 10)[None] for _ in range(2))
    widths = []
    for known in (patients, None):
        sample = PairedSample.draw(known, (1, 300), 400)
        scores = [
            score_runs(sample, labels, c.astype(np.int64), np.full((1, 300, 2), 0.5))["accuracy"]
            for c in (hard, other)
        ]
        got = paired_difference(sample, *scores)
        widths.append(got.high - got.low)
    assert widths[0] > 2 * widths[1]  # sqrt(10) if the frames of a patient are all alike


# --- tests ----------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test_of_the_disagreements(b, c):
    labels = np.zeros(b + c + 3, dtype=np.int64)
    first, second = labels.copy(), labels.copy()
    second[:b], first[b : b + c] = 1, 1
    got = mcnemar(labels, first, second)
    assert (got.b, got.c) == (b, c)
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert got.p == pytest.approx(expected, abs=1e-12)
    assert got.to_dict() == {"b": b, "c": c, "p": got.p}


def test_frames_that_both_have_wrong_do_not_count():
    got = mcnemar(np.zeros(4, dtype=int), np.array([1, 2, 1, 0]), np.array([2, 1, 1, 0]))
    assert (got.b, got.c, got.p) == (0, 0, 1.0)


@given(st.integers(1, 6), st.integers(2, 4), st.integers(0, 1000))
def test_the_majority_is_the_riskiest_class_of_most_votes(runs, classes, seed):
    predicted = np.random.default_rng(seed).integers(classes, size=(runs, 9))
    for column, chosen in zip(predicted.T, majority_vote(predicted, classes), strict=True):
        counts = [int(np.sum(column == k)) for k in range(classes)]
        assert chosen == max(k for k in range(classes) if counts[k] == max(counts))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("steps", [4, 100])  # few steps make ties
def test_holm_is_that_of_statsmodels(count, steps):
    p = (np.random.default_rng(count).integers(0, steps + 1, size=count) / steps**1.5).tolist()
    assert adjust_holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_tests_that_could_not_be_made_do_not_count_in_the_family():
    got = adjust_holm([math.nan, 0.02, math.nan, 0.01])
    assert math.isnan(got[0])
    assert math.isnan(got[2])
    assert got[1::2] == pytest.approx([0.02, 0.02])
    assert adjust_holm([]) == []
