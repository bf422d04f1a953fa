"""Müller's auxiliary loss."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.errors import ConfigError
from polypskd.training.losses import contrastive_loss

LOGITS = torch.tensor(
    [[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 4.0, -1.0], [2.0, 2.0, -3.0, 1.0]], dtype=torch.float64
)


def by_hand(logits, temperature):
    """Equation 6, example by example: correlations are the products of the unit vectors."""
    n = len(logits)
    likeness = np.corrcoef(logits)
    total = 0.0
    for i in range(n):
        mean = sum(math.exp(likeness[i, j] / temperature) for j in range(n)) / n
        total -= math.log(math.exp(likeness[i, i] / temperature) / mean)
    return total / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_loss_is_equation_six(temperature):
    got = contrastive_loss(LOGITS, temperature).item()
    assert got == pytest.approx(by_hand(LOGITS.numpy(), temperature), abs=1e-8)
    assert got < -0.1


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(3, 10))
@settings(max_examples=6, deadline=None)
def test_the_loss_lies_between_all_alike_and_all_apart(seed, n, outputs):
    z = torch.randn(n, outputs, generator=torch.Generator().manual_seed(seed)).double()
    loss = contrastive_loss(z, 1.0).item()
    assert loss == pytest.approx(by_hand(z.numpy(), 1.0), abs=1e-6)
    assert math.log((1 + (n - 1) * math.exp(-2)) / n) - 1e-9 <= loss <= 1e-9


def test_equal_directions_give_nothing_whatever_their_length():
    row = LOGITS[0]
    z = torch.stack([row, 2 * row + 3, row / 5 - 1])
    assert contrastive_loss(z, 1.0).item() == pytest.approx(0, abs=1e-7)


def test_directions_at_right_angles_give_what_the_formula_says():
    z = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]], dtype=torch.float64)
    expected = math.log((math.e + 1) / 2) - 1
    assert contrastive_loss(z, 1.0).item() == pytest.approx(expected, abs=1e-8)


def test_the_order_of_examples_and_of_outputs_does_not_matter():
    loss = contrastive_loss(LOGITS, 1.0)
    torch.testing.assert_close(contrastive_loss(LOGITS[[2, 0, 1]], 1.0), loss)
    torch.testing.assert_close(contrastive_loss(LOGITS[:, [3, 1, 0, 2]], 1.0), loss)


def test_the_gradient_is_that_of_finite_differences():
    z = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: contrastive_loss(logits, 1.0), (z,))


@pytest.mark.parametrize("fill", [0.0, 1e4, None])
def test_the_gradient_is_finite_for_flat_logits_too(fill):
    z = LOGITS.float() if fill is None else torch.full((3, 4), fill)
    z = z.clone().requires_grad_()
    contrastive_loss(z, 1.0).backward()
    assert torch.isfinite(z.grad).all()


def test_steps_down_the_gradient_spread_the_directions():
    z = (
        torch.ones(6, 4) * torch.arange(4.0) + torch.randn(6, 4, generator=_seeded()) * 0.1
    ).double()
    z.requires_grad_()
    before = np.corrcoef(z.detach().numpy()).mean()
    for _ in range(200):
        (gradient,) = torch.autograd.grad(contrastive_loss(z, 1.0), z)
        z = (z - gradient).detach().requires_grad_()
    assert np.corrcoef(z.detach().numpy()).mean() < before - 0.5


def _seeded():
    return torch.Generator().manual_seed(0)


def test_two_outputs_are_refused():
    with pytest.raises(ConfigError, match="subclass_distillation needs 3 outputs") as told:
        contrastive_loss(LOGITS[:, :2], 1.0)
    assert "\n" not in str(told.value)
