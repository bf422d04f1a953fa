"""What an archive answers to a C-FIND, read without trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polypskd.deployment.pacs.archive import StudyEntry, is_uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def read_value(answer: Dataset, keyword: str) -> str:
    """Read a value of an answer as one line of text; "" where there is none that can be read."""
    from polypskd.cohort.dicom.attributes import clean_value

    try:
        return clean_value(answer.get(keyword))
    except Exception:  # bytes that are no value
        return ""


def read_study(answer: Dataset) -> StudyEntry | None:
    """Read what is said of a study; None where its UID is none."""
    study_uid = read_value(answer, "StudyInstanceUID")
    if not is_uid(study_uid):
        return None
    count = read_value(answer, "NumberOfStudyRelatedInstances")
    return StudyEntry(
        study_uid=study_uid,
        modalities=tuple(sorted({*read_value(answer, "ModalitiesInStudy").split("/")} - {""})),
        count=int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0,
        when=read_value(answer, "StudyDate") + read_value(answer, "StudyTime"),
    )
