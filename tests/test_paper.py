"""Properties that the papers promise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from torch.nn import functional

from polypskd.config import ConventionalKD, SubclassKD
from polypskd.training.losses import (
    class_cross_entropy,
    class_logits,
    distillation_divergence,
    distillation_loss,
)
from polypskd.training.objectives import Labels, build_objective

CLASS_OF = torch.tensor([0, 0, 0, 1, 1])


def logits(seed: int, width: int = 5) -> torch.Tensor:
    return torch.randn(7, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_class_probability_is_the_sum_of_its_subclasses(seed):
    z = logits(seed) * 5
    p = z.softmax(1)
    expected = torch.stack([p[:, :3].sum(1), p[:, 3:].sum(1)], 1)
    torch.testing.assert_close(class_logits(z, CLASS_OF).softmax(1), expected)


def test_class_cross_entropy_is_minus_log_of_the_summed_probability():
    z, y = logits(1), torch.tensor([0, 1, 0, 1, 0, 1, 1])
    p = z.softmax(1).numpy()
    summed = np.stack([p[:, :3].sum(1), p[:, 3:].sum(1)], 1)
    expected = -np.log(summed[np.arange(7), y]).mean()
    assert class_cross_entropy(z, y, CLASS_OF).item() == pytest.approx(expected)


def test_one_subclass_a_class_turns_skd_into_kd():
    z, t = logits(1, 2), logits(2, 2)
    y = torch.tensor([0, 1, 0, 1, 0, 1, 1])
    rows = torch.arange(7)
    labels = Labels(y, y, torch.tensor([0, 1]), t[:, None])
    kd = build_objective(ConventionalKD(temperature=3, alpha=0.4), labels).loss(z, rows, 0)
    for hard in ("class", "subclass"):
        skd = build_objective(SubclassKD(temperature=3, alpha=0.4, hard_term=hard), labels)
        torch.testing.assert_close(skd.loss(z, rows, 0), kd)


def test_the_distillation_term_is_the_papers_cross_entropy_less_the_teachers_entropy():
    s, t, temperature = logits(1), logits(2), 4.0
    p, q = softmax(t / temperature, axis=1), softmax(s / temperature, axis=1)
    cross_entropy = -(p * np.log(q)).sum(1).mean()
    entropy = -(p * np.log(p)).sum(1).mean()
    expected = (cross_entropy - entropy) * temperature**2
    assert distillation_divergence(s, t, temperature).item() == pytest.approx(expected)


def test_divergence_and_cross_entropy_have_the_same_gradient():
    t = logits(2)
    gradients = []
    for term in (
        lambda s: distillation_divergence(s, t, 4.0),
        lambda s: functional.cross_entropy(s / 4.0, (t / 4.0).softmax(1)) * 16,
    ):
        s = logits(1).requires_grad_()
        term(s).backward()
        gradients.append(s.grad)
    torch.testing.assert_close(*gradients)


def test_t_squared_keeps_the_scale_of_the_gradient():
    # At high T, with zero-mean logits, it tends to (z - t) / (N S): Hinton et al. 2015, eq. 4.
    t = logits(2)
    t = t - t.mean(1, keepdim=True)
    gradients = {}
    for temperature in (50.0, 500.0):
        s = logits(1)
        s = (s - s.mean(1, keepdim=True)).requires_grad_()
        distillation_divergence(s, t, temperature).backward()
        gradients[temperature] = s.grad
        expected = (s - t).detach() / (7 * 5)
        torch.testing.assert_close(s.grad, expected, rtol=0.1, atol=1e-3)
    torch.testing.assert_close(gradients[50.0], gradients[500.0], rtol=0.2, atol=2e-3)


def test_no_gradient_flows_into_the_teacher():
    s, t = logits(1).requires_grad_(), logits(2).requires_grad_()
    distillation_divergence(s, t, 2.0).backward()
    assert t.grad is None


def test_a_student_equal_to_its_teacher_has_no_gradient():
    t = logits(3)
    s = t.clone().requires_grad_()
    distillation_divergence(s, t, 2.0).backward()
    torch.testing.assert_close(s.grad, torch.zeros_like(s))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_weighs_between_soft_and_hard(alpha):
    s, t = logits(1), logits(2)
    hard = class_cross_entropy(s, torch.zeros(7, dtype=torch.long), CLASS_OF)
    soft = distillation_divergence(s, t, 4.0)
    got = distillation_loss(s, t, hard, temperature=4.0, alpha=alpha)
    torch.testing.assert_close(got, soft if alpha else hard)


def test_the_subclass_hard_term_sees_the_subclass_and_the_class_term_does_not():
    z, t = logits(1), logits(2)
    rows, classes = torch.arange(7), torch.zeros(7, dtype=torch.long)

    def loss(hard: str, subclass: int) -> float:
        labels = Labels(classes, torch.full((7,), subclass), CLASS_OF, t[:, None])
        return build_objective(SubclassKD(hard_term=hard), labels).loss(z, rows, 0).item()

    assert loss("class", 0) == loss("class", 2)
    assert loss("subclass", 0) != loss("subclass", 2)
