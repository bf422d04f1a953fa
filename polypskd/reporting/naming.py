"""Names of networks and methods, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import pick
from polypskd.reporting.record import Record

METHODS = {
    "none": "from the labels alone, without distillation",
    "kd": "by knowledge distillation (Hinton et al. 2015)",
    "skd": "by subclass knowledge distillation (Sajedi and Plataniotis 2022)",
    "subclass_distillation": "by subclass distillation (Müller et al. 2020)",
    "class_wise": "by class-wise distillation (Li and Yang 2023)",
    "soft_votes": "from the annotators' votes as soft targets (Wei et al. 2022)",
    "ordinal_skd": "by subclass knowledge distillation with ordinal targets",
    "lelp": "by linear projections of the teacher's embeddings (LELP; Loo et al. 2024)",
    "dkd": "by decoupled knowledge distillation (Zhao et al. 2022)",
    "dist": "by DIST (Huang et al. 2022)",
    "nkd": "by normalized knowledge distillation (Yang et al. 2023)",
    "logit_std": "by knowledge distillation on standardized logits (Sun et al. 2024)",
}


def name_method(record: Record) -> str:
    """Say how the student was trained, as it follows "trained"."""
    method: Any = record.evaluation.get("method") or {}
    kind = str(method.get("kind") if isinstance(method, Mapping) else method)
    return METHODS.get(kind, f"by {kind}")


def name_network(value: Any) -> str:
    """Name a network, given as a name or as its section of the config.

    >>> name_network("resnet10"), name_network({"kind": "resnet10", "width": 16})
    ('resnet10', 'resnet10')
    """
    return str(pick(value, "kind") or "") if isinstance(value, Mapping) else str(value or "")
