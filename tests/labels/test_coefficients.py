import warnings
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score

from polypskd.labels import coefficients
from polypskd.labels.coefficients import (
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    sum_votes,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.stats import inter_rater

# Krippendorff 2011, section C: 4 observers, 12 units, values 1 to 5, 0 = missing.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
PUBLISHED_COUNTS = (PUBLISHED[:, :, None] == np.arange(1, 6)).sum(axis=0)

MHIST_TRAIN = (537, 497, 302, 209, 151, 106, 154, 219)
MHIST_TEST = (186, 208, 124, 99, 65, 62, 96, 137)

UNEQUAL = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 15), st.integers(2, 5)), elements=st.integers(0, 4)
)


def histogram_counts(*histograms):
    votes = np.repeat(np.arange(8), np.sum(histograms, axis=0))
    return np.column_stack([7 - votes, votes])


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_alpha_of_krippendorffs_published_example(level, published):
    assert krippendorff_alpha(PUBLISHED_COUNTS, level) == pytest.approx(published, abs=5e-4)


def test_fleiss_and_gwet_of_the_published_example_with_missing_votes():
    # Values of the R package irrCAC for the same table (its data set cac.raw4raters).
    assert fleiss_kappa(PUBLISHED_COUNTS) == pytest.approx(0.76117, abs=5e-6)
    assert gwet_ac1(PUBLISHED_COUNTS) == pytest.approx(0.77544, abs=5e-6)


def test_gwets_paradox_high_agreement_with_one_prevalent_class():
    # Gwet 2002: 118 yes-yes, 5 yes-no, 2 no-yes, 0 no-no; by hand P_o = .944, P_e = .054432.
    counts = np.repeat([[2, 0], [1, 1]], [118, 7], axis=0)
    assert gwet_ac1(counts) == pytest.approx((0.944 - 0.054432) / (1 - 0.054432))
    assert fleiss_kappa(counts) < 0


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 9))
def test_fleiss_is_that_of_statsmodels(seed, classes, annotators):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(annotators, rng.dirichlet(np.ones(classes), 25))
    assert fleiss_kappa(counts) == pytest.approx(inter_rater.fleiss_kappa(counts))


@given(st.integers(0, 10**6), st.integers(2, 6))
def test_cohen_is_that_of_scikit_learn(seed, classes):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, classes, 40)
    b = np.where(rng.random(40) < 0.5, a, rng.integers(0, classes, 40))
    assert cohen_kappa(a, b, classes) == pytest.approx(cohen_kappa_score(a, b))


def test_cohen_leaves_out_frames_that_either_did_not_vote_on():
    a, b = np.array([0, 1, 1, 0, -1, 1]), np.array([0, 1, 0, 0, 1, -1])
    assert cohen_kappa(a, b, 2) == cohen_kappa(a[:4], b[:4], 2) == pytest.approx(0.5)


def alpha_by_pairs(counts, distance):
    """Compare every two votes one by one: no coincidence table, no algebra."""
    units = [np.repeat(np.arange(counts.shape[1]), row) for row in counts if row.sum() > 1]
    every = np.concatenate(units)
    observed = sum(
        sum(distance(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units
    ) / len(every)
    expected = sum(distance(a, b) for a, b in permutations(every, 2))
    return 1 - observed * len(every) * (len(every) - 1) / expected


@given(UNEQUAL)
def test_alpha_is_that_of_comparing_votes_pair_by_pair(counts):
    values = counts[counts.sum(axis=1) > 1].sum(axis=0)
    if (values > 0).sum() < 2:
        assert np.isnan(krippendorff_alpha(counts))
        return

    def ordinal(a, b):
        a, b = sorted((a, b))
        return (values[a : b + 1].sum() - (values[a] + values[b]) / 2) ** 2

    assert krippendorff_alpha(counts) == pytest.approx(alpha_by_pairs(counts, lambda a, b: a != b))
    assert krippendorff_alpha(counts, "ordinal") == pytest.approx(alpha_by_pairs(counts, ordinal))


@given(UNEQUAL, st.randoms())
def test_no_coefficient_depends_on_the_order_of_frames_and_nominal_ones_not_on_that_of_classes(
    counts, random
):
    frames = random.sample(range(len(counts)), len(counts))
    classes = random.sample(range(counts.shape[1]), counts.shape[1])
    for measure in (fleiss_kappa, gwet_ac1, krippendorff_alpha):
        expected = pytest.approx(measure(counts), nan_ok=True)
        assert measure(counts[frames]) == expected
        assert measure(counts[:, classes]) == expected


@given(UNEQUAL)
def test_reversing_the_order_of_classes_keeps_ordinal_alpha(counts):
    expected = pytest.approx(krippendorff_alpha(counts, "ordinal"), nan_ok=True)
    assert krippendorff_alpha(counts[:, ::-1], "ordinal") == expected


def test_with_two_classes_ordinal_is_nominal():
    counts = histogram_counts(MHIST_TRAIN)
    assert krippendorff_alpha(counts, "ordinal") == pytest.approx(krippendorff_alpha(counts))


def test_complete_agreement_on_two_classes_is_one():
    counts = np.array([[3, 0], [0, 4], [2, 0]])
    for value in (
        fleiss_kappa(counts),
        gwet_ac1(counts),
        krippendorff_alpha(counts),
        krippendorff_alpha(counts, "ordinal"),
        cohen_kappa(np.array([0, 1]), np.array([0, 1]), 2),
    ):
        assert value == pytest.approx(1)


def test_with_a_single_class_all_but_gwets_are_undefined():
    counts = np.array([[3, 0], [2, 0]])
    assert np.isnan(fleiss_kappa(counts))
    assert np.isnan(krippendorff_alpha(counts))
    assert np.isnan(krippendorff_alpha(counts, "ordinal"))
    assert np.isnan(cohen_kappa(np.zeros(3, int), np.zeros(3, int), 2))
    assert gwet_ac1(counts) == 1
    assert np.isnan(gwet_ac1(counts[:, :1]))


@pytest.mark.parametrize("counts", [np.eye(3, dtype=int), np.zeros((0, 3), dtype=int)])
def test_without_two_votes_on_a_frame_agreement_is_undefined(counts):
    for measure in (fleiss_kappa, gwet_ac1, krippendorff_alpha):
        assert np.isnan(measure(counts))


def test_sums_by_group_add_up_to_the_same_coefficients():
    counts = np.random.default_rng(3).multinomial(5, [0.5, 0.3, 0.2], 60)
    group = np.random.default_rng(4).integers(0, 7, 60)
    parts, whole = sum_votes(counts, group), sum_votes(counts)
    assert parts.shape == (7, 12)
    np.testing.assert_allclose(parts.sum(axis=0), whole.sum(axis=0))


def test_mhist_has_the_published_kappa_over_train_and_test_together():
    assert fleiss_kappa(histogram_counts(MHIST_TRAIN, MHIST_TEST)) == pytest.approx(0.418, abs=5e-4)
    assert fleiss_kappa(histogram_counts(MHIST_TRAIN)) == pytest.approx(0.407, abs=5e-4)


def test_votes_outside_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"class indices -1\.\.1"):
        cohen_kappa(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="equally long"):
        coefficients.cohen_kappa(np.array([0]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="none negative"):
        fleiss_kappa(np.array([[1, -1]]))
