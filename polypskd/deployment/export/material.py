"""What a bundle is made of: a run's student, numbers and frames, which belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import file_hash, read_json, stamped_hash
from polypskd.cohort.agreed_fields import Layouts, agree_on_fields
from polypskd.config import Config
from polypskd.deployment.bundle import CARD, WEIGHTS
from polypskd.deployment.export.frames import FrameSet, list_folder
from polypskd.errors import ArtifactError, CohortError, Fault
from polypskd.labels.examples import Examples, read_examples
from polypskd.labels.scheme import Scheme, find_names
from polypskd.models.checkpoint import Stored, read_network

EXAMPLES = "examples.csv"
NUMBERS = ("evaluation.json", "provenance.json")


@dataclass(frozen=True)
class Source:
    """What a bundle is made of.

    Args:
        run: the run folder.
        config: the experiment.
        frames: the folder that the paths of the examples start from; None for votes alone.
    """

    run: Path
    config: Config
    frames: Path | None


@dataclass(frozen=True)
class Material:
    """A run, read and checked.

    Args:
        source: where it lies.
        stored: its student.
        record: evaluation.json.
        study: study.json.
        provenance: provenance.json.
        known: frames whose quality is measured.
        validation: frames on which answers are compared.
        labels: (N,) classes of the validation frames, in [0, K); None where they are not known.
    """

    source: Source
    stored: Stored
    record: dict[str, Any]
    study: dict[str, Any]
    provenance: dict[str, Any]
    known: FrameSet
    validation: FrameSet
    labels: NDArray[np.int64] | None

    @property
    def temperature(self) -> float:
        """Fitted on validation; 1 where it could not be."""
        return float(self.record["calibration"]["temperature"] or 1.0)

    @property
    def scheme(self) -> Scheme:
        """What the outputs mean; their levels are not told."""
        class_of = np.array(self.stored.class_of, np.int64)
        return Scheme(
            self.stored.classes, self.stored.subclasses, class_of, np.zeros_like(class_of)
        )

    @property
    def positive(self) -> tuple[str, ...]:
        """Classes that count as positive."""
        return tuple(self.source.config.study.positive or self.stored.classes[-1:])


def open_material(source: Source, parity_frames: Path | None = None) -> Material:
    """Read a run, and check that its files belong together.

    Args:
        source: where it lies.
        parity_frames: folder of images in place of the run's frames.

    Raises:
        ArtifactError: a file is missing, damaged, or of another student.
        CohortError: the frames are gone.
    """
    run = source.run
    stored = read_network(run / WEIGHTS, "distill")
    for name in NUMBERS:
        if not (run / name).exists() or file_hash(run / name) != stamped_hash(
            run, "evaluate", name
        ):
            raise ArtifactError(
                f"{run / name}: missing or changed; `polypskd evaluate CONFIG` makes it anew"
            )
    record, provenance = (read_json(run / name) for name in NUMBERS)
    for name, key in ((WEIGHTS, "student_sha256"), (EXAMPLES, "examples_sha256")):
        if not (run / name).exists() or file_hash(run / name) != provenance[key]:
            raise ArtifactError(
                f"{run / name}: not what evaluation.json was made of; "
                "`polypskd evaluate CONFIG` makes that anew"
            )
    if not (run / CARD).exists():
        raise ArtifactError(f"{run / CARD}: missing; `polypskd report {run}` makes it")
    size = source.config.augment.size
    if stored.size != size:
        raise ArtifactError(
            f"{run / WEIGHTS}: reads frames of {stored.size} px, and config.yaml says {size}; "
            "`polypskd run CONFIG` makes it anew"
        )
    examples = read_examples(run / EXAMPLES)
    known, validation = _find_frames(source, parity_frames, examples)
    layouts = _agree_on_layouts(source, examples)
    known, validation = (replace(one, layouts=layouts) for one in (known, validation))
    labels = None
    if parity_frames is None:
        labels = find_names(examples.consensus[examples.split == "val"], stored.classes)
    study = read_json(run / "study.json")
    return Material(source, stored, record, study, provenance, known, validation, labels)


def _agree_on_layouts(source: Source, examples: Examples) -> dict[tuple[int, int], Layouts]:
    """Find where the picture lies in the frames, as training does, for a crop to the field."""
    cohort = source.config.cohort
    if cohort.crop.kind != "field" or source.frames is None or not source.frames.is_dir():
        return {}
    devices = examples.carried.get("device")
    fields = agree_on_fields(
        source.frames,
        [str(path) for path in examples.path],
        None if devices is None else [str(name) for name in devices],
        max_megapixels=cohort.max_megapixels,
    )
    return fields.merge_devices()


def _find_frames(
    source: Source, parity_frames: Path | None, examples: Examples
) -> tuple[FrameSet, FrameSet]:
    """Find the frames whose quality is measured, and those on which answers are compared."""
    cohort, size = source.config.cohort, source.config.augment.size
    if parity_frames is not None:
        given = list_folder(parity_frames, cohort, size)
        return given, given
    if source.frames is None or not source.frames.is_dir():
        where = str(source.frames or source.run)
        todo = "bring them back, or give --parity-frames a folder of frames like them"
        raise CohortError([Fault(where, "the run's frames are gone", todo=todo)])
    frames = source.frames

    def choose(*splits: str) -> FrameSet:
        names = tuple(str(name) for name in examples.path[np.isin(examples.split, splits)])
        told = " and ".join({"train": "training", "val": "validation"}[name] for name in splits)
        return FrameSet(frames, names, cohort, size, f"{told} frames of the run")

    validation = choose("val")
    if not len(validation):
        raise CohortError(
            [Fault(str(source.run), "no validation frames", todo="give --parity-frames")]
        )
    return choose("train", "val"), validation
