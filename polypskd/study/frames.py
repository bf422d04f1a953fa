"""The sections for which the student sees frames again: robustness, and heat maps of errors."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polypskd.artifacts import read_json
from polypskd.cohort.location import locate_frames
from polypskd.errors import ArtifactError, CohortError
from polypskd.labels.examples import Examples
from polypskd.runs import STUDY, Run
from polypskd.study.data import Json, NotAssessableError, StudyData
from polypskd.study.sections import assess

if TYPE_CHECKING:
    from polypskd.data.pixels import Pixels

CAMS = "cams"
NAME = re.compile(CAMS + r"/\d+\.png")


def describe_frames(run: Run, data: StudyData) -> Json:
    """Ask the student again, and write heat maps into the run folder.

    Args:
        run: its frames must still be there.
        data: of it.

    Returns:
        ``robustness`` and ``cams``, or why not.
    """
    try:
        examples, pixels = open_pixels(run, data)
    except NotAssessableError as error:
        remove_stale(run.folder, ())
        told = {"patients_known": data.patients_known, "not_assessable": str(error)}
        return {name: dict(told) for name in ("robustness", CAMS)}
    # Imported here: a study that is fresh needs no torch.
    from polypskd.data.pixels import Taken
    from polypskd.study.cams import write_cams
    from polypskd.study.robustness import describe_robustness
    from polypskd.study.student import Student

    student = Student.read(run.folder, run.config.device)
    frames = Taken(pixels, np.flatnonzero(examples.split == "test"))
    tell = partial(run.log.progress, "robustness")
    return {
        "robustness": assess(
            partial(describe_robustness, data, frames, student, tell), data.patients_known
        ),
        CAMS: {"patients_known": data.patients_known} | write_cams(run.folder, student, pixels),
    }


def open_pixels(run: Run, data: StudyData) -> tuple[Examples, Pixels]:
    """Open the frames of all examples, decoding them if need be.

    Raises:
        NotAssessableError: they are not there; no frame is named, reports quote it.
    """
    frames, examples = locate_frames(run.config.cohort, run.cohort), data.examples
    if frames is None or examples is None:
        raise NotAssessableError("the run has votes without frames; set cohort.frames")
    from polypskd.data.store import Reading, open_store

    # Not by `open_material`: that waits for the other processes of a job, and they wait for us.
    try:
        store = open_store(
            frames,
            examples.path,
            size=run.config.augment.size,
            folder=(run.shared or run.folder / ".steps") / "pixels",
            reading=Reading(
                run.config.cohort.max_megapixels,
                run.config.cohort.crop,
                examples.carried.get("device"),
            ),
            progress=partial(run.log.progress, "decode"),
        )
    except (ArtifactError, CohortError):
        raise NotAssessableError(
            "a frame has gone or cannot be read; `polypskd check CONFIG` tells which"
        ) from None
    return examples, store.pixels


def list_cams(found: Json) -> tuple[str, ...]:
    """Name the files that belong to the section `cams` of study.json.

    >>> list_cams({"rows": [2, 17]}), list_cams({"not_assessable": "no frames"})
    (('cams/2.png', 'cams/17.png'), ())
    """
    return tuple(f"{CAMS}/{row}.png" for row in found.get("rows", ()))


def remove_stale(folder: Path, rows: Collection[int]) -> None:
    """Remove the heat maps of other rows that the last study wrote; other people's files stay.

    Args:
        folder: of the run, with study.json and the stamp of the last study, if there was one.
        rows: whose maps are kept.
    """
    if (folder / CAMS).is_symlink():
        return
    study, stamp = folder / STUDY[0], folder / ".steps" / "study.json"
    listed = set(list_cams(read_json(study).get(CAMS, {}))) if study.exists() else set()
    if stamp.exists():
        listed |= set(read_json(stamp)["outputs"])
    kept = list_cams({"rows": rows})
    for name in sorted(listed - set(kept)):
        if NAME.fullmatch(name):
            (folder / name).unlink(missing_ok=True)
