"""The light network, trained by the chosen method."""

from __future__ import annotations

from typing import Any, assert_never

import torch
from torch import Tensor, nn

from polypskd.artifacts import RunLog
from polypskd.config import ConventionalKD, Method, Plain, SubclassKD
from polypskd.labels.scheme import Scheme, class_scheme
from polypskd.training.lesson import Loss, prepare_lesson, prepare_network
from polypskd.training.loop import fit
from polypskd.training.losses import (
    class_cross_entropy,
    distillation_loss,
    subclass_cross_entropy,
)
from polypskd.training.material import Material
from polypskd.training.targets import Targets


def student_scheme(method: Method, scheme: Scheme) -> Scheme:
    """Tell what the outputs of teacher and student mean: subclasses for SKD, else classes."""
    return scheme if isinstance(method, SubclassKD) else class_scheme(scheme)


def build_loss(
    method: Method,
    *,
    classes: Tensor,
    subclasses: Tensor,
    class_of: Tensor,
    teacher: Tensor | None,
) -> Loss:
    """Build the loss of a method: (logits (B, S), example indices (B,), view) → scalar.

    Args:
        method: from the config.
        classes: (N,) class of each training frame.
        subclasses: (N,) subclass of each training frame.
        class_of: (S,) class of each output.
        teacher: (N, V, S) cached logits; None for `none`.
    """
    match method:
        case Plain():
            return lambda logits, rows, view: class_cross_entropy(logits, classes[rows], class_of)
        case ConventionalKD() | SubclassKD():
            by_subclass = isinstance(method, SubclassKD) and method.hard_term == "subclass"

            def loss(logits: Tensor, rows: Tensor, view: int) -> Tensor:
                if teacher is None:
                    raise ValueError(f"method {method.kind} needs a teacher's logits")
                hard = (
                    subclass_cross_entropy(logits, subclasses[rows])
                    if by_subclass
                    else class_cross_entropy(logits, classes[rows], class_of)
                )
                return distillation_loss(
                    logits,
                    teacher[rows, view].float(),
                    hard,
                    temperature=method.temperature,
                    alpha=method.alpha,
                )

            return loss
        case _:
            assert_never(method)


def train_student(
    material: Material,
    targets: Targets | None,
    *,
    key: str,
    log: RunLog,
    network: nn.Module | None = None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train the student.

    Args:
        material: examples and pixels.
        targets: the teacher's cached logits; None for the method `none`.
        key: fingerprint of the step's inputs.
        log: told of each epoch.
        network: your own module with as many outputs as the scheme has; None builds the config's.

    Returns:
        The network of the best epoch, and one record an epoch.
    """
    config = material.config
    scheme = student_scheme(config.student.method, material.scheme)
    if network is None:
        network = prepare_network(
            "student",
            config.student.network,
            len(scheme.subclasses),
            size=config.augment.size,
            seed=config.seed,
            log=log,
        )
    rows = material.rows("train")
    device = material.device
    loss = build_loss(
        config.student.method,
        classes=torch.from_numpy(material.classes(rows)).to(device),
        subclasses=torch.from_numpy(material.subclasses(rows)).to(device),
        class_of=torch.from_numpy(scheme.class_of).to(device),
        teacher=None if targets is None else torch.from_numpy(targets.logits).to(device),
    )
    lesson = prepare_lesson("student", material, scheme, config.student, loss, key)
    history = fit(network, lesson, config.student.fit, seed=config.seed, device=device, log=log)
    return network, history
