"""Whether a teacher is worth listening to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# In the order of what it costs.
REMEDY = "Try teacher.network.weights, teacher.fit.ema, more epochs, mixup, or teacher.ensemble."


def warn_of_teacher(teacher: float | None, student: float | None, *, plain: bool) -> str:
    """Say in a line that a teacher has little to teach, and what to try; empty if it has.

    Args:
        teacher: macro-F1 on validation; None if there is no teacher.
        student: likewise.
        plain: whether the student learnt without a teacher; else its own student is the yardstick,
            for want of a plain one.

    >>> warn_of_teacher(0.8, 0.7, plain=True)
    ''
    >>> warn_of_teacher(0.68, 0.72, plain=True)[:70]
    'The teacher does not beat the plain student on validation (macro-F1 0.'
    """
    if teacher is None or student is None or teacher > student:
        return ""
    whom = "the plain student" if plain else "its own student"
    return (
        f"The teacher does not beat {whom} on validation (macro-F1 {teacher:.3f} against "
        f"{student:.3f}): it has little to teach. {REMEDY}"
    )


def warn_of_run(numbers: Mapping[str, Any]) -> str:
    """Do so for one run's evaluation.json."""

    def score(side: Mapping[str, Any] | None) -> float | None:
        value: float | None = ((side or {}).get("validation") or {}).get("macro_f1")
        return value

    return warn_of_teacher(score(numbers.get("teacher")), score(numbers), plain=False)
