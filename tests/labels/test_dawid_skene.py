import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.labels.dawid_skene import (
    DawidSkeneFit,
    estimate_dawid_skene,
    score_classes,
)


def long_form(table):
    """Give frame, annotator and class of each vote of a (N, M) table, -1 where absent."""
    table = np.asarray(table)
    frame, annotator = np.nonzero(table >= 0)
    return frame, annotator, table[frame, annotator]


def estimate(table, classes, **fit):
    frames, annotators = np.shape(table)
    return estimate_dawid_skene(
        *long_form(table),
        frames=frames,
        annotators=annotators,
        classes=classes,
        fit=DawidSkeneFit(**fit),
    )


def draw_votes(prior, confusion, frames, seed, absent=0.0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(prior), frames, p=prior)
    table = np.stack(
        [(rng.random((frames, 1)) > np.cumsum(own[truth], axis=1)).sum(axis=1) for own in confusion]
    ).T
    table = np.where(rng.random(table.shape) < absent, -1, table)
    return truth, table


def estimate_by_loops(table, classes, smoothing, iterations):
    """Follow the paper's equations 2.3 to 2.5 vote by vote, with probabilities, not logarithms."""
    frames, annotators = len(table), len(table[0])
    posterior = []
    for row in table:
        given = [vote for vote in row if vote >= 0]
        posterior.append([given.count(k) / len(given) for k in range(classes)])
    for _ in range(iterations):
        prior = [
            (sum(p[k] for p in posterior) + smoothing) / (frames + classes * smoothing)
            for k in range(classes)
        ]
        confusion = [[[0.0] * classes for _ in range(classes)] for _ in range(annotators)]
        for m, k in itertools.product(range(annotators), range(classes)):
            cells = [smoothing] * classes
            for row, p in zip(table, posterior, strict=True):
                if row[m] >= 0:
                    cells[row[m]] += p[k]
            confusion[m][k] = [cell / sum(cells) for cell in cells]
        posterior, likelihood = [], 0.0
        for row in table:
            joint = [
                prior[k] * math.prod(confusion[m][k][v] for m, v in enumerate(row) if v >= 0)
                for k in range(classes)
            ]
            likelihood += math.log(sum(joint))
            posterior.append([value / sum(joint) for value in joint])
    return np.array(posterior), np.array(confusion), np.array(prior), likelihood


SHARP = np.array(
    [
        [[0.95, 0.03, 0.02], [0.02, 0.94, 0.04], [0.03, 0.07, 0.90]],
        [[0.80, 0.15, 0.05], [0.10, 0.80, 0.10], [0.05, 0.25, 0.70]],
        [[0.70, 0.10, 0.20], [0.30, 0.60, 0.10], [0.10, 0.10, 0.80]],
        [[0.60, 0.30, 0.10], [0.05, 0.90, 0.05], [0.05, 0.35, 0.60]],
        [[0.50, 0.25, 0.25], [0.25, 0.50, 0.25], [0.25, 0.25, 0.50]],
    ]
)
PRIOR = np.array([0.5, 0.3, 0.2])


def test_known_confusions_are_recovered():
    truth, table = draw_votes(PRIOR, SHARP, 20_000, seed=1, absent=0.1)
    found = estimate(table, 3)
    np.testing.assert_allclose(found.prior, PRIOR, atol=0.02)
    np.testing.assert_allclose(found.confusion, SHARP, atol=0.03)
    frame, _, vote = long_form(table)
    counts = np.zeros((len(table), 3))
    np.add.at(counts, (frame, vote), 1)
    voted = counts.any(axis=1)
    by_majority = (counts.argmax(axis=1) == truth)[voted].mean()
    assert (found.posterior.argmax(axis=1) == truth)[voted].mean() > by_majority + 0.02


def test_the_posterior_of_known_confusions_is_calibrated():
    truth, table = draw_votes(PRIOR, SHARP, 20_000, seed=2)
    sure = estimate(table, 3).posterior
    best = sure.argmax(axis=1)
    for low, high in itertools.pairwise([0.4, 0.6, 0.8, 0.95, 1.01]):
        inside = (sure.max(axis=1) >= low) & (sure.max(axis=1) < high)
        told, right = sure.max(axis=1)[inside].mean(), (best == truth)[inside].mean()
        assert told == pytest.approx(right, abs=4 * math.sqrt(0.25 / inside.sum()) + 0.02)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_estimate_is_that_of_a_loop_over_votes(smoothing):
    _, table = draw_votes(PRIOR, SHARP, 80, seed=3, absent=0.2)
    table = table[(table >= 0).any(axis=1)]
    found = estimate(table, 3, smoothing=smoothing, iterations=12, tolerance=-1.0)
    posterior, confusion, prior, likelihood = estimate_by_loops(table.tolist(), 3, smoothing, 12)
    np.testing.assert_allclose(found.posterior, posterior, atol=1e-9)
    np.testing.assert_allclose(found.confusion, confusion, atol=1e-9)
    np.testing.assert_allclose(found.prior, prior, atol=1e-12)
    penalty = smoothing * (np.log(prior).sum() + np.log(confusion).sum()) if smoothing else 0.0
    assert found.iterations == len(found.log_likelihood) == 12
    assert found.log_likelihood[-1] == pytest.approx(likelihood + penalty, abs=1e-8)


@given(
    st.integers(0, 10**6),
    st.integers(2, 4),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.01, 0.1, 1.0]),
)
def test_the_log_likelihood_never_falls_and_all_are_probabilities(
    seed, classes, annotators, smoothing
):
    rng = np.random.default_rng(seed)
    table = rng.integers(-1, classes, (25, annotators))
    table[0] = 0
    found = estimate(table, classes, smoothing=smoothing, iterations=40)
    assert (np.diff(found.log_likelihood) >= -1e-9).all()
    for chances in (found.posterior, found.confusion, found.prior):
        assert (chances >= 0).all()
        np.testing.assert_allclose(chances.sum(axis=-1), 1, atol=1e-12)


def test_equal_and_perfect_annotators_give_the_majority():
    truth = np.random.default_rng(4).integers(0, 3, 60)
    found = estimate(np.repeat(truth[:, None], 4, axis=1), 3, smoothing=0.0)
    np.testing.assert_allclose(found.posterior, np.eye(3)[truth], atol=1e-12)
    np.testing.assert_allclose(found.confusion, np.tile(np.eye(3), (4, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(found.prior, np.bincount(truth, minlength=3) / 60)


def test_labels_keep_the_meaning_that_the_majority_gave_them():
    confusion = np.tile([[0.7, 0.3], [0.2, 0.8]], (5, 1, 1))
    truth, table = draw_votes([0.3, 0.7], confusion, 500, seed=5)
    found = estimate(table, 2)
    assert (np.diagonal(found.confusion, axis1=1, axis2=2) > 0.5).all()
    turned = estimate(1 - table, 2)
    np.testing.assert_allclose(turned.posterior[:, ::-1], found.posterior, atol=1e-9)
    assert (found.posterior.argmax(axis=1) == truth).mean() > 0.8


def test_a_contrary_annotator_is_read_the_other_way_round():
    good, contrary = [[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]
    _, table = draw_votes([0.5, 0.5], np.array([good] * 4 + [contrary]), 2000, seed=6)
    found = estimate(table, 2)
    np.testing.assert_allclose(found.confusion[4], contrary, atol=0.05)
    # Two against two: the contrary one's vote decides, against what it says.
    split = table[:, :4].sum(axis=1) == 2
    decided = found.posterior.argmax(axis=1)[split]
    np.testing.assert_array_equal(decided, 1 - table[split, 4])


def test_a_frame_without_votes_gets_the_prior_and_a_silent_annotator_is_uniform():
    table = np.array([[0, 0, -1], [0, 1, -1], [1, 1, -1], [-1, -1, -1]])
    found = estimate(table, 2)
    np.testing.assert_allclose(found.posterior[3], found.prior, atol=1e-12)
    np.testing.assert_allclose(found.confusion[2], 0.5)


def test_more_smoothing_pulls_the_confusions_to_the_middle():
    _, table = draw_votes(PRIOR, SHARP, 300, seed=7)
    spread = [
        np.abs(estimate(table, 3, smoothing=amount).confusion - 1 / 3).sum()
        for amount in (0.0, 1.0, 100.0)
    ]
    assert spread[0] > spread[1] > spread[2]


def test_em_stops_early_once_it_gains_nothing_and_at_its_limit():
    _, table = draw_votes(PRIOR, SHARP, 500, seed=8)
    assert estimate(table, 3).iterations < 200
    assert estimate(table, 3, iterations=3).iterations == 3


def test_new_frames_are_scored_as_those_of_the_estimate():
    _, table = draw_votes(PRIOR, SHARP, 300, seed=9, absent=0.2)
    found = estimate(table, 3)
    scores = score_classes(found, *long_form(table), frames=len(table))
    np.testing.assert_allclose(np.exp(scores), found.posterior, atol=1e-12)


def test_faulty_votes_are_refused():
    one = np.array([0])
    with pytest.raises(ValueError, match="there are no votes"):
        estimate_dawid_skene(one[:0], one, one, frames=1, annotators=1, classes=2)
    with pytest.raises(ValueError, match=r"vote_annotator must lie in 0\.\.0; found -1\.\.-1"):
        estimate_dawid_skene(one, one - 1, one, frames=1, annotators=1, classes=2)
    with pytest.raises(ValueError, match=r"vote_class must lie in 0\.\.1"):
        estimate_dawid_skene(one, one, one + 2, frames=1, annotators=1, classes=2)


def test_a_million_votes_take_seconds():
    _, table = draw_votes(PRIOR, SHARP, 200_000, seed=10)
    start = time.process_time()
    found = estimate(table, 3, iterations=20)
    assert time.process_time() - start < 20
    np.testing.assert_allclose(found.confusion, SHARP, atol=0.02)
