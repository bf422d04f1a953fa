"""What all DICOM results of one study share: UIDs, patient and exam, the model, the moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polypskd.artifacts import fingerprint, write_atomic
from polypskd.deployment.audit import own_version
from polypskd.deployment.deidentification.dicom_files import IMPLEMENTATION
from polypskd.deployment.dicom_objects.patients import clean_text
from polypskd.deployment.dicom_objects.source_images import SourceImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.results import Answer

FORM = 1  # raised when results of the same answers come out otherwise
RESEARCH = "AI RESULT - RESEARCH USE ONLY, NOT FOR DIAGNOSTIC USE"
MANUFACTURER = "polypskd"
UTF8 = "ISO_IR 192"
MOST = 500  # frames of one object: viewers and memory have limits
Kind = Literal["SR", "PR", "SC", "DOC"]
SERIES_NUMBERS: dict[Kind, int] = {"SR": 9001, "PR": 9002, "SC": 9003, "DOC": 9004}


@dataclass(frozen=True)
class ResultWish:
    """Which DICOM results are made; the structured report always is.

    Args:
        moment: of the content, with its time zone; the same moment gives the same bytes.
        presentation_state: whether to show the region that mattered.
        secondary_capture: whether to draw it into copies of the frames.
        report: a PDF file that goes into each study; None for none.
    """

    moment: datetime
    presentation_state: bool = False
    secondary_capture: bool = False
    report: Path | None = None


@dataclass(frozen=True)
class Finding:
    """What is said of one frame, and of which image.

    Args:
        answer: of the frame.
        image: the file that holds it.
    """

    answer: Answer
    image: SourceImage

    @property
    def tracking_uid(self) -> str:
        """What names this frame's finding in each result."""
        return derive_uid("tracking", self.image.instance, str(self.answer.frame))

    @property
    def frame_numbers(self) -> list[int] | None:
        """The frame's number, where the image has more than one."""
        return None if self.answer.frame is None else [self.answer.frame]

    @property
    def tracking_name(self) -> str:
        """The same for people."""
        number = "" if self.answer.frame is None else f" frame {self.answer.frame}"
        return f"{self.image.instance}{number}"


@dataclass(frozen=True)
class Exam:
    """One study with what is said of its frames.

    Args:
        bundle: whose answers they are.
        findings: in the order of series, instance and frame; at least one.
        moment: of the content.
        unread: number of files or frames of the study that could not be read.
    """

    bundle: Bundle
    findings: tuple[Finding, ...]
    moment: datetime
    unread: int = 0

    @property
    def study(self) -> str:
        """The study's UID."""
        return self.findings[0].image.study

    @property
    def local_moment(self) -> datetime:
        """The moment by the clock of the study, where it tells its time zone."""
        zone = self.findings[0].image.zone
        if not zone:
            return self.moment
        minutes = int(zone[1:3]) * 60 + int(zone[3:5])
        offset = timedelta(minutes=-minutes if zone[0] == "-" else minutes)
        return self.moment.astimezone(timezone(offset))

    def derive_series(self, kind: Kind) -> str:
        """Derive the UID of the series of one kind of results of this model.

        A series has one equipment: another version or form is another series.
        """
        return derive_uid("series", kind, self.study, describe_model(self.bundle))

    def derive_instance(self, kind: Kind, findings: Sequence[Finding], *about: str) -> str:
        """Derive the UID of a result: the same pixels and the same model give the same.

        The rest of a file is not asked: an archive writes it anew in each way it is asked.

        Args:
            kind: of the result.
            findings: that it tells of.
            about: what else it depends on.
        """
        inputs = [
            (one.image.instance, one.image.pixels_sha256, one.answer.frame or 0) for one in findings
        ]
        return derive_uid(
            "result",
            kind,
            self.study,
            describe_model(self.bundle),
            json.dumps(inputs),
            *about,
        )


def derive_uid(*parts: str) -> str:
    """Derive a UID from texts.

    >>> derive_uid("a") == derive_uid("a"), derive_uid("a") == derive_uid("b")
    (True, False)
    >>> derive_uid("a", "b") == derive_uid("ab"), len(derive_uid("a")) <= 44
    (False, True)
    """
    text = json.dumps(["polypskd", FORM, *parts])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76  # version 8: a UUID of one's own making
    number = number & ~(0x3 << 62) | 2 << 62  # the variant of RFC 9562
    return f"2.25.{number}"


def describe_model(bundle: Bundle) -> str:
    """Hash what an answer and its wording depend on beside the frame."""
    return fingerprint(
        {
            "tool": own_version(),
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "model": bundle.model_hash,
            "precision": bundle.precision,
            "limits": bundle.limits.model_dump(mode="json"),
            "codebook": bundle.codebook.model_dump(mode="json"),
        }
    )


def describe_origin(exam: Exam, kind: Kind) -> dict[str, Any]:
    """Describe series, maker and moment, as the constructors of highdicom take them."""
    moment = exam.local_moment
    manifest = exam.bundle.manifest
    told = {"content_date": moment.date(), "content_time": moment.time().replace(microsecond=0)}
    return {
        **({} if kind == "PR" else told),  # which has a moment of its own
        "series_instance_uid": exam.derive_series(kind),
        "series_number": SERIES_NUMBERS[kind],
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": clean_text(manifest.name, 64) or "model",
        "software_versions": (f"polypskd {own_version()}", f"model {manifest.version}"[:64]),
        "device_serial_number": exam.bundle.model_hash,
        "series_description": RESEARCH,
        "specific_character_set": UTF8,
    }


def finish_result(result: Dataset, exam: Exam, image: SourceImage) -> None:
    """Put in what no constructor takes: patient and study, the model, and the moment everywhere.

    Args:
        result: as it was made; it is changed.
        exam: that it tells of.
        image: whose patient and study it repeats.
    """
    from pydicom.uid import UID

    # Made of a bare reference: no value of a patient went through another package's messages.
    for element in image.patient:
        result.add(element)
    moment = exam.local_moment
    day, clock = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    for keyword in ("InstanceCreationDate", "SeriesDate"):
        setattr(result, keyword, day)
        setattr(result, keyword.replace("Date", "Time"), clock)
    # Of the constructors' own clock, in whichever class has them.
    for keyword in ("PresentationCreationDate", "DateOfSecondaryCapture"):
        if keyword in result:
            setattr(result, keyword, day)
            setattr(result, keyword.replace("Date", "Time"), clock)
    if image.zone:
        result.TimezoneOffsetFromUTC = image.zone
    result.ContributingEquipmentSequence = _list_equipment(exam, image)
    result.file_meta.ImplementationClassUID = UID(IMPLEMENTATION)
    result.file_meta.ImplementationVersionName = "POLYPSKD"


def write_result(result: Dataset, folder: Path) -> Path:
    """Write a result, named by its UID.

    Args:
        result: with file meta information.
        folder: of the study's results.

    Raises:
        OutputError: it cannot be written.
    """
    from pydicom import dcmwrite

    path = name_result(folder, str(result.SOPInstanceUID))
    write_atomic(path, lambda temporary: dcmwrite(temporary, result, enforce_file_format=True))
    return path


def name_result(folder: Path, uid: str) -> Path:
    """Name the file of a result."""
    return folder / f"{uid}.dcm"


def derive_device(bundle: Bundle) -> str:
    """Derive the device UID of a model: a new one each time it is trained.

    Args:
        bundle: with the hash of its network.
    """
    return derive_uid("device", bundle.model_hash)


def _list_equipment(exam: Exam, image: SourceImage) -> list[Dataset]:
    """List the model, and before it the device that took the frames."""
    import highdicom
    from pydicom.sr.codedict import codes

    items: list[Dataset] = []
    if image.equipment:
        items.append(
            highdicom.ContributingEquipment(
                purpose_of_reference=codes.DCM.AcquisitionEquipment,
                contribution_description="Acquisition equipment of the source images",
                **image.equipment,
            )
        )
    origin = describe_origin(exam, "SR")
    model = highdicom.ContributingEquipment(
        manufacturer=origin["manufacturer"],
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=origin["manufacturer_model_name"],
        software_versions=origin["software_versions"],
        device_serial_number=origin["device_serial_number"],
        contribution_datetime=exam.local_moment.replace(microsecond=0),
        contribution_description="Artificial intelligence; research use only",
    )
    model.DeviceUID = derive_device(exam.bundle)
    return [*items, model]
