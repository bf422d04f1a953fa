"""A bundle: the student as the hospital gets it, read without torch and trusted by its hashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from polypskd.config.preparation import Crop, NoCrop, Quality
from polypskd.config.section import Count, Name, Section
from polypskd.deployment.layouts import FrameLayout
from polypskd.deployment.manifest import (
    MANIFEST,
    Manifest,
    check_files,
    check_page,
    parse_json,
    read_checked,
    read_manifest,
)
from polypskd.errors import ArtifactError

MODEL = "student.onnx"
EVIDENCE = "evidence.onnx"
INT8 = "student.int8.onnx"
WEIGHTS = "student.safetensors"
CARD = "model_card.md"
CODEBOOK = "codebook.json"
LIMITS = "limits.json"
METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
REQUIRED = (MODEL, WEIGHTS, CARD, CODEBOOK, LIMITS, METADATA, INFERENCE)
PRIVATE = "99POLYPSKD"  # coding scheme of what has no public code

Precision = Literal["float32", "int8", "bfloat16"]
Part = Annotated[float, Field(ge=0, le=1)]


class Code(Section):
    """A DICOM coded concept."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]


class CodedClass(Section):
    """A class: its name, code and definition.

    Args:
        name: as in the run.
        code: what a DICOM result says.
        definition: for annotators; empty where no codebook was given.
        positive: whether it counts as positive.
    """

    name: Name
    code: Code
    definition: str = ""
    positive: bool


class CodedSubclass(Section):
    """A subclass: its name, code and the class that it belongs to."""

    name: Name
    code: Code
    of: Name


class Codebook(Section):
    """The classes from lowest to highest risk, and the subclasses in the order of the outputs."""

    classes: Annotated[tuple[CodedClass, ...], Field(min_length=2, max_length=1000)]
    subclasses: Annotated[tuple[CodedSubclass, ...], Field(min_length=2, max_length=10000)]

    @model_validator(mode="after")
    def _fits(self) -> Codebook:
        names = [one.name for one in self.classes]
        subclasses = [one.name for one in self.subclasses]
        if len({*names}) < len(names) or len({*subclasses}) < len(subclasses):
            raise ValueError("a name stands twice")
        if {one.of for one in self.subclasses} != set(names):
            raise ValueError("subclasses and classes do not belong together")
        return self


class Band(Section):
    """A call is of low confidence while the risk lies between the two.

    Args:
        negative_to: a risk up to this is a negative call of high confidence.
        positive_from: a risk from this on is a positive call of high confidence.
        fixed_on: val or config; never test.
        unit: what the band was fixed on: frames or lesions.
    """

    negative_to: Part
    positive_from: Part
    fixed_on: Literal["val", "config"]
    unit: str


class Threshold(Section):
    """An operating point: the risk from which on a call is positive.

    Args:
        target: sensitivity or specificity.
        least: at least so high on validation.
        threshold: of the calibrated risk; null where validation allowed none.
        fixed_on: the split on which it was chosen.
        unit: frames or lesions.
    """

    target: Literal["sensitivity", "specificity"]
    least: Part
    threshold: Part | None
    fixed_on: Literal["val"]
    unit: str


class Limits(Section):
    """Within which limits the student answers; risk is the sum of the positive classes.

    Args:
        size: side of the network's input in pixels.
        crop: what of a frame is looked at, before it is resized.
        layouts: for a crop to the field, where it lies in frames that do not show it.
        min_side: a frame with a shorter side is refused, in pixels.
        max_megapixels: a larger frame is refused before it is decoded.
        positive: classes that count as positive.
        confidence: None where every call counts.
        thresholds: operating points.
        quality: as `polypskd.cohort.quality.find_exclusions` takes them.
        quality_fixed_on: what they were chosen on, in words.
    """

    size: Count
    crop: Crop = NoCrop()
    layouts: Annotated[tuple[FrameLayout, ...], Field(max_length=1000)] = ()
    min_side: Count
    max_megapixels: Annotated[float, Field(gt=0)]
    positive: Annotated[tuple[Name, ...], Field(min_length=1)]
    confidence: Band | None
    thresholds: tuple[Threshold, ...]
    quality: Quality
    quality_fixed_on: str

    def to_page(self) -> dict[str, Any]:
        """Give limits.json; earlier versions read it, too, where there are no layouts."""
        return self.model_dump(mode="json", exclude=None if self.layouts else {"layouts"})


@dataclass(frozen=True)
class Bundle:
    """A bundle whose hashes agree.

    Args:
        folder: where it lies.
        manifest: what it says of itself.
        size: side of the network's input in pixels.
        classes: K names, from lowest to highest risk.
        subclasses: S names.
        subclass_to_class: S indices of classes.
        positive: K, whether a class counts as positive.
        crop: for `prepare_frame`.
        limits: within which the student answers.
        codebook: DICOM codes of classes and subclasses.
        model_hash: SHA-256 of the network that answers.
        precision: in which form it answers; see `forms.choose_form`.
    """

    folder: Path
    manifest: Manifest
    size: int
    classes: tuple[str, ...]
    subclasses: tuple[str, ...]
    subclass_to_class: tuple[int, ...]
    positive: tuple[bool, ...]
    crop: Crop
    limits: Limits
    codebook: Codebook
    model_hash: str
    precision: Precision = "float32"

    def read(self, name: str) -> bytes:
        """Read one of its files, and check the very bytes that are given back.

        Args:
            name: as in the manifest.

        Raises:
            ArtifactError: there is no such file, or it was changed since the bundle was opened.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise ArtifactError(f"{self.folder}: the bundle has no {name}; export it with it")
        return read_checked(self.folder, name, entry)

    def measure_risk(self, class_probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """Add up the calibrated probabilities of the positive classes.

        Args:
            class_probabilities: (B, K).

        Returns:
            (B,) in [0, 1].
        """
        chosen = np.asarray(class_probabilities, np.float64)[:, np.asarray(self.positive)]
        risk: NDArray[np.float64] = chosen.sum(axis=1)
        return risk

    def find_confident(self, class_probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say which calls are of high confidence by the bundle's band.

        Args:
            class_probabilities: (B, K).

        Returns:
            (B,); all true where there is no band.
        """
        risk, band = self.measure_risk(class_probabilities), self.limits.confidence
        if band is None:
            return np.ones(len(risk), np.bool_)
        confident: NDArray[np.bool_] = (risk <= band.negative_to) | (risk >= band.positive_from)
        return confident


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle, comparing every file with its hash.

    Raises:
        ArtifactError: a file differs, is missing or is too many, or a page does not fit.
    """
    manifest = read_manifest(folder)
    for name in REQUIRED:
        if name not in manifest.files:
            raise ArtifactError(f"{folder / MANIFEST}: names no {name}; export the run again")
    check_files(folder, manifest)

    def read(name: str) -> Any:
        return parse_json(read_checked(folder, name, manifest.files[name]), str(folder / name))

    codebook = check_page(Codebook, read(CODEBOOK), str(folder / CODEBOOK))
    limits = check_page(Limits, read(LIMITS), str(folder / LIMITS))
    classes = tuple(one.name for one in codebook.classes)
    positive = tuple(one.positive for one in codebook.classes)
    if {name for name, is_so in zip(classes, positive, strict=True) if is_so} != set(
        limits.positive
    ):
        raise ArtifactError(
            f"{folder / LIMITS}: positive: other classes than in {CODEBOOK}; export the run again"
        )
    return Bundle(
        folder=folder,
        manifest=manifest,
        size=limits.size,
        classes=classes,
        subclasses=tuple(one.name for one in codebook.subclasses),
        subclass_to_class=tuple(classes.index(one.of) for one in codebook.subclasses),
        positive=positive,
        crop=limits.crop,
        limits=limits,
        codebook=codebook,
        model_hash=manifest.files[MODEL].sha256,
    )
