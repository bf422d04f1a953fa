"""The section `student.method`: what a student learns from, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polypskd.config.section import Section

Temperature = Annotated[float, Field(gt=0)]
Alpha = Annotated[float, Field(ge=0, le=1)]  # share of the soft term
Weight = Annotated[float, Field(ge=0)]
Invented = Annotated[int, Field(ge=2, le=50)]  # subclasses a class that no annotator named
Over = Literal["class", "subclass"]  # what the outputs of teacher and student are


class Plain(Section):
    """The student learns from the labels alone: the baseline, and two of its controls."""

    kind: Literal["none"] = "none"
    outputs: Over = "class"  # subclass: as many outputs as SKD has, but no teacher
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0  # label smoothing, Szegedy et al. 2016


class ConventionalKD(Section):
    """Hinton, Vinyals & Dean 2015, from a class-only teacher."""

    kind: Literal["kd"] = "kd"
    temperature: Temperature = 4.0
    alpha: Alpha = 0.5
    teacher: Over = "class"  # subclass: SKD's teacher, its subclasses summed to classes


class SubclassKD(Section):
    """Sajedi & Plataniotis 2022 (a reconstruction: which hard term they used is not published)."""

    kind: Literal["skd"] = "skd"
    temperature: Temperature = 4.0
    alpha: Alpha = 0.5
    hard_term: Over = "class"


class SubclassDistillation(Section):
    """Müller, Kornblith & Hinton 2020: the teacher invents the subclasses."""

    kind: Literal["subclass_distillation"] = "subclass_distillation"
    temperature: Temperature = 4.0
    alpha: Alpha = 0.5
    invented: Invented = 5
    auxiliary_weight: Weight = 1.0  # β
    auxiliary_temperature: Temperature = 1.0


class ClassWise(Section):
    """Li & Yang 2023 (a reconstruction: only the abstract is public)."""

    kind: Literal["class_wise"] = "class_wise"
    temperature: Temperature = 4.0
    alpha: Alpha = 0.5
    over: Over = "class"
    hardness: Literal["student", "teacher", "gap"] = "gap"
    effort: Literal["graded", "two_level"] = "graded"
    gamma: Annotated[float, Field(ge=-4, le=4)] = 1.0  # 0 is plain KD; below 0 eases hard classes


class SoftVotes(Section):
    """The annotators' votes as targets, without a teacher (Wei et al. 2022)."""

    kind: Literal["soft_votes"] = "soft_votes"
    form: Literal["linear", "piecewise", "sigmoid"] = "linear"
    strength: Annotated[float, Field(ge=0)] | None = None  # a, O or F; None: the form's own

    @model_validator(mode="after")
    def _in_range(self) -> SoftVotes:
        if self.strength is not None:
            if self.form == "linear" and self.strength >= 1:
                raise ValueError("strength: linear smoothing needs a value below 1")
            if self.form == "piecewise" and not 0 < self.strength <= 0.5:
                raise ValueError("strength: piecewise smoothing needs a value in (0, 0.5]")
            if self.form == "sigmoid" and self.strength == 0:
                raise ValueError("strength: sigmoid smoothing needs a value above 0")
        return self


class OrdinalSKD(Section):
    """SKD whose hard term spreads over neighbouring agreement levels (our own)."""

    kind: Literal["ordinal_skd"] = "ordinal_skd"
    temperature: Temperature = 4.0
    alpha: Alpha = 0.5


class LELP(Section):
    """Loo et al. 2024: pseudo-subclasses from the teacher's last layer (a reconstruction)."""

    kind: Literal["lelp"] = "lelp"
    temperature: Temperature = 4.0
    invented: Invented = 5
    sharpness: Temperature = 1.0  # β: smaller is sharper


class DKD(Section):
    """Zhao et al. 2022: decoupled KD."""

    kind: Literal["dkd"] = "dkd"
    over: Over = "class"
    temperature: Temperature = 4.0
    target_weight: Weight = 1.0  # α
    other_weight: Weight = 8.0  # β
    warmup_epochs: Annotated[int, Field(ge=0)] = 20


class DIST(Section):
    """Huang et al. 2022: correlations between and within classes."""

    kind: Literal["dist"] = "dist"
    over: Over = "class"
    temperature: Temperature = 1.0
    between_weight: Weight = 1.0  # β
    within_weight: Weight = 1.0  # γ


class NKD(Section):
    """Yang et al. 2023: normalized KD."""

    kind: Literal["nkd"] = "nkd"
    over: Over = "class"
    temperature: Temperature = 1.0
    other_weight: Weight = 1.5  # γ


class LogitStandardization(Section):
    """Sun et al. 2024: KD on z-scored logits."""

    kind: Literal["logit_std"] = "logit_std"
    over: Over = "class"
    temperature: Temperature = 2.0
    weight: Weight = 9.0


def has_teacher(method: Section) -> bool:
    """Say whether a method asks a teacher.

    >>> has_teacher(Plain()), has_teacher(SubclassKD())
    (False, True)
    """
    return not isinstance(method, Plain | SoftVotes)


Method = Annotated[
    Plain
    | ConventionalKD
    | SubclassKD
    | SubclassDistillation
    | ClassWise
    | SoftVotes
    | OrdinalSKD
    | LELP
    | DKD
    | DIST
    | NKD
    | LogitStandardization,
    Field(discriminator="kind"),
]
