"""The section `cohort`: what we were given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from polypskd.config.exports import (
    CocoVotes,
    CvatVotes,
    DatumaroVotes,
    LabelMeVotes,
    LabelStudioVotes,
    OpinionVotes,
)
from polypskd.config.frames import ATTRIBUTES, FrameFolder, Frames
from polypskd.config.preparation import Crop, NoCrop, Quality
from polypskd.config.section import Count, Name, Section, Share


class VotesTable(Section):
    """What the four table forms share."""

    path: Path
    frame: Name = "frame"
    number: Name | None = None  # column with the frame's number within the file
    time: Name | None = None  # column with its time in the video, in seconds
    missing: tuple[str, ...] = ("", "NA", "N/A", "null")  # cells that mean: did not vote


class LongVotes(VotesTable):
    """One row a vote."""

    kind: Literal["long"] = "long"
    annotator: Name = "annotator"
    vote: Name = "vote"


class WideVotes(VotesTable):
    """One row a frame, one column an annotator."""

    kind: Literal["wide"] = "wide"
    annotators: Annotated[tuple[Name, ...], Field(min_length=1)]


class CountVotes(VotesTable):
    """One row a frame, one column of counts a class; or votes for one class out of a total."""

    kind: Literal["counts"] = "counts"
    prefix: str | None = None  # columns <prefix><class>, as in CIFAR-10H
    columns: dict[str, Name] | None = None  # class: column
    votes_for: Name | None = None  # the class that `column` counts, as in MHIST
    column: Name | None = None
    out_of: Count | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CountVotes:
        single = (self.votes_for, self.column, self.out_of)
        ways = [self.prefix is not None, self.columns is not None, any(single)]
        if sum(ways) != 1 or (any(single) and not all(single)):
            raise ValueError(
                "give exactly one of: prefix; columns; votes_for with column and out_of"
            )
        return self


class KnownSubclass(VotesTable):
    """One row a frame, with its known subclass; `merge` says to which class each belongs."""

    kind: Literal["subclass"] = "subclass"
    column: Name = "subclass"


class ClassFolders(Section):
    """The name of the folder that holds a frame is its class (or finer, with `merge`)."""

    kind: Literal["folders"] = "folders"


class SyntheticVotes(Section):
    """Votes of the simulated annotators that come with synthetic frames."""

    kind: Literal["synthetic"] = "synthetic"


Votes = Annotated[
    LongVotes
    | WideVotes
    | CountVotes
    | KnownSubclass
    | ClassFolders
    | LabelStudioVotes
    | CvatVotes
    | CocoVotes
    | DatumaroVotes
    | LabelMeVotes
    | OpinionVotes
    | SyntheticVotes,
    Field(discriminator="kind"),
]


class Metadata(Section):
    """A table with one row a frame whose columns are carried along (patient, split, lesion...)."""

    path: Path
    frame: Name = "frame"
    number: Name | None = None  # column with the frame's number within the file
    time: Name | None = None  # column with its time in the video, in seconds


class PatientColumn(Section):
    """Patient ids stand in a column of the metadata or of a one-row-a-frame votes table."""

    kind: Literal["column"] = "column"
    column: Name


class PatientPattern(Section):
    """The first group of a regular expression, searched in the frame id, is the patient id."""

    kind: Literal["pattern"] = "pattern"
    pattern: Name


class NoPatients(Section):
    """Patients are unknown: every frame stands for itself, and the report says so."""

    kind: Literal["none"] = "none"


Patients = Annotated[PatientColumn | PatientPattern | NoPatients, Field(discriminator="kind")]


class RandomSplit(Section):
    """By patient, stratified by class, seeded."""

    kind: Literal["random"] = "random"
    val: Share = 0.15
    test: Share = 0.25

    @model_validator(mode="after")
    def _some_train(self) -> RandomSplit:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}; leave some for training")
        return self


class ColumnSplit(Section):
    """A given column; `val` carves a validation split out of train where the column has none."""

    kind: Literal["column"] = "column"
    column: Name
    train: tuple[str, ...] = ("train", "Train", "training")
    val_names: tuple[str, ...] = ("val", "Val", "validation", "Validation", "valid")
    test: tuple[str, ...] = ("test", "Test", "testing", "Testing")
    val: Share | None = None


Split = Annotated[RandomSplit | ColumnSplit, Field(discriminator="kind")]


class CohortConfig(Section):
    """What we were given."""

    frames: Frames
    votes: Votes
    classes: Annotated[tuple[Name, ...], Field(min_length=2)]  # lowest to highest clinical risk
    merge: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] | None = None
    ignore: tuple[Name, ...] = ()  # votes or folders that do not count; a frame left bare is listed
    metadata: Metadata | None = None
    patients: Patients = NoPatients()
    split: Split = RandomSplit()
    crop: Crop = NoCrop()
    quality: Quality | None = None  # measured, as columns; its rules leave frames out
    max_megapixels: Annotated[float, Field(gt=0)] = 64.0
    min_side: Count = 16
    drop_faulty: bool = False

    @model_validator(mode="before")
    @classmethod
    def _patients_of_headers(cls, raw: Any) -> Any:
        """Take the patients from the DICOM headers, unless the page says otherwise."""
        frames = raw.get("frames") if isinstance(raw, dict) else None
        if not isinstance(frames, dict) or frames.get("kind") != "dicom" or "patients" in raw:
            return raw
        attributes = frames.get("attributes", ATTRIBUTES)
        columns = attributes if isinstance(attributes, dict) else {}
        column = next((name for name, of in columns.items() if of == "PatientID"), None)
        return raw | {"patients": {"kind": "column", "column": column}} if column else raw

    @model_validator(mode="after")
    def _consistent(self) -> CohortConfig:
        if any(set(name) & set('"/\n\r') for name in self.classes):
            raise ValueError("classes: a name holds a quote, a slash or a line break")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: a name stands twice")
        if self.merge is not None:
            if set(self.merge) != set(self.classes):
                raise ValueError(f"merge: its keys must be the classes {list(self.classes)}")
            fine = [name for names in self.merge.values() for name in names]
            if len(set(fine)) != len(fine):
                raise ValueError("merge: a vote stands in two classes")
        if (self.frames.kind == "synthetic") != (self.votes.kind == "synthetic"):
            raise ValueError("frames and votes: synthetic frames go with synthetic votes")
        if self.frames.kind == "synthetic" and self.merge is not None:
            raise ValueError("merge: synthetic votes are not finer than the classes")
        if self.votes.kind == "folders":
            if not isinstance(self.frames, FrameFolder):
                raise ValueError("votes: kind folders needs frames of kind image_folder")
            if getattr(self.frames, "take", "all") == "named":
                raise ValueError("votes: kind folders names no frame; add take: all to frames")
        return self

    @property
    def fine(self) -> dict[str, str]:
        """Every vote that may occur and its class, in the order of classes, then of merge."""
        merge = self.merge or {name: (name,) for name in self.classes}
        return {vote: name for name in self.classes for vote in merge[name]}
