"""The section `labels`: what the votes mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from polypskd.config.section import Count, Name, Section, Share


class NoSubclasses(Section):
    """One subclass a class: SKD becomes KD."""

    kind: Literal["none"] = "none"


class AgreementLevels(Section):
    """Class × agreement level; thresholds or quantiles, easiest first."""

    kind: Literal["agreement_levels"] = "agreement_levels"
    levels: dict[Name, Annotated[float, Field(ge=0, le=1)]] | None = None  # name: lowest agreement
    quantiles: Annotated[int, Field(ge=2, le=20)] | None = None
    min_size: Count = 1  # training frames; smaller subclasses merge into the neighbouring level

    @model_validator(mode="after")
    def _one_way(self) -> AgreementLevels:
        if (self.levels is None) == (self.quantiles is None):
            raise ValueError(
                "give exactly one of: levels, quantiles; e.g. levels: {easy: 0.9, hard: 0.0}"
            )
        if self.levels is not None:
            bounds = list(self.levels.values())
            if not bounds or any(a <= b for a, b in pairwise(bounds)):
                raise ValueError("levels: thresholds must fall from the easiest to the hardest")
        return self


class VoteCount(Section):
    """Class × number of votes for the consensus."""

    kind: Literal["vote_count"] = "vote_count"
    min_size: Count = 1


class KnownColumn(Section):
    """The fine vote itself (known subclasses, Sajedi & Plataniotis 2022), in the order of merge."""

    kind: Literal["known"] = "known"
    min_size: Count = 1


Subclasses = Annotated[
    NoSubclasses | AgreementLevels | VoteCount | KnownColumn, Field(discriminator="kind")
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
    curriculum: Curriculum = NoCurriculum()
    resamples: Annotated[int, Field(ge=0)] = 1000  # bootstrap of the agreement coefficients
