"""DKD, NKD, DIST and logit standardization."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import pearsonr, zscore

from polypskd.errors import ConfigError
from polypskd.training.losses import (
    correlation_loss,
    decoupled_loss,
    distillation_divergence,
    normalized_loss,
    refuse_few_outputs,
    standardized_divergence,
)

LABELS = torch.tensor([0, 3, 2, 1, 1, 3])
SEEDS = st.integers(0, 1000)


def draw(seed, width=4, rows=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) * 2


def dkd(z, t, labels=LABELS):
    return decoupled_loss(z, t, labels, temperature=4.0, alpha=1.0, beta=8.0)


def nkd(z, t, labels=LABELS):
    return normalized_loss(z, t, labels, temperature=2.0, gamma=1.5)


def dist(z, t, labels=LABELS):
    return correlation_loss(z, t, beta=2.0, gamma=0.5, temperature=3.0)


def logit_std(z, t, labels=LABELS):
    return standardized_divergence(z, t, temperature=2.0)


LOSSES = {"dkd": dkd, "nkd": nkd, "dist": dist, "logit_std": logit_std}


def others_by_hand(logits, label, temperature):
    return softmax(np.delete(logits, label) / temperature)


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_dkd_is_its_two_divergences(seed):
    s, t = draw(seed).numpy(), draw(seed + 1).numpy()
    expected = 0.0
    for own, given_logits, y in zip(s, t, LABELS.tolist(), strict=True):
        p, q = softmax(given_logits / 4), softmax(own / 4)
        target = rel_entr([p[y], 1 - p[y]], [q[y], 1 - q[y]]).sum()
        others = rel_entr(others_by_hand(given_logits, y, 4), others_by_hand(own, y, 4)).sum()
        expected += 16 * (target + 8 * others) / 6
    got = dkd(torch.from_numpy(s), torch.from_numpy(t)).item()
    assert got == pytest.approx(expected)


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_dkd_with_the_coupled_weights_is_kd(seed):
    s, t, label = draw(seed, rows=1), draw(seed + 1, rows=1), torch.tensor([2])
    beta = 1 - (t / 4).softmax(1)[0, 2].item()
    got = decoupled_loss(s, t, label, temperature=4.0, alpha=1.0, beta=beta)
    torch.testing.assert_close(got, distillation_divergence(s, t, 4.0))


def test_dkd_of_a_very_sure_network_stays_finite():
    s, t = torch.zeros(1, 3), torch.tensor([[200.0, 0.0, 1.0]])
    for one, other in ((s, t), (t, s)):
        z = one.clone().requires_grad_()
        loss = decoupled_loss(z, other, torch.tensor([0]), temperature=1.0, alpha=1.0, beta=8.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(z.grad).all()


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_nkd_is_its_formula(seed):
    s, t = draw(seed).numpy(), draw(seed + 1).numpy()
    expected = 0.0
    for own, given_logits, y in zip(s, t, LABELS.tolist(), strict=True):
        expected -= softmax(given_logits)[y] * log_softmax(own)[y] / 6
        others = others_by_hand(given_logits, y, 2) * np.log(others_by_hand(own, y, 2))
        expected -= 1.5 * 4 * others.sum() / 6
    assert nkd(torch.from_numpy(s), torch.from_numpy(t)).item() == pytest.approx(expected)


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_dist_is_the_correlation_of_scipy(seed):
    s, t = draw(seed), draw(seed + 1)
    y, x = softmax(s.numpy() / 3, axis=1), softmax(t.numpy() / 3, axis=1)
    rows = np.mean([pearsonr(a, b)[0] for a, b in zip(y, x, strict=True)])
    columns = np.mean([pearsonr(a, b)[0] for a, b in zip(y.T, x.T, strict=True)])
    expected = 9 * (2 * (1 - rows) + 0.5 * (1 - columns))
    assert dist(s, t).item() == pytest.approx(expected, abs=1e-4)


def test_dist_sees_no_change_of_scale_and_shift_of_the_probabilities():
    t = draw(1)
    p = t.softmax(1)
    nearer = (0.5 * p + 0.5 / 4).log()  # as sure by half: ρ is 1 by rows and by columns
    loss = correlation_loss(nearer, t, beta=1.0, gamma=1.0, temperature=1.0)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert distillation_divergence(nearer, t, 1.0).item() > 0.01


def test_dist_of_a_single_example_has_a_constant_for_its_columns():
    z = draw(1, rows=1).requires_grad_()
    loss = correlation_loss(z, draw(2, rows=1), beta=0.0, gamma=3.0, temperature=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(3)
    assert (z.grad == 0).all()


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_standardization_takes_scale_and_shift_away_and_no_more(seed):
    s, t = draw(seed), draw(seed + 1)
    scored = [torch.from_numpy(zscore(z.numpy(), axis=1, ddof=1)) for z in (s, t)]
    got = logit_std(s, t)
    torch.testing.assert_close(got, distillation_divergence(*scored, 2.0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(logit_std(7 * s - 2, t), got, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_finite_differences(name):
    t = draw(2)
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, t), (draw(1).requires_grad_(),))


@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_flows_into_the_teacher(name):
    z, t = draw(1).requires_grad_(), draw(2).requires_grad_()
    LOSSES[name](z, t).backward()
    assert t.grad is None
    assert (z.grad != 0).any()


@pytest.mark.parametrize("name", ["dkd", "dist", "logit_std"])
def test_a_student_equal_to_its_teacher_has_loss_and_gradient_near_zero(name):
    t = draw(3)
    z = t.clone().requires_grad_()
    loss = LOSSES[name](z, t)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(z.grad, torch.zeros_like(z), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_head_that_starts_from_zeros_has_a_finite_gradient(name):
    z = torch.zeros(6, 4, requires_grad=True)
    LOSSES[name](z, draw(1).float()).backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_two_outputs_are_refused_with_reason_and_remedy_in_one_line(name):
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    with pytest.raises(ConfigError, match=f"student.method: {name} needs 3 outputs") as told:
        LOSSES[name](draw(1, 2), draw(2, 2), labels)
    assert "over: subclass" in str(told.value)
    assert "not 2: " in str(told.value)
    assert "\n" not in str(told.value)
    LOSSES[name](draw(1, 3), draw(2, 3), labels)
    refuse_few_outputs(name, 3)


def test_the_reasons_hold():
    # What the refusals say of two outputs, computed on what is left of the formulas.
    s, t = draw(1, 2).numpy(), draw(2, 2).numpy()
    assert all(others_by_hand(row, 0, 4) == 1 for row in s)
    for own, given_logits in zip(softmax(s, axis=1), softmax(t, axis=1), strict=True):
        sign = np.sign(own[0] - own[1]) * np.sign(given_logits[0] - given_logits[1])
        assert pearsonr(own, given_logits)[0] == pytest.approx(sign)
    np.testing.assert_allclose(np.abs(zscore(s, axis=1)), 1)
