"""The losses of the methods, as pure functions of logits; a file a paper, or nearly so.

Letters: B batch, K classes, S outputs (classes or subclasses), T temperature. The teacher is always
detached. Unless said otherwise a loss is a mean over the batch.
"""

from polypskd.labels.outputs import refuse_few_outputs
from polypskd.training.losses.class_wise import class_hardness, effort_weights
from polypskd.training.losses.classes import (
    class_cross_entropy,
    class_logits,
    subclass_cross_entropy,
)
from polypskd.training.losses.contrast import contrastive_loss
from polypskd.training.losses.decoupled import decoupled_loss
from polypskd.training.losses.dist import correlation_loss
from polypskd.training.losses.distillation import distillation_divergence, distillation_loss
from polypskd.training.losses.lelp import (
    PseudoSubclasses,
    embed_subclasses,
    pseudo_subclass_log_probabilities,
)
from polypskd.training.losses.nkd import normalized_loss
from polypskd.training.losses.standardization import standardized_divergence
from polypskd.training.losses.votes import soft_cross_entropy
from polypskd.training.losses.weights import batch_mean

__all__ = [
    "PseudoSubclasses",
    "batch_mean",
    "class_cross_entropy",
    "class_hardness",
    "class_logits",
    "contrastive_loss",
    "correlation_loss",
    "decoupled_loss",
    "distillation_divergence",
    "distillation_loss",
    "effort_weights",
    "embed_subclasses",
    "normalized_loss",
    "pseudo_subclass_log_probabilities",
    "refuse_few_outputs",
    "soft_cross_entropy",
    "standardized_divergence",
    "subclass_cross_entropy",
]
