"""The auxiliary loss by which a teacher invents subclasses of its own."""

from __future__ import annotations

import math

from torch import Tensor

from polypskd.labels.outputs import refuse_few_outputs

VARIANCE = 1e-9  # added to the variance of an example's logits


def contrastive_loss(logits: Tensor, temperature: float) -> Tensor:
    """Push the examples of a batch apart in the directions of their logits.

    L = (1/n) Σᵢ log Σⱼ exp(vᵢ·vⱼ / T) - 1/T - log n, with v the logits of an example less their
    mean, over their standard deviation and √S, so that |v| = 1 and vᵢ·vⱼ is a correlation. The sum
    includes j = i. It is 0, its greatest value, where all directions are equal.

    The paper calls v "zero-mean, unit-variance"; its constant 1/T however needs |v| = 1, which is
    also what the authors' notebook computes. T is in that scale.

    Args:
        logits: (B, S), all subclasses of all classes in one row; n = B.
        temperature: T > 0; published values are 1 (MNIST) and 2.

    Returns:
        Scalar, at most about 0.

    Raises:
        ConfigError: S < 3: two logits have two directions only, one for each class.

    Reference:
        Müller, Kornblith & Hinton 2020, eq. 6 and 7.

    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0, 2.0]])
    >>> round(contrastive_loss(z.repeat(4, 1), 1.0).abs().item(), 4)
    0.0
    """
    size, outputs = logits.shape
    refuse_few_outputs("subclass_distillation", outputs)
    centered = logits - logits.mean(1, keepdim=True)
    variance = centered.square().mean(1, keepdim=True)
    directions = centered / ((variance + VARIANCE) * outputs).sqrt()
    likeness = directions @ directions.T / temperature
    return likeness.logsumexp(1).mean() - 1 / temperature - math.log(size)
