"""Cross entropies against one label, and the way from subclass logits to class logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from polypskd.training.losses.weights import batch_mean


def class_logits(logits: Tensor, class_of: Tensor) -> Tensor:
    """Sum subclass probabilities within each class, in logits.

    With p = softmax(logits), the softmax of the result is the sum of p over each class's
    subclasses: the class probability is the sum of its subclasses' probabilities. It also
    marginalizes a teacher of subclasses for a student of classes; soften after it, not before.

    Args:
        logits: (B, S).
        class_of: (S,) class index of each subclass; every class 0..K-1 occurs.

    Returns:
        (B, K).

    Reference:
        Müller, Kornblith & Hinton 2020, eq. 1 and 2: class logit = logsumexp of its subclasses.

    >>> z = torch.tensor([[0.0, 0.0, 1.0]])
    >>> p = class_logits(z, torch.tensor([0, 0, 1])).softmax(1)
    >>> torch.allclose(p[:, 0], z.softmax(1)[:, :2].sum(1))
    True
    """
    columns = [logits[:, class_of == k].logsumexp(1) for k in range(int(class_of.max()) + 1)]
    return torch.stack(columns, dim=1)


def class_cross_entropy(
    logits: Tensor,
    classes: Tensor,
    class_of: Tensor,
    *,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of the class, from subclass logits: the first form of the hard term.

    Args:
        logits: (B, S).
        classes: (B,) class indices.
        class_of: (S,).
        weights: (B,) of the examples; None: all 1.
        smoothing: a in [0, 1): the target is (1 - a) · one-hot + a / K, over classes.

    Returns:
        Scalar, mean over the batch.

    Reference:
        Müller, Kornblith & Hinton 2020, eq. 1; smoothing: Szegedy et al. 2016, section 7.

    >>> z = torch.zeros(1, 4)
    >>> loss = class_cross_entropy(z, torch.tensor([0]), torch.tensor([0, 0, 1, 1]))
    >>> round(loss.exp().item(), 4)
    2.0
    """
    return subclass_cross_entropy(
        class_logits(logits, class_of), classes, weights=weights, smoothing=smoothing
    )


def subclass_cross_entropy(
    logits: Tensor, subclasses: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross entropy of the subclass: the teacher's loss, and the second form of the hard term.

    Args:
        logits: (B, S).
        subclasses: (B,) subclass indices.
        weights: (B,) of the examples; None: all 1.
        smoothing: a in [0, 1): the target is (1 - a) · one-hot + a / S, over subclasses.

    Returns:
        Scalar, mean over the batch.

    Reference:
        Smoothing: Szegedy et al. 2016, section 7.

    >>> round(subclass_cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().item(), 4)
    4.0
    """
    each = functional.cross_entropy(logits, subclasses, reduction="none", label_smoothing=smoothing)
    return batch_mean(each, weights)
