"""The DICOM results of one study: a report, and what else is wished, as files named by their UIDs.

UIDs hang on the inputs and the model alone, and a file that is there is whole: whoever was killed
comes to the same files again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.deployment.bundle import Bundle
from polypskd.deployment.dicom_objects.encapsulated_pdf import (
    build_document,
    name_document,
    read_pdf,
)
from polypskd.deployment.dicom_objects.patients import count_patients
from polypskd.deployment.dicom_objects.region_results import write_pictures
from polypskd.deployment.dicom_objects.result_objects import (
    Exam,
    Finding,
    ResultWish,
    name_result,
    write_result,
)
from polypskd.deployment.dicom_objects.source_images import SourceImage, read_source_image
from polypskd.deployment.results import Answer
from polypskd.deployment.structured_report import build_structured_report, list_parts, name_report
from polypskd.errors import CohortError, ConfigError, Fault, PolypskdError

ONE = "give the files of one study at a time"


@dataclass(frozen=True)
class StudyResults:
    """What came of one study.

    Args:
        files: that were written, or were there already.
        faults: why a file of the study, or a result, was left out.
    """

    files: tuple[Path, ...]
    faults: tuple[Fault, ...] = ()


def write_dicom_results(
    bundle: Bundle,
    answers: Iterable[Answer],
    files: Mapping[str, Path],
    folder: Path,
    wish: ResultWish,
) -> list[Path]:
    """Write the DICOM results of one study.

    Args:
        bundle: whose answers they are.
        answers: of all frames of the study.
        files: source of an answer → DICOM file; one without an answer counts as unread.
        folder: where the results go.
        wish: which results.

    Returns:
        The files, in the order of their making.

    Raises:
        CohortError: there is nothing that a result could be made of.
        OutputError: a file cannot be written.
    """
    done = write_study_results(bundle, answers, files, folder, wish)
    if not done.files:
        raise CohortError(done.faults)
    return list(done.files)


def write_study_results(
    bundle: Bundle,
    answers: Iterable[Answer],
    files: Mapping[str, Path],
    folder: Path,
    wish: ResultWish,
    unread: int = 0,
) -> StudyResults:
    """Write the DICOM results of one study, and tell what was left out.

    Args:
        bundle: whose answers they are.
        answers: of all frames of the study.
        files: source of an answer → DICOM file; one without an answer counts as unread.
        folder: where the results go.
        wish: which results.
        unread: number of frames of these files that could not be read.

    Raises:
        ConfigError: highdicom is not installed.
        OutputError: a file cannot be written.
    """
    check_library()
    faults: list[Fault] = []
    by_source: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_source[answer.source].append(answer)
    images = _read_images({name: files[name] for name in by_source}, faults)
    if images:
        _check_patient(images, faults)
    findings = _list_findings(by_source, images, faults)
    if not findings:
        if not faults:
            faults.append(Fault(str(folder), "no frame of the study was answered"))
        return StudyResults((), tuple(faults))
    left_out = len([name for name in files if name not in images])
    exam = Exam(bundle, tuple(findings), wish.moment, unread + left_out)
    paths: list[Path] = []
    try:
        paths += _write_reports(exam, folder)
        if wish.presentation_state or wish.secondary_capture:
            paths += write_pictures(exam, folder, wish, faults)
        if wish.report is not None:
            paths.append(_write_document(exam, folder, wish.report))
    except PolypskdError:
        raise
    except Exception as error:  # one study, whatever it holds, does not stop the others
        what = f"a DICOM result of its study cannot be made ({type(error).__name__})"
        faults.append(Fault(findings[0].answer.source, what, todo="please report it"))
    return StudyResults(tuple(paths), tuple(faults))


def check_library() -> None:
    """Check that DICOM results can be made here.

    Raises:
        ConfigError: highdicom is not installed.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise ConfigError("DICOM results need highdicom; pip install 'polypskd[serve]'") from None


def _read_images(files: Mapping[str, Path], faults: list[Fault]) -> dict[str, SourceImage]:
    images: dict[str, SourceImage] = {}
    for name, path in files.items():
        try:
            images[name] = read_source_image(path)
        except DamageError as damage:
            faults.append(Fault(name, damage.what, damage.value, damage.todo))
        except OSError as error:
            faults.append(Fault(name, f"cannot be read ({error.strerror})", todo="check the file"))
    return images


def _check_patient(images: dict[str, SourceImage], faults: list[Fault]) -> None:
    """Make no result at all where one could be filed to the wrong patient."""
    name = min(images)
    studies = {image.study for image in images.values()}
    if len(studies) > 1:
        faults.append(Fault(name, "is of another study than the other files", todo=ONE))
    several = count_patients([image.patient for image in images.values()]) > 1
    if several:
        what = "files of one study name different patients, so that no DICOM result is made"
        faults.append(Fault(name, what, todo="ask for the study anew"))
    if len(studies) > 1 or several:
        images.clear()


def _list_findings(
    by_source: Mapping[str, list[Answer]], images: dict[str, SourceImage], faults: list[Fault]
) -> list[Finding]:
    """List what was found in each frame once, in an order that no file's name decides."""
    hashes: dict[str, dict[str, str]] = defaultdict(dict)  # instance → hash → source
    for name in sorted(images):
        hashes[images[name].instance].setdefault(by_source[name][0].input_sha256, name)
    findings = []
    for name in sorted(images):
        image = images[name]
        same = hashes[image.instance]
        if len(same) > 1:
            others = (
                min(one for one in same.values() if one != name) if name in same.values() else ""
            )
            what = f"has the SOP instance UID of another file{' ' if others else ''}{others}"
            faults.append(Fault(name, what, todo="give one of them"))
            del images[name]
        elif name in same.values():
            findings += [Finding(answer, image) for answer in by_source[name]]
    findings.sort(key=_place)
    return findings


def _place(finding: Finding) -> tuple[object, ...]:
    image = finding.image
    return (*image.order, image.series, image.instance, finding.answer.frame or 0)


def _write_reports(exam: Exam, folder: Path) -> list[Path]:
    paths = []
    for part in range(len(list_parts(exam.findings))):
        path = name_result(folder, name_report(exam, part))
        if not path.is_file():
            write_result(build_structured_report(exam, part), folder)
        paths.append(path)
    return paths


def _write_document(exam: Exam, folder: Path, report: Path) -> Path:
    data = read_pdf(report)
    path = name_result(folder, name_document(exam, data))
    if not path.is_file():
        write_result(build_document(exam, data), folder)
    return path
