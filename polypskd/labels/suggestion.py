"""The sections `labels` and `student` of a first config: what the votes can bear."""

from __future__ import annotations

from pathlib import Path

import yaml

from polypskd.cohort.load import load_cohort
from polypskd.config import parse_config
from polypskd.errors import CohortError, ConfigError, PolypskdError
from polypskd.labels.derivation import derive_labels

LEVELS = """\
labels:
  # class × agreement level, easiest first: the least share of votes for a frame's consensus
  subclasses:
    kind: agreement_levels
    levels: {easy: 0.9, medium: 0.7, hard: 0.0}
    min_size: 10                             # training frames; smaller levels are merged
  # all examples from the first epoch; or easy ones first:
  # curriculum: {kind: staged, order: easy_to_hard, epochs_per_stage: 4}
  curriculum: {kind: none}
"""
NONE = """\
labels:
  # one vote a frame tells no agreement; where votes are finer than the classes, say so in
  # cohort.merge and set {kind: known} here
  subclasses: {kind: none}
  curriculum: {kind: none}
"""
PLAIN = """\
student:
  # skd needs a class with more than one subclass, and {why}
  method: {{kind: kd}}
"""


FORMS = ("long", "wide", "counts")  # in which a frame may have several votes


def write_labels(page: str, folder: Path) -> str:
    """Write the sections `labels` and, where skd would be refused, `student`.

    Args:
        page: a config without them.
        folder: where it will lie.
    """
    kind = yaml.safe_load(page)["cohort"]["votes"]["kind"]
    none = NONE + PLAIN.format(why="there is none")
    try:
        config = parse_config(yaml.safe_load(page + LEVELS), folder=folder.resolve())
        cohort = load_cohort(config.cohort, check_pixels=False)
    except PolypskdError:
        # `check` will tell the faults; the form of the votes says enough here.
        return LEVELS if kind in FORMS else none
    if cohort.counts.sum(axis=1).max() < 2:
        return none
    labels = config.labels.model_copy(update={"resamples": 0})
    try:
        derive_labels(cohort, config.model_copy(update={"labels": labels}))
    except ConfigError:
        return LEVELS + PLAIN.format(why="these votes give none of 10 training frames")
    except CohortError:
        pass
    return LEVELS
