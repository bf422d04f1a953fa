"""The section `labels`: what the votes mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from polypskd.config.section import Count, Name, Section, Share

Levels = dict[Name, Annotated[float, Field(ge=0, le=1)]]  # name: lowest value, easiest first
Quantiles = Annotated[int, Field(ge=2, le=20)]
Clusters = Annotated[int, Field(ge=2, le=10)]


def _check_levels(levels: Levels | None) -> Levels | None:
    if levels is not None:
        bounds = list(levels.values())
        if not bounds or any(a <= b for a, b in pairwise(bounds)):
            raise ValueError("levels: thresholds must fall from the easiest to the hardest")
    return levels


class NoSubclasses(Section):
    """One subclass a class: for methods without subclasses; SKD refuses it."""

    kind: Literal["none"] = "none"


class AgreementLevels(Section):
    """Class × agreement level; thresholds or quantiles, easiest first."""

    kind: Literal["agreement_levels"] = "agreement_levels"
    levels: Levels | None = None  # name: lowest agreement
    quantiles: Quantiles | None = None
    min_size: Count = 1  # training frames; smaller subclasses merge into the neighbouring level

    @model_validator(mode="after")
    def _one_way(self) -> AgreementLevels:
        if (self.levels is None) == (self.quantiles is None):
            raise ValueError(
                "give exactly one of: levels, quantiles; e.g. levels: {easy: 0.9, hard: 0.0}"
            )
        _check_levels(self.levels)
        return self


class VoteCount(Section):
    """Class × number of votes for the consensus."""

    kind: Literal["vote_count"] = "vote_count"
    min_size: Count = 1


class KnownColumn(Section):
    """The fine vote itself (known subclasses, Sajedi & Plataniotis 2022), in the order of merge."""

    kind: Literal["known"] = "known"
    min_size: Count = 1


class VotePattern(Section):
    """Class × the class that the dissenters chose most × optional agreement level."""

    kind: Literal["vote_pattern"] = "vote_pattern"
    levels: Levels | None = None  # name: lowest agreement
    min_size: Count = 1

    @model_validator(mode="after")
    def _falling(self) -> VotePattern:
        _check_levels(self.levels)
        return self


class VoteClusters(Section):
    """Class × cluster of the vote distributions (a mixture of multinomials in each class)."""

    kind: Literal["vote_clusters"] = "vote_clusters"
    clusters: Clusters | None = None  # of each class; None: chosen on the validation frames
    most: Clusters = 5  # to choose from, where `clusters` is None
    min_size: Count = 1


class AnnotatorConfusion(Section):
    """Class × level of the consensus' posterior by the annotators' confusions (Dawid & Skene)."""

    kind: Literal["annotator_confusion"] = "annotator_confusion"
    levels: Levels | None = None  # name: lowest posterior probability of the consensus
    quantiles: Quantiles | None = None
    min_size: Count = 1

    @model_validator(mode="after")
    def _one_way(self) -> AnnotatorConfusion:
        if (self.levels is None) == (self.quantiles is None):
            raise ValueError("give exactly one of: levels, quantiles")
        _check_levels(self.levels)
        return self


Rule = Annotated[
    NoSubclasses
    | AgreementLevels
    | VoteCount
    | KnownColumn
    | VotePattern
    | VoteClusters
    | AnnotatorConfusion,
    Field(discriminator="kind"),
]


class RandomSubclasses(Section):
    """A control: subclasses as large as those of `of`, shuffled among the frames of each class."""

    kind: Literal["random"] = "random"
    of: Rule

    @field_validator("of")
    @classmethod
    def _divides(cls, of: Rule) -> Rule:
        if isinstance(of, NoSubclasses):
            raise ValueError("none has nothing to shuffle; give a rule that divides the classes")
        return of


Subclasses = Annotated[
    NoSubclasses
    | AgreementLevels
    | VoteCount
    | KnownColumn
    | VotePattern
    | VoteClusters
    | AnnotatorConfusion
    | RandomSubclasses,
    Field(discriminator="kind"),
]
Order = Literal["easy_to_hard", "hard_to_easy", "random"]


class NoCurriculum(Section):
    """All examples from the first epoch."""

    kind: Literal["none"] = "none"


class StagedCurriculum(Section):
    """Cumulative stages (Wei et al. 2021): stage s joins at epoch s × epochs_per_stage."""

    kind: Literal["staged"] = "staged"
    order: Order = "easy_to_hard"
    epochs_per_stage: Count = 4


class PacedCurriculum(Section):
    """The share of examples grows from `start` to 1 within `until` of the epochs."""

    kind: Literal["paced"] = "paced"
    order: Order = "easy_to_hard"
    pace: Literal["linear", "root", "step"] = "root"
    start: Share = 0.3
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    steps: Annotated[int, Field(ge=2)] = 4  # for pace: step


Curriculum = Annotated[
    NoCurriculum | StagedCurriculum | PacedCurriculum, Field(discriminator="kind")
]


class Labels(Section):
    """What the votes mean."""

    subclasses: Subclasses = NoSubclasses()
    # The rule whose levels order the curriculum and are spread over the splits; None: subclasses.
    levels_by: Subclasses | None = None
    curriculum: Curriculum = NoCurriculum()
    resamples: Annotated[int, Field(ge=0)] = 1000  # bootstrap of the agreement coefficients

    @property
    def leveling(self) -> Subclasses:
        """Give the rule of the levels: shuffled subclasses keep the levels that were shuffled."""
        if self.levels_by is not None:
            return self.levels_by
        return (
            self.subclasses.of if isinstance(self.subclasses, RandomSubclasses) else self.subclasses
        )
