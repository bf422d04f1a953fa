"""Simulated annotators, from expert to beginner, who disagree more the harder a frame is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MISSING = 0.05  # share of votes not given
EXPERT, BEGINNER = 4.5, 1.5  # d' of the most and the least skilled annotator


@dataclass(frozen=True)
class Annotator:
    """A simulated annotator.

    Args:
        name: ``annotator_1`` and so on, most skilled first.
        skill: d', the distance of signal from noise in standard deviations.
        bias: how much the class of highest risk is favored, in standard deviations.
    """

    name: str
    skill: float
    bias: float


def invite_annotators(count: int, *, seed: int) -> tuple[Annotator, ...]:
    """Simulate annotators from expert to beginner, each with a bias; beginners lean to over-call.

    Args:
        count: how many, at least 2.
        seed: 0 or more.

    >>> [person.skill for person in invite_annotators(3, seed=1)]
    [4.5, 3.0, 1.5]
    """
    skills = np.linspace(EXPERT, BEGINNER, count)
    seeds = np.random.SeedSequence(seed).spawn(count)
    leanings = [np.random.default_rng(own).normal(0, 0.35) for own in seeds]
    return tuple(
        Annotator(f"annotator_{index + 1}", float(skill), float(lean) + 0.3 * index / (count - 1))
        for index, (skill, lean) in enumerate(zip(skills, leanings, strict=True))
    )


def cast_votes(
    rng: np.random.Generator,
    annotators: Sequence[Annotator],
    *,
    true_class: int,
    n_classes: int,
    difficulty: float,
) -> Ints:
    """Let every annotator vote on one frame.

    Each class c gets a score = d' × (1 - difficulty) × [c is true] + bias × c / (K - 1) + noise,
    noise ~ N(0, 1); the highest is voted for. With two classes and no bias an annotator is right
    with probability Φ(d' × (1 - difficulty) / √2). One vote in twenty is missing, never all.

    Args:
        rng: source of randomness.
        annotators: M annotators.
        true_class: index of the class drawn, 0..K-1, in order of risk.
        n_classes: K, at least 2.
        difficulty: 0..1.

    Returns:
        (M,) class index voted for; -1 where the vote is missing.

    Reference:
        Green & Swets, Signal Detection Theory and Psychophysics (1966): choice among
        alternatives.

    >>> expert = Annotator("annotator_1", skill=9.0, bias=0.0)
    >>> rng = np.random.default_rng(0)
    >>> cast_votes(rng, [expert], true_class=1, n_classes=2, difficulty=0.0).tolist()
    [1]
    """
    skill = np.array([person.skill for person in annotators])
    bias = np.array([person.bias for person in annotators])
    scores = rng.standard_normal((len(annotators), n_classes))
    scores[:, true_class] += skill * (1 - difficulty)
    scores += bias[:, None] * np.arange(n_classes) / (n_classes - 1)
    absent = rng.random(len(annotators)) < MISSING
    if absent.all():
        absent[:] = False
    return np.where(absent, -1, scores.argmax(axis=1)).astype(np.int64)
