"""Distillation by correlation: the order and spacing of outputs, not their values."""

from __future__ import annotations

import torch
from torch import Tensor

from polypskd.labels.outputs import refuse_few_outputs

NORM = 1e-8  # added to the product of norms


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlate row by row: (R, C), (R, C) → (R,); 0 where a row is constant."""
    a = a - a.mean(1, keepdim=True)
    b = b - b.mean(1, keepdim=True)
    norms: Tensor = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    return (a * b).sum(1) / (norms + NORM)


def correlation_loss(
    student: Tensor, teacher: Tensor, *, beta: float, gamma: float, temperature: float
) -> Tensor:
    """Correlate the probabilities of student and teacher, by example and by output.

    T² [β (1 - mean of ρ over rows) + γ (1 - mean of ρ over columns)], with ρ Pearson's correlation
    of the tables (B, S) of softmax(z / T). The label's cross entropy is to be added.

    Args:
        student: (B, S) logits.
        teacher: (B, S) logits; no gradient flows into them.
        beta: β, weight of the relation between outputs, within an example.
        gamma: γ, weight of the relation between examples, within an output; a batch of one example
            has none, and adds the constant γ T².
        temperature: T > 0.

    Returns:
        Scalar in [0, 2 T² (β + γ)].

    Raises:
        ConfigError: S < 3: β's term is only a sign.

    Reference:
        Huang et al. 2022, Knowledge Distillation from A Stronger Teacher (DIST).

    >>> z = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    >>> round(abs(correlation_loss(z, z, beta=1.0, gamma=1.0, temperature=1.0).item()), 3)
    0.0
    """
    refuse_few_outputs("dist", student.shape[1])
    own = (student / temperature).softmax(1)
    given = (teacher.detach() / temperature).softmax(1)
    between = 1 - _pearson(own, given).mean()
    within = 1 - _pearson(own.T, given.T).mean()
    return (beta * between + gamma * within) * temperature**2
