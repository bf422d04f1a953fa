import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom

from polypskd.errors import CohortError, ConfigError
from polypskd.labels.consensus import derive_consensus
from polypskd.labels.soft_targets import (
    lowest_agreement,
    ordinal_targets,
    smooth_votes,
    subclass_by_agreement,
)

SEVEN = np.array([[7 - n, n] for n in range(8)])
COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any), min_size=1)
STRENGTHS = {"linear": (0.0, 1.0), "piecewise": (0.01, 0.5), "sigmoid": (0.1, 50.0)}
Q4 = np.array([1, 6 / 7, 5 / 7, 4 / 7])


def higher(counts, form, strength):
    return smooth_votes(np.array(counts), form=form, strength=strength)[:, 1]


def test_piecewise_of_seven_votes_is_the_papers_formula():
    # n_m = 4 and n_m - 1 = 3, for the class of higher risk.
    o = 0.3
    expected = [0, o / 3, 2 * o / 3, o, 0.5, 1 - o + o / 3, 1 - o + 2 * o / 3, 1]
    np.testing.assert_allclose(higher(SEVEN, "piecewise", o), expected)


def test_linear_and_sigmoid_of_seven_votes_are_the_papers_formulas():
    n = np.arange(8)
    np.testing.assert_allclose(higher(SEVEN, "linear", 0.2), 0.8 * n / 7 + 0.1)
    np.testing.assert_allclose(higher(SEVEN, "sigmoid", 5.0), expit(5 * (n / 7 - 0.5)))


@pytest.mark.parametrize("form", STRENGTHS)
@given(counts=COUNTS, share=st.floats(0, 1))
def test_rows_are_distributions(form, counts, share):
    low, high = STRENGTHS[form]
    targets = smooth_votes(np.array(counts), form=form, strength=low + share * (high - low))
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert (targets >= 0).all()
    assert (targets <= 1).all()


@pytest.mark.parametrize("form", STRENGTHS)
@given(total=st.integers(1, 12))
def test_more_votes_for_a_class_never_give_it_less(form, total):
    counts = [[total - n, n] for n in range(total + 1)]
    assert (np.diff(higher(counts, form, STRENGTHS[form][1] / 2)) >= 0).all()


@given(st.integers(1, 12), st.floats(0.01, 0.5))
def test_piecewise_is_sure_where_all_agree_and_unsure_at_a_tie_whatever_the_number(total, o):
    counts = [[0, total], [total, 0], [total, total]]
    assert higher(counts, "piecewise", o).tolist() == [1, 0, 0.5]


def test_frames_may_have_different_numbers_of_votes():
    counts = [[1, 2], [2, 5], [0, 1], [2, 4]]
    alone = [higher([row], "piecewise", 0.4)[0] for row in counts]
    np.testing.assert_allclose(higher(counts, "piecewise", 0.4), alone)
    # N = 6, n_m = 3: the branch above divides by 3, not by n_m - 1 = 2.
    assert alone[3] == pytest.approx(0.6 + 0.4 / 3)


def test_linear_serves_any_number_of_classes():
    counts = np.array([[1, 2, 1], [0, 0, 5]])
    got = smooth_votes(counts, form="linear", strength=0.3)
    np.testing.assert_allclose(got, 0.7 * counts / counts.sum(1, keepdims=True) + 0.1)
    assert np.array_equal(
        smooth_votes(counts, form="linear", strength=0), derive_consensus(counts).distribution
    )


@pytest.mark.parametrize("form", ["piecewise", "sigmoid"])
@pytest.mark.parametrize("classes", [1, 3])
def test_forms_of_two_classes_refuse_others(form, classes):
    with pytest.raises(ConfigError, match=f"{form} is defined for two classes, not {classes}"):
        smooth_votes(np.ones((2, classes), dtype=np.int64), form=form, strength=0.3)


@pytest.mark.parametrize(
    ("form", "strength"),
    [("linear", -0.1), ("linear", 1.1), ("piecewise", 0), ("piecewise", 0.6), ("sigmoid", 0)]
    + [(form, float("nan")) for form in STRENGTHS],
)
def test_a_strength_out_of_range_is_refused(form, strength):
    with pytest.raises(ConfigError, match=r"student\.method\.strength"):
        smooth_votes(SEVEN, form=form, strength=strength)


def test_frames_without_votes_are_refused():
    with pytest.raises(CohortError, match="row 1: no votes for 1 of 3 frames"):
        smooth_votes(np.array([[1, 2], [0, 0], [3, 0]]), form="linear", strength=0.1)


def spread(agreement, n_votes, classes, lowest=Q4, per_class=4, count=2):
    class_of = np.repeat(np.arange(count), per_class)
    subclass_of = subclass_by_agreement(class_of, np.tile(lowest, count))
    return ordinal_targets(
        np.asarray(agreement),
        np.asarray(n_votes),
        np.asarray(classes),
        class_of=class_of,
        subclass_of=subclass_of,
    )


def test_seven_votes_spread_as_the_binomial_of_scipy():
    for index in (0, 1):
        for votes in (4, 5, 6, 7):
            (row,) = spread([votes / 7], [7], [index])
            mass = binom(7, votes / 7).pmf([7, 6, 5, 4])
            expected = np.zeros(8)
            expected[4 * index : 4 * index + 4] = mass / mass.sum()
            np.testing.assert_allclose(row, expected, atol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any), min_size=1))
@settings(max_examples=50)
def test_every_row_is_a_distribution_within_its_class(counts):
    found = derive_consensus(np.array(counts))
    votes = np.array(counts).sum(axis=1)
    targets = spread(found.agreement, votes, found.consensus)
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    inside = np.repeat(np.arange(2), 4) == found.consensus[:, None]
    assert (targets[~inside] == 0).all()
    # The rounding of examples.csv changes nothing.
    rounded = spread(np.round(found.agreement, 6), votes, found.consensus)
    assert np.array_equal(rounded, targets)


@given(st.integers(1, 60), st.data())
@settings(max_examples=40)
def test_any_number_of_votes_and_merged_levels_follow_scipy(n, data):
    index = data.draw(st.integers(0, 1))
    least = next(v for v in range(n + 1) if 2 * v > n or (index and 2 * v == n))
    votes = data.draw(st.integers(max(least, 1), n))
    (row,) = spread([votes / n], [n], [index], lowest=np.array([0.8, 0.5]), per_class=2)
    possible = np.arange(max(least, 1), n + 1)
    mass = binom(n, votes / n).pmf(possible)
    easy = mass[possible / n >= 0.8 - 1e-9].sum() / mass.sum()
    np.testing.assert_allclose(row[2 * index : 2 * index + 2], [easy, 1 - easy], atol=1e-9)


def test_a_tie_counts_for_the_class_of_higher_risk_alone():
    lowest = np.array([0.75, 0.5])
    low, high = spread([0.75, 0.75], [4, 4], [0, 1], lowest=lowest, per_class=2)
    assert low.tolist() == [1, 0, 0, 0]  # 2 of 4 would not be a consensus for class 0
    two = binom(4, 0.75).pmf(2) / binom(4, 0.75).pmf([2, 3, 4]).sum()
    np.testing.assert_allclose(high, [0, 0, 1 - two, two])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_votes_that_may_win_are_those_of_every_possible_vote(count):
    # The fewest votes with which a class is ever the consensus, by trying all votes.
    from itertools import product

    n = 5
    tables = np.array([t for t in product(range(n + 1), repeat=count) if sum(t) == n])
    found = derive_consensus(tables)
    for index in range(count):
        mine = found.consensus == index
        least = tables[mine, index].min()
        targets = spread(
            [1 - 1 / n], [n], [index], lowest=np.arange(n, 0, -1) / n, per_class=n, count=count
        )
        reached = np.flatnonzero(targets[0, n * index : n * index + n] > 0)
        assert n - reached.max() == least


def test_a_unanimous_frame_stays_in_the_easiest_level():
    assert spread([1.0], [7], [1])[0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_the_expected_level_rises_as_agreement_falls():
    targets = spread(np.array([7, 6, 5, 4]) / 7, [7] * 4, [0] * 4)
    assert (np.diff(targets[:, :4] @ np.arange(4)) > 0).all()


def test_what_is_no_share_of_the_votes_is_refused():
    with pytest.raises(ValueError, match=r"frame 1: an agreement of 0\.5 is no share of 7 votes"):
        spread([1.0, 0.5], [7, 7], [0, 0])


def test_a_subclass_of_another_class_is_refused():
    with pytest.raises(ValueError, match="subclass 0 is not its"):
        ordinal_targets(
            np.array([1.0]),
            np.array([3]),
            np.array([1]),
            class_of=np.array([0, 1]),
            subclass_of=lambda index, agreement: 0,
        )


def test_seen_thresholds_put_every_seen_frame_where_it_is():
    rng = np.random.default_rng(0)
    agreement = rng.integers(4, 8, size=60) / 7
    classes = rng.integers(0, 2, size=60)
    # Class 0 has two levels, class 1 has three; an empty subclass stands at the end.
    subclass = np.where(classes == 0, (agreement < 0.8).astype(int), 2 + (agreement < 0.9) * 1)
    subclass += (classes == 1) & (agreement < 0.7)
    class_of = np.array([0, 0, 1, 1, 1, 1])
    lowest = lowest_agreement(subclass, agreement, 6)
    assert np.isinf(lowest[5])
    subclass_of = subclass_by_agreement(class_of, lowest)
    got = [subclass_of(int(c), float(a)) for c, a in zip(classes, agreement, strict=True)]
    assert got == subclass.tolist()
