"""From a cohort to its labelled examples: consensus, split, subclasses and stages in one go."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.splits import resolve_split
from polypskd.cohort.table import Cohort
from polypskd.config import LELP, Config, Method, OrdinalSKD, has_teacher
from polypskd.errors import ConfigError
from polypskd.labels.agreement import measure_agreement
from polypskd.labels.consensus import Consensus, derive_consensus
from polypskd.labels.curriculum import check_curriculum, derive_stages
from polypskd.labels.examples import Examples
from polypskd.labels.plan import plan_method
from polypskd.labels.scheme import describe_scheme
from polypskd.labels.soft_targets import check_ordered
from polypskd.labels.subclasses import SubclassLabels, derive_subclasses


def derive_labels(cohort: Cohort, config: Config) -> tuple[Examples, dict[str, Any]]:
    """Label every frame.

    Args:
        cohort: as loaded.
        config: its sections `cohort.split` and `labels`, its seed, the student's method, which may
            need subclasses, and the epochs of both fits, in which the stages must find room.

    Returns:
        The examples, and what agreement.json holds: scheme, sizes, merges, notes, coefficients.

    Raises:
        CohortError: the split cannot be made, or a class has no training frame.
        ConfigError: the rule does not fit the cohort, the stages the epochs, or the labels the
            student's method.
    """
    rule, curriculum = config.labels.subclasses, config.labels.curriculum
    consensus = derive_consensus(cohort.counts)
    leveling = config.labels.leveling
    # Levels before the split serve only to spread them over the splits; the splits then fix them.
    everyone = np.ones(len(cohort), dtype=bool)
    spread = derive_subclasses(
        leveling, cohort, consensus, everyone, val=everyone, seed=config.seed
    ).level
    split = resolve_split(
        config.cohort.split, cohort, consensus.consensus, config.seed, levels=spread
    )
    train, val = split == "train", split == "val"
    # Only the random control is drawn anew with each training seed: it stands for all divisions.
    seed = config.fit_seed if rule.kind == "random" else config.seed
    labels = derive_subclasses(rule, cohort, consensus, train, val=val, seed=seed)
    levels = (
        labels.level
        if leveling == rule
        else derive_subclasses(leveling, cohort, consensus, train, val=val, seed=config.seed).level
    )
    stage = np.zeros(len(cohort), dtype=np.int64)
    stage[train] = derive_stages(curriculum, levels[train], config.seed)
    taught = has_teacher(config.student.method)
    for section in (config.student, *((config.teacher,) if taught else ())):
        check_curriculum(curriculum, int(stage.max()) + 1, section.fit.epochs)
    scheme = labels.scheme
    try:
        plan_method(config.student.method, scheme)
    except ConfigError as error:
        # Why there are no subclasses: what was merged, and what the quantiles found.
        raise ConfigError("; ".join([str(error), *labels.notes, *labels.merges[:3]])) from None
    _refuse_misfit(config.student.method, labels, consensus, train)
    examples = Examples(
        frame_id=cohort.frame_ids,
        path=cohort.paths,
        patient_id=cohort.patient_ids,
        split=split,
        consensus=np.array(scheme.classes)[consensus.consensus],
        subclass=np.array(scheme.subclasses)[labels.subclass],
        level=labels.level,
        stage=stage,
        agreement=consensus.agreement,
        n_votes=cohort.counts.sum(axis=1),
        votes={name: cohort.counts[:, k] for k, name in enumerate(cohort.classes)},
        carried=cohort.columns,
    )
    statistics = measure_agreement(cohort, resamples=config.labels.resamples, seed=config.seed)
    return examples, {
        "classes": list(scheme.classes),
        "subclasses": describe_scheme(scheme, examples.subclass, split),
        "merges": list(labels.merges),
        "patients_known": cohort.patients_known,
        "excluded": len(cohort.exclusions),
        "notes": [*_notes(cohort), *labels.notes],
        "statistics": statistics.to_dict(),
    }


def _notes(cohort: Cohort) -> list[str]:
    notes = []
    if not cohort.patients_known:
        notes.append(
            "Patients are unknown: frames of one patient may stand in several splits, "
            "and intervals that treat frames as independent are too narrow."
        )
    if cohort.exclusions:
        notes.append(f"{len(cohort.exclusions)} frames were left out; excluded.csv says why.")
    return notes


def _refuse_misfit(
    method: Method, labels: SubclassLabels, consensus: Consensus, train: NDArray[np.bool_]
) -> None:
    """Refuse before any training what a method would refuse after it."""
    scheme = labels.scheme
    if isinstance(method, OrdinalSKD):
        check_ordered(labels.subclass[train], consensus.agreement[train], scheme.class_of)
    if isinstance(method, LELP):
        sizes = np.bincount(consensus.consensus[train], minlength=len(scheme.classes))
        k = int(np.argmin(sizes))
        if sizes[k] <= method.invented:
            raise ConfigError(
                f"student.method: lelp needs more training frames a class than invented "
                f"subclasses ({method.invented}), and {scheme.classes[k]!r} has {sizes[k]}; "
                "lower student.method.invented"
            )
