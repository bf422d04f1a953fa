import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import mutual_info_score

from polypskd.metrics.information import (
    channel_capacity,
    conditional_mutual_information,
    entropy,
    mutual_information,
    score_information,
    soft_information,
)


def blahut_arimoto(channel, rounds=200):
    """Capacity of any channel (inputs, outputs), in bits."""
    share = np.full(len(channel), 1 / len(channel))
    for _ in range(rounds):
        output = share @ channel
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(channel > 0, channel * np.log2(channel / output), 0).sum(axis=1)
        share = share * 2**gain
        share = share / share.sum()
    return float(share @ gain)


def test_label_bits_are_those_of_the_paper():
    assert channel_capacity(0.730, 5) == pytest.approx(0.9405, abs=5e-5)
    for s, p in ((2, 0.8782), (3, 0.7267), (4, 0.6312), (5, 0.5656)):
        assert channel_capacity(p, s) == pytest.approx(0.4656, abs=3e-4)


@given(st.floats(0.01, 0.99), st.integers(2, 6))
def test_capacity_is_that_of_blahut_and_arimoto(p, s):
    channel = np.full((s, s), (1 - p) / (s - 1))
    np.fill_diagonal(channel, p)
    assert channel_capacity(p, s) == pytest.approx(blahut_arimoto(channel, 3), abs=1e-9)


def test_capacity_at_its_ends():
    assert channel_capacity(1, 4) == 2
    assert channel_capacity(0.25, 4) == pytest.approx(0)
    assert channel_capacity(0.3, 1) == 0
    for p, s in ((-0.1, 2), (1.1, 2), (0.5, 0)):
        with pytest.raises(ValueError, match="p_correct"):
            channel_capacity(p, s)


@given(st.lists(st.integers(0, 20), min_size=9, max_size=9).filter(sum))
def test_mutual_information_is_that_of_scikit_learn(cells):
    table = np.array(cells).reshape(3, 3)
    rows, columns = np.indices((3, 3))
    expected = mutual_info_score(
        np.repeat(rows, table.ravel()), np.repeat(columns, table.ravel())
    ) / np.log(2)
    assert mutual_information(table) == pytest.approx(expected, abs=1e-9)


def test_conditional_information_weighs_classes_by_their_share():
    tables = [np.array([[30, 0], [0, 30]]), np.array([[5, 5], [5, 5]])]
    assert conditional_mutual_information(tables) == pytest.approx(60 / 80)
    assert conditional_mutual_information([np.zeros((2, 2))]) == 0


def test_soft_information_lies_between_nothing_and_the_entropy_of_the_mean():
    p = np.random.default_rng(0).dirichlet(np.ones(4) / 2, size=500)
    expected = scipy_entropy(p.mean(axis=0), base=2) - scipy_entropy(p, base=2, axis=1).mean()
    assert soft_information(p) == pytest.approx(expected)
    assert 0 < soft_information(p) < entropy(p.mean(axis=0))
    assert soft_information(np.tile([0.2, 0.8], (9, 1))) == pytest.approx(0)


def test_a_perfect_teacher_passes_on_the_whole_conditional_entropy():
    subclasses = np.repeat([0, 1, 2, 3], [40, 20, 10, 30])
    scores = score_information(subclasses, np.eye(4)[subclasses], np.array([0, 0, 1, 1]))
    expected = 0.6 * scipy_entropy([2 / 3, 1 / 3], base=2) + 0.4 * scipy_entropy(
        [0.25, 0.75], base=2
    )
    assert scores["conditional_entropy"] == pytest.approx(expected)
    assert scores["mutual_information"] == pytest.approx(expected)
    assert scores["soft_information"] == pytest.approx(expected)
    assert scores["label_bits"] == 1
    assert scores["subclass_accuracy"] == scores["subclass_accuracy_within_class"] == 1


def test_a_teacher_wrong_about_the_class_is_judged_within_the_true_class():
    subclasses = np.array([0, 1, 0, 1])
    p = np.array([[0.2, 0.1, 0.7], [0.1, 0.2, 0.7], [0.2, 0.1, 0.7], [0.1, 0.2, 0.7]])
    scores = score_information(subclasses, p, np.array([0, 0, 1]))
    assert scores["subclass_accuracy"] == 0
    assert scores["subclass_accuracy_within_class"] == 1
    assert scores["mutual_information"] == pytest.approx(1)
    assert scores["label_bits"] == 1  # the absent class of one subclass weighs nothing


def test_unequal_classes_are_averaged_by_their_share():
    generator = np.random.default_rng(3)
    subclasses = generator.integers(5, size=400)
    p = generator.dirichlet(np.ones(5), size=400)
    p[np.arange(400), subclasses] += 0.4
    p /= p.sum(axis=1, keepdims=True)
    class_of = np.array([0, 0, 1, 1, 1])
    expected = 0.0
    for members in ([0, 1], [2, 3, 4]):
        rows = np.isin(subclasses, members)
        right = np.array(members)[p[rows][:, members].argmax(axis=1)] == subclasses[rows]
        expected += rows.mean() * channel_capacity(float(right.mean()), len(members))
    assert score_information(subclasses, p, class_of)["label_bits"] == pytest.approx(expected)


def test_one_subclass_a_class_has_no_bits_to_pass_on():
    p = np.random.default_rng(1).dirichlet(np.ones(3), size=20)
    scores = score_information(np.arange(20) % 3, p, np.arange(3))
    for key in ("label_bits", "mutual_information", "soft_information", "conditional_entropy"):
        assert scores[key] == 0


def test_no_frames_give_none():
    scores = score_information(np.zeros(0, dtype=int), np.zeros((0, 2)), np.array([0, 0]))
    assert set(scores.values()) == {None}
