"""Class-wise distillation: hardness and effort."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polypskd.training.losses import class_hardness, distillation_divergence, effort_weights

FORMS = ("graded", "two_level")
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(SHARES, st.floats(-4, 4), st.sampled_from(FORMS), st.data())
def test_the_mean_weight_of_an_example_is_one(hardness, gamma, form, data):
    priors = np.array(data.draw(st.lists(st.integers(1, 99), min_size=len(hardness))))
    priors = priors[: len(hardness)] / priors[: len(hardness)].sum()
    weights = effort_weights(np.array(hardness), priors, gamma=gamma, form=form)
    assert priors @ weights == pytest.approx(1)
    assert (weights > 0).all()
    assert weights.max() / weights.min() <= 6 + 1e-9  # both bounds of the clip, before the division
    order = np.argsort(hardness)
    assert (np.diff(weights[order]) * np.sign(gamma) >= -1e-9).all()  # harder, more effort


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_gamma_zero_gives_ones_to_the_bit(form, classes):
    rng = np.random.default_rng(classes)
    for _ in range(50):
        hardness, priors = rng.random((2, classes))
        assert (effort_weights(hardness, priors, gamma=0.0, form=form) == 1).all()


@pytest.mark.parametrize("form", FORMS)
def test_gamma_zero_is_plain_distillation_bit_for_bit(form):
    generator = torch.Generator().manual_seed(0)
    z, t = torch.randn(2, 9, 3, generator=generator)
    own = effort_weights(np.array([0.1, 0.4, 0.3]), np.array([5, 2, 9]), gamma=0, form=form)
    weights = torch.from_numpy(own)[torch.tensor([0, 1, 2] * 3)]
    assert torch.equal(
        distillation_divergence(z, t, 4.0, weights), distillation_divergence(z, t, 4.0)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1.0])
def test_classes_equally_hard_have_equal_weight(form, value):
    hardness = np.full(3, value)
    weights = effort_weights(hardness, np.array([0.2, 0.3, 0.5]), gamma=2.0, form=form)
    assert (weights == 1).all()


def test_the_forms_by_hand():
    hardness, priors = np.array([0.125, 0.25, 0.375]), np.array([0.5, 0.25, 0.25])
    # graded: (0.5, 1, 1.5); mean 0.25 + 0.25 + 0.375 = 0.875
    got = effort_weights(hardness, priors, gamma=1.0, form="graded")
    np.testing.assert_allclose(got, np.array([0.5, 1, 1.5]) / 0.875)
    # two levels: (1, 1, 3); mean 0.75 + 0.75 = 1.5
    got = effort_weights(hardness, priors, gamma=2.0, form="two_level")
    np.testing.assert_allclose(got, np.array([1, 1, 3]) / 1.5)


def test_weights_are_clipped_before_they_are_divided():
    hardness = np.array([0.0, 0.0, 0.0, 1.0])
    priors = np.full(4, 0.25)
    got = effort_weights(hardness, priors, gamma=1.0, form="graded")
    np.testing.assert_allclose(got, np.array([0.5, 0.5, 0.5, 3]) / 1.125)
    got = effort_weights(hardness, priors, gamma=-1.0, form="graded")  # 0 to the power -1
    np.testing.assert_allclose(got, np.array([3, 3, 3, 0.5]) / 2.375)


def test_numbers_of_examples_serve_as_priors():
    hardness, counts = np.array([0.1, 0.2]), np.array([30, 10])
    got = effort_weights(hardness, counts, gamma=1.0, form="graded")
    np.testing.assert_allclose(got, effort_weights(hardness, counts / 40, gamma=1.0, form="graded"))


def test_hardness_by_each_signal():
    own, teacher = np.array([0.9, 0.5, 0.7]), np.array([0.8, 0.75, 0.7])
    np.testing.assert_allclose(class_hardness(own, teacher, "student"), [0.1, 0.5, 0.3])
    np.testing.assert_allclose(class_hardness(own, teacher, "teacher"), [0.2, 0.25, 0.3])
    np.testing.assert_allclose(class_hardness(own, teacher, "gap"), [0, 0.25, 0])


def test_an_absent_class_is_as_hard_as_the_mean_of_the_others():
    own = np.array([0.9, np.nan, 0.5])
    np.testing.assert_allclose(class_hardness(own, None, "student"), [0.1, 0.3, 0.5])
    teacher = np.array([np.nan, 0.6, 0.9])
    np.testing.assert_allclose(class_hardness(own, teacher, "gap"), [0.4, 0.4, 0.4])
    nothing = np.full(2, np.nan)
    assert class_hardness(nothing, None, "student").tolist() == [0, 0]


def test_what_is_missing_or_out_of_range_is_refused():
    ones = np.ones(2)
    with pytest.raises(ValueError, match="teacher's recall"):
        class_hardness(ones, None, "gap")
    with pytest.raises(ValueError, match="priors"):
        effort_weights(ones, np.ones(3), gamma=1.0, form="graded")
    for hardness, priors in ((-ones, ones), (ones * np.nan, ones), (ones, ones * 0)):
        with pytest.raises(ValueError, match="at least 0"):
            effort_weights(hardness, priors, gamma=1.0, form="graded")
