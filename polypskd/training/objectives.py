"""The loss of a student by its method: each `case` puts the pure losses together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor

from polypskd.config import (
    DIST,
    DKD,
    LELP,
    NKD,
    ClassWise,
    ConventionalKD,
    LogitStandardization,
    Method,
    OrdinalSKD,
    Plain,
    SoftVotes,
    SubclassDistillation,
    SubclassKD,
)
from polypskd.training.losses import (
    class_cross_entropy,
    class_logits,
    correlation_loss,
    decoupled_loss,
    distillation_divergence,
    distillation_loss,
    normalized_loss,
    soft_cross_entropy,
    standardized_divergence,
    subclass_cross_entropy,
)

Loss = Callable[[Tensor, Tensor, int], Tensor]
History = list[dict[str, Any]]


@dataclass(frozen=True)
class Labels:
    """What is known of the N training frames; all on one device.

    Args:
        classes: (N,) class index.
        outputs: (N,) index of the student's output; the class itself where outputs are classes.
        class_of: (S,) class of each of the student's outputs.
        teacher: (N, V, S') cached logits of the teacher; None where there is none.
        teacher_class_of: (S',) class of each of the teacher's outputs; None as above.
        soft: (N, K) or (N, S) target distribution, where the method has one.
    """

    classes: Tensor
    outputs: Tensor
    class_of: Tensor
    teacher: Tensor | None = None
    teacher_class_of: Tensor | None = None
    soft: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """A loss, and what it learns from the epochs so far.

    Args:
        loss: (logits (B, S), example indices (B,), view) → scalar.
        begin: told the history at the start of each epoch.
    """

    loss: Loss
    begin: Callable[[History], None] = lambda history: None


def build_objective(
    method: Method,
    labels: Labels,
    *,
    weigh: Callable[[History], Tensor] | None = None,
) -> Objective:
    """Build the objective of a method.

    Args:
        method: from the config.
        labels: of the training frames.
        weigh: for `class_wise`: history → (S,) weight of each output.

    Raises:
        ValueError: the method's teacher, soft targets or weights are missing.
    """
    match method:
        case Plain():
            return Objective(_plain(method, labels))
        case SoftVotes():
            targets = _given(labels.soft, method)
            return Objective(
                lambda z, rows, view: soft_cross_entropy(
                    class_logits(z, labels.class_of), targets[rows]
                )
            )
        case ConventionalKD() | SubclassKD() | SubclassDistillation():
            return Objective(_distilled(method, labels))
        case ClassWise():
            return _class_wise(method, labels, weigh)
        case OrdinalSKD():
            return Objective(_ordinal(method, labels))
        case LELP():
            # The cached targets are log-probabilities at the method's temperature already.
            teacher = _given(labels.teacher, method)
            return Objective(
                lambda z, rows, view: distillation_divergence(z, teacher[rows, view].float(), 1.0)
            )
        case DKD():
            return _decoupled(method, labels)
        case DIST() | NKD() | LogitStandardization():
            return Objective(_added(method, labels))
        case _:
            assert_never(method)


def _given(value: Tensor | None, method: Method) -> Tensor:
    if value is None:
        raise ValueError(f"method {method.kind} needs a teacher's logits or soft targets")
    return value


def _plain(method: Plain, labels: Labels) -> Loss:
    def loss(z: Tensor, rows: Tensor, view: int) -> Tensor:
        if method.outputs == "subclass":
            return subclass_cross_entropy(z, labels.outputs[rows], smoothing=method.smoothing)
        return class_cross_entropy(
            z, labels.classes[rows], labels.class_of, smoothing=method.smoothing
        )

    return loss


def _distilled(method: ConventionalKD | SubclassKD | SubclassDistillation, labels: Labels) -> Loss:
    teacher = _given(labels.teacher, method)
    by_subclass = isinstance(method, SubclassKD) and method.hard_term == "subclass"
    summed = isinstance(method, ConventionalKD) and method.teacher == "subclass"

    def loss(z: Tensor, rows: Tensor, view: int) -> Tensor:
        t = teacher[rows, view].float()
        if summed:
            t = class_logits(t, _given(labels.teacher_class_of, method))
        hard = (
            subclass_cross_entropy(z, labels.outputs[rows])
            if by_subclass
            else class_cross_entropy(z, labels.classes[rows], labels.class_of)
        )
        return distillation_loss(z, t, hard, temperature=method.temperature, alpha=method.alpha)

    return loss


def _class_wise(
    method: ClassWise, labels: Labels, weigh: Callable[[History], Tensor] | None
) -> Objective:
    if weigh is None:
        raise ValueError("method class_wise needs weights")
    teacher = _given(labels.teacher, method)
    weight = torch.ones(len(labels.class_of), device=labels.outputs.device)

    def begin(history: History) -> None:
        weight.copy_(weigh(history))

    def loss(z: Tensor, rows: Tensor, view: int) -> Tensor:
        w = weight[labels.outputs[rows]]
        hard = class_cross_entropy(z, labels.classes[rows], labels.class_of, weights=w)
        return distillation_loss(
            z,
            teacher[rows, view].float(),
            hard,
            temperature=method.temperature,
            alpha=method.alpha,
            weights=w,
        )

    return Objective(loss, begin)


def _ordinal(method: OrdinalSKD, labels: Labels) -> Loss:
    teacher, targets = _given(labels.teacher, method), _given(labels.soft, method)

    def loss(z: Tensor, rows: Tensor, view: int) -> Tensor:
        hard = soft_cross_entropy(z, targets[rows])
        t = teacher[rows, view].float()
        return distillation_loss(z, t, hard, temperature=method.temperature, alpha=method.alpha)

    return loss


def _decoupled(method: DKD, labels: Labels) -> Objective:
    teacher = _given(labels.teacher, method)
    epoch = [0]

    def begin(history: History) -> None:
        epoch[0] = len(history) + 1

    def loss(z: Tensor, rows: Tensor, view: int) -> Tensor:
        y = labels.outputs[rows]
        share = min(epoch[0] / method.warmup_epochs, 1.0) if method.warmup_epochs else 1.0
        soft = decoupled_loss(
            z,
            teacher[rows, view].float(),
            y,
            temperature=method.temperature,
            alpha=method.target_weight,
            beta=method.other_weight,
        )
        return subclass_cross_entropy(z, y) + share * soft

    return Objective(loss, begin)


def _added(method: DIST | NKD | LogitStandardization, labels: Labels) -> Loss:
    teacher = _given(labels.teacher, method)

    def soft(z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        match method:
            case DIST():
                return correlation_loss(
                    z,
                    t,
                    beta=method.between_weight,
                    gamma=method.within_weight,
                    temperature=method.temperature,
                )
            case NKD():
                return normalized_loss(
                    z, t, y, temperature=method.temperature, gamma=method.other_weight
                )
            case LogitStandardization():
                return method.weight * standardized_divergence(z, t, temperature=method.temperature)
            case _:
                assert_never(method)

    def loss(z: Tensor, rows: Tensor, view: int) -> Tensor:
        y = labels.outputs[rows]
        return subclass_cross_entropy(z, y) + soft(z, teacher[rows, view].float(), y)

    return loss
