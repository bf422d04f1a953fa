"""A PDF in a study, as DICOM's Encapsulated PDF: the report of a run, say."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.artifacts import describe_fault
from polypskd.deployment.dicom_objects.result_objects import (
    RESEARCH,
    Exam,
    describe_origin,
    finish_result,
)
from polypskd.errors import ConfigError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CLASS = "1.2.840.10008.5.1.4.1.1.104.1"
MOST = 64 << 20  # bytes
TITLE = "polypskd report - RESEARCH USE ONLY"


def read_pdf(path: Path) -> bytes:
    """Read a PDF file.

    Raises:
        ConfigError: it cannot be read, is none, is cut short, or is too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path}: not a plain file; give --report a PDF file")
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        said = error.strerror or describe_fault(error)
        raise ConfigError(f"{path}: cannot be read ({said}); check --report") from None
    if len(data) > MOST:
        raise ConfigError(f"{path}: larger than {MOST >> 20} MiB; give --report a smaller PDF")
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-2048:]:
        raise ConfigError(f"{path}: not a whole PDF file; give --report another")
    return data


def name_document(exam: Exam, data: bytes) -> str:
    """Derive the UID of an encapsulated PDF.

    Args:
        exam: the study.
        data: of the PDF.
    """
    # Not of the frames: one that is mended later puts no second copy into the study.
    return exam.derive_instance("DOC", (), hashlib.sha256(data).hexdigest())


def build_document(exam: Exam, data: bytes) -> Dataset:
    """Build an encapsulated PDF.

    Args:
        exam: the study that it goes into.
        data: of the PDF.

    Returns:
        The object with file meta information, not yet written.
    """
    from highdicom.base import SOPClass
    from pydicom.uid import ExplicitVRLittleEndian

    study = exam.findings[0].image
    document: Dataset = SOPClass(
        study_instance_uid=study.study,
        sop_instance_uid=name_document(exam, data),
        sop_class_uid=CLASS,
        instance_number=1,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **describe_origin(exam, "DOC"),
    )
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = None
    document.BurnedInAnnotation = "YES"  # a report's pictures may hold what frames do
    document.DocumentTitle = TITLE
    document.ConceptNameCodeSequence = []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.ContentDescription = RESEARCH
    document.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    document.EncapsulatedDocumentLength = len(data)
    finish_result(document, exam, study)
    return document
