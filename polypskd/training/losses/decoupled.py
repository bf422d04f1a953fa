"""Decoupled distillation: the target's share, and the shape of what is left."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from polypskd.labels.outputs import refuse_few_outputs


def other_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """Leave the logit of the label out.

    Args:
        logits: (B, S).
        labels: (B,) index of the output to leave out.

    Returns:
        (B, S - 1), in order.

    >>> other_logits(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1])).tolist()
    [[1.0, 3.0]]
    """
    size, outputs = logits.shape
    kept = torch.arange(outputs, device=logits.device) != labels[:, None]
    return logits[kept].view(size, outputs - 1)


def decoupled_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    beta: float,
) -> Tensor:
    """Weigh the two parts of the distillation divergence freely.

    α T² KL(bᵗ || bˢ) + β T² KL(qᵗ || qˢ), with b = (p_y, 1 - p_y) and q the softmax of the
    non-target logits, all at T. KD is the case α = 1, β = 1 - p_yᵗ. The label's cross entropy is to
    be added, and the authors raise this loss linearly over the first 20 epochs.

    Args:
        student: (B, S) logits.
        teacher: (B, S) logits; no gradient flows into them.
        labels: (B,) index of the target output.
        temperature: T > 0; published 4.
        alpha: weight of the target's part; published 1.
        beta: weight of the others' part; published 8 (CIFAR-100).

    Returns:
        Scalar, mean over the batch.

    Raises:
        ConfigError: S < 3: the others' part is always 0.

    Reference:
        Zhao et al. 2022, Decoupled Knowledge Distillation; settings as in the authors' code.

    >>> z = torch.tensor([[1.0, 0.0, 2.0]])
    >>> loss = decoupled_loss(z, z, torch.tensor([2]), temperature=4.0, alpha=1.0, beta=8.0)
    >>> round(abs(loss.item()), 6)
    0.0
    """
    refuse_few_outputs("dkd", student.shape[1])
    part = []
    for logits in (student / temperature, teacher.detach() / temperature):
        others = other_logits(logits, labels)
        # log (p_y, 1 - p_y) from logits: 1 - p_y of a sure network would round to 0.
        target = logits.gather(1, labels[:, None])
        pair = torch.cat([target, others.logsumexp(1, keepdim=True)], dim=1)
        part.append((pair.log_softmax(1), others.log_softmax(1)))
    (own_pair, own_others), (pair, others) = part
    target_part = functional.kl_div(own_pair, pair, reduction="batchmean", log_target=True)
    others_part = functional.kl_div(own_others, others, reduction="batchmean", log_target=True)
    return (alpha * target_part + beta * others_part) * temperature**2
