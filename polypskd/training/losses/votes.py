"""Cross entropy against a distribution, such as that of the annotators' votes."""

from __future__ import annotations

from torch import Tensor

from polypskd.training.losses.weights import batch_mean


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross entropy of the outputs against target distributions: -Σ y log p.

    Args:
        logits: (B, K), or (B, S) against distributions over subclasses.
        targets: of the same shape, rows summing to 1.
        weights: (B,) of the examples; None: all 1.

    Returns:
        Scalar, mean over the batch; at its least it is the targets' entropy.

    Raises:
        ValueError: the shapes differ.

    Reference:
        Peterson et al. 2019 (CIFAR-10H), for distributions of human labels.

    >>> import torch
    >>> loss = soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.25, 0.75]]))
    >>> round(loss.exp().item(), 4)
    2.0
    """
    if logits.shape != targets.shape:
        raise ValueError(
            f"logits are {tuple(logits.shape)}, targets {tuple(targets.shape)}; need one shape"
        )
    return batch_mean(-(targets.to(logits) * logits.log_softmax(1)).sum(1), weights)
