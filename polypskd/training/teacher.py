"""The heavy network, trained on subclasses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from polypskd.artifacts import RunLog, fingerprint
from polypskd.labels.examples import Scheme
from polypskd.models.checkpoint import load_pretrained
from polypskd.models.networks import build_network
from polypskd.training.judge import build_judge
from polypskd.training.loop import Lesson, fit, use_bf16
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
    settings = config.teacher.fit
    torch.manual_seed(config.seed)
    network = build_network(config.teacher.network, len(scheme.subclasses))
    if config.teacher.network.weights is not None:
        loaded = load_pretrained(network, config.teacher.network.weights)
        log.tell("teacher", "pretrained", tensors=loaded)
    train, val = material.rows("train"), material.rows("val")
    by_class = len(scheme.subclasses) == len(scheme.classes)
    targets = torch.from_numpy(
        material.classes(train) if by_class else material.subclasses(train)
    ).to(material.device)

    def loss(logits: Tensor, indices: Tensor, view: int) -> Tensor:
        return subclass_cross_entropy(logits, targets[indices])

    lesson = Lesson(
        step="teacher",
        open_view=material.open_view,
        views=config.augment.views,
        active=lambda epoch: material.active(epoch, settings.epochs),
        loss=loss,
        validate=build_judge(
            material.store.pixels[val],
            material.classes(val),
            scheme.class_of,
            material.device,
            bf16=use_bf16(settings, material.device),
        ),
        key=fingerprint(["teacher", key]),
        checkpoint=material.run / ".steps" / "teacher.pt",
    )
    history = fit(
        network,
        lesson,
        settings,
        seed=config.seed,
        device=material.device,
        log=log,
    )
    return network, history
