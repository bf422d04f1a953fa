"""report.yaml: what only the authors know, given once for every guideline.

study:
  title: A light classifier of polyps, judged by sensitivity and specificity
  ethics: Approved by the ethics board of the center (number 12/345)
guidelines:
  stard-ai:
    "27": Frames and biopsies were taken in the same session.
    "29": {not_applicable: There was no external test set.}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from polypskd.config.yaml_text import PageError, parse_yaml, read_text
from polypskd.errors import ConfigError

ANSWERS = "report.yaml"
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)]


class StudyFacts(BaseModel):
    """Facts of the study that several guidelines ask for; each may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Text | None = None
    abstract: Text | None = None
    background: Text | None = None
    aims: Text | None = None
    design: Text | None = None
    ethics: Text | None = None
    eligibility: Text | None = None
    setting: Text | None = None
    data_source: Text | None = None
    acquisition: Text | None = None
    deidentification: Text | None = None
    annotators: Text | None = None
    annotation_tool: Text | None = None
    repeat_agreement: Text | None = None
    reference_standard: Text | None = None
    reference_reason: Text | None = None
    outcome: Text | None = None
    blinding: Text | None = None
    initialization: Text | None = None
    severity: Text | None = None
    alternatives: Text | None = None
    interval: Text | None = None
    intended_use: Text | None = None
    population: Text | None = None
    fairness: Text | None = None
    public_involvement: Text | None = None
    limitations: Text | None = None
    implications: Text | None = None
    registration: Text | None = None
    protocol: Text | None = None
    funding: Text | None = None
    conflicts: Text | None = None
    data_availability: Text | None = None
    code_availability: Text | None = None
    model_availability: Text | None = None
    contact: Text | None = None


class NotApplicable(BaseModel):
    """An item that the authors say does not apply, with their reason."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    not_applicable: Text


class AnswersPage(BaseModel):
    """The shape of report.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    study: StudyFacts = Field(default_factory=StudyFacts)
    guidelines: dict[str, dict[str, Text | NotApplicable]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What the authors have told.

    Args:
        study: key of a study fact → text.
        items: key of a guideline → item → text.
        reasons: key of a guideline → item → why it does not apply.
    """

    study: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_answers(path: Path, known: Mapping[str, Iterable[str]]) -> Answers:
    """Read the authors' answers.

    Args:
        path: report.yaml.
        known: key of each guideline → ids of its items.

    Raises:
        ConfigError: the file is missing, or a key or item is not known, one a line.
    """
    try:
        raw = parse_yaml(read_text(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: not found; give --answers a YAML file") from None
    except (OSError, UnicodeDecodeError, PageError):
        raise ConfigError(f"{path}: not a readable YAML file; mend its syntax") from None
    try:
        page = AnswersPage.model_validate(_name_items({} if raw is None else raw))
    except ValidationError as error:
        raise ConfigError("\n".join(_tell(path, one) for one in error.errors())) from None
    faults = _find_unknown(path, page, known)
    if faults:
        raise ConfigError("\n".join(faults))
    told = {key: dict(items) for key, items in page.guidelines.items()}
    return Answers(
        study={key: value for key, value in page.study.model_dump().items() if value is not None},
        items={
            key: {item: value for item, value in items.items() if isinstance(value, str)}
            for key, items in told.items()
        },
        reasons={
            key: {
                item: value.not_applicable
                for item, value in items.items()
                if isinstance(value, NotApplicable)
            }
            for key, items in told.items()
        },
    )


def suggest(word: str, known: Iterable[str]) -> str:
    """Name what was probably meant.

    >>> suggest("fundng", ["funding", "title"]), suggest("x", ["funding", "title"])
    ("did you mean 'funding'?", 'known: funding, title')
    """
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(names)


def _name_items(raw: Any) -> Any:
    """Let an item be written without quotes: 6 is "6"."""
    if not isinstance(raw, dict) or not isinstance(raw.get("guidelines"), dict):
        return raw
    named = {
        key: {str(item): value for item, value in items.items()}
        if isinstance(items, dict)
        else items
        for key, items in raw["guidelines"].items()
    }
    return raw | {"guidelines": named}


def _tell(path: Path, error: Any) -> str:
    parts = [str(part) for part in error["loc"] if part not in ("str", "NotApplicable")]
    place = ".".join(parts) or "the file"
    if error["type"] == "extra_forbidden":
        fields = StudyFacts if parts[0] == "study" and len(parts) > 1 else AnswersPage
        if parts[0] == "guidelines":
            return f"{path}: unknown key {place!r}; give a text, or not_applicable: a reason"
        return f"{path}: unknown key {place!r}; {suggest(parts[-1], fields.model_fields)}"
    if "string" in error["type"]:
        return f"{path}: {place!r} must be a text, not {error['input']!r}; put words in quotes"
    return f"{path}: {place!r} must be a section, with one `key: text` a line"


def _find_unknown(path: Path, page: AnswersPage, known: Mapping[str, Iterable[str]]) -> list[str]:
    faults = []
    for key, items in page.guidelines.items():
        if key not in known:
            faults.append(f"{path}: unknown guideline {key!r}; {suggest(key, known)}")
            continue
        ids = set(known[key])
        faults += [
            f"{path}: {key} has no item {item!r}; {suggest(item, ids)}"
            for item in items
            if item not in ids
        ]
    return faults
