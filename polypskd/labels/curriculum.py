"""Curriculum: which examples take part in which epoch, from the levels of difficulty.

References:
    Bengio, Louradour, Collobert & Weston 2009, Curriculum learning, ICML.
    Platanios et al. 2019, Competence-based curriculum learning, NAACL (the root pace).
    Wei et al. 2021, Learn like a pathologist, WACV (cumulative stages by annotator agreement).
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from polypskd import config
from polypskd.errors import ConfigError

Ints = NDArray[np.int64]


def derive_stages(rule: config.Curriculum, level: Ints, seed: int) -> Ints:
    """Say at which stage each example joins the training.

    Args:
        rule: the order, if any. `random` keeps the sizes of the stages of `easy_to_hard`, as a
            control that differs in nothing but who joins when.
        level: (N,) difficulty, 0 = easiest; levels may be left out.
        seed: of the random order.

    Returns:
        (N,) stage, 0..; without a gap.

    >>> derive_stages(config.StagedCurriculum(order="hard_to_easy"), np.array([0, 3, 1]), 0)
    array([2, 0, 1])
    """
    match rule:
        case config.NoCurriculum():
            return np.zeros(len(level), dtype=np.int64)
        case config.StagedCurriculum() | config.PacedCurriculum():
            rank = np.unique(level, return_inverse=True)[1].astype(np.int64)
            match rule.order:
                case "easy_to_hard":
                    return rank
                case "hard_to_easy":
                    return np.asarray(rank.max(initial=0) - rank)
                case "random":
                    return np.random.default_rng(seed).permutation(rank)
                case order:
                    assert_never(order)
        case _:
            assert_never(rule)


def select_active(
    rule: config.Curriculum, stage: Ints, *, epoch: int, epochs: int, seed: int
) -> NDArray[np.bool_]:
    """Say which examples take part in an epoch; who has joined stays.

    Args:
        rule: the curriculum.
        stage: (N,) of the training examples, from `derive_stages`.
        epoch: 0..epochs - 1.
        epochs: of the whole training.
        seed: of the order within a stage (paced only).

    >>> staged = config.StagedCurriculum(epochs_per_stage=2)
    >>> select_active(staged, np.array([0, 1, 2]), epoch=3, epochs=10, seed=0)
    array([ True,  True, False])
    """
    match rule:
        case config.NoCurriculum():
            return np.ones(len(stage), dtype=np.bool_)
        case config.StagedCurriculum():
            return stage <= epoch // rule.epochs_per_stage
        case config.PacedCurriculum():
            shuffled = np.random.default_rng(seed).permutation(len(stage))
            order = shuffled[np.argsort(stage[shuffled], kind="stable")]
            share = pace_share(rule, epoch=epoch, epochs=epochs)
            active = np.zeros(len(stage), dtype=np.bool_)
            # Rounding must not lift 0.3 * 10 above 3.
            active[order[: math.ceil(share * len(stage) - 1e-9)]] = True
            return active
        case _:
            assert_never(rule)


def pace_share(rule: config.PacedCurriculum, *, epoch: int, epochs: int) -> float:
    """Give the share of examples that take part in an epoch.

    It grows from `start` in epoch 0 to 1 in epoch until * epochs, or in the last if that is
    earlier; with t in [0, 1] the way covered: linear s + (1 - s) t; root
    sqrt(s^2 + (1 - s^2) t); step s + (1 - s) floor(t * steps) / steps.

    Args:
        rule: start s, until, pace.
        epoch: 0..epochs - 1.
        epochs: of the whole training.

    Reference:
        Platanios et al. 2019 (linear and root).

    >>> pace_share(config.PacedCurriculum(pace="linear", start=0.5, until=0.5), epoch=5, epochs=20)
    0.75
    """
    end = min(rule.until * epochs, epochs - 1)
    done = 1.0 if epoch >= end else epoch / end
    match rule.pace:
        case "linear":
            return rule.start + (1 - rule.start) * done
        case "root":
            return math.sqrt(rule.start**2 + (1 - rule.start**2) * done)
        case "step":
            return rule.start + (1 - rule.start) * math.floor(done * rule.steps + 1e-9) / rule.steps
        case pace:
            assert_never(pace)


def check_curriculum(rule: config.Curriculum, n_stages: int, epochs: int) -> None:
    """Make sure that every example takes part before the training ends.

    Args:
        rule: the curriculum.
        n_stages: number of stages.
        epochs: of the whole training.

    Raises:
        ConfigError: the epochs are too few for the last stage to join.
    """
    match rule:
        case config.StagedCurriculum():
            needed = (n_stages - 1) * rule.epochs_per_stage + 1
            if epochs < needed:
                fits = (epochs - 1) // max(n_stages - 1, 1)
                lower = f" or epochs_per_stage to {fits}" if fits else ""
                raise ConfigError(
                    f"labels.curriculum: {epochs} epochs are too few for {n_stages} stages of "
                    f"{rule.epochs_per_stage} epochs; set epochs to {needed} or more{lower}"
                )
        case config.NoCurriculum() | config.PacedCurriculum():
            pass
        case _:
            assert_never(rule)
