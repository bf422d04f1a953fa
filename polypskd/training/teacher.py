"""The heavy network, trained on subclasses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from polypskd.artifacts import RunLog
from polypskd.labels.scheme import Scheme
from polypskd.training.lesson import prepare_lesson, prepare_network
from polypskd.training.loop import fit
from polypskd.training.losses import subclass_cross_entropy
from polypskd.training.material import Material


def train_teacher(
    material: Material, scheme: Scheme, *, key: str, log: RunLog
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train the teacher with the cross entropy of its scheme's subclasses.

    For conventional KD the scheme has one subclass a class: a class-only teacher.

    Args:
        material: examples and pixels.
        scheme: what its outputs mean.
        key: fingerprint of the step's inputs.
        log: told of each epoch.

    Returns:
        The network of the best epoch, and one record an epoch.

    Reference:
        Sajedi & Plataniotis 2022: known subclass labels need no auxiliary loss.
    """
    config = material.config
    network = prepare_network(
        "teacher",
        config.teacher.network,
        len(scheme.subclasses),
        size=config.augment.size,
        seed=config.seed,
        log=log,
    )
    rows = material.rows("train")
    by_class = len(scheme.subclasses) == len(scheme.classes)
    targets = torch.from_numpy(
        material.classes(rows) if by_class else material.subclasses(rows)
    ).to(material.device)

    def loss(logits: Tensor, indices: Tensor, view: int) -> Tensor:
        return subclass_cross_entropy(logits, targets[indices])

    lesson = prepare_lesson("teacher", material, scheme, config.teacher, loss, key)
    history = fit(
        network, lesson, config.teacher.fit, seed=config.seed, device=material.device, log=log
    )
    return network, history
