"""The section `cohort.frames`: where the pictures are, and which frames of many are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from polypskd.config.section import Count, Name, Section

# Column of the cohort → attribute of the header. Names, ids and UIDs become keyed hashes.
ATTRIBUTES = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "manufacturer": "Manufacturer",
    "device": "ManufacturerModelName",
}


class ImageFolder(Section):
    """Frames are image files under a folder; a frame's id is its path below the root."""

    kind: Literal["image_folder"] = "image_folder"
    root: Path


class FrameChoice(Section):
    """Which frames of a file with many are taken: all (every n-th of a range), or those named."""

    root: Path
    take: Literal["all", "named"]
    stride: Count = 1
    first: Annotated[int, Field(ge=0)] | None = None
    last: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_choice(self) -> FrameChoice:
        ranged = self.stride > 1 or self.first is not None or self.last is not None
        if self.take == "named" and ranged:
            raise ValueError("stride, first and last choose among all frames: add take: all")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"last {self.last} comes before first {self.first}")
        return self


class DicomFolder(FrameChoice):
    """Frames are DICOM files under a folder; frame n of many is `<path>#<n>`, from 1."""

    kind: Literal["dicom"] = "dicom"
    take: Literal["all", "named"] = "all"
    attributes: dict[Name, Name] = ATTRIBUTES  # column: DICOM keyword, or keywords with dots
    key_file: Path | None = None  # of the hashes that stand for patients and UIDs
    key_env: Name | None = None

    @model_validator(mode="after")
    def _one_key(self) -> DicomFolder:
        if self.key_file is not None and self.key_env is not None:
            raise ValueError("give key_file or key_env, not both")
        return self


class VideoFolder(FrameChoice):
    """Frames are those of videos under a folder; frame n is `<path>#<n>`, from 0 as shown."""

    kind: Literal["video"] = "video"
    take: Literal["all", "named"] = "named"


class NoFrames(Section):
    """Votes only: `check` and `derive` work, training does not."""

    kind: Literal["none"] = "none"


class SyntheticFrames(Section):
    """Frames and votes drawn by `polypskd.cohort.synthetic`; no file is read."""

    kind: Literal["synthetic"] = "synthetic"
    patients: Annotated[int, Field(ge=6)] = 60
    frames_per_patient: Count = 6
    size: Annotated[int, Field(ge=48, le=1024)] = 160
    difficulty: Annotated[float, Field(ge=0, le=1)] = 0.5
    annotators: Annotated[int, Field(ge=2, le=50)] = 7


FrameFolder = ImageFolder | DicomFolder | VideoFolder
Frames = Annotated[
    ImageFolder | DicomFolder | VideoFolder | NoFrames | SyntheticFrames,
    Field(discriminator="kind"),
]
