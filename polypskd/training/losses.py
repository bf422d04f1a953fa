"""The losses of distillation, as pure functions of logits.

Letters: B batch, K classes, S subclasses, T temperature.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def class_logits(logits: Tensor, class_of: Tensor) -> Tensor:
    """Sum subclass probabilities within each class, in logits.

    With p = softmax(logits), the softmax of the result is the sum of p over each class's
    subclasses: the class probability is the sum of its subclasses' probabilities.

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


def class_cross_entropy(logits: Tensor, classes: Tensor, class_of: Tensor) -> Tensor:
    """Cross entropy of the class, from subclass logits: the first form of the hard term.

    Args:
        logits: (B, S).
        classes: (B,) class indices.
        class_of: (S,).

    Returns:
        Scalar, mean over the batch.

    Reference:
        Müller, Kornblith & Hinton 2020, eq. 1.
    """
    return functional.cross_entropy(class_logits(logits, class_of), classes)


def subclass_cross_entropy(logits: Tensor, subclasses: Tensor) -> Tensor:
    """Cross entropy of the subclass: the teacher's loss, and the second form of the hard term.

    Args:
        logits: (B, S).
        subclasses: (B,) subclass indices.

    Returns:
        Scalar, mean over the batch.
    """
    return functional.cross_entropy(logits, subclasses)


def distillation_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of student from teacher, both softened, times T².

    T² keeps the scale of the gradient, which falls with 1/T². The papers write a cross entropy: it
    has the same gradient, and a constant more, the teacher's entropy, that would hide the progress.

    Args:
        student: (B, S) logits.
        teacher: (B, S) logits; no gradient flows into them.
        temperature: T > 0.

    Returns:
        Scalar, mean over the batch.

    Reference:
        Hinton, Vinyals & Dean 2015, section 2; Müller, Kornblith & Hinton 2020, eq. 3.
    """
    log_teacher = (teacher.detach() / temperature).log_softmax(1)
    log_student = (student / temperature).log_softmax(1)
    divergence = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def distillation_loss(
    student: Tensor, teacher: Tensor, hard: Tensor, *, temperature: float, alpha: float
) -> Tensor:
    """Weigh the distillation term against a hard term: alpha · soft + (1 - alpha) · hard.

    Args:
        student: (B, S) logits; S = K for conventional KD.
        teacher: (B, S) logits.
        hard: scalar, the hard term.
        temperature: T > 0.
        alpha: share of the distillation term, in [0, 1].

    Reference:
        Müller, Kornblith & Hinton 2020, eq. 4; Sajedi & Plataniotis 2022 with known subclasses
        (a reconstruction: their alpha, temperature and hard term are not published).
    """
    soft = distillation_divergence(student, teacher, temperature)
    return alpha * soft + (1 - alpha) * hard
