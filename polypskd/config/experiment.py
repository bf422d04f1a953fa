"""The whole page: one experiment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from polypskd.config.cohort import CohortConfig
from polypskd.config.labels import Labels
from polypskd.config.methods import LELP
from polypskd.config.networks import Augment
from polypskd.config.section import Name, Section
from polypskd.config.study import Study
from polypskd.config.tracking import NoTracking, Tracking
from polypskd.config.training import Student, Teacher

ORDERED = ("agreement_levels", "vote_count")  # rules whose levels fall in agreement


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
    training_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None  # see fit_seed
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    cohort: CohortConfig
    labels: Labels = Labels()
    augment: Augment = Augment()
    teacher: Teacher = Teacher()
    student: Student = Student()
    evaluation: EvaluationConfig = EvaluationConfig()
    study: Study = Study()
    comparison: Comparison = Comparison()
    tracking: Tracking = NoTracking()

    @model_validator(mode="after")
    def _usable(self) -> Config:
        kind = self.student.method.kind
        if isinstance(self.student.method, LELP):
            self._refuse_narrow(self.student.method.invented)
        if kind == "ordinal_skd" and self.labels.subclasses.kind not in ORDERED:
            raise ValueError(
                "ordinal_skd needs levels of agreement; set labels.subclasses to "
                "agreement_levels or vote_count"
            )
        self._refuse_unknown_positive()
        form = getattr(self.student.method, "form", "linear")
        if form != "linear" and len(self.cohort.classes) != 2:
            raise ValueError(
                f"soft_votes: {form} is defined for two classes, not {len(self.cohort.classes)}; "
                "use form: linear"
            )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_tracking(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """Give the page; as JSON it is the record of a run, and no result hangs on its tracking."""
        page: dict[str, Any] = handler(self)
        if info.mode_is_json():
            page.pop("tracking", None)
        return page

    def _refuse_unknown_positive(self) -> None:
        positive, classes = self.study.positive, self.cohort.classes
        unknown = [name for name in positive if name not in classes]
        if unknown:
            raise ValueError(f"study.positive: {unknown[0]!r} is none of {list(classes)}")
        if len(set(positive)) == len(classes):
            raise ValueError("study.positive: every class is in it; leave out the negative ones")
        # A patient is what the worst frame is: a class above must not turn a positive one negative.
        highest = classes[len(classes) - len(set(positive)) :]
        if set(positive) != set(highest):
            raise ValueError(
                f"study.positive must be the classes of highest risk, e.g. {list(highest)}; "
                "order cohort.classes by risk"
            )

    def _refuse_narrow(self, invented: int) -> None:
        """Refuse a teacher whose last layer has no room for what `lelp` looks for in it.

        A head of K classes sees K of the last layer's directions; the subclasses of a class lie in
        the others. A teacher that leaves fewer in use is told only once it is trained.
        """
        if self.teacher.ensemble > 1:
            raise ValueError("lelp reads the last layer of one teacher; set teacher.ensemble to 1")
        width, classes = self.teacher.network.features, len(self.cohort.classes)
        if width - classes < invented:
            raise ValueError(
                f"lelp looks for {invented} directions that the head of {classes} classes does not "
                f"see, and the teacher's last layer has {width} in all; widen teacher.network, or "
                "lower student.method.invented"
            )

    @property
    def fit_seed(self) -> int:
        """Give the seed of initial weights, the order of examples, and the random control.

        `seed` alone draws the split and the views, so that runs of several training seeds share
        them.
        """
        return self.seed if self.training_seed is None else self.training_seed
