"""The whole page: one experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polypskd.config.cohort import CohortConfig
from polypskd.config.labels import Labels
from polypskd.config.networks import Augment
from polypskd.config.section import Name, Section
from polypskd.config.training import Student, Teacher


class EvaluationConfig(Section):
    """How the numbers are made."""

    resamples: Annotated[int, Field(ge=0)] = 2000
    calibration_bins: Annotated[int, Field(ge=2, le=100)] = 15
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95


class Comparison(Section):
    """Further methods for `compare`: a name, and the settings that make it, as for ``--set``."""

    variants: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )


class Config(Section):
    """One experiment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 17
    training_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None  # of weights and order alone
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    cohort: CohortConfig
    labels: Labels = Labels()
    augment: Augment = Augment()
    teacher: Teacher = Teacher()
    student: Student = Student()
    evaluation: EvaluationConfig = EvaluationConfig()
    comparison: Comparison = Comparison()

    @property
    def fit_seed(self) -> int:
        """Give the seed of initial weights and of the order of examples.

        `seed` alone draws the split and the views, so that runs of several training seeds share
        them.
        """
        return self.seed if self.training_seed is None else self.training_seed
