"""The light network, trained by the chosen method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polypskd.artifacts import RunLog
from polypskd.config import ClassWise, OrdinalSKD, SoftVotes
from polypskd.labels.plan import plan_method
from polypskd.labels.scheme import Scheme
from polypskd.labels.soft_targets import (
    check_ordered,
    ordinal_targets,
    smooth_votes,
    subclass_by_agreement,
)
from polypskd.models.checkpoint import load_pretrained
from polypskd.models.networks import build_network, check_size
from polypskd.training.lesson import prepare_lesson, prepare_network
from polypskd.training.loop import fit
from polypskd.training.losses import class_hardness, effort_weights
from polypskd.training.material import Material
from polypskd.training.objectives import History, Labels, build_objective
from polypskd.training.targets import Targets

SMOOTHING = {"linear": 0.0, "piecewise": 0.1, "sigmoid": 4.0}  # strengths where none is given
MEMORY = 0.9  # of the running recalls that `class_wise` judges hardness by


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
        targets: the teacher's cached logits; None for methods without a teacher.
        key: fingerprint of the step's inputs.
        log: told of each epoch.
        network: your own module with as many outputs as the scheme has; None builds the config's.

    Returns:
        The network of the best epoch, and one record an epoch.

    Raises:
        ConfigError: the method cannot use these labels.
    """
    config = material.config
    plan = plan_method(config.student.method, material.scheme)
    if network is None:
        network = prepare_network(
            "student",
            config.student.network,
            len(plan.student.subclasses),
            size=config.augment.size,
            seed=config.fit_seed,
            log=log,
        )
    labels = gather_labels(material, plan.student, plan.teacher, targets)
    objective = build_objective(
        config.student.method, labels, weigh=_build_weigher(material, plan.student, targets)
    )
    lesson = prepare_lesson("student", material, plan.student, config.student, objective, key)
    history = fit(
        network,
        lesson,
        config.student.fit,
        seed=config.fit_seed,
        device=material.device,
        log=log,
    )
    return network, history


def try_student(material: Material) -> None:
    """Build the config's student and let it go, so that a misfit is told before the teacher.

    Raises:
        ConfigError: frames are too small for it.
        ArtifactError: its pretrained weights are missing or do not fit.
    """
    config = material.config.student.network
    outputs = len(plan_method(material.config.student.method, material.scheme).student.subclasses)
    network = build_network(config, outputs)
    check_size(network, material.config.augment.size)
    if config.weights is not None:
        load_pretrained(network, config.weights)


def gather_labels(
    material: Material, student: Scheme, teacher: Scheme | None, targets: Targets | None
) -> Labels:
    """Gather what the losses ask of the training frames, on the device.

    Args:
        material: examples.
        student: what the student's outputs mean.
        teacher: what the teacher's outputs mean, if there is one.
        targets: its cached logits.
    """
    rows, device = material.rows("train"), material.device
    classes = material.classes(rows)
    outputs = material.outputs(rows, student)

    def move(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(device)

    soft = _soften(material, student)
    return Labels(
        classes=move(classes),
        outputs=move(classes if outputs is None else outputs),
        class_of=move(student.class_of),
        teacher=None if targets is None else move(targets.logits),
        teacher_class_of=None if teacher is None else move(teacher.class_of),
        soft=None if soft is None else move(soft),
    )


def _soften(material: Material, scheme: Scheme) -> NDArray[np.float32] | None:
    method, rows = material.config.student.method, material.rows("train")
    if isinstance(method, SoftVotes):
        strength = SMOOTHING[method.form] if method.strength is None else method.strength
        soft = smooth_votes(material.votes(rows), form=method.form, strength=strength)
        return soft.astype(np.float32)
    if isinstance(method, OrdinalSKD):
        return _spread(material, rows, scheme).astype(np.float32)
    return None


def _spread(material: Material, rows: NDArray[np.int64], scheme: Scheme) -> NDArray[np.float64]:
    """Spread each training frame over the levels that other counts of votes would have given."""
    agreement = material.examples.agreement[rows]
    lowest = check_ordered(material.subclasses(rows), agreement, scheme.class_of)
    return ordinal_targets(
        agreement,
        material.examples.n_votes[rows],
        material.classes(rows),
        class_of=scheme.class_of,
        subclass_of=subclass_by_agreement(scheme.class_of, lowest),
    )


def _build_weigher(
    material: Material, scheme: Scheme, targets: Targets | None
) -> Callable[[History], Tensor] | None:
    """Build the weights of `class_wise`: from recalls on the validation split, never on test."""
    method = material.config.student.method
    if not isinstance(method, ClassWise):
        return None
    if targets is None:
        raise ValueError("class_wise needs a teacher")
    rows = material.outputs(material.rows("train"), scheme)
    count = len(scheme.subclasses)
    priors = np.bincount(rows, minlength=count) / len(rows) if rows is not None else np.ones(count)
    taught = np.array([np.nan if value is None else value for value in targets.recalls])

    def weigh(history: History) -> Tensor:
        if not history:
            return torch.ones(count)
        running = np.full(count, np.nan)
        for record in history:
            seen = np.array([np.nan if v is None else v for v in record["val_recalls"]])
            running = np.where(np.isnan(running), seen, MEMORY * running + (1 - MEMORY) * seen)
        hardness = class_hardness(running, taught, method.hardness)
        weights = effort_weights(hardness, priors, gamma=method.gamma, form=method.effort)
        return torch.from_numpy(weights).float()

    return weigh
