"""The mean over a batch, with or without a weight for each example."""

from __future__ import annotations

from torch import Tensor


def batch_mean(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Give (1/B) Σᵢ wᵢ vᵢ.

    The sum is divided by B, not by Σ w: a batch of hard examples shall count for more. Weights of
    one give the very bits, of value and gradient, that no weights give.

    Args:
        values: (B,) one an example.
        weights: (B,) at least 0; None: all 1.

    Returns:
        Scalar.

    Raises:
        ValueError: the shapes differ.

    >>> import torch
    >>> batch_mean(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])).item()
    1.0
    """
    if weights is None:
        return values.mean()
    if weights.shape != values.shape:
        raise ValueError(
            f"weights are {tuple(weights.shape)}, values {tuple(values.shape)}; need one an example"
        )
    return (values * weights.to(values)).mean()
