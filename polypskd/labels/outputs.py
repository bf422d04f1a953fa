"""The least number of outputs that a loss needs."""

from __future__ import annotations

from polypskd.errors import ConfigError

LEAST = 3

REASONS = {
    "dkd": "a single non-target output has probability 1 among its like, so that the non-target "
    "term is always 0",
    "nkd": "a single non-target output has probability 1 among its like, so that the non-target "
    "term is always 0",
    "dist": "the correlation of two probabilities that sum to 1 is their order's sign, 1 or -1",
    "logit_std": "z-scores of two logits are always plus and minus one constant, which erases all "
    "confidence",
    "subclass_distillation": "one output a class leaves no subclass to invent",
}


def refuse_few_outputs(method: str, outputs: int) -> None:
    """Refuse a method where it is empty or harmful: with fewer than three outputs.

    Args:
        method: its kind in the config, a key of `REASONS`.
        outputs: S, the outputs of teacher and student.

    Raises:
        ConfigError: S < 3; the message gives the reason and the remedy.

    >>> refuse_few_outputs("dkd", 4)
    """
    if outputs >= LEAST:
        return
    remedy = (
        "give each class two subclasses or more"
        if method == "subclass_distillation"
        else "train over subclasses (over: subclass, with labels.subclasses), or use kd"
    )
    raise ConfigError(
        f"student.method: {method} needs {LEAST} outputs or more, not {outputs}: "
        f"{REASONS[method]}; {remedy}"
    )
