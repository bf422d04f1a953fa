"""The shape of report.json, for programs that read it.

Sections that grow with the package (evaluation, agreement, study) hold what is named here and may
hold more. `SCHEMA` changes its number when a key that was promised goes or changes its meaning.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from polypskd.reporting.collecting import summarize
from polypskd.reporting.guidelines import Audit, describe_audit
from polypskd.reporting.record import Json, Record

SCHEMA = "polypskd/report/1"
FILE = "report.schema.json"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Estimate(_Open):
    """A number with its interval; null where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Brief(_Closed):
    """One network in five figures."""

    macro_f1: Estimate | None
    accuracy: Estimate | None
    ece_before: Estimate | None
    ece_after: Estimate | None
    parameters: int | None


class Summary(_Closed):
    """Student and teacher in a few figures."""

    student: Brief
    teacher: Brief | None
    parameters_ratio: float | None


class CohortCounts(_Closed):
    """What was tested on; frames left out, by reason."""

    n_frames: int = Field(ge=0)
    n_patients: int | None = Field(ge=0)
    exclusions: dict[str, int]


class ClassScores(_Open):
    """One class of the test split."""

    precision: Estimate
    recall: Estimate
    f1: Estimate
    specificity: Estimate
    auroc: Estimate
    support: int = Field(ge=0)


class Evaluation(_Open):
    """evaluation.json: the student on the test split, and the teacher beside it."""

    split: str
    n_frames: int = Field(ge=0)
    n_patients: int | None
    classes: list[str]
    per_class: dict[str, ClassScores]
    macro_f1: Estimate
    weighted_f1: Estimate
    accuracy: Estimate
    auroc: Estimate
    confusion: list[list[int]]


class Agreement(_Open):
    """agreement.json, its annotators numbered."""

    classes: list[str]
    patients_known: bool
    statistics: dict[str, Any]


class ItemStatus(_Closed):
    """An item of a guideline, in words of our own."""

    item: str
    about: str
    status: Literal["filled", "partly", "author", "not applicable"]
    sections: list[str]
    shown: list[str]
    missing: list[str]
    reason: str | None
    answers: list[str]


class GuidelineStatus(_Closed):
    """A guideline and where its items are told."""

    name: str
    edition: int
    source: str
    note: str
    items: list[ItemStatus]


class Report(_Closed):
    """report.json of polypskd. Research use only: not a medical device, not for diagnosis."""

    schema_: Literal["polypskd/report/1"] = Field(alias="schema")
    name: str | None
    research_use_only: Literal[True]
    notice: str
    summary: Summary
    cohort: CohortCounts
    evaluation: Evaluation
    agreement: Agreement
    comparison: dict[str, Any] | None
    study: dict[str, Any] | None
    provenance: dict[str, Any]
    guidelines: dict[str, GuidelineStatus]


def describe_report(record: Record, audit: Audit) -> Json:
    """Gather what report.json holds.

    Args:
        record: the run's files.
        audit: its guidelines.
    """
    return {"schema": SCHEMA} | summarize(record) | {"guidelines": describe_audit(audit)}


def make_schema() -> Json:
    """Make the JSON schema of report.json.

    >>> make_schema()["title"]
    'Report'
    """
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA}
    return dialect | Report.model_json_schema(by_alias=True)


def read_schema() -> str:
    """Read the schema that comes with the package.

    >>> "polypskd/report/1" in read_schema()
    True
    """
    return resources.files("polypskd.reporting").joinpath(FILE).read_text(encoding="utf-8")
