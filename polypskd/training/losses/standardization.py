"""Distillation of standardized logits: the student need not match the teacher's scale."""

from __future__ import annotations

from torch import Tensor

from polypskd.labels.outputs import refuse_few_outputs
from polypskd.training.losses.distillation import distillation_divergence

DEVIATION = 1e-7  # added to the standard deviation


def _standardize(logits: Tensor) -> Tensor:
    centered = logits - logits.mean(1, keepdim=True)
    variance = centered.square().sum(1, keepdim=True) / (logits.shape[1] - 1)
    # A root at 0 has no gradient, and a head that starts from zeros is there.
    return centered / ((variance + DEVIATION**2).sqrt() + DEVIATION)


def standardized_divergence(
    student: Tensor, teacher: Tensor, *, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Distil z-scored logits: z ← (z - mean) / (std + 1e-7) for both networks, then KD.

    The standard deviation is that of a sample (S - 1), as in the authors' code; that of a
    population would act as a temperature lower by √((S - 1) / S).

    Args:
        student: (B, S) logits.
        teacher: (B, S) logits; no gradient flows into them.
        temperature: T > 0; published 2, with a weight of 9 on this loss.
        weights: (B,) of the examples; None: all 1.

    Returns:
        Scalar, mean over the batch.

    Raises:
        ConfigError: S < 3: z-scores of two logits carry no confidence.

    Reference:
        Sun et al. 2024, Logit Standardization in Knowledge Distillation.

    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0, 2.0]])
    >>> round(abs(standardized_divergence(5 * z + 1, z, temperature=2.0).item()), 6)
    0.0
    """
    refuse_few_outputs("logit_std", student.shape[1])
    return distillation_divergence(
        _standardize(student), _standardize(teacher.detach()), temperature, weights
    )
