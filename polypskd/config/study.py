"""The section `study`: what a validation study asks beyond accuracy and calibration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polypskd.config.section import Count, Name, Section, Share

Kind = Literal[
    "blur",
    "motion",
    "jpeg",
    "underexposure",
    "overexposure",
    "contrast",
    "warm",
    "cool",
    "highlights",
    "crop",
    "noise",
]


class Subgroup(Section):
    """A column whose levels are judged apart; numbers go in bands."""

    column: Name
    edges: tuple[float, ...] = ()  # bands: below the first edge, then from each edge on

    @model_validator(mode="after")
    def _rising(self) -> Subgroup:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"edges: {list(self.edges)} must rise")
        return self


class Polyps(Section):
    """Columns that tell of the polyp on a frame; None where there is no such column."""

    lesion: Name | None = None  # frames of one polyp; else each frame stands for itself
    exam: Name | None = None  # one colonoscopy; else each patient had one
    size_mm: Name | None = None
    segment: Name | None = None
    histology: Name | None = None
    dysplasia: Name | None = None
    piecemeal: Name | None = None
    # What the column says, in the words of the endpoints: rectum, sigmoid or anything else.
    segments: dict[Name, Name] = Field(default_factory=dict)
    # What a class is called in the tables of the surveillance guidelines.
    called: dict[Name, Name] = Field(default_factory=dict)
    rule: Literal["mean_probability", "majority", "max_risk"] = "mean_probability"


class ConfidenceBand(Section):
    """Calls are of low confidence while the risk lies between the two."""

    kind: Literal["band"] = "band"
    negative_to: Annotated[float, Field(ge=0, le=1)]
    positive_from: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="after")
    def _not_turned(self) -> ConfidenceBand:
        if self.negative_to > self.positive_from:
            raise ValueError(
                f"negative_to {self.negative_to:g} is above positive_from {self.positive_from:g}"
            )
        return self


class ConfidenceShare(Section):
    """The band that leaves this share of the validation split with high confidence."""

    kind: Literal["coverage"] = "coverage"
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.9


class EveryCall(Section):
    """No rule: every call counts."""

    kind: Literal["none"] = "none"


Confidence = Annotated[ConfidenceBand | ConfidenceShare | EveryCall, Field(discriminator="kind")]


class OperatingTarget(Section):
    """The threshold is chosen on validation so that this measure is at least so high."""

    target: Literal["sensitivity", "specificity"]
    least: Share


class Corruptions(Section):
    """Test frames are corrupted and judged again; no frame is corrupted where `frames` is 0."""

    kinds: tuple[Kind, ...] = (
        "blur",
        "jpeg",
        "underexposure",
        "overexposure",
        "highlights",
        "crop",
    )
    strengths: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (1, 3, 5)
    frames: Annotated[int, Field(ge=0)] = 500  # drawn by patient from the test split


class Study(Section):
    """What a validation study asks of the student on the test split."""

    positive: tuple[Name, ...] = ()  # those of highest risk; empty: the last one
    polyps: Polyps = Polyps()
    confidence: Confidence = ConfidenceShare()
    thresholds: dict[Name, dict[Name, Annotated[float, Field(ge=0, le=1)]]] = Field(
        default_factory=dict
    )  # endpoint: measure: least value, where it differs from the societies'
    prevalences: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.2, 0.35, 0.5, 0.65)
    operating_points: tuple[OperatingTarget, ...] = (
        OperatingTarget(target="sensitivity", least=0.9),
        OperatingTarget(target="specificity", least=0.9),
    )
    coverages: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        1.0,
        0.9,
        0.8,
        0.7,
        0.5,
    )
    miscoverage: Share = 0.1  # alpha of the conformal sets
    margin: Share = 0.05  # of non-inferiority, student against teacher, in macro-F1
    groups: dict[Name, Name] = Field(default_factory=dict)  # annotator: expert, trainee, ...
    subgroups: dict[Name, Subgroup] = Field(default_factory=dict)
    least_frames: Count = 30  # of a subgroup with numbers
    least_patients: Count = 10
    hidden_patients: Count = 5  # a subgroup of fewer is not told at all
    corruptions: Corruptions = Corruptions()
