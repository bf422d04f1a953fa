"""From a cohort to its labelled examples: consensus, split, subclasses and stages in one go."""

from __future__ import annotations

from typing import Any

import numpy as np

from polypskd.cohort.splits import resolve_split
from polypskd.cohort.table import Cohort
from polypskd.config import Config
from polypskd.errors import ConfigError
from polypskd.labels.agreement import measure_agreement
from polypskd.labels.consensus import derive_consensus
from polypskd.labels.curriculum import check_curriculum, derive_stages
from polypskd.labels.examples import Examples
from polypskd.labels.scheme import Scheme, describe_scheme
from polypskd.labels.subclasses import derive_subclasses


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
    # Levels before the split serve only to spread them over the splits; the splits then fix them.
    everyone = np.ones(len(cohort), dtype=bool)
    levels = derive_subclasses(rule, cohort, consensus, everyone).level
    split = resolve_split(
        config.cohort.split, cohort, consensus.consensus, config.seed, levels=levels
    )
    train = split == "train"
    labels = derive_subclasses(rule, cohort, consensus, train)
    stage = np.zeros(len(cohort), dtype=np.int64)
    stage[train] = derive_stages(curriculum, labels.level[train], config.seed)
    untaught = config.student.method.kind == "none"
    for section in (config.student, *(() if untaught else (config.teacher,))):
        check_curriculum(curriculum, int(stage.max()) + 1, section.fit.epochs)
    scheme = labels.scheme
    if config.student.method.kind == "skd":
        _need_subclasses(scheme)
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
        n_votes=cohort.counts.sum(1),
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
        "notes": _notes(cohort),
        "statistics": statistics.to_dict(),
    }


def _need_subclasses(scheme: Scheme) -> None:
    """Refuse a scheme by which SKD would be plain KD under another name."""
    if len(scheme.subclasses) == len(scheme.classes):
        raise ConfigError(
            "student.method: skd needs a class with more than one subclass, and the labels give "
            "none; set labels.subclasses (or its levels), or use kd"
        )


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
