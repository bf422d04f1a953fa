"""Cross entropies and divergences, plain, smoothed, and with a weight for each example."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from torch.nn import functional

from polypskd.training.losses import (
    batch_mean,
    class_cross_entropy,
    distillation_divergence,
    distillation_loss,
    soft_cross_entropy,
    standardized_divergence,
    subclass_cross_entropy,
)

CLASS_OF = torch.tensor([0, 0, 0, 1, 1])
CLASSES = torch.tensor([0, 1, 0, 1, 0, 1, 1])
SUBCLASSES = torch.tensor([0, 3, 2, 4, 1, 3, 4])


def draw(seed, width=5, dtype=torch.float32, rows=7):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=dtype) * 3


def hard_and_soft(z, t, weights):
    hard = class_cross_entropy(z, CLASSES, CLASS_OF, weights=weights)
    return distillation_loss(z, t, hard, temperature=4.0, alpha=0.7, weights=weights)


LOSSES = {
    "divergence": lambda z, t, w: distillation_divergence(z, t, 3.0, w),
    "both terms": hard_and_soft,
    "class": lambda z, t, w: class_cross_entropy(z, CLASSES, CLASS_OF, weights=w),
    "subclass": lambda z, t, w: subclass_cross_entropy(z, SUBCLASSES, weights=w),
    "smoothed": lambda z, t, w: subclass_cross_entropy(z, SUBCLASSES, weights=w, smoothing=0.1),
    "soft": lambda z, t, w: soft_cross_entropy(z, t.softmax(1), w),
    "standardized": lambda z, t, w: standardized_divergence(z, t, temperature=2.0, weights=w),
}


def value_and_gradient(loss, seed, weights):
    z = draw(seed).requires_grad_()
    value = loss(z, draw(seed + 1), weights)
    value.backward()
    return value.detach(), z.grad


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 1000))
@settings(max_examples=6, deadline=None)
def test_weights_of_one_change_no_bit_of_value_or_gradient(name, seed):
    plain = value_and_gradient(LOSSES[name], seed, None)
    for dtype in (torch.float32, torch.float64):
        weighted = value_and_gradient(LOSSES[name], seed, torch.ones(7, dtype=dtype))
        for one, other in zip(plain, weighted, strict=True):
            assert torch.equal(one, other)
            assert one.dtype == other.dtype


@pytest.mark.parametrize("name", LOSSES)
def test_a_weighted_loss_is_the_weighted_sum_of_the_losses_of_each_example_over_b(name):
    z, t, w = draw(1), draw(2), torch.linspace(0, 2, 7)
    whole = LOSSES[name](z, t, w)
    # One at a time: a weight of all zeros but one, times that weight.
    parts = [LOSSES[name](z, t, torch.eye(7)[i]) * w[i] for i in range(7)]
    torch.testing.assert_close(whole, torch.stack(parts).sum())


def test_weights_of_another_shape_are_refused_rather_than_broadcast():
    for weights in (torch.ones(7, 1), torch.ones(1), torch.ones(6)):
        with pytest.raises(ValueError, match="weights"):
            batch_mean(torch.ones(7), weights)


@pytest.mark.parametrize("seed", range(5))
def test_the_plain_values_are_those_of_torch(seed):
    z, t = draw(seed, dtype=torch.float64), draw(seed + 1, dtype=torch.float64)
    divergence = functional.kl_div(
        (z / 3).log_softmax(1), (t / 3).softmax(1), reduction="batchmean"
    )
    got = distillation_divergence(z, t, 3.0)
    torch.testing.assert_close(got, divergence * 9, rtol=0, atol=1e-6)
    expected = functional.cross_entropy(z, SUBCLASSES)
    torch.testing.assert_close(subclass_cross_entropy(z, SUBCLASSES), expected, rtol=0, atol=1e-6)


def test_smoothing_takes_from_the_label_and_gives_to_all_outputs_alike():
    z, a = draw(3, dtype=torch.float64), 0.2
    p = softmax(z.numpy(), axis=1)
    for loss, logs, labels in (
        (subclass_cross_entropy(z, SUBCLASSES, smoothing=a), np.log(p), SUBCLASSES),
        (
            class_cross_entropy(z, CLASSES, CLASS_OF, smoothing=a),
            np.log(np.stack([p[:, :3].sum(1), p[:, 3:].sum(1)], 1)),
            CLASSES,
        ),
    ):
        target = (1 - a) * np.eye(logs.shape[1])[labels.numpy()] + a / logs.shape[1]
        assert loss.item() == pytest.approx(-(target * logs).sum(1).mean())


def test_soft_cross_entropy_is_that_of_numpy_and_least_at_the_targets():
    z = draw(4, dtype=torch.float64)
    targets = softmax(draw(5, dtype=torch.float64).numpy(), axis=1)
    expected = -(targets * log_softmax(z.numpy(), axis=1)).sum(1).mean()
    given_targets = torch.from_numpy(targets)
    assert soft_cross_entropy(z, given_targets).item() == pytest.approx(expected)
    entropy = -(targets * np.log(targets)).sum(1).mean()
    at_best = soft_cross_entropy(given_targets.log(), given_targets).item()
    assert at_best == pytest.approx(entropy)
    assert expected > entropy


def test_soft_cross_entropy_of_one_hot_targets_is_the_cross_entropy():
    z = draw(6)
    hot = functional.one_hot(SUBCLASSES, 5).double()
    torch.testing.assert_close(soft_cross_entropy(z, hot), functional.cross_entropy(z, SUBCLASSES))


def test_soft_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="targets"):
        soft_cross_entropy(draw(1), torch.ones(7, 1))
