"""Normalized distillation: the target as a weight, the others made to sum to one."""

from __future__ import annotations

from torch import Tensor

from polypskd.labels.outputs import refuse_few_outputs
from polypskd.training.losses.decoupled import other_logits


def normalized_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float, gamma: float
) -> Tensor:
    """Distil the target's probability and the normalized distribution of the others.

    -p_yᵗ log p_yˢ - γ T² Σ_{k≠y} qᵗ(T) log qˢ(T), with p at temperature 1 and q the softmax of the
    non-target logits. The label's cross entropy is to be added.

    Args:
        student: (B, S) logits.
        teacher: (B, S) logits; no gradient flows into them.
        labels: (B,) index of the target output.
        temperature: T > 0 of the others; published 1.
        gamma: γ, weight of the others; published 1.5.

    Returns:
        Scalar, mean over the batch.

    Raises:
        ConfigError: S < 3: the others' part is always 0.

    Reference:
        Yang et al. 2023, From Knowledge Distillation to Self-Knowledge Distillation: A Unified
        Approach with Normalized Loss and Customized Soft Labels.

    >>> import torch
    >>> z = torch.zeros(1, 3)
    >>> loss = normalized_loss(z, z, torch.tensor([0]), temperature=1.0, gamma=0.0)
    >>> round((3 * loss).exp().item(), 4)
    3.0
    """
    refuse_few_outputs("nkd", student.shape[1])
    teacher = teacher.detach()
    target = labels[:, None]
    sure = teacher.softmax(1).gather(1, target) * student.log_softmax(1).gather(1, target)
    others = (other_logits(teacher, labels) / temperature).softmax(1)
    own = (other_logits(student, labels) / temperature).log_softmax(1)
    return -sure.mean() - gamma * temperature**2 * (others * own).sum(1).mean()
