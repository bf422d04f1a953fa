"""Distillation by softened outputs, of classes (KD) or of subclasses (SKD)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from polypskd.training.losses.weights import batch_mean


def distillation_divergence(
    student: Tensor, teacher: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Kullback-Leibler divergence of student from teacher, both softened, times T².

    T² keeps the scale of the gradient, which falls with 1/T². The papers write a cross entropy: it
    has the same gradient, and a constant more, the teacher's entropy, that would hide the progress.

    Args:
        student: (B, S) logits.
        teacher: (B, S) logits; no gradient flows into them.
        temperature: T > 0.
        weights: (B,) of the examples; None: all 1.

    Returns:
        Scalar, mean over the batch.

    Reference:
        Hinton, Vinyals & Dean 2015, section 2; Müller, Kornblith & Hinton 2020, eq. 3.

    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0, 2.0]])
    >>> distillation_divergence(z, z, 4.0).item()
    0.0
    """
    log_teacher = (teacher.detach() / temperature).log_softmax(1)
    log_student = (student / temperature).log_softmax(1)
    cells = functional.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return batch_mean(cells.sum(1), weights) * temperature**2


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    hard: Tensor,
    *,
    temperature: float,
    alpha: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Weigh the distillation term against a hard term: alpha · soft + (1 - alpha) · hard.

    Args:
        student: (B, S) logits; S = K for conventional KD.
        teacher: (B, S) logits; no gradient flows into them.
        hard: scalar, the hard term; weigh its examples alike.
        temperature: T > 0.
        alpha: share of the distillation term, in [0, 1].
        weights: (B,) of the examples in the distillation term; None: all 1.

    Returns:
        Scalar.

    Reference:
        Müller, Kornblith & Hinton 2020, eq. 4; Sajedi & Plataniotis 2022 with known subclasses
        (a reconstruction: their alpha, temperature and hard term are not published).

    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0, 2.0]])
    >>> distillation_loss(z, z, torch.tensor(2.0), temperature=4.0, alpha=0.5).item()
    1.0
    """
    soft = distillation_divergence(student, teacher, temperature, weights)
    return alpha * soft + (1 - alpha) * hard
