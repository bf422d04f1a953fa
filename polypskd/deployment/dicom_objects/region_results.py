"""The results that show where: each image of a study read once more, and its boxes written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.deployment.bundle import EVIDENCE, Bundle
from polypskd.deployment.dicom_objects.presentation_state import (
    build_presentation,
    name_presentation,
)
from polypskd.deployment.dicom_objects.regions import Box, Finder, read_regions
from polypskd.deployment.dicom_objects.result_objects import (
    MOST,
    Exam,
    Finding,
    ResultWish,
    name_result,
    write_result,
)
from polypskd.deployment.dicom_objects.secondary_capture import build_capture, name_capture
from polypskd.deployment.prediction.shots import hash_file
from polypskd.errors import ArtifactError, Fault

COLORS = 3  # samples of a pixel, without which a presentation state has nothing to refer to


def check_evidence(bundle: Bundle) -> None:
    """Check that a bundle can tell where it looked.

    Raises:
        ArtifactError: it has no evidence map.
    """
    if EVIDENCE not in bundle.manifest.files:
        raise ArtifactError(
            f"{bundle.folder}: has no {EVIDENCE}, so that no region can be shown; export the run "
            "again, or leave --presentation-state and --secondary-capture out"
        )


def write_pictures(exam: Exam, folder: Path, wish: ResultWish, faults: list[Fault]) -> list[Path]:
    """Write presentation states and secondary captures of a study.

    Args:
        exam: the study.
        folder: where they go.
        wish: which of them.
        faults: where it is told what was left out.

    Raises:
        ArtifactError: the bundle has no evidence map.
        OutputError: a file cannot be written.
    """
    check_evidence(exam.bundle)
    paths: list[Path] = []
    work = _Work(exam, folder, wish)
    for _, group in groupby(exam.findings, key=lambda one: one.image.instance):
        own = list(group)
        image = own[0].image
        try:
            paths += work.write(own)
        except DamageError as damage:
            faults.append(Fault(own[0].answer.source, damage.what, damage.value, damage.todo))
        except OSError as error:
            what = f"cannot be read again ({error.strerror})"
            faults.append(Fault(own[0].answer.source, what, todo="check the file and its rights"))
        if wish.presentation_state and image.samples != COLORS:
            what = "is no color image, so that no presentation state is made"
            faults.append(Fault(own[0].answer.source, what, todo="--secondary-capture shows it"))
    return paths


class _Work:
    """What goes on from image to image: the network, once it is needed, and the numbers.

    Args:
        exam: the study.
        folder: where results go.
        wish: which of them.
    """

    def __init__(self, exam: Exam, folder: Path, wish: ResultWish) -> None:
        self._exam, self._folder, self._wish = exam, folder, wish
        self._finder: Finder | None = None

    def write(self, own: Sequence[Finding]) -> list[Path]:
        """Write what is wished of the frames of one image.

        Raises:
            DamageError: the image changed since, or is damaged.
        """
        exam, wish = self._exam, self._wish
        image = own[0].image
        captures = {
            one.tracking_uid: self._name(name_capture(exam, one))
            for one in (own if wish.secondary_capture else ())
        }
        states = {
            self._name(name_presentation(exam, part)): part
            for part in (
                _divide(own) if wish.presentation_state and image.samples == COLORS else ()
            )
        }
        wanted = [*states, *captures.values()]
        if not all(path.is_file() for path in wanted):
            if hash_file(image.path) != own[0].answer.input_sha256:
                raise DamageError("changed since it was answered", todo="run the command again")
            boxes = dict(self._capture(own, captures))
            for part in states.values():
                found = [boxes.get(one.tracking_uid) for one in part]
                if any(found):
                    write_result(build_presentation(exam, part, found), self._folder)
        return [path for path in wanted if path.is_file()]

    def _name(self, uid: str) -> Path:
        return name_result(self._folder, uid)

    def _capture(
        self, own: Sequence[Finding], captures: dict[str, Path]
    ) -> Iterator[tuple[str, Box | None]]:
        """Find the boxes, and write secondary captures on the way: no two frames are in memory."""
        if self._finder is None:
            self._finder = Finder(self._exam.bundle)
        by_frame = {one.answer.frame: one for one in own}
        answers = [one.answer for one in own]
        for region in read_regions(self._finder, own[0].image.path, answers):
            one = by_frame[region.answer.frame]
            height, width = region.pixels.shape[:2]
            if (height, width) != (one.image.rows, one.image.columns):  # as videos may
                what = "its frames have another size than its header says"
                raise DamageError(what, f"{width}x{height}", "ask for the file anew")
            path = captures.get(one.tracking_uid)
            if path is not None and not path.is_file():
                made = build_capture(self._exam, one, region.pixels, region.box)
                write_result(made, self._folder)
            yield one.tracking_uid, region.box


def _divide(own: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Divide the frames with a class, as no object may grow without end."""
    named = [one for one in own if one.answer.predicted]
    for at in range(0, len(named), MOST):
        yield named[at : at + MOST]
