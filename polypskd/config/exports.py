"""The forms of `cohort.votes` that label tools export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from polypskd.config.section import Name, Section


class VotesExport(Section):
    """What all exports share: files, and names for the people in them."""

    path: Path | Annotated[dict[Name, Path], Field(min_length=1)]  # or annotator: file
    annotators: dict[Name, Name] | None = None  # id within the tool, or annotator-1...: name

    @field_validator("annotators")
    @classmethod
    def _no_address(cls, annotators: dict[str, str] | None) -> dict[str, str] | None:
        if annotators is None:
            return None
        # A config lies in the run's folder, so that whoever reads the run would read it.
        if any("@" in text for pair in annotators.items() for text in pair):
            raise ValueError("give ids or annotator-1, annotator-2, ... and codes, not addresses")
        if len(set(annotators.values())) != len(annotators):
            raise ValueError("two ids have one name")
        return annotators


class RegionsExport(VotesExport):
    """Exports in which boxes and outlines may stand beside votes."""

    regions: Literal["tell", "frame_label"] = "tell"


class LabelStudioVotes(RegionsExport):
    """Label Studio: JSON or JSON-MIN."""

    kind: Literal["label_studio"] = "label_studio"
    control: Name | None = None  # from_name of the choices
    frame: Name = "image"  # key of the task's data
    upload_prefix: Literal["drop", "keep"] = "drop"


class CvatVotes(RegionsExport):
    """CVAT for images 1.1: tags of an image."""

    kind: Literal["cvat"] = "cvat"
    label: Name | None = None  # only tags with this label count
    attribute: Name | None = None  # the vote is this attribute's value, not the label
    annotator: Name | None = None  # an attribute that says who voted


class CocoVotes(RegionsExport):
    """COCO: categories of annotations without box and outline."""

    kind: Literal["coco"] = "coco"


class DatumaroVotes(RegionsExport):
    """Datumaro: annotations of type label."""

    kind: Literal["datumaro"] = "datumaro"
    attribute: Name | None = None
    annotator: Name | None = None


class LabelMeVotes(RegionsExport):
    """LabelMe: flags; one JSON a frame, one folder an annotator."""

    kind: Literal["labelme"] = "labelme"


class OpinionVotes(VotesExport):
    """DICOM structured reports (TID 1500): qualitative evaluations of a frame."""

    kind: Literal["dicom_sr"] = "dicom_sr"
    codes: Annotated[dict[Name, Name], Field(min_length=1)]  # scheme:value of the answer: vote
    question: Name | None = None  # scheme:value of the question
